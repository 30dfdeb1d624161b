"""What a scrub knows from those before it: it reads no index twice, and confirms what is lost."""

import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metadata_tool.errors import StoreUnreachable
from metadata_tool.tiered_storage.known_ledgers import known_ledgers
from metadata_tool.tiered_storage.scrub import ScrubJob, scrubbed
from metadata_tool.tiered_storage.scrub_result import ScrubResult, State
from support.offload import Offloaded
from support.offload_bucket import Bucket, claimed, ledger, never
from support.trees import PATIENT


class Unreliable(Bucket):
    """A bucket that answers some reads, and then none."""

    answers = 1_000

    def read(self, key: str, limit: int) -> bytes | None:
        """See `ReadableBucket.read`."""
        if len(self.reads) >= self.answers:
            raise StoreUnreachable("nobody answers")
        return super().read(key, limit)


class Scrubs:
    """Scrubs that follow each other, as in a service."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def __call__(self, bucket: Bucket, ledgers: list[Offloaded], *, list_only: bool = False) -> ScrubResult:
        """Scrub a tree with these ledgers. The bucket notes what is read of it from now on."""
        bucket.reads.clear()
        with tempfile.TemporaryDirectory(dir=self.directory) as name:
            directory = Path(name)
            job = ScrubJob(directory, list_only, requests=1)
            with (
                known_ledgers(self.directory / "known", directory) as known,
                scrubbed(job, claimed(*ledgers), lambda _: bucket, never, known) as done,
            ):
                return done.result


@pytest.fixture
def scrubs(tmp_path: Path) -> Scrubs:
    """Scrubs of a service that has just started."""
    return Scrubs(tmp_path)


def test_proven_once(scrubs: Scrubs) -> None:
    """An index that has proven its ledger is not read again."""
    ledgers = [ledger(number) for number in range(1, 6)]
    bucket = Bucket().put(*ledgers)
    assert 5 == scrubs(bucket, ledgers).total.ledgers[State.PROVEN]
    assert 5 == len(bucket.reads)
    bucket.put(ledger(6))
    assert 6 == scrubs(bucket, [*ledgers, ledger(6)]).total.ledgers[State.PROVEN]
    assert [ledger(6).index_key] == bucket.reads


@pytest.mark.parametrize(
    "changed",
    [
        {"entries": 99},
        {"size": 4999},
        {"managed_ledger": "public/default/persistent/other"},
        {"data_length": 5999},
        {"managed_ledger": ""},
    ],
)
def test_changed(changed: dict[str, object], scrubs: Scrubs) -> None:
    """If the claim or the size of an object has changed, the index is read again."""
    bucket = Bucket().put(ledger(1))
    scrubs(bucket, [ledger(1)])
    now = replace(ledger(1), **changed)  # type: ignore[arg-type]
    bucket.put(now)
    scrubs(bucket, [now if now.managed_ledger else ledger(1)])
    assert [now.index_key] == bucket.reads


def test_listing_proves_no_index(scrubs: Scrubs) -> None:
    """What a listing alone proves is read once the indexes are wanted."""
    bucket = Bucket().put(ledger(1))
    scrubs(bucket, [ledger(1)], list_only=True)
    scrubs(bucket, [ledger(1)])
    assert [ledger(1).index_key] == bucket.reads


def test_known_ledger_is_deleted(scrubs: Scrubs) -> None:
    """A ledger that was proven is missing as soon as one of its objects is. The next scrub confirms that."""
    bucket = Bucket().put(ledger(1), ledger(2))
    scrubs(bucket, [ledger(1), ledger(2)])
    del bucket.contents[ledger(1).data_key]
    first, second = (scrubs(bucket, [ledger(1), ledger(2)]) for _ in range(2))
    assert [(1, 0), (1, 1)] == [(result.bad, result.total.confirmed) for result in (first, second)]
    assert 1 == second.namespaces["public/default"].confirmed


def test_trimmed_ledger_is_never_confirmed(scrubs: Scrubs) -> None:
    """A ledger that Pulsar trimmed after the backup is missing in one scrub, and forgotten with the next backup."""
    bucket = Bucket().put(ledger(2))
    assert (1, 0) == (scrubs(bucket, [ledger(1), ledger(2)]).bad, 0)
    assert (0, 0) == ((result := scrubs(bucket, [ledger(2)])).bad, result.total.confirmed)
    assert (1, 0) == ((result := scrubs(bucket, [ledger(1)])).bad, result.total.confirmed)


def test_failed_scrub_is_not_in_vain(scrubs: Scrubs) -> None:
    """What a scrub had proven before the bucket failed is not read again."""
    ledgers = [ledger(number) for number in range(1, 11)]
    bucket = Unreliable()
    bucket.put(*ledgers)
    bucket.answers = 7
    with pytest.raises(StoreUnreachable):
        scrubs(bucket, ledgers)
    bucket.answers = 1_000
    assert 10 == scrubs(bucket, ledgers).total.ledgers[State.PROVEN]
    assert 3 == len(bucket.reads)


NUMBERS = st.sets(st.integers(1, 6))


@PATIENT
@given(st.lists(st.tuples(NUMBERS, NUMBERS, st.booleans()), max_size=5))
def test_any_history(history: list[tuple[set[int], set[int], bool]]) -> None:
    """Whatever scrubs came before, they change no state, and only unknown indexes are read."""
    proven: set[int] = set()
    lost: set[int] = set()
    with tempfile.TemporaryDirectory() as name:
        scrubs = Scrubs(Path(name))
        for claims, present, list_only in history:
            bucket = Bucket().put(*map(ledger, present))
            result = scrubs(bucket, list(map(ledger, sorted(claims))), list_only=list_only)
            there, absent = claims & present, claims - present
            assert (len(there), len(absent)) == (
                result.total.ledgers[State.PROVEN],
                result.total.ledgers[State.MISSING],
            )
            unknown = set() if list_only else there - proven
            assert sorted(ledger(number).index_key for number in unknown) == sorted(bucket.reads)
            assert len(absent & lost) == result.total.confirmed
            proven, lost = set() if list_only else there, absent
