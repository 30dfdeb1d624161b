"""The program as a process of its own: how it ends, and what it writes to pipes and to full disks."""

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from metadata_tool.errors import ToolError
from support.backups import TIMESTAMP, make_backup, settings_of_commands
from support.tool import Outcome, environment


@pytest.fixture
def settings(tmp_path: Path, folder: Path) -> dict[str, str]:
    """Settings with which list, verify and restore work, once there is a backup."""
    return settings_of_commands(tmp_path, folder)


def process(
    *arguments: str, settings: dict[str, str], output: int = subprocess.PIPE, file_blocks: str = "unlimited"
) -> Outcome:
    """Run a command in a process of its own, which can write files of at most that many blocks of 512 bytes."""
    limited = ["sh", "-c", f'ulimit -f {file_blocks} && exec "$@"', "sh", sys.executable, "-m", "metadata_tool"]
    done = subprocess.run(
        [*limited, *arguments],
        env=environment({**settings, "PYTHONDONTWRITEBYTECODE": "1"}),
        stdout=output,
        stderr=subprocess.PIPE,
        text=True,
        timeout=120,
        check=False,
    )
    assert "Traceback" not in done.stderr
    return Outcome(done.returncode, done.stdout or "", done.stderr)


def test_program_is_a_module(folder: Path, settings: dict[str, str]) -> None:
    """`python -m metadata_tool` is the program: results go to stdout, an error to stderr in its last line."""
    point = make_backup(folder)
    assert str(point) in process("list", settings=settings).output
    outcome = process("verify", f"file://{folder}/pulsar-1.tar.gz", settings=settings)
    assert (26, "") == (outcome.exit_code, outcome.output)
    assert outcome.said.splitlines()[-1].startswith(f"error: file://{folder}/pulsar-1.tar.gz does not exist")


@pytest.mark.parametrize("count", [1, 300])
def test_reader_of_a_pipe_has_gone(count: int, folder: Path, settings: dict[str, str]) -> None:
    """If the reader of a pipe ends early, as `head` does, nothing is reported, for short and for long output."""
    make_backup(folder, timestamp=TIMESTAMP)
    for number in range(count):
        (folder / f"pulsar-{number}.tar.gz").write_bytes(b"x")
    reader, writer = os.pipe()
    os.close(reader)
    try:
        outcome = process("list", settings=settings, output=writer)
    finally:
        os.close(writer)
    assert (5, "") == (outcome.exit_code, outcome.said)


@pytest.mark.parametrize("count", [1, 300])
def test_output_cannot_be_written(count: int, folder: Path, settings: dict[str, str]) -> None:
    """Output that is lost, as on a full disk, is an error in one line."""
    make_backup(folder, timestamp=TIMESTAMP)
    for number in range(count):
        (folder / f"pulsar-{number}.tar.gz").write_bytes(b"x")
    with Path("/dev/full").open("w") as full:
        outcome = process("list", settings=settings, output=full.fileno())
    assert 0 != outcome.exit_code
    assert 1 == len(outcome.said.splitlines())
    assert outcome.said.startswith("error: ")


@pytest.mark.parametrize("verb", ["verify", "restore"])
def test_spool_is_full(verb: str, folder: Path, settings: dict[str, str]) -> None:
    """A full spool directory is reported as such, not as an error of the bucket."""
    point = make_backup(folder)
    arguments = [str(point)] if verb == "verify" else []
    outcome = process(verb, *arguments, settings=settings, file_blocks="0")
    assert 15 == outcome.exit_code, outcome.said
    assert "SPOOL_DIR" in outcome.said.splitlines()[-1]


def ended(script: str) -> tuple[int, list[str]]:
    """Exit code and stderr, line by line, of a process with a log."""
    done = subprocess.run(
        [sys.executable, "-c", "from metadata_tool import logs\n" + textwrap.dedent(script)],
        env=environment({}),
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stderr.splitlines()


def test_uncaught_fault() -> None:
    """A fault that ends the program is one JSON line with its traceback."""
    exit_code, lines = ended("logs.configure('json', 'error')\n1 / 0")
    (found,) = [json.loads(line) for line in lines]
    assert (1, "critical", "ZeroDivisionError", ToolError.exit_code) == (
        exit_code,
        found["level"],
        found["error"],
        found["exitCode"],
    )
    assert found["traceback"].endswith("ZeroDivisionError: division by zero")


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("import threading\nthreading.Thread(target=lambda: 1 / 0).start()", "ZeroDivisionError: division by zero"),
        ("class Odd:\n    def __del__(self):\n        1 / 0\nOdd()", "ZeroDivisionError: division by zero"),
    ],
    ids=["thread", "destructor"],
)
def test_what_python_says(script: str, expected: str) -> None:
    """Whatever Python writes to stderr on its own is a JSON line too."""
    exit_code, lines = ended("logs.configure('json', 'info')\n" + script)
    assert 0 == exit_code
    assert [expected] == [json.loads(line)["traceback"].splitlines()[-1] for line in lines]


def test_what_python_warns_of() -> None:
    """A warning of Python is a JSON line too."""
    exit_code, (line,) = ended("logs.configure('json', 'info')\nimport warnings\nwarnings.warn('odd')")
    found = json.loads(line)
    assert (0, "warning") == (exit_code, found["level"])
    assert "UserWarning: odd" in found["message"]
