"""Which znodes belong to a capture."""

from dataclasses import dataclass

_SYSTEM = b"/zookeeper"


@dataclass(frozen=True)
class Scope:
    """All znodes, or those of a chroot (`/a/b`): at and below it, above it, and ZooKeeper's own below `/zookeeper`."""

    chroot: bytes = b""

    def includes(self, path: bytes) -> bool:
        """Whether a znode is captured."""
        if not self.chroot:
            return True
        inside = (path + b"/").startswith(self.chroot + b"/")
        above = self.chroot.startswith(path + b"/")
        system = (path + b"/").startswith(_SYSTEM + b"/")
        return inside or above or system

    def counts(self, path: bytes) -> bool:
        """Whether the server counts a znode as one below the capture's root."""
        return path.startswith(self.chroot + b"/")
