"""`metadata-tool apache-values`: its options, and the values that it prints."""

import argparse
import re
from collections.abc import Iterable

from metadata_tool import __version__
from metadata_tool.apache_chart.backup_values import BackupValues
from metadata_tool.apache_chart.image import Image
from metadata_tool.apache_chart.release import Release
from metadata_tool.apache_chart.restore_values import RestoreValues
from metadata_tool.apache_chart.yaml_text import dump
from metadata_tool.catalog import LATEST
from metadata_tool.errors import SettingError
from metadata_tool.location import Location
from metadata_tool.pulsar.rules import Scope
from metadata_tool.settings import Settings
from metadata_tool.variables import BACKUP_PREFIX, VARIABLES

_IMAGE = f"pulsar-metadata-backup:{__version__}"
_SECRET_OBJECT = re.compile(r"[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?")
_PREFIX = BACKUP_PREFIX.default
_ADDRESS = re.compile(r"https?://(?:[A-Za-z0-9.-]+|\[[0-9A-Fa-f:]+\])(?::[0-9]{1,5})?(?:/[A-Za-z0-9._~/-]*)?")
_MOST_MEMBERS = 99
_SECRET_NAME = re.compile("AUTH$|PASSWORD|ACCESS_KEY")
_SECRET_VALUE = re.compile("://[^/]*@")


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the two subcommands, backup and restore, and their options."""
    wanted = parser.add_subparsers(required=True, metavar="backup|restore", dest="wanted")
    described = "Print {}. The options repeat what your values of Apache's chart say, such as fullnameOverride."
    of_backup = "values for this project's chart, to back up ZooKeeper"
    of_restore = "values for Apache's chart, to restore its ZooKeeper"
    backup = wanted.add_parser("backup", help=of_backup, description=described.format(of_backup))
    restore = wanted.add_parser("restore", help=of_restore, description=described.format(of_restore))
    restore.add_argument("point", metavar="RESTORE_POINT", help=f"the address of a backup, or {LATEST}")
    for each in (backup, restore):
        _add_common(each)
    backup.add_argument("--bucket", metavar="ADDRESS", required=True, help="where to keep backups, s3a://bucket[/path]")
    restore.add_argument("--bucket", metavar="ADDRESS", default="", help=f"where the backups are, for {LATEST}")
    for each, more in ((backup, ""), (restore, f", for {LATEST}")):
        what = f"BACKUP_PREFIX, with which the names of backups begin{more} (default: {_PREFIX})"
        each.add_argument("--prefix", default=_PREFIX, help=what)
    restore.add_argument("--restore-version", metavar="VERSION", default="1", help="RESTORE_VERSION (default: 1)")
    restore.add_argument("--replicas", metavar="NUMBER", default="3", help="zookeeper.replicaCount (default: 3)")
    restore.add_argument("--bookies-kept", action="store_true", help="the bookies still have their disks")
    restore.add_argument("--cluster", metavar="NAME", default="", help="clusterName, if it is set")
    restore.add_argument("--separate-log-disk", action="store_true", help="useSeparateDiskForTxlog is true")
    more = "a further variable of a restore, such as ALLOW_OLDER=true (may be repeated)"
    restore.add_argument("--env", metavar="NAME=VALUE", action="append", default=[], help=more)


def _add_common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--release", metavar="NAME", required=True, help="the release of Apache's chart")
    parser.add_argument("--namespace", metavar="NAME", required=True, help="its namespace")
    parser.add_argument("--fullname", metavar="NAME", default="", help="fullnameOverride, if it is set")
    parser.add_argument("--domain", default="cluster.local", help="clusterDomain (default: cluster.local)")
    parser.add_argument("--metadata-prefix", metavar="PATH", default="", help="metadataPrefix, if it is set")
    parser.add_argument("--tls", action="store_true", help="tls.enabled and tls.zookeeper.enabled are true")
    parser.add_argument("--before-4.6", action="store_true", dest="before_4_6", help="the chart is older than 4.6")
    parser.add_argument("--image", default="", help=f"the image of this program (default: {_IMAGE})")
    keys = "a Secret with the keys of the object store (default: a role of the service account)"
    parser.add_argument("--secret", metavar="NAME", default="", help=keys)
    parser.add_argument("--endpoint", metavar="URL", default="", help="address of an object store that is not Amazon's")
    parser.add_argument("--region", default="", help="the region of the bucket")


def values(options: argparse.Namespace) -> str:
    """The values as YAML, with a comment that says what they are for.

    Raises:
        SettingError: an option is wrong. The message names the option, or the variable that it sets.
    """
    release = Release.checked(
        options.release,
        options.namespace,
        fullname=options.fullname,
        domain=options.domain,
        prefix=options.metadata_prefix,
        tls=options.tls,
        before_4_6=options.before_4_6,
    )
    if options.secret and not _SECRET_OBJECT.fullmatch(options.secret):
        raise SettingError(f"--secret is {options.secret!a}", "Set it to the name of a Secret")
    if options.endpoint and not _ADDRESS.fullmatch(options.endpoint):
        raise SettingError(
            "--endpoint is not the address of a server", "Set it to https://host[:port], without user and password"
        )
    return _backup(options, release) if options.wanted == "backup" else _restore(options, release)


def _backup(options: argparse.Namespace, release: Release) -> str:
    made = BackupValues(
        release=release,
        bucket=options.bucket,
        prefix=options.prefix or _PREFIX,
        image=Image.parse(options.image) if options.image else None,
        secret=options.secret,
        endpoint=options.endpoint,
        region=options.region,
    )
    _require_bucket(Settings(made.environment()).serve().store.location)
    head = (
        f"For this project's chart: back up the ZooKeeper of the release {release.name} of Apache's chart.",
        f"Save this as backup.yaml, and run helm install -n {release.namespace} -f backup.yaml metadata charts/pulsar",
    )
    return _commented(head, dump(made.values()))


def _restore(options: argparse.Namespace, release: Release) -> str:
    Image.parse(options.image or _IMAGE)
    latest = options.point == LATEST
    if latest and not options.bucket:
        raise SettingError(f"{LATEST} needs the bucket with the backups", "Set --bucket to s3a://bucket[/path]")
    store = {"AWS_ENDPOINT_URL_S3": options.endpoint, "AWS_REGION": options.region}
    made = RestoreValues(
        release=release,
        point=options.point,
        place={"BUCKET": options.bucket, "BACKUP_PREFIX": options.prefix} if latest else {},
        image=options.image or _IMAGE,
        replicas=_replicas(options.replicas),
        version=options.restore_version,
        scope=Scope.BOOKIES_KEPT if options.bookies_kept else Scope.BOOKIES_LOST,
        cluster=options.cluster,
        log_disk=options.separate_log_disk,
        secret=options.secret,
        more={**{name: value for name, value in store.items() if value}, **_variables(options.env)},
    )
    job = Settings(made.environment()).restore()
    _require_bucket(job.wanted.location)
    head = (
        f"For Apache's chart: restore {job.described} into the ZooKeeper of the release {release.name}.",
        "If your own values have zookeeper.additionalCommand, extraVolumes or initContainers, add them to those below.",
        f"Save this as restore.yaml, and add -f restore.yaml after your own values when you install {release.name}.",
    )
    return _commented(head, dump(made.values()))


def _variables(pairs: Iterable[str]) -> dict[str, str]:
    """The variables of `--env`. No message repeats a value, which may be secret."""
    known = {variable.name for variable in VARIABLES if "restore" in variable.readers}
    found: dict[str, str] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or name not in known:
            raise SettingError(
                "an --env is not NAME=VALUE, or NAME is not a variable of a restore",
                "Set NAME to a variable that `metadata-tool restore --help` shows",
            )
        if _SECRET_NAME.search(name) or _SECRET_VALUE.search(value):
            raise SettingError(f"{name} holds a secret", "Add it to the printed values by hand, with a secretKeyRef")
        if not value.isprintable():
            raise SettingError(f"{name} has characters that cannot be printed", "Set it to text without them")
        found[name] = value
    return found


def _replicas(text: str) -> int:
    if not re.fullmatch("[1-9][0-9]?", text):
        raise SettingError(f"--replicas is {text!a}", f"Set it to a number of members from 1 to {_MOST_MEMBERS}")
    return int(text)


def _require_bucket(location: Location) -> None:
    """Refuse a directory, because the pods cannot read it."""
    if location.scheme == "file":
        raise SettingError(f"{location} is a directory", "Use a bucket, s3a://bucket[/path], which the pods can reach")


def _commented(head: Iterable[str], text: str) -> str:
    return "".join(f"# {line}\n" for line in head) + text
