"""Runs in a pod of the cluster, with the standard library and Pulsar's client alone: does steps, and says what came of
them.

The standard input is a list of steps in JSON, each a verb and its arguments. The standard output is the list of their
results. A message's content is its text, or its record as JSON with the fields of the newest version of the schema.
"""

import json
import os
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from functools import cache
from typing import Any

import pulsar

PATIENCE = 120
"""Seconds: a bound for a machine under load, not an expectation."""
QUIET = 500
"""A reader stops after this many milliseconds without a message."""

Sent = list[tuple[str, int, int]]
"""Of each message: its content, ledger and entry."""

_FIELDS: list[tuple[str, Any, Callable[[int], Any]]] = [
    ("number", pulsar.schema.Integer(), lambda number: number),
    ("colour", pulsar.schema.String(required_default=True), lambda number: f"colour {number}"),
    ("weight", pulsar.schema.Double(required_default=True), lambda number: number / 4),
]
"""What a record has. Each version of its schema has one field more than the version before, the first one has one."""
VERSIONS = len(_FIELDS)


class Steps:
    """The verbs: each public method is one."""

    def __init__(self, service: str, admin: str) -> None:
        self._admin = admin
        self._client = pulsar.Client(
            service, operation_timeout_seconds=PATIENCE, logger=pulsar.ConsoleLogger(pulsar.LoggerLevel.Error)
        )

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """The answer of the admin API. A refusal is `{"refused": status}`."""
        try:
            return self._ask(method, path, body)
        except urllib.error.HTTPError as error:
            return {"refused": error.code, "reason": error.read().decode()}

    def produce(self, topic: str, kind: str, first: int, count: int) -> Sent:
        """Send numbered messages of a kind: `plain`, `batches`, or `json-2`, which is a schema and its version."""
        options: dict[str, Any] = {"schema": _schema(kind)} if "-" in kind else {}
        batches = kind == "batches"
        producer = self._client.create_producer(
            _url(topic), batching_enabled=batches, batching_max_messages=10, batching_max_publish_delay_ms=50, **options
        )
        found: dict[int, tuple[int, int]] = {}
        failed: list[str] = []

        def acknowledged(number: int, result: pulsar.Result, where: pulsar.MessageId) -> None:
            if result == pulsar.Result.Ok:
                found[number] = (where.ledger_id(), where.entry_id())
            else:
                failed.append(f"message {number} of {topic}: {result}")

        for number in range(first, first + count):
            producer.send_async(
                _payload(topic, kind, number), lambda result, where, number=number: acknowledged(number, result, where)
            )
        producer.flush()
        _until(f"{topic} has {count} messages more", lambda: failed or len(found) == count)
        producer.close()
        if failed:
            raise RuntimeError(failed[0])
        return [(content(topic, kind, number), *found[number]) for number in sorted(found)]

    def subscribe(self, topic: str, kind: str, total: int) -> dict[str, list[str]]:
        """Make subscriptions at the start, in the middle, at the end and with holes. Returns what they acknowledged."""
        return {
            "start": self._acknowledge(topic, kind, "start", 0, 1),
            "middle": self._acknowledge(topic, kind, "middle", total // 2, 1),
            "end": self._acknowledge(topic, kind, "end", total, 1),
            "holes": self._acknowledge(topic, kind, "holes", total, 3),
        }

    def receive(self, topic: str, kind: str, subscription: str, wanted: int) -> list[str]:
        """All messages that a subscription still gets. Waits with patience for the wanted number."""
        consumer = self._consumer(topic, kind, subscription)
        found: list[str] = []
        while True:
            try:
                message = consumer.receive(QUIET if len(found) >= wanted else PATIENCE * 1000)
            except pulsar.Timeout:
                break
            found.append(_content_of(message, kind))
            consumer.acknowledge(message)
        time.sleep(QUIET / 1000)  # acknowledgements are sent in groups
        consumer.close()
        return found

    def read(self, topic: str, kind: str) -> list[str]:
        """All messages that a reader gets from the beginning."""
        options: dict[str, Any] = {"schema": _schema(_newest(kind))} if "-" in kind else {}
        reader = self._client.create_reader(_url(topic), pulsar.MessageId.earliest, **options)
        found = []
        while reader.has_message_available():
            found.append(_content_of(reader.read_next(PATIENCE * 1000), kind))
        reader.close()
        return found

    def ledgers(self, topic: str) -> list[dict[str, Any]]:
        """The ledgers of a topic, which is opened for that."""
        return list(_until(f"{topic} is open", lambda: self._stats(topic))["ledgers"])

    def offload(self, topic: str) -> list[int]:
        """Close the topic, and offload all that it has. Returns the ids of its offloaded ledgers."""
        path = f"persistent/{topic}"
        self._ask("PUT", f"{path}/unload")
        last = self.ledgers(topic)[-1]["ledgerId"]
        self._ask("PUT", f"{path}/offload", {"ledgerId": last, "entryId": 0, "partitionIndex": -1})

        def done() -> bool:
            status = self._ask("GET", f"{path}/offload")
            if status["status"] == "ERROR":
                raise RuntimeError(f"{topic} is not offloaded: {status}")
            return bool(status["status"] == "SUCCESS")

        _until(f"{topic} is offloaded", done)
        return [each["ledgerId"] for each in self.ledgers(topic) if each["offloaded"]]

    def _acknowledge(self, topic: str, kind: str, name: str, until: int, every: int) -> list[str]:
        consumer, done = self._consumer(topic, kind, name), []
        for number in range(until):
            message = consumer.receive(PATIENCE * 1000)
            if number % every == 0:
                consumer.acknowledge(message)
                done.append(_content_of(message, kind))
        time.sleep(QUIET / 1000)  # acknowledgements are sent in groups
        consumer.close()
        return done

    def _consumer(self, topic: str, kind: str, name: str) -> pulsar.Consumer:
        options: dict[str, Any] = {"schema": _schema(_newest(kind))} if "-" in kind else {}
        return self._client.subscribe(
            _url(topic),
            name,
            consumer_type=pulsar.ConsumerType.Shared if name == "holes" else pulsar.ConsumerType.Exclusive,
            initial_position=pulsar.InitialPosition.Earliest,
            **options,
        )

    def _stats(self, topic: str) -> Any:
        found = self.ask("GET", f"persistent/{topic}/internalStats")
        return found if found.get("ledgers") else None

    def _ask(self, method: str, path: str, body: Any = None) -> Any:
        address = f"{self._admin}/admin/v2/{path}"
        for _ in range(5):  # a broker that does not own the topic names the one that does
            request = urllib.request.Request(
                address,
                method=method,
                data=None if body is None else json.dumps(body).encode(),
                headers={"Content-Type": "application/json"},
            )
            try:
                with urllib.request.urlopen(request, timeout=PATIENCE) as reply:
                    text = reply.read()
            except urllib.error.HTTPError as error:
                if error.code != 307:
                    raise
                address = error.headers["Location"]
                continue
            return json.loads(text) if text else None
        raise RuntimeError(f"{method} {path} is redirected again and again, at last to {address}")


def content(topic: str, kind: str, number: int) -> str:
    """The content of a message, as every reader must see it."""
    if "-" not in kind:
        return f"{topic} {number}"
    version = int(kind.rpartition("-")[2])
    return json.dumps({name: value(number) if at < version else None for at, (name, _, value) in enumerate(_FIELDS)})


def _payload(topic: str, kind: str, number: int) -> Any:
    if "-" not in kind:
        return f"{topic} {number}".encode()
    version = int(kind.rpartition("-")[2])
    return _record(version)(**{name: value(number) for name, _, value in _FIELDS[:version]})


def _content_of(message: pulsar.Message, kind: str) -> str:
    if "-" not in kind:
        return str(message.data().decode())
    record = message.value()
    return json.dumps({name: getattr(record, name) for name, _, _ in _FIELDS})


def _newest(kind: str) -> str:
    return f"{kind.partition('-')[0]}-{VERSIONS}"


@cache
def _record(version: int) -> Any:
    """The class of a version of a record. All have the same name, as in a program that grows."""
    fields = {name: field for name, field, _ in _FIELDS[:version]}
    return type(pulsar.schema.Record)("Order", (pulsar.schema.Record,), fields)


def _schema(kind: str) -> Any:
    form, _, version = kind.partition("-")
    return {"json": pulsar.schema.JsonSchema, "avro": pulsar.schema.AvroSchema}[form](_record(int(version)))


def _url(topic: str) -> str:
    return f"persistent://{topic}"


def _until(what: str, probe: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + PATIENCE
    while not (found := probe()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {PATIENCE} s")
        time.sleep(0.2)
    return found


def main() -> None:
    """Do the steps. The process ends without the client's own clean-up, which may wait for servers that are lost."""
    steps = Steps(os.environ["PULSAR_SERVICE_URL"], os.environ["PULSAR_ADMIN_URL"])
    print(json.dumps([getattr(steps, verb)(*arguments) for verb, *arguments in json.load(sys.stdin)]), flush=True)
    os._exit(0)


if __name__ == "__main__":
    main()
