"""Mutation tests: changes the code of a module in many small ways, and lists the changes that its tests let pass.

`make mutants MODULE=pulsar/ids` copies the project into the cache, lets mutmut change the copy, and runs the module's
own tests on each change. ci/mutants.toml explains the changes that may survive. Any other makes the run fail.
"""

import argparse
import ast
import difflib
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from ci.parts.cache import from_pypi, root

ROOT = Path(__file__).parent.parent
LOCK = ROOT / "ci" / "parts" / "mutmut.lock"
EXPLAINED = ROOT / "ci" / "mutants.toml"
PACKAGE = "src/metadata_tool"
UNDONE = ("property", "contextmanager")
"""mutmut skips decorated functions, so in the copy these are applied below the function, as plain calls."""
COPIED = ("tests", "ci", "charts", "docs")
SENTENCE = re.compile(r'"[^"]* [^"]*"')
"""A string with a space in it is text for people, which tests of behaviour do not check word by word."""

_SAMPLE = "*__mutmut_1"
"""The names of the first mutants of all functions."""
SPINNER = re.compile(r"\s*[\u2800-\u28ff]")
"""How a line begins that mutmut writes over."""


@dataclass(frozen=True, order=True)
class Mutant:
    """A change: the function, the lines that it removes, and those that it adds."""

    name: str
    was: str
    now: str

    @property
    def is_wording(self) -> bool:
        """Whether only the words of a sentence change."""
        return SENTENCE.sub("", self.was) == SENTENCE.sub("", self.now)


@dataclass
class Outcome:
    """The results of a module's mutants."""

    module: str
    counts: dict[str, int] = field(default_factory=dict)
    wording: int = 0
    explained: int = 0
    survived: list[Mutant] = field(default_factory=list)

    def __str__(self) -> str:
        """One line of the table."""
        total, killed = sum(self.counts.values()), self.counts.get("killed", 0) + self.counts.get("timeout", 0)
        return (
            f"{self.module}: {total} mutants, {killed} killed, {self.wording} of wording, "
            f"{self.explained} explained, {len(self.survived)} survived"
        )


def modules() -> dict[str, dict[str, Any]]:
    """The entries of ci/mutants.toml by module: its tests, and the changes that may survive."""
    return tomllib.loads(EXPLAINED.read_text())


def main() -> int:
    """Run the modules that the command line names. Returns 1 if a change survived that is not explained."""
    known = modules()
    parser = argparse.ArgumentParser(prog="make mutants", description=__doc__)
    parser.add_argument(
        "modules", nargs="*", metavar="MODULE", help=f"one or more of {', '.join(known)} (all by default)"
    )
    parser.add_argument("--sample", action="store_true", help="only the first change of each function")
    options = parser.parse_args()
    named = options.modules
    if unknown := [module for module in named if module not in known]:
        parser.error(f"{EXPLAINED.name} names no tests for {', '.join(unknown)}")
    wanted = [_SAMPLE] if options.sample else []
    outcomes = [_judged(module, known[module], wanted) for module in named or known]
    for outcome in outcomes:
        for mutant in outcome.survived:
            print(f"\n{outcome.module}: {mutant.name}\n{mutant.was}\n{mutant.now}")
    print("", *outcomes, sep="\n")
    return int(any(outcome.survived for outcome in outcomes))


def _judged(module: str, settings: Mapping[str, Any], wanted: Sequence[str]) -> Outcome:
    """The results of the mutants whose names have one of these patterns, or of all."""
    print(f"mutants of {module}", file=sys.stderr, flush=True)
    work = _copied(module, settings["tests"])
    done = _mutmut(work, "run", "--max-children", os.environ.get("MUTANTS_AT_ONCE", "1"), *wanted)
    if done.returncode:
        lines = [line for line in (done.stdout + done.stderr).splitlines() if not SPINNER.match(line)]
        ended = f"mutmut ended with code {done.returncode} on {module}"
        sys.exit("\n".join([f"error: {ended}. Read its output.", *lines[-60:]]))
    outcome = Outcome(module)
    may_survive = {(each["was"], now) for each in settings.get("survives", []) for now in each["now"]}
    functions = _functions(work / "mutants" / PACKAGE / f"{module}.py")
    for name, status in _results(work):
        if wanted and not any(fnmatch(name, pattern) for pattern in wanted):
            continue
        outcome.counts[status] = outcome.counts.get(status, 0) + 1
        if status in ("killed", "timeout"):
            continue
        if status == "not checked":
            sys.exit(
                f"error: mutmut stopped before all mutants of {module} were checked. Run it again.\n{done.stdout[-99:]}"
            )
        mutant = _shown(functions, name.rpartition(".")[2])
        if mutant.is_wording:
            outcome.wording += 1
        elif (mutant.was, mutant.now) in may_survive:
            outcome.explained += 1
        else:
            outcome.survived.append(mutant)
    return outcome


def _copied(module: str, tests: list[str]) -> Path:
    """A copy of the project in which mutmut may work."""
    work = root() / "mutants" / module.replace("/", ".")
    shutil.rmtree(work, ignore_errors=True)
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "sidecar" / "src", work / "src", ignore=ignored)
    for name in COPIED:
        shutil.copytree(ROOT / name, work / name, ignore=ignored)
    source = work / PACKAGE / f"{module}.py"
    source.write_text(undecorated(source.read_text()))
    (work / "pyproject.toml").write_text(
        f"""[tool.pytest.ini_options]
pythonpath = ["src", "tests", "."]
addopts = ["--import-mode=importlib", "--exitfirst", "-p", "no:cacheprovider", "--hypothesis-profile", "few"]
timeout = 60
filterwarnings = ["error"]
markers = {json.dumps(_marks())}

[tool.mutmut]
source_paths = ["src"]
only_mutate = ["{PACKAGE}/{module}.py"]
also_copy = {json.dumps([*COPIED])}
pytest_add_cli_args_test_selection = {json.dumps(tests)}
use_git_change_detection = false
"""
    )
    return work


def _marks() -> list[str]:
    """The marks of the project's tests."""
    project = tomllib.loads((ROOT / "sidecar" / "pyproject.toml").read_text())
    return list(project["tool"]["pytest"]["ini_options"]["markers"])


def undecorated(source: str) -> str:
    """The same program, in which the decorators in UNDONE are calls after the function."""
    lines = source.splitlines()
    found = [
        node
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.FunctionDef)
        and len(node.decorator_list) == 1
        and isinstance(node.decorator_list[0], ast.Name)
        and node.decorator_list[0].id in UNDONE
    ]
    for node in sorted(found, key=lambda node: node.lineno, reverse=True):
        decorator = node.decorator_list[0]
        call = f"{' ' * node.col_offset}{node.name} = {ast.unparse(decorator)}({node.name})"
        lines.insert(node.end_lineno or node.lineno, call)
        del lines[decorator.lineno - 1]
    return "\n".join(lines) + "\n"


def _results(work: Path) -> Iterator[tuple[str, str]]:
    """The name and the result of each mutant."""
    for line in _mutmut(work, "results", "--all", "true").stdout.splitlines():
        name, parted, status = line.strip().rpartition(": ")
        if parted and "__mutmut_" in name:
            yield name, status


def _functions(mutated: Path) -> dict[str, list[str]]:
    """The lines of each function in mutmut's file, originals and mutants, without the first line."""
    source = mutated.read_text()
    lines = source.splitlines()
    return {
        node.name: lines[node.lineno : node.end_lineno]
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.FunctionDef)
    }


def _shown(functions: Mapping[str, list[str]], name: str) -> Mutant:
    original = name.rpartition("_")[0] + "_orig"
    changed = list(difflib.ndiff(functions[original], functions[name]))
    was, now = (" ".join(line[2:].strip() for line in changed if line.startswith(f"{sign} ")) for sign in "-+")
    return Mutant(name, was, now)


def _mutmut(work: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    tool = from_pypi("mutmut", LOCK)
    environment = {**os.environ, "PYTHONPATH": str(tool), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", "mutmut", *arguments]
    return subprocess.run(command, cwd=work, env=environment, capture_output=True, text=True, check=False)


if __name__ == "__main__":
    sys.exit(main())
