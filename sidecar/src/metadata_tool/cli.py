"""The command line. Results go to stdout, the log and errors to stderr."""

import argparse
import gc
import json
import logging
import os
import signal
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import cache, partial
from pathlib import Path
from typing import Any, Protocol

from metadata_tool import (
    __version__,
    archive,
    argument_types,
    backup,
    derived_backup,
    help_texts,
    inspection,
    logs,
    pruner,
    root_cause,
)
from metadata_tool.accept import accept
from metadata_tool.apache_chart import command as apache_chart
from metadata_tool.catalog import LATEST, Backup, RestorePoint, backups, page
from metadata_tool.copies.places import CopyOnce
from metadata_tool.encryption.open import open_keyed
from metadata_tool.environment import hide_from_gunicorn
from metadata_tool.errors import (
    BackupSuspect,
    DrillFailed,
    OffloadedLedgersLost,
    OutputLost,
    PutBackIncomplete,
    SettingError,
    Stopped,
    ToolError,
)
from metadata_tool.fetch import fetched
from metadata_tool.history import History
from metadata_tool.lifecycle import Heartbeat
from metadata_tool.location import Location
from metadata_tool.path_history import command as path_history
from metadata_tool.prune_plan import Planner
from metadata_tool.pruner import Pruner
from metadata_tool.pulsar.placement import Part
from metadata_tool.pulsar.rules import RULES
from metadata_tool.reconciled_point import TieredStorage
from metadata_tool.restore import restore
from metadata_tool.restore_point import newest
from metadata_tool.settings import Settings, StoreSettings, TieredStorageSettings
from metadata_tool.store import EXAMPLES, Store, parse_location
from metadata_tool.tiered_storage.contract import DescribedBucket
from metadata_tool.workspace import workspace
from metadata_tool.zookeeper.snapshot import Node

log = logging.getLogger(__name__)


def main(arguments: Sequence[str] | None = None, environment: Mapping[str, str] | None = None) -> int:
    """Run one command and return its exit code. Without an environment, the process's own is read."""
    options = _parser().parse_args(arguments)
    settings = Settings(environment)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # like Ctrl-C: unfinished work is removed
    command: Command = options.command
    log_format = "text"
    try:
        log_format, level = settings.logs()
        logs.configure(log_format, level)
        command(options, settings)
        _print(end="", flush=True)
    except ToolError as error:
        reported = root_cause.explained(error)
        logs.report(reported, log_format)
        return reported.exit_code
    except BrokenPipeError:
        return OutputLost.exit_code  # the reader of the pipe has ended, as with `| head`: nothing to report
    except KeyboardInterrupt:
        logs.report(Stopped("stopped before the work was done"), log_format)
        return Stopped.exit_code
    return 0


class Command(Protocol):
    """A function that runs one command."""

    def __call__(self, options: argparse.Namespace, settings: Settings, /) -> None:
        """Run the command. Raises ToolError if that fails."""


def _print(text: str = "", end: str = "\n", *, flush: bool = False) -> None:
    """Write to stdout. If that fails, nothing is written again, not even by the interpreter's last flush."""
    try:
        print(text, end=end, flush=flush)
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(error, BrokenPipeError):
            raise
        raise OutputLost(
            f"the output cannot be written ({error.strerror})", "Check the file or device that stdout goes to"
        ) from error


def _serve(options: argparse.Namespace, settings: Settings) -> None:
    hide_from_gunicorn()
    from metadata_tool.server import serve  # the other commands do not need gunicorn and Flask

    serve(settings.serve())


def _backup(options: argparse.Namespace, settings: Settings) -> None:
    job, store, heartbeat = settings.job(), _open(settings.store(uploads=True)), Heartbeat()
    copies = CopyOnce([_open(copy) for copy in settings.copies()], heartbeat)
    result = backup.run(job, store, heartbeat, copy=copies.offer)
    _print(result.backup.uri)
    if result.doubts:
        raise BackupSuspect(
            f"{result.backup.uri} is suspect, because {', and '.join(result.doubts)}",
            "Look at the warning above, and accept it or check ZooKeeper",
        )
    copies.require_all()


def _list(options: argparse.Namespace, settings: Settings) -> None:
    store, prefix = _open(settings.store()), settings.prefix()
    every = History().genuine(store, backups(store, prefix))
    found = page(every, options.limit or len(every), options.before)
    if not every:
        log.info("there is no backup named %s-<epoch ms>.tar.gz in %s", prefix, store.location)
    if options.json:
        _print(json.dumps([entry.as_json() for entry in found], indent=2))
    else:
        _print(_table(found))


def _verify(options: argparse.Namespace, settings: Settings) -> None:
    point, heartbeat = _point(options.uri, settings), Heartbeat()
    with fetched(point, _open_at(settings, point.location), settings.spool_dir(), heartbeat) as path:
        manifest, findings, unloadable = inspection.check(point, path, heartbeat, settings.jute_maxbuffer())
    for finding in unloadable:
        log.warning("a restore of this backup will be refused, because %s. %s", finding.what, finding.at_restore)
    for finding in findings:
        log.warning(
            "a restore of this backup with lost bookies will be refused, because %s. %s",
            finding.what,
            finding.at_restore,
        )
    besides = f", and from brokers {manifest.broker.in_words()}" if manifest.broker else ""
    _print(f"{point} is complete and undamaged: {manifest.nodes} znodes at zxid {manifest.zxid:#x}{besides}")


def _inspect(options: argparse.Namespace, settings: Settings) -> None:
    point, heartbeat = _point(options.uri, settings), Heartbeat()

    def each(node: Node) -> None:
        heartbeat()
        if options.tree:
            _print(inspection.tree_line(node))

    with fetched(point, _open_at(settings, point.location), settings.spool_dir(), heartbeat) as path:
        found = inspection.inspect(point, path, each, settings.jute_maxbuffer())
    if options.json:
        _print(json.dumps(found.as_json(), indent=2))
    elif not options.tree:
        _print(found.as_text())


def _diff(options: argparse.Namespace, settings: Settings) -> None:
    from metadata_tool.tree_diff import diff

    heartbeat, points = Heartbeat(), [_point(uri, settings) for uri in (options.before, options.after)]
    with ExitStack() as kept:
        before, after = ((point, kept.enter_context(_opened(point, settings, heartbeat))) for point in points)
        compared = diff.Diff(before, after, kept.enter_context(workspace(settings.spool_dir())))
        for line in (diff.json_lines if options.json else diff.lines)(compared, znodes=options.znodes):
            _print(line)


@contextmanager
def _opened(point: RestorePoint, settings: Settings, heartbeat: Heartbeat) -> Iterator[archive.Archive]:
    """A fetched backup. What is wrong with it is reported with its address."""
    with (
        fetched(point, _open_at(settings, point.location), settings.spool_dir(), heartbeat) as path,
        archive.opened(path, heartbeat) as backup,
    ):
        yield backup


def _history(options: argparse.Namespace, settings: Settings) -> None:
    for line in path_history.history_lines(options, settings):
        _print(line)


def _find(options: argparse.Namespace, settings: Settings) -> None:
    for line in path_history.find_lines(options, settings):
        _print(line)


def _scrub(options: argparse.Namespace, settings: Settings) -> None:
    from metadata_tool.tiered_storage.claims import claims_of
    from metadata_tool.tiered_storage.scrub import ScrubJob, scrubbed

    storage, heartbeat = settings.tiered_storage(), Heartbeat()
    point = _point(options.uri, settings)

    with (
        fetched(point, _open_at(settings, point.location), settings.spool_dir(), heartbeat) as path,
        workspace(settings.spool_dir()) as directory,
    ):
        job = ScrubJob(directory, options.list_only, storage.requests)
        with scrubbed(job, claims_of(point, path), _opening(storage), heartbeat) as done:
            result = done.result
            if not result.total.ledgers:
                log.warning("%s calls no ledger offloaded, so nothing was looked for", point)
            orphans = done.orphans() if options.orphans else None
            for line in result.json_lines(orphans) if options.json else result.lines(orphans or ()):
                _print(line)
    if result.bad:
        raise OffloadedLedgersLost(
            f"{result.bad} ledgers that {point} calls offloaded are missing or damaged in tiered storage",
            "Restore their objects from a replica or an older version, or expect readers of these topics to stop there",
        )


def _reconcile(options: argparse.Namespace, settings: Settings) -> None:
    from metadata_tool import reconciliation

    storage, heartbeat = settings.tiered_storage(), Heartbeat()
    point = _point(options.uri, settings)
    store = _open(settings.store(_folder(options.to) if options.to else point.location, uploads=True))
    name = derived_backup.derived_name(point.name, derived_backup.RECONCILED)

    with (
        fetched(point, _open_at(settings, point.location), settings.spool_dir(), heartbeat) as path,
        workspace(settings.spool_dir()) as directory,
    ):
        job = reconciliation.ReconcileJob(point, path, directory, storage.requests, _opening(storage))
        name = derived_backup.free_name(store, name)
        result, made = reconciliation.reconcile(job, None if options.dry_run else name, heartbeat)
        if made:
            store.save(made.path, made.sha256, str(name), heartbeat)
    _print_derived(store.location.uri(str(name)) if made else None, result, as_json=options.json)


def _rescue(options: argparse.Namespace, settings: Settings) -> None:
    from metadata_tool import rescue
    from metadata_tool.tiered_storage.bucket import S3Bucket  # boto3 takes a second to load
    from metadata_tool.tiered_storage.rescue import RescueScope

    wanted, heartbeat = settings.rescue(), Heartbeat()
    store = _open(settings.store(_folder(options.to) if options.to else None, uploads=True))
    name = derived_backup.free_name(store, derived_backup.dated_name(settings.prefix(), derived_backup.RESCUED))
    job = rescue.RescueJob(
        bucket=wanted.bucket,
        scope=RescueScope(tuple(options.only), frozenset(options.cluster)),
        cluster=wanted.cluster,
        layout=wanted.layout,
        driver=wanted.driver,
        properties=wanted.properties,
        requests=wanted.requests,
    )
    with workspace(settings.spool_dir()) as directory:
        bucket = S3Bucket(wanted.bucket, wanted.options)
        result, made = rescue.rescue(job, bucket, directory, name, heartbeat, dry_run=options.dry_run)
        if made:
            store.save(made.path, made.sha256, str(name), heartbeat)
    _print_derived(store.location.uri(str(name)) if made else None, result, as_json=options.json)


class _Derived(Protocol):
    """What a command says of the backup that it made."""

    def to_json(self) -> dict[str, Any]:
        """All of it."""

    def as_text(self) -> str:
        """The report as text for operators."""


def _print_derived(uri: str | None, result: _Derived, *, as_json: bool) -> None:
    if as_json:
        _print(json.dumps({"uri": uri, **result.to_json()}, indent=2))
    else:
        _print(f"{result.as_text()}\n\n{uri or 'Nothing was saved'}")


def _folder(text: str) -> Location:
    try:
        return parse_location(text)
    except ValueError as error:
        raise SettingError(f"the folder of --to is not valid, {error}", f"Set it to {EXAMPLES}") from error


def _drill(options: argparse.Namespace, settings: Settings) -> None:
    from metadata_tool.drill import records
    from metadata_tool.drill.drill import drill

    gc.disable()  # as for a restore
    point, heartbeat = _point(options.uri, settings), Heartbeat()
    store = _open(settings.store(point.location, uploads=options.record))
    job = settings.drill(point, looked_up=options.uri == LATEST)
    result = drill(job, lambda _: store, heartbeat)
    _print(json.dumps(result.to_json(), indent=2) if options.json else result.as_text())
    if options.record:
        with workspace(job.spool_dir) as directory:
            records.save(result, point, store, directory, heartbeat)
    if result.failure:
        raise DrillFailed(f"the drill of {point} failed, because {result.failure}", result.hint)


def _accept(options: argparse.Namespace, settings: Settings) -> None:
    point = _address(options.uri)
    store = _open(settings.store(point.location, uploads=True))
    _print(accept(point, store, settings.spool_dir(), Heartbeat()))


def _prune(options: argparse.Namespace, settings: Settings) -> None:
    store, retention, heartbeat = _open(settings.store()), settings.retention(), Heartbeat()
    plan = Planner(retention, store, settings.prefix(), settings.spool_dir()).plan(heartbeat)
    for note in plan.notes:
        log.warning("%s", note.message)
    done = Pruner(store).prune(plan, heartbeat) if options.delete else pruner.Pruned(plan)
    if options.json:
        _print(json.dumps(pruner.as_json(done, str(retention), deleting=options.delete), indent=2))
    else:
        _print(pruner.as_text(done, deleting=options.delete))
    if failed := done.failure or done.denied:
        raise failed


def _restore(options: argparse.Namespace, settings: Settings) -> None:
    gc.disable()  # streaming makes no cycles, and looking for them among millions of objects takes time
    job = settings.restore()
    tiered = _tiered_storage(settings) if job.recovery_options.reconcile else None
    placed = restore(job, partial(_open_at, settings), Heartbeat(), tiered, dry_run=options.dry_run)
    if placed:
        _print(str(placed))


def _put_back(options: argparse.Namespace, settings: Settings) -> None:
    from metadata_tool.put_back.put_back import put_back

    point = _address(options.uri) if options.uri else None
    job = settings.put_back(point, tuple(options.replace_schemas), dry_run=options.dry_run)
    result = put_back(job, partial(_open_at, settings), Heartbeat())
    _print(json.dumps(result.to_json(), indent=2) if options.json else result.as_text())
    if not result.complete:
        raise PutBackIncomplete(
            f"the put-back of {result.point} is incomplete, its report names {result.problem_count} problems",
            "Do what the report says, then run put-back again",
        )


def _tiered_storage(settings: Settings) -> TieredStorage:
    """How a restore reads tiered storage, and saves what it makes."""
    storage = settings.tiered_storage()

    def open_to_save(location: Location) -> Store:
        return _open(settings.store(location, uploads=True))

    return TieredStorage(_opening(storage), storage.requests, open_to_save)


def _opening(storage: TieredStorageSettings) -> Callable[[str], DescribedBucket]:
    """Opens the buckets that a tree names, under their new names."""

    def open_bucket(name: str) -> DescribedBucket:
        from metadata_tool.tiered_storage.bucket import opener  # boto3 takes a second to load

        return opener(storage.options, storage.moved)(name)

    return open_bucket


def _make_keys(options: argparse.Namespace, settings: Settings) -> None:
    from metadata_tool.encryption.make_keys import make_keys

    _print(make_keys(options.directory))


def _rules(options: argparse.Namespace, settings: Settings) -> None:
    for rule in RULES:
        _print(f"{rule.name} ({', '.join(rule.scopes)})")
        for text in (*rule.paths, rule.action, f"why: {rule.why}"):
            _print(_indented(text))
    required = (
        "A restore of scope bookies-lost refuses a tree without these, or with topics elsewhere or of unknown layout, "
        "unless ALLOW_PARTIAL is true. A Pulsar without topics may lack the first."
    )
    _print("required")
    for text in (*Part, required):
        _print(_indented(text))


def _apache_values(options: argparse.Namespace, settings: Settings) -> None:
    _print(apache_chart.values(options), end="")


def _indented(text: str) -> str:
    return textwrap.fill(text, 100, initial_indent="  ", subsequent_indent="    ")


def _open(settings: StoreSettings) -> Store:
    return open_keyed(settings)


def _open_at(settings: Settings, location: Location) -> Store:
    return _open(settings.store(location))


def _point(uri: str, settings: Settings) -> RestorePoint:
    if uri == LATEST:
        return newest(settings.series(), partial(_open_at, settings))
    return _address(uri)


def _address(uri: str) -> RestorePoint:
    try:
        return RestorePoint.parse(uri)
    except ValueError as error:
        raise SettingError(
            f"URI is not valid, {error}", "Copy the address of a backup from `metadata-tool list`"
        ) from error


def _table(found: list[Backup]) -> str:
    rows = [("TIME", "SIZE", "URI")]
    rows += [
        (entry.as_json()["time"], str(entry.size), entry.uri + "  suspect" * entry.name.suspect) for entry in found
    ]
    width = max(len(size) for _, size, _ in rows)
    return "\n".join(f"{when:<24}  {size:>{width}}  {uri}" for when, size, uri in rows)


class _Parser(argparse.ArgumentParser):
    """Makes its epilog when help is asked for: to make those of all commands would take most of the time of a start."""

    make_epilog: Callable[[], str] | None = None

    def format_help(self) -> str:
        if self.make_epilog:
            self.epilog = self.make_epilog()
        return super().format_help()


@cache  # for tests, which run hundreds of commands in one process
def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="metadata-tool",
        description="Backs up Pulsar's ZooKeeper metadata to a bucket, and starts a new ZooKeeper from a backup.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.make_epilog = help_texts.of_program
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    verbs = parser.add_subparsers(required=True, metavar="COMMAND")

    def verb(name: str, command: Command, meaning: str) -> argparse.ArgumentParser:
        added = verbs.add_parser(
            name,
            help=meaning,
            description=meaning[:1].upper() + meaning[1:] + ".",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        added.make_epilog = partial(help_texts.of_command, name)
        added.set_defaults(command=command)
        return added

    verb("serve", _serve, "back up at every interval and answer on the admin port")
    verb("backup", _backup, "make one backup now and print its address")
    listing = verb("list", _list, "list the backups named BACKUP_PREFIX, newest first")
    listing.add_argument("--limit", metavar="NUMBER", type=argument_types.count, help="list this many backups at most")
    listing.add_argument(
        "--before", metavar="NAME", type=argument_types.name, help="list those that follow after this one"
    )
    checking = verb("verify", _verify, "read a backup and verify all of it")
    showing = verb("inspect", _inspect, "verify a backup and show what is in it")
    comparing = verb("diff", _diff, "show what changed in Pulsar between two backups")
    _add_options_of_diff(comparing)
    looking_back = verb("history", _history, "show when a path changed, by the backups named BACKUP_PREFIX")
    finding = verb("find", _find, "show which paths match a pattern, and when they were seen first and last")
    path_history.add_options(looking_back, finding)
    scrubbing = verb("scrub", _scrub, "check whether each ledger that a backup calls offloaded is in tiered storage")
    drilling = verb(
        "drill", _drill, "restore a backup into a scratch directory, and prove that ZooKeeper starts from it"
    )
    drilling.add_argument("--record", action="store_true", help="save the result beside the backup, for `serve`")
    accepting = verb("accept", _accept, "copy a suspect backup to the name of a sound one, so that it can be `latest`")
    accepting.add_argument("uri", metavar="URI", help="the address of a suspect backup, as `list` prints it")
    _add_options_of_prune(
        verb("prune", _prune, "show which backups RETENTION does not keep, and delete them with --delete")
    )
    reconciling = verb(
        "reconcile", _reconcile, "make a restore point from a backup and what was offloaded to tiered storage since"
    )
    rescuing = verb("rescue", _rescue, "make a restore point from TIERED_STORAGE_BUCKET alone, if there is no backup")
    restoring = verb(
        "restore", _restore, "restore RESTORE_POINT into ZOOKEEPER_DATA_DIR, once for each RESTORE_VERSION"
    )
    restoring.add_argument(
        "--dry-run", action="store_true", help="do everything except writing, and log what would change"
    )
    _add_options_of_put_back(
        verb("put-back", _put_back, "put back schemas and topic policies of a backup after its restore")
    )
    verb("make-keys", _make_keys, "make keys for encrypted backups, and print the public key of age").add_argument(
        "directory", metavar="DIRECTORY", type=Path, help="where to write them, never over a file"
    )
    apache_chart.add_options(
        verb("apache-values", _apache_values, "print values to back up or restore a Pulsar that Apache's chart runs")
    )
    verb("rules", _rules, "show what a restore changes in a saved tree, and why")
    for described in (checking, showing, reconciling):
        described.add_argument("uri", metavar="URI", help=f"the address of a backup, as `list` prints it, or {LATEST}")
    for optional in (scrubbing, drilling):
        optional.add_argument(
            "uri", metavar="URI", nargs="?", default=LATEST, help=f"the address of a backup, or {LATEST} (the default)"
        )
    scrubbing.add_argument("--list-only", action="store_true", help="do not read indexes, only list the buckets")
    scrubbing.add_argument("--orphans", action="store_true", help="list the objects that no ledger of the tree names")
    for making, default in ((reconciling, "beside URI"), (rescuing, "BUCKET")):
        where = f"where to save the restore point, such as s3a://bucket/path (default: {default})"
        making.add_argument("--to", metavar="FOLDER", help=where)
        making.add_argument("--dry-run", action="store_true", help="save nothing, only show what would be in it")
    only = "only this tenant or tenant/namespace (may be repeated)"
    rescuing.add_argument(
        "--only", metavar="NAMESPACE", action="append", default=[], type=argument_types.part, help=only
    )
    written = "only what this Pulsar cluster wrote (may be repeated, needed if there are several)"
    rescuing.add_argument("--cluster", metavar="NAME", action="append", default=[], help=written)
    output = showing.add_mutually_exclusive_group()
    output.add_argument("--tree", action="store_true", help="print every znode")
    for machine_readable in (
        listing,
        output,
        comparing,
        looking_back,
        finding,
        scrubbing,
        drilling,
        reconciling,
        rescuing,
    ):
        machine_readable.add_argument("--json", action="store_true", help="print JSON")
    return parser


def _add_options_of_prune(parser: argparse.ArgumentParser) -> None:
    intent = parser.add_mutually_exclusive_group()
    intent.add_argument("--dry-run", action="store_true", help="delete nothing, only show what would be (the default)")
    intent.add_argument("--delete", action="store_true", help="delete the backups that no rule keeps")
    parser.add_argument("--json", action="store_true", help="print JSON")


def _add_options_of_diff(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("before", metavar="FROM", help="the address of the earlier backup, as `list` prints it")
    parser.add_argument(
        "after",
        metavar="TO",
        nargs="?",
        default=LATEST,
        help=f"the address of the later one, or {LATEST} (the default)",
    )
    parser.add_argument("--znodes", action="store_true", help="show every znode that differs")


def _add_options_of_put_back(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "uri",
        metavar="URI",
        nargs="?",
        help="the address of a backup (default: the one that the ensemble was restored from)",
    )
    parser.add_argument("--dry-run", action="store_true", help="change nothing, only show what would be done")
    parser.add_argument(
        "--replace-schemas",
        metavar="TOPIC",
        action="append",
        default=[],
        help="remove the schemas that a client registered first for persistent://…, then put back the saved ones "
        "(may be repeated)",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
