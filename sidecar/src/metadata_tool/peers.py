"""Members wait for each other, until one of them has chosen the restore point for all.

It looks up the newest backup for `latest`, and compares a backup with tiered storage. A member that is down may hold
data that is newer than any backup, so nothing is looked up before all members wait.
ZooKeeper is not running yet, so the restore answers on the AdminServer's port, in the AdminServer's format.
"""

import json
import logging
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from metadata_tool.catalog import RestorePoint, Series
from metadata_tool.errors import ClusterRunning, MembersMissing
from metadata_tool.lifecycle import Every, Heartbeat
from metadata_tool.ports import listen
from metadata_tool.restore_job import RestoreJob
from metadata_tool.restore_marker import Marker
from metadata_tool.zookeeper import limits, probe

log = logging.getLogger(__name__)

WAITING = "metadata-backup.waiting"
"""In an answer: the digest of the restore that the member waits for."""
MEMBER = "metadata-backup.member"
"""In an answer: a random id of the member. A member finds its own address by its id."""

_PATIENCE = 660.0
"""Seconds to wait for all members. After ten minutes, Kubernetes has forgotten earlier failures of the container, so it
starts it again at once, with the current settings.
"""
_SAY_EVERY = 10.0
_FAREWELL = 30.0
"""Seconds for which the member that looked up the point still answers members that do not know it yet."""


class Meeting:
    """This member among those that wait. It answers the others while the `with` block runs."""

    def __init__(self, job: RestoreJob, choose: Callable[[], RestorePoint], patience: float = _PATIENCE) -> None:
        """`choose` returns the point. The first member calls it, once."""
        self._job = job
        self._patience = patience
        self._choose = choose
        self._cause = Marker(job.version, str(job.wanted), job.recovery_options.described()).digest
        self._all_wait = False
        self._me = secrets.token_hex(16)
        self._point: RestorePoint | None = None
        self._waiting_for_me: set[str] = set()
        self._heard_me: set[str] = set()
        self._time_to_say: Callable[[], bool] = lambda: True

    def __enter__(self) -> Self:
        self._server = _Server(self, self._job.admin_port, self._job.admin_address)
        threading.Thread(target=self._server.serve_forever, args=(0.1,), daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if kind is None:
            deadline = time.monotonic() + _FAREWELL
            while self._waiting_for_me - self._heard_me and time.monotonic() < deadline:
                time.sleep(0.1)
        self._server.shutdown()
        self._server.server_close()

    def wait(self, heartbeat: Heartbeat) -> RestorePoint | None:
        """The point that all members restore. None as soon as a ZooKeeper runs: the caller must then decide again.

        Raises:
            ClusterRunning: a member waits for another restore.
            MembersMissing: not all members waited within `patience` seconds.
            ToolError: this member had to choose the point, and that failed.
        """
        deadline = time.monotonic() + self._patience
        while not probe.look(self._job.ensemble, self._job.tls):
            self._point = self._hear()
            if self._point:
                return self._point
            if self._all_wait:
                deadline = time.monotonic() + self._patience  # the first member is busy, for as long as that takes
            elif time.monotonic() > deadline:
                raise MembersMissing(
                    f"not all members waited for {self._awaited} within {self._patience:.0f} s",
                    "Start the members that the log names as missing, and run the restore again. "
                    "Or set RESTORE_POINT to a backup. Nothing was touched",
                )
            heartbeat()
            time.sleep(1)
        return None

    def answer(self) -> Mapping[str, str]:
        """The answer of this member to each request."""
        answer = {WAITING: self._cause, MEMBER: self._me}
        return {**answer, probe.POINT: str(self._point)} if self._point else answer

    def note_heard(self, asker: str, answer: Mapping[str, str]) -> None:
        """Note that another member has received this answer."""
        if probe.POINT in answer:
            self._heard_me.add(asker)

    def _hear(self) -> RestorePoint | None:
        """The point that a member answers, or that this member, as the first, looks up when all wait. Else None."""
        members = self._job.members
        asked = {address: probe.properties(address, self._job.admin_port, self._me) for address in members}
        waiting = {address: answer for address, answer in asked.items() if WAITING in answer}
        self._require_alike(waiting)
        for answer in waiting.values():
            if point := self._told(answer):
                return point
        found = {str(answer.get(MEMBER)): address for address, answer in waiting.items()}
        missing = [address for address in members if address not in found.values()]
        self._all_wait = not missing
        if missing:
            self._say(f"waiting for {', '.join(missing)}")
        elif found.get(self._me) == members[0]:
            self._waiting_for_me = found.keys() - {self._me}
            return self._choose()
        else:
            what = "compare the backup with tiered storage" if self._reconciles else "look up the newest backup"
            self._say(f"waiting for {members[0]} to {what}")
        return None

    @property
    def _reconciles(self) -> bool:
        return self._job.recovery_options.reconcile

    @property
    def _awaited(self) -> str:
        if isinstance(self._job.wanted, Series):
            return f"the newest backup of {self._job.wanted}"
        return f"what is made of {self._job.wanted} and tiered storage"

    def _told(self, answer: Mapping[str, Any]) -> RestorePoint | None:
        try:
            point = RestorePoint.parse(str(answer.get(probe.POINT, "")))
        except ValueError:
            return None
        return point if self._job.may_share(point) else None

    def _require_alike(self, waiting: Mapping[str, Mapping[str, Any]]) -> None:
        others = [address for address, answer in waiting.items() if answer[WAITING] != self._cause]
        if others:
            raise ClusterRunning(
                f"{', '.join(others)} waits for a different restore. This member restores version "
                f"{self._job.version} from {self._awaited}",
                "Give all members the same settings, then start their restores again. Nothing was touched",
            )

    def _say(self, state: str) -> None:
        if self._time_to_say():
            log.info("%s. Nothing is restored until then", state)
            self._time_to_say = Every(_SAY_EVERY)


class _Server(ThreadingHTTPServer):
    """Answers as an AdminServer does."""

    def __init__(self, meeting: Meeting, port: int, address: str) -> None:
        super().__init__((address, port), _Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listen(port, "ZOOKEEPER_ADMIN_PORT", address)
        self.meeting = meeting

    def handle_error(self, request: object, client_address: object) -> None:
        """Log nothing: the client has gone, or did not speak HTTP."""


class _Handler(BaseHTTPRequestHandler):
    """One request."""

    timeout = limits.PROBE_TIMEOUT
    server: _Server

    def do_GET(self) -> None:
        """Answer it."""
        if self.path != probe.PROPERTIES:
            self.send_error(404)
            return
        answer = self.server.meeting.answer()
        content = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
        self.server.meeting.note_heard(self.headers.get(probe.ASKER, ""), answer)

    def log_message(self, *_: object) -> None:
        """Requests are not logged."""
