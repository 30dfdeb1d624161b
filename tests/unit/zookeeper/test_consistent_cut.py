"""A cut under every kind of interleaving, held against the history of a model server."""

from metadata_tool.zookeeper.stat import Stat
from support.model import START, Captured, Znode, captured

SEEDS = range(300)


def without_acl(znode: Znode) -> tuple[bytes, Stat]:
    """All that has events."""
    return znode.data, znode.stat._replace(aversion=0)


def acl(znode: Znode) -> tuple[bytes, int]:
    """The ACL and its version. The ACL of an ephemeral is not captured."""
    return b"" if znode.stat.ephemeral_owner else znode.acl, znode.stat.aversion


def test_data_and_stats() -> None:
    """Whatever is written meanwhile, data, stats and structure are those at the zxid of the cut."""
    for seed in SEEDS:
        with captured(seed) as done:
            expected = {path: without_acl(znode) for path, znode in done.truth().items()}
            assert expected == {path: without_acl(znode) for path, znode in done.tree().items()}, seed


def test_growth() -> None:
    """Creates minus deletes are those up to the zxid of the cut."""
    for seed in SEEDS:
        with captured(seed) as done:
            assert len(done.truth()) - len(done.server.history[START]) == done.cut.growth, seed


def test_last_unannounced_zxid() -> None:
    """The last zxid without an event is at least that of the last setACL before the cut."""
    for seed in SEEDS:
        with captured(seed) as done:
            assert last_set_acl(done) <= done.cut.last_unannounced_zxid, seed


def last_set_acl(done: Captured) -> int:
    """The zxid of the last setACL up to the cut."""
    history = done.server.history
    changed = [
        zxid
        for zxid in range(START + 1, done.cut.zxid + 1)
        for path, znode in history[zxid].items()
        if path in history[zxid - 1] and history[zxid - 1][path].stat.aversion + 1 == znode.stat.aversion
    ]
    return max(changed, default=START)


def test_acls_without_doubt() -> None:
    """The ACL of a znode that was read at or after the last zxid without an event is that at the zxid of the cut."""
    checked = 0
    for seed in SEEDS:
        with captured(seed) as done:
            truth, tree = done.truth(), done.tree()
            for path, entry in done.overlay.live():
                if entry.zxid >= done.cut.last_unannounced_zxid and path not in done.cut.doubtful:
                    assert acl(truth[path]) == acl(tree[path]), (seed, path)
                    checked += 1
    assert checked > len(SEEDS)


def test_something_changes() -> None:
    """The model makes a cut hard: some need several rounds, some have doubtful ACLs, and late reads."""
    cuts = []
    for seed in SEEDS:
        with captured(seed) as done:
            late = any(entry.zxid > done.cut.zxid for _, entry in done.overlay.live())
            cuts.append((done.cut.rounds > 1, bool(done.cut.doubtful), late))
    few = len(SEEDS) // 20
    assert all(sum(column) > few for column in zip(*cuts, strict=True)), [sum(c) for c in zip(*cuts, strict=True)]
