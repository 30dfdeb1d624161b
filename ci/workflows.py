"""Checks the workflows in .github/ with actionlint, and their scripts with shellcheck."""

import subprocess
import sys
from pathlib import Path

from ci.parts.go import actionlint

ROOT = Path(__file__).parent.parent
SHELLCHECK = Path(sys.executable).parent / "shellcheck"


def main() -> int:
    """Run actionlint. Returns its exit code."""
    files = sorted(str(path) for path in (ROOT / ".github" / "workflows").glob("*.yaml"))
    return subprocess.run(
        [actionlint(), "-shellcheck", str(SHELLCHECK), "-pyflakes", "", *files], check=False
    ).returncode


if __name__ == "__main__":
    sys.exit(main())
