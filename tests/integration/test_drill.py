"""Drills: a restore into a scratch directory, and a real ZooKeeper that starts from it."""

import io
import json
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from ci.chart import CHART
from ci.parts.zookeeper import NEWEST, OLDER, OLDEST
from metadata_tool.drill import served_tree
from metadata_tool.drill.server import Server, serving
from metadata_tool.errors import BackupMissing, BucketDenied, DrillFailed, SettingError, SpoolFailed, Stopped
from metadata_tool.lifecycle import Heartbeat
from metadata_tool.restore import restore
from metadata_tool.store import open_store
from metadata_tool.store.base import StoreOptions
from metadata_tool.zookeeper import snapshot
from metadata_tool.zookeeper.jute import Acl, pack_acls
from metadata_tool.zookeeper.snapshot import Node, SnapshotReader
from support.backups import TREE, make_backup
from support.damage import damaged_gzip
from support.drills import ADDED, CHANGED, REMOVED, UNCHANGED, command, job, make_drilled, script, server_script
from support.processes import Process, eventually
from support.tool import environment, run, succeed
from support.trees import node

Change = Callable[[list[Node]], list[Node]]


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    """An empty SPOOL_DIR."""
    made = tmp_path / "spool"
    made.mkdir()
    return made


@pytest.fixture
def settings(folder: Path, spool: Path) -> dict[str, str]:
    """Settings of a drill without a server, and a backup."""
    make_drilled(folder)
    return {"BUCKET": f"file://{folder}", "BACKUP_PREFIX": "pulsar", "SPOOL_DIR": str(spool)}


def is_alive(pid: int) -> bool:
    """Whether a process runs."""
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False


def drill_that_waits(settings: Mapping[str, str], tmp_path: Path) -> tuple[Process, int]:
    """A drill whose server never serves, and the server's process id."""
    noted = tmp_path / "server.pid"
    slow = script(tmp_path, f"echo $$ > {noted}.new; mv {noted}.new {noted}; exec sleep 600")
    drilled = Process(
        [sys.executable, "-m", "metadata_tool", "drill"],
        tmp_path / "log",
        environment({**settings, "DRILL_SERVER": str(slow)}),
    )
    drilled.wait_until(noted.exists)
    return drilled, int(noted.read_text())


@pytest.mark.parametrize("version", [NEWEST, *(pytest.param(each, marks=pytest.mark.soak) for each in (OLDER, OLDEST))])
def test_served_as_restored(version: str, settings: dict[str, str], spool: Path, tmp_path: Path) -> None:
    """A ZooKeeper serves the restored tree, and nothing of the drill stays."""
    server = server_script(tmp_path, version)
    found = json.loads(succeed("drill", "--json", settings={**settings, "DRILL_SERVER": str(server)}))
    assert (True, "", version) == (found["passed"], found["failure"], found["server"].partition("-")[0])
    counts = {"unchanged": UNCHANGED, "changed": CHANGED, "removed": REMOVED, "added": ADDED}
    assert counts == {name: found[name] for name in counts}
    assert ["fetch", "restore", "compare files", "start", "compare served"] == list(found["seconds"])
    assert [] == list(spool.iterdir())


def in_a_pod(settings: Mapping[str, str], tmp_path: Path, line: str) -> tuple[Process, Process]:
    """The two containers of the chart's pod: the program's and ZooKeeper's, which runs this line of a script."""
    pipe, files = tmp_path / "pipe", CHART / "files"
    started = script(tmp_path, line)
    zookeeper = Process(
        ["bash", str(files / "drill_zookeeper.sh"), str(pipe), str(started)], tmp_path / "zookeeper.log"
    )
    program = [sys.executable, "-m", "metadata_tool", "drill"]
    drilled = Process(
        ["bash", str(files / "drill.sh"), "run", str(pipe), *program],
        tmp_path / "log",
        environment({**settings, "DRILL_SERVER": f"bash {files}/drill.sh server {pipe}"}),
    )
    return drilled, zookeeper


def test_in_two_containers(settings: dict[str, str], spool: Path, tmp_path: Path) -> None:
    """In the chart's pod, the server runs in a container of its own, which ends with the drill."""
    server = server_script(tmp_path).read_text().splitlines()[1].replace('"$1"', '"$PULSAR_ZK_CONF"')
    drilled, zookeeper = in_a_pod(settings, tmp_path, server)
    assert (0, 0) == (drilled.wait(), zookeeper.wait()), drilled.output() + zookeeper.output()
    assert "ZooKeeper 3.9.5 served it" in drilled.output()
    assert [] == list(spool.iterdir())


@pytest.mark.parametrize(
    ("line", "said"),
    [("exit 7", "ended before it served (exit status 7)"), ("kill -9 $$", "ended before it served (exit status 137)")],
)
def test_server_fails_in_the_other_container(line: str, said: str, settings: dict[str, str], tmp_path: Path) -> None:
    """If the server ends in its container, the drill fails with its exit status, and both containers end."""
    drilled, zookeeper = in_a_pod(settings, tmp_path, line)
    assert (DrillFailed.exit_code, 0) == (drilled.wait(), zookeeper.wait())
    assert said in drilled.output()


def test_containers_end_together(settings: dict[str, str], tmp_path: Path) -> None:
    """If the program is killed, or fails before it needs a server, ZooKeeper's container ends, too."""
    noted = tmp_path / "server.pid"
    drilled, zookeeper = in_a_pod(settings, tmp_path, f"echo $$ > {noted}.new; mv {noted}.new {noted}; exec sleep 600")
    drilled.wait_until(noted.exists)
    drilled.send(signal.SIGKILL)
    drilled.wait()
    assert 0 == zookeeper.wait()
    assert not is_alive(int(noted.read_text()))
    drilled, zookeeper = in_a_pod({**settings, "BACKUP_PREFIX": "other"}, tmp_path, "exit 1")
    assert (BackupMissing.exit_code, 0) == (drilled.wait(), zookeeper.wait())


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Path]]:
    """A server on a restored tree, and the snapshot that it started from."""
    directory = tmp_path_factory.mktemp("served")
    for name in ("backups", "data"):
        (directory / name).mkdir()
    point = make_drilled(directory / "backups")
    placed = restore(
        job(point, directory).restore_job(directory / "data", directory),
        lambda place: open_store(place, StoreOptions()),
        Heartbeat(),
    )
    assert placed
    started = command(server_script(directory), os.environ)
    with serving(started, directory / "data", directory, Heartbeat()) as server:
        yield server, placed


def changed(written: Path, target: Path, change: Change) -> Path:
    """Another snapshot with a change."""
    reader = SnapshotReader(io.BytesIO(written.read_bytes()))
    nodes = change(list(reader.nodes()))
    acls = {**reader.header.acls, 99: pack_acls([Acl(1, "world", "anyone")])}
    with target.open("wb") as out:
        snapshot.write(out, acls, (each.encode() for each in nodes))
    return target


def replacing(path: bytes, **fields: object) -> Change:
    """A change of one znode."""
    return lambda nodes: [each._replace(**fields) if each.path == path else each for each in nodes]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (replacing(b"/admin", data=b"other"), "serves another data of znode /admin "),
        (replacing(b"/admin", data=None), "serves another data of znode /admin "),
        (replacing(b"/admin", acl=99), "serves another ACL of znode /admin "),
        (replacing(b"/admin", stat=node(b"", version=9).stat), "serves another stat of znode /admin "),
        (lambda nodes: nodes[:-1], "children of znode "),
        (lambda nodes: [*nodes, node(b"/~")], "does not serve znode /~, NoNodeError"),
    ],
)
def test_other_tree_fails(change: Change, said: str, served: tuple[Server, Path], tmp_path: Path) -> None:
    """A server that serves anything but the snapshot fails the drill."""
    server, written = served
    with pytest.raises(DrillFailed) as caught:
        served_tree.compare(server, changed(written, tmp_path / written.name, change), lambda _: None)
    assert said in caught.value.message


def test_refused_by_the_server(folder: Path, settings: dict[str, str], spool: Path, tmp_path: Path) -> None:
    """A server that does not load the tree fails the drill."""
    make_backup(folder, "large", tree={**TREE, b"/z": bytes(9000)})
    refusing = server_script(tmp_path, flags="-Djute.maxbuffer=4096")
    outcome = run("drill", settings={**settings, "BACKUP_PREFIX": "large", "DRILL_SERVER": str(refusing)})
    assert DrillFailed.exit_code == outcome.exit_code
    assert "ended before it served (exit status 1)" in outcome.error
    assert [] == list(spool.iterdir())


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (
            "INFO Starting\nERROR Unexpected exception\njava.io.IOException: Unreasonable length = 9000\n at X\nEnd",
            True,
        ),
        ("Starting\n\033[31mjava.io.IOException: Unreasonable length = 9000", True),
        ("", False),
    ],
)
def test_reason_of_the_server(said: str, reason: bool, tmp_path: Path) -> None:
    """The error has the fault that the server names, on one line."""
    failing = command(script(tmp_path, f"printf '%s' {shlex.quote(said)}; exit 3"), os.environ)
    with pytest.raises(DrillFailed) as caught, serving(failing, tmp_path, tmp_path, Heartbeat()):
        pass
    expected = ", and said java.io.IOException: Unreasonable length = 9000" if reason else ""
    assert f"ended before it served (exit status 3){expected}" in caught.value.message


def test_server_gets_no_secrets(settings: dict[str, str], tmp_path: Path) -> None:
    """The server gets jute.maxbuffer and the environment, but neither credentials nor the program's settings."""
    noted = tmp_path / "environment"
    more = {"DRILL_SERVER": str(script(tmp_path, f"env > {noted}")), "JUTE_MAXBUFFER": "5000000", "LANG": "C.UTF-8"}
    run("drill", settings={**settings, **more, "AWS_SECRET_ACCESS_KEY": "never-told", "TIERED_STORAGE_REGION": "mine"})
    found = dict(line.split("=", 1) for line in noted.read_text().splitlines())
    assert ("-Djute.maxbuffer=5000000", "C.UTF-8") == (found["SERVER_JVMFLAGS"], found["LANG"])
    assert not {"AWS_SECRET_ACCESS_KEY", "TIERED_STORAGE_REGION", *settings} & found.keys()


@pytest.mark.fault("Process", "SIGTERM during a drill")
def test_sigterm_ends_the_server(settings: dict[str, str], spool: Path, tmp_path: Path) -> None:
    """A drill that is stopped ends its server, and removes its directory."""
    drilled, pid = drill_that_waits(settings, tmp_path)
    assert Stopped.exit_code == drilled.stop()
    assert not is_alive(pid)
    assert "Traceback" not in drilled.output()
    assert [] == list(spool.iterdir())


@pytest.mark.fault("Process", "SIGKILL during a drill")
def test_sigkill_leaves_a_directory_alone(settings: dict[str, str], spool: Path, tmp_path: Path) -> None:
    """A drill that is killed leaves no server. The next one removes its directory, and nobody else's."""
    (spool / "metadata-tool-notes").mkdir()
    drilled, pid = drill_that_waits(settings, tmp_path)
    drilled.send(signal.SIGKILL)
    drilled.wait()
    eventually("the server ends", lambda: not is_alive(pid), 60)
    assert 2 == len(list(spool.iterdir()))
    succeed("drill", settings=settings)
    assert ["metadata-tool-notes"] == [path.name for path in spool.iterdir()]


def test_bad_backups_fail(folder: Path, settings: dict[str, str]) -> None:
    """A backup that would not be restored fails the drill by its own exit code, in one line, with a report."""
    (backup,) = folder.iterdir()
    content = backup.read_bytes()
    for damage in (content[:-50], damaged_gzip(content), b"not a backup"):
        backup.write_bytes(damage)
        outcome = run("drill", f"file://{backup}", settings=settings)
        assert DrillFailed.exit_code == outcome.exit_code
        assert outcome.error.startswith(f"error: the drill of file://{backup} failed, because ")
        assert "Traceback" not in outcome.said
        assert f"the drill of file://{backup} failed\n" in outcome.output


@pytest.mark.parametrize(
    ("more", "arguments", "error"),
    [
        ({"SPOOL_DIR": "/no/such/directory"}, [], SpoolFailed),
        ({"DRILL_SERVER": "/no/such/server --quick"}, [], SettingError),
        ({"DRILL_SERVER": "'open"}, [], SettingError),
        ({"BACKUP_PREFIX": "other"}, [], BackupMissing),
        ({}, ["nowhere"], SettingError),
    ],
)
def test_own_failures(more: dict[str, str], arguments: list[str], error: type, settings: dict[str, str]) -> None:
    """What is wrong with the drill itself has another exit code than a backup that would not be restored."""
    outcome = run("drill", *arguments, settings={**settings, **more})
    assert (error.exit_code, "") == (outcome.exit_code, outcome.output)  # type: ignore[attr-defined]
    assert outcome.error.startswith("error: ")


@pytest.mark.fault("Disk", "SPOOL_DIR fills up during a drill")
def test_full_disk(settings: dict[str, str], spool: Path) -> None:
    """A disk that is full ends the drill as one of its own failures, at each moment at which files are written."""
    for blocks in (0, 1):  # of 1024 bytes: the fetched backup does not fit, or only the snapshot
        limited = ["bash", "-c", f'ulimit -f {blocks} && exec "$@"', "bash", sys.executable, "-m", "metadata_tool"]
        done = subprocess.run(
            [*limited, "drill"], env=environment(settings), capture_output=True, text=True, timeout=60, check=False
        )
        assert (SpoolFailed.exit_code, "") == (done.returncode, done.stdout)
        assert "SPOOL_DIR" in done.stderr.splitlines()[-1]
        assert "Traceback" not in done.stderr
        assert [] == list(spool.iterdir())


def test_record_that_cannot_be_saved(folder: Path, settings: dict[str, str]) -> None:
    """Without the right to write beside the backups, the result is printed, and the error is about the record."""
    folder.chmod(0o555)
    as_anybody = ["setpriv", "--bounding-set", "-all"] if os.geteuid() == 0 else []
    done = subprocess.run(
        [*as_anybody, sys.executable, "-m", "metadata_tool", "drill", "--record"],
        env=environment(settings),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert BucketDenied.exit_code == done.returncode
    assert " restores. No ZooKeeper was started" in done.stdout
    assert done.stderr.splitlines()[-1].startswith("error: this user has no access to the directory ")
