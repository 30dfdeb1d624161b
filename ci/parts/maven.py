"""Jars from Maven Central, by jgo: neither Maven nor root is needed."""

import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from ci.parts.cache import run


def fetch_jars(coordinates: Sequence[str], target: Path, called: str, without: tuple[str, ...] = ()) -> None:
    """Put these and their dependencies into a folder, except jars whose names begin with one of `without`.

    Raises:
        PartMissing: they cannot be fetched. `called` is their name in the message.
    """
    work = target / "work"
    jgo = [sys.executable, "-m", "jgo", "--ignore-config", "--resolver", "python", "--links", "copy"]
    places = ["--cache-dir", str(work / "cache"), "--repo-cache", str(work / "repository")]
    hint = f"{called} could not be fetched from Maven Central"
    run([*jgo, *places, "info", "jars", "+".join(coordinates)], hint)
    for jar in (work / "cache").rglob("*.jar"):
        if not jar.name.startswith(without):
            shutil.copy(jar, target / jar.name)
    shutil.rmtree(work)
