"""The Java programs in `java/`, compiled once against the classes of a version of ZooKeeper or Pulsar."""

import os
from functools import cache
from pathlib import Path

from ci.parts.cache import cached, digest, run
from ci.parts.java import java, major

_JAVA = Path(__file__).parent / "java"


def program_of(name: str, version: str, class_path: str) -> list[str]:
    """The arguments of `java` that run a program: its class path and its name."""
    return ["-cp", os.pathsep.join([str(_classes(name, version, class_path)), class_path]), name]


@cache
def _classes(name: str, version: str, class_path: str) -> Path:
    """A folder with the classes. Compiling takes longer than many runs."""
    source = _JAVA / f"{name}.java"

    def make(target: Path) -> None:
        compiler = [java(), "--module", "jdk.compiler/com.sun.tools.javac.Main", "-proc:none", "-nowarn"]
        run([*compiler, "-cp", class_path, "-d", str(target), str(source)], f"{source} does not compile")

    return cached(f"{name.lower()}-{version}-java-{major(java())}-{digest(source)}", make)
