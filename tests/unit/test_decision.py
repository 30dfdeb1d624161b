"""What a restore decides before any member serves. Members that serve are real ones, in the integration tests."""

import json
import logging
import socket
import socketserver
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from metadata_tool import decision, restore_marker, running_members
from metadata_tool.catalog import Series
from metadata_tool.decision import Action, Decision, decide
from metadata_tool.errors import ClusterRunning, DataDirNotEmpty
from metadata_tool.lifecycle import Heartbeat
from metadata_tool.location import Location
from metadata_tool.restore import restore
from metadata_tool.restore_job import RestoreJob
from metadata_tool.restore_marker import Marker
from metadata_tool.running_members import RunningMembers
from metadata_tool.settings import Settings
from metadata_tool.store import Store, open_store
from metadata_tool.zookeeper import errors as faults
from metadata_tool.zookeeper import limits, probe
from metadata_tool.zookeeper.net import session
from metadata_tool.zookeeper.net.ensemble import Ensemble, Login
from metadata_tool.zookeeper.net.sasl import Sasl
from metadata_tool.zookeeper.net.tls import Tls
from metadata_tool.zookeeper.probe import Member, Origin
from metadata_tool.zookeeper.protocol import DataReply
from support.backups import make_backup
from support.trees import length_and, node, snapshot_bytes

NOBODY = "127.0.0.1:1"
ACCESS = {
    "ZOOKEEPER_AUTH": "digest:user:word",
    "ZOOKEEPER_SASL_MECHANISM": "GSSAPI",
    "ZOOKEEPER_SASL_KEYTAB": "/keytab",
}
"""Settings of both kinds of logins, for members that serve."""


@pytest.fixture
def job(folder: Path, tmp_path: Path) -> RestoreJob:
    """A restore into an empty directory, whose members are known and do not run."""
    (tmp_path / "data").mkdir()
    values = {"RESTORE_POINT": str(make_backup(folder)), "ZOOKEEPER_DATA_DIR": str(tmp_path / "data")}
    return Settings({**values, **ACCESS, "ZOOKEEPER_SERVERS": f"{NOBODY},{NOBODY}1,{NOBODY}2"}).restore()


def stored(location: Location) -> Store:
    """Opens the store of a backup."""
    return open_store(location)


@contextmanager
def waiting_member(reported: Mapping[str, str]) -> Iterator[tuple[str, int]]:
    """A member that runs and does not serve: its `host:port`, and the port of its AdminServer, which reports this."""

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
    """Once restored, there is nothing to do, and it is known from which restore the data is."""
    restore(job, stored, Heartbeat())
    assert Decision(Action.NOTHING, job.marker) == decide(job, Heartbeat())


def test_another_version(job: RestoreJob) -> None:
    """For another version, the data of the earlier one is moved aside."""
    restore(job, stored, Heartbeat())
    assert Decision(Action.RESTORE, move_aside=True) == decide(replace(job, version="2"), Heartbeat())


def test_another_version_without_members(job: RestoreJob) -> None:
    """If the members are not known, any of them could be using the data."""
    restore(job, stored, Heartbeat())
    with pytest.raises(DataDirNotEmpty, match="holds data of restore version 1 from") as caught:
        decide(replace(job, version="2", ensemble=""), Heartbeat())
    expected = (
        "Set ZOOKEEPER_SERVERS to the members, so that the restore can check that none is running. Nothing was touched"
    )
    assert expected == caught.value.hint


def test_data_of_unknown_origin(job: RestoreJob) -> None:
    """Data that is not from a restore is refused, and moved aside if that is allowed."""
    (job.data.path / "version-2").mkdir()
    (job.data.path / "version-2" / "log.1").touch()
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
def test_unrelated_member(job: RestoreJob, reported: dict[str, str]) -> None:
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
    """A restore returns what it placed, or nothing if it has nothing to do."""
    placed = restore(job, stored, Heartbeat())
    assert placed
    assert (job.data.path / "version-2", True) == (placed.parent, placed.exists())
    assert restore(job, stored, Heartbeat()) is None


SERVING = "zk-1:2181"
LOGIN, TLS, SASL = Login("digest", "user:word"), Tls(ca="/ca.pem"), Sasl("GSSAPI", keytab="/keytab")
Serve = Callable[[bytes | None], None]


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Serve:
    """Lets a member serve whose znode of the restore has this data, or is not there."""

    def ensemble_with(data: bytes | None) -> None:
        class Connected:
            def read(self, path: bytes) -> DataReply | None:
                assert restore_marker.ZNODE == path
                return None if data is None else DataReply(length_and(data), b"")

        @contextmanager
        def connect(ensemble: Ensemble, heartbeat: Heartbeat) -> Iterator[Connected]:
            assert Ensemble(SERVING, LOGIN, 30.0, TLS, SASL) == replace(ensemble, tls=ensemble.tls or TLS)
            heartbeat()
            yield Connected()

        monkeypatch.setattr(decision, "look", lambda *_: RunningMembers(SERVING))
        monkeypatch.setattr(session, "connect", connect)

    return ensemble_with


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What was logged, warnings marked."""
    return [("! " if record.levelno == logging.WARNING else "") + record.getMessage() for record in caplog.records]


def test_own_ensemble_serves(job: RestoreJob, serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    """An empty member takes its tree from the ensemble of this restore."""
    caplog.set_level(logging.INFO)
    serve(job.marker.to_json())
    assert Decision(Action.JOIN, job.marker) == decide(job, Heartbeat())
    assert [
        f"the ensemble of restore version 1 is running. This member joins it, and takes its tree from {SERVING}"
    ] == said(caplog)


def test_ensemble_is_asked_by_tls(job: RestoreJob, serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """Members are looked at, and a session is opened, with the settings for TLS."""
    serve(job.marker.to_json())
    asked: list[Tls | None] = []
    connect = session.connect

    def look(_: str, secure: Tls | None) -> list[Member]:
        asked.append(secure)
        return [Member(SERVING, serves=True)]

    def noting(ensemble: Ensemble, heartbeat: Heartbeat) -> Any:
        asked.append(ensemble.tls)
        return connect(ensemble, heartbeat)

    monkeypatch.setattr(decision, "look", running_members.look)
    monkeypatch.setattr(probe, "look", look)
    monkeypatch.setattr(session, "connect", noting)
    assert Action.JOIN is decide(replace(job, tls=TLS), Heartbeat()).action
    assert [TLS, TLS] == asked


@contextmanager
def silent_member() -> Iterator[str]:
    """The `host:port` of a member that accepts connections and does not answer."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


def test_member_that_does_not_show_whether_it_serves(job: RestoreJob, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is restored beside a member that may serve, even if its AdminServer reports this restore."""
    monkeypatch.setattr(limits, "PROBE_TIMEOUT", 0.2)
    reported = {probe.ORIGIN: job.marker.digest, probe.POINT: str(job.point)}
    with waiting_member(reported) as (_, admin_port), silent_member() as address:
        beside = replace(job, ensemble=f"{address},{NOBODY},{NOBODY}1", admin_port=admin_port)
        with pytest.raises(faults.AnswerUnclear, match=f"{address} accepts connections, but does not show"):
            decide(beside, Heartbeat(), election=0.1)


@pytest.mark.parametrize(
    ("unclear", "looks"),
    [
        (faults.SpeaksTls("zk-1"), 1),
        (faults.SpeaksNoTls("zk-1"), 1),
        (faults.Untrusted("zk-1", "expired"), 1),
        (faults.AnswerUnclear("zk-1", "it does not answer"), 2),
        (faults.NameUnresolved("zk-1", "no answer"), 2),
    ],
)
def test_what_may_become_clear(
    job: RestoreJob, monkeypatch: pytest.MonkeyPatch, unclear: faults.ZooKeeperError, looks: int
) -> None:
    """A member that may answer soon is asked again. What only other settings change is refused at once."""
    answers = [[Member("zk-1", serves=False, unclear=unclear)], []]
    monkeypatch.setattr(probe, "look", lambda *_: answers.pop(0))
    monkeypatch.setattr(time, "sleep", lambda _: None)
    if looks == 1:
        with pytest.raises(type(unclear)):
            decide(job, Heartbeat())
    else:
        assert Decision(Action.RESTORE) == decide(job, Heartbeat())
    assert 2 - looks == len(answers)


def test_members_behind_one_name(job: RestoreJob, monkeypatch: pytest.MonkeyPatch) -> None:
    """If a name stands for several members, each must report this restore."""
    reported = {"a:1": Origin(job.marker.digest, str(job.point)), "b:1": Origin("", "")}
    monkeypatch.setattr(probe, "look", lambda *_: [Member("zk:1", serves=False, reached=("a:1", "b:1"))])
    monkeypatch.setattr(probe, "origin", lambda reached, *_: reported[reached])
    with pytest.raises(ClusterRunning, match=r"^zk:1 is running but not serving"):
        decide(job, Heartbeat(), election=0)
    reported["b:1"] = reported["a:1"]
    assert Decision(Action.RESTORE, job.marker) == decide(job, Heartbeat(), election=0)


def test_member_with_earlier_data_joins(job: RestoreJob, serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    """Data of an earlier restore is moved aside, and the tree is taken from the ensemble."""
    restore(job, stored, Heartbeat())
    later = replace(job, version="2")
    serve(later.marker.to_json())
    assert Decision(Action.JOIN, later.marker, move_aside=True) == decide(later, Heartbeat())
    expected = f"! data of restore version 1 from {job.point} in {job.data.path} will be moved aside"
    assert expected == said(caplog)[-1]


def test_ensemble_was_restored_otherwise(job: RestoreJob, serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    """An ensemble of this version keeps its point and its settings, and the member logs which."""
    settings = job.marker.settings
    for other in (Marker("1", "s3a://b/another-1.tar.gz", settings), Marker("1", str(job.point), {"A": "b"})):
        caplog.clear()
        serve(other.to_json())
        assert Decision(Action.JOIN, other) == decide(job, Heartbeat())
        expected = (
            f"! the running ensemble was restored from {other.point} with {dict(sorted(other.settings.items()))}. "
            "This member joins it, and your settings have no effect"
        )
        assert expected == said(caplog)[-1]


def test_latest_joins_any_point(job: RestoreJob, serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    """If the newest backup is wanted, the one that the ensemble is from is fine."""
    latest = replace(job, wanted=Series(job.point.location, "metadata-backup"))
    serve(job.marker.to_json())
    assert Decision(Action.JOIN, job.marker) == decide(latest, Heartbeat())
    assert [] == [line for line in said(caplog) if line.startswith("! ")]


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (None, "that did not come from a restore"),
        (b"no marker", "that did not come from a restore"),
        (Marker("7", "s3a://b/c-1.tar.gz").to_json(), "of restore version 7"),
    ],
)
def test_another_ensemble_serves(job: RestoreJob, serve: Serve, data: bytes | None, what: str) -> None:
    """An ensemble that is not from this restore is left alone."""
    serve(data)
    with pytest.raises(ClusterRunning) as caught:
        decide(job, Heartbeat())
    hint = "Disable the restore, because a running ensemble is never restored. Nothing was touched"
    assert (f"{SERVING} already serves an ensemble {what}", hint) == (caught.value.message, caught.value.hint)


def snapshot(job: RestoreJob, *znodes: tuple[bytes, bytes]) -> None:
    """Put a tree of these znodes into the data directory."""
    (job.data.path / "version-2").mkdir()
    content = snapshot_bytes([node(b""), *(node(path, data) for path, data in znodes)])
    (job.data.path / "version-2" / "snapshot.1").write_bytes(content)


def test_restart_of_a_member_that_joined(job: RestoreJob) -> None:
    """A member that took its tree from the ensemble knows from which restore it is, by its note or by the tree."""
    snapshot(job, (restore_marker.ZNODE, job.marker.to_json()))
    assert Decision(Action.NOTHING, job.marker) == decide(job, Heartbeat())
    noted = job.marker_from("s3a://b/noted-1.tar.gz")
    job.data.note_joined(noted.to_json())
    assert Decision(Action.NOTHING, noted) == decide(job, Heartbeat())


def test_marker_beside_a_snapshot_that_cannot_be_read(job: RestoreJob) -> None:
    """The marker tells from which restore the data is, also if the snapshot is gone: a restart restores nothing."""
    placed = restore(job, stored, Heartbeat())
    assert placed
    placed.unlink()
    assert Decision(Action.NOTHING, job.marker) == decide(job, Heartbeat())


def test_member_that_joined_and_has_no_tree(job: RestoreJob, caplog: pytest.LogCaptureFixture) -> None:
    """A note alone is not a tree: what an empty server has written since may be moved aside."""
    job.data.note_joined(job.marker.to_json())
    assert Decision(Action.RESTORE) == decide(job, Heartbeat())
    (job.data.path / "version-2").mkdir()
    (job.data.path / "version-2" / "log.1").touch()
    assert Decision(Action.RESTORE, move_aside=True) == decide(job, Heartbeat())
    assert [f"! data of unknown origin in {job.data.path} will be moved aside"] == said(caplog)


def test_restore_that_was_killed_between_two_directories(job: RestoreJob, caplog: pytest.LogCaptureFixture) -> None:
    """If data was moved aside and its logs were not, the next restore moves these, too, and says so."""
    caplog.set_level(logging.INFO)
    logs = job.data.path / "logs"
    (logs / "version-2").mkdir(parents=True)
    (logs / "version-2" / "log.1").touch()
    apart = replace(job, data=replace(job.data, logs=logs))
    with pytest.raises(faults.DataDirNotEmpty, match=f"{logs} is not empty"):
        decide(apart, Heartbeat())
    (job.data.path / "version-2.kept.half-moved").mkdir()
    caplog.clear()
    assert Decision(Action.RESTORE) == decide(apart, Heartbeat())
    what = f"a restore was interrupted while it moved the data in {job.data.path} aside. This one completes that"
    assert [what] == said(caplog)


def test_server_that_only_waited(job: RestoreJob, caplog: pytest.LogCaptureFixture) -> None:
    """The files of a server that had no tree do not stop a restore, and the log says that they are moved aside."""
    caplog.set_level(logging.INFO)
    (job.data.path / "version-2").mkdir()
    assert Decision(Action.RESTORE) == decide(job, Heartbeat())
    assert [] == said(caplog)
    (job.data.path / "version-2" / "currentEpoch").write_text("7")
    assert Decision(Action.RESTORE) == decide(job, Heartbeat())
    where = job.data.path
    assert [f"version-2 in {where} holds no data, only what an empty server leaves. It is moved aside"] == said(caplog)


def test_data_beside_version_2(job: RestoreJob) -> None:
    """Data where no server looks for it is refused, even if data may be moved aside."""
    (job.data.path / "snapshot.5").touch()
    with pytest.raises(faults.DataMisplaced, match=r"holds snapshot\.5, not in version-2"):
        decide(replace(job, overwrite_existing=True), Heartbeat())


def test_tree_without_a_restore(job: RestoreJob) -> None:
    """A tree that no restore made is data of unknown origin, also beside a note that is no marker."""
    snapshot(job)
    job.data.note_joined(b"no marker")
    with pytest.raises(faults.DataDirNotEmpty, match="version-2"):
        decide(job, Heartbeat())


def test_nothing_to_do_is_said(job: RestoreJob, caplog: pytest.LogCaptureFixture) -> None:
    """A restart tells from where the data is, and warns if something else is wanted by now."""
    caplog.set_level(logging.INFO)
    restore(job, stored, Heartbeat())
    done = f"version 1 was restored here before, from {job.point}. There is nothing to do"
    other = replace(job.point, name=replace(job.point.name, timestamp=7))
    options = replace(job.recovery_options, cluster_name="another")
    settings = dict(sorted(job.marker.settings.items()))
    changed = f"the settings have changed since this restore (they were {settings})"
    cases: tuple[tuple[RestoreJob, list[str]], ...] = (
        (job, []),
        (replace(job, wanted=other), [f"! {other} is not restored. To restore it, set a new RESTORE_VERSION"]),
        (replace(job, wanted=Series(job.point.location, "metadata-backup")), []),
        (
            replace(job, recovery_options=options),
            [f"! {changed}. To apply them, set a new RESTORE_VERSION"],
        ),
    )
    for wanted, warnings in cases:
        caplog.clear()
        assert Decision(Action.NOTHING, job.marker) == decide(wanted, Heartbeat())
        assert [done, *warnings] == said(caplog)


@pytest.mark.parametrize("latest", [False, True])
def test_unrelated_members(job: RestoreJob, monkeypatch: pytest.MonkeyPatch, *, latest: bool) -> None:
    """Several members that do not report this restore are named, with what to do."""
    wanted = replace(job, wanted=Series(job.point.location, "metadata-backup")) if latest else job
    monkeypatch.setattr(decision, "look", lambda *_: RunningMembers("", unrelated=["zk-1:2181", "zk-2:2181"]))
    with pytest.raises(ClusterRunning) as caught:
        decide(wanted, Heartbeat())
    point = "" if latest else f" from {job.point}"
    message = (
        "zk-1:2181, zk-2:2181 are running but not serving, and their AdminServers (port 8080) "
        f"do not report restore version 1{point} with the same settings"
    )
    hint = (
        "Stop all members, then start them together. "
        "If some were restored from another point or with other settings, set a new RESTORE_VERSION for all. "
        "Nothing was touched"
    )
    assert (message, hint) == (caught.value.message, caught.value.hint)


def test_newer_data_is_said(job: RestoreJob, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """A member that joins for newer data tells it, and how long an election may take is a parameter."""
    caplog.set_level(logging.INFO)
    asked = []

    def look(*arguments: object) -> RunningMembers:
        asked.append(arguments[2])
        return RunningMembers("", job.marker, [], has_newer_data=True)

    monkeypatch.setattr(decision, "look", look)
    assert Decision(Action.JOIN, job.marker) == decide(job, Heartbeat(), 0.5)
    assert [0.5] == asked
    assert [
        "a member of restore version 1 has newer data. This member joins it, and takes its tree from there"
    ] == said(caplog)
