"""The admin port: the backups as JSON, metrics, health."""

from collections.abc import Callable
from threading import BoundedSemaphore
from typing import Any, Protocol

from flask import Flask, Response, jsonify
from werkzeug.exceptions import HTTPException, MethodNotAllowed, ServiceUnavailable

from metadata_tool.catalog import Backup
from metadata_tool.errors import ToolError
from metadata_tool.metrics import CONTENT_TYPE, Metrics

LISTINGS = 3
"""How many may ask the object store at once: with one that hangs there are threads left for health checks."""


class Loop(Protocol):
    """What health checks ask of the service."""

    @property
    def alive(self) -> bool:
        """Whether the loop runs."""

    @property
    def stopping(self) -> bool:
        """Whether it was told to stop."""


Answer = tuple[Response, int]


def create_app(existing: Callable[[], list[Backup]], metrics: Metrics, loop: Loop) -> Flask:
    """The Flask app. `existing` lists the backups, newest first."""
    listed = _bounded(existing)
    app = Flask(__name__)
    app.json.sort_keys = False  # type: ignore[attr-defined]  # the default provider has it

    @app.get("/backup/latest")
    def latest() -> Answer:
        found = listed()
        return _json(found[0].as_json()) if found else _error(404, "there is no backup yet")

    @app.get("/backup/list")
    def backup_list() -> Answer:
        return _json([backup.as_json() for backup in listed()])

    @app.get("/metrics")
    def exposition() -> Response:
        return Response(metrics.exposition(), content_type=CONTENT_TYPE)

    @app.get("/healthz")
    def healthz() -> Answer:
        return _json({"status": "ok"}) if loop.alive else _error(503, "the backup loop does not run")

    @app.get("/readyz")
    def readyz() -> Answer:
        ready = loop.alive and not loop.stopping
        return _json({"status": "ok"}) if ready else _error(503, "the service is starting or stopping")

    @app.errorhandler(ToolError)
    def tool_error(error: ToolError) -> Answer:
        return _error(502, str(error))

    @app.errorhandler(HTTPException)
    def http_error(error: HTTPException) -> Answer:
        answer, status = _error(error.code or 500, error.name.lower())
        if isinstance(error, MethodNotAllowed):
            answer.headers["Allow"] = ", ".join(error.valid_methods or ())
        return answer, status

    return app


def _bounded(existing: Callable[[], list[Backup]]) -> Callable[[], list[Backup]]:
    listings = BoundedSemaphore(LISTINGS)

    def listed() -> list[Backup]:
        if not listings.acquire(blocking=False):
            raise ServiceUnavailable
        try:
            return existing()
        finally:
            listings.release()

    return listed


def _json(value: Any) -> Answer:
    return jsonify(value), 200


def _error(status: int, message: str) -> Answer:
    return jsonify({"error": message}), status
