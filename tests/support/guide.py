"""docs/guide.md as its reader runs it: the commands of each part, by a shell."""

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from ci.chart import CHART
from ci.parts.helm import helm
from support.cluster import NAMESPACE
from support.s3 import ACCESS_KEY, SECRET_KEY

GUIDE = CHART.parents[1] / "docs" / "guide.md"
_READERS = "snpe"
"""The namespace of the guide. The tests have another one."""
_WITHIN = 1200
"""Seconds: a bound for a machine under load, not an expectation."""


@dataclass(frozen=True)
class Part:
    """What stands below a heading."""

    commands: str
    """The blocks marked `sh`. Others are not run."""
    output: list[str]
    """The lines of the blocks marked `text`, without what differs each time."""


def parts() -> dict[str, Part]:
    """The parts with commands, by their headings."""
    found = {}
    for text in re.split(r"^## ", GUIDE.read_text(), flags=re.MULTILINE)[1:]:
        heading, _, rest = text.partition("\n")
        commands = re.sub(rf"-n {_READERS}\b", f"-n {NAMESPACE}", _blocks("sh", rest))
        if commands:
            found[heading] = Part(commands, [_usual(line) for line in _blocks("text", rest).splitlines()])
    return found


def _blocks(language: str, text: str) -> str:
    return "".join(re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL))


def _usual(line: str) -> str:
    """A line of output without numbers, digests, ages and the width of columns."""
    return " ".join(re.sub(r"0x[0-9a-f]+|[0-9a-f]{8,}|\b(\d+[smh])+\b|\d+", "#", line).split())


class Guide:
    """Its reader, in a directory with the chart and values.yaml."""

    def __init__(self, directory: Path, values: str) -> None:
        self.left = parts()
        """What was not run yet."""
        self._directory = directory
        (directory / "charts").symlink_to(CHART.parent)
        (directory / "values.yaml").write_text(values)

    def run(self, heading: str, major: int) -> str:
        """Run a part with this version of helm. Returns what the commands printed."""
        part = self.left.pop(heading)
        programs = self._directory / f"helm-{major}"
        programs.mkdir(exist_ok=True)
        if not (programs / "helm").exists():
            (programs / "helm").symlink_to(Path(shutil.which(helm(major)) or helm(major)).resolve())
        environment = {
            **os.environ,
            "PATH": f"{programs}:{os.environ['PATH']}",
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
        }
        done = subprocess.run(
            ["bash", "-c", f"set -euxo pipefail\n{part.commands}"],
            cwd=self._directory,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_WITHIN,
            check=False,
        )
        print(done.stdout, flush=True)
        assert done.returncode == 0, f"{heading}: {done.stdout[-4000:]}"
        usual = {_usual(line) for line in done.stdout.splitlines()}
        assert [] == [line for line in part.output if line not in usual], heading
        return done.stdout
