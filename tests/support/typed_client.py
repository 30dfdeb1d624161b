"""A Java client with schemas of every kind, which Pulsar's own distribution has: `java/TypedClient.java`."""

import json
import os
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from ci.parts.java import java
from ci.parts.pulsar import distribution
from support.java_program import program_of

KINDS = ("JSON", "AVRO", "PROTOBUF_NATIVE", "KEY_VALUE_INLINE", "KEY_VALUE_SEPARATED")
"""The kinds of schemas that have versions."""
PRIMITIVES = ("STRING", "INT64")
INCOMPATIBLE = -1
"""The number of fields that makes a record which is compatible with no other."""


class RefusedError(Exception):
    """A command failed. Its text is the name of the exception of Pulsar's client."""


@dataclass(frozen=True)
class Typed:
    """A message as the client decoded it: where it is, the version of its schema, its content."""

    ledger: int
    entry: int
    version: int | None
    content: Any
    error: str | None = None
    """Why it could not be decoded."""


class TypedClient:
    """The client. It ends with the block."""

    def __init__(self, version: str, service_url: str, token: str | None = None) -> None:
        jars = sorted(map(str, (distribution(version) / "lib").glob("*.jar")))
        program = program_of("TypedClient", f"pulsar-{version}", os.pathsep.join(jars))
        options = ["-Xmx256m", "-XX:-UsePerfData", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
        self._said = tempfile.TemporaryFile()  # noqa: SIM115  # closed with the block
        self._process = subprocess.Popen(
            [java(), *options, *program, service_url, *([token] if token else [])],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.communicate()
        self._said.close()

    def produce(self, topic: str, kind: str, fields: int, numbers: range) -> None:
        """Send messages with these numbers."""
        self._ask("produce", topic, kind, fields, **{"from": numbers.start, "count": len(numbers)})

    def connect(self, topic: str, kind: str, fields: int) -> None:
        """Connect a producer.

        Raises:
            RefusedError: the broker refused it.
        """
        self._ask("connect", topic, kind, fields)

    def read(self, topic: str, kind: str | None = None, fields: int = 0) -> list[Typed]:
        """All messages, decoded by the schema of this kind, or without one by those that the broker gives.

        Raises:
            RefusedError: the broker refused the reader.
        """
        return [Typed(**{"content": None, **message}) for message in self._ask("read", topic, kind, fields)]

    def _ask(self, command: str, topic: str, kind: str | None, fields: int, **more: int) -> Any:
        schema: dict[str, Any] = {"kind": kind, "fields": fields} if kind else {}
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps({"do": command, "topic": topic, **schema, **more}) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        assert answer, self._last_words()
        found = json.loads(answer)
        if "error" in found:
            raise RefusedError(found["error"])
        return found["result"]

    def _last_words(self) -> str:
        self._said.seek(0)
        return self._said.read().decode(errors="replace")[-3000:]


def contents(kind: str, fields: int, numbers: Sequence[int]) -> list[Any]:
    """What messages with these numbers hold."""
    return [_content(kind, fields, number) for number in numbers]


def _content(kind: str, fields: int, number: int) -> Any:
    if kind == "STRING":
        return f"text {number}"
    if kind == "INT64":
        return number
    record = {"number": number} | {f"text{text}": f"text {text} of {number}" for text in range(1, fields + 1)}
    return {"key": {"number": number}, "value": record} if kind.startswith("KEY_VALUE") else record
