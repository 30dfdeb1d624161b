import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metadata_tool.pulsar.ids import MAX_SKIP
from metadata_tool.restore_marker import Marker

TEXT = st.text(st.characters(codec="utf-8"))
SETTINGS = {"RESTORE_SCOPE": "bookies-kept"}
GOOD = {"format": 1, "restoreVersion": "1", "restorePoint": "s3a://bucket/b-1.tar.gz", "settings": SETTINGS}


@given(version=TEXT, point=TEXT, settings=st.dictionaries(TEXT, TEXT, max_size=3))
def test_round_trip(version: str, point: str, settings: dict[str, str]) -> None:
    """A marker is read as it was written."""
    assert Marker(version, point, settings) == Marker.parse(Marker(version, point, settings).to_json())


def test_digest() -> None:
    """Restores that differ in anything have different digests, and equal restores have the same one."""
    different = [Marker("1", "a"), Marker("2", "a"), Marker("1", "b"), Marker("1", "a", SETTINGS)]
    assert 4 == len({marker.digest for marker in different})
    assert Marker("1", "a", {"x": "1", "y": "2"}).digest == Marker("1", "a", {"y": "2", "x": "1"}).digest


@given(version=TEXT, point=TEXT)
def test_epochs(version: str, point: str) -> None:
    """A restored tree is later than the saved one, by not so much that epochs run out, and as much for every point."""
    assert 1 <= Marker(version, point).zxid_epochs == Marker(version, "another").zxid_epochs <= 4096


@pytest.mark.parametrize(
    ("marker", "expected"),
    [(Marker("1", "a"), 1900), (Marker("2", "a"), 1219), (Marker("1", "a", SETTINGS), 3211)],
)
def test_epochs_of_a_restore(marker: Marker, expected: int) -> None:
    """Version and settings decide how many, the same in every release: members may run different ones."""
    assert expected == marker.zxid_epochs


@given(version=TEXT, point=TEXT)
def test_skipped_ids(version: str, point: str) -> None:
    """A restore skips ids, but not so many that ids run out."""
    assert 0 <= Marker(version, point).skipped_ids <= MAX_SKIP


@pytest.mark.parametrize(
    ("marker", "expected"),
    [
        (Marker("1", "a"), 6_613_764),
        (Marker("2", "a"), 727_048),
        (Marker("1", "b"), 5_404_147),
        (Marker("1", "a", SETTINGS), 12_309_308),
    ],
)
def test_skipped_ids_of_a_restore(marker: Marker, expected: int) -> None:
    """Whatever differs decides how many, the same in every release: members may run different ones."""
    assert expected == marker.skipped_ids


def test_bytes() -> None:
    """The file is the same in every release: members tell each other its digest."""
    expected = """{
  "format": 1,
  "restoreVersion": "1",
  "restorePoint": "s3a://bucket/\u00fc-1.tar.gz",
  "settings": {
    "RESTORE_SCOPE": "bookies-kept"
  }
}
"""
    assert expected.encode() == Marker("1", "s3a://bucket/\u00fc-1.tar.gz", SETTINGS).to_json()


def test_without_settings() -> None:
    """A marker that names no settings has none."""
    fields = {key: GOOD[key] for key in ("format", "restoreVersion", "restorePoint")}
    assert Marker("1", "s3a://bucket/b-1.tar.gz") == Marker.parse(json.dumps(fields).encode())


def test_no_clock() -> None:
    """Every member of an ensemble gets the same bytes."""
    assert Marker("1", "s3a://b/c-1.tar.gz").to_json() == Marker("1", "s3a://b/c-1.tar.gz").to_json()


def test_format() -> None:
    """The file says in readable JSON what was restored."""
    assert json.loads(Marker("1", "s3a://bucket/b-1.tar.gz", SETTINGS).to_json()) == GOOD


@given(content=st.binary())
def test_any_bytes(content: bytes) -> None:
    """Reading arbitrary bytes never fails, and finds no marker in them."""
    assert Marker.parse(content) is None


@pytest.mark.parametrize(
    "fields",
    [
        [],
        {},
        {**GOOD, "format": 2},
        {**GOOD, "restoreVersion": 1},
        {**GOOD, "restorePoint": None},
        {**GOOD, "settings": None},
        {key: GOOD[key] for key in ("format", "restoreVersion")},
    ],
)
def test_other_json(fields: object) -> None:
    """JSON that this program does not write is not a marker."""
    assert Marker.parse(json.dumps(fields).encode()) is None


@given(cut=st.integers(min_value=0), flip=st.integers(min_value=1, max_value=255))
def test_damage(cut: int, flip: int) -> None:
    """A cut file is not a marker, and a flipped byte never makes reading fail."""
    whole = Marker("1", "s3a://bucket/b-1.tar.gz").to_json()
    cut %= len(whole) - 2  # without its last newline it is still whole
    damaged = bytearray(whole)
    damaged[cut] ^= flip
    found = Marker.parse(bytes(damaged))
    assert Marker.parse(whole[:cut]) is None
    assert found is None or isinstance(found, Marker)
