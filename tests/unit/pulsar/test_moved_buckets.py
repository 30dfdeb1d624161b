"""New names for buckets of tiered storage."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metadata_tool.pulsar.codec import managed_ledger
from metadata_tool.pulsar.managed_ledger_pb2 import ManagedLedgerInfo
from metadata_tool.pulsar.moved_buckets import MovedBuckets, ledger_buckets, policy_buckets
from support.trees import PATIENT

DRIVER = {"bucket": "old", "managedLedgerOffloadDriver": "aws-s3", "region": "eu", "serviceEndpoint": "http://dead"}
MOVED = MovedBuckets((("old", "new"), ("older", "newer")))
FULL = MovedBuckets((("old", "new"),), "us", "https://s3.example.com")
names = st.sampled_from(["old", "older", "new", "other", ""])


def offloaded(*drivers: dict[str, str], segments: bool = False) -> ManagedLedgerInfo:
    """A topic with a ledger for each of these places."""
    info = ManagedLedgerInfo()
    for number, driver in enumerate(drivers):
        context = info.ledgerInfo.add(ledgerId=number).offloadContext
        metadata = context.offloadSegment.add().driverMetadata if segments else context.driverMetadata
        metadata.name = "aws-s3"
        for key, value in driver.items():
            metadata.properties.add(key=key, value=value)
    info.ledgerInfo.add(ledgerId=99)
    return info


def places(info: ManagedLedgerInfo) -> list[dict[str, str]]:
    """Where each ledger is."""
    found = []
    for ledger in info.ledgerInfo[:-1]:
        context = ledger.offloadContext
        metadata = context.offloadSegment[0].driverMetadata if context.offloadSegment else context.driverMetadata
        found.append({item.key: item.value for item in metadata.properties})
    return found


@PATIENT
@given(st.lists(names), st.booleans())
def test_ledgers(buckets: list[str], segments: bool) -> None:
    """Each ledger in a bucket that has moved gets the new name, once, and nothing else changes."""
    info = offloaded(*[{**DRIVER, "bucket": name} for name in buckets], segments=segments)
    moved = any(name in ("old", "older") for name in buckets)
    assert moved == MOVED.rewrite(info)
    assert [{**DRIVER, "bucket": MOVED.new_name(name)} for name in buckets] == places(info)
    assert [MOVED.new_name(name) for name in buckets] == [
        name for each in info.ledgerInfo for name in ledger_buckets(each)
    ]


def test_names_that_are_swapped() -> None:
    """Two buckets may have taken each other's names."""
    info = offloaded({"bucket": "a"}, {"bucket": "b"})
    assert MovedBuckets((("a", "b"), ("b", "a"))).rewrite(info)
    assert [{"bucket": "b"}, {"bucket": "a"}] == places(info)


def test_region_and_endpoint() -> None:
    """Region and endpoint change only where the bucket does, and only if they are given."""
    info = offloaded(DRIVER, {**DRIVER, "bucket": "other"}, {"bucket": "old"})
    assert FULL.rewrite(info)
    there = {"bucket": "new", "region": "us", "serviceEndpoint": "https://s3.example.com"}
    assert [{**DRIVER, **there}, {**DRIVER, "bucket": "other"}, {"bucket": "new"}] == places(info)


def test_unknown_fields_stay() -> None:
    """What a later version of Pulsar writes beside the bucket is kept."""
    info = offloaded(DRIVER)
    unknown = bytes.fromhex("fa3e0178")  # field 1007, "x"
    context = info.ledgerInfo[0].offloadContext
    context.MergeFromString(unknown)
    saved = info.SerializeToString()
    read = managed_ledger(saved)
    assert MOVED.rewrite(read)
    assert len(saved) == len(read.SerializeToString())
    assert unknown in read.SerializeToString()


@pytest.mark.parametrize(
    ("saved", "expected"),
    [
        ({"managedLedgerOffloadBucket": "old"}, {"managedLedgerOffloadBucket": "new"}),
        (
            {
                "s3ManagedLedgerOffloadBucket": "old",
                "managedLedgerOffloadBucket": "other",
                "s3ManagedLedgerOffloadRole": "r",
            },
            {
                "s3ManagedLedgerOffloadBucket": "new",
                "managedLedgerOffloadBucket": "other",
                "s3ManagedLedgerOffloadRole": "r",
            },
        ),
        ({"gcsManagedLedgerOffloadBucket": "older"}, {"gcsManagedLedgerOffloadBucket": "newer"}),
        ({"laterManagedLedgerOffloadBucket": "old"}, {"laterManagedLedgerOffloadBucket": "new"}),
        ({"managedLedgerOffloadBucket": None, "managedLedgerOffloadDriver": "old"}, None),
        ({"managedLedgerOffloadBucket": 7}, None),
        ({}, None),
    ],
)
def test_policies(saved: dict[str, Any], expected: dict[str, Any] | None) -> None:
    """A bucket that has moved gets its new name in each of a namespace's policies for offload."""
    policies = {"offload_policies": saved, "other": "old"}
    assert {"offload_policies": saved if expected is None else expected, "other": "old"} == MOVED.rewritten(policies)


@pytest.mark.parametrize("policies", [{}, {"offload_policies": None}, {"offload_policies": "old"}, {"bucket": "old"}])
def test_no_policies_for_offload(policies: dict[str, Any]) -> None:
    """Policies without any for offload stay as they are."""
    assert policies == MOVED.rewritten(policies)
    assert [] == list(policy_buckets(policies))


@pytest.mark.parametrize(
    ("prefix", "beside"),
    [
        ("managedLedgerOffload", ("Region", "ServiceEndpoint")),
        ("s3ManagedLedgerOffload", ("Region", "ServiceEndpoint")),
        ("gcsManagedLedgerOffload", ("Region",)),
        ("laterManagedLedgerOffload", ()),
    ],
)
def test_region_and_endpoint_of_policies(prefix: str, beside: tuple[str, ...]) -> None:
    """Region and endpoint are set beside a bucket that has moved, in the fields that Pulsar has."""
    values = {"Region": "us", "ServiceEndpoint": "https://s3.example.com"}
    expected = {f"{prefix}Bucket": "new", **{f"{prefix}{name}": values[name] for name in beside}}
    saved = {"offload_policies": {f"{prefix}Bucket": "old"}}
    assert expected == FULL.rewritten(saved)["offload_policies"]
    assert {"offload_policies": {f"{prefix}Bucket": "x"}} == FULL.rewritten(
        {"offload_policies": {f"{prefix}Bucket": "x"}}
    )


def test_nothing_has_moved() -> None:
    """Without names, nothing has moved."""
    assert (False, True) == (bool(MovedBuckets()), bool(MOVED))
    assert "x" == MovedBuckets().new_name("x")
