"""What of a bucket does not become a ledger of a new restore point, and why."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from metadata_tool.tiered_storage.candidates import NotTaken
from metadata_tool.tiered_storage.limits import NAMED_LEDGERS
from metadata_tool.zookeeper.snapshot import escaped


class Unusable(NamedTuple):
    """A ledger that the new list does not have, because its objects are missing or damaged. `why` says what differs."""

    topic: str
    ledger_id: int
    promised: bool
    why: str

    def to_json(self) -> dict[str, Any]:
        """Its fields."""
        return {"topic": self.topic, "ledger": self.ledger_id, "promised": self.promised, "why": self.why}

    def __str__(self) -> str:
        state = "left out" if self.promised else "not added"
        return f"{escaped(self.topic)} ledger {self.ledger_id} {state}: {self.why}"


@dataclass(kw_only=True)
class Unused:
    """Counts. `unusable` names the first ledgers that cannot be read, all of them are counted.

    `highest_id` is that of all ledgers in the buckets, used or not. `other_objects` belong to no ledger.
    """

    unusable: list[Unusable] = field(default_factory=list)
    unusable_count: int = 0
    not_taken: Counter[NotTaken] = field(default_factory=Counter)
    highest_id: int = -1
    other_objects: int = 0

    def add_unusable(self, ledger: Unusable) -> None:
        """Note a ledger that cannot be read."""
        self.unusable_count += 1
        if len(self.unusable) < NAMED_LEDGERS:
            self.unusable.append(ledger)

    def unused_to_json(self) -> dict[str, Any]:
        """The named ledgers, and the counts of all else by reason."""
        return {
            "ledgers": [each.to_json() for each in self.unusable],
            "notTaken": {str(reason): count for reason, count in sorted(self.not_taken.items())},
        }

    def unused_lines(self) -> Iterator[str]:
        """The same as text for operators."""
        for reason, count in sorted(self.not_taken.items()):
            yield f"not taken, {reason}: {count}"
        yield from map(str, self.unusable)
        if (more := self.unusable_count - len(self.unusable)) > 0:
            yield f"and {more} more"
