"""Checks whether every ledger that a tree calls offloaded is really in tiered storage. Nothing is changed."""

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

from metadata_tool.errors import ToolError
from metadata_tool.lifecycle import Every
from metadata_tool.tiered_storage.claims import Claim
from metadata_tool.tiered_storage.contract import ReadableBucket
from metadata_tool.tiered_storage.index import IndexDamagedError, OffloadIndex
from metadata_tool.tiered_storage.known_ledgers import Known, NothingKnown
from metadata_tool.tiered_storage.ledger_table import Joined, LedgerTable, Orphan, ledger_table
from metadata_tool.tiered_storage.limits import INDEX_BYTES, REPORT_EVERY
from metadata_tool.tiered_storage.object_names import ObjectName
from metadata_tool.tiered_storage.ordered_pool import in_order
from metadata_tool.tiered_storage.scrub_result import BAD, ScrubResult, State

log = logging.getLogger(__name__)

NOTHING_KNOWN = NothingKnown()


@dataclass(frozen=True)
class Verdict:
    """The state of a ledger, and why it is not proven."""

    ledger: Joined
    state: State
    why: str = ""

    @property
    def claim(self) -> Claim:
        """What the tree claims of it."""
        return self.ledger.claim


@dataclass(frozen=True)
class ScrubJob:
    """How to scrub: whether listings alone decide, and how many requests may be in flight."""

    directory: Path
    list_only: bool = False
    requests: int = 8


@dataclass(frozen=True)
class Scrubbed:
    """A scrub that is done, while its table is open."""

    result: ScrubResult
    orphans: Callable[[], Iterator[Orphan]]
    """The objects that no ledger of the tree names, by bucket and ledger."""


@contextmanager
def scrubbed(
    job: ScrubJob,
    claims: Iterable[Claim],
    open_bucket: Callable[[str], ReadableBucket],
    heartbeat: Callable[[], None],
    known: Known = NOTHING_KNOWN,
) -> Iterator[Scrubbed]:
    """The state of each claim, and the objects that none of them names. `heartbeat` is called at every step.

    Raises:
        ToolError: a bucket cannot be listed or read. What was proven until then is known to the next scrub.
        OSError: the directory for work in progress cannot be written.
    """
    result = ScrubResult(list_only=job.list_only)
    with ledger_table(job.directory) as table:
        table.add_claims(_alive(claims, heartbeat))
        buckets = {name: open_bucket(name) for name in table.buckets()}
        for name, bucket in buckets.items():
            table.add_objects(name, ledger_objects(name, bucket, result, heartbeat))
        try:
            for verdict in verdicts(job, table, buckets, heartbeat, known):
                _note(verdict, result, known)
        except ToolError:
            known.keep(complete=False)
            raise
        known.keep(complete=True)
        for orphan in table.orphans():
            heartbeat()
            result.add_orphan(orphan)
        yield Scrubbed(result, table.orphans)


def _note(verdict: Verdict, result: ScrubResult, known: Known) -> None:
    claim, lost = verdict.claim, verdict.state in BAD
    result.add(claim, verdict.state, verdict.why, confirmed=lost and known.was_lost(claim))
    if lost:
        known.note_lost(claim)
    elif verdict.state is State.PROVEN and not result.list_only:
        known.note_proven(verdict.ledger)


def _alive(claims: Iterable[Claim], heartbeat: Callable[[], None]) -> Iterator[Claim]:
    for claim in claims:
        heartbeat()
        yield claim


class CountsOthers(Protocol):
    """What counts the objects of a bucket that are no ledger's."""

    other_objects: int


def ledger_objects(
    name: str, bucket: ReadableBucket, result: CountsOthers, heartbeat: Callable[[], None]
) -> Iterator[tuple[ObjectName, int]]:
    """The objects of a bucket that are an offloaded ledger's, with their sizes. The others are counted.

    Raises:
        ToolError: the bucket cannot be listed completely.
    """
    log.info("listing the bucket %s of tiered storage", name, extra={"phase": "scrub"})
    time_to_log = Every(REPORT_EVERY)
    for count, (key, size) in enumerate(bucket.objects(), 1):
        heartbeat()
        if time_to_log():
            log.info("%d objects of %s are listed", count, name, extra={"phase": "scrub"})
        found = ObjectName.parse(key)
        if found:
            yield found, size
        else:
            result.other_objects += 1


def verdicts(
    job: ScrubJob,
    table: LedgerTable,
    buckets: Mapping[str, ReadableBucket],
    heartbeat: Callable[[], None],
    known: Known = NOTHING_KNOWN,
) -> Iterator[Verdict]:
    """The verdicts of all claims in the order of the tree. Indexes are read by several threads.

    Raises:
        ToolError: an index cannot be read.
    """
    progress = _Progress(table.count())

    def step(joined: Joined) -> Verdict | Callable[[], Verdict]:
        verdict = _by_listing(joined)
        if verdict.state is State.PROVEN and not (job.list_only or known.is_proven(joined)):
            return partial(_by_index, joined, buckets[joined.claim.bucket])
        return verdict

    def beat() -> None:
        heartbeat()
        progress()

    return in_order(map(step, table.joined()), job.requests, "scrub", beat)


def _by_listing(joined: Joined) -> Verdict:
    """What listings alone tell."""
    claim = joined.claim
    if claim.not_checked:
        return Verdict(joined, State.NOT_CHECKED, claim.not_checked)
    sizes = {"data object": joined.data_size, "index": joined.index_size}
    if missing := [what for what, size in sizes.items() if size is None]:
        return Verdict(joined, State.MISSING, f"no {' and no '.join(missing)}")
    if empty := [what for what, size in sizes.items() if not size]:
        return Verdict(joined, State.DAMAGED, f"empty {' and empty '.join(empty)}")
    return Verdict(joined, State.PROVEN)


def _by_index(joined: Joined, bucket: ReadableBucket) -> Verdict:
    """What the index tells of a ledger whose two objects are there."""
    claim = joined.claim
    data = bucket.read(str(ObjectName(claim.uuid, claim.ledger_id, is_index=True)), INDEX_BYTES + 1)
    if data is None:
        return Verdict(joined, State.MISSING, "no index")
    if len(data) > INDEX_BYTES:
        return Verdict(joined, State.DAMAGED, f"an index of more than {INDEX_BYTES} bytes")
    try:
        index = OffloadIndex.parse(data)
    except IndexDamagedError as error:
        return Verdict(joined, State.DAMAGED, f"the index is not valid, {error}")
    compared = {
        "bytes in the data object": (joined.data_size, index.data_length),
        "entries": (claim.entries, index.entries),
        "bytes": (claim.size, index.size),
        "topic": (claim.topic, index.managed_ledger or claim.topic),
    }
    differing = [f"{what} {ours}, in the index {theirs}" for what, (ours, theirs) in compared.items() if ours != theirs]
    return Verdict(joined, State.DAMAGED if differing else State.PROVEN, " and ".join(differing))


class _Progress:
    """Logs how many ledgers are done, at which rate, and the time left."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._done = 0
        self._begin = time.monotonic()
        self._time_to_log = Every(REPORT_EVERY)

    def __call__(self) -> None:
        self._done += 1
        if self._time_to_log():
            rate = self._done / (time.monotonic() - self._begin)
            left = (self._total - self._done) / rate
            log.info(
                "%d of %d ledgers are checked, %.0f/s, %.0f s left",
                self._done,
                self._total,
                rate,
                left,
                extra={"phase": "scrub", "seconds": round(time.monotonic() - self._begin, 3)},
            )
