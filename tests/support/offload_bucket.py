"""A bucket of tiered storage in memory, and what a tree claims of it."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

from metadata_tool.pulsar import codec
from metadata_tool.pulsar.topics import Topic
from metadata_tool.tiered_storage.claims import Claim, claims
from support.offload import Offloaded, topic_value

BUCKET = "offloads"
NAMESPACE = "public/default"


def ledger(number: int, topic: str = "t", **changes: Any) -> Offloaded:
    """The ledger of this id."""
    return replace(Offloaded(UUID(int=number), number, f"{NAMESPACE}/persistent/{topic}"), **changes)


def claimed(*ledgers: Offloaded, bucket: str = BUCKET, driver: str = "aws-s3") -> list[Claim]:
    """What a tree claims that calls these ledgers offloaded."""
    found: list[Claim] = []
    for each in ledgers:
        value = codec.managed_ledger(topic_value([each], bucket, driver))
        namespace, _, name = each.managed_ledger.partition("/persistent/")
        found += claims(Topic(namespace, name, value))
    return found


@dataclass
class Bucket:
    """A bucket in memory, and what was asked of it."""

    contents: dict[str, bytes] = field(default_factory=dict)
    reads: list[str] = field(default_factory=list)

    def put(self, *ledgers: Offloaded) -> "Bucket":
        """Offload ledgers."""
        for each in ledgers:
            self.contents |= {each.data_key: each.data(), each.index_key: each.index()}
        return self

    def objects(self) -> Iterator[tuple[str, int]]:
        """See `ReadableBucket.objects`."""
        yield from ((key, len(content)) for key, content in self.contents.items())

    def read(self, key: str, limit: int) -> bytes | None:
        """See `ReadableBucket.read`."""
        self.reads.append(key)
        return self.contents[key][:limit] if key in self.contents else None


def never() -> None:
    """A heartbeat that never ends the work."""
