"""`latest`: members that start at different times restore the same backup, and never beside newer data."""

import json
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from unittest.mock import Mock

import pytest

from metadata_tool.catalog import RestorePoint, Series
from metadata_tool.errors import ClusterAbsent, ClusterRunning, MembersMissing, Stopped
from metadata_tool.lifecycle import Heartbeat
from metadata_tool.peers import Meeting
from metadata_tool.settings import Settings
from support import processes
from support.backups import TIMESTAMP, make_backup
from support.processes import READY_WITHIN, Process
from support.s3 import S3Server, new_bucket
from support.tool import assert_refused, environment, run, succeed
from support.zookeeper import Ensemble, ZooKeeper, client

eventually = partial(processes.eventually, patience=READY_WITHIN)
Start = Callable[..., Process]


@pytest.fixture
def settings(ensemble: Ensemble, folder: Path) -> dict[str, str]:
    """The settings of all members."""
    return {
        "RESTORE_POINT": "latest",
        "RESTORE_SCOPE": "bookies-kept",
        "BUCKET": f"file://{folder}",
        "BACKUP_PREFIX": "pulsar",
        "ZOOKEEPER_SERVERS": ensemble.address,
        "ZOOKEEPER_ADMIN_PORT": str(ensemble.admin_port),
    }


def own(server: ZooKeeper) -> dict[str, str]:
    """The settings of one member."""
    return {"ZOOKEEPER_DATA_DIR": str(server.data_dir), "ZOOKEEPER_ADMIN_ADDRESS": server.host}


@pytest.fixture
def start(settings: dict[str, str], tmp_path: Path) -> Iterator[Start]:
    """Starts the restore of a member."""
    started: list[Process] = []

    def started_one(server: ZooKeeper, **more: str) -> Process:
        command = [sys.executable, "-m", "metadata_tool", "restore"]
        log = tmp_path / f"restore-{len(started)}.log"
        started.append(Process(command, log, environment({**settings, **own(server), **more})))
        return started[-1]

    yield started_one
    for process in started:
        process.kill()


def restored_from(server: ZooKeeper) -> str:
    """The point that a member was restored from."""
    return str(json.loads((server.data_dir / "version-2" / "restore.json").read_text())["restorePoint"])


def says(process: Process, text: str) -> None:
    """Wait until a restore says this."""
    eventually(f"it says {text}", lambda: text in process.output(), state=process.output)


def assert_done(*restores: Process) -> None:
    """Wait until all restores succeed."""
    for process in restores:
        assert 0 == process.wait(), process.output()


def lose(server: ZooKeeper) -> None:
    """A member's volume is lost, and a new one takes its place."""
    number = (server.data_dir / "myid").read_text()
    shutil.rmtree(server.data_dir)
    server.data_dir.mkdir()
    (server.data_dir / "myid").write_text(number)


def run_cluster(ensemble: Ensemble, start: Start) -> None:
    """Restore all members, start them, write something, stop them."""
    assert_done(*[start(server) for server in ensemble.servers])
    ensemble.start()
    with client(ensemble.address) as writing:
        writing.create("/since", b"")
    ensemble.stop()


def has(server: ZooKeeper, path: str) -> bool:
    """Whether a member has a znode."""
    with client(server.address) as reading:
        reading.sync("/")
        return reading.exists(path) is not None


def test_members_start_at_different_times(ensemble: Ensemble, start: Start, tmp_path: Path, s3: S3Server) -> None:
    """The point is looked up once, when all members wait. All restore it, even if newer backups appear."""
    bucket = new_bucket(s3)

    def upload(timestamp: int) -> RestorePoint:
        made = tmp_path / str(timestamp)
        made.mkdir()
        name = str(make_backup(made, "pulsar", timestamp).name)
        bucket.server.client().upload_file(str(made / name), bucket.name, f"team/prod/{name}")
        return RestorePoint.parse(f"{bucket.settings['BUCKET']}/{name}")

    upload(TIMESTAMP)
    restores = [start(ensemble.servers[2], **bucket.settings)]
    says(restores[0], f"waiting for {ensemble.servers[0].address}")
    upload(TIMESTAMP + 1)
    restores.append(start(ensemble.servers[0], **bucket.settings))
    says(restores[1], f"waiting for {ensemble.servers[1].address}")
    newest = upload(TIMESTAMP + 2)
    restores.append(start(ensemble.servers[1], **bucket.settings))
    assert_done(*restores)
    upload(TIMESTAMP + 3)
    assert [str(newest)] * 3 == [restored_from(server) for server in ensemble.servers]
    ensemble.start()
    assert [True] * 3 == [has(server, "/metadata-backup") for server in ensemble.servers]


def test_restart(ensemble: Ensemble, start: Start, folder: Path) -> None:
    """A member that was restored has nothing to do, and warns of nothing, even if there are newer backups."""
    make_backup(folder)
    run_cluster(ensemble, start)
    make_backup(folder, timestamp=TIMESTAMP + 1)
    for server in ensemble.servers:
        restart = start(server)
        assert_done(restart)
        assert "was restored here before" in restart.output()
        assert "WARNING" not in restart.output()


def test_lost_volume_beside_members_that_are_down(ensemble: Ensemble, start: Start, folder: Path) -> None:
    """A member with a lost volume restores nothing, and takes the tree of the others once they serve."""
    make_backup(folder)
    run_cluster(ensemble, start)
    newer = make_backup(folder, timestamp=TIMESTAMP + 1)
    first, second, third = ensemble.servers
    lose(first)
    waiting = start(first)
    says(waiting, f"waiting for {second.address}, {third.address}")
    assert ["myid"] == [path.name for path in first.data_dir.iterdir()]
    second.start()
    third.start()
    assert_done(waiting)
    assert str(newer) not in waiting.output()
    first.start()
    for server in ensemble.servers:
        server.wait()
    assert [True] * 3 == [has(server, "/since") for server in ensemble.servers]


def test_lost_volume_beside_one_that_waits_for_a_quorum(ensemble: Ensemble, start: Start, folder: Path) -> None:
    """If a running member reports its restore point, that point is restored, not a newer one."""
    point = make_backup(folder)
    run_cluster(ensemble, start)
    make_backup(folder, timestamp=TIMESTAMP + 1)
    first, second, third = ensemble.servers
    lose(first)
    lose(third)
    second.start()
    eventually("it runs", lambda: second.runs)
    assert_done(start(first), start(third))
    assert [str(point)] * 3 == [restored_from(server) for server in ensemble.servers]
    first.start()
    third.start()
    for server in ensemble.servers:
        server.wait()
    assert [True] * 3 == [has(server, "/since") for server in ensemble.servers]


@pytest.mark.parametrize("wanted", ["latest", "the point"])
def test_lost_majority_beside_data_since_the_restore(
    ensemble: Ensemble, start: Start, folder: Path, wanted: str
) -> None:
    """Two lost volumes are not restored beside a member that has newer data: they would be a majority without it."""
    point = make_backup(folder)
    for server in ensemble.servers:
        server.as_in_the_chart = True
    run_cluster(ensemble, start)
    first, second, third = ensemble.servers
    lose(first)
    lose(third)
    second.start()
    eventually("it runs", lambda: second.runs)
    more = {} if wanted == "latest" else {"RESTORE_POINT": str(point)}
    assert_done(start(first, **more), start(third, **more))
    assert [False, True, False] == [(server.data_dir / "version-2").exists() for server in ensemble.servers]
    assert [True, False, True] == [(server.data_dir / "restore-joined.json").exists() for server in ensemble.servers]


def test_joined_member_knows_what_it_joined(ensemble: Ensemble, start: Start, folder: Path) -> None:
    """A member that took its tree from the others records their point, not the one in its settings."""
    point = make_backup(folder)
    run_cluster(ensemble, start)
    newer = make_backup(folder, timestamp=TIMESTAMP + 1)
    ensemble.start()
    for more in ({}, {"RESTORE_POINT": str(newer)}):
        last = ensemble.servers[2]
        last.stop()
        lose(last)
        assert_done(start(last, **more))
        noted = json.loads((last.data_dir / "restore-joined.json").read_text())["restorePoint"]
        assert str(point) == noted


def test_all_volumes_lost(ensemble: Ensemble, start: Start, folder: Path, settings: dict[str, str]) -> None:
    """Weeks later, the cluster's own newest backup is restored."""
    make_backup(folder)
    run_cluster(ensemble, start)
    ensemble.start()
    with client(ensemble.address) as writing:
        writing.ensure_path("/admin/clusters/demo")
    uri = succeed("backup", settings=settings)
    ensemble.stop()
    for server in ensemble.servers:
        lose(server)
    assert_done(*[start(server) for server in ensemble.servers])
    assert [uri] * 3 == [restored_from(server) for server in ensemble.servers]


def test_one_that_waits_is_killed(ensemble: Ensemble, start: Start, folder: Path) -> None:
    """If any member is killed while it waits, the others wait for it again."""
    point = make_backup(folder)
    first, second, third = ensemble.servers
    killed = [start(first), start(second)]
    for process in killed:
        says(process, "waiting for")
    for process in killed:
        process.kill()
    restores = [start(third)]
    says(restores[0], f"waiting for {first.address}, {second.address}")
    restores += [start(second), start(first)]
    assert_done(*restores)
    assert [str(point)] * 3 == [restored_from(server) for server in ensemble.servers]


def test_stop(ensemble: Ensemble, start: Start, folder: Path) -> None:
    """SIGTERM ends a member that waits, and its directory is unchanged."""
    make_backup(folder)
    server = ensemble.servers[0]
    waiting = start(server)
    says(waiting, "waiting for")
    waiting.send(signal.SIGTERM)
    assert Stopped.exit_code == waiting.wait()
    assert "error: stopped before the work was done" == waiting.output().splitlines()[-1]
    assert ["myid"] == [path.name for path in server.data_dir.iterdir()]


@pytest.mark.parametrize("other", [{"RESTORE_VERSION": "2"}, {"RESTORE_SCOPE": "bookies-lost"}])
def test_another_restore_waits(ensemble: Ensemble, start: Start, folder: Path, other: dict[str, str]) -> None:
    """If a member waits for a different restore, nothing is restored, and the error names it."""
    make_backup(folder)
    first, second, _ = ensemble.servers
    waiting = start(first)
    says(waiting, "waiting for")
    refused = start(second, **other)
    assert ClusterRunning.exit_code == refused.wait()
    assert f"{first.address} waits for a different restore. This member restores" in refused.output()
    assert ["myid"] == [path.name for path in second.data_dir.iterdir()]


def test_dry_run(ensemble: Ensemble, settings: dict[str, str], folder: Path) -> None:
    """A dry run does not wait for other members, logs the latest backup, and writes nothing."""
    make_backup(folder)
    newest = make_backup(folder, timestamp=TIMESTAMP + 1)
    outcome = run("restore", "--dry-run", settings={**settings, **own(ensemble.servers[0])})
    assert (0, ["myid"]) == (outcome.exit_code, [path.name for path in ensemble.servers[0].data_dir.iterdir()])
    assert f"latest is {newest}" in outcome.said


@pytest.mark.parametrize("members", ["", "127.0.0.1:1"])
def test_alone(ensemble: Ensemble, settings: dict[str, str], folder: Path, members: str) -> None:
    """A single member, or one without ZOOKEEPER_SERVERS, does not wait."""
    make_backup(folder)
    newest = make_backup(folder, timestamp=TIMESTAMP + 1)
    server = ensemble.servers[0]
    succeed("restore", settings={**settings, **own(server), "ZOOKEEPER_SERVERS": members})
    assert str(newest) == restored_from(server)


def test_latest_without_a_cluster(ensemble: Ensemble, settings: dict[str, str], folder: Path) -> None:
    """The backup of an ensemble that was emptied is not restored as the latest. An operator may choose it."""
    summary = {"highestLedgerId": -1, "bookKeeper": False, "idCounters": [], "clusters": [], "renamable": True}
    emptied = make_backup(folder, summary=summary)
    server = ensemble.servers[0]
    alone = {**settings, **own(server), "ZOOKEEPER_SERVERS": ""}
    assert_refused(ClusterAbsent, str(emptied), run("restore", settings=alone))
    assert ["myid"] == [path.name for path in server.data_dir.iterdir()]
    succeed("restore", settings={**alone, "RESTORE_POINT": str(emptied)})


def test_newer_backups_elsewhere(ensemble: Ensemble, settings: dict[str, str], folder: Path, tmp_path: Path) -> None:
    """The latest backup of one place is not restored if another place has newer ones."""
    make_backup(folder)
    newer = make_backup(tmp_path, timestamp=TIMESTAMP + 1)
    alone = {"ZOOKEEPER_SERVERS": "", "NEWER_BACKUPS_IN": f"file://{tmp_path}/pulsar"}
    outcome = run("restore", settings={**settings, **own(ensemble.servers[0]), **alone})
    assert (44, True) == (outcome.exit_code, str(newer) in outcome.error)


def test_waiting_ends(ensemble: Ensemble, settings: dict[str, str]) -> None:
    """Waiting for members ends, so that the next try reads corrected settings."""
    plan = Settings({**settings, **own(ensemble.servers[0])}).restore()
    assert isinstance(plan.wanted, Series)
    look_up = Mock()
    with pytest.raises(MembersMissing), Meeting(plan, look_up, patience=0.1) as meeting:
        meeting.wait(Heartbeat())
    assert not look_up.called
