"""What keeps a restore with lost bookies from adapting a tree."""

import re
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metadata_tool.pulsar.completeness import Completeness, Finding
from metadata_tool.pulsar.paths import Layout
from support.metadata import as_json, ledgers, tree
from support.recovery import scanned
from support.trees import PATIENT

TOPIC = {"/managed-ledgers/public/default/persistent/t1": ledgers((10, True), (11, False))}
CLUSTER = {"/admin/clusters/c1": as_json()}
POLICIES = {"/admin/policies/public/default": as_json()}
LEDGERS = {"/ledgers/idgen": b""}
NEW = {**CLUSTER, **LEDGERS, "/managed-ledgers": b""}
"""A Pulsar that was just initialised."""
USED = {**CLUSTER, **LEDGERS, **POLICIES, **TOPIC}


def findings(content: Mapping[str, bytes], layout: Layout | None = None, *, long_ids: bool = False) -> list[Finding]:
    """The findings about a tree with this content."""
    layout = layout or Layout()
    found = scanned(tree(content), layout)
    complete = Completeness(layout, found.placement, long_ids, found.facts.flat, found.coverage.unknown)
    return complete.findings()


def below(chroot: str, content: Mapping[str, bytes]) -> dict[str, bytes]:
    """The same content below a chroot."""
    return {chroot + path: data for path, data in content.items()}


def whats(content: Mapping[str, bytes], layout: Layout | None = None) -> list[str]:
    """What is found in such a tree."""
    return [finding.what for finding in findings(content, layout)]


@pytest.mark.parametrize("content", [CLUSTER | LEDGERS, NEW, USED, USED | below("/other", {**CLUSTER, **LEDGERS})])
@pytest.mark.parametrize("layout", [Layout(), Layout("/pulsar")])
def test_complete(content: Mapping[str, bytes], layout: Layout) -> None:
    """A Pulsar with all parts is complete, also without topics, and beside parts of others."""
    assert [] == findings(below(layout.chroot, content), layout)


def test_below_a_chroot() -> None:
    """Pulsar below a chroot that was forgotten is one finding, with the places and the setting."""
    expected = Finding(
        "the tree has no /managed-ledgers, no cluster in /admin/clusters and no /ledgers, but it has "
        "/pulsar/managed-ledgers, /pulsar/admin/clusters and /pulsar/ledgers",
        "Append the chroot /pulsar to ZOOKEEPER_SERVERS (backup.chroot)",
        "Append the chroot /pulsar to ZOOKEEPER_SERVERS (restore.chroot)",
    )
    assert [expected] == findings(below("/pulsar", USED))
    assert [expected] == findings(below("/pulsar", NEW))


def test_new_pulsar_below_a_chroot() -> None:
    """A new Pulsar, which has no managed ledgers yet, is found below a chroot, too."""
    (found,) = findings(below("/pulsar", CLUSTER | LEDGERS))
    here, there = "no cluster in /admin/clusters and no /ledgers", "/pulsar/admin/clusters and /pulsar/ledgers"
    assert f"the tree has {here}, but it has {there}" == found.what
    assert "Append the chroot /pulsar to ZOOKEEPER_SERVERS (backup.chroot)" == found.at_backup


@pytest.mark.parametrize(
    ("content", "layout", "expected"),
    [
        pytest.param(
            below("/a/b", USED), Layout("/a"), "Set the chroot in ZOOKEEPER_SERVERS to /a/b (backup.chroot)", id="deep"
        ),
        pytest.param(USED, Layout("/a"), "Remove the chroot from ZOOKEEPER_SERVERS (backup.chroot)", id="no chroot"),
        pytest.param(USED, Layout("", "/own"), "Set MANAGED_LEDGER_PATH to /managed-ledgers", id="path"),
        pytest.param(
            {**NEW, "/own/public/default/persistent/t1": TOPIC["/managed-ledgers/public/default/persistent/t1"]},
            None,
            "Set MANAGED_LEDGER_PATH to /own",
            id="path of another name",
        ),
        pytest.param(
            below("/pulsar", USED),
            Layout("", "/pulsar/managed-ledgers"),
            "Append the chroot /pulsar to ZOOKEEPER_SERVERS (backup.chroot) and set MANAGED_LEDGER_PATH to "
            "/managed-ledgers",
            id="chroot in the path",
        ),
        pytest.param(
            below("/pulsar", USED),
            Layout("", "/pulsar"),
            "Append the chroot /pulsar to ZOOKEEPER_SERVERS (backup.chroot) and set MANAGED_LEDGER_PATH to "
            "/managed-ledgers",
            id="chroot as the path",
        ),
        pytest.param(
            below("/a", USED) | below("/b", USED),
            None,
            "Set the chroot in ZOOKEEPER_SERVERS to that of your Pulsar, such as /a, and back up each Pulsar with a "
            "BACKUP_PREFIX of its own",
            id="several",
        ),
        pytest.param(
            {**TOPIC, **CLUSTER, **POLICIES, **below("/bookkeeper", LEDGERS)},
            None,
            "Adapt the others by hand, because a restore adapts only /ledgers",
            id="ledgers elsewhere",
        ),
        pytest.param(
            {**TOPIC, **LEDGERS, **below("/config", CLUSTER)},
            None,
            "Adapt the others by hand, because a restore adapts only /admin/clusters",
            id="configuration elsewhere",
        ),
    ],
)
def test_elsewhere(content: Mapping[str, bytes], layout: Layout | None, expected: str) -> None:
    """What is elsewhere than expected is one finding, with the setting to change."""
    assert [expected] == [finding.at_backup for finding in findings(content, layout)]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ({}, ["the tree has no Pulsar in it"]),
        ({"/loadbalance/brokers": b"", "/schemas/public/default/t": b""}, ["the tree has no Pulsar in it"]),
        (LEDGERS, ["the tree has no /managed-ledgers", "the tree has no cluster in /admin/clusters"]),
        (CLUSTER | POLICIES, ["the tree has no /managed-ledgers", "the tree has no /ledgers"]),
        (TOPIC | LEDGERS, ["the tree has no cluster in /admin/clusters"]),
        (USED | {"/managed-ledgers": b""}, []),
        (TOPIC | CLUSTER | LEDGERS, ["the tree has topics in /managed-ledgers, but no namespace in /admin/policies"]),
        (
            {**NEW, "/managed-ledgers/t/topic": b"x"},
            ["znodes below /managed-ledgers have data, but none of them is a topic"],
        ),
        (
            USED | below("/b", USED),
            ["the tree has topics in /b/managed-ledgers, too, but a restore adapts only those in /managed-ledgers"],
        ),
        (
            NEW | below("/b", USED),
            ["the tree has no topic in /managed-ledgers, but it has /b/managed-ledgers"],
        ),
    ],
)
def test_partial(content: Mapping[str, bytes], expected: list[str]) -> None:
    """Each part that is missing is a finding, and so is another Pulsar beside this one."""
    assert expected == whats(content)


@pytest.mark.parametrize("layout", [Layout(), Layout("/pulsar"), Layout("/pulsar", "/own")])
def test_data_of_no_topic(layout: Layout) -> None:
    """Data beside the topics that is neither a topic's nor a cursor's is a finding, which names the first paths."""
    root = "/managed-ledgers/public/default"
    beside = {f"{root}/other/t{n}": ledgers((n, False)) for n in range(30)}
    moved = {layout.absolute(path): data for path, data in {**USED, **beside}.items()}
    here = f"{layout.chroot}{layout.managed_ledger_path}"
    first = [f"{here}/public/default/other/t{n}" for n in (0, 1, 10, 11, 12, 13)]
    (found,) = findings(moved, layout)
    expected = f"the tree has data below {here} that belongs to no topic and no subscription, at "
    assert f"{expected}{', '.join(first)} and 24 more" == found.what


@pytest.mark.parametrize(
    "path",
    [
        "/managed-ledgers/public",
        "/managed-ledgers/public/default",
        "/managed-ledgers/public/default/persistent",
        "/managed-ledgers/public/default/non-persistent/t",
        "/managed-ledgers/public/default/segment/t",
        "/managed-ledgers/a/b/c/d/e/f/g/h",
    ],
)
def test_empty_znodes_are_harmless(path: str) -> None:
    """Znodes without data are parents of topics, or what Pulsar leaves of them, and not a finding."""
    assert [] == findings({**USED, path: b""})


@pytest.mark.parametrize(
    "names", ["public", "public/default/x", "public/default/segment/t", "public/default/persistent/t1/sub/x"]
)
def test_data_at_any_depth(names: str) -> None:
    """Data counts above topics, beside them and below cursors."""
    path = f"/managed-ledgers/{names}"
    (found,) = findings({**USED, path: b"x"})
    assert found.what.endswith(f"at {path}")


def test_nothing_below_a_chroot() -> None:
    """If there is nothing below the chroot, the finding names the chroot."""
    assert ["the tree has no Pulsar in it below /pulsar"] == whats({"/pulsar": b""}, Layout("/pulsar"))


@pytest.mark.parametrize(
    ("layout", "long_ids", "expected"),
    [
        (b"2\nx.HierarchicalLedgerManagerFactory:1", True, []),
        (b"2\nx.LegacyHierarchicalLedgerManagerFactory:1", False, []),
        (b"2\nx.FlatLedgerManagerFactory:1", False, []),
        (
            b"2\nx.MSLedgerManagerFactory:1",
            False,
            ["/a/ledgers/LAYOUT names MSLedgerManagerFactory, so it is not known where new ledger ids come from"],
        ),
        (b"?", False, ["/a/ledgers/LAYOUT is damaged, so it is not known where new ledger ids come from"]),
        *[
            (
                b"2\nx.%sLedgerManagerFactory:1" % manager,
                True,
                ["new ledger ids need more than 31 bits, which BookKeeper's ledger manager does not give out"],
            )
            for manager in (b"LegacyHierarchical", b"Flat")
        ],
    ],
)
def test_ledger_manager(layout: bytes, expected: list[str], *, long_ids: bool) -> None:
    """A ledger manager whose id counter cannot be raised is a finding."""
    content = below("/a", {**USED, "/ledgers/LAYOUT": layout})
    assert expected == [finding.what for finding in findings(content, Layout("/a"), long_ids=long_ids)]


@PATIENT
@given(
    st.lists(st.sampled_from([*USED, "/managed-ledgers"]), unique=True),
    st.lists(st.sampled_from([*USED, "/managed-ledgers"]), unique=True),
    st.integers(0, 30),
    st.sampled_from([Layout(), Layout("/pulsar"), Layout("", "/own"), Layout("", "/pulsar/managed-ledgers")]),
)
def test_no_part_is_missed_in_silence(here: list[str], there: list[str], copies: int, layout: Layout) -> None:
    """Whatever parts are here and elsewhere: none is missing without a finding, and each finding is one sentence."""
    parts = {**USED, "/managed-ledgers": b""}
    content = {f"{layout.chroot}{path}": parts[path] for path in here}
    content |= {f"{layout.chroot}/p{n}{path}": parts[path] for n in range(copies) for path in there}
    result = findings(content, layout)
    expected_here = set(here) if layout.managed_ledger_path == "/managed-ledgers" else set(here) - {*TOPIC}
    other_topics = TOPIC.keys() & ({*here} - expected_here | ({*there} if copies else set()))
    assert result or {*CLUSTER, *LEDGERS} <= expected_here
    assert result or not other_topics
    for text in [text for finding in result for text in vars(finding).values()]:
        assert re.fullmatch(r"[^:;\n]+[^:;\n.]", text)
        assert len(text) < 700
