"""Whether a backup continues the one before it."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metadata_tool.continuity import Tree, Verdict, judge
from metadata_tool.identity import Creation, Identity, Restored
from support.trees import PATIENT, manifest_of

OWN = "s3a://bucket/pulsar-1.tar.gz"
FOREIGN = "s3a://other/pulsar-1.tar.gz"
CREATED = {"/admin": Creation(7, 1000), "/ledgers": Creation(5, 900)}
IDENTITY = Identity("0f5e", ("demo",), CREATED)
BEFORE = Tree("pulsar-1.tar.gz", IDENTITY, 0x100, 200, 4000)

counts = st.integers(0, 1 << 40)
creations = st.builds(Creation, counts, counts)
restores = st.builds(Restored, st.sampled_from(["1", "2"]), st.sampled_from([OWN, FOREIGN]), counts)
identities = st.builds(
    Identity,
    st.sampled_from(["", "a", "b"]),
    st.lists(st.sampled_from("xyz"), unique=True).map(tuple),
    st.dictionaries(st.sampled_from(["/admin", "/ledgers", "/chroot"]), creations),
    st.none() | restores,
)
trees = st.builds(Tree, st.just("pulsar-1.tar.gz"), identities, counts, counts, counts)
fractions = st.floats(0, 1)


def is_own(address: str) -> bool:
    """Whether an address is that of a backup of the series."""
    return address == OWN


def judged(now: Tree, before: Tree | None = BEFORE, max_shrink: float = 0.5) -> Verdict:
    """The verdict on a tree."""
    return judge(before, now, is_own, max_shrink)


def later(**changes: Any) -> Tree:
    """A tree that continues the first one, except for the changes."""
    return replace(BEFORE, zxid=0x101, **changes)


def of(**changes: Any) -> Tree:
    """A later tree with another identity."""
    return later(identity=replace(IDENTITY, **changes))


@pytest.mark.parametrize(
    "now",
    [
        later(),
        later(nodes=100, data_bytes=2000),
        later(nodes=10_000, data_bytes=1 << 40),
        replace(BEFORE, zxid=0x2_0000_0001),
        BEFORE,
        of(clusters=("demo", "remote")),
        of(instance_id="", clusters=(), created={}),
        of(created=CREATED | {"/pulsar": Creation(1, 1)}),
    ],
)
def test_sound(now: Tree) -> None:
    """A tree of the same cluster, later, and at least half as large is sound. So is the same tree without a change."""
    assert Verdict() == judged(now)


@pytest.mark.parametrize(
    ("now", "doubt"),
    [
        (of(instance_id="77aa"), "BookKeeper's instance id is 77aa instead of 0f5e"),
        (of(clusters=("other",)), "its clusters are other instead of demo"),
        (of(created={"/ledgers": Creation(5, 901)}), "/ledgers was created another time"),
        (of(created={"/admin": Creation(8, 1000)}), "/admin was created another time"),
        (of(created=dict.fromkeys(CREATED, Creation(1, 1))), "/admin and /ledgers were created another time"),
        (replace(BEFORE, zxid=0xFF), "its zxid 0xff is earlier than 0x100"),
        (replace(BEFORE, nodes=201), "its zxid is 0x100 as before, but the tree is another"),
        (replace(BEFORE, data_bytes=4001), "its zxid is 0x100 as before, but the tree is another"),
        (later(nodes=99), "it has 99 znodes instead of 200"),
        (later(data_bytes=1999), "it has 1999 bytes instead of 4000"),
        (of(restored=Restored("1", FOREIGN, 9)), f"the ensemble was restored from {FOREIGN}, which is not one of"),
    ],
)
def test_suspect(now: Tree, doubt: str) -> None:
    """Each difference is one reason."""
    (reason,) = judged(now).doubts
    assert reason.startswith(doubt)


def test_all_reasons_are_told() -> None:
    """An ensemble that came up empty is too small, earlier, and without what it had. Absent parts are no reason."""
    empty = Tree("pulsar-2.tar.gz", Identity(), 3, 4, 0)
    expected = (
        "its zxid 0x3 is earlier than 0x100",
        "it has 4 znodes instead of 200",
        "it has 0 bytes instead of 4000",
    )
    assert expected == judged(empty).doubts


@pytest.mark.parametrize(("max_shrink", "nodes"), [(0.0, 200), (0.1, 180), (0.5, 100), (0.9, 20), (1.0, 0)])
def test_max_shrink(max_shrink: float, nodes: int) -> None:
    """A tree may lose this fraction of its znodes, and not one znode more."""
    assert () == judged(later(nodes=nodes), max_shrink=max_shrink).doubts
    if nodes:
        assert 1 == len(judged(later(nodes=nodes - 1), max_shrink=max_shrink).doubts)


def test_many_clusters() -> None:
    """A message names a few clusters."""
    (reason,) = judged(of(clusters=tuple(f"c{number}" for number in range(9)))).doubts
    assert "its clusters are c0, c1, c2, c3, c4, … instead of demo" == reason


def test_restored() -> None:
    """A restored cluster may be smaller and have another name: it is sound, once."""
    restored = replace(IDENTITY, clusters=("new",), restored=Restored("2", OWN, 0x5_0000_0000))
    now = Tree("pulsar-2.tar.gz", restored, 0x5_0000_0009, 10, 100)
    assert Verdict(restored_from=OWN) == judged(now)
    assert Verdict() == judged(replace(now, zxid=now.zxid + 1), now)
    smaller = replace(now, zxid=now.zxid + 1, nodes=4)
    assert ("it has 4 znodes instead of 10",) == judged(smaller, now).doubts


def test_restored_again() -> None:
    """Another restore, of an older backup too, is sound again."""
    first = Tree("pulsar-2.tar.gz", replace(IDENTITY, restored=Restored("1", OWN, 0x5_0000_0000)), 0x5_0000_0009, 10, 9)
    second = replace(first, identity=replace(IDENTITY, restored=Restored("2", OWN, 0x4_0000_0000)), zxid=0x4_0000_0001)
    assert Verdict(restored_from=OWN) == judged(second, first)


@PATIENT
@given(trees, fractions)
def test_the_first_is_sound(now: Tree, max_shrink: float) -> None:
    """Without a predecessor, any tree is sound."""
    assert Verdict() == judged(now, None, max_shrink)


@PATIENT
@given(trees, counts, counts, counts, fractions)
def test_growth_is_sound(before: Tree, zxids: int, nodes: int, data: int, max_shrink: float) -> None:
    """A later tree of the same cluster that is not smaller is sound."""
    zxid, nodes, data = before.zxid + 1 + zxids, before.nodes + nodes, before.data_bytes + data
    assert Verdict() == judged(replace(before, zxid=zxid, nodes=nodes, data_bytes=data), before, max_shrink)


@PATIENT
@given(trees, trees, fractions)
def test_going_back_is_suspect(before: Tree, now: Tree, max_shrink: float) -> None:
    """Of two different trees without a restore between them, one at least is suspect after the other."""
    now = replace(now, identity=replace(now.identity, restored=before.identity.restored))
    same = (before.zxid, before.nodes, before.data_bytes) == (now.zxid, now.nodes, now.data_bytes)
    forth, back = judged(now, before, max_shrink), judged(before, now, max_shrink)
    assert same or forth.doubts or back.doubts


@PATIENT
@given(trees, trees, fractions)
def test_only_an_own_restore_excuses(before: Tree, now: Tree, max_shrink: float) -> None:
    """A restore is an excuse only if it is new and from a backup of the series, and then there is no doubt."""
    verdict, restored = judged(now, before, max_shrink), now.identity.restored
    excused = restored is not None and restored.point == OWN and restored != before.identity.restored
    assert excused == bool(verdict.restored_from)
    assert not (verdict.restored_from and verdict.doubts)


@PATIENT
@given(trees, trees)
def test_smaller_bounds_doubt_more(before: Tree, now: Tree) -> None:
    """A tree that is sound with a bound is sound with any wider one."""
    doubts = [len(judged(now, before, bound).doubts) for bound in (0.0, 0.25, 0.5, 1.0)]
    assert doubts == sorted(doubts, reverse=True)


@PATIENT
@given(identities)
def test_identity_round_trip(identity: Identity) -> None:
    """An identity is read from a manifest as it was written."""
    tree = Tree.of(manifest_of(b"", 3, identity=identity.to_json()))
    assert Tree("pulsar-1700000000123.tar.gz", identity, 0x5_0000_0064, 3, 10) == tree
