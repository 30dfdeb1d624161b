"""Restored ensembles, with every order in which pods start: one leader, one tree, and no write is lost."""

import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from ci.parts.zookeeper import NEWEST, OLDER, OLDEST
from metadata_tool.catalog import LATEST_TIMESTAMP
from metadata_tool.errors import ClusterRunning, NewerBackups
from support import seed
from support.backups import make_backup
from support.comparison import differences, read_tree
from support.pulsar import eventually
from support.s3 import Bucket, S3Server, new_bucket
from support.tool import Outcome, assert_refused, run, succeed
from support.zookeeper import Ensemble, ZooKeeper, client, standalone

EARLIER, LATER = "/of-the-earlier-point", "/of-the-later-point"


@dataclass(frozen=True)
class Points:
    """Two backups of one server, one after the other, in one epoch, and the settings for them."""

    settings: Mapping[str, str]
    earlier: str
    later: str


@pytest.fixture(scope="module")
def points(s3: S3Server, tmp_path_factory: pytest.TempPathFactory) -> Points:
    """What is restored here."""
    settings = {**new_bucket(s3).settings, "RESTORE_SCOPE": "bookies-kept"}
    with standalone(NEWEST, tmp_path_factory.mktemp("source")) as server, client(server.address) as source:
        seed.pulsar(source)
        uris = []
        for path in (EARLIER, LATER):
            source.create(path, b"")
            uris.append(succeed("backup", settings={**settings, "ZOOKEEPER_SERVERS": server.address}))
    return Points(settings, *uris)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Each scenario runs on the newest ZooKeeper, and in the long form on the others too."""
    if "ensemble" in metafunc.fixturenames:
        versions = [NEWEST, OLDER, OLDEST] if metafunc.config.getoption("--soak") else [NEWEST]
        metafunc.parametrize("ensemble", versions, indirect=True)


@pytest.fixture
def ensemble(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Ensemble]:
    """Three members with empty volumes. None runs."""
    made = Ensemble(request.param, tmp_path)
    try:
        yield made
    finally:
        made.stop()


def restore(points: Points, ensemble: Ensemble, server: ZooKeeper, **settings: str) -> Outcome:
    """What the init container of a member does."""
    own = {
        "RESTORE_POINT": points.later,
        "ZOOKEEPER_DATA_DIR": str(server.data_dir),
        "ZOOKEEPER_SERVERS": ensemble.address,
        "ZOOKEEPER_ADMIN_PORT": str(ensemble.admin_port),
    }
    return run("restore", settings={**points.settings, **own, **settings})


def restored(points: Points, ensemble: Ensemble, server: ZooKeeper, **settings: str) -> str:
    """The same, which must succeed. Returns the log."""
    outcome = restore(points, ensemble, server, **settings)
    assert outcome.exit_code == 0, outcome.said
    return outcome.said


def start_all(points: Points, ensemble: Ensemble, **settings: str) -> None:
    """Restore each member, then start all."""
    for server in ensemble.servers:
        restored(points, ensemble, server, **settings)
    ensemble.start()


def write(ensemble: Ensemble, path: str) -> None:
    """Write to the cluster."""
    with client(ensemble.address) as writing:
        writing.create(path, b"written")


def lose(server: ZooKeeper) -> None:
    """A member's volume is lost, and a new one takes its place."""
    server.stop()
    number = (server.data_dir / "myid").read_text()
    shutil.rmtree(server.data_dir)
    server.data_dir.mkdir()
    (server.data_dir / "myid").write_text(number)


def assert_one(ensemble: Ensemble, *expected: str, absent: str = "/nowhere") -> None:
    """There is one leader, all members have the same tree with these znodes, and the same ephemerals."""
    modes = [server.mode() for server in ensemble.servers]
    assert ["follower"] * (len(modes) - 1) + ["leader"] == sorted(modes)
    with client(ensemble.address) as writing:
        writing.create("/ephemeral", b"", ephemeral=True)
        assert [True] * len(modes) == [_has(server, "/ephemeral") for server in ensemble.servers]
    assert [False] * len(modes) == [_has(server, "/ephemeral") for server in ensemble.servers]
    trees = []
    for server in ensemble.servers:
        with client(server.address) as reading:
            reading.sync("/")
            trees.append(read_tree(reading))
    for tree in trees:
        assert [] == list(differences(trees[0], tree))
        assert ([], None) == ([path for path in expected if path not in tree], tree.get(absent))


def _has(server: ZooKeeper, path: str) -> bool:
    with client(server.address) as reading:
        reading.sync("/")
        return reading.exists(path) is not None


def kept_aside(server: ZooKeeper) -> list[str]:
    """Names of data that a restore has moved aside, without their times."""
    return [path.name.rpartition(".")[0] for path in server.data_dir.glob("version-2.*")]


def test_all_at_once(points: Points, ensemble: Ensemble) -> None:
    """All members are restored, then all start. After a restart, they have all later writes."""
    start_all(points, ensemble)
    assert_one(ensemble, LATER)
    write(ensemble, "/since")
    ensemble.stop()
    for server in ensemble.servers:
        assert "was restored here before" in restored(
            points, ensemble, server, AWS_ENDPOINT_URL_S3="http://127.0.0.1:1"
        )
    ensemble.start()
    assert_one(ensemble, LATER, "/since")


@pytest.mark.fault("Restored ensemble", "members are restored one after the other")
def test_one_after_the_other(points: Points, ensemble: Ensemble) -> None:
    """A member that waits for others does not prevent the next restore. A third member joins the two."""
    first, second, third = ensemble.servers
    restored(points, ensemble, first)
    first.start()
    eventually("it runs, and waits for others", lambda: first.runs)
    assert "restored s3a://" in restored(points, ensemble, second)
    second.start()
    second.wait()
    write(ensemble, "/since")
    assert "This member joins it, and takes its tree from" in restored(points, ensemble, third)
    third.start()
    third.wait()
    assert_one(ensemble, LATER, "/since")


@pytest.mark.fault("Restored ensemble", "a member loses its volume")
def test_volume_lost(points: Points, ensemble: Ensemble) -> None:
    """A new volume takes its tree from the others, and is known at its next start, though none of them runs."""
    start_all(points, ensemble)
    write(ensemble, "/since")
    last = ensemble.servers[2]
    lose(last)
    assert "This member joins it, and takes its tree from" in restored(points, ensemble, last)
    last.start()
    last.wait()
    assert_one(ensemble, LATER, "/since")
    ensemble.stop()
    said = [restored(points, ensemble, server, OVERWRITE_EXISTING="true") for server in ensemble.servers]
    assert [] == [text for text in said if "version 1 was restored here before" not in text]
    ensemble.start()
    assert_one(ensemble, LATER, "/since")


@pytest.mark.fault("Restored ensemble", "a member is killed before it has the tree")
def test_volume_that_never_was_filled(points: Points, ensemble: Ensemble) -> None:
    """A member that started empty and was killed before it had the tree starts again. Its files are moved aside."""
    start_all(points, ensemble)
    last = ensemble.servers[2]
    lose(last)
    restored(points, ensemble, last)
    (last.data_dir / "version-2").mkdir()
    (last.data_dir / "version-2" / "snapshot.700000001").write_bytes(b"ZKSN cut off")
    assert "This member joins it, and takes its tree from" in restored(points, ensemble, last)
    assert ["version-2.replaced-by-restore-1"] == kept_aside(last)
    last.start()
    last.wait()
    assert_one(ensemble, LATER)


@pytest.mark.soak
def test_from_three_to_five(points: Points, ensemble: Ensemble) -> None:
    """New members of a larger ensemble take their trees from those that are there."""
    start_all(points, ensemble)
    write(ensemble, "/since")
    ensemble.stop()
    ensemble.servers = [ensemble.member(number, 5) for number in range(1, 6)]
    for server in ensemble.servers[:3]:
        assert "was restored here before" in restored(points, ensemble, server)
        server.start()
    for server in ensemble.servers[:3]:
        server.wait()
    for server in ensemble.servers[3:]:
        assert "This member joins it, and takes its tree from" in restored(points, ensemble, server)
        server.start()
        server.wait()
    assert_one(ensemble, LATER, "/since")


@pytest.mark.parametrize("mistaken", [0, pytest.param(2, marks=pytest.mark.soak)])
@pytest.mark.fault("Restored ensemble", "a member is restored from an older backup")
def test_older_point_by_mistake(points: Points, ensemble: Ensemble, mistaken: int) -> None:
    """A member that was restored from an older point never wins. It gets the tree of the others."""
    for number, server in enumerate(ensemble.servers):
        point = points.earlier if number == mistaken else points.later
        restored(points, ensemble, server, RESTORE_POINT=point, ALLOW_OLDER="true")
    ensemble.start()
    assert_one(ensemble, EARLIER, LATER)


@pytest.mark.fault("Restored ensemble", "a member names another backup than the others")
def test_older_point_is_told(points: Points, ensemble: Ensemble) -> None:
    """If another point was restored with the same version, the next member says so, and restores nothing."""
    first, second, third = ensemble.servers
    restored(points, ensemble, first)
    first.start()
    eventually("it runs, and waits for others", lambda: first.runs)
    outcome = restore(points, ensemble, second, RESTORE_POINT=points.earlier)
    assert_refused(ClusterRunning, "does not report restore version 1", outcome)
    restored(points, ensemble, second)
    second.start()
    second.wait()
    assert f"the running ensemble was restored from {points.later}" in restored(
        points, ensemble, third, RESTORE_POINT=points.earlier
    )
    third.start()
    third.wait()
    assert_one(ensemble, LATER)


@pytest.mark.fault("Restored ensemble", "a member has data of another cluster")
def test_stranger_waits_for_a_quorum(points: Points, ensemble: Ensemble) -> None:
    """Beside a member of a cluster that was never restored, nothing is restored, because that member might lead."""
    ensemble.start()
    write(ensemble, "/precious")
    first, second, third = ensemble.servers
    second.stop()
    lose(third)
    eventually("one alone does not serve", lambda: not first.mode())
    outcome = restore(points, ensemble, third)
    assert_refused(ClusterRunning, first.address, outcome)
    assert "Stop all members, then start them together" in outcome.error
    second.start()
    second.wait()
    third.start()
    third.wait()
    assert_one(ensemble, "/precious", absent=LATER)


@pytest.mark.fault("Restored ensemble", "a second restore begins while old members run")
def test_second_restore_over_the_first(points: Points, ensemble: Ensemble) -> None:
    """Another version is refused while an old member runs. Then it replaces the first, one member at a time."""
    start_all(points, ensemble, RESTORE_POINT=points.earlier, ALLOW_OLDER="true")
    write(ensemble, "/since")
    first, second, third = ensemble.servers
    second.stop()
    assert_refused(ClusterRunning, "of restore version 1", restore(points, ensemble, second, RESTORE_VERSION="2"))
    third.stop()
    eventually("one alone does not serve", lambda: not first.mode())
    assert_refused(ClusterRunning, first.address, restore(points, ensemble, second, RESTORE_VERSION="2"))
    first.stop()
    restored(points, ensemble, second, RESTORE_VERSION="2")
    second.start()
    eventually("it runs, and waits for others", lambda: second.runs)
    restored(points, ensemble, third, RESTORE_VERSION="2")
    third.start()
    third.wait()
    write(ensemble, "/of-the-second")
    said = restored(points, ensemble, first, RESTORE_VERSION="2")
    assert "will be moved aside" in said
    assert "This member joins it, and takes its tree from" in said
    first.start()
    first.wait()
    assert_one(ensemble, LATER, "/of-the-second", absent="/since")
    assert [["version-2.replaced-by-restore-2"]] * 3 == [kept_aside(server) for server in ensemble.servers]


@pytest.mark.fault("Restored ensemble", "all volumes are lost while the restore is still on")
def test_all_volumes_lost(points: Points, ensemble: Ensemble, bucket: Bucket) -> None:
    """If the restore stays on, an old point is not restored when there are newer backups."""
    own = {"NEWER_BACKUPS_IN": f"{bucket.settings['BUCKET']}/metadata-backup"}
    start_all(points, ensemble, **own)
    newest = succeed("backup", settings={**bucket.settings, "ZOOKEEPER_SERVERS": ensemble.address})
    lose(ensemble.servers[2])
    assert "This member joins it, and takes its tree from" in restored(points, ensemble, ensemble.servers[2], **own)
    for server in ensemble.servers:
        lose(server)
    for server in ensemble.servers:
        outcome = restore(points, ensemble, server, **own)
        assert_refused(NewerBackups, f"1 backup is newer than {points.later}, the newest is {newest}", outcome)
        assert ["myid"] == [path.name for path in server.data_dir.iterdir()]


@pytest.mark.fault("Restored ensemble", "a newer backup appears during the restore")
def test_newer_backup_while_members_start(points: Points, ensemble: Ensemble, folder: Path) -> None:
    """Once one member is restored, so are the others, even if a newer backup appears meanwhile."""
    own = {"NEWER_BACKUPS_IN": f"file://{folder}/pulsar"}
    first, second, third = ensemble.servers
    restored(points, ensemble, first, **own)
    first.start()
    eventually("it runs, and waits for others", lambda: first.runs)
    make_backup(folder, timestamp=LATEST_TIMESTAMP)
    assert_refused(NewerBackups, points.later, restore(points, ensemble, third, ZOOKEEPER_SERVERS="", **own))
    for server in (second, third):
        assert "restored s3a://" in restored(points, ensemble, server, **own)
    second.start()
    third.start()
    for server in ensemble.servers:
        server.wait()
    assert_one(ensemble, LATER)


@pytest.mark.soak
def test_back_to_an_earlier_version(points: Points, ensemble: Ensemble) -> None:
    """A version that was used before, with another in between, restores again."""
    for version in ("1", "2", "1"):
        start_all(points, ensemble, RESTORE_VERSION=version)
        write(ensemble, f"/written-in-{version}")
        ensemble.stop()
    ensemble.start()
    assert_one(ensemble, LATER, "/written-in-1", absent="/written-in-2")
    assert ["version-2.replaced-by-restore-1", "version-2.replaced-by-restore-2"] == sorted(
        kept_aside(ensemble.servers[0])
    )
