"""Drills for tests: trees with something for each rule, and a command that starts a real ZooKeeper."""

from collections.abc import Mapping
from pathlib import Path

from ci.parts.java import java
from ci.parts.zookeeper import NEWEST
from metadata_tool.broker_metadata.records import Hole, Position, Record, SavedCursor, SavedSchemas, SchemaVersion
from metadata_tool.catalog import BackupName, RestorePoint
from metadata_tool.drill.drill import DrillJob
from metadata_tool.drill.server import ServerCommand
from metadata_tool.pulsar.recovery_options import RecoveryOptions
from metadata_tool.pulsar.rules import Scope
from metadata_tool.zookeeper.jute import Acl, pack_acls
from metadata_tool.zookeeper.limits import JUTE_MAXBUFFER
from metadata_tool.zookeeper.snapshot import Node
from support.backups import TIMESTAMP, TREE, location
from support.metadata import NAMESPACE, cursor, ledgers
from support.trees import in_tree_order, make_archive, node
from support.zookeeper import class_path, quick_start

ACLS = {7: pack_acls([Acl(31, "digest", "admin:x+y="), Acl(1, "world", "anyone")])}
CONTENT: dict[bytes, bytes | None] = {
    **TREE,
    b"/admin/policies": b"",
    b"/admin/policies/public": b"{}",
    b"/admin/policies/public/default": b"{}",
    b"/ledgers/00": b"",
    b"/ledgers/00/0000": b"",
    b"/ledgers/00/0000/L0001": b"lost",
    b"/ledgers/cookies": b"",
    b"/ledgers/cookies/bookie:3181": b"cookie",
    b"/managed-ledgers/public": None,
    b"/managed-ledgers/public/default": b"",
    NAMESPACE.encode(): b"",
    f"{NAMESPACE}/topic".encode(): ledgers((1, True), (2, False)),
    f"{NAMESPACE}/topic/sub".encode(): cursor(3),
    "/odd ä/\N{SNOWMAN}".encode(): b"\0\xff",
    "/odd ä".encode(): None,
}
RECORDS: list[Record] = [
    SavedSchemas("public/default/topic", 7, 8, (SchemaVersion(0, bytes(32), "STRING", "", {}, 5),)),
    SavedCursor("public/default/persistent/topic/sub", 7, Position(1, 9), (Hole(Position(1, 10), Position(1, 11)),)),
]
UNCHANGED, CHANGED, REMOVED, ADDED = 14, 3, 4, 8
"""What a restore with lost bookies does with CONTENT and RECORDS."""


def tree() -> list[Node]:
    """The znodes of CONTENT, some with an ACL of their own, with as many creates as children."""
    paths = in_tree_order(CONTENT)
    children = dict.fromkeys(paths, 0)
    for path in paths[1:]:
        children[path.rpartition(b"/")[0]] += 1
    return [
        node(path, CONTENT[path], 7 if b"topic" in path else -1, cversion=children[path], mtime=5) for path in paths
    ]


def make_drilled(folder: Path, nodes: list[Node] | None = None) -> RestorePoint:
    """A backup of this tree, or of `tree`, with RECORDS of brokers."""
    point = RestorePoint(location(folder), BackupName("pulsar", TIMESTAMP))
    make_archive(folder / str(point.name), nodes or tree(), ACLS, RECORDS, timestamp=TIMESTAMP)
    return point


def job(point: RestorePoint, spool_dir: Path, server: ServerCommand | None = None) -> DrillJob:
    """A drill with default settings."""
    return DrillJob(
        point=point,
        looked_up=False,
        spool_dir=spool_dir,
        recovery_options=RecoveryOptions(Scope.BOOKIES_LOST),
        allow_partial=False,
        jute_maxbuffer=JUTE_MAXBUFFER,
        bucket_access=None,
        server=server,
    )


def server_script(directory: Path, version: str = NEWEST, flags: str = "$SERVER_JVMFLAGS") -> Path:
    """A script that runs a server of this version in the foreground, as zkServer.sh does."""
    return script(
        directory,
        f'exec {java()} -Xmx256m {" ".join(quick_start(version))} {flags} -cp "{class_path(version)}" '
        'org.apache.zookeeper.server.quorum.QuorumPeerMain "$1"',
    )


def script(directory: Path, line: str) -> Path:
    """A script of this line."""
    made = directory / "server.sh"
    made.write_text(f"#!/bin/bash\n{line}\n")
    made.chmod(0o755)
    return made


def command(path: Path, environment: Mapping[str, str]) -> ServerCommand:
    """The command that runs a script."""
    return ServerCommand((str(path),), environment, JUTE_MAXBUFFER)
