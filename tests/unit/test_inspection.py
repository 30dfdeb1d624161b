"""What is shown of a backup."""

import json
from pathlib import Path

import pytest

from metadata_tool.broker_metadata.records import NotSaved, SavedSchemas
from metadata_tool.catalog import BackupName, RestorePoint
from metadata_tool.errors import ArchiveCorrupt, ArchiveUnsupported
from metadata_tool.inspection import Inspection, check, inspect, tree_line
from metadata_tool.lifecycle import Heartbeat
from metadata_tool.manifest import BROKER_FORMAT
from metadata_tool.pulsar.coverage import Coverage, CoverageCounts
from metadata_tool.zookeeper.snapshot import Node
from support.backups import TIMESTAMP, TREE, location, make_backup
from support.damage import damaged_gzip
from support.metadata import as_json, ledgers

STAT = bytes(60)


def inspected(point: RestorePoint, folder: Path) -> tuple[Inspection, list[Node]]:
    """What an inspection returns, and the znodes that it read."""
    seen: list[Node] = []
    return inspect(point, folder / str(point.name), seen.append), seen


def test_every_znode(tmp_path: Path) -> None:
    """An inspection reads all znodes with their data, in tree order."""
    _, seen = inspected(make_backup(tmp_path), tmp_path)
    assert list(TREE.items()) == [(node.path, node.data) for node in seen]


def test_counts_are_by_top_level_path(tmp_path: Path) -> None:
    """Znodes and bytes of data are counted by top-level path. Null data has no bytes."""
    found, _ = inspected(make_backup(tmp_path), tmp_path)
    assert {"/": 1, "/admin": 3, "/ledgers": 1, "/managed-ledgers": 1} == dict(found.znodes)
    assert {"/": 0, "/admin": 2, "/ledgers": 0, "/managed-ledgers": 5} == {
        path: found.bytes[path] for path in found.znodes
    }


def test_counts_of_a_deep_tree(tmp_path: Path) -> None:
    """All znodes below a top-level path count for it, however deep they are."""
    deep = {b"": None, b"/a": b"1", b"/a/b": b"22", b"/a/b/c": b"333", b"/a/b/c/d": b"4444"}
    found, _ = inspected(make_backup(tmp_path, tree=deep), tmp_path)
    assert {"/": 1, "/a": 4} == dict(found.znodes)
    assert {"/": 0, "/a": 10} == {path: found.bytes[path] for path in found.znodes}


def test_json_is_the_manifest_and_the_counts(tmp_path: Path) -> None:
    """The JSON has the manifest and the counts."""
    found, _ = inspected(make_backup(tmp_path), tmp_path)
    read = json.loads(json.dumps(found.as_json()))
    assert ["manifest", "topLevel", "findings", "unloadable", "migration"] == list(read)
    assert read["migration"] is None
    assert found.manifest.to_json() == read["manifest"]
    assert {
        "/": {"znodes": 1, "bytes": 0},
        "/admin": {"znodes": 3, "bytes": 2},
        "/ledgers": {"znodes": 1, "bytes": 0},
        "/managed-ledgers": {"znodes": 1, "bytes": 5},
    } == read["topLevel"]


def sections(found: Inspection) -> list[list[list[str]]]:
    """The words of each line of the text. Empty lines separate its sections."""
    return [[line.split() for line in section.splitlines()] for section in found.as_text().split("\n\n")]


def manifest_rows(found: Inspection) -> list[list[str]]:
    """A row for each field of the manifest that is a plain value, those of the snapshot last."""
    facts = {**found.manifest.to_json()}
    facts |= {f"snapshot.{key}": value for key, value in facts.pop("snapshot").items()}
    return [[key, *(str(value) or "-").split()] for key, value in facts.items() if not isinstance(value, dict)]


PATHS = [
    ["PATH", "ZNODES", "BYTES"],
    ["/", "1", "0"],
    ["/admin", "3", "2"],
    ["/ledgers", "1", "0"],
    ["/managed-ledgers", "1", "5"],
]


def test_text(tmp_path: Path) -> None:
    """The text has a line for each field of the manifest, then a table of the paths."""
    found, _ = inspected(make_backup(tmp_path), tmp_path)
    assert [manifest_rows(found), PATHS] == sections(found)


def test_text_has_the_coverage(tmp_path: Path) -> None:
    """The text has the total of the coverage, in a section that says what it is, and nothing else that is nested."""
    counts = CoverageCounts(topics=3, lost_bytes=70)
    coverage = Coverage({"shop/orders": counts}).to_json(1)
    found, _ = inspected(make_backup(tmp_path, coverage=coverage, summary={"ledgers": {}}), tmp_path)
    manifest, (title, *total), paths = sections(found)
    assert "COVERAGE (what a restore of scope bookies-lost brings back and loses)" == " ".join(title)
    assert [[name, str(count)] for name, count in counts.to_json().items()] == total
    assert [manifest_rows(found), PATHS] == [manifest, paths]


@pytest.mark.parametrize("coverage", [{}, {"total": None}, {"total": [1]}, {"total": 7}])
def test_other_coverage(tmp_path: Path, coverage: dict[str, object]) -> None:
    """A coverage without a total, as another version may write it, is left out."""
    found, _ = inspected(make_backup(tmp_path, coverage=coverage), tmp_path)
    assert [manifest_rows(found), PATHS] == sections(found)


@pytest.mark.parametrize(
    "origin", [{}, {"kind": "reconciled", "total": 1}, {"kind": "reconciled", "total": {"added": 2}}]
)
def test_origin(origin: dict[str, object], tmp_path: Path) -> None:
    """The text says how a backup was made that was not captured, whatever a later version writes there."""
    found, _ = inspected(make_backup(tmp_path, origin=origin), tmp_path)
    shown = [section for section in sections(found) if section[0][0] == "ORIGIN"]
    assert ([[["kind", "reconciled"]]] if origin else []) == [section[1:] for section in shown]


def test_origin_has_the_counts(tmp_path: Path) -> None:
    """It has the number of ledgers that were added."""
    counts = {"added": {"ledgers": 2, "entries": 5}, "leftOut": {"ledgers": 0}}
    found, _ = inspected(make_backup(tmp_path, origin={"kind": "reconciled", "total": counts}), tmp_path)
    (shown,) = (section for section in sections(found) if section[0][0] == "ORIGIN")
    assert [["kind", "reconciled"], ["ledgers.added", "2"], ["ledgers.leftOut", "0"]] == shown[1:]


def test_broker_metadata(tmp_path: Path) -> None:
    """The text and the JSON have the counts of what brokers gave out."""
    lost = NotSaved("cursor", "t/n/persistent/b/s", 7, "HTTP 500")
    found, _ = inspected(make_backup(tmp_path, records=[SavedSchemas("t/n/a", 7, 8, ()), lost]), tmp_path)
    (shown,) = (section for section in sections(found) if section[0][0] == "BROKER")
    counts = {"schemas.saved": 1, "cursor.saved": 0, "topicPolicies.saved": 0}
    counts |= {"schemas.notSaved": 0, "cursor.notSaved": 1, "topicPolicies.notSaved": 0}
    assert [[name, str(count)] for name, count in counts.items()] == shown[1:]
    assert {"schemas": 1} == found.as_json()["manifest"]["brokerMetadata"]["saved"]


def test_findings(tmp_path: Path) -> None:
    """What a restore of scope bookies-lost cannot adapt is in the JSON and the text, each with what to do."""
    found, _ = inspected(make_backup(tmp_path, managed_ledger_path="/own"), tmp_path)
    assert ["the tree has no /own, but it has /managed-ledgers"] == found.as_json()["findings"]
    manifest, (title, finding), paths = sections(found)
    assert "FINDINGS (why a restore of scope bookies-lost refuses this backup)" == " ".join(title)
    assert "Set MANAGED_LEDGER_PATH to" in " ".join(finding).removeprefix(f"{found.findings[0].what}. ")
    assert [manifest_rows(found), PATHS] == [manifest, paths]
    complete, _ = inspected(make_backup(tmp_path, timestamp=TIMESTAMP + 1), tmp_path)
    assert ([], False) == (complete.as_json()["findings"], "FINDINGS" in complete.as_text())


def test_data_of_no_topic(tmp_path: Path) -> None:
    """Data below the managed ledgers that is no topic's is found by an inspection and by a verification."""
    root = b"/managed-ledgers/public/default"
    tree = {**TREE, b"/managed-ledgers/public": b"", root: b"", root + b"/other": b"x", root + b"/persistent": b""}
    tree[root + b"/persistent/t"] = ledgers((1, True))
    tree |= {b"/admin/policies": b"", b"/admin/policies/public": b"{}", b"/admin/policies/public/default": b"{}"}
    point = make_backup(tmp_path, tree=dict(sorted(tree.items())))
    found, _ = inspected(point, tmp_path)
    (what,) = found.as_json()["findings"]
    assert what.endswith("at /managed-ledgers/public/default/other")
    assert found.findings == check(point, tmp_path / str(point.name), Heartbeat())[1]


@pytest.mark.parametrize(("phase", "shown"), [("COMPLETED", True), ("FAILED", False)])
def test_move_to_another_store(phase: str, tmp_path: Path, *, shown: bool) -> None:
    """A move of the metadata to another store is in the JSON, and in the text if it concerns the backup."""
    path = b"/pulsar"
    tree = {**TREE, path: b"", path + b"/migration-coordinator": b""}
    tree[path + b"/migration-coordinator/migration"] = as_json(phase=phase, targetUrl="oxia://x")
    found, _ = inspected(make_backup(tmp_path, tree=tree), tmp_path)
    assert {"phase": phase, "targetUrl": "oxia://x"} == found.as_json()["migration"]
    assert shown == ("MOVE TO ANOTHER STORE" in found.as_text())


@pytest.mark.parametrize(
    ("manager", "findings"),
    [
        ("Hierarchical", []),
        ("MS", ["/ledgers/LAYOUT names MSLedgerManagerFactory, so it is not known where new ledger ids come from"]),
    ],
)
def test_findings_in_data(manager: str, findings: list[str], tmp_path: Path) -> None:
    """The data of znodes is searched for findings too, by an inspection and by a verification."""
    layout = f"2\nx.{manager}LedgerManagerFactory:1".encode()
    point = make_backup(tmp_path, tree=dict(sorted({**TREE, b"/ledgers/LAYOUT": layout}.items())))
    assert findings == [finding.what for finding in inspected(point, tmp_path)[0].findings]
    assert findings == [finding.what for finding in check(point, tmp_path / str(point.name), Heartbeat())[1]]


def test_check(tmp_path: Path) -> None:
    """A verification has the findings, too."""
    point = make_backup(tmp_path, managed_ledger_path="/own")
    manifest, findings, _ = check(point, tmp_path / str(point.name), Heartbeat())
    assert ("/own", ["the tree has no /own, but it has /managed-ledgers"]) == (
        manifest.managed_ledger_path,
        [finding.what for finding in findings],
    )


def test_unloadable(tmp_path: Path) -> None:
    """What new servers would not load is in the JSON and the text, with what they need, and in a verification."""
    point = make_backup(tmp_path, tree={**TREE, b"/z": bytes(9000)})
    found = inspect(point, tmp_path / str(point.name), lambda _: None, 4096)
    what = "ZooKeeper servers with a jute.maxbuffer of 4096 do not load /z (9000 bytes)"
    assert [what] == found.as_json()["unloadable"]
    assert f"{what}. Start the new servers, brokers and bookies with -Djute.maxbuffer=1048576" in found.as_text()
    assert found.unloadable == check(point, tmp_path / str(point.name), Heartbeat(), 4096).unloadable
    assert [] == check(point, tmp_path / str(point.name), Heartbeat()).unloadable


def test_no_epochs_left(tmp_path: Path) -> None:
    """A backup so late that a restored ensemble could elect no leader is named."""
    zxid = 0x7FFF_FFFE_0000_0000
    point = make_backup(tmp_path, zxid=zxid)
    (finding,) = check(point, tmp_path / str(point.name), Heartbeat()).unloadable
    assert f"its zxid {zxid:#x} leaves no room for a later one" == finding.what


def test_renamed_backup_is_refused(tmp_path: Path) -> None:
    """A renamed backup is refused before a znode is shown, and the message has its original name."""
    made = make_backup(tmp_path)
    other = RestorePoint(location(tmp_path), BackupName("pulsar", TIMESTAMP + 1))
    (tmp_path / str(made.name)).rename(tmp_path / str(other.name))
    seen: list[Node] = []
    with pytest.raises(ArchiveCorrupt, match=f"pulsar-{TIMESTAMP}\\b"):
        inspect(other, tmp_path / str(other.name), seen.append)
    assert [] == seen


def test_damaged_backup_is_refused(tmp_path: Path) -> None:
    """A backup with a changed byte is refused."""
    point = make_backup(tmp_path)
    path = tmp_path / str(point.name)
    path.write_bytes(damaged_gzip(path.read_bytes()))
    with pytest.raises(ArchiveCorrupt):
        inspected(point, tmp_path)


def test_later_format_is_refused(tmp_path: Path) -> None:
    """A backup of a later format is refused as such, not as damaged."""
    point = make_backup(tmp_path, format_version=BROKER_FORMAT + 1)
    with pytest.raises(ArchiveUnsupported, match=f"format {BROKER_FORMAT + 1}"):
        inspected(point, tmp_path)


@pytest.mark.parametrize(
    ("path", "data", "expected"),
    [
        (b"", None, "/  (null)"),
        (b"/admin", b"", "  admin  (0 B)"),
        (b"/admin/policies", b"12345", "    policies  (5 B)"),
        ("/admin/ü".encode(), b"1", "    ü  (1 B)"),
        (b"/a\nb", b"1", "  a\\nb  (1 B)"),
        (b"/\x1b[31m", b"1", "  \\x1b[31m  (1 B)"),
        (b"/\xff", b"1", "  \\xff  (1 B)"),
    ],
)
def test_tree_line(path: bytes, data: bytes | None, expected: str) -> None:
    """A znode is one printable line: its name, indented by its depth, and the size of its data or null."""
    assert expected == tree_line(Node(path, data, -1, STAT))
