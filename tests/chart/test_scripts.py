"""What the chart's start script makes of what it finds in a volume, with a program in ZooKeeper's place."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from ci.chart import CHART
from metadata_tool.restore_marker import Marker

LINE = "server.{id}=zk-{ordinal}.zk.test:2888:3888:{role};2181"
MARKER = Marker("1", "s3a://bucket/p-1.tar.gz", {"restorePoint": "s3a://other/p-2.tar.gz"})
ODD = Marker("1", "s3a://bucket/(a) b*/p-1.tar.gz")


@pytest.fixture
def volume(tmp_path: Path) -> Path:
    """The volume of pod 1 of three, empty."""
    config = tmp_path / "config"
    config.mkdir()
    for script in ("start.sh", "ensemble.sh"):
        shutil.copy(CHART / "files" / script, config)
    (config / "zookeeper.conf").write_text("clientPort=2181\n")
    (config / "member").write_text(f"{LINE}\n")
    (config / "replicas").write_text("3")
    program = tmp_path / "bin" / "pulsar"
    program.parent.mkdir()
    program.write_text('#!/bin/sh\necho "$OPTS"\ncat "$PULSAR_ZK_CONF"\nexit 7\n')
    program.chmod(0o755)
    (tmp_path / "data").mkdir()
    return tmp_path / "data"


def attempt(volume: Path) -> "subprocess.CompletedProcess[str]":
    """One start of the pod."""
    home = volume.parent
    environment = {
        "PATH": os.environ["PATH"],
        "POD_NAME": "zk-1",
        "ZOOKEEPER_DATA": str(volume),
        "ZOOKEEPER_DATA_LOG": str(home / "logs"),
        "ZOOKEEPER_TLS": str(home / "secret"),
        "TMPDIR": str(home),
        "ENSEMBLE_PAUSE": "0.1",
    }
    command = ["bash", "config/start.sh"]
    return subprocess.run(command, cwd=home, env=environment, capture_output=True, text=True, check=False)


def start(volume: Path) -> tuple[list[str], dict[str, str], list[str]]:
    """What ZooKeeper is started with: this project's properties, its configuration, its list of members."""
    done = attempt(volume)
    assert (7, "") == (done.returncode, done.stderr)
    options, *lines = filter(None, done.stdout.splitlines())
    conf = dict(line.split("=", 1) for line in lines)
    told = [option for option in options.split() if option.startswith("-Dmetadata-backup.")]
    return told, conf, Path(conf["dynamicConfigFile"]).read_text().splitlines()


def member(number: int, role: str = "participant") -> str:
    """A member's line."""
    return f"server.{number}=zk-{number - 1}.zk.test:2888:3888:{role};2181"


def test_empty_volume(volume: Path) -> None:
    """The first start has the list that the values want, and says that it is empty."""
    told, conf, members = start(volume)
    identity = (volume / "version-2" / "ensemble" / "identity").read_text().strip()
    assert [f"-Dmetadata-backup.new=empty:{identity}"] == told
    assert "2181" == conf["clientPort"]
    assert [member(1), member(2), member(3)] == members
    assert "2\n" == (volume / "myid").read_text()


def test_sole_member_begins_at_once(volume: Path) -> None:
    """A single member asks nobody."""
    (volume.parent / "config" / "replicas").write_text("1")
    told = start(volume)[0]
    identity = (volume / "version-2" / "ensemble" / "identity").read_text().strip()
    assert [f"-Dmetadata-backup.initial-members={identity}"] == told
    assert (volume / "initialize").exists()


def test_initial_members_count(volume: Path) -> None:
    """A member that started the ensemble keeps the number of members that it started with, whatever the values say."""
    ensemble = volume / "version-2" / "ensemble"
    ensemble.mkdir(parents=True)
    (ensemble / "initial-members").write_text("a,b,c,d,e\n")
    (volume / "version-2" / "snapshot.0").touch()
    told, _, members = start(volume)
    assert ["-Dmetadata-backup.initial-members=a,b,c,d,e"] == told
    assert [member(number) for number in range(1, 6)] == members


def test_list_that_a_power_failure_emptied(volume: Path) -> None:
    """An empty file is passed over: the list before it counts."""
    ensemble = volume / "version-2" / "ensemble"
    ensemble.mkdir(parents=True)
    (ensemble / "zookeeper.conf.dynamic.1").write_text("server.2=old:1:2:participant;3")
    (ensemble / "zookeeper.conf.dynamic.2").touch()
    assert [member(2)] == start(volume)[2]


def test_restored_tree_is_kept_from_zookeeper_until_it_may_vote(volume: Path) -> None:
    """ZooKeeper finds no tree, also at the next start, until all members are restored. Then it finds it."""
    (volume / "version-2").mkdir()
    snapshot = volume / "version-2" / "snapshot.100000000"
    snapshot.write_bytes(b"tree")
    (volume / "version-2" / "restore.json").write_bytes(MARKER.to_json())
    for _ in range(2):
        told, _, members = start(volume)
        assert [member(1), member(2), member(3)] == members
        assert [f"-Dmetadata-backup.new={MARKER.digest}"] == [
            each.partition(":")[0] for each in told if ".new=" in each
        ]
        assert not snapshot.exists()
    (volume / "version-2" / "ensemble" / "initial-members").write_text("a,b,c\n")
    (volume / "version-2" / "currentEpoch").write_text("-1")
    start(volume)
    assert b"tree" == snapshot.read_bytes()
    assert not (volume / "version-2" / "currentEpoch").exists()


def test_agreed_list_counts(volume: Path) -> None:
    """The newest list that the ensemble agreed on wins over the values. Names and ports are those of the values."""
    ensemble = volume / "version-2" / "ensemble"
    ensemble.mkdir(parents=True)
    for version, numbers in (("fff", (1, 2, 3)), ("100000001", (1, 2)), ("next", (9,))):
        old = "\n".join(f"server.{number}=old:1:2:participant;0.0.0.0:3" for number in numbers)
        (ensemble / f"zookeeper.conf.dynamic.{version}").write_text(old)
    _, conf, members = start(volume)
    assert "zookeeper.conf.dynamic.100000001" == Path(conf["dynamicConfigFile"]).name
    assert [member(1), member(2)] == members


def test_removed_member_observes(volume: Path) -> None:
    """A member that is not in the agreed list starts without a vote, and does so again."""
    ensemble = volume / "version-2" / "ensemble"
    ensemble.mkdir(parents=True)
    (ensemble / "zookeeper.conf.dynamic.1").write_text("server.1=old:1:2:participant;3")
    for _ in range(2):
        assert [member(1), member(2, "observer")] == start(volume)[2]


@pytest.mark.parametrize(
    ("marker", "expected"),
    [
        (None, []),
        (MARKER, [f"-Dmetadata-backup.restored={MARKER.digest}", f"-Dmetadata-backup.restore-point={MARKER.point}"]),
        (ODD, [f"-Dmetadata-backup.restored={ODD.digest}"]),
    ],
    ids=["none", "safe", "unsafe"],
)
def test_origin(volume: Path, marker: Marker | None, expected: list[str]) -> None:
    """ZooKeeper is started with the digest of its restore's marker, and with its point where that needs no quoting."""
    (volume / "version-2").mkdir()
    (volume / "version-2" / "snapshot.100000000").touch()
    if marker:
        (volume / "version-2" / "restore.json").write_bytes(marker.to_json())
    assert expected == [option for option in start(volume)[0] if ".restore" in option]


@pytest.mark.parametrize("suffix", ["", ".gz", ".snappy"])
def test_origin_of_a_member_that_joins(volume: Path, suffix: str) -> None:
    """A member that starts empty reports the restore after it has taken the tree, not for its empty snapshot."""
    (volume / "version-2").mkdir()
    (volume / "restore-joined.json").write_bytes(MARKER.to_json())
    reported = f"-Dmetadata-backup.restored={MARKER.digest}"
    (volume / "version-2" / f"snapshot.0{suffix}").touch()
    assert reported not in start(volume)[0]
    (volume / "version-2" / f"snapshot.100000000{suffix}").touch()
    assert reported in start(volume)[0]


def test_data_since_a_restore(volume: Path) -> None:
    """A member tells when its volume has transactions since its restore: others are not restored beside it."""
    (volume / "version-2").mkdir()
    (volume / "version-2" / "snapshot.100000000").touch()
    (volume / "version-2" / "restore.json").write_bytes(MARKER.to_json())
    has_run = "-Dmetadata-backup.has-run=true"
    assert has_run not in start(volume)[0]
    (volume / "version-2" / "log.200000001").touch()
    assert has_run in start(volume)[0]


@pytest.mark.parametrize("suffix", ["", ".gz", ".snappy"])
def test_member_that_joined_without_its_tree(volume: Path, suffix: str) -> None:
    """A member that joined a restored ensemble reports that restore when it has taken the tree, and not before."""
    (volume / "restore-joined.json").write_bytes(MARKER.to_json())
    (volume / "version-2").mkdir()
    (volume / "version-2" / f"snapshot.0{suffix}").touch()
    restored = f"-Dmetadata-backup.restored={MARKER.digest}"
    assert restored not in start(volume)[0]
    (volume / "version-2" / f"snapshot.100000000{suffix}").touch()
    assert restored in start(volume)[0]


@pytest.fixture
def logs(volume: Path) -> Path:
    """The volume for transaction logs of the same pod, empty."""
    append(volume, "log_volume.sh")
    (volume.parent / "logs").mkdir()
    return volume.parent / "logs"


def append(volume: Path, script: str) -> None:
    """Render the scripts with an option of the chart."""
    ensemble = volume.parent / "config" / "ensemble.sh"
    ensemble.write_text(ensemble.read_text() + (CHART / "files" / script).read_text())


def lose(directory: Path) -> None:
    """Replace a volume by an empty one."""
    shutil.rmtree(directory)
    directory.mkdir()


def refusal(volume: Path) -> str:
    """Why the pod does not start. ZooKeeper has not run."""
    done = attempt(volume)
    assert (1, "", 1) == (done.returncode, done.stdout, done.stderr.count("\n"))
    return done.stderr


def served(volume: Path, logs: Path) -> None:
    """The pod has run with both volumes, and has written transactions."""
    start(volume)
    (volume / "version-2" / "snapshot.0").touch()
    (logs / "version-2" / "log.100000001").touch()


def test_member_with_a_volume_for_logs(volume: Path, logs: Path) -> None:
    """It starts, restarts, and is new until there are logs on their volume."""
    told, _, members = start(volume)
    assert (1, [member(1), member(2), member(3)]) == (sum(".new=empty:" in each for each in told), members)
    served(volume, logs)
    assert [] == start(volume)[0]


@pytest.mark.parametrize(
    ("lost", "said"),
    [
        ("data", "holds transaction logs that do not belong to"),
        ("logs", "is not the volume with the transaction logs of"),
    ],
)
def test_one_of_both_volumes_is_lost(volume: Path, logs: Path, lost: str, said: str) -> None:
    """A member does not start with half a tree: a snapshot without its logs, or logs of another tree."""
    served(volume, logs)
    lose(volume.parent / lost)
    for _ in range(2):
        refused = refusal(volume)
        assert (True, True) == (said in refused, "delete both volume claims of this member" in refused)
    lose(volume)
    lose(logs)
    start(volume)


def test_permission_to_start_is_beside_the_logs(volume: Path, logs: Path) -> None:
    """ZooKeeper finds beside its logs whether it may start an empty ensemble."""
    start(volume)
    assert not (logs / "initialize").exists()
    (volume.parent / "config" / "replicas").write_text("1")
    start(volume)
    assert (logs / "initialize").is_file()


def test_logs_of_another_member(volume: Path, logs: Path) -> None:
    """A volume with the logs of another member is not used."""
    served(volume, logs)
    (logs / "version-2" / "log-volume").write_text("another\n")
    assert "is not the volume with the transaction logs of" in refusal(volume)


def test_restored_tree_beside_old_logs(volume: Path, logs: Path) -> None:
    """Old logs are never replayed into a tree that a restore placed without knowing of their volume."""
    served(volume, logs)
    lose(volume)
    (volume / "version-2").mkdir()
    (volume / "version-2" / "snapshot.100000000").touch()
    (volume / "version-2" / "restore.json").write_bytes(MARKER.to_json())
    assert "and ZooKeeper would replay them" in refusal(volume)


def test_start_that_was_killed_between_both_volumes(volume: Path, logs: Path) -> None:
    """A pod that was killed when it had marked only one of its new volumes starts."""
    start(volume)
    (volume / "version-2" / "ensemble" / "log-volume").unlink()
    served(volume, logs)


def test_logs_are_in_the_old_place(volume: Path) -> None:
    """A volume for logs is not added to a member that has its logs beside its data."""
    start(volume)
    (volume / "version-2" / "log.100000001").touch()
    append(volume, "log_volume.sh")
    assert "holds transaction logs, and zookeeper.volumes.useSeparateDiskForTxlog is true" in refusal(volume)


def test_volume_for_logs_is_taken_away(volume: Path, logs: Path) -> None:
    """A member that has used a volume for its logs does not start without it."""
    served(volume, logs)
    shutil.copy(CHART / "files" / "ensemble.sh", volume.parent / "config")
    done = attempt(volume)
    assert (True, "") == (done.returncode != 0, done.stdout)
    assert "zookeeper.conf.new: Is a directory" in done.stderr


def test_data_since_a_restore_with_a_volume_for_logs(volume: Path, logs: Path) -> None:
    """Transactions on the volume for logs count as data since the restore, too."""
    (volume / "version-2").mkdir()
    (volume / "version-2" / "snapshot.100000000").touch()
    (volume / "version-2" / "restore.json").write_bytes(MARKER.to_json())
    has_run = "-Dmetadata-backup.has-run=true"
    assert has_run not in start(volume)[0]
    (logs / "version-2" / "log.200000001").touch()
    assert has_run in start(volume)[0]


CERTIFICATE = "-----BEGIN CERTIFICATE-----\n"
KEY = "-----BEGIN PRIVATE KEY-----\n"


@pytest.fixture
def secret(volume: Path) -> Path:
    """A mounted Secret with a certificate."""
    append(volume, "tls.sh")
    directory = volume.parent / "secret"
    directory.mkdir()
    (directory / "ca.crt").write_text(CERTIFICATE)
    (directory / "tls-combined.pem").write_text(KEY + CERTIFICATE)
    return directory


def test_certificates_are_copied_for_zookeeper_alone(volume: Path, secret: Path) -> None:
    """ZooKeeper finds the files of the Secret when it starts, which no other user can read."""
    start(volume)
    copies = volume.parent / "zookeeper-tls"
    for name in ("ca.crt", "tls-combined.pem"):
        assert (secret / name).read_text() == (copies / name).read_text()
        assert 0 == (copies / name).stat().st_mode & 0o077


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("ca.crt", None, "has no ca.crt with a certificate"),
        ("tls-combined.pem", None, "has no tls-combined.pem with a certificate"),
        ("tls-combined.pem", KEY, "has no tls-combined.pem with a certificate"),
        ("tls-combined.pem", KEY.replace("PRIVATE", "EC PRIVATE") + CERTIFICATE, "has no PKCS#8 key"),
    ],
)
def test_secret_that_zookeeper_cannot_read(
    volume: Path, secret: Path, name: str, content: str | None, said: str
) -> None:
    """The log says what the Secret lacks, and the pod does not start."""
    (secret / name).unlink()
    if content:
        (secret / name).write_text(content)
    assert said in refusal(volume)
