"""Why a restore with lost bookies cannot adapt a tree, as messages. A part that is not found may be elsewhere."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from metadata_tool.pulsar.ledger_layout import LAYOUT, Ids
from metadata_tool.pulsar.paths import Layout
from metadata_tool.pulsar.placement import Part, Placement
from metadata_tool.pulsar.unknown import UnknownZnodes

_IN_ANOTHER = "If Pulsar keeps it in another ZooKeeper, back up that one, too"
_RAISE = "raise its id counter by hand before the brokers start"
_NAMED = 6
"""Paths that a sentence names."""


@dataclass(frozen=True)
class Finding:
    """What is wrong with a tree, and what to do about it. Each field is a sentence without its full stop.

    `at_backup` is for the next backup, `at_restore` for one that is to be restored now.
    """

    what: str
    at_backup: str
    at_restore: str

    @classmethod
    def of(cls, what: str, hint: str) -> "Finding":
        """A finding with one hint for both."""
        return cls(what, hint, hint)


@dataclass(frozen=True)
class Completeness:
    """Compares where the parts of Pulsar's metadata are with where they are expected.

    `long_ids`: the next ledger id needs more than 31 bits. `flat`: ledgers have the flat layout (TreeFacts).
    `unknown`: what lies below the managed ledgers and is neither a topic nor a cursor.
    """

    layout: Layout
    placement: Placement
    long_ids: bool = False
    flat: bool = False
    unknown: UnknownZnodes = field(default_factory=UnknownZnodes)

    def findings(self) -> list[Finding]:
        """What a restore with lost bookies cannot adapt. Empty if the tree has all parts where they are expected.

        A Pulsar without topics has all parts. It may have no managed ledgers yet (PulsarClusterMetadataSetup).
        """
        missing = self._missing()
        moved = {part: self.placement.others(part) for part in missing if self.placement.others(part)}
        absent = [part for part in missing if part not in moved]
        if {Part.CLUSTERS, Part.LEDGERS} <= moved.keys():  # of a Pulsar that may have no managed ledgers yet
            absent = []
        found = [self._moved(moved)] if moved else []
        if len(absent) == len(Part):
            found.append(self._nothing())
        else:
            found += [self._absent(part) for part in absent]
        return [*found, *self._others(missing), *self._topics(), *self._unknown(), *self._ids()]

    def _missing(self) -> list[Part]:
        placement = self.placement
        new = placement.managed_ledgers or (placement.clusters and placement.ledgers)
        exist = {
            Part.MANAGED_LEDGERS: placement.topics or (new and not placement.others(Part.MANAGED_LEDGERS)),
            Part.CLUSTERS: placement.clusters,
            Part.LEDGERS: placement.ledgers,
        }
        return [part for part in Part if not exist[part]]

    def _path(self, part: Part) -> str:
        own = self.layout.managed_ledger_path if part is Part.MANAGED_LEDGERS else part.value
        return f"{self.layout.chroot}{own}"

    def _described(self, part: Part) -> str:
        """A part that the tree does not have."""
        path = self._path(part)
        if part is Part.CLUSTERS:
            return f"cluster in {path}"
        return f"topic in {path}" if part is Part.MANAGED_LEDGERS and self.placement.managed_ledgers else path

    def _moved(self, moved: dict[Part, list[str]]) -> Finding:
        paths = [path for found in moved.values() for path in found]
        missing = [f"no {self._described(part)}" for part in moved]
        what = f"the tree has {_joined(missing, 'and')}, but it has {named(paths)}"
        roots = list(dict.fromkeys(_root(path, part) for part, found in moved.items() for path in found))
        pulsar_is_here = self.placement.managed_ledgers and not self._includes(roots[0])
        if Part.MANAGED_LEDGERS not in moved and pulsar_is_here:
            own = _joined(map(self._path, moved), "and")
            return Finding.of(what, f"Adapt the others by hand, because a restore adapts only {own}")
        if len(roots) > 1:
            hint = f"Set the chroot in ZOOKEEPER_SERVERS to that of your Pulsar, such as {roots[0] or roots[1]}"
            return Finding(
                what, f"{hint}, and back up each Pulsar with a BACKUP_PREFIX of its own", f"{hint} (restore.chroot)"
            )
        return Finding(
            what,
            self._how_to_find(roots[0], moved, "backup.chroot"),
            self._how_to_find(roots[0], moved, "restore.chroot"),
        )

    def _how_to_find(self, root: str, moved: dict[Part, list[str]], value: str) -> str:
        """A hint that says which settings to change. `value` is the chart's value for a chroot."""
        steps = []
        if root != self.layout.chroot:
            steps.append(f"{self._chroot_step(root)} ({value})")
        path, *_ = moved.get(Part.MANAGED_LEDGERS, [self._path(Part.MANAGED_LEDGERS)])
        if path.startswith(f"{root}/") and path.removeprefix(root) != self.layout.managed_ledger_path:
            steps.append(f"set MANAGED_LEDGER_PATH to {path.removeprefix(root)}")
        hint = " and ".join(steps)
        return hint[:1].upper() + hint[1:]

    def _chroot_step(self, root: str) -> str:
        if not root:
            return "remove the chroot from ZOOKEEPER_SERVERS"
        if self.layout.chroot:
            return f"set the chroot in ZOOKEEPER_SERVERS to {root}"
        return f"append the chroot {root} to ZOOKEEPER_SERVERS"

    def _includes(self, root: str) -> bool:
        """Whether the configured path of managed ledgers leads below this chroot."""
        return root != self.layout.chroot and self._path(Part.MANAGED_LEDGERS).startswith(f"{root}/")

    def _nothing(self) -> Finding:
        where = f" below {self.layout.chroot}" if self.layout.chroot else ""
        return Finding(
            f"the tree has no Pulsar in it{where}",
            "If Pulsar is initialised already, set ZOOKEEPER_SERVERS to its metadata store",
            "Set RESTORE_POINT to a backup that holds your Pulsar. `metadata-tool inspect` shows what is in a backup",
        )

    def _absent(self, part: Part) -> Finding:
        hint = f"If BookKeeper keeps it in another ZooKeeper, {_RAISE}" if part is Part.LEDGERS else _IN_ANOTHER
        return Finding.of(f"the tree has no {self._described(part)}", hint)

    def _others(self, missing: list[Part]) -> list[Finding]:
        """Another Pulsar, beside the one that is where it is expected."""
        others = [path for path in self.placement.others(Part.MANAGED_LEDGERS) if path in self.placement.with_topics]
        if Part.MANAGED_LEDGERS in missing or not others:
            return []
        own = self._path(Part.MANAGED_LEDGERS)
        what = f"the tree has topics in {named(others)}, too, but a restore adapts only those in {own}"
        set_chroot = "set the chroot in ZOOKEEPER_SERVERS to that of your Pulsar"
        return [
            Finding(
                what,
                f"Give each Pulsar a backup with a BACKUP_PREFIX of its own, and {set_chroot}",
                f"If this is not your Pulsar, {set_chroot}",
            )
        ]

    def _topics(self) -> list[Finding]:
        placement, path = self.placement, self._path(Part.MANAGED_LEDGERS)
        found = []
        if placement.unknown_data and not placement.topics:
            hint = "Set MANAGED_LEDGER_PATH to the znode below which topics are <tenant>/<namespace>/persistent/<topic>"
            found.append(Finding.of(f"znodes below {path} have data, but none of them is a topic", hint))
        if placement.topics and placement.clusters and not placement.namespaces:
            policies = f"{self.layout.chroot}/admin/policies"
            found.append(Finding.of(f"the tree has topics in {path}, but no namespace in {policies}", _IN_ANOTHER))
        return found

    def _unknown(self) -> list[Finding]:
        """Data beside the topics. It may be that of topics in a layout that no rule adapts."""
        if not (self.unknown.count and self.placement.topics):
            return []
        own, paths = self._path(Part.MANAGED_LEDGERS), named(self.unknown.first, self.unknown.count)
        return [
            Finding.of(
                f"the tree has data below {own} that belongs to no topic and no subscription, at {paths}",
                "If a newer Pulsar keeps topics there, use a version of metadata-tool that knows them, because lost "
                "ledgers would stop their readers",
            )
        ]

    def _ids(self) -> list[Finding]:
        """A ledger manager whose id counter cannot be raised."""
        layout, path = self.placement.layout, self.layout.absolute(LAYOUT)
        manager = f"{path} names {layout.manager}" if layout and layout.manager else f"{path} is damaged"
        hint = f"If BookKeeper uses this tree, {_RAISE}"
        if layout and layout.ids is Ids.UNKNOWN:
            return [Finding.of(f"{manager}, so it is not known where new ledger ids come from", hint)]
        if self.long_ids and (self.flat or (layout and layout.ids is Ids.SHORT)):
            what = "new ledger ids need more than 31 bits, which BookKeeper's ledger manager does not give out"
            return [Finding.of(what, f"Change {path} to HierarchicalLedgerManagerFactory by hand")]
        return []


def _root(path: str, part: Part) -> str:
    """The chroot of a Pulsar that has this part here. For a path without a known name, the znode above it."""
    return path.removesuffix(part) if path.endswith(part) else path.rpartition("/")[0]


def named(paths: list[str], count: int = 0) -> str:
    """The first of these paths, and how many more there are. `count` is their number if they are not all here."""
    more = max(count, len(paths)) - _NAMED
    return _joined([*paths[:_NAMED], f"{more} more"] if more > 0 else paths, "and")


def _joined(texts: Iterable[str], word: str) -> str:
    *first, last = texts
    return f"{', '.join(first)} {word} {last}" if first else last
