"""What a scrub finds in a bucket of which every object is known."""

import json
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metadata_tool.errors import Stopped
from metadata_tool.pulsar import codec
from metadata_tool.pulsar.coverage import OTHERS
from metadata_tool.pulsar.paths import Layout
from metadata_tool.pulsar.topics import Topic, TopicDecoder
from metadata_tool.tiered_storage.claims import Claim, claims
from metadata_tool.tiered_storage.limits import NAMESPACES
from metadata_tool.tiered_storage.object_names import ObjectName
from metadata_tool.tiered_storage.scrub import ScrubJob, scrubbed
from metadata_tool.tiered_storage.scrub_result import ScrubResult, State
from support.offload import path_of, topic_value
from support.offload_bucket import BUCKET, NAMESPACE, Bucket, claimed, ledger, never
from support.trees import PATIENT


def result_of(bucket: Bucket, found: list[Claim], directory: Path, *, list_only: bool = False) -> ScrubResult:
    """The result of a scrub."""
    with scrubbed(ScrubJob(directory, list_only, 3), found, lambda _: bucket, never) as done:
        return done.result


def states(result: ScrubResult) -> dict[str, int]:
    """Ledgers by state."""
    return {state.value: count for state, count in (+result.total.ledgers).items()}


def named(result: ScrubResult) -> list[tuple[int, str, str]]:
    """The ledgers that are not there as the tree says: id, state and reason."""
    return [(each.ledger_id, each.state, each.why) for each in result.ledgers]


@pytest.mark.parametrize("list_only", [False, True])
def test_all_is_there(list_only: bool, tmp_path: Path) -> None:
    """Ledgers whose objects are there as the tree says are proven, and an index is read only if wanted."""
    ledgers = [ledger(number) for number in range(1, 21)]
    bucket = Bucket().put(*ledgers)
    result = result_of(bucket, claimed(*ledgers), tmp_path, list_only=list_only)
    assert ({"proven": 20}, [], 0) == (states(result), named(result), result.bad)
    assert ([] if list_only else sorted(each.index_key for each in ledgers)) == sorted(bucket.reads)
    assert (2000, 100_000) == (result.total.entries[State.PROVEN], result.total.bytes[State.PROVEN])


@pytest.mark.parametrize("list_only", [False, True])
def test_missing(list_only: bool, tmp_path: Path) -> None:
    """A ledger without its data object, its index or both is missing."""
    ledgers = [ledger(number) for number in range(1, 5)]
    bucket = Bucket().put(*ledgers)
    for key in (ledgers[0].data_key, ledgers[1].index_key, ledgers[2].data_key, ledgers[2].index_key):
        del bucket.contents[key]
    result = result_of(bucket, claimed(*ledgers), tmp_path, list_only=list_only)
    expected = [
        (1, "missing", "no data object"),
        (2, "missing", "no index"),
        (3, "missing", "no data object and no index"),
    ]
    assert (expected, {"missing": 3, "proven": 1}) == (named(result), states(result))


def test_names_are_printed_on_one_line(tmp_path: Path) -> None:
    """Names come from the tree, so what a terminal would obey is printed as an escape."""
    lost = [replace(each, topic="t/n/persistent/\x1b[2J\n", namespace="t/\x1b") for each in claimed(ledger(1))]
    lines = list(result_of(Bucket(), lost, tmp_path).lines())
    assert [] == [line for line in lines if line and not line.isprintable()]
    assert r"t/n/persistent/\x1b[2J\n ledger 1 missing: no data object and no index" in lines


def test_segment(tmp_path: Path) -> None:
    """A segment of a scalable topic is compared with the name that its managed ledger has."""
    wanted = ledger(1, managed_ledger=f"{NAMESPACE}/segment/a/0000-ffff-0")
    info = codec.managed_ledger(topic_value([wanted], BUCKET))
    found = TopicDecoder(Layout()).decode(path_of(wanted.managed_ledger).encode(), info.SerializeToString())
    assert isinstance(found, Topic)
    result = result_of(Bucket().put(wanted), list(claims(found)), tmp_path)
    assert ({"proven": 1}, [NAMESPACE]) == (states(result), list(result.namespaces))


def test_index_vanishes(tmp_path: Path) -> None:
    """An index that is deleted after the bucket was listed is missing."""
    bucket = Bucket().put(ledger(1))
    bucket.read = lambda *_: None  # type: ignore[method-assign]
    assert [(1, "missing", "no index")] == named(result_of(bucket, claimed(ledger(1)), tmp_path))


@pytest.mark.parametrize(
    ("kept", "why"),
    [
        ({"data_length": 5999}, "bytes in the data object 5999, in the index 6000"),
        ({"entries": 99}, "entries 100, in the index 99"),
        ({"size": 1}, "bytes 5000, in the index 1"),
        ({"size": 1, "entries": 99}, "entries 100, in the index 99 and bytes 5000, in the index 1"),
        ({"managed_ledger": "a/b/persistent/c"}, "topic public/default/persistent/t, in the index a/b/persistent/c"),
        ({"blocks": []}, "the index is not valid, its first block does not start with the first entry"),
    ],
)
def test_damaged(kept: dict[str, Any], why: str, tmp_path: Path) -> None:
    """An index that differs from the ledger list or from the data object is damage, and what differs is said."""
    bucket = Bucket().put(ledger(1))
    if "data_length" in kept:
        bucket.contents[ledger(1).data_key] = bytes(5999)
    else:
        bucket.contents[ledger(1).index_key] = replace(ledger(1), **kept).index()
    assert [(1, "damaged", why)] == named(result_of(bucket, claimed(ledger(1)), tmp_path))


@pytest.mark.parametrize("list_only", [False, True])
def test_empty_objects(list_only: bool, tmp_path: Path) -> None:
    """Empty objects are damage, which a listing alone shows."""
    bucket = Bucket({ledger(1).data_key: b"", ledger(1).index_key: b""})
    result = result_of(bucket, claimed(ledger(1)), tmp_path, list_only=list_only)
    assert [(1, "damaged", "empty data object and empty index")] == named(result)


def test_topic_of_an_old_ledger(tmp_path: Path) -> None:
    """An index that does not name its topic is proven by the rest."""
    old = ledger(1, managed_ledger="")
    assert {"proven": 1} == states(result_of(Bucket().put(old), claimed(ledger(1)), tmp_path))


@pytest.mark.parametrize(
    ("claim", "why"),
    [
        ({"driver": "azureblob"}, "offload driver azureblob"),
        ({"driver": "filesystem"}, "offload driver filesystem"),
        ({"driver": ""}, "offload driver (none)"),
        ({"bucket": ""}, "no bucket in the ledger list"),
    ],
)
def test_not_checked(claim: dict[str, str], why: str, tmp_path: Path) -> None:
    """A driver or layout that is not understood is named, and never counted as proven."""
    result = result_of(Bucket().put(ledger(1)), claimed(ledger(1), **claim), tmp_path)
    assert ({"not checked": 1}, {why: 1}, 0) == (states(result), dict(result.not_checked), result.bad)


def test_streaming_offload(tmp_path: Path) -> None:
    """Ledgers that were offloaded in segments are not checked."""
    info = codec.managed_ledger(topic_value([ledger(1)], BUCKET))
    info.ledgerInfo[0].offloadContext.offloadSegment.add()
    result = result_of(Bucket(), list(claims(Topic(NAMESPACE, "t", info))), tmp_path)
    assert {"a streaming offload": 1} == dict(result.not_checked)


def test_another_pair_of_the_ledger(tmp_path: Path) -> None:
    """Of several pairs of objects, only the one that the ledger list names counts. The others are orphans."""
    tried_before = replace(ledger(1), uuid=UUID(int=99), data_length=10)
    bucket = Bucket().put(ledger(1), tried_before)
    bucket.contents["something-else"] = b"x"
    with scrubbed(ScrubJob(tmp_path), claimed(ledger(1)), lambda _: bucket, never) as done:
        result, orphans = done.result, list(done.orphans())
    index_size = len(tried_before.index())
    expected = [
        (BUCKET, ObjectName(UUID(int=99), 1, is_index=False), 10),
        (BUCKET, ObjectName(UUID(int=99), 1, is_index=True), index_size),
    ]
    assert ({"proven": 1}, 2, 10 + index_size, 1) == (
        states(result),
        result.orphans,
        result.orphan_bytes,
        result.other_objects,
    )
    assert expected == [tuple(orphan) for orphan in orphans]


def test_each_bucket_is_asked(tmp_path: Path) -> None:
    """A ledger is looked for in the bucket that the tree names, and in no other."""
    buckets = {"one": Bucket().put(ledger(1)), "two": Bucket().put(ledger(2))}
    found = [*claimed(ledger(1), bucket="one"), *claimed(ledger(2), bucket="two"), *claimed(ledger(1), bucket="two")]
    with scrubbed(ScrubJob(tmp_path), found, buckets.__getitem__, never) as done:
        assert [(1, "missing", "no data object and no index")] == named(done.result)


def test_worst_topics_first(tmp_path: Path) -> None:
    """Namespaces and topics are ordered by the bytes that are missing or damaged."""
    lost = [
        ledger(1, topic="little", size=10),
        ledger(2, topic="most", size=500),
        ledger(3, topic="most", size=600),
        replace(ledger(4, size=700), managed_ledger="a/b/persistent/c"),
    ]
    result = result_of(Bucket().put(ledger(5)), [*claimed(*lost), *claimed(ledger(5))], tmp_path)
    expected = [("public/default/persistent/most", 2, 1100), ("a/b/persistent/c", 1, 700)]
    assert [*expected, ("public/default/persistent/little", 1, 10)] == result.worst_topics()
    assert ["public/default", "a/b"] == [name for name, _ in result.by_loss()]
    assert result.to_json()["total"]["missing"] == {"ledgers": 4, "entries": 400, "bytes": 1810}


def test_stop(tmp_path: Path) -> None:
    """A scrub ends when its heartbeat raises."""

    def stop() -> None:
        raise Stopped("stopped")

    with (
        pytest.raises(Stopped),
        scrubbed(ScrubJob(tmp_path), claimed(ledger(1)), lambda _: Bucket(), stop),
    ):
        pass


@PATIENT
@given(st.data())
def test_every_ledger_has_one_state(data: st.DataObject) -> None:
    """Whatever lies in the bucket, each ledger that the tree claims has the state that its own objects give it."""
    ledgers = [ledger(number) for number in range(1, data.draw(st.integers(1, 6)) + 1)]
    bucket, expected = Bucket().put(*ledgers), dict[int, str]()
    for each in ledgers:
        fate = data.draw(st.sampled_from(["proven", "no data", "no index", "cut data", "damaged index"]))
        expected[each.ledger_id] = "missing" if fate.startswith("no ") else "damaged" if fate != "proven" else "proven"
        if fate == "no data":
            del bucket.contents[each.data_key]
        elif fate == "no index":
            del bucket.contents[each.index_key]
        elif fate == "cut data":
            bucket.contents[each.data_key] = bucket.contents[each.data_key][:-1]
        elif fate == "damaged index":
            bucket.contents[each.index_key] = b"x" + bucket.contents[each.index_key][1:]
    with tempfile.TemporaryDirectory() as directory:
        result = result_of(bucket, claimed(*ledgers), Path(directory))
    found = dict.fromkeys(expected, "proven") | {each.ledger_id: each.state for each in result.ledgers}
    assert (expected, 0) == (found, result.orphans)


def test_all_orphans_are_listed(tmp_path: Path, soak: bool) -> None:
    """However many orphans there are, a report lists each of them, as text and as JSON."""
    many = 100_001 if soak else 5_001
    bucket = Bucket({f"{UUID(int=number + 9)}-ledger-1": b"x" for number in range(many)})
    with scrubbed(ScrubJob(tmp_path), claimed(ledger(1)), lambda _: bucket, never) as done:
        lines = list(done.result.lines(done.orphans()))
        found = json.loads("\n".join(done.result.json_lines(done.orphans())))
    keys = sorted(bucket.contents)
    assert [f"{BUCKET}/{key} 1" for key in keys] == lines[-many:]
    assert [{"bucket": BUCKET, "key": key, "bytes": 1} for key in keys] == found.pop("orphanObjects")
    assert (json.loads(json.dumps(done.result.to_json())), many) == (found, found["orphans"]["objects"])


@pytest.mark.parametrize("count", [0, 1, 2])
def test_few_orphans(count: int, tmp_path: Path) -> None:
    """The list of orphans is JSON, however short it is. Without one, there is no list."""
    bucket = Bucket({f"{UUID(int=number + 9)}-ledger-1": b"x" for number in range(count)})
    with scrubbed(ScrubJob(tmp_path), claimed(ledger(1)), lambda _: bucket, never) as done:
        assert count == len(json.loads("\n".join(done.result.json_lines(done.orphans())))["orphanObjects"])
        assert "orphanObjects" not in json.loads("\n".join(done.result.json_lines()))


def test_many_namespaces(tmp_path: Path) -> None:
    """Beyond the limit, namespaces are counted together, so that a report stays small."""
    found = [
        Claim(f"t/{number}", f"t/{number}/persistent/a", number, UUID(int=number), 1, 1, BUCKET)
        for number in range(NAMESPACES + 5)
    ]
    result = result_of(Bucket(), found, tmp_path, list_only=True)
    assert (NAMESPACES + 1, 5) == (len(result.namespaces), result.namespaces[OTHERS].ledgers[State.MISSING])
