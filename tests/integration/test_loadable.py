"""What a restore accepts, ZooKeeper starts from, and what it refuses, no server would start from."""

import shutil
import struct
from collections.abc import Callable, Iterator, Mapping
from io import BytesIO
from pathlib import Path
from subprocess import PIPE, Popen
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ci.parts.zookeeper import NEWEST, OLDER, OLDEST
from metadata_tool.errors import ArchiveCorrupt, ArchiveUnsupported, SettingError, ToolError, TreeUnloadable
from metadata_tool.zookeeper.jute import Acl, pack_acls
from metadata_tool.zookeeper.limits import JUTE_MAXBUFFER, MAX_DEPTH
from metadata_tool.zookeeper.loadable import LoadCheck
from metadata_tool.zookeeper.snapshot import Node, SnapshotError, SnapshotReader, in_tree_order
from support.backups import TIMESTAMP
from support.metadata import ledgers
from support.tool import assert_refused, run, succeed
from support.trees import EXAMPLES, PATIENT, ZXID, length_and, make_archive, node, paths, snapshot_bytes
from support.trees import in_tree_order as ordered
from support.truth import command
from support.zookeeper import ZooKeeper, client, standalone

MAXBUFFER = 4096
"""The limit of the servers' classes here, so that fields near it are small."""
LARGE = 3 << 20
"""More than a server with default settings loads."""
NEEDED = 4 << 20

Content = tuple[dict[int, bytes], list[Node]]


class Loader:
    """A server's own classes, which load snapshots."""

    def __init__(self, version: str, directory: Path, maxbuffer: int = MAXBUFFER) -> None:
        self._directory = directory / "version-2"
        options = (f"-Djute.maxbuffer={maxbuffer}",)
        self._child = Popen(command(version, "LoadSnapshots", [], "1g", options), stdin=PIPE, stdout=PIPE, text=True)

    def load(self, content: bytes) -> str:
        """`loaded`, or what was thrown. `snapshot` is then what the classes have written of it."""
        shutil.rmtree(self._directory, ignore_errors=True)
        self._directory.mkdir()
        self.snapshot.write_bytes(content)
        assert self._child.stdin
        assert self._child.stdout
        print(self._directory, file=self._child.stdin, flush=True)
        return self._child.stdout.readline().rstrip("\n")

    @property
    def snapshot(self) -> Path:
        """The file that is loaded."""
        return self._directory / f"snapshot.{ZXID:x}"

    def close(self) -> None:
        """End it."""
        self._child.communicate()


@pytest.fixture(scope="module", params=[NEWEST, OLDER, OLDEST])
def loader(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loader]:
    """The classes of a version."""
    made = Loader(request.param, tmp_path_factory.mktemp("loader"))
    yield made
    made.close()


sizes = (
    st.integers(0, 40) | st.integers(2 * MAXBUFFER - 2, 2 * MAXBUFFER + 2) | st.integers(MAXBUFFER - 2, MAXBUFFER + 2)
)
odd_texts = st.sampled_from([None, b"", b"world", b"\xff\xfe", b"\xed\xa0\xbd", b"\0"]) | sizes.map(
    lambda size: b"x" * size
)
odd_acls = st.lists(st.tuples(st.integers(-(1 << 31), (1 << 31) - 1), odd_texts, odd_texts), max_size=3)
keys = st.integers(-(1 << 63), (1 << 63) - 1) | st.sampled_from([-(1 << 63), -2, 0, 1, (1 << 63) - 1])
ODD_PATHS = [
    b"/zookeeper", b"/zookeeper/quota", b"/zookeeper/quota/zookeeper_limits", b"/zookeeper/quota/a",
    b"/zookeeper/quota/a/zookeeper_limits", b"/zookeeper/quota/a/zookeeper_stats", b"/zookeeper/config",
    b"/zookeeper/quota/zookeeper_limits/zookeeper_limits", b"/\xff", b"/a\0", b"/\x01", "/\uffff\U0001f600".encode(),
    b"relative", b"/a//b", b"/a/..", b"/missing/parent", b"/".ljust(2 * MAXBUFFER, b"p"),
    b"/".ljust(2 * MAXBUFFER + 1, b"p"),
]  # fmt: skip
stats = st.binary(min_size=28, max_size=28).map(lambda part: bytes(16) + part + bytes(16))


def pack(acl: list[tuple[int, bytes | None, bytes | None]]) -> bytes:
    """An encoded ACL, also of texts that no server has."""
    entries = (
        struct.pack(">i", permissions) + length_and(scheme) + length_and(name) for permissions, scheme, name in acl
    )
    return struct.pack(">i", len(acl)) + b"".join(entries)


@st.composite
def contents(draw: st.DrawFn) -> Content:
    """A tree and its ACLs, some of which no server loads."""
    table = draw(st.dictionaries(keys, odd_acls.map(pack), max_size=2))
    found = [*draw(paths()), *draw(st.lists(st.sampled_from(ODD_PATHS), max_size=4))]
    used = st.sampled_from([-1, *table])
    data = st.none() | sizes.map(bytes)
    return table, [Node(path, draw(data), draw(used), draw(stats)) for path in ordered(found)]


def verdict(content: bytes) -> tuple[LoadCheck | None, dict[bytes, bytes | None]]:
    """What a verification finds: the check of what servers load, None if the snapshot is damaged, and the data."""
    check, data = LoadCheck(MAXBUFFER), {}
    try:
        reader = SnapshotReader(BytesIO(content))
        check.add_acls(reader.header.acls)
        for each in in_tree_order(reader.nodes(), reader.header.acls, ZXID):
            check.add(each)
            data[each.path] = each.data
    except SnapshotError:
        return None, {}
    return check, data


def in_utf8(path: bytes) -> bytes:
    """A path as it was. Servers write each half of a surrogate pair by itself (BinaryOutputArchive)."""
    return path.decode(errors="surrogatepass").encode("utf-16", "surrogatepass").decode("utf-16").encode()


@settings(PATIENT, max_examples=2 * EXAMPLES)
@given(content=contents())
@example(content=({1: pack([(1, b"s", None)])}, [node(b"")]))
@example(content=({1: pack([(1, b"x" * (2 * MAXBUFFER + 1), b"")])}, [node(b"")]))
@example(content=({(1 << 63) - 1: pack([(1, b"\xff", b"")])}, [node(b"", acl=(1 << 63) - 1)]))
@example(content=({}, [node(b""), *(node(path) for path in ODD_PATHS[:3])]))
@example(content=({}, [node(b"/x" * depth) for depth in range(MAX_DEPTH + 1)]))
@example(content=({}, [node(b""), node(b"/a", bytes(2 * MAXBUFFER))]))
@example(content=({}, [node(b""), node(b"/a", bytes(2 * MAXBUFFER + 1))]))
def test_verified_is_loaded(content: Content, loader: Loader) -> None:
    """Whatever passes a verification is loaded by a server's own classes, and what is called unloadable is not."""
    table, nodes = content
    encoded = snapshot_bytes(nodes, table)
    check, expected = verdict(encoded)
    answer = loader.load(encoded)
    if check is not None:
        assert (check.unloadable == 0) == (answer == "loaded"), answer
    if check is not None and not check.unloadable:
        with loader.snapshot.open("rb") as file:
            found = {in_utf8(each.path): each.data for each in SnapshotReader(file).nodes()}
        counters = {path for path in found if path.endswith(b"/zookeeper_stats")}  # which a server computes
        assert expected.keys() == found.keys()
        assert {path for path in found if found[path] != expected[path]} <= counters


@pytest.mark.parametrize("version", [NEWEST, OLDEST])
def test_deeper_than_a_stack(version: str, tmp_path: Path) -> None:
    """Servers start from a tree with as many levels as are restored, and overflow their stack at a multiple of that."""
    for depth, answer in ((MAX_DEPTH, "loaded"), (4 * MAX_DEPTH, "java.lang.StackOverflowError")):
        loader = Loader(version, tmp_path, JUTE_MAXBUFFER)
        assert answer == loader.load(snapshot_bytes([node(b"/x" * level) for level in range(depth + 1)]))
        loader.close()


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """An empty data directory of a new server."""
    (tmp_path / "new" / "data").mkdir(parents=True)
    return tmp_path / "new" / "data"


Backup = Callable[..., Mapping[str, str]]


@pytest.fixture
def backup(tmp_path: Path, data_dir: Path) -> Backup:
    """Makes a backup of znodes, and returns the settings that restore it."""

    def make(nodes: list[Node], table: Mapping[int, bytes] | None = None, **changes: Any) -> Mapping[str, str]:
        path = tmp_path / f"pulsar-{TIMESTAMP}.tar.gz"
        make_archive(path, nodes, table, timestamp=TIMESTAMP, **changes)
        settings = {"RESTORE_POINT": f"file://{path}", "ZOOKEEPER_DATA_DIR": str(data_dir)}
        return {**settings, "RESTORE_SCOPE": "bookies-kept", "ALLOW_PARTIAL": "true"}

    return make


def starts(data_dir: Path, version: str = NEWEST, maxbuffer: int = 0) -> bool:
    """Whether a server starts from this data directory and serves. If not, it has ended."""
    options = (f"-Djute.maxbuffer={maxbuffer}",) if maxbuffer else ()
    server = ZooKeeper(version, data_dir.parent, java_options=options)
    try:
        server.start()
        server.wait()
    except AssertionError:
        return False
    else:
        return True
    finally:
        server.stop()


def test_raised_limit(tmp_path: Path, data_dir: Path) -> None:
    """An honest backup with a large znode is made and verified, and restored only for servers that load it."""
    store = {"BUCKET": f"file://{tmp_path}/store"}
    (tmp_path / "store").mkdir()
    (tmp_path / "source").mkdir()
    raised = (f"-Djute.maxbuffer={NEEDED}",)
    with standalone(NEWEST, tmp_path / "source", java_options=raised) as server, client(server.address) as source:
        source.create("/large", bytes(LARGE))
        made = run("backup", settings={**store, "ZOOKEEPER_SERVERS": server.address})
    uri, named, needed = made.output.strip(), f"/large ({LARGE} bytes)", f"-Djute.maxbuffer={NEEDED}"
    verified = run("verify", uri, settings=store)
    for outcome in (made, verified):
        assert 0 == outcome.exit_code
        assert named in outcome.said
        assert needed in outcome.said
    assert named in succeed("inspect", uri, settings=store)
    raised_tool = {"JUTE_MAXBUFFER": str(NEEDED)}
    assert "jute.maxbuffer" not in run("verify", uri, settings={**store, **raised_tool}).said
    settings = {"RESTORE_POINT": uri, "ZOOKEEPER_DATA_DIR": str(data_dir), "RESTORE_SCOPE": "bookies-kept"}
    for arguments in (["restore", "--dry-run"], ["restore"]):
        refused = run(*arguments, settings=settings)
        assert_refused(TreeUnloadable, named, refused)
        assert needed in refused.error
        assert [] == list(data_dir.iterdir())
    succeed("restore", settings={**settings, **raised_tool})
    assert not starts(data_dir)
    with standalone(NEWEST, data_dir.parent, java_options=raised) as server, client(server.address) as restored:
        assert bytes(LARGE) == restored.get("/large")[0]


@pytest.mark.parametrize("version", [NEWEST, OLDEST])
@pytest.mark.parametrize(("size", "loads"), [(2 * JUTE_MAXBUFFER, True), (2 * JUTE_MAXBUFFER + 1, False)])
def test_at_the_limit(version: str, size: int, *, loads: bool, backup: Backup, data_dir: Path) -> None:
    """With default settings, the largest znode that is restored is the largest that a server starts from."""
    settings = backup([node(b""), node(b"/a", bytes(size))])
    outcome = run("restore", settings=settings)
    assert (0 if loads else TreeUnloadable.exit_code) == outcome.exit_code, outcome.said
    if loads:
        assert "larger than jute.maxbuffer of the new servers" in outcome.said
    else:
        succeed("restore", settings={**settings, "JUTE_MAXBUFFER": str(NEEDED)})
    assert loads == starts(data_dir, version)


def test_growth(backup: Backup) -> None:
    """What counts is the restored tree: a list of ledgers that a restore marks may grow beyond the limit."""
    topic = b"/managed-ledgers/public/default/persistent/t"
    above = [topic.rsplit(b"/", up)[0] for up in range(5, 0, -1)]
    infos = ledgers(*((number, True) for number in range(90_000)))
    limit = len(infos) // 2
    tree = [
        node(path) for path in ordered([b"", b"/admin", b"/admin/clusters", b"/admin/clusters/a", b"/ledgers", *above])
    ]
    tree = sorted([*tree, node(topic, infos)], key=lambda each: each.path.split(b"/"))
    settings = {**backup(tree), "RESTORE_SCOPE": "bookies-lost", "JUTE_MAXBUFFER": str(limit)}
    uri = settings["RESTORE_POINT"]
    assert "will be refused, because ZooKeeper" not in run("verify", uri, settings={"JUTE_MAXBUFFER": str(limit)}).said
    assert_refused(TreeUnloadable, topic.decode(), run("restore", "--dry-run", settings=settings))


@pytest.mark.parametrize(
    ("content", "error", "naming"),
    [
        (({1: pack([(31, None, b"x")])}, [node(b"", acl=1)]), ArchiveCorrupt, "an ACL has no scheme or no id"),
        (({1: pack([(31, b"x", None)])}, [node(b"")]), ArchiveCorrupt, "an ACL has no scheme or no id"),
        (({}, [node(b"/x" * depth) for depth in range(4 * MAX_DEPTH)]), TreeUnloadable, "levels"),
        (({1: pack([(31, b"x", bytes(LARGE))])}, [node(b"")]), TreeUnloadable, f"an ACL ({LARGE} bytes)"),
        (({}, [node(b""), *map(node, ODD_PATHS[:3])]), TreeUnloadable, "quota"),
    ],
    ids=["no scheme", "no id", "deep", "long id", "quota"],
)
def test_crafted(content: Content, error: type[ToolError], naming: str, backup: Backup, data_dir: Path) -> None:
    """Records that end every server are refused before anything is touched."""
    table, nodes = content
    assert_refused(error, naming, run("restore", settings=backup(nodes, table)))
    assert [] == list(data_dir.iterdir())


@pytest.mark.parametrize("table", [{(1 << 63) - 1: 3}, {-2: 3}, {(1 << 63) - 1: 3, 1: 5, 3: 9}])
def test_any_key_of_an_acl(table: dict[int, int], backup: Backup, data_dir: Path) -> None:
    """Whatever the keys of the ACLs are, those of the restore are others, and a server starts."""
    acls = {key: pack_acls([Acl(permissions, "world", "anyone")]) for key, permissions in table.items()}
    nodes = [node(b""), *(node(b"/%d" % number, acl=key) for number, key in enumerate(acls))]
    succeed("restore", settings=backup(nodes, acls))
    with standalone(NEWEST, data_dir.parent) as server, client(server.address) as restored:
        found = [restored.get_acls(f"/{number}")[0][0].perms for number in range(len(table))]
        assert (list(table.values()), 1) == (found, restored.get_acls("/metadata-backup")[0][0].perms)


def test_no_epoch_is_left(backup: Backup, data_dir: Path) -> None:
    """A backup in one of the last epochs is refused, because a restored ensemble could elect no leader."""
    settings = backup([node(b"")], zxid=0x7FFF_FFFE_0000_0000)
    assert_refused(ArchiveUnsupported, "leaves no room for a later one", run("restore", settings=settings))
    assert "leaves no room for a later one" in run("verify", settings["RESTORE_POINT"], settings={}).said
    assert [] == list(data_dir.iterdir())


@pytest.mark.parametrize("value", ["1", "0x400000", "1073741824"])
def test_limits_of_the_setting(value: str, backup: Backup) -> None:
    """A limit that no server takes, or with which older servers load nothing, is refused."""
    outcome = run("restore", settings={**backup([node(b"")]), "JUTE_MAXBUFFER": value})
    assert_refused(SettingError, "JUTE_MAXBUFFER is", outcome)
