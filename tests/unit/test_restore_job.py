"""The restore point that all members of a restore take."""

from dataclasses import replace
from pathlib import Path

import pytest

from metadata_tool.catalog import BackupName, RestorePoint, Series
from metadata_tool.location import Location
from metadata_tool.pulsar.recovery_options import RecoveryOptions
from metadata_tool.pulsar.rules import Scope
from metadata_tool.restore_job import RestoreJob
from metadata_tool.zookeeper.datadir import DataDir

FOLDER = Location("s3a", "bucket", "team")
POINT, OTHER = (RestorePoint(FOLDER, BackupName("pulsar", number)) for number in (7, 8))
LATEST = Series(FOLDER, "pulsar")
PLAIN, RECONCILING = (RecoveryOptions(Scope.BOOKIES_LOST, reconcile=switch) for switch in (False, True))


def job(
    wanted: RestorePoint | Series = POINT, options: RecoveryOptions = RECONCILING, version: str = "1"
) -> RestoreJob:
    """A restore."""
    return RestoreJob(wanted, version, DataDir(Path("/d"), Path("/d")), Path("/s"), "", 8080, False, options)


def test_name() -> None:
    """All members derive the same name, beside the backup and with its time. Other restores have other names."""
    name = job().reconciled(POINT).name
    assert (FOLDER, 7) == (job().reconciled(POINT).location, name.timestamp)
    assert name.prefix.startswith("pulsar-reconciled-")
    assert job(LATEST).reconciled(POINT) == job().reconciled(POINT) == job().settled(POINT).reconciled(POINT)
    others = [job(version="2"), job(options=replace(RECONCILING, infinite_retention=True))]
    assert 4 == len({name, job().reconciled(OTHER).name, *(each.reconciled(POINT).name for each in others)})


def test_shared_point() -> None:
    """The point that members restore is the named one, or what is made of it."""
    assert [None, None, POINT, job().reconciled(POINT)] == [
        job(LATEST, PLAIN).shared_point,
        job(LATEST).shared_point,
        job(POINT, PLAIN).shared_point,
        job().shared_point,
    ]
    made = job().reconciled(POINT)
    assert made == job().settled(made).shared_point
    assert [True, False] == [job().accepts(str(point)) for point in (made, POINT)]


@pytest.mark.parametrize("wanted", [POINT, LATEST])
def test_what_another_member_may_have_chosen(wanted: RestorePoint | Series) -> None:
    """Only a point that this member could have chosen, too, is taken from another member."""
    elsewhere = RestorePoint(Location("s3a", "other", ""), POINT.name)
    assert [True, False] == [job(wanted, PLAIN).may_share(point) for point in (POINT, elsewhere)]
    made = job().reconciled(POINT)
    possible = [made, POINT, job(version="2").reconciled(POINT), replace(made, location=elsewhere.location)]
    assert [True, False, False, False] == [job(wanted).may_share(point) for point in possible]
    assert isinstance(wanted, Series) == job(wanted).may_share(job().reconciled(OTHER))
