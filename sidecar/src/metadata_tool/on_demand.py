"""`POST /backup` starts a backup, and `GET /backup/status` shows its progress."""

import logging
from typing import Any, Protocol

from flask import Flask, Response, jsonify, request

from metadata_tool import limits
from metadata_tool.admin_token import AdminToken
from metadata_tool.agenda import Requested
from metadata_tool.catalog import rfc3339
from metadata_tool.errors import SettingError
from metadata_tool.progress import Progress
from metadata_tool.runs import Runs

log = logging.getLogger(__name__)

STATUS = "/backup/status"
_OFF = (
    "backups on demand are off, because ADMIN_TOKEN is not set. Set it to a secret of at least 16 characters "
    "(in the chart, backup.adminToken)"
)


class Backups(Protocol):
    """What these answers need from the service."""

    @property
    def progress(self) -> Progress:
        """How far the running backup is."""

    @property
    def runs(self) -> Runs:
        """The backups of this process."""

    @property
    def running(self) -> bool:
        """Whether a backup runs, or was requested."""

    @property
    def next_due(self) -> float | None:
        """When the next backup is due, in epoch seconds."""

    def request_backup(self) -> Requested:
        """Ask for a backup now."""


Answer = tuple[Response, int]


def answer_on_demand(app: Flask, service: Backups, token: AdminToken) -> None:
    """Add both endpoints to the app."""

    @app.post("/backup")
    def backup() -> Answer:
        return _refusal(token) or _requested(service)

    @app.get(STATUS)
    def status() -> Answer:
        return jsonify(to_json(service)), 200


def to_json(service: Backups) -> dict[str, Any]:
    """The running backup, when the next one is due, and the last one of this process."""
    status, due, last = service.progress.status(), service.next_due, service.runs.last
    return {
        "state": "running" if service.running else "waiting",
        **(status.to_json() if status else {"phase": None, "percent": None, "secondsLeft": None}),
        "nextDue": None if due is None else rfc3339(int(due * 1000)),
        "last": last.to_json() if last else None,
    }


def _refusal(token: AdminToken) -> Answer | None:
    """Why this request may not change anything. None if it may."""
    if not token.is_set:
        return _error(403, _OFF)
    try:
        allowed = token.allows(request.headers.get("Authorization", ""))
    except SettingError as error:
        log.error("a request was refused, because %s", error)
        return _error(403, str(error))
    if not allowed:
        answer, status = _error(401, "this request needs the header `Authorization: Bearer <token>` with ADMIN_TOKEN")
        answer.headers["WWW-Authenticate"] = "Bearer"
        return answer, status
    if request.headers.get("Transfer-Encoding") or (request.content_length or 0) > limits.REQUEST_BODY:
        return _error(413, "a request for a backup needs no body")
    return None


def _requested(service: Backups) -> Answer:
    found = service.request_backup()
    if found is Requested.STOPPING:
        return _error(503, "the service is stopping")
    if found is Requested.ALREADY:
        return _error(409, f"a backup is running already. GET {STATUS} shows its progress")
    client = (request.remote_addr or "").removeprefix("::ffff:")  # so that an IPv4 address looks like one
    log.info("a backup was requested by %s", client, extra={"phase": "backup"})
    answer = jsonify({"status": STATUS})
    answer.headers["Location"] = STATUS
    return answer, 202


def _error(status: int, message: str) -> Answer:
    return jsonify({"error": message}), status
