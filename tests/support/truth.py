"""The tree of a ZooKeeper at a zxid, from its own transaction log, and a load that keeps changing the tree."""

import contextlib
import json
import os
import select
import signal
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from ci.parts.java import java
from ci.parts.zookeeper import NEWEST
from metadata_tool.zookeeper.jute import Acl, unpack_acls
from metadata_tool.zookeeper.snapshot import OPEN_ACL_KEY, Node, SnapshotReader
from metadata_tool.zookeeper.stat import Stat
from support.java_program import program_of
from support.processes import READY_WITHIN
from support.seed import ADMIN
from support.zookeeper import class_path

CONFIG = "/zookeeper/config"
"""Each server writes this znode from its own configuration, and does not log it."""

_OPEN = [Acl(31, "world", "anyone")]
_CONTAINER = -(1 << 63)
_TTL = 0xFF


class Difference(NamedTuple):
    """A difference of one znode. `field` is "missing", "extra", "data", "acl", or of Stat. A missing value is None."""

    path: str
    field: str
    captured: object
    truth: object


class Comparison(NamedTuple):
    """How many znodes are on both sides, and all differences."""

    znodes: int
    differences: list[Difference]


class _Znode(NamedTuple):
    data: bytes | None
    acl: list[Acl]
    stat: Stat


def replay(version: str, data_dir: Path, zxids: Iterable[int], out: Path) -> dict[int, Path]:
    """A snapshot of the tree at each of these zxids, from the log of a server that may still run.

    `data_dir` is the server's dataLogDir, or dataDir where it has no other. The log has to begin with the first
    transaction, and each zxid must be in it. The digests that the server logged prove each step, except for ACLs and
    znodes below /zookeeper. If a client has set the root's data, the digests are wrong, and the replay fails.
    """
    wanted = sorted(set(zxids))
    out.mkdir(parents=True, exist_ok=True)
    arguments = [str(data_dir), str(out), *(f"{zxid:x}" for zxid in wanted)]
    done = subprocess.run(command(version, "Replay", arguments, heap="2g"), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return {zxid: out / f"snapshot.{zxid:x}" for zxid in wanted}


def differences(captured: Path, truth: Path) -> Iterator[Difference]:
    """All differences between two snapshot files. See `compare`."""
    yield from compare(captured, truth).differences


def compare(captured: Path, truth: Path, chroot: str = "") -> Comparison:
    """Compare a snapshot file of this project with one of `replay`.

    A backup has no ephemerals and cannot see who owns containers and TTL znodes: so has the truth here. ACLs are
    compared as they read, whatever their keys. With a chroot, the truth is what lies under it, the znodes above it, and
    ZooKeeper's own.
    """
    ours, theirs = _read(captured), dict(_persistent(_read(truth)))
    theirs = {path: znode for path, znode in theirs.items() if _in_scope(path, chroot)}
    found = [Difference(path, "missing", None, theirs[path]) for path in theirs.keys() - ours.keys()]
    found += [Difference(path, "extra", ours[path], None) for path in ours.keys() - theirs.keys()]
    both = ours.keys() & theirs.keys()
    for path in both:
        found += _fields(path, ours[path], theirs[path])
    return Comparison(len(both), sorted(found, key=lambda difference: difference[:2]))


def _in_scope(path: str, chroot: str) -> bool:
    path = f"{path.rstrip('/')}/"
    return path.startswith((f"{chroot}/", "/zookeeper/")) or chroot.startswith(path)


def _fields(path: str, ours: _Znode, theirs: _Znode) -> Iterator[Difference]:
    if ours != theirs:
        names = ("data", "acl", *Stat._fields)
        pairs = zip(names, (*ours[:2], *ours.stat), (*theirs[:2], *theirs.stat), strict=True)
        yield from (Difference(path, name, our, their) for name, our, their in pairs if our != their)


def _read(snapshot: Path) -> dict[str, _Znode]:
    with snapshot.open("rb") as file:
        reader = SnapshotReader(file)
        acls = {key: unpack_acls(encoded)[0] for key, encoded in reader.header.acls.items()} | {OPEN_ACL_KEY: _OPEN}
        tree = {node.path.decode() or "/": _znode(node, acls[node.acl]) for node in reader.nodes()}
    tree.pop(CONFIG, None)
    return tree


def _znode(node: Node, acl: list[Acl]) -> _Znode:
    return _Znode(node.data, acl, Stat.unpack(node.stat))


def _persistent(tree: dict[str, _Znode]) -> Iterator[tuple[str, _Znode]]:
    """Without ephemerals. The marks of containers and TTL znodes (EphemeralType) are removed."""
    for path, znode in tree.items():
        owner = znode.stat.ephemeral_owner
        if owner == _CONTAINER or owner >> 56 & 0xFF == _TTL:
            yield path, znode._replace(stat=znode.stat._replace(ephemeral_owner=0))
        elif not owner:
            yield path, znode


@dataclass
class Load:
    """A running load. After its end, it has the number of writes of each kind, and of errors by their names."""

    pid: int
    seconds: float = 0
    succeeded: dict[str, int] = field(default_factory=dict)
    failed: dict[str, int] = field(default_factory=dict)
    errors: dict[str, int] = field(default_factory=dict)

    @property
    def rate(self) -> float:
        """Writes per second, failed ones too."""
        return (sum(self.succeeded.values()) + sum(self.failed.values())) / self.seconds


@contextlib.contextmanager
def load(
    address: str, rate: float, seed: int, znodes: int = 5000, login: str = ADMIN, **options: float
) -> Iterator[Load]:
    """Write to this server until the end of the block, at this rate per second. The block begins once a tree of this
    many znodes exists. `login` has all rights on every znode, others have not. Options
        are those of Load.java: shares of each kind of write, as `setacl=0`, and `hot`, `sessions`, `deletes`.
    """
    arguments = [address, str(rate), str(seed), str(znodes), login]
    arguments += [f"{name}={value}" for name, value in options.items()]
    with tempfile.TemporaryFile("w+") as trouble:
        child = subprocess.Popen(
            command(NEWEST, "Load", arguments, heap="256m"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=trouble,
            start_new_session=True,
        )
        try:
            _await_ready(child)
            running = Load(child.pid)
            yield running
            said, _ = child.communicate(timeout=READY_WITHIN)
            assert child.returncode == 0
            for name, value in json.loads(said).items():
                setattr(running, name, value)
            assert running.succeeded, "nothing was written"
        except (AssertionError, subprocess.TimeoutExpired) as error:
            trouble.seek(0)
            error.add_note(f"the load said: {trouble.read()[-3000:]}")
            raise
        finally:
            _end(child)


def _await_ready(child: subprocess.Popen[bytes]) -> None:
    assert child.stdout
    ready, _, _ = select.select([child.stdout], [], [], READY_WITHIN)
    assert ready, "the load made no tree in time"
    assert child.stdout.readline() == b"ready\n", "the load could not make its tree"


def _end(child: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        if child.poll() is None:
            os.killpg(child.pid, signal.SIGKILL)
    for pipe in (child.stdin, child.stdout):
        assert pipe
        pipe.close()
    child.wait()


def command(version: str, program: str, arguments: list[str], heap: str, java_options: Iterable[str] = ()) -> list[str]:
    """The command line of a program in `java/`, with the classes of this version."""
    options = [*java_options, f"-Xmx{heap}", "-XX:-UsePerfData", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
    options += ["-Dzookeeper.extendedTypesEnabled=true"]
    return [java(), *options, *program_of(program, version, class_path(version)), *arguments]
