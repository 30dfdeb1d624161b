"""Captures taken one after the other while others write, each to be held against the truth."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from metadata_tool.lifecycle import Heartbeat
from metadata_tool.zookeeper import snapshot
from metadata_tool.zookeeper.capture.acl_cache import AclCache
from metadata_tool.zookeeper.capture.captured import captured
from metadata_tool.zookeeper.capture.rules import ALL_RULES, Rules
from metadata_tool.zookeeper.capture.source import Source
from metadata_tool.zookeeper.limits import ConnectionLimits, ReadLimits, RetryLimits
from metadata_tool.zookeeper.net.ensemble import Ensemble, Login
from support import truth
from support.seed import ADMIN
from support.truth import Difference

LOGIN = Login("digest", ADMIN)
_OF_ACLS = {"acl", "aversion"}


@dataclass(frozen=True)
class Taken:
    """A capture's zxid, its tree as a snapshot file, the znodes that it calls unproven, the rounds it took."""

    zxid: int
    snapshot: Path
    unproven: frozenset[str]
    rounds: int
    seconds: dict[str, float]
    chroot: str = ""


def take(
    address: str,
    directory: Path,
    limits: ReadLimits | None = None,
    chroot: str = "",
    known: AclCache | None = None,
    *,
    connection: ConnectionLimits | None = None,
    rules: Rules = ALL_RULES,
) -> Taken:
    """One capture, by the program's own code, without a pause before it tries again."""
    directory.mkdir(parents=True)
    ensemble = Ensemble(address, LOGIN, limits=connection or ConnectionLimits())
    source = Source(ensemble, chroot, limits or ReadLimits(), RetryLimits(pause=0))
    with captured(source, directory, Heartbeat(), known, rules=rules) as capture:
        path = directory / "snapshot"
        with path.open("wb") as file:
            snapshot.write(file, capture.acls, capture.nodes())
        unproven = frozenset(path.decode() or "/" for path in capture.unproven)
        return Taken(capture.zxid, path, unproven, capture.rounds, capture.seconds, chroot)


@dataclass
class Verdict:
    """What the truth says of several captures: `wrong` are differences that nothing excuses, by field."""

    captures: int = 0
    compared: int = 0
    unproven: int = 0
    flagged: int = 0
    """Of the unproven, those that really differ."""
    rounds: int = 0
    wrong: Counter[str] = field(default_factory=Counter)
    examples: list[Difference] = field(default_factory=list)

    def __str__(self) -> str:
        """One line for who runs the tests."""
        return (
            f"{self.captures} captures, {self.compared:,} znodes compared, {self.wrong.total()} differences, "
            f"{self.unproven} ACLs unproven of which {self.flagged} differ, {self.rounds} rounds at most"
        )


def judge(version: str, data_dir: Path, taken: Mapping[str, Sequence[Taken]], out: Path) -> dict[str, Verdict]:
    """Hold captures, by some name, against a server's own log, which is replayed once."""
    zxids = [capture.zxid for captures in taken.values() for capture in captures]
    truths = truth.replay(version, data_dir, zxids, out)
    return {name: _verdict(captures, truths) for name, captures in taken.items()}


def _verdict(captures: Sequence[Taken], truths: Mapping[int, Path]) -> Verdict:
    verdict = Verdict()
    for capture in captures:
        comparison = truth.compare(capture.snapshot, truths[capture.zxid], capture.chroot)
        wrong = list(_inexcusable(comparison.differences, capture.unproven))
        verdict.captures += 1
        verdict.compared += comparison.znodes
        verdict.unproven += len(capture.unproven)
        verdict.flagged += len({found.path for found in comparison.differences} & capture.unproven)
        verdict.rounds = max(verdict.rounds, capture.rounds)
        verdict.wrong.update(found.field for found in wrong)
        verdict.examples += wrong[: 10 - len(verdict.examples)]
    return verdict


def _inexcusable(found: Iterable[Difference], unproven: frozenset[str]) -> Iterator[Difference]:
    for difference in found:
        if not (difference.field in _OF_ACLS and difference.path in unproven):
            yield difference
