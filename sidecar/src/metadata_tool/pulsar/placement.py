"""Finds where a tree has the parts of Pulsar's metadata, also below another chroot or at another path."""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

from metadata_tool.pulsar import codec
from metadata_tool.pulsar.ledger_layout import LedgerLayout
from metadata_tool.pulsar.limits import MAX_REPORTED
from metadata_tool.pulsar.paths import MANAGED_LEDGERS, OWN, Layout
from metadata_tool.pulsar.topics import place_of
from metadata_tool.pulsar.tree_facts import GLOBAL
from metadata_tool.zookeeper.snapshot import printable


class Part(StrEnum):
    """A part of Pulsar's metadata, as its path below the chroot."""

    MANAGED_LEDGERS = MANAGED_LEDGERS
    CLUSTERS = "/admin/clusters"
    LEDGERS = "/ledgers"


@dataclass
class Placement:
    """Where the parts are. Those at their expected paths have fields of their own, all others are in `elsewhere`."""

    managed_ledgers: bool = False
    """Whether the znode of the managed ledgers exists."""
    topics: bool = False
    unknown_data: bool = False
    """Whether the managed ledgers have data that belongs to no topic. Only if there are no topics before it."""
    clusters: bool = False
    """Whether there is a cluster."""
    namespaces: bool = False
    """Whether a namespace has policies."""
    ledgers: bool = False
    """Whether the root of BookKeeper's ledgers exists."""
    layout: LedgerLayout | None = None
    """The layout of the ledgers. None if there is no LAYOUT."""
    elsewhere: dict[str, Part] = field(default_factory=dict)
    """The first other paths that hold a part, up to a limit."""
    with_topics: set[str] = field(default_factory=set)
    """Those of them that hold a topic."""

    def others(self, part: Part) -> list[str]:
        """The other paths that hold this part."""
        return [path for path, found in self.elsewhere.items() if found is part]


_ADMIN = frozenset((b"clusters", b"policies", b"local-policies", b"partitioned-topics"))
_BOOKKEEPER = frozenset((b"LAYOUT", b"INSTANCEID", b"idgen", b"idgen-long", b"cookies", b"underreplication"))
"""Children that BookKeeper's root has, and a tenant or namespace called `ledgers` has not."""
_NO_PATH = b"//"
_OF_RESTORES = f"{OWN}/".encode()
_DOMAINS = {b"/persistent/": 0, b"/segment/": 1}
"""What paths of topics contain, and how many slashes follow."""

_Look = Callable[[bytes, bytes | None], None]
"""Takes a znode below a part: its path below it, and its data."""


class PlacementFinder:
    """Looks at a tree whose znodes come one by one, in tree order. It remembers a few paths, however large the tree is.

    What lies below a part is not searched for other parts: tenants, namespaces and topics may have any name.
    """

    def __init__(self, layout: Layout) -> None:
        self.placement = Placement()
        self.skip = _NO_PATH
        """Paths that start like this need not be added."""
        self._chroot = layout.chroot.encode()
        self._managed = self._chroot + layout.managed_ledger_path.encode()
        self._usual = self._managed.endswith(MANAGED_LEDGERS.encode())
        self._admin, self._ledgers = self._chroot + b"/admin", self._chroot + Part.LEDGERS.encode()
        self._inside = _NO_PATH
        self._look: _Look = _look_nowhere
        self._enter = {b"managed-ledgers": self._enter_managed_ledgers, b"ledgers": self._enter_ledgers}
        self._enter |= dict.fromkeys(_ADMIN, self._enter_admin)

    def add(self, path: bytes, data: bytes | None) -> None:
        """Look at the next znode."""
        if path.startswith(self.skip):
            return
        if path.startswith(self._inside):
            self._look(path[len(self._inside) :], data)
        elif path == self._managed:
            self._enter_own_managed_ledgers(path)
        elif enter := self._enter.get(path[path.rfind(b"/") + 1 :]):
            if not self._is_above_own(path) and not path.startswith(_OF_RESTORES):
                enter(path)
        elif any(domain in path for domain in _DOMAINS):
            self._add_topic(path, data)

    def _is_above_own(self, path: bytes) -> bool:
        """Whether this is the chroot, or one of the znodes above it."""
        return (self._chroot + b"/").startswith(path + b"/")

    def _inside_of(self, path: bytes, look: _Look) -> None:
        self._inside, self._look = path + b"/", look

    def _enter_own_managed_ledgers(self, path: bytes) -> None:
        self.placement.managed_ledgers = True
        if self._usual:  # a path of another name is a mistake, and may be that of a chroot
            self._inside_of(path, self._look_at_own_topics)

    def _enter_managed_ledgers(self, path: bytes) -> None:
        found = self._note(path, Part.MANAGED_LEDGERS)

        def look(below: bytes, _data: bytes | None) -> None:
            if _is_topic(below):
                self._note_topics(found)

        self._inside_of(path, look)

    def _look_at_own_topics(self, below: bytes, data: bytes | None) -> None:
        if _is_topic(below):
            self.placement.topics = True
            self.skip = self._inside
        elif data:
            self.placement.unknown_data = True

    def _enter_ledgers(self, path: bytes) -> None:
        own = path == self._ledgers
        self.placement.ledgers |= own

        def look(below: bytes, data: bytes | None) -> None:
            child = below.partition(b"/")[0]
            if own and below == b"LAYOUT":
                self.placement.layout = LedgerLayout.parse(data)
            elif not own and child in _BOOKKEEPER:
                self._note(path, Part.LEDGERS)
            self.skip = self._inside + child + b"/"

        self._inside_of(path, look)

    def _enter_admin(self, path: bytes) -> None:
        parent, _, name = path.rpartition(b"/")
        if not parent.endswith(b"/admin"):
            return
        own = parent == self._admin

        def look_at_clusters(below: bytes, _data: bytes | None) -> None:
            if b"/" in below or below == GLOBAL.encode():
                return
            if own:
                self.placement.clusters = True
            else:
                self._note(path, Part.CLUSTERS)
            self.skip = self._inside

        def look_at_policies(below: bytes, data: bytes | None) -> None:
            if own and b"/" in below and data:
                self.placement.namespaces = True
                self.skip = self._inside

        looks = {b"clusters": look_at_clusters, b"policies": look_at_policies}
        self._inside_of(path, looks.get(name, _look_nowhere))

    def _add_topic(self, path: bytes, data: bytes | None) -> None:
        """Take a znode with the path of a topic below a path without a known name."""
        if not self._usual and path.startswith(self._managed + b"/"):
            self.placement.topics |= _is_topic(path[len(self._managed) + 1 :])
            return
        for domain, slashes in _DOMAINS.items():
            root, found, topic = path.partition(domain)
            root = root.rpartition(b"/")[0].rpartition(b"/")[0]  # without tenant and namespace
            if found and topic.count(b"/") == slashes and not self._is_above_own(root) and _is_managed_ledger(data):
                self._inside_of(root, _look_nowhere)
                self._note_topics(self._note(root, Part.MANAGED_LEDGERS))
                return

    def _note(self, path: bytes, part: Part) -> str:
        found = printable(path)
        if len(self.placement.elsewhere) < MAX_REPORTED:
            self.placement.elsewhere[found] = part
        return found

    def _note_topics(self, path: str) -> None:
        if path in self.placement.elsewhere:
            self.placement.with_topics.add(path)
        self.skip = self._inside


def _look_nowhere(_below: bytes, _data: bytes | None) -> None:
    """Ignore a znode."""


def _is_topic(below: bytes) -> bool:
    """Whether a path below the managed ledgers is that of a topic or of its cursor."""
    return place_of(below.split(b"/")) is not None


def _is_managed_ledger(data: bytes | None) -> bool:
    """Whether data can be decoded as that of a topic with a ledger."""
    try:
        return bool(data) and bool(codec.require_complete(codec.managed_ledger(data or b"")).ledgerInfo)
    except codec.UndecodableError:
        return False
