"""How long a backup asks a real broker for its metadata, with 1,000 topics, and with 10,000 on demand."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pulsar
import pytest

from ci.parts.pulsar import NEWEST as PULSAR
from ci.parts.zookeeper import NEWEST
from metadata_tool import backup
from metadata_tool.broker_metadata.access import BrokerAccess, BrokerSettings
from metadata_tool.lifecycle import Heartbeat
from metadata_tool.settings import Settings
from metadata_tool.store import open_store
from support.bench import Cost, table
from support.pulsar import Pulsar
from support.zookeeper import standalone


@contextmanager
def cluster(directory: Path, topics: int) -> Iterator[tuple[str, Pulsar]]:
    """A ZooKeeper and a Pulsar with topics, each with a schema, policies and a subscription with a hole."""
    with standalone(NEWEST, directory / "zookeeper") as server:
        running = Pulsar(PULSAR, directory / "pulsar", server.address, "http://127.0.0.1:1", "none", bookies=1)
        running.start()
        try:
            running.put("tenants/t", {"allowedClusters": ["c1"]})
            running.put("namespaces/t/ns")
            client = pulsar.Client(running.service_url, logger=pulsar.FileLogger(pulsar.LoggerLevel.Error, "/dev/null"))
            for number in range(topics):
                _fill(client, f"persistent://t/ns/topic-{number}")
                running.post(f"persistent/t/ns/topic-{number}/maxConsumers", 7)
            client.close()
            yield server.address, running
        finally:
            running.kill()


def _fill(client: pulsar.Client, topic: str) -> None:
    consumer = client.subscribe(
        topic, "s", consumer_type=pulsar.ConsumerType.Shared, schema=pulsar.schema.StringSchema()
    )
    producer = client.create_producer(topic, schema=pulsar.schema.StringSchema())
    for _ in range(3):
        producer.send_async("x", None)
    producer.flush()
    messages = [consumer.receive(30_000) for _ in range(3)]
    consumer.acknowledge(messages[2])
    consumer.close()
    producer.close()


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("topics", [1_000, pytest.param(10_000, id="large")])
def test_cost(topics: int, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """A second backup of the same service does not ask for schemas again."""
    if topics > 1_000 and not request.config.getoption("--large"):
        pytest.skip("only with --large")
    (tmp_path / "backups").mkdir()
    (tmp_path / "kept").mkdir()
    with cluster(tmp_path, topics) as (zookeeper, running):
        settings = Settings({"ZOOKEEPER_SERVERS": zookeeper, "BUCKET": f"file://{tmp_path}/backups"})
        job, store = settings.job(), open_store(settings.store().location, settings.store().options)
        access = BrokerAccess(running.web_url)
        rows, unchanged = {}, []
        for name, requests in {"first backup": 4, "later backup": 4, "later backup, 16 requests": 16}.items():
            asked = replace(job, broker=BrokerSettings(access, 600, requests, 10_000))
            result = backup.run(asked, store, Heartbeat(), kept=tmp_path / "kept")
            assert result.broker
            assert not result.broker.not_saved
            assert (topics, topics) == (result.broker.saved_of("cursor"), result.broker.saved_of("topicPolicies"))
            rows[name] = Cost(result.broker.seconds)
            unchanged.append(result.broker.unchanged)
    table(f"{topics:,} topics, asking brokers", rows, rows["first backup"])
    assert [0, topics, topics] == [min(count, topics) for count in unchanged]
