"""Reads the indexes of uploads that no ledger list names, several at once."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import NamedTuple

from metadata_tool.tiered_storage.candidate_table import Found
from metadata_tool.tiered_storage.candidates import NotTaken, Upload
from metadata_tool.tiered_storage.contract import DescribedBucket
from metadata_tool.tiered_storage.index import IndexDamagedError, OffloadIndex
from metadata_tool.tiered_storage.limits import INDEX_BYTES
from metadata_tool.tiered_storage.object_names import ObjectName
from metadata_tool.tiered_storage.ordered_pool import in_order


class LedgerUploads(NamedTuple):
    """What the bucket has of a ledger: uploads that can be used, and the reasons why others cannot be placed."""

    ledger_id: int
    uploads: list[Upload]
    problems: list[NotTaken]


def read_uploads(
    found: Iterable[list[Found]], buckets: Mapping[str, DescribedBucket], requests: int, heartbeat: Callable[[], None]
) -> Iterator[LedgerUploads]:
    """The uploads of each ledger, in the order of `found`. `requests` is how many requests may be in flight.

    Raises:
        ToolError: an index cannot be read.
    """
    return in_order((partial(_read, each, buckets) for each in found), requests, "uploads", heartbeat)


def _read(found: list[Found], buckets: Mapping[str, DescribedBucket]) -> LedgerUploads:
    uploads, problems = [], []
    for each in found:
        upload = _upload(each, buckets[each.bucket])
        if isinstance(upload, Upload):
            uploads.append(upload)
        else:
            problems.append(upload)
    return LedgerUploads(found[0].ledger_id, uploads, problems)


def _upload(found: Found, bucket: DescribedBucket) -> Upload | NotTaken:
    key = str(ObjectName(found.uuid, found.ledger_id, is_index=True))
    stored = bucket.get(key, INDEX_BYTES + 1) if found.has_index else None
    if stored is None:
        return NotTaken.NO_INDEX
    if len(stored.content) > INDEX_BYTES:
        return NotTaken.BAD_INDEX
    try:
        index = OffloadIndex.parse(stored.content)
    except IndexDamagedError:
        return NotTaken.BAD_INDEX
    if not index.managed_ledger:
        return NotTaken.NO_NAME
    if not index.entries:
        return NotTaken.NO_ENTRY
    return Upload(found.bucket, found.uuid, found.data_size, index, stored.cluster)
