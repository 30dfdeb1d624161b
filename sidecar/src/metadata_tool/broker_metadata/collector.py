"""Asks brokers for what the questions of a backup want, and writes the lines of `broker.json`.

It runs in a process of its own, which may be killed at any time: whole lines are always valid.
"""

import gc
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import BinaryIO, NamedTuple, TypeVar

from metadata_tool.broker_metadata import cursors, schemas, topic_policies
from metadata_tool.broker_metadata.access import BrokerAccess
from metadata_tool.broker_metadata.broker_file import order, read_lines
from metadata_tool.broker_metadata.client import Asks, BrokerClient, host_of
from metadata_tool.broker_metadata.collect_job import Collected, CollectJob
from metadata_tool.broker_metadata.limits import (
    LOGGED_NOT_SAVED,
    NAMED_NOT_SAVED,
    OWNERS_LOOKED_UP,
    QUESTIONS_AHEAD,
    UNREACHABLE_IN_A_ROW,
)
from metadata_tool.broker_metadata.not_saved import NotSavedError, Reason
from metadata_tool.broker_metadata.pace import Paced
from metadata_tool.broker_metadata.questions import (
    CursorQuestion,
    PolicyQuestion,
    Question,
    SchemaQuestion,
    cursor_questions,
    policy_questions,
    schema_questions,
)
from metadata_tool.broker_metadata.records import (
    CURSOR,
    MAX_LINE,
    POLICIES,
    SCHEMAS,
    NotSaved,
    Record,
    RecordError,
    SavedSchemas,
    decode,
    encode,
)
from metadata_tool.broker_metadata.topic_policies import Reads
from metadata_tool.errors import ToolError

CLUSTERS = "/admin/v2/clusters"
"""Every login may ask for it."""
Q = TypeVar("Q", bound=Question)
_LATE = NotSavedError(Reason.LATE, "BROKER_TIMEOUT had passed")


class _Part(NamedTuple):
    """The answer to a question: lines, and what was not saved and why. Records would take ten times the memory."""

    lines: list[bytes]
    missing: list[tuple[str, NotSavedError]]

    @classmethod
    def of(cls, records: Iterable[Record]) -> "_Part":
        """The lines of records."""
        part = cls([], [])
        for record in records:
            part.add(record)
        return part

    def add(self, record: Record) -> None:
        """Add a record, unless no reader would take its line."""
        line = encode(record)
        if len(line) > MAX_LINE:
            why = f"its record would have {len(line)} bytes"
            self.missing.append((_name(record), NotSavedError(Reason.UNSUPPORTED, why)))
        else:
            self.lines.append(line)


def collect(job: CollectJob, reads: Callable[[BrokerAccess, Asks], Reads] | None = None) -> Collected:
    """Ask until everything is answered, or BROKER_TIMEOUT has passed. `reads` is `EventReader`.

    Raises:
        OSError: the file cannot be written.
        ToolError: a PEM file of the settings cannot be used.
    """
    gc.enable()
    if reads is None:
        from metadata_tool.broker_metadata.event_reader import EventReader  # noqa: PLC0415  # a library of 20 MB

        reads = EventReader
    settings, deadline = job.settings, time.monotonic() + job.settings.timeout
    client = BrokerClient(settings.access, job.hosts, connections=settings.requests)
    broker = Paced(client, settings.rate)
    with job.target.open("xb") as file:
        collection = _Collection(job, broker, reads(settings.access, broker), deadline, file)
        collection.run()
    return collection.done


class _Collection:
    """Asks in several threads, and writes the answers in the order of the questions."""

    def __init__(self, job: CollectJob, broker: Asks, reads: Reads, deadline: float, file: BinaryIO) -> None:
        self.done = Collected()
        self._job, self._broker, self._reads, self._file = job, broker, reads, file
        self._deadline = self._until = deadline
        """When asking ends, and when it ends for the present kind of questions."""
        self._given_up: NotSavedError | None = None
        self._unreachable = 0

    def run(self) -> None:
        self._given_up = self._unusable()
        self._write(SCHEMAS, self._answers(self._new_schemas(), self._schemas))
        with self._of_another_protocol():
            self._write(POLICIES, self._answers(policy_questions(self._job.questions), self._policies))
        self._write(CURSOR, self._answers(cursor_questions(self._job.questions), self._cursors))

    @contextmanager
    def _of_another_protocol(self) -> Iterator[None]:
        """Policies come by another port, which may not answer although the web service does.

        So they get half of the time that is left. If they cannot be read, the other questions are still asked.
        """
        given_up, now = self._given_up, time.monotonic()
        self._until = now + max(0.0, self._deadline - now) / 2
        yield
        self._given_up, self._until, self._unreachable = given_up, self._deadline, 0

    def _unusable(self) -> NotSavedError | None:
        """Why no broker is asked at all. None if they can be."""
        try:
            answer = self._broker.request("GET", CLUSTERS)
            if not isinstance(answer.json() if answer.ok else None, list):
                return NotSavedError(Reason.FAILED, f"{self._job.settings.access.url} does not answer as brokers do")
        except ToolError as error:
            return NotSavedError.of(error)
        owner = self._owner() if self._job.hosts else None
        if owner and not owner & self._job.hosts:
            return NotSavedError(
                Reason.FAILED,
                f"topics belong to the broker {min(owner)!a}, which is not registered in this ZooKeeper, so "
                "BROKER_SERVICE_URL may be that of another cluster",
            )
        return None

    def _owner(self) -> set[str]:
        """The hosts by which the brokers name the owner of a topic. Empty if that cannot be found out."""
        topics = [
            question.topic for question, _ in zip(self._cursor_questions(), range(OWNERS_LOOKED_UP), strict=False)
        ]
        for topic in topics:
            with suppress(ToolError):
                *namespace, domain, name = topic.split("/")
                answer = self._broker.request("GET", f"/lookup/v2/topic/{domain}/{'/'.join(namespace)}/{name}")
                found = answer.json() if answer.ok else None
                urls = [found.get(key) for key in ("httpUrl", "brokerUrl")] if isinstance(found, dict) else []
                hosts = {host for url in urls if isinstance(url, str) and (host := host_of(url))}
                if hosts:
                    return hosts
        return set()

    def _cursor_questions(self) -> Iterator[CursorQuestion]:
        return (question for question in cursor_questions(self._job.questions) if not question.is_segment)

    def _new_schemas(self) -> Iterator[SchemaQuestion | _Part]:
        """The questions for schemas, and the answers that the earlier backup has."""
        before = _previous_schemas(self._job.previous) if self._job.previous else iter(())
        following = next(before, None)
        for question in schema_questions(self._job.questions):
            while following and order(following.topic) < order(question.topic):
                following = next(before, None)
            if following and schemas.unchanged(question, following):
                self.done.unchanged += 1
                yield _Part.of([following])
            else:
                yield question

    def _schemas(self, question: SchemaQuestion) -> _Part:
        return _Part.of([schemas.ask(self._broker, question, _now())])

    def _policies(self, question: PolicyQuestion) -> _Part:
        return _Part.of(topic_policies.ask(self._broker, self._reads, question, _now()))

    def _cursors(self, question: CursorQuestion) -> _Part:
        part = _Part([], [])
        for name, found in cursors.ask(self._broker, question, _now()):
            if isinstance(found, NotSavedError):
                part.missing.append((f"{question.topic}/{name}", found))
            else:
                part.add(found)
        return part

    def _answers(self, questions: Iterable[Q | _Part], ask: Callable[[Q], _Part]) -> Iterator[_Part]:
        """The answers in order. A few questions are asked ahead of the one whose answer comes next."""
        waiting: deque[tuple[Q, Future[_Part]] | _Part] = deque()
        pool = ThreadPoolExecutor(self._job.settings.requests, "broker")
        try:
            for question in questions:
                if isinstance(question, _Part):
                    waiting.append(question)
                elif refused := self._refused():
                    waiting.append(_missing(question, refused))
                else:
                    waiting.append((question, pool.submit(partial(self._answered, ask, question))))
                while len(waiting) > QUESTIONS_AHEAD * self._job.settings.requests:
                    yield self._first(waiting)
            while waiting:
                yield self._first(waiting)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)  # threads that wait for a broker end with the process

    def _first(self, waiting: deque[tuple[Q, Future[_Part]] | _Part]) -> _Part:
        first = waiting.popleft()
        if isinstance(first, _Part):
            return first
        question, future = first
        try:
            return future.result(max(0.0, self._until - time.monotonic()))
        except TimeoutError:
            future.cancel()
            return _missing(question, _LATE)

    def _refused(self) -> NotSavedError | None:
        """Why no further question is asked. None if it is."""
        return self._given_up or (_LATE if time.monotonic() >= self._until else None)

    def _answered(self, ask: Callable[[Q], _Part], question: Q) -> _Part:
        if refused := self._refused():
            return _missing(question, refused)
        try:
            part = ask(question)
        except NotSavedError as error:
            return self._failed(question, error)
        except ToolError as error:
            return self._failed(question, NotSavedError.of(error))
        except Exception as error:  # noqa: BLE001  # no answer of a broker may end the others
            why = f"the broker's answer was not understood ({type(error).__name__})"
            return self._failed(question, NotSavedError(Reason.FAILED, why))
        self._unreachable = 0
        return part

    def _failed(self, question: Question, error: NotSavedError) -> _Part:
        self._unreachable = self._unreachable + 1 if error.reason is Reason.UNREACHABLE else 0
        if self._unreachable >= UNREACHABLE_IN_A_ROW:
            self._given_up = error
        return _missing(question, error)

    def _write(self, kind: str, parts: Iterable[_Part]) -> None:
        named = 0
        for lines, missing in parts:
            self._file.writelines(lines)
            for name, error in missing:
                self._count(kind, error)
                named += 1
                if named <= NAMED_NOT_SAVED:
                    self._file.write(encode(NotSaved(kind, name, _now(), error.why)))
        self._file.flush()

    def _count(self, kind: str, error: NotSavedError) -> None:
        self.done.not_saved[kind, error.reason] += 1
        if error.why not in self.done.why and len(self.done.why) < LOGGED_NOT_SAVED:
            self.done.why.append(error.why)


def _missing(question: Question, error: NotSavedError) -> _Part:
    match question:
        case SchemaQuestion():
            names = [question.topic]
        case PolicyQuestion():
            names = [question.namespace]
        case CursorQuestion():
            names = [f"{question.topic}/{cursor}" for cursor in question.cursors]
    return _Part([], [(name, error) for name in names])


def _previous_schemas(path: Path) -> Iterator[SavedSchemas]:
    """The schemas of an earlier file, as far as it can be read."""
    with suppress(OSError, RecordError), path.open("rb") as file:
        for line in read_lines(file):
            record = decode(line)
            if isinstance(record, SavedSchemas):
                yield record


def _name(record: Record) -> str:
    found: str = getattr(record, "topic", "") or getattr(record, "path", "") or getattr(record, "namespace", "")
    return found


def _now() -> int:
    return time.time_ns() // 1_000_000
