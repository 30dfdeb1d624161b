"""Asking brokers for a backup, with brokers that have faults."""

import gc
import hashlib
import json
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from metadata_tool.broker_metadata.access import BrokerAccess, BrokerSettings
from metadata_tool.broker_metadata.broker_file import CheckedLines
from metadata_tool.broker_metadata.collect_job import Collected, CollectJob
from metadata_tool.broker_metadata.collector import CLUSTERS, collect
from metadata_tool.broker_metadata.not_saved import NotSavedError, Reason
from metadata_tool.broker_metadata.questions import QuestionWriter
from metadata_tool.broker_metadata.records import NotSaved, Record, SavedCursor, SavedPolicies, SavedSchemas
from metadata_tool.broker_metadata.topic_policies import Event
from metadata_tool.pulsar.paths import Layout
from metadata_tool.pulsar.schema_locator import LocatedVersion
from metadata_tool.pulsar.tree_scan import TreeScan
from metadata_tool.zookeeper.snapshot import Node
from support.broker_trees import cursor, locator, topic
from support.fake_broker import FakeBroker, Replies, Reply, fake_broker
from support.trees import node

LOCATOR = locator([LocatedVersion(0, hashlib.sha256(b"d").digest())])
SCHEMA = {"version": 0, "type": "AVRO", "timestamp": 7, "data": "d", "properties": {}}
OK: dict[str, Replies] = {CLUSTERS: Reply(body=b'["c1"]')}
SLOW = Reply(pause=60)


def schema_path(name: str) -> str:
    """Where the schemas of a topic are."""
    return f"/admin/v2/schemas/t/ns/{name}/schemas"


def stats_path(name: str) -> str:
    """Where the positions of a topic's subscriptions are."""
    return f"/admin/v2/persistent/t/ns/{name}/internalStats"


def tree(topics: Iterable[str]) -> list[Node]:
    """Topics with a schema and an open subscription each, and a namespace with policies."""
    names = sorted(topics)
    nodes = [topic("t/ns/persistent/__change_events")]
    for name in names:
        nodes += [topic(f"t/ns/persistent/{name}"), cursor(f"t/ns/persistent/{name}/s", 5)]
    return [*nodes, *(node(f"/schemas/t/ns/{name}".encode(), LOCATOR, mzxid=9) for name in names)]


def answers(topics: Iterable[str], **changes: Replies) -> dict[str, Replies]:
    """A broker's answers for such a tree. `changes` are replies for the schemas of a topic."""
    found: dict[str, Replies] = {**OK}
    for name in topics:
        found[schema_path(name)] = Reply(body=json.dumps({"getSchemaResponses": [SCHEMA]}).encode())
        position = {"markDeletePosition": "3:1", "individuallyDeletedMessages": "[]"}
        found[stats_path(name)] = Reply(body=json.dumps({"cursors": {"s": position}}).encode())
    return found | {schema_path(name): reply for name, reply in changes.items()}


@dataclass
class Topics:
    """Gives one event in each topic."""

    def events(self, topic: str) -> Iterator[Event]:
        """The events of a topic."""
        yield Event(topic, b"\x02\x04\x02\x00\x00", 1, None)


class NoTopics:
    """Fails at each topic."""

    def events(self, _topic: str) -> Iterator[Event]:
        """Fail."""
        raise NotSavedError(Reason.DENIED, "AuthorizationError")


def questions(directory: Path, nodes: Iterable[Node], hosts: Iterable[str] = ()) -> QuestionWriter:
    """The questions of a tree."""
    with QuestionWriter(Layout(), directory) as writer:
        scan = TreeScan(Layout(), observer=writer)
        for each in nodes:
            scan.add(each)
        writer.finish()
    writer.brokers |= set(hosts)
    return writer


def settings(broker: FakeBroker, timeout: int = 60, requests: int = 2, request_timeout: float = 30.0) -> BrokerSettings:
    """How to ask a broker."""
    access = BrokerAccess(broker.url, token="zq7token", request_timeout=request_timeout)
    return BrokerSettings(access, timeout, requests, 10_000)


@dataclass(frozen=True)
class Run:
    """What was written, and what was reported."""

    records: list[Record]
    done: Collected

    def saved(self) -> Counter[str]:
        """Counts of records by their types."""
        return Counter(type(record).__name__ for record in self.records)

    def why(self) -> dict[str, str]:
        """The reasons in the records by names."""
        return {record.name: record.why for record in self.records if isinstance(record, NotSaved)}


def run(
    tmp_path: Path,
    broker: FakeBroker,
    nodes: Iterable[Node],
    hosts: Iterable[str] = (),
    reads: Any = Topics,
    **changes: Any,
) -> Run:
    """Ask a broker about a tree."""
    asked = questions(tmp_path / "questions", nodes, hosts)
    previous = changes.pop("previous", None)
    job = CollectJob(
        settings(broker, **changes), asked.directory, tmp_path / "broker.json", frozenset(asked.brokers), previous
    )
    done = collect(job, lambda *_: reads())
    with job.target.open("rb") as file:
        return Run([line.record for line in CheckedLines(file) if line.record], done)


def test_everything_is_saved(tmp_path: Path) -> None:
    """Schemas, policies and positions are saved, in this order and in that of the tree."""
    names = [f"x{number:02}" for number in range(30)]
    with fake_broker(answers(names)) as broker:
        found = run(tmp_path, broker, tree(names), requests=8)
    assert {"SavedSchemas": 30, "SavedPolicies": 1, "SavedCursor": 30} == found.saved()
    assert [f"t/ns/{name}" for name in names] == [
        each.topic for each in found.records if isinstance(each, SavedSchemas)
    ]
    assert [SavedSchemas, SavedPolicies, SavedCursor] == list(dict.fromkeys(type(each) for each in found.records))
    assert Collected() == found.done


@pytest.mark.fault("Brokers", "an answer is an error, garbage, or a redirect that leads nowhere")
@pytest.mark.parametrize(
    ("fault", "reason", "why"),
    [
        (Reply(404), Reason.DELETED, "no schema of this topic any more"),
        (Reply(401, b'{"reason":"Unauthorized to"}'), Reason.DENIED, "Unauthorized to"),
        (Reply(403), Reason.DENIED, "refused the login"),
        (Reply(body=b"<html>"), Reason.FAILED, "not JSON"),
        (Reply(body=b"[" * 99_999), Reason.FAILED, "not JSON"),
        (Reply(307, location="http://stranger.invalid/"), Reason.FAILED, "not a broker of this cluster"),
        (Reply(307), Reason.FAILED, "redirected"),
    ],
)
def test_fault_of_one_answer(tmp_path: Path, fault: Reply, reason: Reason, why: str) -> None:
    """What a fault concerns is not saved, but counted and named with the reason. Everything else is saved."""
    with fake_broker(answers("abc", b=fault)) as broker:
        found = run(tmp_path, broker, tree("abc"))
    assert {"SavedSchemas": 2, "SavedPolicies": 1, "SavedCursor": 3, "NotSaved": 1} == found.saved()
    assert {("schemas", reason): 1} == found.done.not_saved
    assert [name for name, told in found.why().items() if why in told] == ["t/ns/b"]
    assert why in found.done.why[0]


@pytest.mark.fault("Brokers", "the login may not read a namespace")
def test_namespace_that_cannot_be_read(tmp_path: Path) -> None:
    """Policies that the login may not read are counted as not saved. Everything else is saved."""
    with fake_broker(answers("a")) as broker:
        found = run(tmp_path, broker, tree("a"), reads=NoTopics)
    assert {"t/ns": "AuthorizationError"} == found.why()
    assert {"SavedSchemas": 1, "SavedCursor": 1, "NotSaved": 1} == found.saved()


@pytest.mark.fault("Brokers", "the token is refused, or another server answers")
@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (Reply(401), Reason.DENIED),
        (Reply(403), Reason.DENIED),
        (Reply(404), Reason.FAILED),
        (Reply(body=b"hello"), Reason.FAILED),
        (Reply(body=b"{}"), Reason.FAILED),
    ],
)
def test_no_broker_at_the_address(tmp_path: Path, reply: Reply, reason: Reason) -> None:
    """If the first request is refused, no more are sent, and everything is counted with the reason."""
    with fake_broker(answers("ab") | {CLUSTERS: reply}) as broker:
        found = run(tmp_path, broker, tree("ab"))
        assert [CLUSTERS] == broker.paths()
    assert {("schemas", reason): 2, ("cursor", reason): 2, ("topicPolicies", reason): 1} == found.done.not_saved
    assert 5 == found.saved()["NotSaved"]


@pytest.mark.fault("Brokers", "the address is that of another cluster")
def test_brokers_of_another_cluster(tmp_path: Path) -> None:
    """Positions of another cluster are never saved, because brokers that are not in this ZooKeeper are not asked."""
    lookup = "/lookup/v2/topic/persistent/t/ns/a"
    owner = {"brokerUrl": "pulsar://other:6650", "httpUrl": "http://other:8080"}
    with fake_broker(answers("a") | {lookup: Reply(body=json.dumps(owner).encode())}) as broker:
        found = run(tmp_path, broker, tree("a"), hosts=["broker-0"])
        assert [CLUSTERS, lookup] == broker.paths()
        assert 3 == found.done.not_saved.total()
        assert ["another cluster" in why for why in found.done.why] == [True]


@pytest.mark.parametrize("answer", [b'{"httpUrl":"http://Broker-0:8080"}', b"[]", b'{"httpUrl":7}', b"x"])
def test_brokers_of_this_cluster(tmp_path: Path, answer: bytes) -> None:
    """Brokers that ZooKeeper knows are asked, and those that do not tell who owns a topic."""
    with fake_broker(answers("a") | {"/lookup/v2/topic/persistent/t/ns/a": Reply(body=answer)}) as broker:
        assert Collected() == run(tmp_path, broker, tree("a"), hosts=["broker-0"]).done


@pytest.mark.fault("Brokers", "an answer does not come")
def test_slow_broker(tmp_path: Path) -> None:
    """What is not answered before BROKER_TIMEOUT is not saved. Later answers that came in time are."""
    with fake_broker(answers("abcdef", b=SLOW)) as broker:
        begin = time.monotonic()
        found = run(tmp_path, broker, tree("abcdef"), timeout=1)
        assert time.monotonic() - begin < 30
    assert {("schemas", Reason.LATE): 1, ("topicPolicies", Reason.LATE): 1, ("cursor", Reason.LATE): 6} == (
        found.done.not_saved
    )
    assert {"BROKER_TIMEOUT had passed"} == set(found.why().values())


@pytest.mark.fault("Brokers", "the port of the binary protocol does not answer")
def test_policies_that_do_not_come(tmp_path: Path) -> None:
    """Reading policies takes at most half of the time, because it uses another port. Positions are still saved."""
    over = threading.Event()

    class Hanging:
        def events(self, _topic: str) -> Iterator[Event]:
            over.wait(60)
            raise NotSavedError(Reason.UNREACHABLE, "Timeout")

    try:
        with fake_broker(answers("abc")) as broker:
            found = run(tmp_path, broker, tree("abc"), reads=Hanging, timeout=2)
    finally:
        over.set()
    assert {"SavedSchemas": 3, "SavedCursor": 3, "NotSaved": 1} == found.saved()
    assert {("topicPolicies", Reason.LATE): 1} == found.done.not_saved


@pytest.mark.fault("Brokers", "brokers stop answering")
def test_many_without_an_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After many requests in a row without an answer, no more are sent."""
    monkeypatch.setattr("metadata_tool.broker_metadata.collector.UNREACHABLE_IN_A_ROW", 3)
    names = [f"x{number:02}" for number in range(30)]
    with fake_broker(OK, default=SLOW) as broker:
        found = run(tmp_path, broker, tree(names), request_timeout=0.05)
        assert len(broker.asked) < 10
    assert 30 == found.done.not_saved["schemas", Reason.UNREACHABLE]
    assert 30 == found.done.not_saved["cursor", Reason.UNREACHABLE]


def test_names_are_limited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of what was not saved, the first ones are named, and all are counted."""
    monkeypatch.setattr("metadata_tool.broker_metadata.collector.NAMED_NOT_SAVED", 2)
    with fake_broker({CLUSTERS: Reply(403)}) as broker:
        found = run(tmp_path, broker, tree("abcde"))
    assert 11 == found.done.not_saved.total()
    assert 5 == found.saved()["NotSaved"]


def test_record_that_is_too_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A record that does not fit a line is counted as not saved, because no reader would take it."""
    monkeypatch.setattr("metadata_tool.broker_metadata.collector.MAX_LINE", 190)
    with fake_broker(answers("a")) as broker:
        found = run(tmp_path, broker, tree("a"))
    assert {("schemas", Reason.UNSUPPORTED): 1} == found.done.not_saved


def test_answers_wait_as_lines(tmp_path: Path) -> None:
    """Answers that wait for an earlier one are kept as lines: the holes of many topics would not fit into memory."""
    names, live = [f"waiting{number}" for number in range(8)], []

    def first(_: object) -> Reply:
        time.sleep(0.5)
        live.append(sum(isinstance(each, SavedCursor) and "waiting" in each.path for each in gc.get_objects()))
        return Reply(body=b'{"cursors": {}}')

    with fake_broker(answers(names) | {stats_path("waiting0"): first}) as broker:
        assert 7 == run(tmp_path, broker, tree(names)).saved()["SavedCursor"]
    assert [0] == live


def test_unchanged_schemas(tmp_path: Path) -> None:
    """Schemas whose locator has not changed come from the earlier backup, with their own time, without a broker."""
    first, second = tmp_path / "1", tmp_path / "2"
    first.mkdir()
    second.mkdir()
    with fake_broker(answers("bdf")) as broker:
        before = run(first, broker, tree("bdf"))
    changed = [replace_mzxid(each) if each.path == b"/schemas/t/ns/d" else each for each in tree("abdg")]
    with fake_broker(answers("ad") | {CLUSTERS: Reply(403)}) as broker:
        found = run(second, broker, changed, previous=first / "broker.json")
    assert 1 == found.done.unchanged
    assert [each for each in before.records if isinstance(each, SavedSchemas) and each.topic == "t/ns/b"] == [
        each for each in found.records if isinstance(each, SavedSchemas)
    ]


@pytest.mark.fault("Brokers", "the file that is kept from the last backup is damaged")
@pytest.mark.parametrize("damage", [b"", b"\xff\n", b'{"record":"schemas"}\n', b"no end"])
def test_damaged_earlier_backup(tmp_path: Path, damage: bytes) -> None:
    """An earlier file that cannot be read counts as missing."""
    previous = tmp_path / "previous"
    previous.write_bytes(damage)
    with fake_broker(answers("a")) as broker:
        assert Collected() == run(tmp_path, broker, tree("a"), previous=previous).done


def replace_mzxid(found: Node) -> Node:
    """The same locator, set at another zxid."""
    return node(found.path, found.data, mzxid=10)


def test_token_is_in_no_record(tmp_path: Path) -> None:
    """No reason has the token, even if a broker repeats it."""
    with fake_broker(answers("a", a=Reply(401, b"bad zq7token"))) as broker:
        found = run(tmp_path, broker, tree("a"))
    assert "bad ***" in found.done.why[0]
    assert b"zq7token" not in (tmp_path / "broker.json").read_bytes()


def test_requests_are_limited(tmp_path: Path) -> None:
    """No more requests are in flight than BROKER_REQUESTS says."""
    running, most = 0, 0
    pair = threading.Barrier(2, timeout=60)

    def slowly(_asked: object) -> Reply:
        nonlocal running, most
        running += 1
        most = max(most, running)
        pair.wait()  # for the other one
        running -= 1
        return Reply(404)

    names = [f"x{number}" for number in range(8)]
    changes: Mapping[str, Replies] = {schema_path(name): slowly for name in names}
    with fake_broker({**answers(names), **changes}) as broker:
        run(tmp_path, broker, tree(names), requests=2)
    assert 2 == most
