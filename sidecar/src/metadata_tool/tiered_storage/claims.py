"""The ledgers that a tree calls offloaded, with the objects that must hold them."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from metadata_tool import archive
from metadata_tool.catalog import RestorePoint
from metadata_tool.fetch import require_match
from metadata_tool.pulsar.coverage import is_offloaded
from metadata_tool.pulsar.managed_ledger_pb2 import LedgerInfo, OffloadDriverMetadata
from metadata_tool.pulsar.topics import Topic, TopicDecoder
from metadata_tool.tiered_storage.object_names import uuid_of

UNDERSTOOD = ("S3", "aws-s3", "google-cloud-storage", "aliyun-oss")
"""Offload drivers that write two objects a ledger, into a bucket that the S3 protocol reads."""


@dataclass(frozen=True)
class Claim:
    """A ledger of a topic that is offloaded completely, as the ledger list tells.

    `topic` is the name of its managed ledger, such as `tenant/namespace/persistent/name`. `bucket` is where the tree
    says the objects are.
    `not_checked` is why the objects are not looked for, or empty.
    """

    namespace: str
    topic: str
    ledger_id: int
    uuid: UUID
    entries: int
    size: int
    bucket: str
    not_checked: str = ""


def claims_of(point: RestorePoint, path: Path) -> Iterator[Claim]:
    """The claims of a fetched backup, in the order of the tree.

    Raises:
        ArchiveCorrupt, ArchiveUnsupported: the backup cannot be used. What came before may be damaged too.
    """
    with archive.opened(path) as backup:
        require_match(point, backup.manifest)
        decoder = TopicDecoder(backup.manifest.layout)
        for node in backup.tree().nodes:
            found = decoder.decode(node.path, node.data)
            if isinstance(found, Topic):
                yield from claims(found)


def claims(topic: Topic) -> Iterator[Claim]:
    """The claims of a topic, in the order of its ledger list."""
    for ledger in filter(is_offloaded, topic.info.ledgerInfo):
        context = ledger.offloadContext
        bucket = bucket_of(context.driverMetadata)
        yield Claim(
            topic.namespace,
            topic.managed_ledger,
            ledger.ledgerId,
            uuid_of(context.uidMsb, context.uidLsb),
            ledger.entries,
            ledger.size,
            bucket,
            _not_checked(ledger, context.driverMetadata, bucket),
        )


def bucket_of(driver: OffloadDriverMetadata) -> str:
    """The bucket that the metadata of an offload names, empty if there is none."""
    return {item.key: item.value for item in driver.properties}.get("bucket", "")


def _not_checked(ledger: LedgerInfo, driver: OffloadDriverMetadata, bucket: str) -> str:
    if ledger.offloadContext.offloadSegment:
        return "a streaming offload"
    if not ledger.offloadContext.HasField("uidMsb"):
        return "no uuid in the ledger list"
    if driver.name not in UNDERSTOOD:
        return f"offload driver {driver.name or '(none)'}"
    return "" if bucket else "no bucket in the ledger list"
