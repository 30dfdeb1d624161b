"""Sets back what is held in namespaces (pulsar/holds.py), by the notes in ZooKeeper alone.

The policies of a namespace and its note are set at once, so a setting is never both set back and noted. What somebody
has set since is never overwritten, whenever a put-back is killed.
"""

from collections.abc import Collection, Sequence
from typing import Any, Protocol

from metadata_tool.pulsar.holds import (
    AUTO_UPDATE,
    STRATEGY,
    Released,
    decode_note,
    decode_object,
    encode_note,
    encode_policies,
    released,
)
from metadata_tool.put_back import limits
from metadata_tool.put_back.result import NAMESPACES, PutBackResult
from metadata_tool.restore_marker import HELD
from metadata_tool.zookeeper.znodes import Write, Znode


class Znodes(Protocol):
    """Reads and writes znodes: `RestoredEnsemble`."""

    def read(self, path: bytes) -> Znode | None:
        """A znode, None if it does not exist."""

    def set_all(self, writes: Sequence[Write]) -> bool:
        """Set znodes that still have their versions. All are set, or none."""

    def policies_path(self, namespace: str) -> bytes:
        """The path of the policies of a namespace."""


class Holds:
    """The held settings of namespaces."""

    def __init__(self, znodes: Znodes) -> None:
        self._znodes = znodes

    def of(self, namespace: str) -> dict[str, Any]:
        """The settings of a namespace that are held, or were until somebody changed them, as they were before."""
        note = self._znodes.read(_note_path(namespace))
        return decode_note(note.data) if note else {}

    def remember(self, namespace: str, setting: str, before: object) -> None:
        """Note what a setting was, before it is changed for a while. Does nothing if that is noted already."""
        for _ in range(limits.TRIES):
            note = self._znodes.read(_note_path(namespace))
            if note is None:  # a restore that has nothing to put back here leaves no note
                return
            noted = decode_note(note.data)
            if setting in noted:
                return
            data = encode_note(noted | {setting: before})
            if self._znodes.set_all([Write(_note_path(namespace), data, note.version)]):
                return

    def release(self, namespace: str, settings: Collection[str], *, dry_run: bool = False) -> Released | None:
        """Set back those settings of a namespace that are still held, and end their notes.

        Brokers notice the change at once, as they notice what others write. No request to a broker can remove a
        setting. A dry run says what would be done. Nothing is held in a namespace that does not exist. None if the
        policies change too often.
        """
        for _ in range(limits.TRIES):
            note = self._znodes.read(_note_path(namespace))
            current = self._znodes.read(self._znodes.policies_path(namespace))
            if current is None:
                return Released({}, {}, (), ())
            policies, noted = decode_object(current.data) or {}, decode_note(note.data) if note else {}
            done = released(policies, noted, settings)
            if dry_run or note is None or done.note == noted:
                return done
            writes = [Write(_note_path(namespace), encode_note(done.note), note.version)]
            if done.released:
                data = encode_policies(done.policies)
                writes.append(Write(self._znodes.policies_path(namespace), data, current.version))
            if self._znodes.set_all(writes):
                return done
        return None


def finish(holds: Holds, namespace: str, settings: Collection[str], result: PutBackResult, *, complete: bool) -> None:
    """Set back settings of a namespace if everything is there that they wait for, and report them."""
    done = holds.release(namespace, settings, dry_run=result.dry_run or not complete)
    if done is None:
        result.fail(NAMESPACES, namespace, "its policies kept changing", "Run put-back again")
        return
    names = [name for name in done.released if name != STRATEGY]
    if AUTO_UPDATE in names:
        result.namespaces["released" if complete else "held"] += 1
    if set(names) - {AUTO_UPDATE}:
        result.namespaces["freed" if complete else "keeping"] += 1
    if names and not complete:
        result.hold(namespace, names)
    for name in done.changed:
        if complete and name != STRATEGY:  # that one was set back by a broker
            result.note(NAMESPACES, namespace, f"its {name} was changed since the restore, and stays as it is")


def _note_path(namespace: str) -> bytes:
    return HELD + b"/" + namespace.encode(errors="surrogateescape")
