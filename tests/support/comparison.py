"""Reads a tree through kazoo's own calls, with none of the program's code, and compares two of them znode by znode."""

from collections.abc import Iterator
from dataclasses import astuple, dataclass, fields, replace
from typing import Any

from kazoo.client import KazooClient

CONFIG = "/zookeeper/config"
"""Each server writes this one from its own configuration."""
IDGEN = "/ledgers/idgen"
"""A restore raises the counter that its cversion is, and with it its pzxid."""
MARKER = "/metadata-backup"
"""A restore leaves it."""
_WINDOW = 1000


@dataclass(frozen=True)
class Znode:
    """All that a backup keeps of a znode. `cversion` counts creates, as stored: the next sequential name."""

    data: bytes | None
    acl: tuple[tuple[int, str, str], ...]
    version: int
    aversion: int
    cversion: int
    czxid: int
    mzxid: int
    pzxid: int
    ctime: int
    mtime: int


Tree = dict[str, Znode]


def read_tree(client: KazooClient) -> Tree:
    """Every persistent znode by its path."""
    tree: Tree = {}
    level = ["/"]
    while level:
        below: list[str] = []
        for start in range(0, len(level), _WINDOW):
            window = level[start : start + _WINDOW]
            replies = [(path, client.get_async(path), client.get_acls_async(path)) for path in window]
            parents = []
            for path, data_reply, acl_reply in replies:
                data, stat = data_reply.get()
                if not stat.ephemeralOwner:
                    tree[path] = _znode(data, stat, acl_reply.get()[0])
                if stat.numChildren:
                    parents.append((path, client.get_children_async(path)))
            for path, children_reply in parents:
                below += [f"{path.rstrip('/')}/{name}" for name in children_reply.get()]
        level = below
    return tree


def _znode(data: bytes | None, stat: Any, acls: Any) -> Znode:
    return Znode(
        data=data,
        acl=tuple(sorted((acl.perms, acl.id.scheme, acl.id.id) for acl in acls)),
        version=stat.version,
        aversion=stat.aversion,
        cversion=(stat.cversion + stat.numChildren) // 2,
        czxid=stat.czxid,
        mzxid=stat.mzxid,
        pzxid=stat.pzxid,
        ctime=stat.ctime,
        mtime=stat.mtime,
    )


def differences(expected: Tree, actual: Tree) -> Iterator[str]:
    """A line for each difference, without CONFIG, which each server has, and what a restore writes (MARKER, IDGEN)."""
    expected = _with_raised_counter(expected, actual)
    for path in sorted((expected.keys() | actual.keys()) - {CONFIG, MARKER}):
        if path not in actual:
            yield f"{path} is missing"
        elif path not in expected:
            yield f"{path} should not be there"
        elif expected[path] != actual[path]:
            pairs = zip(fields(Znode), astuple(expected[path]), astuple(actual[path]), strict=True)
            wrong = [f"{f.name} {_short(want)} became {_short(got)}" for f, want, got in pairs if want != got]
            yield f"{path}: {', '.join(wrong)}"


def _with_raised_counter(expected: Tree, actual: Tree) -> Tree:
    if IDGEN not in expected or IDGEN not in actual or actual[IDGEN].cversion < expected[IDGEN].cversion:
        return expected
    now = actual[IDGEN]
    return {**expected, IDGEN: replace(expected[IDGEN], cversion=now.cversion, pzxid=now.pzxid)}


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) < 60 else f"{text[:57]}..."
