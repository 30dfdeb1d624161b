"""Objects as an offloader of Pulsar writes them."""

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from uuid import UUID

from metadata_tool.pulsar.managed_ledger_pb2 import ManagedLedgerInfo
from metadata_tool.tiered_storage.contract import StoredObject
from metadata_tool.tiered_storage.index import MAGIC, MANAGED_LEDGER
from metadata_tool.tiered_storage.ledger_metadata_pb2 import LedgerMetadata
from metadata_tool.tiered_storage.object_names import ObjectName

if TYPE_CHECKING:
    from support.s3 import Bucket

BLOCK_HEADER = 128
_UNSIGNED = (1 << 64) - 1


@dataclass(frozen=True)
class Offloaded:
    """A ledger in the bucket of tiered storage."""

    uuid: UUID
    ledger_id: int
    managed_ledger: str = "public/default/persistent/t"
    entries: int = 100
    size: int = 5000
    data_length: int = 6000
    created: int = 1_700_000_000_000
    blocks: list[tuple[int, int, int]] = field(default_factory=lambda: [(0, 1, 0)])
    """First entry, part and offset of each."""

    @property
    def data_key(self) -> str:
        """The key of its data object."""
        return str(ObjectName(self.uuid, self.ledger_id, is_index=False))

    @property
    def index_key(self) -> str:
        """The key of its index."""
        return str(ObjectName(self.uuid, self.ledger_id, is_index=True))

    def data(self) -> bytes:
        """A data object of the right length."""
        return bytes(self.data_length)

    def index(self) -> bytes:
        """The index object."""
        metadata = LedgerMetadata(length=self.size, lastEntryId=self.entries - 1, ctime=self.created)
        if self.managed_ledger:
            metadata.customMetadata.add(key="application", value=b"pulsar")
            metadata.customMetadata.add(key=MANAGED_LEDGER, value=self.managed_ledger.encode())
        return index_of(metadata.SerializeToString(), self.data_length, self.blocks)


def index_of(metadata: bytes, data_length: int, blocks: list[tuple[int, int, int]]) -> bytes:
    """An index of these parts."""
    length = 32 + len(metadata) + 20 * len(blocks)
    head = struct.pack(">IiqqIi", MAGIC, length, data_length, BLOCK_HEADER, len(blocks), len(metadata))
    return head + metadata + b"".join(struct.pack(">qiq", *block) for block in blocks)


def topic_value(ledgers: Iterable[Offloaded], bucket: str, driver: str = "aws-s3") -> bytes:
    """The value of a topic's znode that calls these ledgers offloaded."""
    info = ManagedLedgerInfo()
    for ledger in ledgers:
        added = info.ledgerInfo.add(
            ledgerId=ledger.ledger_id, entries=ledger.entries, size=ledger.size, timestamp=ledger.created
        )
        context = added.offloadContext
        halves = [ledger.uuid.int >> 64, ledger.uuid.int & _UNSIGNED]
        context.uidMsb, context.uidLsb = (half - (1 << 64) if half >= 1 << 63 else half for half in halves)
        context.complete = context.bookkeeperDeleted = True
        context.driverMetadata.name = driver
        if bucket:
            context.driverMetadata.properties.add(key="bucket", value=bucket)
    return info.SerializeToString()


def path_of(managed_ledger: str) -> str:
    """The path of a topic's znode."""
    return f"/managed-ledgers/{managed_ledger}"


@dataclass
class MemoryBucket:
    """A bucket in memory, whose objects were written by clusters, and what was asked of it."""

    contents: dict[str, bytes] = field(default_factory=dict)
    clusters: dict[str, str] = field(default_factory=dict)
    reads: list[str] = field(default_factory=list)

    def put(self, *ledgers: Offloaded, cluster: str = "") -> "MemoryBucket":
        """Offload ledgers."""
        for each in ledgers:
            self.contents |= {each.data_key: each.data(), each.index_key: each.index()}
            self.clusters[each.index_key] = cluster
        return self

    def objects(self) -> Iterator[tuple[str, int]]:
        """See `ReadableBucket.objects`."""
        yield from ((key, len(content)) for key, content in self.contents.items())

    def read(self, key: str, limit: int) -> bytes | None:
        """See `ReadableBucket.read`."""
        found = self.get(key, limit)
        return found and found.content

    def get(self, key: str, limit: int) -> StoredObject | None:
        """See `DescribedBucket.get`."""
        self.reads.append(key)
        if key not in self.contents:
            return None
        return StoredObject(self.contents[key][:limit], self.clusters.get(key, ""))


def offload(bucket: "Bucket", *ledgers: Offloaded, cluster: str = "") -> None:
    """Offload ledgers into a real bucket. `cluster` is the one that says it wrote them, empty if none does."""
    client, written = bucket.server.client(), {"PulsarClusterName": cluster} if cluster else {}
    for ledger in ledgers:
        client.put_object(Bucket=bucket.name, Key=ledger.data_key, Body=ledger.data(), Metadata=written)
        client.put_object(Bucket=bucket.name, Key=ledger.index_key, Body=ledger.index(), Metadata=written)
