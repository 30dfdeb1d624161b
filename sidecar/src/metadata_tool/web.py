"""The admin port: the backups as JSON, metrics, health."""

from collections.abc import Callable
from typing import Any, Protocol

from flask import Flask, Response, jsonify, request
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from metadata_tool import limits
from metadata_tool.backup import BackupResult
from metadata_tool.catalog import Backup
from metadata_tool.errors import ToolError
from metadata_tool.listing import SharedListing
from metadata_tool.metrics import CONTENT_TYPE, Metrics


class Loop(Protocol):
    """What the admin port needs from the service."""

    @property
    def alive(self) -> bool:
        """Whether the loop runs."""

    @property
    def stopping(self) -> bool:
        """Whether the service was asked to stop."""

    @property
    def last_report(self) -> BackupResult | None:
        """The last successful backup since the service started."""

    @property
    def last_failure(self) -> str:
        """Why the last backup failed, without secrets. Empty if it succeeded."""


Answer = tuple[Response, int]

HEALTH = frozenset({"/healthz", "/readyz"})
"""Paths that are answered without waiting for anything."""


def create_app(existing: Callable[[], list[Backup]], metrics: Metrics, loop: Loop) -> Flask:
    """The Flask app. `existing` lists the backups, newest first."""
    listed = SharedListing(existing)
    app = Flask(__name__)
    app.json.sort_keys = False  # type: ignore[attr-defined]  # the default provider has it

    @app.get("/backup/latest")
    def latest() -> Answer:
        found = listed().found
        if not found:
            return _error(404, "there is no backup yet")
        return _json({**found[0].as_json(), **_content(found[0], loop.last_report)})

    @app.get("/backup/list")
    def backup_list() -> Response:
        return Response(listed().as_json, content_type="application/json")

    @app.get("/backup/coverage")
    def coverage() -> Answer:
        return _coverage(loop.last_report, request.args.get("namespace"))

    @app.get("/metrics")
    def exposition() -> Response:
        return Response(metrics.exposition(), content_type=CONTENT_TYPE)

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
        answer, status = _error(error.code or 500, error.name.lower())
        if isinstance(error, MethodNotAllowed):
            answer.headers["Allow"] = ", ".join(error.valid_methods or ())
        return answer, status


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
    }


def _migration(report: BackupResult) -> dict[str, Any]:
    return {"migration": report.migration.to_json() if report.migration else None}


def _coverage(report: BackupResult | None, namespace: str | None) -> Answer:
    if report is None:
        return _error(404, "there is no successful backup since the service started")
    covered, name = report.coverage, {"backup": str(report.backup.name)}
    if namespace is None:
        tenants = {tenant: counts.to_json() for tenant, counts in covered.tenants.items()}
        return _json({**name, **_migration(report), **covered.to_json(limits.NAMESPACES), "tenants": tenants})
    if namespace not in covered.namespaces:
        return _error(404, "the last backup does not have this namespace. Name it as tenant/namespace")
    topics = [loss.to_json() for loss in covered.topics_of(namespace)[: limits.TOPICS]]
    return _json({**name, "namespace": namespace, **covered.counts_of(namespace).to_json(), "topics": topics})


def _json(value: Any) -> Answer:
    return jsonify(value), 200


def _error(status: int, message: str) -> Answer:
    return jsonify({"error": message}), status
