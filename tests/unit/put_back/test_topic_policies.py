"""What a put-back does with topic policies: events that were saved, and events that are there."""

from collections.abc import Iterable, Mapping, Sequence

import pytest

from metadata_tool.broker_metadata.records import PolicySchema, SavedPolicies
from metadata_tool.broker_metadata.topic_policies import Event
from metadata_tool.errors import BrokerFailed
from metadata_tool.put_back.policies import NamespacePolicies
from metadata_tool.put_back.result import PutBackResult

ASKED = 1_000
"""When the backup asked brokers."""


LOCAL, GLOBAL = b"\x00\x00\x02\x02\x04c1\x00", b"\x00\x00\x00\x00"
"""Starts of events: two enums, and the clusters to replicate to, none for policies of all clusters."""


def policies(key: str, published: int = 500, start: bytes = LOCAL) -> SavedPolicies:
    """Policies as they are saved."""
    return SavedPolicies("t/ns", ASKED, key, published, start + b"saved", 0)


def event(key: str, published: int, text: bytes = b"x", start: bytes = LOCAL) -> Event:
    """An event that is there, which deletes without a text."""
    return Event(key, start + text if text else b"", published, 0)


class Events:
    """The events of a namespace, in memory."""

    def __init__(self, *there: Event, deaf: bool = False) -> None:
        self.there, self.deaf = list(there), deaf
        self.sent: list[str] = []

    def read(self, namespace: str) -> list[Event]:
        """All events of the one namespace."""
        assert "t/ns" == namespace
        return self.there

    def send(self, namespace: str, events: Sequence[SavedPolicies], schemas: Mapping[int, PolicySchema]) -> None:
        """Add events."""
        assert ("t/ns", {0}) == (namespace, set(schemas))
        self.sent += [event.key for event in events]
        if not self.deaf:
            self.there += [Event(each.key, each.event, 5_000, 0) for each in events]


def put_back(
    events: Events,
    *saved: SavedPolicies,
    accepting: Iterable[str] = (),
    strategy: str = "",
    unfinished: bool = False,
    dry_run: bool = False,
) -> PutBackResult:
    """One run."""
    result = PutBackResult("", dry_run)
    work = NamespacePolicies(events, lambda _: strategy, result)
    schemas = {0: PolicySchema("t/ns", ASKED, 0, "{}")}
    complete = work.put_back("t/ns", saved, schemas, set(accepting), unfinished=unfinished)
    assert complete == result.complete
    return result


@pytest.mark.parametrize(
    ("current", "sent", "count"),
    [
        (None, ["k"], "sent"),
        (event("k", 500, b"saved"), [], "present"),
        (event("k", 2_000, b"saved"), [], "present"),
        (event("k", 100, b"older"), ["k"], "sent"),
        (event("k", 2_000, b"newer"), [], "changed"),
        (event("k", 2_000, b""), [], "changed"),
        (event("k", 100, b""), ["k"], "sent"),
    ],
    ids=["absent", "equal", "put back before", "from tiered storage", "changed since", "deleted since", "was deleted"],
)
def test_each_case(current: Event | None, sent: list[str], count: str) -> None:
    """What is absent or older is sent, and what somebody has changed since the backup stays."""
    events = Events(*([current] if current else []))
    result = put_back(events, policies("k"))
    assert sent == events.sent
    assert {"saved": 1, count: 1} == {name: number for name, number in result.policies.items() if number}
    assert result.complete
    assert (count == "changed") == bool(result.notes)


def test_returned() -> None:
    """Policies that were deleted before the backup and came back with offloaded events stay, and are named."""
    events = Events(event("old", 100), event("new", 2_000), event("gone", 50), event("gone", 100, b""))
    result = put_back(events, policies("k"))
    assert (["k"], ["old"]) == (events.sent, [note.name for note in result.notes])


def test_order() -> None:
    """Events are sent in the order in which they were published."""
    events = Events()
    put_back(events, policies("late", 9), policies("early", 3))
    assert ["early", "late"] == events.sent


def test_again() -> None:
    """A second run sends nothing."""
    events = Events()
    put_back(events, policies("a"), policies("b"))
    result = put_back(events, policies("a"), policies("b"))
    assert (2, 2) == (len(events.sent), result.policies["present"])


@pytest.mark.fault("Put-back", "events of topic policies do not arrive")
def test_events_that_do_not_arrive() -> None:
    """Events that brokers do not give out after they were sent are a problem, with the name of one."""
    result = put_back(Events(deaf=True), policies("k"))
    assert (1, False) == (result.policies["failed"], result.complete)
    assert "such as that of k" in result.problems[0].why


@pytest.mark.fault("Put-back", "events of topic policies cannot be read")
def test_unreadable_events() -> None:
    """A namespace whose events cannot be read is named, with the broker's words."""

    class Broken(Events):
        def read(self, namespace: str) -> list[Event]:
            raise BrokerFailed(f"{namespace} has no owner")

    result = put_back(Broken(), policies("k"))
    assert [("t/ns", "t/ns has no owner")] == [(problem.name, problem.why) for problem in result.problems]


def test_dry_run() -> None:
    """A dry run sends nothing."""
    events = Events()
    assert (1, []) == (put_back(events, policies("k"), dry_run=True).policies["sent"], events.sent)


def test_same_key() -> None:
    """Policies of one cluster and of all clusters are different ones, though they may have the same key."""
    events = Events(event("k", 2_000, b"newer", GLOBAL))
    result = put_back(events, policies("k", 7, GLOBAL), policies("k", 8, LOCAL))
    assert (["k"], 1, 1) == (events.sent, result.policies["sent"], result.policies["changed"])


@pytest.mark.parametrize(
    ("accepting", "unfinished", "strategy", "sent"),
    [
        (["k"], False, "", ["k"]),
        ([], True, "ALWAYS_COMPATIBLE", ["k"]),
        ([], True, "FULL", []),
        ([], False, "ALWAYS_COMPATIBLE", []),
    ],
    ids=["this run", "a killed run", "somebody", "somebody later"],
)
def test_own_change(*, accepting: list[str], unfinished: bool, strategy: str, sent: list[str]) -> None:
    """Policies that a put-back has changed itself, to accept all versions for a while, are put back, too."""
    events = Events(event("k", 2_000, b"accepts all"))
    put_back(events, policies("k"), accepting=accepting, strategy=strategy, unfinished=unfinished)
    assert sent == events.sent


class Counted(SavedPolicies):
    """Counts comparisons of records."""

    compared = 0

    def __eq__(self, other: object) -> bool:
        """Whether it is the same."""
        Counted.compared += 1
        return self is other

    __hash__ = SavedPolicies.__hash__


def test_many_policies() -> None:
    """Policies of many topics are not compared each with each: a namespace may have 200,000."""
    records = [Counted("t/ns", ASKED, f"k{number}", 500, LOCAL + b"saved", 0) for number in range(100)]
    assert 100 == put_back(Events(), *records).policies["sent"]
    assert Counted.compared < 1_000
