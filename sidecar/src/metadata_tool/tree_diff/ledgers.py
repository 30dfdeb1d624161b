"""Compares the lists of ledgers of a topic."""

from collections.abc import Iterable
from typing import NamedTuple

from metadata_tool.pulsar.coverage import is_offloaded
from metadata_tool.pulsar.managed_ledger_pb2 import ManagedLedgerInfo


class LedgerChanges(NamedTuple):
    """Ids of ledgers: that are new in the list, that are offloaded now, and that are not in the list any more."""

    added: tuple[int, ...] = ()
    offloaded: tuple[int, ...] = ()
    trimmed: tuple[int, ...] = ()

    def __str__(self) -> str:
        return ", ".join(f"{name} {ranges(ids)}" for name, ids in self._asdict().items() if ids)

    def to_json(self) -> dict[str, list[int]]:
        """The ids by what happened."""
        return {name: list(ids) for name, ids in self._asdict().items() if ids}


NO_LEDGERS = LedgerChanges()


def ledger_changes(before: ManagedLedgerInfo, after: ManagedLedgerInfo) -> LedgerChanges:
    """What happened to the ledgers of a topic. One that was added and offloaded is in both lists."""
    old, new = _offloaded_by_id(before), _offloaded_by_id(after)
    return LedgerChanges(
        added=tuple(number for number in new if number not in old),
        offloaded=tuple(number for number, offloaded in new.items() if offloaded and not old.get(number)),
        trimmed=tuple(number for number in old if number not in new),
    )


def ranges(ids: Iterable[int]) -> str:
    """Ids in ascending order, as `3, 5-9`."""
    found: list[tuple[int, int]] = []
    for number in ids:
        if found and number == found[-1][1] + 1:
            found[-1] = found[-1][0], number
        else:
            found.append((number, number))
    return ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in found)


def _offloaded_by_id(info: ManagedLedgerInfo) -> dict[int, bool]:
    return {ledger.ledgerId: is_offloaded(ledger) for ledger in info.ledgerInfo}
