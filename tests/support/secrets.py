"""Whether a process told a secret that it was given: in its log, its output, its answers or its command line."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

_NAMES = re.compile(r"SECRET|TOKEN(_FILE)?$|PASSWORD|_AUTH$|^HEARTBEAT_URL$")
"""Names of variables whose values are secrets."""
_IN_ADDRESS = re.compile(r"://[^/@\s:]*:([^/@\s]+)@")
_SHORTEST = 6
"""Shorter values are words that a message may have anyway, such as those of tests with wrong keys."""


def secrets_of(environment: Mapping[str, str]) -> set[str]:
    """The secrets in an environment, those in addresses and in the files that it names among them."""
    return {secret for secret in map(str.strip, _all(environment)) if len(secret) >= _SHORTEST}


def _all(environment: Mapping[str, str]) -> Iterator[str]:
    for name, value in environment.items():
        yield from _IN_ADDRESS.findall(value)
        if name in ("ENCRYPTION_IDENTITY_FILE", "SIGNING_KEY_FILE"):
            yield from _private_keys(Path(value))
        elif name == "ZOOKEEPER_AUTH":
            yield value.rpartition(":")[2]
        elif _NAMES.search(name) and not value.startswith("/"):
            yield value
        elif name.endswith("CREDENTIALS_DIR") or (_NAMES.search(name) and value.startswith("/")):
            yield from _in_files(Path(value))


def _private_keys(path: Path) -> Iterator[str]:
    """The lines of a file of keys that are secret."""
    if path.is_file():
        lines = path.read_text(errors="replace").splitlines()
        yield from (line for line in lines if line and not line.startswith(("#", "-----")))


def _in_files(path: Path) -> Iterator[str]:
    for file in path.glob("*SECRET*") if path.is_dir() else [path]:
        if file.is_file() and file.stat().st_size < 10_000:
            yield file.read_text(errors="replace")


def assert_untold(environment: Mapping[str, str], where: str, text: str) -> None:
    """Fail if a text has a secret. The failure names the place and not the secret's value."""
    told = sum(secret in text for secret in secrets_of(environment))
    assert not told, f"{told} secrets are in {where}"


def assert_not_in_command(environment: Mapping[str, str], pid: int) -> None:
    """Fail if a process, or a child of it, shows a secret to everybody who lists processes."""
    for process in (pid, *_children(pid)):
        try:
            command = Path(f"/proc/{process}/cmdline").read_bytes().decode(errors="replace")
        except OSError:
            continue  # it has ended
        assert_untold(environment, f"the command line of process {process}", command)


def _children(pid: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []
