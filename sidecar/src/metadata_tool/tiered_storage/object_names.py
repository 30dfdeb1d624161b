"""Names of the objects of an offloaded ledger: `<uuid>-ledger-<id>` for its data, and the same with `-index`.

The format is that of DataBlockUtils (tiered-storage/jcloud). A ledger whose offload was tried again may have several
pairs of objects. The pair that counts has the uuid that the ledger list names.
"""

import re
from typing import NamedTuple
from uuid import UUID

_NAME = re.compile(
    r"(?P<uuid>[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})-ledger-(?P<id>0|[1-9][0-9]{0,18})"
    r"(?P<index>-index)?"
)
_MAX_ID = (1 << 63) - 1
_UNSIGNED = (1 << 64) - 1


class ObjectName(NamedTuple):
    """The name of one of a ledger's objects."""

    uuid: UUID
    ledger_id: int
    is_index: bool

    def __str__(self) -> str:
        return f"{self.uuid}-ledger-{self.ledger_id}{'-index' if self.is_index else ''}"

    @classmethod
    def parse(cls, text: str) -> "ObjectName | None":
        """Read a key of the bucket. None if it is not an object of an offloaded ledger."""
        match = _NAME.fullmatch(text)
        if not match or int(match["id"]) > _MAX_ID:
            return None
        return cls(UUID(match["uuid"]), int(match["id"]), match["index"] is not None)


def uuid_of(most: int, least: int) -> UUID:
    """The uuid of an `OffloadContext`: `uidMsb` and `uidLsb`, which are signed."""
    return UUID(int=(most & _UNSIGNED) << 64 | least & _UNSIGNED)


def halves_of(uuid: UUID) -> tuple[int, int]:
    """`uidMsb` and `uidLsb` of a uuid, the inverse of `uuid_of`."""
    most, least = uuid.int >> 64, uuid.int & _UNSIGNED
    return _signed(most), _signed(least)


def _signed(half: int) -> int:
    return half - (1 << 64) if half >= 1 << 63 else half
