"""The admin port: the backups as JSON and as a page, metrics, health."""

import re
from collections.abc import Callable, Iterable
from typing import Any, Protocol

from flask import Flask, Response, jsonify, request
from werkzeug.exceptions import BadRequest, HTTPException, MethodNotAllowed

from metadata_tool import limits, on_demand
from metadata_tool.admin_token import AdminToken
from metadata_tool.backup import BackupResult
from metadata_tool.broker_metadata.broker_file import KINDS
from metadata_tool.broker_metadata.collection import BrokerMetadata
from metadata_tool.catalog import Backup, BackupName, page, rfc3339, sound
from metadata_tool.copies.copies import Copies
from metadata_tool.drill.records import Records
from metadata_tool.errors import ToolError
from metadata_tool.listing import Listed, SharedListing, to_json
from metadata_tool.metrics import CONTENT_TYPE, Metrics
from metadata_tool.scrubber import ScrubReport
from metadata_tool.status_page.endpoint import answer_page
from metadata_tool.tiered_storage.scrub_result import ScrubResult


class Loop(on_demand.Backups, Protocol):
    """What the admin port needs from the service."""

    @property
    def alive(self) -> bool:
        """Whether the loop runs."""

    @property
    def stopping(self) -> bool:
        """Whether the service was asked to stop."""

    @property
    def last_report(self) -> BackupResult | None:
        """The last sound backup since the service started."""

    @property
    def last_suspect(self) -> BackupResult | None:
        """The last backup, if it is suspect."""

    @property
    def bucket_changes(self) -> int:
        """Increases whenever the service has changed the bucket."""

    @property
    def last_failure(self) -> str:
        """Why the last backup failed, without secrets. Empty if it succeeded."""


class Scrubs(Protocol):
    """What the admin port needs of the scrubs."""

    @property
    def last_report(self) -> ScrubReport | None:
        """The last successful scrub since the service started."""

    @property
    def last_failure(self) -> str:
        """Why the last scrub failed, without secrets. Empty if it succeeded."""


class Drills(Protocol):
    """What the admin port needs of the drills."""

    @property
    def last(self) -> Records:
        """The newest records."""


Answer = tuple[Response, int]

_SHOWN = 80
"""How many characters of a wrong parameter an error repeats."""

HEALTH = frozenset({"/healthz", "/readyz"})
"""Paths that are answered without waiting for anything."""


def create_app(
    existing: Callable[[], list[Backup]],
    metrics: Metrics,
    loop: Loop,
    scrubs: Scrubs | None = None,
    drills: Drills | None = None,
    *,
    token: AdminToken | None = None,
    copies: Iterable[Copies] = (),
    encrypted: bool = False,
) -> Flask:
    """The Flask app. `existing` lists the backups, newest first. `scrubs` and `drills` are None if they are off.

    `token` is needed by requests that change anything. `copies` are the other places of backups. `encrypted`:
    whether backups are encrypted now.
    """
    listed = SharedListing(existing, lambda: loop.bucket_changes)
    app = Flask(__name__)
    app.json.sort_keys = False  # type: ignore[attr-defined]  # the default provider has it

    @app.get("/backup/latest")
    def latest() -> Answer:
        found = listed().found
        good = sound(found)
        if not found:
            return _error(404, "there is no backup yet")
        if not good:
            return _error(404, f"all backups are suspect, such as {found[0].uri}")
        return _json(
            {
                **good[0].as_json(),
                **_content(good[0], loop.last_report),
                **_suspect(found[0], loop.last_suspect),
                **_drilled(drills.last if drills else Records()),
                **_copied(copies),
            }
        )

    @app.get("/backup/list")
    def backup_list() -> Response:
        return _list(listed, request.args.get("limit"), request.args.get("before"))

    @app.get("/backup/coverage")
    def coverage() -> Answer:
        return _coverage(loop.last_report, scrubs, request.args.get("namespace"))

    @app.get("/metrics")
    def exposition() -> Response:
        return Response(metrics.exposition(), content_type=CONTENT_TYPE)

    answer_page(
        app,
        loop,
        listed,
        scrub=lambda: scrubs.last_report if scrubs else None,
        drills=lambda: drills.last if drills else Records(),
        copies=copies,
        encrypted=encrypted,
    )
    on_demand.answer_on_demand(app, loop, token or AdminToken())
    _answer_health(app, loop)
    _answer_errors(app)
    return app


def _answer_health(app: Flask, loop: Loop) -> None:
    @app.get("/healthz")
    def healthz() -> Answer:
        return _json({"status": "ok"}) if loop.alive else _error(503, "the backup loop is not running")

    @app.get("/readyz")
    def readyz() -> Answer:
        if loop.stopping or not loop.alive:
            return _error(503, "the service is starting or stopping")
        if failure := loop.last_failure:
            return _error(503, f"the last backup failed: {failure}")
        return _json({"status": "ok"})


def _answer_errors(app: Flask) -> None:
    @app.errorhandler(ToolError)
    def tool_error(error: ToolError) -> Answer:
        return _error(502, str(error))

    @app.errorhandler(HTTPException)
    def http_error(error: HTTPException) -> Answer:
        told = str(error.description) if isinstance(error, BadRequest) else error.name.lower()
        answer, status = _error(error.code or 500, told)
        if isinstance(error, MethodNotAllowed):
            answer.headers["Allow"] = ", ".join(error.valid_methods or ())
        return answer, status


def _list(listed: Callable[[], Listed], limit: str | None, before: str | None) -> Response:
    """All backups, or a page of them with the address of the next one."""
    if limit is None and before is None:
        return Response(listed().as_json, content_type="application/json")
    size = int(limit) if limit and re.fullmatch("[0-9]{1,4}", limit) else limits.PAGE if limit is None else 0
    if not 1 <= size <= limits.PAGE:
        raise BadRequest(f"limit is {_shown(limit)}. It must be a number from 1 to {limits.PAGE}")
    start = BackupName.parse(before) if before is not None else None
    if before is not None and not start:
        raise BadRequest(f"before is {_shown(before)}. It must be the name of a backup from this list")
    found = page(listed().found, size + 1, start)
    answer = Response(to_json(found[:size]), content_type="application/json")
    if len(found) > size:
        answer.headers["Link"] = f'</backup/list?limit={size}&before={found[size - 1].name}>; rel="next"'
    return answer


def _shown(text: str | None) -> str:
    return ascii(text if text is None or len(text) <= _SHOWN else f"{text[:_SHOWN]}...")


def _content(newest: Backup, report: BackupResult | None) -> dict[str, Any]:
    """Clusters, coverage, findings and migration of the newest backup. Empty if this service did not make it."""
    if report is None or report.backup.name != newest.name:
        return {}
    findings = [finding.what for finding in report.findings]
    return {
        "clusters": report.clusters,
        "coverage": report.coverage.total.to_json(),
        "findings": findings,
        **_migration(report),
        **_of_brokers(report.broker),
    }


def _of_brokers(broker: BrokerMetadata | None) -> dict[str, Any]:
    """`brokerMetadata`: what brokers gave out and did not give out, and why. Empty if they are not asked."""
    if broker is None:
        return {}
    counts = {
        "saved": {kind: broker.saved_of(kind) for kind in KINDS},
        "notSaved": {kind: broker.not_saved_of(kind) for kind in KINDS},
    }
    return {"brokerMetadata": {**counts, "reasons": list(broker.why), "seconds": round(broker.seconds, 3)}}


def _suspect(newest: Backup, report: BackupResult | None) -> dict[str, Any]:
    """`suspectBackup` if the newest backup is suspect, with the reasons if this service made it."""
    if not newest.name.suspect:
        return {}
    reasons = {"reasons": list(report.doubts)} if report and report.backup.name == newest.name else {}
    return {"suspectBackup": {**newest.as_json(), **reasons}}


def _drilled(records: Records) -> dict[str, Any]:
    """`drill` if there is a record: the last drill that passed, and the last one that failed."""
    found = {
        name: {"backup": record.backup, "time": rfc3339(record.started), "servingSeconds": record.seconds}
        for name, record in (("passed", records.passed), ("failed", records.failed))
        if record
    }
    return {"drill": found} if found else {}


def _copied(copies: Iterable[Copies]) -> dict[str, Any]:
    """`copies` if there are other places: the newest backup known to be in each, what it lacks, and why one failed."""
    found = [
        {
            "place": copy.place,
            "newest": str(copy.newest) if copy.newest else None,
            **({"missing": copy.missing} if copy.missing else {}),
            **({"error": copy.last_failure} if copy.last_failure else {}),
        }
        for copy in copies
    ]
    return {"copies": found} if found else {}


def _migration(report: BackupResult) -> dict[str, Any]:
    return {"migration": report.migration.to_json() if report.migration else None}


def _coverage(report: BackupResult | None, scrubs: Scrubs | None, namespace: str | None) -> Answer:
    if report is None:
        return _error(404, "there is no successful backup since the service started")
    covered, name = report.coverage, {"backup": str(report.backup.name)}
    scrub = scrubs.last_report if scrubs else None
    about = _about_scrub(scrub, scrubs.last_failure if scrubs else "")
    if namespace is None:
        found = covered.to_json(limits.NAMESPACES)
        if scrub:
            _add_ledgers(found, scrub.result)
        tenants = {tenant: counts.to_json() for tenant, counts in covered.tenants.items()}
        return _json({**name, **_migration(report), **about, **found, "tenants": tenants})
    if namespace not in covered.namespaces:
        return _error(404, "the last backup does not have this namespace. Name it as tenant/namespace")
    topics = [loss.to_json() for loss in covered.topics_of(namespace)[: limits.TOPICS]]
    found = {"namespace": namespace, **covered.counts_of(namespace).to_json()}
    if scrub and (counts := scrub.result.namespaces.get(namespace)):
        lost = [named.to_json() for named in scrub.result.ledgers if named.namespace == namespace]
        found |= {**counts.ledgers_to_json(), "lostLedgers": lost}
    return _json({**name, **about, **found, "topics": topics})


def _about_scrub(scrub: ScrubReport | None, failure: str) -> dict[str, Any]:
    """Which scrub the ledgers are counted by, and why the last one failed. Empty before the first scrub."""
    done = {}
    if scrub:
        method = "list" if scrub.result.list_only else "index"
        done = {"scrubbedAt": rfc3339(scrub.ended), "scrubbedBackup": scrub.backup, "scrubMethod": method}
    return {**done, **({"scrubError": failure} if failure else {})}


def _add_ledgers(found: dict[str, Any], result: ScrubResult) -> None:
    """Add the ledgers of a scrub to the coverage in total and of each namespace, if the scrub saw it."""
    found["total"] |= result.total.ledgers_to_json()
    for name in found["namespaces"].keys() & result.namespaces.keys():
        found["namespaces"][name] |= result.namespaces[name].ledgers_to_json()


def _json(value: Any) -> Answer:
    return jsonify(value), 200


def _error(status: int, message: str) -> Answer:
    return jsonify({"error": message}), status
