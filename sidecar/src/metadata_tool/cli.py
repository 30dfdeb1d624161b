"""The command line: one command a verb. Results go to stdout, everything else that is said to stderr."""

import argparse
import gc
import json
import logging
import os
import signal
import sys
import textwrap
import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Protocol

from metadata_tool import __version__, backup, help_texts, inspection, restore
from metadata_tool.catalog import LATEST, Backup, RestorePoint, backups
from metadata_tool.decision import Decision, Verdict
from metadata_tool.errors import OutputLost, SettingError, Stopped, ToolError
from metadata_tool.lifecycle import Heartbeat
from metadata_tool.location import Location
from metadata_tool.pulsar.rules import RULES
from metadata_tool.restore_point import newest, settled
from metadata_tool.settings import Settings, StoreSettings
from metadata_tool.store import Store, open_store
from metadata_tool.zookeeper.snapshot import Node
from metadata_tool.zookeeper_faults import FOR_RESTORE, explained

log = logging.getLogger(__name__)

_LOG = "%(asctime)s.%(msecs)03dZ %(levelname)s %(message)s"


def main(arguments: Sequence[str] | None = None, environment: Mapping[str, str] | None = None) -> int:
    """Run one command and return its exit code. Without an environment, the process's own is read."""
    options = _parser().parse_args(arguments)
    settings = Settings(environment)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # like Ctrl-C: unfinished work is removed
    command: Command = options.command
    try:
        _configure_logs(*settings.logs())
        command(options, settings)
        _print(end="", flush=True)
    except ToolError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:
        return OutputLost.exit_code  # the reader of a pipe has gone, as with `| head`: nothing to say
    except KeyboardInterrupt:
        print("error: stopped before the work was done", file=sys.stderr)
        return Stopped.exit_code
    return 0


def _configure_logs(log_format: str, level: str) -> None:
    logging.Formatter.converter = time.gmtime  # as the names of backups, and the API
    logging.basicConfig(level=logging.ERROR, format=_LOG, datefmt="%Y-%m-%dT%H:%M:%S", stream=sys.stderr)
    logging.getLogger("metadata_tool").setLevel(level.upper())
    logging.getLogger("kazoo").setLevel(logging.CRITICAL)  # its failures are reported as errors of ours, in one line


class Command(Protocol):
    """What runs a verb."""

    def __call__(self, options: argparse.Namespace, settings: Settings, /) -> None:
        """Do it, or raise ToolError."""


def _print(text: str = "", end: str = "\n", *, flush: bool = False) -> None:
    """Write to stdout; once that has failed, nothing is tried again, not even by the interpreter's own last flush."""
    try:
        print(text, end=end, flush=flush)
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(error, BrokenPipeError):
            raise
        raise OutputLost(f"the output cannot be written: {error.strerror}", "Check where it goes") from error


def _serve(options: argparse.Namespace, settings: Settings) -> None:
    from metadata_tool.server import serve  # gunicorn and Flask are of no use to the other commands

    serve(settings.serve())


def _backup(options: argparse.Namespace, settings: Settings) -> None:
    job, store = settings.job(), _open(settings.store())
    _print(backup.run(job, store, Heartbeat()).backup.uri)


def _list(options: argparse.Namespace, settings: Settings) -> None:
    store, prefix = _open(settings.store()), settings.prefix()
    found = backups(store, prefix)
    if not found:
        log.info("there is no backup named %s-… in %s", prefix, store.location)
    if options.json:
        _print(json.dumps([entry.as_json() for entry in found], indent=2))
    else:
        _print(_table(found))


def _verify(options: argparse.Namespace, settings: Settings) -> None:
    point, heartbeat = _point(options.uri, settings), Heartbeat()
    store = _open_at(settings, point.location)
    with restore.fetched(point, store, settings.spool_dir(), heartbeat) as path:
        manifest = restore.verify(point, path, heartbeat)
    _print(f"{point} is whole: {manifest.nodes} znodes at zxid {manifest.zxid:#x}")


def _inspect(options: argparse.Namespace, settings: Settings) -> None:
    point, heartbeat = _point(options.uri, settings), Heartbeat()
    store = _open_at(settings, point.location)

    def each(node: Node) -> None:
        heartbeat()
        if options.tree:
            _print(inspection.tree_line(node))

    with restore.fetched(point, store, settings.spool_dir(), heartbeat) as path:
        found = inspection.inspect(point, path, each)
    if options.json:
        _print(json.dumps(found.as_json(), indent=2))
    elif not options.tree:
        _print(found.as_text())


def _restore(options: argparse.Namespace, settings: Settings) -> None:
    wanted, heartbeat = settings.restore(), Heartbeat()
    log.info("restore version %s: %s into %s", wanted.version, wanted.described, wanted.data.path)
    with (
        explained(FOR_RESTORE),
        wanted.data.locked(),
        settled(wanted, partial(_open_at, settings), heartbeat, dry_run=options.dry_run) as (verdict, job),
    ):
        gc.disable()  # streaming makes no cycles, and looking for them among millions of objects takes its time
        if verdict.decision is Decision.DONE:
            return
        if options.dry_run:
            _rehearse(job, settings, verdict, heartbeat)
        elif verdict.places:
            store = _open_at(settings, job.point.location)
            _print(str(restore.run(job, store, heartbeat, replace=verdict.replaces)))
        elif verdict.origin:
            restore.join(job, verdict.origin, replace=verdict.replaces)


def _rehearse(job: restore.RestoreJob, settings: Settings, verdict: Verdict, heartbeat: Heartbeat) -> None:
    if verdict.places:
        restore.rehearse(job, _open_at(settings, job.point.location), heartbeat)
    log.info("this was a rehearsal: nothing was written to %s", job.data.path)


def _rules(options: argparse.Namespace, settings: Settings) -> None:
    for rule in RULES:
        _print(f"{rule.name} ({', '.join(rule.scopes)})")
        for text in (*rule.paths, rule.action, f"why: {rule.why}"):
            _print(textwrap.fill(text, 100, initial_indent="  ", subsequent_indent="    "))


def _open(settings: StoreSettings) -> Store:
    return open_store(settings.location, settings.region, settings.addressing_style, settings.credentials_dir)


def _open_at(settings: Settings, location: Location) -> Store:
    return _open(settings.store(location))


def _point(uri: str, settings: Settings) -> RestorePoint:
    if uri == LATEST:
        return newest(settings.series(), partial(_open_at, settings))
    try:
        return RestorePoint.parse(uri)
    except ValueError as error:
        raise SettingError(f"URI is wrong, {error}", "`metadata-tool list` prints those that are there") from error


def _table(found: list[Backup]) -> str:
    rows = [("TIME", "SIZE", "URI")]
    rows += [(entry.as_json()["time"], str(entry.size), entry.uri) for entry in found]
    width = max(len(size) for _, size, _ in rows)
    return "\n".join(f"{when:<24}  {size:>{width}}  {uri}" for when, size, uri in rows)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="metadata-tool",
        description="Saves Pulsar's ZooKeeper metadata to a bucket, and starts a new ZooKeeper from such a backup.",
        epilog=help_texts.of_program(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    verbs = parser.add_subparsers(required=True, metavar="COMMAND")

    def verb(name: str, command: Command, meaning: str) -> argparse.ArgumentParser:
        added = verbs.add_parser(
            name,
            help=meaning,
            description=meaning[:1].upper() + meaning[1:] + ".",
            epilog=help_texts.of_command(name),
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        added.set_defaults(command=command)
        return added

    verb("serve", _serve, "back up at every interval, and answer on the admin port")
    verb("backup", _backup, "make one backup now, and print its address")
    listing = verb("list", _list, "list the backups named BACKUP_PREFIX, newest first")
    checking = verb("verify", _verify, "read a backup whole and check everything that can be checked")
    showing = verb("inspect", _inspect, "show what is in a backup, verifying it")
    restoring = verb("restore", _restore, "write RESTORE_POINT into ZOOKEEPER_DATA_DIR, which must hold no data; once")
    restoring.add_argument("--dry-run", action="store_true", help="do everything but write it, and say what would be")
    verb("rules", _rules, "show what a restore changes in a saved tree, and why")
    for described in (checking, showing):
        described.add_argument("uri", metavar="URI", help=f"the address of a backup, as `list` prints it, or {LATEST}")
    output = showing.add_mutually_exclusive_group()
    output.add_argument("--tree", action="store_true", help="print every znode")
    for machine_readable in (listing, output):
        machine_readable.add_argument("--json", action="store_true", help="print JSON")
    return parser
