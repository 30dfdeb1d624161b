"""The readiness probe of the chart's backup, as kubelet runs it."""

import subprocess

from ci.chart import CHART


def probe(port: int) -> tuple[int, str]:
    """Exit code and output for the admin port at this port."""
    command = ["bash", "-c", (CHART / "files/backup_ready.sh").read_text(), "backup_ready.sh", str(port)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stdout + done.stderr
