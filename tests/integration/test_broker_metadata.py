"""Backups of a real ZooKeeper with what brokers give out, and with brokers that do not."""

import hashlib
import json
import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ci.parts.zookeeper import NEWEST
from metadata_tool.broker_metadata.broker_file import CheckedLines
from metadata_tool.broker_metadata.collector import CLUSTERS
from metadata_tool.broker_metadata.records import NotSaved, Record, SavedCursor, SavedSchemas
from metadata_tool.pulsar.schema_locator import LocatedVersion
from support import seed
from support.broker_trees import cursor, locator, topic
from support.fake_broker import FakeBroker, Replies, Reply, fake_broker
from support.processes import free_port
from support.tool import Service, run, succeed
from support.zookeeper import ZooKeeper, client, standalone

TOKEN = "zq7token-of-a-role"
NAMES = ("a", "b", "c")
SCHEMA = {"version": 0, "type": "AVRO", "timestamp": 7, "data": "d", "properties": {}}
LOCATOR = locator([LocatedVersion(0, hashlib.sha256(b"d").digest())])


@pytest.fixture(scope="module")
def zookeeper(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ZooKeeper]:
    """A ZooKeeper with topics that have schemas and open subscriptions."""
    with standalone(NEWEST, tmp_path_factory.mktemp("zookeeper")) as server:
        with client(server.address) as source:
            seed.pulsar(source, topics=1)
            source.create("/loadbalance/brokers/127.0.0.1:8080", b"{}", ephemeral=False, makepath=True)
            for name in NAMES:
                path = f"t/ns/persistent/{name}"
                for node in (topic(path), cursor(f"{path}/s", 5)):
                    source.create(node.path.decode(), node.data, makepath=True)
                source.create(f"/schemas/t/ns/{name}", LOCATOR, makepath=True)
        yield server


@pytest.fixture
def broker() -> Iterator[FakeBroker]:
    """A broker that gives out everything."""
    replies: dict[str, Replies] = {CLUSTERS: Reply(body=b'["demo"]')}
    position = {"markDeletePosition": "3:1", "individuallyDeletedMessages": "[(3:2..3:3]]"}
    for name in NAMES:
        schemas = json.dumps({"getSchemaResponses": [SCHEMA]}).encode()
        replies[f"/admin/v2/schemas/t/ns/{name}/schemas"] = Reply(body=schemas)
        stats = json.dumps({"cursors": {"s": position}}).encode()
        replies[f"/admin/v2/persistent/t/ns/{name}/internalStats"] = Reply(body=stats)
    with fake_broker(replies) as made:
        yield made


@pytest.fixture
def settings(zookeeper: ZooKeeper, broker: FakeBroker, tmp_path: Path) -> dict[str, str]:
    """A backup into a directory."""
    (tmp_path / "backups").mkdir()
    return {
        "ZOOKEEPER_SERVERS": zookeeper.address,
        "BUCKET": f"file://{tmp_path}/backups",
        "SPOOL_DIR": str(tmp_path),
        "BROKER_SERVICE_URL": broker.url,
        "BROKER_TOKEN": TOKEN,
    }


def newest(tmp_path: Path) -> tuple[dict[str, Any], list[Record]]:
    """The manifest of the newest backup, and the records of its `broker.json`."""
    path = max((tmp_path / "backups").glob("*.tar.gz"))
    with tarfile.open(path) as tar:
        manifest, lines = tar.extractfile("manifest.json"), tar.extractfile("broker.json")
        assert manifest
        assert lines
        found = CheckedLines(lines)  # type: ignore[arg-type]  # a reader of tarfile reads lines
        return json.load(manifest), [line.record for line in found if line.record]


def saved(records: list[Record]) -> dict[str, int]:
    """How many records of each type there are."""
    kinds = (SavedSchemas, SavedCursor, NotSaved)
    return {kind.__name__: sum(isinstance(record, kind) for record in records) for kind in kinds}


def test_everything_is_saved(settings: dict[str, str], broker: FakeBroker, tmp_path: Path) -> None:
    """A backup has what brokers gave out, its manifest counts it, and it verifies."""
    address = succeed("backup", settings=settings)
    manifest, records = newest(tmp_path)
    assert {"SavedSchemas": 3, "SavedCursor": 3, "NotSaved": 0} == saved(records)
    assert {"schemas": 3, "cursor": 3} == manifest["brokerMetadata"]["saved"]
    total = manifest["coverage"]["total"]
    assert (3, 3, 0) == (total["schemasSaved"], total["cursorsSaved"], total["topicPoliciesSaved"])
    assert 3 == manifest["coverage"]["namespaces"]["t/ns"]["schemasSaved"]
    assert {TOKEN} == {asked.token for asked in broker.asked}
    assert "is complete and undamaged" in succeed("verify", address, settings=settings)
    assert [tmp_path / "backups"] == list(tmp_path.iterdir())


@pytest.mark.fault("Brokers", "no broker answers, or it refuses the token, or a certificate cannot be read")
@pytest.mark.parametrize("fault", ["down", "denied", "certificate", "garbage"])
def test_faults_cost_no_backup(settings: dict[str, str], broker: FakeBroker, tmp_path: Path, fault: str) -> None:
    """The backup is made nevertheless, and one warning says what it lacks and why."""
    expected = "answer as brokers do"
    match fault:
        case "down":
            settings["BROKER_SERVICE_URL"], expected = f"http://127.0.0.1:{free_port()}", "connection refused"
        case "denied":
            broker.replies[CLUSTERS], expected = Reply(401, TOKEN.encode()), "refused the login (401, ***)"
        case "certificate":
            settings |= {"BROKER_SERVICE_URL": "https://127.0.0.1:1", "BROKER_TLS_CA": str(tmp_path / "none")}
            expected = "BROKER_TLS_CA"
        case _:
            broker.replies[CLUSTERS] = Reply(body=b"<html>hello")
            expected = "not JSON"
    outcome = run("backup", settings=settings)
    assert 0 == outcome.exit_code
    warnings = [line for line in outcome.said.splitlines() if " WARNING brokers did not give out " in line]
    assert [True] == [expected in line for line in warnings], outcome.said
    manifest, records = newest(tmp_path)
    assert {"schemas": 3, "cursor": 3} == manifest["brokerMetadata"]["notSaved"]
    assert not saved(records)["SavedSchemas"]


@pytest.mark.fault("Brokers", "an answer does not come")
def test_slow_brokers(settings: dict[str, str], broker: FakeBroker, tmp_path: Path) -> None:
    """A backup stops asking after BROKER_TIMEOUT, and saves what was given out until then."""
    broker.replies["/admin/v2/schemas/t/ns/b/schemas"] = Reply(pause=600)
    assert 0 == run("backup", settings=settings | {"BROKER_TIMEOUT": "1"}).exit_code
    records = newest(tmp_path)[1]
    assert {"SavedSchemas": 2, "SavedCursor": 0, "NotSaved": 4} == saved(records)
    assert ["BROKER_TIMEOUT had passed"] == sorted({each.why for each in records if isinstance(each, NotSaved)})


def test_service(settings: dict[str, str], broker: FakeBroker, tmp_path: Path) -> None:
    """The service shows what is saved, and asks for schemas only once."""
    broker.replies["/admin/v2/persistent/t/ns/c/internalStats"] = Reply(404)
    service = Service(settings | {"BACKUP_INTERVAL": "1"}, tmp_path / "log")
    try:
        service.wait_for("backup_count", 2)
        assert 1 == broker.paths().count("/admin/v2/schemas/t/ns/a/schemas")
        assert 3 == service.metric("backup_broker_schemas_unchanged")
        assert 2 == service.metric('backup_broker_saved{kind="cursor"}')
        assert 1 == service.metric('backup_broker_not_saved{kind="cursor",reason="deleted"}')
        assert 0 == service.metric('backup_unrecoverable_schemas{pulsar_namespace="t/ns"}')
        assert 1 == service.metric('backup_cursors_in_bookkeeper{pulsar_namespace="t/ns"}')
        shown = service.json("/backup/latest")["brokerMetadata"]
        assert {"schemas": 3, "cursor": 2, "topicPolicies": 0} == shown["saved"]
        assert {"schemas": 0, "cursor": 1, "topicPolicies": 0} == shown["notSaved"]
        assert ["the topic does not exist any more"] == shown["reasons"]
    finally:
        service.process.stop()
    shutil.rmtree(tmp_path / "backups")
