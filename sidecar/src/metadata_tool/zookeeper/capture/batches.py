"""Divides reads into requests that are bounded by their number, their bytes, and the bytes of their replies."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import compress, islice
from typing import TypeVar

from metadata_tool.zookeeper.capture.acl_table import AclReply, ZnodeAcl
from metadata_tool.zookeeper.limits import NAME_BYTES, READ_BYTES, ReadLimits
from metadata_tool.zookeeper.protocol import OP_BYTES

T = TypeVar("T")


def chunks(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """The items in lists of this size. The last one may be shorter."""
    remaining = iter(items)
    while chunk := list(islice(remaining, size)):
        yield chunk


def in_batches(sized: Iterable[tuple[T, int, int]], limits: ReadLimits) -> Iterator[list[T]]:
    """Items in their order, in batches bounded by their number, and by the bytes of their request and reply.

    Each item comes with its bytes in the request and in the reply.
    """
    batch: list[T] = []
    requested = replied = 0
    for item, request_bytes, reply_bytes in sized:
        requested, replied = requested + request_bytes, replied + reply_bytes
        too_large = requested > limits.request_bytes or replied > limits.reply_bytes
        if batch and (too_large or len(batch) >= limits.batch):
            yield batch
            batch, requested, replied = [], request_bytes, reply_bytes
        batch.append(item)
    if batch:
        yield batch


@dataclass(frozen=True, slots=True)
class PlannedRead:
    """Znodes whose data and stats are to be read by one request, once something is known of their ACLs and sizes."""

    paths: Sequence[bytes]
    on_wire: Sequence[bytes]
    """The paths, encoded for a request."""
    acls: Sequence[AclReply]
    parents: Sequence[bytes]
    """The paths that had children when their ACL was read. Their lists of children are part of the request."""
    expected: int
    """The bytes of the reply, lists of children included, as far as sizes are known."""
    guessed: bool
    """Whether some ACLs are from the cache, so that the sizes of these znodes are unknown."""


def planned(
    paths: Sequence[bytes],
    on_wire: Sequence[bytes],
    acls: Sequence[AclReply],
    cached: Sequence[bool],
    limits: ReadLimits,
) -> Iterator[PlannedRead]:
    """Divide the read of these znodes, in their order. `cached` tells whose ACL is from the cache."""
    data = [acl.data_length if type(acl) is ZnodeAcl else 0 for acl in acls]
    children = [acl.children if type(acl) is ZnodeAcl else 0 for acl in acls]
    listed = children
    if any(cached):
        unknown = limits.unknown_bytes
        data = [max(size, unknown) if known else size for size, known in zip(data, cached, strict=True)]
        listed = [0 if known else number for number, known in zip(children, cached, strict=True)]
    for which in _parts(paths, data, children, limits):
        some = paths[which]
        expected = _reply_bytes(data[which], children[which])
        parents = list(compress(some, listed[which]))
        yield PlannedRead(some, on_wire[which], acls[which], parents, expected, any(cached[which]))


def _parts(paths: Sequence[bytes], data: Sequence[int], children: Sequence[int], limits: ReadLimits) -> Iterator[slice]:
    """Most batches are one part and need no loop."""
    requested = 2 * (sum(map(len, paths)) + OP_BYTES * len(paths))
    if requested <= limits.request_bytes and _reply_bytes(data, children) <= limits.reply_bytes:
        yield slice(0, len(paths))
        return
    sized = (
        (number, 2 * (len(path) + OP_BYTES), READ_BYTES + size + NAME_BYTES * names)
        for number, (path, size, names) in enumerate(zip(paths, data, children, strict=True))
    )
    for batch in in_batches(sized, replace(limits, batch=len(paths))):
        yield slice(batch[0], batch[-1] + 1)


def _reply_bytes(data: Sequence[int], children: Sequence[int]) -> int:
    """The size of the reply for znodes with these data lengths and numbers of children."""
    return READ_BYTES * len(data) + sum(data) + NAME_BYTES * sum(children)
