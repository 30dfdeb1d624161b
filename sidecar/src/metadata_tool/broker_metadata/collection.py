"""Saves what brokers give out for a backup, in a process that cannot make the backup fail or delay it for long."""

import hashlib
import logging
import os
import shutil
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

from metadata_tool.broker_metadata.access import BrokerSettings
from metadata_tool.broker_metadata.broker_file import BROKER_JSON, KINDS, BrokerFile, CheckedLines, counted, place_of
from metadata_tool.broker_metadata.collect_job import Collected, CollectJob
from metadata_tool.broker_metadata.limits import KILLED_AFTER
from metadata_tool.broker_metadata.not_saved import NotSavedError, Reason
from metadata_tool.broker_metadata.questions import QuestionWriter
from metadata_tool.broker_metadata.records import (
    POLICIES,
    SCHEMAS,
    Record,
    RecordError,
)
from metadata_tool.errors import FAULT, Stopped, ToolError
from metadata_tool.subprocess_worker import in_subprocess

log = logging.getLogger(__name__)

_STEP = 1 << 16


@dataclass(frozen=True)
class BrokerMetadata:
    """What brokers gave out for a backup. `seconds` is how long that took.

    `path` and `file` are the new `broker.json`, None if there was nothing to ask for. `saved` counts records by
    namespace and kind, `not_saved` what is missing by kind and reason, `unchanged` the schemas that were not asked for
    again, and `why` are the first different reasons.
    """

    seconds: float = 0.0
    path: Path | None = None
    file: BrokerFile | None = None
    saved: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    not_saved: Mapping[tuple[str, Reason], int] = field(default_factory=dict)
    unchanged: int = 0
    why: tuple[str, ...] = ()

    def in_words(self) -> str:
        """What was saved."""
        return self.file.in_words() if self.file else "nothing, because there is nothing to ask for"

    @property
    def missing(self) -> str:
        """What was not saved, in words. Empty if that is nothing."""
        return counted(self.file.not_saved, saved=False) if self.file and self.not_saved else ""

    def saved_of(self, kind: str) -> int:
        """How many records of a kind were saved."""
        return sum(counts.get(kind, 0) for counts in self.saved.values())

    def not_saved_of(self, kind: str) -> int:
        """How many of a kind were not saved."""
        return sum(count for (of, _), count in self.not_saved.items() if of == kind)


class _LateError(Exception):
    """The process did not end in time."""


class _Fault(NamedTuple):
    """Why the process ended without a result."""

    reason: Reason
    why: str


def collected(
    settings: BrokerSettings,
    questions: QuestionWriter,
    workdir: Path,
    heartbeat: Callable[[], None],
    kept: Path | None = None,
    *,
    needed: int = 0,
) -> BrokerMetadata:
    """Ask brokers, and describe what was saved.

    `kept` is a directory in which the schemas of one backup are kept for the next, which does not ask for them again.
    `needed` is how many bytes of the disk the backup still needs, besides those for `broker.json`. Without that room,
    nothing is saved.

    Raises:
        Stopped: the backup was stopped.
        OSError: the files cannot be used.
    """
    if not questions.asked.total():
        return BrokerMetadata()
    begin = time.monotonic()
    target = workdir / BROKER_JSON
    previous = kept / BROKER_JSON if kept else None
    job = CollectJob(
        settings,
        questions.directory,
        target,
        frozenset(questions.brokers),
        previous if previous and previous.exists() else None,
    )
    done, fault = _run(job, heartbeat)
    if target.exists() and shutil.disk_usage(workdir).free < needed + target.stat().st_size:
        os.truncate(target, 0)
        done, fault = None, _Fault(Reason.FAILED, "SPOOL_DIR does not have the room for it")
    found = _described(target, questions.asked, done, fault)
    if previous and found.saved_of(SCHEMAS):
        _keep(target, previous)
    return replace(found, seconds=time.monotonic() - begin)


def _run(job: CollectJob, heartbeat: Callable[[], None]) -> tuple[Collected | None, _Fault | None]:
    """The result of the process, or why it has none."""
    from metadata_tool.broker_metadata.collector import collect  # noqa: PLC0415  # most commands need no HTTP client

    until = time.monotonic() + job.settings.timeout + KILLED_AFTER

    def beat() -> None:
        heartbeat()
        if time.monotonic() > until:
            raise _LateError

    try:
        with in_subprocess(beat, collect, job) as result:
            return result(), None
    except Stopped:
        raise
    except _LateError:
        return None, _Fault(Reason.LATE, "the process that asks brokers did not end in time, and was killed")
    except ToolError as error:
        return None, _Fault(NotSavedError.of(error).reason, str(error).removesuffix("."))
    except RuntimeError:
        log.exception("brokers were not asked for all of their metadata because of %s", FAULT)
        return None, _Fault(Reason.FAILED, f"of {FAULT}")


def _described(target: Path, asked: Counter[str], done: Collected | None, fault: "_Fault | None") -> BrokerMetadata:
    """What is in the file. A process that was killed may have written only a part of it."""
    _end_with_whole_line(target)
    try:
        found = _Contents.read(target)
    except RecordError as error:
        log.warning("nothing of %s is saved, because it is not valid, %s", BROKER_JSON, error)
        os.truncate(target, 0)
        found, done, fault = _Contents(), None, fault or _Fault(Reason.FAILED, f"{BROKER_JSON} was not valid")
    if done:
        not_saved, unchanged, why = done.not_saved, done.unchanged, tuple(done.why)
    else:
        assert fault
        missing = {kind: asked[kind] - found.answered(kind) for kind in KINDS}
        not_saved = Counter({(kind, fault.reason): count for kind, count in missing.items() if count > 0})
        unchanged, why = 0, (fault.why,)
    by_kind = Counter[str]()
    for (kind, _), count in not_saved.items():
        by_kind[kind] += count
    file = BrokerFile(found.size, found.digest.hexdigest(), dict(found.total), dict(by_kind))
    return BrokerMetadata(0.0, target, file, found.saved, not_saved, unchanged, why)


def _end_with_whole_line(path: Path) -> None:
    """Remove what follows the last line end. Create the file if there is none."""
    with path.open("ab+") as file:
        end = file.tell()
        while end:
            start = max(0, end - _STEP)
            file.seek(start)
            if (newline := file.read(end - start).rfind(b"\n")) >= 0:
                end = start + newline + 1
                break
            end = start
        file.truncate(end)


class _Contents:
    """What is in a `broker.json`."""

    def __init__(self) -> None:
        self.size = 0
        self.digest = hashlib.sha256()
        self.total: Mapping[str, int] = {}
        self.saved: dict[str, Counter[str]] = {}

    @classmethod
    def read(cls, path: Path) -> "_Contents":
        """Raises RecordError if a line is damaged, or out of order."""
        contents = cls()
        with path.open("rb") as file:
            lines = CheckedLines(file)
            for line, record in lines:
                contents.digest.update(line)
                contents.size += len(line)
                contents._count(record)
        contents.total = dict(lines.saved)
        return contents

    def _count(self, record: Record | None) -> None:
        if place := place_of(record):
            self.saved.setdefault(place[0], Counter())[place[1]] += 1

    def answered(self, kind: str) -> int:
        """How many questions of a kind have an answer. Those for policies are asked by namespace."""
        return sum(1 if kind == POLICIES else counts[kind] for counts in self.saved.values() if counts[kind])


def _keep(path: Path, kept: Path) -> None:
    """Keep the file for the next backup, without more room. If that fails, all schemas are asked for again."""
    new = kept.with_suffix(".new")
    try:
        new.hardlink_to(path)
        new.replace(kept)
    except OSError as error:
        log.debug("the schemas are not kept for the next backup (%s)", error.strerror)
        new.unlink(missing_ok=True)
        kept.unlink(missing_ok=True)
