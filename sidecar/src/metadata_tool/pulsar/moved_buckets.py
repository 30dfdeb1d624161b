"""Names of buckets of tiered storage in a tree, and new names for those that have moved.

A broker reads an offloaded ledger from the bucket in the ledger's own driver metadata, with the endpoint and the
credentials of broker.conf. A namespace may have a bucket of its own in its offload policies, for new ledgers.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from metadata_tool.pulsar.managed_ledger_pb2 import LedgerInfo, ManagedLedgerInfo, OffloadDriverMetadata

POLICIES = "offload_policies"

_BUCKET = "OffloadBucket"
_FIELDS_BESIDE = {
    "managedLedgerOffloadBucket": ("managedLedgerOffloadRegion", "managedLedgerOffloadServiceEndpoint"),
    "s3ManagedLedgerOffloadBucket": ("s3ManagedLedgerOffloadRegion", "s3ManagedLedgerOffloadServiceEndpoint"),
    "gcsManagedLedgerOffloadBucket": ("gcsManagedLedgerOffloadRegion", ""),
}
"""Region and endpoint beside a policy's bucket (OffloadPoliciesImpl). Google's has no endpoint."""


@dataclass(frozen=True)
class MovedBuckets:
    """(old name, new name) of each bucket, and the brokers' region and endpoint for all of them (empty: unchanged)."""

    names: tuple[tuple[str, str], ...] = ()
    region: str = ""
    endpoint: str = ""

    def __bool__(self) -> bool:
        return bool(self.names)

    def new_name(self, name: str) -> str:
        """The name that a bucket has now."""
        return dict(self.names).get(name, name)

    def rewrite(self, info: ManagedLedgerInfo) -> bool:
        """Set the new names in the ledgers of a topic. Returns whether there was one."""
        new, changed = dict(self.names), False
        for ledger in info.ledgerInfo:
            for driver in driver_metadata(ledger):
                if any(item.key == "bucket" and item.value in new for item in driver.properties):
                    self._rewrite_driver(driver, new)
                    changed = True
        return changed

    def _rewrite_driver(self, driver: OffloadDriverMetadata, new: Mapping[str, str]) -> None:
        for item in driver.properties:
            if item.key == "bucket":
                item.value = new.get(item.value, item.value)
            elif item.key == "region":
                item.value = self.region or item.value
            elif item.key == "serviceEndpoint":
                item.value = self.endpoint or item.value

    def rewritten(self, policies: dict[str, Any]) -> dict[str, Any]:
        """A namespace's policies with the new names."""
        new, offload = dict(self.names), policies.get(POLICIES)
        if not isinstance(offload, dict):
            return policies
        changes: dict[str, str] = {}
        for field, name in policy_buckets(policies):
            if name in new:
                changes[field] = new[name]
                values = (self.region, self.endpoint)
                beside = zip(_FIELDS_BESIDE.get(field, ("", "")), values, strict=True)
                changes |= {other: value for other, value in beside if other and value}
        return {**policies, POLICIES: {**offload, **changes}}


def driver_metadata(ledger: LedgerInfo) -> Iterator[OffloadDriverMetadata]:
    """Where a ledger is offloaded to: one for all of it, and one for each segment of a streaming offload."""
    if ledger.HasField("offloadContext"):
        context = ledger.offloadContext
        if context.HasField("driverMetadata"):
            yield context.driverMetadata
        yield from (each.driverMetadata for each in context.offloadSegment if each.HasField("driverMetadata"))


def ledger_buckets(ledger: LedgerInfo) -> Iterator[str]:
    """The buckets that a ledger names."""
    for driver in driver_metadata(ledger):
        yield from (item.value for item in driver.properties if item.key == "bucket")


def policy_buckets(policies: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The buckets that a namespace's policies name, each with its field."""
    offload = policies.get(POLICIES)
    if isinstance(offload, dict):
        for field, value in offload.items():
            if field.endswith(_BUCKET) and isinstance(value, str) and value:
                yield field, value
