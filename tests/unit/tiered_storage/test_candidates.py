"""The rules that decide which ledgers of a bucket a topic gets back."""

from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metadata_tool.tiered_storage.candidates import (
    Listed,
    NotTaken,
    Rejected,
    TopicEnd,
    Upload,
    choose,
    not_taken,
    own_clusters,
)
from metadata_tool.tiered_storage.index import OffloadIndex
from support.trees import PATIENT

A, B = UUID(int=1), UUID(int=2)


def upload(uuid: UUID = A, data_size: int | None = 600, bucket: str = "offloads", **index: Any) -> Upload:
    """An upload, whose index has these fields."""
    fields: dict[str, Any] = {
        "data_length": 600,
        "entries": 10,
        "size": 500,
        "created": 1,
        "managed_ledger": "t/n/persistent/x",
    }
    return Upload(bucket, uuid, data_size, OffloadIndex(**(fields | index)))


@pytest.mark.parametrize(
    ("ledger_id", "topic", "listed", "expected"),
    [
        (9, TopicEnd(8), None, None),
        (8, TopicEnd(8), None, NotTaken.OLD),
        (3, TopicEnd(8), None, NotTaken.OLD),
        (3, TopicEnd(8), Listed(0, 0, None), None),
        (9, None, None, NotTaken.NO_TOPIC),
        (9, TopicEnd(8, terminated=True), None, NotTaken.TERMINATED),
        (8, TopicEnd(8, terminated=True), Listed(10, 500, None), None),
    ],
)
def test_who_may_be_added(
    ledger_id: int, topic: TopicEnd | None, listed: Listed | None, expected: NotTaken | None
) -> None:
    """A ledger is a candidate if its topic's list has it without its data, or if it is above the last one."""
    assert expected == not_taken(ledger_id, topic, listed)


@pytest.mark.parametrize(
    ("uploads", "listed", "expected"),
    [
        ([upload()], None, A),
        ([upload(B), upload(A)], None, A),
        ([upload(B), upload(A)], Listed(0, 0, B), B),
        ([upload(B, 599), upload(A)], Listed(0, 0, B), A),
        ([upload(B, None), upload(A)], Listed(10, 500, B), A),
        ([upload(A), upload(B, entries=9)], Listed(9, 500, None), B),
        ([upload(A), upload(B, entries=9)], Listed(0, 0, B), B),
        ([upload(B, bucket="a"), upload(A, bucket="b")], None, B),
    ],
)
def test_which_upload_is_chosen(uploads: list[Upload], listed: Listed | None, expected: UUID) -> None:
    """A valid upload is chosen: the one that the list names, or else the first by bucket and uuid."""
    chosen = choose(uploads, listed)
    assert expected == (chosen.uuid if isinstance(chosen, Upload) else chosen)


@pytest.mark.parametrize(
    ("uploads", "listed", "why"),
    [
        ([upload(data_size=None)], None, "no data object"),
        ([upload(data_size=5)], None, "bytes in the data object 5, in the index 600"),
        ([upload()], Listed(10, 499, A), "entries 10 and bytes 499, in the index 10 and 500"),
        (
            [upload(), upload(B, entries=9)],
            None,
            "2 uploads that differ, 9 entries in 500 bytes and 10 entries in 500 ",
        ),
    ],
)
def test_no_upload_can_be_used(uploads: list[Upload], listed: Listed | None, why: str) -> None:
    """If no upload is valid, or two valid ones differ, the reason is given."""
    chosen = choose(uploads, listed)
    assert isinstance(chosen, Rejected)
    assert chosen.why.startswith(why)


@PATIENT
@given(
    st.lists(
        st.builds(upload, st.sampled_from([A, B]), st.sampled_from([None, 600, 5]), st.sampled_from("ab")),
        unique_by=lambda each: (each.uuid, each.bucket),
    ),
    st.randoms(),
)
def test_order_does_not_matter(uploads: list[Upload], random: Any) -> None:
    """The same uploads give the same choice, in whatever order a bucket lists them."""
    if uploads:
        shuffled = list(uploads)
        random.shuffle(shuffled)
        assert choose(uploads, None) == choose(shuffled, None)


@pytest.mark.parametrize(
    ("seen", "in_tree", "expected"),
    [
        ([], [], set()),
        ([], ["c1"], {"c1"}),
        (["c0"], ["c1"], {"c0", "c1"}),
        (["c1"], ["c1", "c2"], {"c1"}),
        ([""], ["c1", "c2"], {"c1", "c2"}),
    ],
)
def test_own_clusters(seen: list[str], in_tree: list[str], expected: set[str]) -> None:
    """The tree's cluster wrote what the tree calls offloaded. A remote cluster counts only if nothing is known."""
    assert expected == own_clusters(seen, in_tree)
