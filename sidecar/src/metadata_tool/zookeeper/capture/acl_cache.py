"""Caches the ACLs of the previous walk, because reading ACLs takes most of the time of a capture.

A znode whose ACL was never set (aversion 0) has the ACL of its create. A create is identified by path, zxid and time:
where all three are the same, it is the same create, even if the ensemble was rolled back or created again.
A setACL leaves no time behind, so the cache has no ACL of a znode that had one.

Without an answer about its ACL, the size of a znode is unknown. So the cache is dropped once its guesses are wrong too
often (CacheLimits).
"""

import logging
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from metadata_tool.zookeeper import stat
from metadata_tool.zookeeper.capture.acl_table import AclTable, ZnodeAcl
from metadata_tool.zookeeper.capture.spool import Spool
from metadata_tool.zookeeper.errors import SpoolDamaged
from metadata_tool.zookeeper.jute import INT, LONG
from metadata_tool.zookeeper.limits import CacheLimits
from metadata_tool.zookeeper.snapshot import AROUND_DATA, tail_of, tree_key

log = logging.getLogger(__name__)


_DEFAULT_LIMITS = CacheLimits()


class AclCache:
    """The ACLs of one walk, whose file is kept. It starts empty."""

    def __init__(self, directory: Path, limits: CacheLimits = _DEFAULT_LIMITS) -> None:
        """`directory` is where the file is kept, on the same disk as the captures. The caller removes it."""
        self._limits = limits
        self._file = directory / "known"
        self._pause = self._left_out = 0
        self._walk: Spool | None = None
        self._acls: dict[bytes, bytes] = {}
        self._mistakes = 0
        self._nodes: Iterator[tuple[bytes, bytes]] = iter(())
        self._path: bytes | None = None
        self._node = b""

    def learn(self, walk: Spool, table: AclTable) -> None:
        """Replace the content by the ACLs of this walk. It stays empty if the file of the walk cannot be kept."""
        self.forget()
        if self._left_out:
            self._left_out -= 1
            return
        try:
            self._walk = walk.kept(self._file)
        except OSError as error:
            log.warning("the ACLs of this capture are not kept for the next one: %s", error)
            return
        self._acls = {key: acl for acl, key in table.encoded_keys.items()}
        self._pause //= 2

    def forget(self) -> None:
        """Drop the content, and free the disk."""
        self._nodes, self._path = iter(()), None
        self._mistakes = 0
        if self._walk:
            self._walk.close()
            self._walk = None
        with suppress(OSError):
            self._file.unlink(missing_ok=True)

    def give_up(self) -> None:
        """Drop the content, because there is no room on disk, and stay empty for some captures.

        The pause doubles if the disk is full again right after it, so that a disk that is too small for both is left to
        the captures.
        """
        if self._left_out:
            return  # the cache is empty, so the disk is full without it
        self.forget()
        self._pause = self._left_out = min(max(2, 4 * self._pause), self._limits.longest_pause)
        log.warning("the disk is full, so the ACLs of the next captures are not kept (%d)", self._pause)

    @property
    def empty(self) -> bool:
        """Whether no walk is cached."""
        return self._walk is None

    def begin_level(self, depth: int) -> None:
        """Continue with this level of the tree. The root is level 0."""
        self._nodes = self._walk.level(depth) if self._walk else iter(())
        self._path, self._node = _UNREAD

    def acls(self, paths: Sequence[bytes]) -> list[ZnodeAcl | None]:
        """The cached ACLs of these paths, which are in tree order. None must be read."""
        try:
            return self._found(paths)
        except (OSError, SpoolDamaged) as error:
            log.warning("the ACLs of the previous capture cannot be read, so ZooKeeper is asked again: %s", error)
            self.forget()
            return [None] * len(paths)

    def judge(self, mistakes: int, growth: int) -> None:
        """Note how many ACLs of a reply were no longer valid, and its excess bytes. If too many, drop the cache."""
        self._mistakes += mistakes
        if self._mistakes > self._limits.mistakes:
            self._forget_for(f"{self._mistakes} znodes were created again")
        elif growth > self._limits.growth:
            self._forget_for("znodes have grown")

    def _forget_for(self, reason: str) -> None:
        if self._walk:
            log.info("the ACLs of the previous capture are no longer used: %s", reason)
            self.forget()

    def _found(self, paths: Sequence[bytes]) -> list[ZnodeAcl | None]:
        found: list[ZnodeAcl | None] = []
        skips = self._limits.skips
        for path in paths:
            if path != self._path and self._path is not None:
                skips = self._skip_to(tree_key(path), skips)
            if path == self._path:
                found.append(self._acl(len(path)))
                self._path, self._node = next(self._nodes, _NO_MORE)
            else:
                found.append(None)
        return found

    def _skip_to(self, wanted: bytes, skips: int) -> int:
        while skips and self._path is not None and tree_key(self._path) < wanted:
            self._path, self._node = next(self._nodes, _NO_MORE)
            skips -= 1
        return skips

    def _acl(self, path_size: int) -> ZnodeAcl | None:
        """The ACL of the current znode, None if it may have been set, or if the znode is not one of a client."""
        tail = tail_of(self._node)
        acl, stored = self._acls.get(tail[: LONG.size]), tail[LONG.size :]
        if acl is None or stored[stat.AFTER_CVERSION] != _NEVER_SET_NO_OWNER or stored[stat.CZXID] == _NOT_CREATED:
            return None
        (creates,) = INT.unpack(stored[stat.CVERSION])
        return ZnodeAcl(acl, stored[stat.SHARED], len(self._node) - path_size - AROUND_DATA, creates)


_NO_MORE: tuple[None, bytes] = (None, b"")
_UNREAD = (b"", b"")
"""The state before the first znode of a level: an empty path, and a znode without a cached ACL."""
_NOT_CREATED = bytes(8)
"""The czxid of znodes that every ensemble starts with: the root, and those below /zookeeper."""
_NEVER_SET_NO_OWNER = stat.NEVER_SET + stat.NO_OWNER
