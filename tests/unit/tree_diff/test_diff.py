"""Two backups compared."""

import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from metadata_tool import archive
from metadata_tool.broker_metadata.records import NotSaved, Record
from metadata_tool.catalog import BackupName, RestorePoint
from metadata_tool.errors import ArchiveCorrupt, SettingError
from metadata_tool.pulsar.schema_locator_pb2 import SchemaIndexEntry, SchemaLocator
from metadata_tool.tree_diff.diff import Diff, json_lines, lines
from metadata_tool.workspace import scratch
from support import policy_events
from support.backups import TIMESTAMP, make_backup
from support.damage import damaged_gzip
from support.metadata import NAMESPACE, as_json, cursor, ledgers, tree

POLICIES = "/admin/policies"


def schema(count: int) -> bytes:
    """The locator of so many versions."""
    index = [SchemaIndexEntry(version=n, position={"ledgerId": n, "entryId": 0}, hash=b"h") for n in range(count)]
    return SchemaLocator(info=index[-1], index=index).SerializeToString()


OLD = {
    "/admin/clusters/c1": as_json(serviceUrl="http://old"),
    "/admin/partitioned-topics/public/default/persistent/pt": as_json(partitions=3),
    f"{POLICIES}/gone": as_json(allowedClusters=["c1"]),
    f"{POLICIES}/public": as_json(allowedClusters=["c1"]),
    f"{POLICIES}/public/default": as_json(retention_policies={"retentionTimeInMinutes": 10080}, deleted=False),
    "/ledgers/00": b"1",
    f"{NAMESPACE}/kept": ledgers((1, True), (2, False)),
    f"{NAMESPACE}/kept/moves": cursor(-1, (1, 5)),
    f"{NAMESPACE}/kept/gone": cursor(-1, (1, 5)),
    f"{NAMESPACE}/old": ledgers((3, True)),
    f"{NAMESPACE}/same": ledgers((4, True)),
    "/schemas/public/default/kept": schema(1),
}
NEW = {
    "/admin/clusters/c1": as_json(serviceUrl="http://new"),
    "/admin/partitioned-topics/public/default/persistent/pt": as_json(partitions=5),
    f"{POLICIES}/acme": as_json(allowedClusters=["c1"]),
    f"{POLICIES}/public": as_json(allowedClusters=["c1"]),
    f"{POLICIES}/public/default": as_json(retention_policies={"retentionTimeInMinutes": 60}, deleted=False),
    "/ledgers/00": b"2",
    "/ledgers/01": b"2",
    f"{NAMESPACE}/kept": ledgers((2, True), (5, False)),
    f"{NAMESPACE}/kept/moves": cursor(-1, (2, 5)),
    f"{NAMESPACE}/a%2Fb": ledgers((6, False)),
    f"{NAMESPACE}/same": ledgers((4, True)),
    "/schemas/public/default/kept": schema(3),
}
TEXT = """\
~ cluster c1
    serviceUrl: "http://old" -> "http://new"
~ partitioned topic persistent://public/default/pt
    partitions: 3 -> 5
+ tenant acme
- tenant gone
~ namespace public/default
    retention_policies.retentionTimeInMinutes: 10080 -> 60
+ topic persistent://public/default/a/b
    ledgers added 6
~ topic persistent://public/default/kept
    ledgers added 5, offloaded 2, trimmed 1
- subscription gone of persistent://public/default/kept
- topic persistent://public/default/old
    ledgers trimmed 3
~ schema of topic public/default/kept
    versions: 1 -> 3

TOTAL
cluster                        1 changed
namespace                      1 changed
partitioned topic              1 changed
schema of topic                1 changed
subscription                   1 removed
tenant                         1 added, 1 removed
topic                          1 added, 1 changed, 1 removed
ledgers                        2 added, 1 offloaded, 2 trimmed
subscriptions that only moved  1
other znodes in /ledgers       1 added, 1 changed""".splitlines()


@pytest.fixture
def kept() -> Iterator[ExitStack]:
    """Closes what a test opens."""
    with ExitStack() as stack:
        yield stack


def diff(
    kept: ExitStack, folder: Path, old: Mapping[str, bytes] = OLD, new: Mapping[str, bytes] = NEW, **changed: Any
) -> Diff:
    """The changes from one tree to another. The manifest of the second has these changes."""
    sides = []
    for number, content in enumerate((old, new)):
        more = changed if number else {}
        nodes = {node.path: node.data for node in tree(content)}
        point = make_backup(folder, timestamp=TIMESTAMP + number, tree=nodes, **more)
        sides.append((point, kept.enter_context(archive.opened(folder / str(point.name)))))
    before, after = sides
    return Diff(before, after, kept.enter_context(scratch(folder)))


def test_in_words_of_pulsar(tmp_path: Path, kept: ExitStack) -> None:
    """What came, went and changed is shown with its name, in tree order, and counted."""
    found = diff(kept, tmp_path)
    shown = list(lines(found, znodes=False))
    assert [
        f"from file://{tmp_path}/pulsar-{TIMESTAMP}.tar.gz  2021-06-15T01:44:48.825Z  zxid 0x500000064",
        f"to   file://{tmp_path}/pulsar-{TIMESTAMP + 1}.tar.gz  2021-06-15T01:44:48.826Z  zxid 0x500000064",
        "",
        *TEXT,
    ] == shown


def test_as_json(tmp_path: Path, kept: ExitStack) -> None:
    """The same as one JSON object."""
    found = diff(kept, tmp_path)
    read = json.loads("\n".join(json_lines(found, znodes=False)))
    assert ["from", "to", "changes", "brokerMetadata", "totals"] == list(read)
    assert {
        "change": "changed",
        "kind": "topic",
        "name": "persistent://public/default/kept",
        "ledgers": {"added": [5], "offloaded": [2], "trimmed": [1]},
    } in read["changes"]
    assert {
        "change": "changed",
        "kind": "namespace",
        "name": "public/default",
        "fields": [{"field": "retention_policies.retentionTimeInMinutes", "before": 10080, "after": 60}],
    } in read["changes"]
    assert {"ledgers": {"added": 2, "offloaded": 1, "trimmed": 2}, "subscriptionsMoved": 1} == {
        name: read["totals"][name] for name in ("ledgers", "subscriptionsMoved")
    }


def test_as_znodes(tmp_path: Path, kept: ExitStack) -> None:
    """With --znodes, every znode that differs is shown, and nothing else."""
    found = diff(kept, tmp_path, {"/a": b"1", "/b": b"22"}, {"/a": b"333", "/c": b""})
    assert ["~ /a (1 bytes -> 3 bytes, set at zxid 0x1, version 0)", "- /b (2 bytes)", "+ /c (0 bytes)"] == list(
        lines(found, znodes=True)
    )[3:]


@pytest.mark.parametrize("znodes", [False, True])
def test_nothing_differs(tmp_path: Path, kept: ExitStack, znodes: bool) -> None:
    """That nothing differs is said."""
    found = diff(kept, tmp_path, OLD, OLD)
    assert ["no znode differs"] == list(lines(found, znodes=znodes))[3:]


def test_nothing_differs_as_json(tmp_path: Path, kept: ExitStack) -> None:
    """The same as JSON is an empty list."""
    found = diff(kept, tmp_path, OLD, OLD)
    assert [] == json.loads("\n".join(json_lines(found, znodes=False)))["changes"]


RECORDS: list[list[Record]] = [
    [policy_events.schema("t1/n2"), policy_events.sent(what)] for what in ("99 minutes", "99 minutes, TTL of 100 s")
]


def of_brokers(kept: ExitStack, folder: Path, *records: list[Record] | None) -> Diff:
    """Two backups of one tree, with what brokers gave out for each."""
    points = [make_backup(folder, timestamp=TIMESTAMP + n, records=each) for n, each in enumerate(records)]
    before, after = ((p, kept.enter_context(archive.opened(folder / str(p.name)))) for p in points)
    return Diff(before, after, kept.enter_context(scratch(folder)))


def test_what_brokers_gave_out(tmp_path: Path, kept: ExitStack) -> None:
    """What brokers gave out is compared after the tree, and counted like the objects of the tree."""
    assert [
        "~ policies of topic persistent://t1/n2/a",
        "    messageTTLInSeconds: (not set) -> 100",
        "",
        "TOTAL",
        "policies of topic              1 changed",
    ] == list(lines(of_brokers(kept, tmp_path, *RECORDS), znodes=False))[3:]


def test_what_brokers_gave_out_as_json(tmp_path: Path, kept: ExitStack) -> None:
    """The same as JSON, with which of the two has broker metadata."""
    read = json.loads("\n".join(json_lines(of_brokers(kept, tmp_path, *RECORDS), znodes=False)))
    fields = [{"field": "messageTTLInSeconds", "after": 100}]
    named = {"change": "changed", "kind": "policies of topic", "name": "persistent://t1/n2/a"}
    assert ([{**named, "fields": fields}], {"from": True, "to": True}) == (read["changes"], read["brokerMetadata"])


@pytest.mark.parametrize("only", [0, 1])
def test_only_one_has_broker_metadata(only: int, tmp_path: Path, kept: ExitStack) -> None:
    """If only one of the two has broker metadata, that is said in one line, and nothing of it is a change."""
    records = [None if only else RECORDS[0], RECORDS[1] if only else None]
    found = of_brokers(kept, tmp_path, *records)
    point = (found.before, found.after)[only].point
    assert [f"only {point} has broker metadata, so that is not compared", "no znode differs"] == list(
        lines(found, znodes=False)
    )[3:]


def test_not_given_out_for_both(tmp_path: Path, kept: ExitStack) -> None:
    """What brokers gave out for one of the two only is counted, as nobody knows whether it has changed."""
    lost: list[Record] = [NotSaved("topicPolicies", "t1/n2", 7, "HTTP 500")]
    expected = "policies of topic              1 not compared, because brokers did not give it out for one backup"
    assert ["TOTAL", expected] == list(lines(of_brokers(kept, tmp_path, RECORDS[0], lost), znodes=False))[3:]


def test_znodes_without_brokers(tmp_path: Path, kept: ExitStack) -> None:
    """With --znodes, broker metadata is not compared."""
    assert ["no znode differs"] == list(lines(of_brokers(kept, tmp_path, *RECORDS), znodes=True))[3:]


def test_other_paths(tmp_path: Path, kept: ExitStack) -> None:
    """Backups whose Pulsar is at different paths can be compared only as znodes."""
    found = diff(kept, tmp_path, chroot="/pulsar")
    with pytest.raises(SettingError, match=r"at different paths, / .* and /pulsar"):
        list(found.all_changes(znodes=False))


def test_damaged_backup(tmp_path: Path, kept: ExitStack) -> None:
    """A damaged backup is an error, wherever the damage is."""
    points = [make_backup(tmp_path, timestamp=TIMESTAMP + number) for number in (0, 1)]
    later = tmp_path / str(points[1].name)
    later.write_bytes(damaged_gzip(later.read_bytes()))

    def compare() -> None:
        before, after = ((p, kept.enter_context(archive.opened(tmp_path / str(p.name)))) for p in points)
        list(Diff(before, after, tmp_path).all_changes(znodes=True))

    with pytest.raises(ArchiveCorrupt):
        compare()


def test_renamed_backup(tmp_path: Path, kept: ExitStack) -> None:
    """A backup whose file was renamed is refused, so that no change is dated wrongly."""
    points = [make_backup(tmp_path), make_backup(tmp_path, "other")]
    renamed = RestorePoint(points[1].location, BackupName("pulsar", TIMESTAMP + 1))
    (tmp_path / str(points[1].name)).rename(tmp_path / str(renamed.name))
    opened = [kept.enter_context(archive.opened(tmp_path / str(p.name))) for p in (points[0], renamed)]
    with pytest.raises(ArchiveCorrupt, match="the file was renamed"):
        Diff((points[0], opened[0]), (renamed, opened[1]), tmp_path)


def test_names_for_a_terminal(tmp_path: Path, kept: ExitStack) -> None:
    """Names cannot send commands to a terminal."""
    found = diff(kept, tmp_path, {}, {f"{POLICIES}/\x1b[2Jx": b"{}"})
    assert "+ tenant \\x1b[2Jx" in list(lines(found, znodes=False))
