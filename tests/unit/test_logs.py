import io
import json
import logging
import re
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from metadata_tool import logs
from metadata_tool.errors import BucketMissing

DOCS = Path(__file__).parents[2] / "docs" / "metrics.md"
MOMENT = 1_769_903_999.123
LINE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (DEBUG|INFO|WARNING|ERROR|CRITICAL) .+")
CAPTURE: dict[str, Any] = {"phase": "capture", "znodes": 7, "zxid": "0x500000064", "seconds": 0.25}


def record(message: str, *arguments: object, level: int = logging.INFO, **fields: Any) -> logging.LogRecord:
    """What a logger hands to a formatter."""
    made = logging.getLogger("metadata_tool.any").makeRecord(
        "metadata_tool.any", level, __file__, 1, message, arguments, None, extra=fields
    )
    made.created = MOMENT
    return made


@contextmanager
def configured(log_format: str, level: str, handlers: list[logging.Handler]) -> Iterator[None]:
    """A process with these handlers that configures its log. Afterwards everything is as before."""
    hooks = sys.excepthook, sys.unraisablehook, threading.excepthook
    levels = {name: logging.getLogger(name).level for name in ("", "metadata_tool", "gunicorn", "kazoo", "py.warnings")}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(logging.getLogger(), "handlers", handlers)
        try:
            logs.configure(log_format, level)
            yield
        finally:
            logging.captureWarnings(capture=False)
            sys.excepthook, sys.unraisablehook, threading.excepthook = hooks
            for name, before in levels.items():
                logging.getLogger(name).setLevel(before)


def test_text() -> None:
    """A line of text has its time in UTC, its level and its message. Fields are not shown."""
    expected = "2026-01-31T23:59:59.123Z WARNING 3 of 7"
    assert expected == logs.TextFormatter().format(
        record("%d of %d", 3, 7, level=logging.WARNING, phase="capture", seconds=1.5)
    )


def test_text_is_one_line() -> None:
    """A message with line feeds is still one line."""
    assert "2026-01-31T23:59:59.123Z INFO a\\nb" == logs.TextFormatter().format(record("a\nb"))


def test_json() -> None:
    """A JSON line has time, level, logger and message, and the fields that are known."""
    expected = {
        "time": "2026-01-31T23:59:59.123Z",
        "level": "info",
        "logger": "metadata_tool.any",
        "message": "captured 7\n…",
        **CAPTURE,
    }
    (line,) = logs.JsonFormatter().format(record("captured %d\n…", 7, backup=None, other=1, **CAPTURE)).splitlines()
    assert expected == json.loads(line)


def test_long_lines_are_shortened() -> None:
    """A message or a traceback with a megabyte of what another program said is no megabyte of the log."""
    said = "x" * 1_000_000
    fault = record("failed: %s", said)
    try:
        raise ValueError(said)
    except ValueError:
        fault.exc_info = sys.exc_info()
    for formatter in (logs.TextFormatter(), logs.JsonFormatter()):
        assert len(formatter.format(fault)) < 100_000


def test_json_has_the_traceback() -> None:
    """The traceback of a fault is a field of its one line."""
    made = record("a fault", level=logging.ERROR)
    try:
        raise ZeroDivisionError("a reason")
    except ZeroDivisionError:
        made.exc_info = sys.exc_info()
    (line,) = logs.JsonFormatter().format(made).splitlines()
    assert json.loads(line)["traceback"].endswith("ZeroDivisionError: a reason")


@pytest.mark.parametrize("value", [Path("/a"), b"\xff", float("inf"), object()])
def test_json_takes_any_value(value: object) -> None:
    """A value that JSON does not know does not lose the line."""
    (line,) = logs.JsonFormatter().format(record("%s", value, bytes=value)).splitlines()
    assert "bytes" in json.loads(line)


@pytest.mark.parametrize(
    ("level", "expected"), [("debug", "dwe"), ("info", "we"), ("warning", "we"), ("error", "e")], ids=str
)
@pytest.mark.parametrize("log_format", ["text", "json"])
def test_level(log_format: str, level: str, expected: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Messages from the level on are logged, gunicorn's among them. Other libraries log errors only."""
    with configured(log_format, level, []):
        for name in ("metadata_tool.any", "gunicorn.error"):
            log = logging.getLogger(name)
            log.debug("d")
            log.warning("w")
            log.error("e")
        logging.getLogger("botocore").warning("a secret")
        logging.getLogger("kazoo").error("kazoo's")
    lines = capsys.readouterr().err.splitlines()
    last = [json.loads(line)["message"] if log_format == "json" else line.split()[-1] for line in lines]
    assert [*expected, *expected] == last


def test_existing_handlers_stay(capsys: pytest.CaptureFixture[str]) -> None:
    """A process that logs elsewhere already logs nothing to stderr."""
    elsewhere = io.StringIO()
    with configured("text", "info", [logging.StreamHandler(elsewhere)]):
        logging.getLogger("metadata_tool.any").info("elsewhere")
    assert ("", "elsewhere\n") == (capsys.readouterr().err, elsewhere.getvalue())


def test_error_as_text(capsys: pytest.CaptureFixture[str]) -> None:
    """The error that ends a command is one line for a person."""
    logs.report(BucketMissing("the bucket is missing", "Create the bucket"), "text")
    assert "error: the bucket is missing. Create the bucket.\n" == capsys.readouterr().err


def test_error_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    """As JSON, the error has its type and the exit code, whatever the level is."""
    logs.report(BucketMissing("the bucket is missing", "Create the bucket"), "json")
    (line,) = capsys.readouterr().err.splitlines()
    found: dict[str, Any] = json.loads(line)
    assert LINE.match(f"{found.pop('time')} {found['level'].upper()} x")
    expected = {
        "level": "error",
        "logger": "metadata_tool.logs",
        "message": "the bucket is missing. Create the bucket.",
        "error": "BucketMissing",
        "exitCode": BucketMissing.exit_code,
    }
    assert expected == found


def test_fields_are_documented() -> None:
    """Every field of a JSON line is in the document."""
    found = re.findall(r"^\| `(\w+)` \|", DOCS.read_text().partition("## Logs")[2], re.MULTILINE)
    assert ["time", "level", "logger", "message", *logs.FIELDS, "traceback"] == found
