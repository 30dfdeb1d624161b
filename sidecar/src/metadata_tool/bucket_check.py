"""Checks before a restore that the buckets of tiered storage are where the restored tree will say."""

import logging
from collections.abc import Callable
from pathlib import Path

from metadata_tool import archive
from metadata_tool.errors import STORE_FAULTS, BucketMissing, SettingError
from metadata_tool.pulsar.moved_buckets import MovedBuckets
from metadata_tool.pulsar.paths import Layout
from metadata_tool.restore_job import RestoreJob
from metadata_tool.store.s3_scheme import BUCKET_NAME
from metadata_tool.tiered_storage.claims import Claim
from metadata_tool.tiered_storage.contract import ReadableBucket
from metadata_tool.tiered_storage.named_buckets import NamedBucket, named_buckets
from metadata_tool.tiered_storage.object_names import ObjectName
from metadata_tool.zookeeper.snapshot import escaped

log = logging.getLogger(__name__)

_OFF = (
    "To restore without this check, unset TIERED_STORAGE_ENDPOINT_URL, TIERED_STORAGE_REGION and the keys of tiered "
    "storage (tieredStorage in the chart). Nothing was touched"
)
_MOVED = "If it has moved, set TIERED_STORAGE_BUCKETS (restore.tieredStorage.buckets)"
_NAMED = 6
"""Buckets that a sentence names."""


def check_buckets(job: RestoreJob, path: Path, layout: Layout, heartbeat: Callable[[], None]) -> None:
    """Look at a fetched backup, if buckets have moved or access to them is configured.

    Raises:
        SettingError: a bucket that has moved is not in the tree.
        ToolError: a bucket with offloaded ledgers cannot be listed.
    """
    moved, access = job.recovery_options.buckets, job.bucket_access
    if not moved and access is None:
        return
    with archive.opened(path, heartbeat) as backup:
        found = named_buckets(backup.tree().nodes, layout)
    _require_named(moved, found)
    if access is None:
        return
    from metadata_tool.tiered_storage.bucket import S3Bucket  # noqa: PLC0415  # boto3 takes a second to load

    for old, bucket in found.items():
        heartbeat()
        name = moved.new_name(old)
        if not bucket.samples:
            log.info("the bucket %s is not checked, because no ledger in it can be looked for", escaped(name))
        elif BUCKET_NAME.fullmatch(name):
            _check(S3Bucket(name, access), name, bucket)
        else:
            raise BucketMissing(_unusable(escaped(name), bucket, "no bucket can have that name"), f"{_MOVED}. {_OFF}")


def _unusable(name: str, named: NamedBucket, why: str) -> str:
    return f"the bucket {name} should have {named.ledgers} offloaded ledgers of the tree, but {why}"


def _require_named(moved: MovedBuckets, found: dict[str, NamedBucket]) -> None:
    """Each old name is in the tree, or its new name is there already."""
    for old, new in moved.names:
        if old in found:
            continue
        if new not in found:
            names = sorted(map(escaped, found))
            more = [f"{len(names) - _NAMED} more"] if len(names) > _NAMED else []
            which = ", ".join([*names[:_NAMED], *more]) or "no bucket"
            raise SettingError(
                f"TIERED_STORAGE_BUCKETS has the bucket {old}, but the tree names {which}",
                "Set it to old-name=new-name,… with old names that are in the tree. Nothing was touched",
            )
        log.info("the tree does not name the bucket %s, but its new name %s already", old, new)


def _is_there(bucket: ReadableBucket, claim: Claim) -> bool:
    return bucket.read(str(ObjectName(claim.uuid, claim.ledger_id, is_index=True)), 1) is not None


def _check(bucket: ReadableBucket, name: str, named: NamedBucket) -> None:
    """One listing, and a few small requests."""
    try:
        next(iter(bucket.objects()), None)
        missing = [claim for claim in named.samples if not _is_there(bucket, claim)]
    except STORE_FAULTS as error:
        raise type(error)(_unusable(name, named, error.message), f"{error.hint}. {_MOVED}. {_OFF}") from error
    if len(missing) == len(named.samples):
        log.warning(
            "the bucket %s has no ledger of those that were looked for, such as ledger %d of %s. Topics there may be "
            "empty. %s",
            name,
            missing[0].ledger_id,
            missing[0].topic,
            _MOVED,
        )
