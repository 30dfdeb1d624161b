"""ACLs at the zxid of a cut, held against the history of a model server."""

import pytest

from metadata_tool.zookeeper.errors import ZnodeUnreadable
from support.model import START, Captured, captured

SEEDS = range(300)


def wrong(done: Captured, unverified: set[bytes]) -> set[bytes]:
    """Znodes whose captured ACL is not that at the zxid of the cut, though it is not reported as unverified."""
    tree = done.tree()
    return {
        path
        for path, znode in done.truth().items()
        if not znode.stat.ephemeral_owner
        and path not in unverified
        and (znode.acl, znode.stat.aversion) != (tree[path].acl, tree[path].stat.aversion)
    }


def test_verified_acls() -> None:
    """Every ACL that is not reported as unverified is that at the zxid of the cut."""
    expected: set[bytes] = set()
    reported = 0
    for seed in SEEDS:
        with captured(seed) as done:
            unverified = done.verify()
            reported += len(unverified)
            assert expected == wrong(done, unverified), seed
    assert reported > len(SEEDS) // 10


def test_second_cut() -> None:
    """The same holds after a second cut, which reads unverified znodes again."""
    expected: set[bytes] = set()
    cuts = 0
    for seed in SEEDS:
        with captured(seed, writes=100) as done:
            first, unverified = done.cut.zxid, done.verify()
            if unverified:
                done.cut_again(unverified)
                cuts += 1
                assert expected == wrong(done, done.verify(first)), seed
    assert cuts > len(SEEDS) // 10


def test_hidden_change() -> None:
    """A znode that changed without an event is refused, because this login cannot see all of the tree."""
    refused = 0
    for seed in SEEDS[:50]:
        with captured(seed) as done:
            done.server.stop_writing()
            tree, walked = done.server.tree, done.server.walked
            unchanged = sorted(path for path in walked if tree.get(path) == walked[path] and path not in done.overlay)
            if unchanged and done.cut.last_unannounced_zxid > START:
                done.server.change_unseen(unchanged[0])
                with pytest.raises(ZnodeUnreadable, match="changed without a watch event"):
                    done.verify()
                refused += 1
    assert refused
