"""A command that is forked ends as one in a process of its own."""

import subprocess
import sys

import pytest

from support import forked
from support.tool import environment

ON_A_FILE = {"BUCKET": "file:///nowhere", "LOG_FORMAT": "json"}


@pytest.mark.parametrize(
    ("arguments", "settings"),
    [(["rules"], {}), (["--no-such-option"], {}), (["list"], ON_A_FILE), (["backup"], {"ZOOKEEPER_SERVERS": "a:b"})],
    ids=["done", "wrong option", "json", "wrong setting"],
)
def test_as_in_a_process_of_its_own(arguments: list[str], settings: dict[str, str]) -> None:
    """Exit code, output and errors are the same."""
    given = environment(settings)
    command = [sys.executable, "-m", "metadata_tool", *arguments]
    done = subprocess.run(command, env=given, capture_output=True, text=True, check=False)
    code, out, err = forked.run(arguments, given)
    assert (done.returncode, done.stdout) == (code, out)
    assert len(done.stderr.splitlines()) == len(err.splitlines())
    assert done.stderr[-40:] == err[-40:]
