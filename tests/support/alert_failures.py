"""The failures that make the alerts of the chart fire: real services, and faults of them or of what they depend on.

A new alert needs a line in FAILURES. Each failure has a release of its own, in a namespace of its own.
"""

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from metadata_tool.pulsar.migration import FLAG
from support import seed
from support.alert_sites import INTERVAL, LEDGERS, PART, Site
from support.damage import damaged_gzip
from support.helm import Manifest, merged, nested, one, render
from support.metadata import as_json
from support.offload import offload
from support.processes import eventually
from support.quick_rules import quickened
from support.s3 import Bucket
from support.tool import run, succeed

FACTOR = 600 // INTERVAL
"""By how much all times of the rules are divided. Users back up every 600 s."""
_RIGHTS = ("s3:ListBucket", "s3:GetObject", "s3:PutObject", "s3:AbortMultipartUpload")
_PLACE = "copies-elsewhere"
"""A bucket that does not exist."""
_THRESHOLDS = "monitoring.prometheusRule.thresholds"
_RULES = "templates/monitoring/prometheusrule.yaml"
_USUAL = merged(
    nested("zookeeper.customTools.backup.enable", value=True),
    nested("monitoring.prometheusRule.enabled", value=True),
    nested(f"{_THRESHOLDS}.uploadSeconds", 300),  # 5 s here, as uploads take a while on a busy machine
)
_DRILLS = nested("zookeeper.customTools.backup.drill.enabled", value=True)
_SOON = nested(f"{_THRESHOLDS}.drillMaxAgeSeconds", 3600)
_IDLE = nested(f"{_THRESHOLDS}.unchangedSeconds", 3600)


Happening = Callable[[Site], Iterator[None]]
"""Starts a service that is sound, then yields. What follows is the failure."""
Repair = Callable[[Site], None]


@dataclass(frozen=True)
class Failure:
    """A failure, all alerts that fire because of it, and values of the release."""

    what: str
    happens: Happening
    alerts: frozenset[str]
    values: Mapping[str, Any] = field(default_factory=dict)
    repair: Repair | None = None
    """What an operator does, after which these alerts end."""

    @property
    def name(self) -> str:
        """The name of its release, and of its namespace."""
        return self.what.lower().replace(" ", "-")

    def groups(self) -> list[Manifest]:
        """The rules of its release, `FACTOR` times as quick as users have them."""
        values = merged(_USUAL, {"namespace": self.name}, self.values)
        manifests = render(values, "--show-only", _RULES, release=self.name)
        groups = one(manifests, "PrometheusRule", f"{self.name}-pulsar-backup")["spec"]["groups"]
        return [{**group, "rules": [quickened(rule, FACTOR) for rule in group["rules"]]} for group in groups]


def sound(site: Site) -> Iterator[None]:
    """Nothing fails: backups, retention, scrubs, drills, brokers, heartbeats, and a pod that moves to another node."""
    site.scrub()
    site.ask_broker()
    site.tell_heartbeats()
    site.allow(*_RIGHTS, "s3:DeleteObject")
    site.serve(RETENTION="last=3")
    yield
    site.service.wait_for("backup_count", 1)
    succeed("drill", "--record", settings=site.settings)
    site.wait_for_backup()
    site.move()


def pod_is_killed(site: Site) -> Iterator[None]:
    """The pod ends, and no other comes."""
    site.serve()
    yield
    site.service.wait_for("backup_count", 1)
    site.service.process.kill()


def no_bucket(site: Site) -> Iterator[None]:
    """The bucket's name is wrong from the start."""
    site.serve(BUCKET="s3a://no-such-bucket")
    yield


def no_place(site: Site) -> Iterator[None]:
    """The bucket of copies does not exist."""
    site.serve(BACKUP_COPIES=f"s3a://{_PLACE}")
    yield


def delete(bucket: Bucket) -> None:
    """Delete a bucket with everything in it, while a service writes to it."""

    def deleted() -> bool:
        for key in bucket.objects():
            owner.delete_object(Bucket=bucket.name, Key=key)
        with suppress(ClientError):
            owner.delete_bucket(Bucket=bucket.name)
            return True
        return False

    owner = bucket.server.client()
    eventually("the bucket is deleted", deleted, 60)


def bucket_is_gone(site: Site) -> Iterator[None]:
    """Somebody deletes the bucket."""
    site.serve()
    yield
    site.service.wait_for("backup_count", 1)
    delete(site.bucket)


def denied_once(site: Site) -> Iterator[None]:
    """The policy of the bucket forbids uploads, until somebody corrects it."""
    site.allow(*_RIGHTS)
    site.serve()
    yield
    site.service.wait_for("backup_count", 1)
    site.allow("s3:ListBucket", "s3:GetObject")
    site.service.wait_for("backup_failure_count", 1)
    site.allow(*_RIGHTS)


def zookeeper_is_killed(site: Site) -> Iterator[None]:
    """ZooKeeper is down."""
    site.own_zookeeper()
    site.serve()
    yield
    site.service.wait_for("backup_count", 1)
    site.zookeeper.kill()


def disk_is_full(site: Site) -> Iterator[None]:
    """The disk of SPOOL_DIR is full."""
    namespace = ("unshare", "--mount", *(() if os.geteuid() == 0 else ("--map-root-user",)))
    mount = 'mount -t tmpfs -o size=8m tmpfs "$SPOOL_DIR" && exec "$@"'
    site.serve(wrapped=(*namespace, "bash", "-c", mount, "bash"))
    yield
    site.service.wait_for("backup_count", 1)
    with filler(site).open("wb") as file:
        free = os.statvfs(filler(site))
        os.posix_fallocate(file.fileno(), 0, free.f_bavail * free.f_frsize)


def filler(site: Site) -> Path:
    """A file on the disk of SPOOL_DIR, which only its service sees."""
    return Path(f"/proc/{site.service.process.pid}/root{site.settings['SPOOL_DIR']}/filler")


def initialised_again(site: Site) -> Iterator[None]:
    """Somebody deletes Pulsar's clusters and ledgers from ZooKeeper, and initialises it as another cluster."""
    site.own_zookeeper()
    site.serve()
    yield
    site.service.wait_for("backup_count", 1)
    source = site.client()
    for path in ("/admin", "/ledgers"):
        source.delete(path, recursive=True)
    seed.pulsar(source, topics=0)


def shrinks(site: Site) -> Iterator[None]:
    """The tree loses much, twice."""
    site.own_zookeeper()
    site.serve()
    yield
    site.service.wait_for("backup_count", 1)
    source = site.client()
    for first, end in ((0, 4), (4, 6)):
        for number in range(first, end):
            source.delete(f"/part-{number}")
        site.wait_for_backup()


def moves(site: Site) -> Iterator[None]:
    """Pulsar moves its metadata to another store."""
    site.own_zookeeper()
    site.serve()
    yield
    site.service.wait_for("backup_count", 1)
    site.client().create(FLAG, as_json(phase="COMPLETED", targetUrl="oxia://oxia:6648"), makepath=True)


def idle(site: Site) -> Iterator[None]:
    """Pulsar changes nothing in this ZooKeeper, as it uses another one."""
    site.serve()
    yield


def elsewhere(site: Site) -> Iterator[None]:
    """Pulsar's managed ledgers are not where the settings say."""
    site.serve(MANAGED_LEDGER_PATH="/elsewhere")
    yield


def small_servers(site: Site) -> Iterator[None]:
    """New ZooKeeper servers would have a smaller jute.maxbuffer than the ensemble."""
    site.serve(JUTE_MAXBUFFER=str(PART // 4))
    yield


def brokers_deny(site: Site) -> Iterator[None]:
    """Brokers deny all that they are asked for."""
    site.ask_denying_broker()
    site.serve()
    yield


def store_takes(seconds: float) -> Happening:
    """Each upload of a backup takes this long."""

    def slow(method: str, headers: Mapping[str, str]) -> None:
        if method == "PUT" and int(headers.get("content-length", 0)) > PART:
            time.sleep(seconds)

    def happens(site: Site) -> Iterator[None]:
        site.proxied_store()
        site.serve()
        yield
        site.service.wait_for("backup_count", 1)
        site.store.refuse = slow

    return happens


def no_deletions(site: Site) -> Iterator[None]:
    """The policy of the bucket forbids to delete."""
    site.allow(*_RIGHTS)
    for _ in range(3):
        succeed("backup", settings=site.settings)
    site.serve(RETENTION="last=3")
    yield


def no_copy_is_deleted(site: Site) -> Iterator[None]:
    """The policy of the bucket of copies forbids to delete."""
    site.allow(*_RIGHTS, "s3:DeleteObject")
    site.copy_elsewhere(*_RIGHTS)
    for _ in range(3):
        succeed("backup", settings=site.settings)
    site.serve(RETENTION="last=3")
    yield


def offloads_are_gone(site: Site) -> Iterator[None]:
    """The bucket of tiered storage has another name now."""
    site.scrub()
    site.serve()
    yield
    site.service.wait_for("backup_scrub_last_success_timestamp_seconds", 1)
    delete(site.offloads)


def object_is_deleted(site: Site) -> Iterator[None]:
    """Somebody deletes an object of tiered storage."""
    site.scrub()
    site.serve()
    yield
    site.service.wait_for("backup_scrub_last_success_timestamp_seconds", 1)
    site.s3.client().delete_object(Bucket=site.offloads.name, Key=LEDGERS[1].data_key)


def backup_is_damaged(site: Site) -> Iterator[None]:
    """The content of a backup in the bucket was changed, and a drill finds that."""
    site.serve()
    yield
    site.service.wait_for("backup_count", 1)
    latest = site.service.json("/backup/latest")["uri"]
    place = {"Bucket": site.bucket.name, "Key": latest.partition(f"{site.bucket.name}/")[2]}
    owner = site.s3.client()
    content = owner.get_object(**place)["Body"].read()
    owner.put_object(**place, Body=damaged_gzip(content))
    outcome = run("drill", latest, "--record", settings=site.settings)
    assert outcome.exit_code, outcome.output


def drills_end(site: Site) -> Iterator[None]:
    """A drill passes, and no other follows."""
    site.serve()
    yield
    site.service.wait_for("backup_count", 1)
    succeed("drill", "--record", settings=site.settings)


def bucket_is_made(site: Site) -> None:
    """Make the bucket again."""
    site.s3.client().create_bucket(Bucket=site.bucket.name)


def place_is_made(site: Site) -> None:
    """Make the bucket of copies."""
    site.s3.client().create_bucket(Bucket=_PLACE)


def offloads_are_back(site: Site) -> None:
    """Restore tiered storage from a replica."""
    with suppress(ClientError):  # the bucket may be there
        site.s3.client().create_bucket(Bucket=site.offloads.name)
    offload(site.offloads, *LEDGERS)


def zookeeper_starts(site: Site) -> None:
    """Start ZooKeeper again."""
    site.zookeeper.start()


def backup_is_accepted(site: Site) -> None:
    """Accept the suspect backup, as it is right."""
    suspect = site.service.json("/backup/latest")["suspectBackup"]["uri"]
    succeed("accept", suspect, settings=site.settings)


def drill_passes(site: Site) -> None:
    """Do a drill of the newest backup."""
    succeed("drill", "--record", settings=site.settings)


def store_is_quick(site: Site) -> None:
    """Repair the network before the object store."""
    site.store.refuse = None


def _failure(what: str, happens: Happening, *alerts: str, repair: Repair | None = None, **values: Any) -> Failure:
    return Failure(what, happens, frozenset(f"PulsarMetadataBackup{alert}" for alert in alerts), values, repair)


SOUND = Failure("All is well", sound, frozenset(), _DRILLS)
FAILURES = [
    _failure("The pod is killed", pod_is_killed, "Absent", "TooOld", repair=Site.move),
    _failure("The bucket does not exist", no_bucket, "Failing", "Never"),
    _failure("The bucket is deleted", bucket_is_gone, "Failing", "TooOld", repair=bucket_is_made),
    _failure("The bucket is denied once", denied_once, "Failing"),
    _failure("Copies have no bucket", no_place, "CopyTooOld", repair=place_is_made),
    _failure("ZooKeeper is down", zookeeper_is_killed, "Failing", "TooOld", repair=zookeeper_starts),
    _failure("ZooKeeper stays down", zookeeper_is_killed, "Failing", "TooOld", **_IDLE),
    _failure("The disk is full", disk_is_full, "Failing", "TooOld", repair=lambda site: filler(site).unlink()),
    _failure("Pulsar is initialised again", initialised_again, "Suspect", "TooOld", repair=backup_is_accepted),
    _failure("The tree shrinks", shrinks, "SizeFell"),
    _failure("Pulsar moves", moves, "Moved", repair=lambda site: site.client().delete(FLAG)),
    _failure("Pulsar is idle", idle, "Unchanged", **_IDLE),
    _failure("Pulsar is elsewhere", elsewhere, "Incomplete"),
    _failure("New servers are small", small_servers, "Unloadable"),
    _failure("Nothing is offloaded", idle, "Unrecoverable", **nested(f"{_THRESHOLDS}.unrecoverableBytes", 100)),
    _failure("Brokers deny", brokers_deny, "BrokersIncomplete"),
    _failure("Uploads are slow", store_takes(7), "UploadSlow", repair=store_is_quick),
    _failure("Backups are slow", store_takes(12), "UploadSlow", "LongerThanInterval", repair=store_is_quick),
    _failure(
        "Deletions are denied",
        no_deletions,
        "RetentionFailing",
        repair=lambda site: site.allow(*_RIGHTS, "s3:DeleteObject"),
    ),
    _failure(
        "Copies are not deleted",
        no_copy_is_deleted,
        "CopyRetentionFailing",
        repair=lambda site: site.copy_elsewhere(*_RIGHTS, "s3:DeleteObject"),
    ),
    _failure("Tiered storage is gone", offloads_are_gone, "ScrubFailing", repair=offloads_are_back),
    _failure("An object is deleted", object_is_deleted, "LedgersLost", repair=offloads_are_back),
    _failure("A backup is damaged", backup_is_damaged, "DrillFailed", repair=drill_passes, **_DRILLS),
    _failure("Drills end", drills_end, "DrillTooOld", repair=drill_passes, **_DRILLS | _SOON),
    _failure("No drill runs", idle, "DrillNever", **_DRILLS | _SOON),
]
