"""The metadata of offloads in a tree, from which ledgers that are added get theirs."""

from metadata_tool.pulsar.coverage import is_offloaded
from metadata_tool.pulsar.managed_ledger_pb2 import ManagedLedgerInfo, OffloadDriverMetadata
from metadata_tool.tiered_storage.claims import UNDERSTOOD, bucket_of


class Drivers:
    """Remembers the last metadata of each namespace and bucket."""

    def __init__(self) -> None:
        self._by_bucket: dict[str, bytes] = {}
        self._by_namespace: dict[tuple[str, str], bytes] = {}

    def note(self, namespace: str, info: ManagedLedgerInfo) -> None:
        """Remember the metadata of a topic's offloads, also of those that were only begun."""
        for ledger in info.ledgerInfo:
            if ledger.HasField("offloadContext") and ledger.offloadContext.HasField("driverMetadata"):
                driver = ledger.offloadContext.driverMetadata
                bucket = bucket_of(driver)
                if bucket and driver.name in UNDERSTOOD:
                    encoded = driver.SerializeToString(deterministic=True)
                    self._by_bucket[bucket] = encoded
                    self._by_namespace[namespace, bucket] = encoded

    @property
    def buckets(self) -> list[str]:
        """The buckets that the tree names."""
        return sorted(self._by_bucket)

    def metadata(self, namespace: str, info: ManagedLedgerInfo, bucket: str) -> OffloadDriverMetadata:
        """What a ledger in this bucket gets: as another of its topic, or else of its namespace, or else of the tree."""
        own = [
            each
            for each in info.ledgerInfo
            if is_offloaded(each) and is_understood(each.offloadContext.driverMetadata, bucket)
        ]
        if own:
            return max(own, key=lambda each: each.ledgerId).offloadContext.driverMetadata
        return OffloadDriverMetadata.FromString(self._by_namespace.get((namespace, bucket)) or self._by_bucket[bucket])


def is_understood(driver: OffloadDriverMetadata, bucket: str) -> bool:
    """Whether this is the metadata of an offload to this bucket that the S3 protocol reads."""
    return driver.name in UNDERSTOOD and bucket_of(driver) == bucket
