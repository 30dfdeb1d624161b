"""What brokers are asked, as it follows from a tree."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import pytest

from metadata_tool.broker_metadata import limits
from metadata_tool.broker_metadata.questions import (
    CursorQuestion,
    PolicyQuestion,
    Question,
    QuestionWriter,
    SchemaQuestion,
    cursor_questions,
    policy_questions,
    schema_questions,
)
from metadata_tool.pulsar.paths import Layout
from metadata_tool.pulsar.schema_locator import LocatedVersion
from metadata_tool.pulsar.tree_scan import TreeScan
from metadata_tool.zookeeper.snapshot import Node
from support.broker_trees import cursor, locator, topic
from support.trees import node

ML = b"/managed-ledgers"


def asked(tmp_path: Path, nodes: Iterable[Node], layout: Layout | None = None) -> tuple[list[Question], Counter[str]]:
    """The questions that a scan of a tree leads to, and their counts."""
    layout = layout or Layout()
    with QuestionWriter(layout, tmp_path / "questions") as writer:
        scan = TreeScan(layout, observer=writer)
        for each in nodes:
            scan.add(each)
        writer.finish()
    found: list[Question] = [*schema_questions(writer.directory), *policy_questions(writer.directory)]
    return [*found, *cursor_questions(writer.directory)], writer.asked


def test_cursors(tmp_path: Path) -> None:
    """Positions are asked for by topic, where the znode does not have them: after a clean close it does."""
    nodes = [
        topic("t/ns/persistent/a"),
        cursor("t/ns/persistent/a/__compaction", 7),
        cursor("t/ns/persistent/a/closed", -1),
        cursor("t/ns/persistent/a/open%2F1", 5),
        cursor("t/ns/persistent/a/open2", 0),
        topic("t/ns/persistent/b"),
        cursor("t/ns/persistent/b/closed", -1),
        topic("t/c/ns/persistent/v1"),
        cursor("t/c/ns/persistent/v1/s", 1),
    ]
    expected = [
        CursorQuestion("t/ns/persistent/a", ("open%2F1", "open2")),
        CursorQuestion("t/c/ns/persistent/v1", ("s",)),
    ]
    assert (expected, Counter(cursor=3, topicPolicies=0)) == asked(tmp_path, nodes)


def test_many_cursors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A topic with very many subscriptions is asked about in parts, so that memory has a limit."""
    monkeypatch.setattr("metadata_tool.broker_metadata.questions.CURSORS_ASKED_AT_ONCE", 2)
    nodes = [topic("t/ns/persistent/a"), *(cursor(f"t/ns/persistent/a/{each}", 1) for each in range(5))]
    questions, counts = asked(tmp_path, nodes)
    assert [("0", "1"), ("2", "3"), ("4",)] == [each.cursors for each in questions if isinstance(each, CursorQuestion)]
    assert 5 == counts["cursor"]


def test_health_checks_are_left_out(tmp_path: Path) -> None:
    """The position of a broker's own health check is not asked for."""
    path = "pulsar/standalone/10.0.0.1:8080/persistent/healthcheck"
    questions, counts = asked(tmp_path, [topic(path), cursor(f"{path}/s", 1)])
    assert ([], 0) == (questions, counts.total())


def test_segments_are_named(tmp_path: Path) -> None:
    """Positions in segments of scalable topics are counted, although brokers do not give them out."""
    path = "t/ns/segment/x/0000-7fff-1"
    questions, counts = asked(tmp_path, [topic(path), cursor(f"{path}/s", 1)])
    assert [True] == [each.is_segment for each in questions if isinstance(each, CursorQuestion)]
    assert 1 == counts["cursor"]


def test_schemas(tmp_path: Path) -> None:
    """Schemas are asked for where there is a locator, with V1 names, too."""
    versions = (LocatedVersion(0, b"a" * 32), LocatedVersion(1, b""))
    nodes = [
        node(b"/schemas/t", None),
        node(b"/schemas/t/c", None),
        node(b"/schemas/t/c/ns", b""),
        node(b"/schemas/t/c/ns/v1", locator(versions), mzxid=8),
        node(b"/schemas/t/ns/broken", b"\xff"),
        node(b"/schemas/t/ns/x", locator(versions), mzxid=9),
    ]
    expected = [
        SchemaQuestion("t/c/ns/v1", 8, versions),
        SchemaQuestion("t/ns/broken", 1, None),
        SchemaQuestion("t/ns/x", 9, versions),
    ]
    assert (expected, Counter(schemas=3, topicPolicies=0)) == asked(tmp_path, nodes)


def test_policies(tmp_path: Path) -> None:
    """Policies are asked for in namespaces that have events, also if the topic of events is partitioned."""
    events = "persistent/__change_events"
    nodes = [
        topic(f"t/a/{events}"),
        topic(f"t/b/{events}-partition-0"),
        topic(f"t/b/{events}-partition-1"),
        topic("t/c/persistent/x"),
    ]
    expected = [
        PolicyQuestion("t/a", (f"t/a/{events}",)),
        PolicyQuestion("t/b", (f"t/b/{events}-partition-0", f"t/b/{events}-partition-1")),
    ]
    assert (expected, Counter(topicPolicies=2)) == asked(tmp_path, nodes)


def test_policies_with_v1_names(tmp_path: Path) -> None:
    """A V1 namespace comes before the V2 one that its name begins with in the tree, and after it in the questions."""
    nodes = [topic(f"t/a/{name}persistent/__change_events") for name in ("b/", "")]
    assert ["t/a", "t/a/b"] == [
        each.namespace for each in asked(tmp_path, nodes)[0] if isinstance(each, PolicyQuestion)
    ]


def test_chroot(tmp_path: Path) -> None:
    """With a chroot and managed ledgers elsewhere, the questions are the same."""
    nodes = [
        Node(b"/pulsar/ml/t/ns/persistent/a", *topic("t/ns/persistent/a")[1:]),
        Node(b"/pulsar/ml/t/ns/persistent/a/s", *cursor("t/ns/persistent/a/s", 1)[1:]),
        node(b"/pulsar/schemas/t/ns/x", locator(())),
        node(b"/schemas/t/ns/of-another", locator(())),
    ]
    expected = [SchemaQuestion("t/ns/x", 1, ()), CursorQuestion("t/ns/persistent/a", ("s",))]
    assert expected == asked(tmp_path, nodes, Layout("/pulsar", "/ml"))[0]


def test_brokers(tmp_path: Path) -> None:
    """The hosts of registered brokers are noted, to know whom redirects may lead to."""
    with QuestionWriter(Layout("/pulsar"), tmp_path / "questions") as writer:
        for name in (b"Broker-0.example:8080", b"[::1]:8080", b"10.0.0.1:8443"):
            writer.add_ephemeral(b"/pulsar/loadbalance/brokers/" + name)
        writer.add_ephemeral(b"/loadbalance/brokers/stranger:8080")
        writer.add_ephemeral(b"/pulsar/loadbalance/leader")
    assert {"broker-0.example", "::1", "10.0.0.1"} == writer.brokers


def test_limits_are_sane() -> None:
    """A record with as many holes as are saved fits a line."""
    longest = len(f"[{(1 << 63) - 1},{(1 << 63) - 1},{(1 << 63) - 1},{(1 << 63) - 1}],")
    assert limits.MAX_HOLES * longest < 8 << 20
