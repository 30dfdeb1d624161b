"""What a restore decides before any member serves. Members that serve are real ones, in the integration tests."""

import json
import socketserver
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from metadata_tool.decision import Action, Decision, decide
from metadata_tool.errors import ClusterRunning, DataDirNotEmpty
from metadata_tool.lifecycle import Heartbeat
from metadata_tool.location import Location
from metadata_tool.restore import restore
from metadata_tool.restore_job import RestoreJob
from metadata_tool.settings import Settings
from metadata_tool.store import Store, open_store
from metadata_tool.zookeeper import errors as faults
from metadata_tool.zookeeper import probe
from support.backups import make_backup

NOBODY = "127.0.0.1:1"


@pytest.fixture
def job(folder: Path, tmp_path: Path) -> RestoreJob:
    """A restore into an empty directory; its members are known, and none runs."""
    (tmp_path / "data").mkdir()
    values = {"RESTORE_POINT": str(make_backup(folder)), "ZOOKEEPER_DATA_DIR": str(tmp_path / "data")}
    return Settings({**values, "ZOOKEEPER_SERVERS": f"{NOBODY},{NOBODY}1,{NOBODY}2"}).restore()


def stored(location: Location) -> Store:
    """Opens the store of a backup."""
    return open_store(location)


@contextmanager
def waiting_member(reported: Mapping[str, str]) -> Iterator[tuple[str, int]]:
    """A member that runs and does not serve; `host:port`, and the port where its AdminServer reports this."""

    class Client(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.recv(4)
            self.request.sendall(b"This ZooKeeper instance is not currently serving requests\n")

    class Admin(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps(reported).encode())

        def log_message(self, *_: object) -> None:
            """Silent."""

    with socketserver.TCPServer(("127.0.0.1", 0), Client) as client, HTTPServer(("127.0.0.1", 0), Admin) as admin:
        for server in (client, admin):
            threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield f"127.0.0.1:{client.server_address[1]}", admin.server_address[1]
        for server in (client, admin):
            server.shutdown()


def test_new_volume(job: RestoreJob) -> None:
    """Into an empty directory, a backup is restored."""
    assert Decision(Action.RESTORE) == decide(job, Heartbeat())


def test_restart(job: RestoreJob) -> None:
    """Once restored, there is nothing to do; it is known from which restore the data is."""
    restore(job, stored, Heartbeat())
    assert Decision(Action.NOTHING, job.marker) == decide(job, Heartbeat())


def test_another_version(job: RestoreJob) -> None:
    """For another version, the data of the earlier one is moved aside."""
    restore(job, stored, Heartbeat())
    assert Decision(Action.RESTORE, move_aside=True) == decide(replace(job, version="2"), Heartbeat())


def test_another_version_without_members(job: RestoreJob) -> None:
    """If the members are not known, any of them could be using the data."""
    restore(job, stored, Heartbeat())
    with pytest.raises(DataDirNotEmpty, match="holds data of restore version 1 from"):
        decide(replace(job, version="2", ensemble=""), Heartbeat())


def test_data_of_unknown_origin(job: RestoreJob) -> None:
    """Data that is not from a restore is refused, and moved aside if that is allowed."""
    (job.data.path / "version-2").mkdir()
    with pytest.raises(faults.DataDirNotEmpty, match="version-2"):
        decide(job, Heartbeat())
    allowed = replace(job, overwrite_existing=True)
    assert Decision(Action.RESTORE, move_aside=True) == decide(allowed, Heartbeat())


@pytest.mark.parametrize(("more", "action"), [({}, Action.RESTORE), ({probe.HAS_RUN: "true"}, Action.JOIN)])
def test_member_that_was_restored_alike(job: RestoreJob, more: dict[str, str], action: Action) -> None:
    """Beside a member of this restore the same is restored. If that member has newer data, this one takes its tree."""
    reported = {probe.ORIGIN: job.marker.digest, probe.POINT: str(job.point), **more}
    with waiting_member(reported) as (address, admin_port):
        beside = replace(job, ensemble=f"{address},{NOBODY},{NOBODY}1", admin_port=admin_port)
        assert Decision(action, job.marker) == decide(beside, Heartbeat())


@pytest.mark.parametrize("reported", [{}, {probe.ORIGIN: "another digest"}], ids=["nothing", "another restore"])
def test_stranger(job: RestoreJob, reported: dict[str, str]) -> None:
    """Nothing is restored beside a member that does not report this restore."""
    with waiting_member(reported) as (address, admin_port):
        beside = replace(job, ensemble=f"{address},{NOBODY},{NOBODY}1", admin_port=admin_port)
        with pytest.raises(ClusterRunning) as caught:
            decide(beside, Heartbeat(), election=0.1)
    expected = (
        f"{address} is running but not serving, and its AdminServer (port {admin_port}) does not report restore "
        f"version 1 from {job.point} with the same settings"
    )
    assert expected == caught.value.message


def test_dry_run(job: RestoreJob) -> None:
    """A dry run places nothing, and returns no path."""
    assert (None, []) == (restore(job, stored, Heartbeat(), dry_run=True), list(job.data.path.iterdir()))


def test_restore_returns_the_snapshot(job: RestoreJob) -> None:
    """A restore returns what it placed; if it has nothing to do, nothing."""
    placed = restore(job, stored, Heartbeat())
    assert placed
    assert (job.data.path / "version-2", True) == (placed.parent, placed.exists())
    assert restore(job, stored, Heartbeat()) is None
