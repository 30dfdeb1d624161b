"""Answers `GET /` with the page."""

from collections.abc import Callable, Iterable
from typing import Protocol

from flask import Flask, Response
from werkzeug.exceptions import ServiceUnavailable

from metadata_tool.backup import BackupResult
from metadata_tool.catalog import Backup
from metadata_tool.copies.copies import Copies
from metadata_tool.drill.records import Records
from metadata_tool.errors import ToolError
from metadata_tool.listing import Listed
from metadata_tool.progress import Progress
from metadata_tool.scrubber import ScrubReport
from metadata_tool.status_page.page import HEADERS, Known, render
from metadata_tool.status_page.state import Observed


class Service(Observed, Protocol):
    """What the page needs from the service."""

    @property
    def last_report(self) -> BackupResult | None:
        """The last sound backup since the service started."""

    @property
    def progress(self) -> Progress:
        """How far the running backup is."""

    @property
    def running(self) -> bool:
        """Whether a backup runs, or was requested."""

    @property
    def next_due(self) -> float | None:
        """When the next backup is due, in epoch seconds."""


def answer_page(
    app: Flask,
    service: Service,
    listed: Callable[[], Listed],
    scrub: Callable[[], ScrubReport | None],
    drills: Callable[[], Records],
    *,
    copies: Iterable[Copies],
    encrypted: bool,
) -> None:
    """Add the page to the app. It is answered even if the bucket cannot be listed, and then says so."""

    @app.get("/")
    def page() -> Response:
        found, unlisted = _found(listed)
        report = service.last_report
        known = Known(
            found=found,
            unlisted=unlisted,
            service=service,
            progress=service.progress,
            running=service.running,
            next_due=service.next_due,
            coverage=report.coverage if report else None,
            coverage_of=str(report.backup.name) if report else "",
            scrub=scrub(),
            drills=drills(),
            copies=list(copies),
            encrypted=encrypted,
        )
        return Response(render(known), headers=HEADERS, content_type="text/html; charset=utf-8")


def _found(listed: Callable[[], Listed]) -> tuple[list[Backup], str]:
    """The backups, or why they could not be listed."""
    try:
        return listed().found, ""
    except ToolError as error:
        return [], str(error)
    except ServiceUnavailable:
        return [], "Too many requests wait for the object store. Try again later."
