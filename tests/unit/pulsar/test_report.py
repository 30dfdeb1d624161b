"""The report of a recovery."""

import json
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from metadata_tool.broker_metadata.broker_file import BrokerFile
from metadata_tool.broker_metadata.records import Hole, Position, SavedCursor
from metadata_tool.broker_metadata.restorable import Hold, Restorable
from metadata_tool.pulsar.coverage import Coverage, CoverageCounts
from metadata_tool.pulsar.holds import AUTO_UPDATE, RETENTION, TTL
from metadata_tool.pulsar.ids import Counter as IdCounter
from metadata_tool.pulsar.migration import Migration
from metadata_tool.pulsar.moved_buckets import MovedBuckets
from metadata_tool.pulsar.recovery import RecoveryChanges
from metadata_tool.pulsar.report import RecoveryReport, RestoredFromBrokers
from metadata_tool.pulsar.rules import RecoveryPlan, Scope
from metadata_tool.pulsar.tree_facts import TreeFacts

PLAN = RecoveryPlan(Scope.BOOKIES_LOST, IdCounter(None, 1001), 5, 6)
FACTS = TreeFacts(highest_id=41, has_ledgers=True)
SHOP = CoverageCounts(2, 3, 30, 1, 10, 1, 1, 2, 1, 4)
LINES = [
    "RESTORE_SCOPE is bookies-lost. New ledgers get ids from 1001",
    (
        "all namespaces together have 0 topics, 0 never offloaded. Tiered storage has 0 entries (0 bytes). "
        "Lost are 0 entries (0 bytes) and the entries of 0 open ledgers. "
        "ZooKeeper does not have 0 schemas and the exact positions of 0 of 0 subscriptions"
    ),
]


def report(**changes: Any) -> RecoveryReport:
    """The report of a recovery that found and changed nothing, except for these fields."""
    return replace(RecoveryReport(PLAN, FACTS, RecoveryChanges(), Coverage()), **changes)


def test_shortest_text() -> None:
    """The text has the scope, the next id and the total of the coverage."""
    assert LINES == report().lines()


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        pytest.param(
            {"plan": replace(PLAN, rename=("old", "new"))}, ["cluster old was renamed to new"], id="renamed cluster"
        ),
        pytest.param(
            {"plan": replace(PLAN, buckets=MovedBuckets((("a", "b"), ("c", "d"))))},
            ["bucket a is now b", "bucket c is now d"],
            id="moved buckets",
        ),
        pytest.param(
            {"changes": RecoveryChanges(Counter(topics=2, cookies=1), Counter(ledgers=1))},
            [
                "1 znode changed by the rule `cookies`",
                "2 znodes changed by the rule `topics`",
                "1 znode removed by the rule `ledgers`",
            ],
            id="rules",
        ),
    ],
)
def test_lines(changes: dict[str, Any], expected: list[str]) -> None:
    """What a recovery did has lines of its own."""
    assert [LINES[0], *expected, LINES[1]] == report(**changes).lines()


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        pytest.param(
            {"findings": ("the tree has no /ledgers",)},
            ["the tree has no /ledgers"],
            id="findings",
        ),
        pytest.param(
            {"changes": RecoveryChanges(undecodable=["/a: not JSON"], undecodable_count=7)},
            ["7 znodes could not be decoded and stayed unchanged", "not decoded: /a: not JSON"],
            id="undecodable",
        ),
        pytest.param(
            {"large": ("/a (9 bytes)", "/b (8 bytes)")},
            [
                (
                    "some znodes are larger than jute.maxbuffer of the new servers: /a (9 bytes), /b (8 bytes). "
                    "Set jute.maxbuffer of ZooKeeper, brokers and bookies to more than these sizes"
                )
            ],
            id="large",
        ),
        pytest.param(
            {"facts": replace(FACTS, terminated=["a/b/c"], terminated_count=1)},
            ["reopened 1 terminated topic: a/b/c"],
            id="terminated",
        ),
        pytest.param(
            {"facts": replace(FACTS, terminated=["a/b/c"], terminated_count=3)},
            ["reopened 3 terminated topics: a/b/c and 2 more"],
            id="more terminated",
        ),
        pytest.param(
            {"facts": replace(FACTS, migration=Migration("COMPLETED", "oxia://x"))},
            [
                (
                    "at the backup, Pulsar's metadata was moving or had moved to oxia://x (phase COMPLETED). "
                    "Brokers now use the restored ZooKeeper, and later changes in the other store are not in it"
                )
            ],
            id="move to another store",
        ),
        pytest.param({"facts": replace(FACTS, migration=Migration("FAILED", "oxia://x"))}, [], id="failed move"),
        pytest.param(
            {"facts": replace(FACTS, has_ledgers=False)},
            [
                (
                    "the backup has no /ledgers, so BookKeeper keeps its ledger ids elsewhere. "
                    "Raise the id counter there to 1001 before the brokers start"
                )
            ],
            id="no BookKeeper",
        ),
    ],
)
def test_warnings(changes: dict[str, Any], expected: list[str]) -> None:
    """What the operator has to know or to do before the brokers start is a warning, which has one line."""
    assert (expected, LINES) == (report(**changes).warnings(), report(**changes).lines())


@pytest.mark.parametrize(
    ("scope", "lost"), [(Scope.BOOKIES_LOST, "Lost are"), (Scope.BOOKIES_KEPT, "Only BookKeeper has")]
)
def test_coverage_lines(scope: Scope, lost: str) -> None:
    """Each namespace has a line with what came back, and what is lost or in BookKeeper."""
    changes = {"plan": replace(PLAN, scope=scope), "coverage": Coverage({"shop/orders": SHOP})}
    expected = (
        f"2 topics, 1 never offloaded. Tiered storage has 3 entries (30 bytes). {lost} 1 entry (10 bytes) and "
        "the entries of 1 open ledger. ZooKeeper does not have 4 schemas and the exact positions of 1 of 2 "
        "subscriptions"
    )
    lines = report(**changes).lines()
    assert [f"namespace shop/orders has {expected}", f"all namespaces together have {expected}"] == lines[1:]


def test_terminated_topics_stay_with_kept_bookies() -> None:
    """If the bookies are kept, no terminated topic is reopened."""
    changes = {"plan": replace(PLAN, scope=Scope.BOOKIES_KEPT), "facts": replace(FACTS, terminated_count=1)}
    assert not [line for line in report(**changes).warnings() if "terminated" in line]


def test_kept_bookies_can_keep_later_ledgers() -> None:
    """If the bookies are kept, a warning has the settings with which they delete nothing."""
    expected = (
        "bookies delete the ledgers that were created after this backup, unless they are started with "
        "gcWaitTime=315360000000, minorCompactionInterval=-1, majorCompactionInterval=-1"
    )
    assert [expected] == report(plan=replace(PLAN, scope=Scope.BOOKIES_KEPT)).warnings()


def test_namespaces_are_limited() -> None:
    """The text lists a limited number of namespaces, and counts the others."""
    namespaces = {f"shop/{n}": SHOP for n in range(5)}
    lines = report(coverage=Coverage(namespaces)).lines(max_namespaces=2)
    assert ["namespace shop/0 ", "namespace shop/1 ", "3 more namespaces"] == [line[:17] for line in lines[1:4]]
    assert ["3 more namespaces not listed here"] == lines[3:-1]
    assert lines[-1].startswith("all namespaces together have 10 topics")


def test_json() -> None:
    """The JSON has everything, and is the same for the same recovery."""
    facts = replace(FACTS, retention={"shop/orders": None}, terminated=["a/b/c"], terminated_count=1)
    facts.migration = Migration("COMPLETED", "oxia://x")
    changes = RecoveryChanges(Counter(b=1, a=2), Counter(c=3), ["/x: not JSON"], 1)
    coverage = Coverage({"shop/orders": SHOP})
    made = report(
        facts=facts, changes=changes, coverage=coverage, findings=("the tree has no /ledgers",), large=("/y (9 bytes)",)
    )
    expected = {
        "scope": "bookies-lost",
        "clusters": [],
        "renamed": None,
        "infiniteRetention": False,
        "retentionBefore": {},
        "buckets": {},
        "highestLedgerId": 41,
        "nextLedgerId": 1001,
        "terminated": {"count": 1, "first": ["a/b/c"]},
        "changed": {"a": 2, "b": 1},
        "removed": {"c": 3},
        "undecodable": {"count": 1, "first": ["/x: not JSON"]},
        "large": ["/y (9 bytes)"],
        "migration": {"phase": "COMPLETED", "targetUrl": "oxia://x"},
        "findings": ["the tree has no /ledgers"],
        "origin": None,
        "brokerMetadata": {
            "saved": {},
            "notSaved": {},
            "positions": 0,
            "shortened": 0,
            "holesLeftOut": 0,
            "impossible": 0,
            "putBack": {},
            "held": {"namespaces": 0, "settings": {}, "before": {}},
        },
        "coverage": made.coverage.to_json(1),
    }
    assert expected == json.loads(made.encode())
    assert made.encode() == json.dumps(expected, indent=2).encode() + b"\n"


BROKER = BrokerFile(9, "", {"schemas": 3, "cursor": 7, "topicPolicies": 1}, {"cursor": 2})
HELD = [
    Hold("shop/a", {AUTO_UPDATE: None}, {AUTO_UPDATE: False}),
    Hold("shop/b", {AUTO_UPDATE: True}, {AUTO_UPDATE: False}),
    Hold("shop/c", {}, {AUTO_UPDATE: None}, noted=False),
    Hold("shop/d", {}, {}),
]
HOUR = {"retentionTimeInMinutes": 60, "retentionSizeInMB": 5}


def from_brokers(broker: BrokerFile | None = BROKER, holes: int = 3) -> RestoredFromBrokers:
    """What was taken from a backup: a position with this many of its three holes, and the holds of HELD."""
    restorable, hole = Restorable(), Hole(Position(3, 5), Position(3, 6))
    restorable.note(SavedCursor("t/n/persistent/a/s", 7, Position(3, 4), (hole,) * 3), holes)
    return RestoredFromBrokers.of(broker, restorable, HELD)


def test_broker_metadata() -> None:
    """The JSON has what was taken from brokers, what is to be put back, and what held namespaces allowed before."""
    expected = {
        "saved": {"schemas": 3, "cursor": 7, "topicPolicies": 1},
        "notSaved": {"cursor": 2},
        "positions": 1,
        "shortened": 1,
        "holesLeftOut": 2,
        "impossible": 0,
        "putBack": {"schemas": 3, "topicPolicies": 1},
        "held": {
            "namespaces": 2,
            "settings": {AUTO_UPDATE: 2},
            "before": {"shop/a": {AUTO_UPDATE: None}, "shop/b": {AUTO_UPDATE: True}},
        },
    }
    made = report(from_brokers=from_brokers(holes=1))
    assert expected == json.loads(made.encode())["brokerMetadata"]
    gave = "brokers gave out 3 topics' schemas, 7 subscriptions' positions and 1 topic's policies for this backup"
    assert [gave, "1 subscription got the exact position"] == made.lines()[1:-1]


def test_held_namespaces_in_the_report_are_limited() -> None:
    """Of many held namespaces the first are named, and all are counted."""
    held = [Hold(f"shop/{number:05}", {TTL: None}, {TTL: 0}) for number in range(10_005)]
    found = RestoredFromBrokers.of(BROKER, Restorable(), held)
    assert (10_005, 10_000, {TTL: 10_005}) == (found.held_count, len(found.held), found.held_settings)
    (warning,) = [line for line in report(from_brokers=found).warnings() if "delete nothing" in line]
    assert "10005 namespaces (shop/00000, " in warning
    assert ", shop/00019 and 9985 more) have policies" in warning


KEEPING = RestoredFromBrokers.of(
    None,
    Restorable(),
    [
        Hold("lab/a", {AUTO_UPDATE: None, RETENTION: HOUR, TTL: None}, {}),
        Hold("lab/b", {TTL: 7}, {}),
        Hold("lab/c", {AUTO_UPDATE: None}, {}),
    ],
)


@pytest.mark.parametrize(
    ("found", "scope", "expected"),
    [
        pytest.param(RestoredFromBrokers(), Scope.BOOKIES_LOST, [], id="none"),
        pytest.param(
            from_brokers(),
            Scope.BOOKIES_LOST,
            [
                (
                    "3 topics' schemas and 1 topic's policies of the backup are not in ZooKeeper. When the brokers "
                    "run, put them back by `metadata-tool put-back`. Until then, clients cannot register schemas in 2 "
                    "namespaces"
                ),
                "brokers did not give out 2 subscriptions' positions for this backup",
            ],
            id="all",
        ),
        pytest.param(
            RestoredFromBrokers({"topicPolicies": 2}, shortened=1, holes_left_out=5, impossible=2),
            Scope.BOOKIES_LOST,
            [
                (
                    "2 topics' policies of the backup are not in ZooKeeper. When the brokers run, "
                    "put them back by `metadata-tool put-back`"
                ),
                (
                    "not all acknowledgements of 1 subscription fit into a znode, so 5 ranges of acknowledged messages "
                    "come again"
                ),
                (
                    "the positions that brokers gave out for 2 subscriptions are in ledgers that the cluster cannot "
                    "have had, so those in ZooKeeper were kept"
                ),
            ],
            id="holes",
        ),
        pytest.param(
            from_brokers(),
            Scope.BOOKIES_KEPT,
            [
                (
                    "clients cannot register schemas in 2 namespaces, because nothing was put back after an earlier "
                    "restore. Allow it by `pulsar-admin namespaces set-is-allow-auto-update-schema --enable`"
                )
            ],
            id="bookies kept",
        ),
        pytest.param(RestoredFromBrokers({"schemas": 3}), Scope.BOOKIES_KEPT, [], id="bookies kept, nothing held"),
        pytest.param(
            replace(KEEPING, saved={"topicPolicies": 1}),
            Scope.BOOKIES_LOST,
            [
                (
                    "1 topic's policies of the backup are not in ZooKeeper. When the brokers run, put them back by "
                    "`metadata-tool put-back`. Until then, clients cannot register schemas in 2 namespaces"
                ),
                (
                    "2 namespaces (lab/a, lab/b) have policies by which brokers delete nothing (message_ttl_in_seconds "
                    "in 2, retention_policies in 1) until `metadata-tool put-back` has brought back the policies of "
                    "topics that override them"
                ),
            ],
            id="policies of topics",
        ),
        pytest.param(
            replace(KEEPING, held_settings={TTL: 2}),
            Scope.BOOKIES_KEPT,
            [
                (
                    "2 namespaces (lab/a, lab/b) have policies by which brokers delete nothing (message_ttl_in_seconds "
                    "in 2), because nothing was put back after an earlier restore. Set these policies to what "
                    "restore-report.json has in brokerMetadata.held.before"
                )
            ],
            id="bookies kept, policies of topics",
        ),
    ],
)
def test_what_brokers_must_get_back(found: RestoredFromBrokers, scope: Scope, expected: list[str]) -> None:
    """Warnings say what is to be put back, and what did not come back."""
    plan = replace(PLAN, scope=scope, infinite_retention=True)
    usual = report(plan=plan).warnings()
    made = report(plan=plan, from_brokers=found).warnings()
    assert expected == [line for line in made if line not in usual]


@pytest.mark.parametrize(
    ("not_saved", "scope", "infinite", "expected"),
    [
        pytest.param({"topicPolicies": 2}, Scope.BOOKIES_LOST, False, True, id="topics may have a retention"),
        pytest.param({"topicPolicies": 2}, Scope.BOOKIES_LOST, True, False, id="all is retained"),
        pytest.param({"schemas": 2}, Scope.BOOKIES_LOST, False, False, id="all policies were saved"),
        pytest.param({"topicPolicies": 2}, Scope.BOOKIES_KEPT, False, False, id="policies are in the bookies"),
    ],
)
def test_retention_of_topics(not_saved: dict[str, int], scope: Scope, infinite: bool, expected: bool) -> None:
    """A warning tells that brokers may delete what only the policies of a topic keep that the backup lacks."""
    plan = replace(PLAN, scope=scope, infinite_retention=infinite)
    warnings = report(plan=plan, from_brokers=RestoredFromBrokers({"topicPolicies": 1}, not_saved)).warnings()
    said = [line for line in warnings if "INFINITE_RETENTION=true (in the chart restore.infiniteRetention)" in line]
    assert expected == bool(said)


def test_earlier_retention() -> None:
    """With infinite retention, the JSON has the earlier retention of each namespace."""
    retention = {"shop/kept": {"retentionTimeInMinutes": 60}, "shop/orders": None}
    made = report(facts=replace(FACTS, retention=retention), plan=replace(PLAN, infinite_retention=True))
    assert retention == made.to_json()["retentionBefore"]
    held = RestoredFromBrokers.of(None, Restorable(), [Hold("shop/orders", {}, {RETENTION: HOUR}, noted=False)])
    made = replace(made, from_brokers=held)
    assert retention | {"shop/orders": HOUR} == made.to_json()["retentionBefore"], "not that of an earlier hold"


@pytest.mark.parametrize(
    "origin", [None, {}, {"kind": "rescued", "total": {"ledgers": 3}}, {"total": 1, "namespaces": []}]
)
def test_other_origins(origin: dict[str, Any] | None) -> None:
    """A backup that was not compared with tiered storage has no lines about that."""
    assert report().lines() == report(origin=origin).lines()


def test_origin() -> None:
    """The report says what was promised, added and left out, in all and by namespace."""
    counts = {kind: {"ledgers": number} for number, kind in enumerate(("promised", "added", "leftOut"), 1)}
    made = report(origin={"kind": "reconciled", "total": counts, "namespaces": {"shop/orders": counts}})
    said = "the backup promised 1 ledgers, 2 were added, 3 left out"
    assert [f"all namespaces: {said}", f"shop/orders: {said}"] == made.lines()[1:3]
    assert "reconciled" == json.loads(made.encode())["origin"]["kind"]
