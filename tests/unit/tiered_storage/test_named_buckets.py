"""The buckets that a tree names."""

from uuid import UUID

import pytest

from metadata_tool.pulsar import codec
from metadata_tool.pulsar.paths import Layout
from metadata_tool.tiered_storage.limits import SAMPLES
from metadata_tool.tiered_storage.named_buckets import named_buckets
from support.metadata import NAMESPACE, as_json, ledgers, tree
from support.offload import Offloaded, topic_value

LEDGERS = [Offloaded(UUID(int=number), number) for number in range(1, 4)]


@pytest.mark.parametrize("layout", [Layout(), Layout("/a", "/own")])
def test_ledgers_and_policies(layout: Layout) -> None:
    """Buckets are those of ledgers, with the newest ledger of each topic to look for, and those of policies."""
    content = {
        f"{NAMESPACE}/a": topic_value(LEDGERS, "one"),
        f"{NAMESPACE}/b": topic_value(LEDGERS[:2], "one"),
        f"{NAMESPACE}/c": topic_value(LEDGERS[:1], "two"),
        f"{NAMESPACE}/d": ledgers((9, True), (10, False)),
        f"{NAMESPACE}/e": b"\xff",
        "/admin/policies/t/n": as_json(offload_policies={"s3ManagedLedgerOffloadBucket": "three"}),
        "/admin/policies/t/c/n": as_json(offload_policies={"gcsManagedLedgerOffloadBucket": "four"}),
        "/admin/policies/t/bad": b"{",
        "/admin/policies/t/list": b"[]",
    }
    found = named_buckets(tree({layout.absolute(path): data for path, data in content.items()}), layout)
    assert {"one": 5, "two": 1, "three": 0, "four": 0} == {name: each.ledgers for name, each in found.items()}
    samples = {name: [(each.topic[-1], each.ledger_id) for each in found[name].samples] for name in found}
    assert {"one": [("a", 3), ("b", 2)], "two": [("c", 1)], "three": [], "four": []} == samples


def test_what_cannot_be_looked_for() -> None:
    """Ledgers of other drivers, and those that are not offloaded completely, name a bucket and are not looked for."""
    info = codec.managed_ledger(topic_value(LEDGERS, "half"))
    for ledger in info.ledgerInfo:
        ledger.offloadContext.complete = False
    content = {
        f"{NAMESPACE}/a": topic_value(LEDGERS, "azure", "azureblob"),
        f"{NAMESPACE}/b": info.SerializeToString(),
    }
    found = named_buckets(tree(content), Layout())
    assert {"azure": (3, []), "half": (3, [])} == {name: (each.ledgers, each.samples) for name, each in found.items()}


def test_samples_are_limited() -> None:
    """However many topics a bucket has, only a few ledgers are looked for."""
    content = {f"{NAMESPACE}/{number}": topic_value(LEDGERS, "one") for number in range(SAMPLES + 3)}
    (found,) = named_buckets(tree(content), Layout()).values()
    assert (3 * (SAMPLES + 3), SAMPLES) == (found.ledgers, len(found.samples))
