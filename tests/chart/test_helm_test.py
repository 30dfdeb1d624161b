"""What `helm test` runs: it waits for a backup that holds a Pulsar cluster."""

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from ci.chart import CHART
from support.processes import free_port

SCRIPT = (CHART / "files" / "test_backup.py").read_text()
LATEST = {"uri": "s3a://b/p-1.tar.gz", "size": 7, "time": "2021-06-15T01:44:48Z"}


@contextmanager
def admin_port(code: int, answer: dict[str, Any]) -> Iterator[str]:
    """The address of an admin port that gives this answer."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(code)
            self.end_headers()
            self.wfile.write(json.dumps(answer).encode())

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/backup/latest"
        finally:
            server.shutdown()
            thread.join()


def run(url: str) -> "subprocess.CompletedProcess[str]":
    """The test, without patience."""
    command = [sys.executable, "-c", SCRIPT, url, "-1"]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_backup_that_holds_a_cluster() -> None:
    """It passes, and prints the backup with its clusters."""
    with admin_port(200, LATEST | {"clusters": ["prod"]}) as url:
        done = run(url)
    assert (0, "s3a://b/p-1.tar.gz, 7 bytes, of 2021-06-15T01:44:48Z, with prod\n") == (done.returncode, done.stdout)


@pytest.mark.parametrize(
    ("code", "answer", "said", "hint"),
    [
        (200, LATEST, "s3a://b/p-1.tar.gz was made before the service started", "Read the log"),
        (200, LATEST | {"clusters": []}, "s3a://b/p-1.tar.gz holds no Pulsar cluster", "Initialise the metadata by"),
        (
            200,
            LATEST | {"clusters": ["prod"], "suspectBackup": {"uri": "s3a://b/p-suspect-2.tar.gz"}},
            "the newest one, s3a://b/p-suspect-2.tar.gz, is suspect",
            "Read why in the log",
        ),
        (404, {"error": "there is no backup yet"}, 'the admin port answered 404 {"error": "there is', "Read the log"),
    ],
)
def test_backup_that_is_not_valid(code: int, answer: dict[str, Any], said: str, hint: str) -> None:
    """It fails in one line, which says what was found and what to do."""
    with admin_port(code, answer) as url:
        done = run(url)
    assert (1, 1) == (done.returncode, done.stderr.count("\n"))
    assert done.stderr.startswith(f"error: there is no valid backup yet, {said}")
    assert f". {hint}" in done.stderr


def test_admin_port_that_is_not_there() -> None:
    """It fails in one line, with the reason."""
    done = run(f"http://127.0.0.1:{free_port()}/backup/latest")
    assert (1, 1) == (done.returncode, done.stderr.count("\n"))
    assert "the admin port gave no valid answer (<urlopen error [Errno 111] Connection refused>)." in done.stderr
