"""The report of a put-back, as text and as JSON."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

from metadata_tool.put_back.limits import KEPT, NAMED

SCHEMAS, NAMESPACES, POLICIES = "schemas", "namespaces", "topicPolicies"
"""The parts of a report."""


@dataclass(frozen=True)
class Problem:
    """Something that is not back, why, and what to do about it."""

    part: str
    name: str
    why: str
    hint: str = ""

    def __str__(self) -> str:
        return f"{self.name}: {self.why}" + (f". {self.hint}" if self.hint else "")


@dataclass
class PutBackResult:
    """Counts by part, problems, and notes about what was left as it is on purpose."""

    point: str
    dry_run: bool
    schemas: Counter[str] = field(default_factory=Counter)
    namespaces: Counter[str] = field(default_factory=Counter)
    policies: Counter[str] = field(default_factory=Counter)
    not_saved: Counter[str] = field(default_factory=Counter)
    problems: list[Problem] = field(default_factory=list)
    notes: list[Problem] = field(default_factory=list)
    problem_count: int = 0
    note_count: int = 0
    held: dict[str, list[str]] = field(default_factory=dict)
    """The settings that are still held, by the first namespaces."""

    def fail(self, part: str, name: str, why: str, hint: str = "") -> None:
        """Add a problem."""
        self.problem_count += 1
        if len(self.problems) < KEPT:
            self.problems.append(Problem(part, name, why, hint))

    def note(self, part: str, name: str, why: str, hint: str = "") -> None:
        """Add something that is left as it is on purpose."""
        self.note_count += 1
        if len(self.notes) < KEPT:
            self.notes.append(Problem(part, name, why, hint))

    def hold(self, namespace: str, settings: Iterable[str]) -> None:
        """Add settings of a namespace that are still held."""
        if namespace in self.held or len(self.held) < KEPT:
            self.held.setdefault(namespace, []).extend(settings)

    @property
    def complete(self) -> bool:
        """Whether everything that was saved is back. In a dry run: whether nothing would stop that."""
        return not self.problem_count

    def to_json(self) -> dict[str, Any]:
        """The report as JSON, with the first 1000 problems and notes."""
        return {
            "restorePoint": self.point,
            "dryRun": self.dry_run,
            "complete": self.complete,
            SCHEMAS: {name: self.schemas[name] for name in _OF_SCHEMAS},
            NAMESPACES: {name: self.namespaces[name] for name in _OF_NAMESPACES},
            "held": self.held,
            POLICIES: {name: self.policies[name] for name in _OF_POLICIES},
            "notSaved": dict(sorted(self.not_saved.items())),
            "problems": {"count": self.problem_count, "first": [asdict(problem) for problem in self.problems]},
            "notes": {"count": self.note_count, "first": [asdict(note) for note in self.notes]},
        }

    def as_text(self) -> str:
        """The report as text, with the first 20 problems and notes."""
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        yield f"put-back of {self.point}{' (dry run, nothing was changed)' if self.dry_run else ''}"
        for title, counts, names in (
            ("schemas", self.schemas, _OF_SCHEMAS),
            ("namespaces", self.namespaces, _OF_NAMESPACES),
            ("topic policies", self.policies, _OF_POLICIES),
        ):
            yield title
            for name, meaning in names.items():
                if counts[name]:
                    yield f"  {meaning:<58} {counts[name]}"
        if any(self.not_saved.values()):
            yield "not in the backup, because no broker gave it out"
            for kind, count in sorted(self.not_saved.items()):
                yield f"  {kind:<58} {count}"
        yield from _lines_of("still held", [f"{name}: {', '.join(held)}" for name, held in self.held.items()])
        yield from _listed("not back", self.problems, self.problem_count)
        yield from _listed("left as it is", self.notes, self.note_count)


_OF_SCHEMAS = {
    "topics": "topics with saved schemas",
    "present": "topics whose versions were all there",
    "putBack": "topics whose versions were put back",
    "replaced": "topics whose other versions were removed first",
    "refused": "topics that were left as they are",
    "failed": "topics that failed",
    "deleted": "topics that were deleted since the restore",
    "versions": "versions registered",
    "deletions": "numbers used up by deletions",
    "unreadable": "versions before a deletion, which no client can read",
}
_OF_NAMESPACES = {
    "done": "namespaces whose schemas are all there",
    "released": "namespaces whose clients may register schemas again",
    "held": "namespaces whose clients still may not register schemas",
    "freed": "namespaces whose own policies delete data again",
    "keeping": "namespaces that are still held to delete nothing",
    "deleted": "namespaces that do not exist",
}
_OF_POLICIES = {
    "saved": "topics with saved policies",
    "present": "topics whose policies were there already",
    "sent": "topics whose policies were put back",
    "changed": "topics whose policies were changed since the backup",
    "returned": "topics whose deleted policies came back",
    "deleted": "topics that were deleted since the restore",
    "failed": "topics that failed",
}


def _listed(title: str, items: list[Problem], count: int) -> Iterator[str]:
    return _lines_of(title, [str(item) for item in items[:NAMED]], count)


def _lines_of(title: str, items: list[str], count: int = 0) -> Iterator[str]:
    if items:
        yield title
        yield from (f"  {item}" for item in items[:NAMED])
        if (count := count or len(items)) > NAMED:
            yield f"  and {count - NAMED} more, in the output of --json"
