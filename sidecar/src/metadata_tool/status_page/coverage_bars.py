"""What a restore would bring back and lose, by namespace: proven by a scrub, claimed by the tree, lost."""

from dataclasses import dataclass

from metadata_tool.pulsar.coverage import OTHERS, Coverage, CoverageCounts
from metadata_tool.status_page.charts import Part, parts
from metadata_tool.tiered_storage.scrub_result import BAD, ScrubResult, State, StateCounts

SHOWN = 20
"""Namespaces with bars of their own, those that would lose most."""


@dataclass(frozen=True)
class Bar:
    """A namespace, and bytes. The entries of `open_ledgers` are not counted yet, and would be lost, too."""

    name: str
    topics: int
    proven: int
    claimed: int
    lost: int
    open_ledgers: int

    @property
    def parts(self) -> tuple[Part, ...]:
        """The parts of its bar."""
        return parts({"proven": self.proven, "claimed": self.claimed, "lost": self.lost})


def bars(coverage: Coverage, scrubbed: ScrubResult | None) -> list[Bar]:
    """All namespaces together first, then those that would lose most, and the others together at the end."""
    states = scrubbed.namespaces if scrubbed else {}
    by_loss = [(name, counts, states.get(name)) for name, counts in coverage.by_loss() if name != OTHERS]
    shown = [_bar(name, counts, states_of) for name, counts, states_of in by_loss[:SHOWN]]
    total = _bar("(all)", coverage.total, scrubbed.total if scrubbed else None)
    rest = _rest(total, shown) if len(coverage.namespaces) > len(shown) else []
    return [total, *shown, *rest] if coverage.namespaces else []


def _rest(total: Bar, shown: list[Bar]) -> list[Bar]:
    """What is not shown. The scrub may be of another backup, so no number may become negative."""
    counted = ("topics", "proven", "claimed", "lost", "open_ledgers")
    left = (max(getattr(total, name) - sum(getattr(bar, name) for bar in shown), 0) for name in counted)
    return [Bar(OTHERS, *left)]


def _bar(name: str, counts: CoverageCounts, states: StateCounts | None) -> Bar:
    """The scrub may be of another backup than the counts, so it can prove no more than is claimed."""
    claimed = counts.recoverable_bytes
    proven = min(states.bytes[State.PROVEN], claimed) if states else 0
    bad = min(sum(states.bytes[each] for each in BAD), claimed - proven) if states else 0
    return Bar(name, counts.topics, proven, claimed - proven - bad, counts.lost_bytes + bad, counts.open_ledgers)
