import subprocess
from pathlib import Path

import pytest

from metadata_tool.apache_chart.start_command import start_command
from metadata_tool.restore_marker import Marker
from metadata_tool.zookeeper import probe
from metadata_tool.zookeeper.datadir import JOINED, MARKER, VERSION_2

POINT = "s3a://my-bucket/a=b/pulsar-backup-1623721488825.tar.gz"


def options(data: Path) -> list[str]:
    """Java's options after the command, of a member that has one of its own."""
    script = f'OPTS=-Dmine=1\n{start_command(str(data))}\nprintf %s "$OPTS"'
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True)
    assert "" == done.stderr
    own, *found = done.stdout.split()
    assert "-Dmine=1" == own
    return found


def expected(marker: Marker, point: str = POINT) -> list[str]:
    """What a member reports of its restore."""
    return [f"-D{probe.ORIGIN}={marker.digest}", *([f"-D{probe.POINT}={point}"] if point else [])]


@pytest.fixture
def marker() -> Marker:
    """What a restore leaves."""
    return Marker("2", POINT, {"scope": "bookies-lost"})


def write(file: Path, content: bytes = b"") -> None:
    """Write a file of a member."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)


def test_one_line() -> None:
    """Apache's chart indents the first line only, so there is one."""
    assert 1 == len(start_command("/pulsar/data/zookeeper").splitlines())


def test_member_of_no_restore(tmp_path: Path) -> None:
    """A data directory that is missing, empty, or of no restore changes nothing."""
    assert [] == options(tmp_path / "missing")
    assert [] == options(tmp_path)
    write(tmp_path / VERSION_2 / "snapshot.100000001")
    assert [] == options(tmp_path)


def test_restored_member(tmp_path: Path, marker: Marker) -> None:
    """A restored member reports the digest of its marker, and the restore point."""
    write(tmp_path / VERSION_2 / MARKER, marker.to_json())
    assert expected(marker) == options(tmp_path)


@pytest.mark.parametrize("snapshot", ["snapshot.0", "snapshot.0.gz", "snapshot.0.snappy", "log.1", "snapshot.1"])
def test_member_that_joined(tmp_path: Path, marker: Marker, snapshot: str) -> None:
    """A member that started empty reports the restore once it has taken the tree, not before."""
    write(tmp_path / JOINED, marker.to_json())
    assert [] == options(tmp_path)
    write(tmp_path / VERSION_2 / snapshot)
    assert (expected(marker) if snapshot == "snapshot.1" else []) == options(tmp_path)


def test_own_marker_counts_first(tmp_path: Path, marker: Marker) -> None:
    """A later restore replaces the note of an earlier one."""
    write(tmp_path / JOINED, Marker("1", POINT, {}).to_json())
    write(tmp_path / VERSION_2 / MARKER, marker.to_json())
    write(tmp_path / VERSION_2 / "snapshot.1")
    assert expected(marker) == options(tmp_path)


@pytest.mark.parametrize(
    "point", ["s3a://b/$(touch x)-1.tar.gz", 's3a://b/a" -Dx=1 "-1.tar.gz', "s3a://b/ä b-1.tar.gz"]
)
def test_point_that_needs_quotes_is_left_out(tmp_path: Path, point: str) -> None:
    """A point with other characters is left out, and nothing of it is run or becomes an option."""
    odd = Marker("1", point, {})
    write(tmp_path / VERSION_2 / MARKER, odd.to_json())
    assert expected(odd, "") == options(tmp_path)
