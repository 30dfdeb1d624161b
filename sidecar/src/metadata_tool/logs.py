"""The log on stderr, as text or as JSON lines. docs/metrics.md describes both."""

import json
import logging
import sys
import threading
from types import TracebackType
from typing import Any

from metadata_tool.catalog import rfc3339
from metadata_tool.errors import ToolError, bounded

FIELDS = ("phase", "backup", "zxid", "znodes", "bytes", "seconds", "error", "exitCode")
"""Fields that a log call may pass as `extra`. A JSON line shows them. `zxid` is hexadecimal text."""

_LONGEST = 16_000
"""Characters of a message, and of a traceback. Libraries repeat what other programs say."""
_FAULT = "a fault in the program ended this command. Report it together with the log"

log = logging.getLogger(__name__)


class TextFormatter(logging.Formatter):
    """`2026-01-31T23:59:59.123Z INFO message` on one line. Only a traceback follows on lines of its own."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(message)s")

    def formatTime(self, record: logging.LogRecord, _: str | None = None) -> str:  # noqa: N802  # logging's name
        """The time of a record, as in the names of backups and in the answers of the admin port."""
        return _time(record)

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  # logging's name
        """The line of a record."""
        return bounded(super().formatMessage(record).replace("\n", "\\n"), _LONGEST)

    def formatException(self, ei: Any) -> str:  # noqa: N802  # logging's name
        """A traceback."""
        return bounded(super().formatException(ei), _LONGEST)


class JsonFormatter(logging.Formatter):
    """One JSON object on one line."""

    def format(self, record: logging.LogRecord) -> str:
        """The line of a record."""
        line = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": bounded(record.getMessage(), _LONGEST),
        }
        line |= {name: value for name in FIELDS if (value := getattr(record, name, None)) is not None}
        if record.exc_info:
            line["traceback"] = bounded(self.formatException(record.exc_info), _LONGEST)
        return json.dumps(line, default=str)


_FORMATTERS = {"text": TextFormatter, "json": JsonFormatter}


def configure(log_format: str, level: str) -> None:
    """Log to stderr as `text` or `json`, from `debug`, `info`, `warning` or `error` on.

    If the process has log handlers already, they stay. With `json`, faults and warnings of Python are JSON lines, too.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_FORMATTERS[log_format]())
    logging.basicConfig(level=logging.ERROR, handlers=[handler])  # of libraries, errors alone: boto3 logs secrets
    for name in ("metadata_tool", "gunicorn"):
        logging.getLogger(name).setLevel(level.upper())
    logging.getLogger("kazoo").setLevel(logging.CRITICAL)  # the program reports its failures as errors of one line
    if log_format == "json":
        logging.captureWarnings(capture=True)
        logging.getLogger("py.warnings").setLevel(logging.WARNING)
        sys.excepthook = _log_uncaught
        threading.excepthook = _log_uncaught_in_thread
        sys.unraisablehook = _log_unraisable


def error_fields(error: BaseException) -> dict[str, object]:
    """The fields of a log line about an error: its type, and the exit code that a command ends with."""
    kind = type(error) if isinstance(error, ToolError) else ToolError
    return {"error": type(error).__name__, "exitCode": kind.exit_code}


def report(error: ToolError, log_format: str) -> None:
    """Write the error that ends a command to stderr: `error: …`, or a JSON line."""
    if log_format == "json":
        fields = error_fields(error)
        record = log.makeRecord(log.name, logging.ERROR, __file__, 0, "%s", (error,), None, extra=fields)
        print(JsonFormatter().format(record), file=sys.stderr)  # noqa: T201  # at every LOG_LEVEL
    else:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201


def _time(record: logging.LogRecord) -> str:
    return rfc3339(int(record.created * 1000))


def _log_uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    log.critical(_FAULT, exc_info=(kind, error, trace), extra=error_fields(error))


def _log_uncaught_in_thread(fault: threading.ExceptHookArgs) -> None:
    if fault.exc_value is not None:
        trace: Any = (fault.exc_type, fault.exc_value, fault.exc_traceback)
        log.critical("a fault in the program ended a thread. Report it together with the log", exc_info=trace)


def _log_unraisable(fault: "sys.UnraisableHookArgs") -> None:
    if fault.exc_value is not None:
        trace: Any = (fault.exc_type, fault.exc_value, fault.exc_traceback)
        log.error("%s %r", fault.err_msg or "an exception was ignored in", fault.object, exc_info=trace)
