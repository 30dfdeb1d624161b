"""Checks the form of every Markdown file, and that its relative links and anchors lead somewhere."""

import os
import subprocess
import sys
from pathlib import Path

from ci.parts.cache import PartMissing
from ci.parts.node import markdownlint, node

ROOT = Path(__file__).resolve().parent.parent


def main() -> int:
    """Print every finding of markdownlint. Returns 0 if there is none. .markdownlint-cli2.yaml has the rules.

    With WITHOUT_NPM=allow, a markdownlint that cannot be fetched is one loud line and no error, as in .ci/run.
    """
    try:
        modules = markdownlint()
    except PartMissing as error:
        if os.environ.get("WITHOUT_NPM") == "allow":
            print(f"\n######## NOT RUN: the form and the links of Markdown files: {error} ########")
            return 0
        print(f"error: {error}", file=sys.stderr)
        return 2
    program = [node(), str(modules / "markdownlint-cli2" / "markdownlint-cli2-bin.mjs")]
    return subprocess.run(program, cwd=ROOT, env={**os.environ, "NODE_PATH": str(modules)}, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
