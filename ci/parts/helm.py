"""helm 3 and helm 4: from PATH if it is there, else built."""

import os
import re
import subprocess
from functools import cache
from pathlib import Path

from ci.parts.go import program

_VERSIONS = {3: "v3.22.0", 4: "v4.3.1"}
_KUBERNETES = (1, 34)
"""The Kubernetes version that helm 3 assumes without a cluster. Without this stamp, it would be 1.20."""


@cache
def helm(major: int) -> str:
    """The path of a helm of this major version.

    Raises:
        PartMissing: there is none and none can be built.
    """
    return _own(major) or _built(major)


def _own(major: int) -> str | None:
    folders = [Path(folder) for folder in os.environ.get("PATH", "").split(os.pathsep)]
    # common names of a second helm
    candidates = [folder / name for folder in folders for name in ("helm", f"helm{major}", f"h{major}/helm")]
    for candidate in candidates:
        if os.access(candidate, os.X_OK) and candidate.is_file() and _major(candidate) == major:
            return str(candidate)
    return None


def _major(found: Path) -> int:
    try:
        said = subprocess.run([found, "version", "--short"], capture_output=True, text=True, check=False).stdout
    except OSError:  # not a program for this machine
        return 0
    match = re.match(r"v(\d+)\.", said)
    return int(match[1]) if match else 0


def _built(major: int) -> str:
    module, version = f"helm.sh/helm/v{major}", _VERSIONS[major]
    stamps = {f"{module}/internal/version.version": version}
    if major == 3:
        for package in ("pkg/chartutil", "pkg/lint/rules"):
            stamps[f"{module}/{package}.k8sVersionMajor"] = str(_KUBERNETES[0])
            stamps[f"{module}/{package}.k8sVersionMinor"] = str(_KUBERNETES[1])
    flags = " ".join(f"-X {name}={value}" for name, value in stamps.items())
    return program(f"{module}/cmd/helm", version, f"helm {major}", ["-ldflags", f"-s -w {flags}"])
