"""Schemas of namespaces are put back into a model of the brokers, whatever kills the put-back or fails."""

import json
from collections.abc import Iterable, Iterator
from contextlib import suppress

import pytest

from metadata_tool.broker_metadata.records import SavedSchemas
from metadata_tool.errors import BrokerDenied, BrokerFailed, BrokerUnreachable, ClusterRunning
from metadata_tool.lifecycle import Heartbeat
from metadata_tool.put_back.held_namespaces import SchemaSettings
from metadata_tool.put_back.holds import Holds
from metadata_tool.put_back.namespaces import NamespaceSchemas, SchemaWork
from metadata_tool.put_back.registry import Registry
from metadata_tool.put_back.result import PutBackResult
from metadata_tool.put_back.saved_metadata import SavedNamespace
from support.broker_model import BrokerModel, deletion, lost, saved, schema
from support.fake_broker import Reply

BEFORE = SchemaSettings("FULL", None)
TOPICS = (
    saved("t/ns/a", schema(0, "a0"), schema(1, "a1"), schema(2, "a2")),
    saved("t/ns/deleted", lost(0), deletion(1), schema(2, "d2"), schema(3, "d3")),
    saved("t/ns/gone", lost(0), deletion(1)),
    saved("t/ns/kv", schema(0, '{"key":"","value":{}}', "KEY_VALUE"), schema(1, "k1")),
    saved("t/ns/b", schema(0, "b0"), schema(1, "b1"), schema(2, "b2"), schema(3, "b3")),
)
COMPLETE = {
    "t/ns/a": ["a0", "a1", "a2"],
    "t/ns/deleted": [None, None, "d2", "d3"],
    "t/ns/gone": [None, None],
    "t/ns/kv": ['{"key":"","value":{}}', "k1"],
    "t/ns/b": ["b0", "b1", "b2", "b3"],
}


NOTE = "/metadata-backup/held/t/ns"


class KilledError(Exception):
    """The end of the process."""


class NoPause(Heartbeat):
    """Waits for nothing."""

    def sleep(self, seconds: float) -> bool:
        """No time."""
        del seconds
        return False


def restored(strategy: str = "FULL", *, before: bool | None = None) -> BrokerModel:
    """The brokers of a restored cluster, in which clients are held off from registering schemas."""
    policies = {"schema_compatibility_strategy": strategy, "is_allow_auto_update_schema": False, "bundles": {"n": 4}}
    note = {"is_allow_auto_update_schema": before}
    return BrokerModel({"/admin/policies/t/ns": json.dumps(policies).encode(), NOTE: json.dumps(note).encode()})


def put_back(
    brokers: BrokerModel,
    topics: Iterable[SavedSchemas] = TOPICS,
    replace: Iterable[str] = (),
    before: SchemaSettings = BEFORE,
    keys: Iterable[str] = (),
    *,
    dry_run: bool = False,
) -> PutBackResult:
    """One run."""
    result, topics = PutBackResult("file:///x", dry_run), tuple(topics)
    namespace = SavedNamespace("t/ns", before, topics=list(range(len(topics))))
    work = NamespaceSchemas(
        Registry(brokers, brokers), Holds(brokers), SchemaWork(1, frozenset(replace)), result, NoPause()
    )
    complete = work.put_back(namespace, topics, tuple(keys))
    work.finish(namespace, complete=complete)
    return result


def texts(brokers: BrokerModel) -> dict[str, list[str | None]]:
    """The schemas of all topics."""
    return {topic: brokers.texts(topic) for topic in COMPLETE}


def test_everything_comes_back() -> None:
    """All versions have their old numbers, and the namespace has its old settings."""
    brokers = restored()
    result = put_back(brokers)
    assert result.complete
    assert COMPLETE == texts(brokers)
    assert BEFORE == brokers.settings("t/ns")
    assert {"n": 4} == json.loads(brokers.znodes["/admin/policies/t/ns"])["bundles"]
    expected = {"topics": 5, "putBack": 5, "versions": 11, "deletions": 4, "unreadable": 2}
    assert expected == {name: count for name, count in result.schemas.items() if count}
    assert {"done": 1, "released": 1} == dict(result.namespaces)


def test_again() -> None:
    """A second run changes nothing."""
    brokers = restored()
    put_back(brokers)
    brokers.asked.clear()
    result = put_back(brokers)
    assert [] == brokers.changes
    assert (5, 0, True) == (result.schemas["present"], result.schemas["putBack"], result.complete)


@pytest.mark.fault("Put-back", "a put-back is killed between two requests")
@pytest.mark.parametrize("moment", range(1, 21))
def test_killed(moment: int) -> None:
    """A put-back that is killed between any two requests is completed by the next."""
    brokers = restored()

    def kill(*_: str) -> None:
        if len(brokers.asked) >= moment:
            raise KilledError

    brokers.hook = kill
    with pytest.raises(KilledError):
        put_back(brokers)
    assert brokers.settings("t/ns").auto_update is not True, "clients must be held off until all is back"
    brokers.hook = lambda *_: None
    assert put_back(brokers).complete
    assert COMPLETE == texts(brokers)
    assert BEFORE == brokers.settings("t/ns")


def unfinished(brokers: BrokerModel) -> bool:
    """Whether the next run has to expect what an earlier one has changed for a while."""
    result = PutBackResult("", dry_run=True)
    work = NamespaceSchemas(Registry(brokers, brokers), Holds(brokers), SchemaWork(1), result, NoPause())
    return work.is_unfinished(SavedNamespace("t/ns"))


def test_backup_meanwhile() -> None:
    """While a namespace accepts all versions, its own strategy is in the tree, so a backup has it."""
    brokers, seen = restored(), set[str]()

    def look(*_: str) -> None:
        if brokers.settings("t/ns").strategy == "ALWAYS_COMPATIBLE":
            seen.add(brokers.znodes[NOTE].decode())

    brokers.hook = look
    assert put_back(brokers).complete
    assert ['{"is_allow_auto_update_schema":null,"schema_compatibility_strategy":"FULL"}'] == [*seen]
    assert b"{}" == brokers.znodes[NOTE]


@pytest.mark.parametrize("strategy", ["FULL", "ALWAYS_COMPATIBLE"])
def test_killed_where_registration_was_not_allowed(strategy: str) -> None:
    """The next run knows that it follows one that was killed, also if the namespace never allowed registration.

    So it sets back the strategy of a topic that the killed run had changed for a while.
    """
    brokers, before = restored(strategy), SchemaSettings(strategy, auto_update=False)
    brokers.znodes[NOTE], brokers.strategies["t/ns/a"] = b"{}", "FULL"

    def kill(*_: str) -> None:
        if brokers.strategies["t/ns/a"] == "ALWAYS_COMPATIBLE":
            raise KilledError

    assert not unfinished(brokers)
    brokers.hook = kill
    with pytest.raises(KilledError):
        put_back(brokers, before=before, keys=["persistent://t/ns/a"])
    assert unfinished(brokers)
    brokers.hook = lambda *_: None
    assert put_back(brokers, before=before, keys=["persistent://t/ns/a"]).complete
    assert (False, before) == (unfinished(brokers), brokers.settings("t/ns"))


@pytest.mark.fault("Put-back", "a put-back is stopped, or fails")
@pytest.mark.parametrize("stop", [KeyboardInterrupt, BrokerFailed("a fault")], ids=["stopped", "failed"])
def test_stopped(stop: type[BaseException] | BaseException) -> None:
    """A put-back that is stopped leaves no namespace that accepts all schemas, because it may never run again."""
    brokers, stops = restored(), iter([stop])

    def topics() -> Iterator[SavedSchemas]:
        yield from (saved(f"t/ns/x{number:03}", schema(0, "x")) for number in range(100))
        raise next(stops)

    namespace = SavedNamespace("t/ns", BEFORE, topics=list(range(200)))
    work = NamespaceSchemas(
        Registry(brokers, brokers), Holds(brokers), SchemaWork(1), PutBackResult("", dry_run=False), NoPause()
    )
    with suppress(KeyboardInterrupt):
        work.put_back(namespace, topics())
    assert ["PUT", "PUT"] == [method for method, _ in brokers.changes if method == "PUT"], "set, and set back"
    assert SchemaSettings("FULL", auto_update=False) == brokers.settings("t/ns")


@pytest.mark.fault("Put-back", "a broker does not give out one version")
def test_one_version_that_cannot_be_read() -> None:
    """A version that a broker does not give out fails its own topic alone."""
    brokers = restored()
    assert put_back(brokers).complete
    brokers.znodes["/admin/policies/t/ns"] = restored().znodes["/admin/policies/t/ns"]
    brokers.request("DELETE", "/admin/v2/schemas/t/ns/b/schema?force=true")

    def fail(method: str, path: str) -> None:
        if method == "GET" and path.endswith("kv/schema/0"):
            raise BrokerFailed("500")

    brokers.hook = fail
    result = put_back(brokers)
    assert COMPLETE == texts(brokers)
    assert ["persistent://t/ns/kv"] == [problem.name for problem in result.problems]


@pytest.mark.fault("Put-back", "the answer to a request is lost")
@pytest.mark.parametrize("method", ["PUT", "POST", "DELETE"])
@pytest.mark.parametrize("error", [BrokerUnreachable("timed out"), BrokerFailed("500")], ids=["unreachable", "failed"])
@pytest.mark.parametrize("done", [False, True], ids=["not done", "done"])
def test_lost_answers(method: str, error: BrokerFailed, *, done: bool) -> None:
    """A request without an answer may have been done, and is not done twice."""
    brokers = restored()
    lost_once = iter([True])
    plain = brokers.request

    def request(asked: str, path: str, body: bytes | None = None, *, repeatable: bool | None = None) -> object:
        if asked == method and "/schemas/" in path and next(lost_once, False):
            if done:
                plain(asked, path, body, repeatable=repeatable)
            raise error
        return plain(asked, path, body, repeatable=repeatable)

    brokers.request = request  # type: ignore[method-assign, assignment]
    assert put_back(brokers).complete
    assert COMPLETE == texts(brokers)


@pytest.mark.fault("Put-back", "a client registers a schema first")
def test_client_first() -> None:
    """A topic for which a client registered a schema first stays as it is, is named, and keeps clients held off."""
    brokers = restored()
    held = brokers.znodes["/admin/policies/t/ns"]
    brokers.znodes["/admin/policies/t/ns"] = b'{"schema_compatibility_strategy": "FULL"}'
    assert brokers.register("t/ns/a", "foreign")
    brokers.znodes["/admin/policies/t/ns"] = held
    result = put_back(brokers)
    assert ["foreign"] == brokers.texts("t/ns/a")
    assert COMPLETE | {"t/ns/a": ["foreign"]} == texts(brokers)
    assert SchemaSettings("FULL", auto_update=False) == brokers.settings("t/ns")
    (problem,) = result.problems
    assert "persistent://t/ns/a" == problem.name
    assert "metadata-tool put-back --replace-schemas persistent://t/ns/a" in problem.hint
    assert (1, 4, 1) == (result.schemas["refused"], result.schemas["putBack"], result.namespaces["held"])
    again = put_back(brokers, replace=["t/ns/a"])
    assert (True, 1, {"done": 1, "released": 1}) == (again.complete, again.schemas["replaced"], dict(again.namespaces))
    assert COMPLETE == texts(brokers)


def test_brokers_topics() -> None:
    """Schemas that brokers registered themselves do not hold clients off."""
    brokers = restored()
    brokers.request(
        "POST", "/admin/v2/schemas/t/ns/__change_events/schema", b'{"type":"AVRO","schema":"new","properties":{}}'
    )
    result = put_back(brokers, [saved("t/ns/__change_events", schema(0, "old"))])
    assert (True, 1) == (result.complete, result.note_count)
    assert ["new"] == brokers.texts("t/ns/__change_events")
    assert BEFORE == brokers.settings("t/ns")


def test_dry_run() -> None:
    """A dry run changes nothing, and counts what a run would do."""
    brokers = restored()
    dry = put_back(brokers, dry_run=True)
    assert [] == brokers.changes
    done = put_back(brokers)
    assert (done.schemas, done.namespaces) == (dry.schemas, dry.namespaces)


def test_changed_strategy() -> None:
    """A namespace whose strategy somebody has changed since the restore is left alone."""
    brokers = restored("BACKWARD")
    result = put_back(brokers)
    assert [] == brokers.changes
    assert (5, False) == (result.schemas["refused"], result.complete)
    assert "is BACKWARD, and was FULL at the backup" in result.problems[0].why


@pytest.mark.parametrize("auto_update", [True, None])
def test_old_settings(*, auto_update: bool | None) -> None:
    """Clients may register schemas afterwards as they might before."""
    brokers = restored("UNDEFINED", before=auto_update)
    before = SchemaSettings("UNDEFINED", auto_update)
    put_back(brokers, before=before)
    assert before == brokers.settings("t/ns")


def test_never_allowed() -> None:
    """A namespace in which clients could not register schemas before the restore stays as it was."""
    brokers = restored()
    brokers.znodes[NOTE] = b"{}"
    result = put_back(brokers, before=SchemaSettings("FULL", auto_update=False))
    assert ({"done": 1}, False) == (dict(result.namespaces), brokers.settings("t/ns").auto_update)


def test_backup_of_a_held_namespace() -> None:
    """If the backup was made while clients were held off, what the restore noted counts, and they are released."""
    brokers = restored(before=True)
    result = put_back(brokers, before=SchemaSettings("FULL", auto_update=False))
    assert (1, SchemaSettings("FULL", auto_update=True)) == (result.namespaces["released"], brokers.settings("t/ns"))


@pytest.mark.fault("Put-back", "the brokers are those of another cluster")
def test_other_brokers() -> None:
    """Brokers that know other policies than this ZooKeeper has are not asked to change anything."""
    brokers, others = restored(), restored()
    others.znodes["/admin/policies/t/ns"] = b"{}"
    work = NamespaceSchemas(
        Registry(others, brokers), Holds(brokers), SchemaWork(1), PutBackResult("", dry_run=False), NoPause()
    )
    with pytest.raises(ClusterRunning, match="other policies of namespace t/ns"):
        work.put_back(SavedNamespace("t/ns", BEFORE, topics=[0]), TOPICS[:1])
    assert [] == others.changes


@pytest.mark.fault("Put-back", "a broker refuses a schema")
def test_refused_by_broker() -> None:
    """A request that a broker refuses is not sent again, and its topic is named with the broker's words."""
    brokers = restored()
    brokers.hook = lambda _, path: Reply(409, b"incompatible") if "schemas/t/ns/a/" in path else None
    result = put_back(brokers)
    assert 1 == sum("schemas/t/ns/a/" in path for _, path in brokers.asked)
    assert (1, 4) == (result.schemas["failed"], result.schemas["putBack"])
    assert "409, incompatible" in result.problems[0].why
    assert brokers.settings("t/ns") == SchemaSettings("FULL", auto_update=False)


def test_damaged_locator() -> None:
    """The report names the znode of a damaged locator, and the next run is complete once it is deleted."""
    brokers = restored()
    brokers.znodes["/schemas/t/ns/a"] = b"\xff\xff"
    (problem,) = put_back(brokers).problems
    assert "persistent://t/ns/a" == problem.name
    assert "Delete the znode /schemas/t/ns/a, which no broker can read or replace, then run put-back" in problem.hint
    del brokers.znodes["/schemas/t/ns/a"]
    assert put_back(brokers).complete
    assert COMPLETE == texts(brokers)


def test_denied_topic() -> None:
    """What to do about a topic is what the error says, not only to run put-back again."""
    brokers = restored()

    def deny(_: str, path: str) -> None:
        if "schemas/t/ns/a/" in path:
            raise BrokerDenied("refused the login", "Check the token")

    brokers.hook = deny
    assert ["Check the token, then run put-back again"] == [problem.hint for problem in put_back(brokers).problems]


@pytest.mark.fault("Put-back", "the login is not allowed to change anything")
def test_denied() -> None:
    """Without permission for a namespace, it is named, and nothing else fails."""
    brokers = restored()

    def request(*_: object, **__: object) -> None:
        raise BrokerDenied("refused the login", "Check it")

    brokers.request = request  # type: ignore[method-assign, assignment]
    result = put_back(brokers)
    assert [("t/ns", "refused the login")] == [(problem.name, problem.why) for problem in result.problems]


@pytest.mark.fault("Put-back", "no broker answers")
def test_nobody_answers() -> None:
    """A run ends with an error if no broker answers."""
    brokers = restored()
    plain = brokers.request

    def request(method: str, path: str, body: bytes | None = None, *, repeatable: bool | None = None) -> object:
        if "/schemas/" in path or "/clusters" in path:
            raise BrokerUnreachable("down")
        return plain(method, path, body, repeatable=repeatable)

    brokers.request = request  # type: ignore[method-assign, assignment]
    with pytest.raises(BrokerUnreachable):
        put_back(brokers)


@pytest.mark.parametrize("keys", [["persistent://t/ns/a"], []])
def test_own_strategy_of_a_topic(keys: list[str]) -> None:
    """A topic whose own strategy refuses versions accepts them for a while, if its policies are put back afterwards."""
    brokers = restored()
    brokers.strategies["t/ns/a"] = "FULL"
    result = put_back(brokers, keys=keys)
    assert bool(keys) == result.complete
    assert ("ALWAYS_COMPATIBLE" if keys else "FULL") == brokers.strategies["t/ns/a"]
    assert keys or "its own schemaCompatibilityStrategy FULL refuses" in result.problems[0].why
