"""The program as users run it: a process, its environment, its exit code and what it says."""

import json
import os
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from metadata_tool.errors import ToolError
from support import forked
from support.processes import Process, free_port
from support.secrets import assert_untold

_KEPT = ("PATH", "HOME", "LANG", "TMPDIR", "PYTHONPATH", "PYTHONPYCACHEPREFIX")


def environment(settings: Mapping[str, str]) -> dict[str, str]:
    """The settings and what a process cannot do without: nothing of the caller's own."""
    return {**{key: os.environ[key] for key in _KEPT if key in os.environ}, **settings}


@dataclass(frozen=True)
class Outcome:
    """How a command ended."""

    exit_code: int
    output: str
    said: str

    @property
    def error(self) -> str:
        """The last line it said, which is the error where there is one."""
        return (self.said.strip().splitlines() or [""])[-1]


def run(*arguments: str, settings: Mapping[str, str]) -> Outcome:
    """Run one command to its end, in a process that is forked from one that has loaded the program."""
    told = environment(settings)
    outcome = Outcome(*forked.run(arguments, told))
    assert_untold(told, f"what {arguments[:1]} said", outcome.output + outcome.said)
    return outcome


def succeed(*arguments: str, settings: Mapping[str, str]) -> str:
    """Run a command that must succeed. Returns its output without the last newline."""
    outcome = run(*arguments, settings=settings)
    assert outcome.exit_code == 0, outcome.said
    return outcome.output.rstrip("\n")


def assert_refused(error: type[ToolError], naming: str, outcome: Outcome) -> None:
    """It ended with this error's exit code and one clear line that names what is at fault."""
    assert (error.exit_code, "") == (outcome.exit_code, outcome.output), outcome.said
    assert outcome.error.startswith("error: "), outcome.said
    assert naming in outcome.error
    assert "Traceback" not in outcome.said


class Service:
    """`metadata-tool serve`, and its admin port."""

    def __init__(self, settings: Mapping[str, str], log: Path, files: int = 0, wrapped: Sequence[str] = ()) -> None:
        """Start it. `files`: how many it may open. `wrapped`: a command that becomes the service in the end."""
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        command = [*wrapped, sys.executable, "-m", "metadata_tool", "serve"]
        if files:
            command = ["bash", "-c", f'ulimit -n {files} && exec "$@"', "bash", *command]
        self._settings = environment({**settings, "WEB_SERVER_PORT": str(self.port)})
        self.process = Process(command, log, self._settings)

    def get(self, path: str) -> tuple[int, str]:
        """Status and body of an answer, in which no secret may be. Status 0 if there is none."""
        status, body = self._get(path)
        assert_untold(self._settings, path, body)
        return status, body

    def _get(self, path: str) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(self.url + path, timeout=20) as reply:
                return reply.status, reply.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def json(self, path: str) -> Any:
        """An answer that must be JSON."""
        return json.loads(self.get(path)[1])

    def metric(self, name: str) -> float:
        """The value of a metric. -1 while there is no answer."""
        lines = [line for line in self.get("/metrics")[1].splitlines() if line.startswith(f"{name} ")]
        return float(lines[0].split()[1]) if lines else -1

    def wait_for(self, name: str, least: float) -> None:
        """Wait until a metric has at least this value."""
        self.process.wait_until(lambda: self.metric(name) >= least)
