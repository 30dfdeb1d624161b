"""The rules that decide which ledgers of a bucket a topic gets back (docs/tiered-storage.md has the reasons)."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple
from uuid import UUID

from metadata_tool.tiered_storage.index import OffloadIndex


class NotTaken(StrEnum):
    """Why objects of the bucket do not become a ledger of a topic."""

    NO_INDEX = "no index"
    BAD_INDEX = "the index is not valid"
    NO_NAME = "the index does not name its topic"
    NO_ENTRY = "no entry"
    OTHER_CLUSTER = "written by another cluster"
    NO_TOPIC = "the topic is not in the tree"
    TERMINATED = "the topic was terminated before"
    OLD = "the ledger is not above the topic's last one"
    NO_PATH = "the topic's name is not that of a persistent topic"
    SYSTEM = "a topic of Pulsar itself"
    NOT_WANTED = "not among what is wanted"


@dataclass(frozen=True)
class Upload:
    """One copy of a ledger: two objects with the same uuid. `data_size` is None if there is no data object.

    `cluster` is the name of the cluster that wrote the index. Empty if it is not known.
    """

    bucket: str
    uuid: UUID
    data_size: int | None
    index: OffloadIndex
    cluster: str = ""


class Listed(NamedTuple):
    """A ledger of a topic's list that cannot be read from tiered storage as the list says.

    `entries` and `size` are 0 if the ledger was still open. `uuid` is that of an offload that was begun, or that is
    missing or damaged. `promised`: the list calls the ledger offloaded completely.
    """

    entries: int
    size: int
    uuid: UUID | None
    promised: bool = False


class TopicEnd(NamedTuple):
    """The end of a topic's list: the highest id that the topic cannot get any more, and whether it was terminated."""

    last_ledger: int
    terminated: bool = False


@dataclass(frozen=True)
class Rejected:
    """No upload of a candidate can be used. `why` is part of a sentence."""

    why: str


def not_taken(ledger_id: int, topic: TopicEnd | None, listed: Listed | None) -> NotTaken | None:
    """Why this ledger of the bucket is none that the topic had after the backup. None if it may be.

    A broker gives a topic ledgers with rising ids. So an id that the list does not have, and that is not above the last
    one, belongs to a ledger that was trimmed, or to an earlier topic of this name.
    """
    if topic is None:
        return NotTaken.NO_TOPIC
    if listed:
        return None
    if ledger_id <= topic.last_ledger:
        return NotTaken.OLD
    return NotTaken.TERMINATED if topic.terminated else None


def choose(uploads: Sequence[Upload], listed: Listed | None) -> Upload | Rejected:
    """The upload to read a ledger from. All of them name the same topic.

    The one that the list names comes first. All others must have the same content, because a closed ledger never
    changes. Of several, the first by bucket and uuid is chosen, so that the result is always the same.
    """
    usable = []
    problems = []
    for upload in sorted(uploads, key=lambda each: (each.bucket, each.uuid.int)):
        if problem := _problem(upload, listed):
            problems.append(problem)
        else:
            usable.append(upload)
    if not usable:
        return Rejected(problems[0])
    own = [upload for upload in usable if listed and upload.uuid == listed.uuid]
    if own:
        return own[0]
    contents = sorted({(upload.index.entries, upload.index.size) for upload in usable})
    if len(contents) > 1:
        described = " and ".join(f"{entries} entries in {size} bytes" for entries, size in contents)
        return Rejected(f"{len(usable)} uploads that differ, {described}")
    return usable[0]


def by_topic(uploads: Iterable[Upload], own: frozenset[str]) -> tuple[dict[str, list[Upload]], int]:
    """The uploads of a ledger by their topics, and the number of those that other clusters wrote."""
    found: dict[str, list[Upload]] = {}
    others = 0
    for upload in uploads:
        if own and upload.cluster and upload.cluster not in own:
            others += 1
        else:
            found.setdefault(upload.index.managed_ledger, []).append(upload)
    return dict(sorted(found.items())), others


def own_clusters(seen: Iterable[str], in_tree: Sequence[str]) -> frozenset[str]:
    """The names under which the tree's cluster may have written objects. Empty if every name is allowed.

    `seen` are the writers of the ledgers that the tree calls offloaded. With geo-replication, `in_tree` has remote
    clusters too, which may offload topics of the same names to the same bucket.
    """
    known = frozenset(filter(None, seen))
    return known | frozenset(in_tree) if len(in_tree) == 1 or not known else known


def _problem(upload: Upload, listed: Listed | None) -> str:
    """Why an upload cannot be used, empty if it can."""
    index = upload.index
    if upload.data_size is None:
        return "no data object"
    if upload.data_size != index.data_length:
        return f"bytes in the data object {upload.data_size}, in the index {index.data_length}"
    if listed and (listed.entries or listed.size) and (listed.entries, listed.size) != (index.entries, index.size):
        return f"entries {listed.entries} and bytes {listed.size}, in the index {index.entries} and {index.size}"
    return ""
