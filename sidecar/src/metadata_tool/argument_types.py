"""Types of the arguments of commands. Each raises ArgumentTypeError, whose message argparse shows."""

import argparse
import re
from datetime import UTC, datetime

from metadata_tool.catalog import BackupName


def count(text: str) -> int:
    """A number of backups."""
    if not re.fullmatch("[1-9][0-9]{0,6}", text):
        raise argparse.ArgumentTypeError(f"{text!a} is not a number from 1 to 9999999")
    return int(text)


def name(text: str) -> BackupName:
    """The name of a backup, also with its folder."""
    name = BackupName.parse(text.rpartition("/")[2])
    if name is None:
        raise argparse.ArgumentTypeError(f"{text!a} is not the name of a backup")
    return name


def time(text: str) -> int:
    """A time, in epoch ms."""
    if re.fullmatch("[0-9]{1,14}", text):
        return int(text)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!a} is not a time such as 2026-01-31T23:59:59Z") from None
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)


def part(text: str) -> str:
    """A tenant or a namespace."""
    if not re.fullmatch(r"[^/]+(?:/[^/]+){0,2}", text):
        raise argparse.ArgumentTypeError(f"{text!a} is neither a tenant nor tenant/namespace")
    return text
