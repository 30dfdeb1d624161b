"""A recovery as a whole, on any tree."""

import pytest
from hypothesis import given

from metadata_tool.pulsar.ids import MARGIN
from metadata_tool.pulsar.limits import MAX_REPORTED
from metadata_tool.pulsar.recovery_options import RecoveryOptions
from metadata_tool.pulsar.rules import Scope
from metadata_tool.zookeeper.snapshot import OPEN_ACL_KEY, Node, tree_key
from metadata_tool.zookeeper.stat import Stat
from support.metadata import NAMESPACE, ledgers, tree
from support.recovery import KEPT, LOST, POLICIES, TIME, ZXID, recover, recovered
from support.trees import PATIENT, trees


@PATIENT
@given(trees())
def test_any_tree_stays_a_tree(nodes: list[Node]) -> None:
    """Any recovered tree is in tree order, and has each znode once, after its parent."""
    for options in (LOST, KEPT):
        new, _ = recovered(nodes, options)
        keys = [tree_key(node.path) for node in new]
        assert sorted(set(keys)) == keys
        paths = {node.path for node in new}
        assert not [node.path for node in new[1:] if node.path.rpartition(b"/")[0] not in paths]


@pytest.mark.parametrize("name", ["a", "z"])
@pytest.mark.parametrize("scope", Scope)
def test_renamed_cluster_is_in_tree_order(scope: Scope, name: str) -> None:
    """The znodes of a renamed cluster are in tree order, whether its new name sorts before or after the old one."""
    new = recover(POLICIES, RecoveryOptions(scope, name, rename_cluster=True))
    assert sorted(new, key=lambda path: tree_key(path.encode())) == list(new)
    assert f"/admin/clusters/{name}/failureDomain" in new


@pytest.mark.parametrize("scope", Scope)
def test_old_name_of_a_cluster_is_gone(scope: Scope) -> None:
    """Of a renamed cluster nothing keeps the old name, and all that is below it has the new one."""
    content = {**POLICIES, "/admin/clusters/old/a/b": b"deep"}
    new = recover(content, RecoveryOptions(scope, "new", rename_cluster=True))
    expected = ["global", "new", "new/a", "new/a/b", "new/failureDomain"]
    root = "/admin/clusters/"
    assert expected == [path.removeprefix(root) for path in new if path.startswith(root)]
    assert b"deep" == new[f"{root}new/a/b"].data


def test_changes_are_counted() -> None:
    """The number of znodes that each rule has changed or removed is known."""
    ledger_znodes = dict.fromkeys(("/ledgers/00/0000/L0001", "/ledgers/01/0000/L0001", "/ledgers/LAYOUT"), b"")
    topics = {f"{NAMESPACE}/{name}": ledgers((number, True)) for number, name in enumerate("tuv")}
    _, changes = recovered(tree({**ledger_znodes, **topics}))
    assert {"ledgers": 2} == changes.removed
    assert {"topics": 3, "id counters": 1} == changes.changed


def test_reported_paths_are_limited() -> None:
    """Of many undecodable znodes the first are named."""
    bad = {f"{NAMESPACE}/{number:03}": b"\xff\xff" for number in range(MAX_REPORTED + 5)}
    _, changes = recovered(tree(bad))
    assert MAX_REPORTED + 5 == changes.undecodable_count
    assert list(bad)[:MAX_REPORTED] == [line.partition(":")[0] for line in changes.undecodable]


def test_changed_znodes_look_like_set() -> None:
    """A changed znode has the next version, and the zxid and time of the plan. Others keep theirs."""
    new = recover({f"{NAMESPACE}/t": ledgers((3, True)), "/other": b"x"})
    changed, other = Stat.unpack(new[f"{NAMESPACE}/t"].stat), Stat.unpack(new["/other"].stat)
    assert (1, ZXID, TIME, 1) == (changed.version, changed.mzxid, changed.mtime, changed.czxid)
    assert (0, 1, 1) == (other.version, other.mzxid, other.mtime)


def test_undecodable_is_left_unchanged() -> None:
    """A znode that cannot be decoded stays unchanged and is reported. The recovery continues."""
    nodes = tree({f"{NAMESPACE}/bad": b"\xff\xff", f"{NAMESPACE}/t": ledgers((3, True)), f"{NAMESPACE}/t/bad": b""})
    new, changes = recovered(nodes)
    saved, kept = ({node.path.decode(): node for node in each} for each in (nodes, new))
    assert saved[f"{NAMESPACE}/bad"] == kept[f"{NAMESPACE}/bad"]
    assert saved[f"{NAMESPACE}/t"] != kept[f"{NAMESPACE}/t"]
    expected = [
        f"{NAMESPACE}/bad: not a ManagedLedgerInfo",
        f"{NAMESPACE}/t/bad: not a ManagedCursorInfo, a required field is missing",
    ]
    assert (2, expected) == (changes.undecodable_count, changes.undecodable)


def test_list_without_an_id_is_left_unchanged() -> None:
    """A list of ledgers in which one has no id cannot be decoded, even if the other ledgers can."""
    odd = ledgers((7, True)) + b"\x0a\x02\x10\x01"  # a ledger that has entries, but no id
    nodes = tree({f"{NAMESPACE}/odd": odd})
    new, changes = recovered(nodes)
    assert nodes == new
    assert (1, 0) == (changes.undecodable_count, sum(changes.changed.values()))


def new_znode(path: str, cversion: int = 0) -> Node:
    """A znode that a recovery has created, of which this many children were created and deleted."""
    return Node(path.encode(), b"", OPEN_ACL_KEY, Stat(ZXID, ZXID, TIME, TIME, 0, cversion, 0, 0, ZXID).pack())


@pytest.mark.parametrize(
    ("ledger", "expected"),
    [
        (5, [new_znode("/ledgers/idgen", 5 + MARGIN + 2)]),
        (
            (1 << 32) + 5,
            [new_znode("/ledgers/idgen-long"), new_znode("/ledgers/idgen-long/HOB-0000000001", 5 + MARGIN + 2)],
        ),
    ],
)
def test_created_counters(ledger: int, expected: list[Node]) -> None:
    """A counter is created with the parent that it needs, empty, open to all, and as if children had come and gone."""
    new = recover({"/ledgers/LAYOUT": b"", f"{NAMESPACE}/t": ledgers((ledger, True))})
    assert expected == [node for path, node in new.items() if path.startswith("/ledgers/idgen")]


def test_missing_counter_is_created() -> None:
    """A BookKeeper without an id counter gets one, in tree order."""
    new = recover({"/ledgers/LAYOUT": b"", f"{NAMESPACE}/t": ledgers((5, True))})
    assert 5 + MARGIN + 2 == Stat.unpack(new["/ledgers/idgen"].stat).cversion
    assert sorted(new, key=lambda path: tree_key(path.encode())) == list(new)


def test_no_counter_without_bookkeeper() -> None:
    """If BookKeeper keeps its metadata elsewhere, no id counter is created."""
    assert "/ledgers" not in recover({f"{NAMESPACE}/t": ledgers((5, True))})


def test_no_counter_below_a_similar_name() -> None:
    """A znode whose name only starts like BookKeeper's root gets no id counter."""
    assert "/ledgers/idgen" not in recover({"/ledgers2/LAYOUT": b""})


@pytest.mark.parametrize(
    "content",
    [
        {"/ledgers/00/0000/L99999999999999999999": b""},
        {f"/ledgers/00/0000/L{'9' * 5000}": b""},
        {f"{NAMESPACE}/odd": ledgers(((1 << 63) - 1, True))},
    ],
)
def test_impossible_id_is_ignored(content: dict[str, bytes]) -> None:
    """An id that no counter can have allocated does not raise the counter."""
    new = recover({"/ledgers/idgen": b"", f"{NAMESPACE}/t": ledgers((5, True)), **content})
    assert 5 + MARGIN + 2 == Stat.unpack(new["/ledgers/idgen"].stat).cversion


def test_counter_with_too_many_digits_is_ignored() -> None:
    """A counter that BookKeeper cannot have created stays unchanged."""
    path = f"/ledgers/idgen-long/HOB-{'9' * 5000}"
    assert path in recover({"/ledgers/idgen": b"", path: b"", f"{NAMESPACE}/t": ledgers((5, True))})
