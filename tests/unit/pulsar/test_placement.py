"""Where a tree has the parts of Pulsar's metadata."""

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metadata_tool.pulsar.ledger_layout import Ids, LedgerLayout
from metadata_tool.pulsar.limits import MAX_REPORTED
from metadata_tool.pulsar.paths import Layout
from metadata_tool.pulsar.placement import Part, Placement, PlacementFinder
from support.metadata import as_json, ledgers, tree
from support.trees import PATIENT, names

LAYOUT = b"2\norg.apache.bookkeeper.meta.HierarchicalLedgerManagerFactory:1"
PULSAR = {
    "/admin/clusters/c1": as_json(),
    "/admin/policies/public/default": as_json(),
    "/ledgers/00/0000/L0010": b"metadata",
    "/ledgers/LAYOUT": LAYOUT,
    "/ledgers/idgen": b"",
    "/managed-ledgers/public/default/persistent/t1": ledgers((10, True), (11, False)),
}
"""A small Pulsar with all parts."""
WHOLE = Placement(
    managed_ledgers=True,
    topics=True,
    clusters=True,
    namespaces=True,
    ledgers=True,
    layout=LedgerLayout("HierarchicalLedgerManagerFactory", Ids.SHORT_THEN_LONG),
)


def found(content: Mapping[str, bytes], layout: Layout | None = None) -> Placement:
    """What is found in a tree with this content, in which paths that may be skipped are skipped."""
    finder = PlacementFinder(layout or Layout())
    for node in tree(content):
        if not node.path.startswith(finder.skip):
            finder.add(node.path, node.data)
    return finder.placement


def below(chroot: str, content: Mapping[str, bytes]) -> dict[str, bytes]:
    """The same content below a chroot."""
    return {chroot + path: data for path, data in content.items()}


def pulsar_at(chroot: str) -> dict[str, Part]:
    """The parts of a Pulsar that is somewhere else than expected."""
    return {f"{chroot}{part}": part for part in (Part.CLUSTERS, Part.LEDGERS, Part.MANAGED_LEDGERS)}


chroots = st.lists(names | st.sampled_from(["pulsar", "admin", "ledgers", "managed-ledgers"]), max_size=3).map(
    lambda found: "".join(f"/{name}" for name in found)
)
plain_chroots = st.lists(st.text("abcd", min_size=1), min_size=1, max_size=3).map("/".join).map("/{}".format)


@PATIENT
@given(chroots)
def test_where_it_is_expected(chroot: str) -> None:
    """A Pulsar below the configured chroot is found there, whatever the chroot is called, and nowhere else."""
    assert WHOLE == found(below(chroot, PULSAR), Layout(chroot))


@PATIENT
@given(plain_chroots)
def test_below_another_chroot(chroot: str) -> None:
    """A Pulsar below a chroot that is not configured is found elsewhere, with all its parts."""
    placement = found(below(chroot, PULSAR))
    expected = Placement(elsewhere=pulsar_at(chroot), with_topics={f"{chroot}/managed-ledgers"})
    assert expected == placement


@PATIENT
@given(st.lists(names, min_size=3, max_size=3))
def test_names_of_tenants_and_topics(given_names: list[str]) -> None:
    """Tenants, namespaces and topics may have any name, also those of the parts, and are never taken for parts."""
    tenant, namespace, topic = given_names
    check_names(tenant, namespace, topic)


@pytest.mark.parametrize("name", ["managed-ledgers", "ledgers", "clusters", "admin", "policies", "idgen", "persistent"])
def test_names_of_parts(name: str) -> None:
    """The same for the names of the parts."""
    check_names(name, name, name)


def check_names(tenant: str, namespace: str, topic: str) -> None:
    """Check that a Pulsar with these names has its parts where they are, and none elsewhere."""
    more = {
        f"/managed-ledgers/{tenant}/{namespace}/persistent/{topic}": ledgers((3, True)),
        f"/managed-ledgers/{tenant}/{namespace}/persistent/{topic}/{topic}": b"",
        f"/admin/policies/{tenant}/{namespace}": as_json(),
        f"/admin/clusters/{tenant}/failureDomain/{namespace}": b"",
        f"/admin/local-policies/{tenant}/{namespace}": b"",
        f"/admin/partitioned-topics/{tenant}/{namespace}/persistent/{topic}": b"",
        f"/ledgers/cookies/{tenant}": b"",
    }
    assert {} == found(PULSAR | more).elsewhere


@pytest.mark.parametrize(
    ("gone", "changes"),
    [
        ("/managed-ledgers/", {"managed_ledgers": False, "topics": False}),
        ("/managed-ledgers/public/", {"topics": False}),
        ("/admin/clusters/", {"clusters": False}),
        ("/admin/policies/", {"namespaces": False}),
        ("/ledgers/", {"ledgers": False, "layout": None}),
        ("/ledgers/LAYOUT", {"layout": None}),
    ],
)
def test_missing_part(gone: str, changes: dict[str, bool]) -> None:
    """A part that is missing is not found, and the others are."""
    content = {path: data for path, data in PULSAR.items() if not path.startswith(gone)}
    content |= {"/managed-ledgers": b""} if gone == "/managed-ledgers/public/" else {}
    assert Placement(**{**vars(WHOLE), **changes}) == found(content)


@pytest.mark.parametrize(
    "path",
    ["/managed-ledgers", "/managed-ledgers/t/n/persistent", "/managed-ledgers/t/n/x/topic", "/managed-ledgers/t"],
)
def test_no_topic(path: str) -> None:
    """A path that is not that of a topic is none."""
    assert (True, False, False) == (
        found({path: b""}).managed_ledgers,
        found({path: b""}).topics,
        found({path: b""}).unknown_data,
    )


def test_data_of_no_topic() -> None:
    """Data below the managed ledgers that is not that of a topic is noted."""
    assert found({"/managed-ledgers/t/topic": ledgers((3, True))}).unknown_data


def test_v1_topic() -> None:
    """A topic with a V1 name is a topic."""
    assert found({"/managed-ledgers/prop/cluster/ns/persistent/t": b""}).topics


def test_segment() -> None:
    """A segment of a scalable topic is a topic, and the znode above it is none."""
    assert found({"/managed-ledgers/t/n/segment/a/0000-ffff-0": b""}).topics
    assert not found({"/managed-ledgers/t/n/segment/a": b""}).topics


def test_entry_global_is_no_cluster() -> None:
    """The entry `global`, which Pulsar itself makes, is not a cluster."""
    content = {"/admin/clusters/global": b"{}", "/a/admin/clusters/global": b"{}"}
    assert (False, {}) == (found(content).clusters, found(content).elsewhere)


@pytest.mark.parametrize("name", ["ledgers", "managed"])
def test_another_path_of_managed_ledgers(name: str) -> None:
    """Managed ledgers at a path of any name are found by a topic of theirs."""
    content = {f"/x/{name}/public/default/persistent/t1": ledgers((10, True)), "/managed-ledgers": b""}
    placement = found(content, Layout("", f"/x/{name}"))
    assert (True, True) == (placement.managed_ledgers, placement.topics)
    assert {"/managed-ledgers": Part.MANAGED_LEDGERS} == placement.elsewhere


@pytest.mark.parametrize("names", ["persistent/t", "segment/t/0000-ffff-"])
def test_unnamed_managed_ledgers(names: str) -> None:
    """Managed ledgers at a path that is not configured and has another name are found, too."""
    content = {f"/own/public/default/{names}1": ledgers((10, True)), f"/own/public/default/{names}2": b""}
    placement = found(content)
    assert ({"/own": Part.MANAGED_LEDGERS}, {"/own"}) == (placement.elsewhere, placement.with_topics)


@pytest.mark.parametrize("data", [b"", b"not a list of ledgers", ledgers()])
def test_similar_path_of_another_application(data: bytes) -> None:
    """A path like that of a topic belongs to another application if its data is not a list of ledgers."""
    assert {} == found({"/own/public/default/persistent/t1": data}).elsewhere


def test_path_of_a_chroot_as_that_of_managed_ledgers() -> None:
    """If the path of managed ledgers is set to the chroot, the parts below it are found all the same."""
    placement = found(below("/pulsar", PULSAR), Layout("", "/pulsar"))
    assert (True, False, pulsar_at("/pulsar")) == (placement.managed_ledgers, placement.topics, placement.elsewhere)


@pytest.mark.parametrize(
    "content",
    [
        {"/kafka/admin/delete_topics": b"", "/kafka/brokers/topics/ledgers": b""},
        {"/app/ledgers/2024": b"", "/app/clusters/one": b"", "/app/admin/users/clusters": b""},
        {"/loadbalance/brokers/b:8080": b"{}", "/schemas/public/default/t": b"", "/namespace/public/default": b""},
        {"/zookeeper/quota": b""},
        {},
    ],
)
def test_other_applications(content: dict[str, bytes]) -> None:
    """Znodes of other applications are not taken for parts."""
    assert Placement() == found(content)


def test_several_pulsars() -> None:
    """Several Pulsars below chroots are all named, up to a limit."""
    content = {path: data for n in range(9) for path, data in below(f"/p{n}", PULSAR).items()}
    placement = found(PULSAR | content)
    assert MAX_REPORTED == len(placement.elsewhere)
    assert [f"/p{n}/managed-ledgers" for n in range(6)] == placement.others(Part.MANAGED_LEDGERS)
    assert set(placement.others(Part.MANAGED_LEDGERS)) == placement.with_topics


def test_odd_names_fit_on_a_line() -> None:
    """A path with characters that cannot be printed is escaped."""
    assert {"/a\\nb/managed-ledgers": Part.MANAGED_LEDGERS} == found({"/a\nb/managed-ledgers": b""}).elsewhere


@PATIENT
@given(st.integers(0, 3), st.sampled_from(["", "/pulsar", "/a/b"]))
def test_skipping_changes_nothing(extra: int, chroot: str) -> None:
    """What is found does not depend on whether the caller skips what may be skipped."""
    content = below(chroot, PULSAR) | {f"/x{n}/managed-ledgers/t/n/persistent/t": b"" for n in range(extra)}
    finder = PlacementFinder(Layout())
    for node in tree(content):
        finder.add(node.path, node.data)
    assert found(content) == finder.placement


@pytest.mark.parametrize("tenant", ["managed-ledgers", "ledgers", "admin"])
def test_what_restores_leave_is_no_pulsar(tenant: str) -> None:
    """Names of tenants and namespaces that a restore leaves in the tree are not taken for another Pulsar."""
    held = {f"/metadata-backup/held/{tenant}/{namespace}": b"null" for namespace in ("clusters", "idgen", "cookies")}
    assert WHOLE == found(PULSAR | held)
