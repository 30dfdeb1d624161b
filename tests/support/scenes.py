"""Services in the states that the status page shows, for its tests and its screenshots."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from uuid import UUID

from flask import Flask

from metadata_tool.agenda import Requested
from metadata_tool.backup import BackupResult
from metadata_tool.catalog import Backup, BackupName
from metadata_tool.drill.records import Record, Records
from metadata_tool.errors import ToolError
from metadata_tool.metrics import Metrics
from metadata_tool.progress import Progress
from metadata_tool.pulsar.coverage import Coverage, CoverageCounts
from metadata_tool.runs import Run, Runs
from metadata_tool.scrubber import ScrubReport
from metadata_tool.tiered_storage.claims import Claim
from metadata_tool.tiered_storage.scrub_result import ScrubResult, State
from metadata_tool.web import create_app
from support.backups import report

INTERVAL = 600
BUCKET = "s3a://my-backuprestore/team/prod"
GB = 10**9
NAMESPACES = {
    "shop/orders": (820 * GB, 4 * GB, 12, 800 * GB),
    "shop/carts": (95 * GB, 31 * GB, 40, 60 * GB),
    "billing/invoices-of-all-countries-and-currencies": (410 * GB, 0, 0, 410 * GB),
    "telemetry/raw": (0, 130 * GB, 64, 0),
    "public/default": (0, 0, 3, 0),
}
"""Bytes that a restore would bring back and lose, open ledgers, and bytes that a scrub has proven."""


@dataclass
class Scene:
    """A service, its scrubs and its drills. With `error`, the bucket cannot be listed."""

    found: list[Backup] = field(default_factory=list)
    error: ToolError | None = None
    alive: bool = True
    stopping: bool = False
    last_report: BackupResult | None = None
    last_suspect: BackupResult | None = None
    last_failure: str = ""
    bucket_changes: int = 0
    progress: Progress = field(default_factory=Progress)
    runs: Runs = field(default_factory=Runs)
    running: bool = False
    next_due: float | None = None
    scrub: ScrubReport | None = None
    drills: Records = field(default_factory=Records)
    copies: "list[Place]" = field(default_factory=list)
    encrypted: bool = False

    def existing(self) -> list[Backup]:
        """The backups, newest first."""
        if self.error:
            raise self.error
        return self.found

    def request_backup(self) -> Requested:
        """Not used by the page."""
        raise AssertionError

    def app(self) -> Flask:
        """Its admin port."""
        scrubs, drills = _Scrubs(self.scrub), _Drills(self.drills)
        return create_app(self.existing, Metrics(), self, scrubs, drills, copies=self.copies, encrypted=self.encrypted)


@dataclass
class Place:
    """Another place of backups."""

    place: str
    newest: BackupName | None = None
    missing: int = 0
    last_failure: str = ""


@dataclass
class _Scrubs:
    last_report: ScrubReport | None
    last_failure: str = ""


@dataclass
class _Drills:
    last: Records


def a_backup(timestamp: int, size: int = 28_678, *, suspect: bool = False) -> Backup:
    """A backup in the bucket."""
    name = BackupName("pulsar-backup", timestamp)
    name = name.as_suspect if suspect else name
    return Backup(name, f"{BUCKET}/{name}", size)


def coverage() -> Coverage:
    """What a restore would bring back of some namespaces."""
    made = Coverage()
    for number, (namespace, (kept, lost, open_ledgers, _)) in enumerate(NAMESPACES.items()):
        made.add_topic(
            namespace,
            f"persistent/topic-{number}",
            CoverageCounts(topics=7, recoverable_bytes=kept, lost_bytes=lost, open_ledgers=open_ledgers),
        )
    return made


def scrubbed(name: str, ended: int) -> ScrubReport:
    """A scrub that has proven most of it, and found a ledger missing."""
    result = ScrubResult()
    for number, (namespace, (_, _, _, proven)) in enumerate(NAMESPACES.items()):
        if proven:
            topic = f"{namespace}/persistent/topic-{number}"
            result.add(Claim(namespace, topic, number, UUID(int=number), 5, proven, "offloads"), State.PROVEN, "")
    lost = Claim("shop/carts", "shop/carts/persistent/a", 9, UUID(int=9), 5, 20 * GB, "offloads")
    result.add(lost, State.MISSING, "no index")
    return ScrubReport(name, ended, result)


def sound(now: int) -> Scene:
    """Backups for days, the last ones of this process. One runs."""
    start = now - 240_000
    found = [
        a_backup(start - number * INTERVAL * 1000, 28_000_000 - 90_000 * number + int(900_000 * math.sin(number / 5)))
        for number in range(90)
    ]
    scene = Scene(found, next_due=now / 1000 + 360, running=True, drills=Records(Record(found[3].uri, start, 8.4)))
    for number, each in reversed(list(enumerate(found[:40]))):
        scene.runs.add(Run(each.name.timestamp, 14 + 4 * math.sin(number / 3), each))
    made = replace(report(coverage=coverage()), backup=found[0])
    scene.last_report = made
    scene.scrub = scrubbed(str(found[2].name), now - 1_700_000)
    scene.encrypted = True
    scene.copies = [Place("s3a://other-bucket/prod", found[0].name), Place("file:///mnt/backups", found[0].name, 3)]
    scene.progress.end({"capture": 9.0, "compress": 2.0, "upload": 3.0})
    scene.progress.begin("capture", 1_000_000)
    scene.progress.at(370_211)
    return scene


def failing(now: int) -> Scene:
    """The last backups failed, after sound ones."""
    scene = sound(now)
    scene.found = scene.found[6:]
    scene.running, scene.progress = False, Progress()
    error = (
        "the object store refused the credentials for s3a://my-backuprestore/team/prod (InvalidAccessKeyId). Check "
        "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or the Secret that holds them."
    )
    scene.runs = Runs()
    for each in scene.found[9::-1]:
        scene.runs.add(Run(each.name.timestamp, 14.2, each))
    for number in range(5, -1, -1):
        scene.runs.add(Run(now - 240_000 - number * INTERVAL * 1000, 31.0, error=error))
    scene.last_failure = error
    down = "the object store at https://s3.other.example.com does not answer (EndpointConnectionError). Check it."
    scene.copies = [Place("s3a://other-bucket/prod", scene.found[4].name, 3, down), Place("file:///mnt/backups")]
    scene.last_report = replace(report(coverage=coverage()), backup=scene.found[0])
    scene.drills = Records(scene.drills.passed, Record(scene.found[1].uri, now - 3_600_000, 0.0))
    return scene


def suspect(now: int) -> Scene:
    """The newest backups are suspect."""
    scene = sound(now)
    scene.running, scene.progress, scene.scrub = False, Progress(), None
    names = [replace(each, name=each.name.as_suspect, size=each.size // 40) for each in scene.found[:3]]
    names = [replace(each, uri=f"{BUCKET}/{each.name}") for each in names]
    scene.found = [*names, *scene.found[3:]]
    scene.runs = Runs()
    scene.runs.add(Run(scene.found[13].name.timestamp, 31.0, error="no ZooKeeper server answered in time. Check it."))
    for each in scene.found[12::-1]:
        scene.runs.add(Run(each.name.timestamp, 14.2 if each.name.sound == each.name else 1.2, each))
    doubts = ("the tree has 1204 znodes, 97 percent less than before", "its zxid is earlier than before")
    scene.last_suspect = replace(report(), backup=names[0], doubts=doubts)
    scene.last_report = replace(report(coverage=coverage()), backup=scene.found[3])
    return scene


def empty(_now: int) -> Scene:
    """A service that has just started, with an empty bucket. Its first backup begins."""
    scene = Scene(running=True)
    scene.progress.begin("capture")
    return scene


SCENES: dict[str, Callable[[int], Scene]] = {
    "sound": sound,
    "failing": failing,
    "suspect": suspect,
    "empty": empty,
}
"""By the kind of state."""


def now() -> int:
    """Epoch milliseconds."""
    return time.time_ns() // 1_000_000
