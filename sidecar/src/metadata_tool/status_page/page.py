"""Makes the page: what is known now, as one HTML document without scripts and without outside resources."""

import base64
import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files

from jinja2 import Environment, StrictUndefined

from metadata_tool.catalog import Backup, rfc3339, sound
from metadata_tool.copies.copies import Copies
from metadata_tool.drill.records import Records
from metadata_tool.progress import Progress
from metadata_tool.pulsar.coverage import Coverage
from metadata_tool.runs import Run
from metadata_tool.scrubber import ScrubReport
from metadata_tool.status_page import charts, units
from metadata_tool.status_page.coverage_bars import bars
from metadata_tool.status_page.restore_values import restore_values
from metadata_tool.status_page.state import Observed, state_of
from metadata_tool.zookeeper.snapshot import escaped

ROWS = 20
"""Backups in the table."""
FAILURES = 3
"""Different failures among the last backups."""
POINTS = 100
"""Backups in the pictures."""

_HERE = files(__package__)
_STYLE = (_HERE / "page.css").read_text("utf-8")
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()

HEADERS = {
    "Content-Security-Policy": (
        f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; img-src data:; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    ),
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
"""Headers of the page, by which a browser loads, runs, sends and frames nothing, whatever names a tree has."""


@dataclass(frozen=True)
class Row:
    """A backup in the table."""

    backup: Backup
    newest: bool
    seconds: float | None
    verified: bool
    scrubbed: bool
    drilled: str
    """`passed`, `failed`, or empty if it was not drilled."""
    values: str
    """The values that restore it."""


@dataclass(frozen=True)
class Known:
    """What the page shows. `unlisted` says why the backups could not be listed."""

    found: list[Backup]
    unlisted: str
    service: Observed
    progress: Progress
    running: bool
    next_due: float | None
    coverage: Coverage | None
    coverage_of: str
    scrub: ScrubReport | None
    drills: Records
    copies: Sequence[Copies]
    encrypted: bool


def render(known: Known) -> str:
    """The page, as HTML."""
    now = int(time.time() * 1000)
    durations = {str(run.backup.name): run.seconds for run in known.service.runs if run.backup}
    due = None if known.next_due is None else int(known.next_due * 1000)
    scrubbed = known.scrub.result if known.scrub else None
    return _TEMPLATE.render(
        style=_STYLE,
        state=state_of(known.found, known.unlisted, known.service),
        now=now,
        newest=next(iter(sound(known.found)), None),
        count=len(known.found),
        progress=known.progress.status(),
        running=known.running,
        due=due,
        rows=_rows(known, durations),
        failures=_other_failures(list(known.service.runs)[-ROWS:], known.service.last_failure),
        pictures=_pictures(known.found[:POINTS], durations),
        bars=bars(known.coverage, scrubbed) if known.coverage else [],
        known=known,
    )


def _other_failures(runs: list[Run], told: str) -> list[Run]:
    """The last of each kind of failure, newest first, without the one that the state has already."""
    by_error = {run.error: run for run in runs if run.backup is None and run.error != told}
    return sorted(by_error.values(), key=lambda run: -run.started)[:FAILURES]


def _rows(known: Known, durations: dict[str, float]) -> list[Row]:
    newest = next(iter(sound(known.found)), None)
    return [
        Row(
            backup,
            backup == newest,
            durations.get(str(backup.name)),
            str(backup.name) in durations,
            bool(known.scrub and known.scrub.backup == str(backup.name)),
            _drilled(backup, known.drills),
            restore_values(backup, newest=backup == newest, encrypted=known.encrypted),
        )
        for backup in known.found[:ROWS]
    ]


def _drilled(backup: Backup, drills: Records) -> str:
    kinds = (("passed", drills.passed), ("failed", drills.failed))
    done = [(record.started, kind) for kind, record in kinds if record and record.backup.endswith(f"/{backup.name}")]
    return max(done)[1] if done else ""


def _pictures(found: list[Backup], durations: dict[str, float]) -> list[tuple[str, charts.Series]]:
    """Sizes of all backups, and durations of those that this process made."""
    sizes = [charts.Value(each.name.timestamp, each.size, each.name.suspect) for each in found]
    times = [
        charts.Value(each.name.timestamp, durations[str(each.name)], each.name.suspect)
        for each in found
        if str(each.name) in durations
    ]
    made = (
        ("Size", charts.series(sizes, lambda value: units.size(int(value)), units.moment)),
        ("Duration", charts.series(times, units.duration, units.moment)),
    )
    return [(name, picture) for name, picture in made if picture]


def _ago(timestamp: int, now: int) -> str:
    return f"{units.duration((now - timestamp) / 1000)} ago" if timestamp <= now else "now"


def _until(timestamp: int, now: int) -> str:
    return f"in {units.duration((timestamp - now) / 1000)}" if timestamp > now else "now"


def _template() -> Environment:
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {
        "size": units.size,
        "duration": units.duration,
        "moment": units.moment,
        "ago": _ago,
        "until": _until,
        "printable": escaped,
        "iso": rfc3339,
    }
    environment.globals |= {"width": charts.WIDTH, "height": charts.HEIGHT}
    return environment


_TEMPLATE = _template().from_string((_HERE / "page.html").read_text("utf-8"))
