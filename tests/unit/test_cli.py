import json
import logging
import re
import signal
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from metadata_tool import __version__
from metadata_tool.archive import opened
from metadata_tool.broker_metadata.records import SavedSchemas
from metadata_tool.catalog import BackupName, RestorePoint
from metadata_tool.cli import main
from metadata_tool.errors import SpoolFailed, every_error
from metadata_tool.manifest import BROKER_FORMAT
from metadata_tool.restore_marker import ZNODE
from metadata_tool.settings import VARIABLES
from metadata_tool.zookeeper.snapshot import SnapshotReader
from support.backups import TIMESTAMP, TREE, location, make_backup, settings_of_commands
from support.trees import ZXID

VERBS = ["serve", "backup", "list", "verify", "inspect", "diff", "history", "find"]
VERBS += ["scrub", "drill", "accept", "prune", "reconcile", "rescue", "restore", "put-back"]
VERBS += ["make-keys", "apache-values", "rules"]
TAKING_A_URI = ["verify", "inspect", "reconcile"]


@dataclass(frozen=True)
class Outcome:
    """How a command ended: what it printed and what it said to stderr."""

    exit_code: int
    output: str
    said: str

    def assert_refused(self, exit_code: int, naming: str) -> None:
        """It ended with this exit code, and one line that names what is at fault."""
        assert (exit_code, "") == (self.exit_code, self.output)
        assert [self.said.rstrip("\n")] == self.said.splitlines()
        assert self.said.startswith("error: ")
        assert naming in self.said


Command = Callable[..., Outcome]


@pytest.fixture
def restored_globals() -> Iterator[None]:
    """Takes back what a command does to its process: signal handlers and log levels."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    levels = {name: logging.getLogger(name).level for name in ("metadata_tool", "kazoo")}
    yield
    for number, handler in handlers.items():
        signal.signal(number, handler)
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


@pytest.fixture
def settings(tmp_path: Path, folder: Path) -> dict[str, str]:
    """Settings with which list and restore work, once there is a backup."""
    return settings_of_commands(tmp_path, folder)


@pytest.fixture
def data_dir(settings: dict[str, str]) -> Path:
    """The directory that a restore fills."""
    return Path(settings["ZOOKEEPER_DATA_DIR"])


@pytest.fixture
def command(
    settings: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    restored_globals: None,  # noqa: ARG001
) -> Command:
    """Runs a command with the settings, and changes to them. The command never ends by a traceback."""
    for variable in VARIABLES:
        monkeypatch.delenv(variable.name, raising=False)

    def run(*arguments: str, **changes: str) -> Outcome:
        for name, value in {**settings, **changes}.items():
            monkeypatch.setenv(name, value)
        capsys.readouterr()
        try:
            exit_code: Any = main(arguments)
        except SystemExit as error:
            exit_code = error.code
        said = capsys.readouterr()
        assert "Traceback" not in said.err
        assert [] == list(Path(settings["SPOOL_DIR"]).iterdir())
        return Outcome(exit_code, said.out, said.err)

    return run


def make_suspect(folder: Path, timestamp: int = TIMESTAMP + 1) -> RestorePoint:
    """A suspect backup."""
    sound = make_backup(folder, timestamp=timestamp, suspect=("it is smaller",))
    point = RestorePoint(sound.location, sound.name.as_suspect)
    (folder / str(sound.name)).rename(folder / str(point.name))
    return point


def tree_of(directory: Path) -> dict[str, bytes]:
    """All files below a directory."""
    return {str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


class Noting(Mapping[str, str]):
    """An environment that notes which variables are read."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = values
        self.read: set[str] = set()

    def __getitem__(self, name: str) -> str:
        self.read.add(name)
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)


ZOOKEEPER = {"ZOOKEEPER_SERVERS": "127.0.0.1:1", "SPOOL_DIR": "/no/such/directory"}  # so that it ends at once
DIGEST_MD5 = {"ZOOKEEPER_SASL_MECHANISM": "DIGEST-MD5", "ZOOKEEPER_SASL_USER": "u", "ZOOKEEPER_SASL_PASSWORD": "p"}
RECONCILE = {"TIERED_STORAGE_RECONCILE": "true", "RESTORE_SCOPE": "bookies-lost", "ALLOW_PARTIAL": "true"}
GSSAPI = {"ZOOKEEPER_SASL_MECHANISM": "GSSAPI", "ZOOKEEPER_SASL_KEYTAB": "/keytab"}
WAYS: dict[str, list[tuple[list[str], dict[str, str]]]] = {
    "serve": [([], ZOOKEEPER | more) for more in ({}, {"ZOOKEEPER_TLS": "true"}, DIGEST_MD5, GSSAPI)],
    "backup": [([], ZOOKEEPER | more) for more in ({}, {"ZOOKEEPER_TLS": "true"}, DIGEST_MD5, GSSAPI)],
    "list": [([], {})],
    "verify": [(["latest"], {})],
    "inspect": [(["latest"], {})],
    "diff": [(["latest"], {})],
    "history": [(["/admin"], {})],
    "find": [(["/**"], {})],
    "scrub": [([], {})],
    "drill": [(["--record"], {}), (["--record"], {"S3_SERVER_SIDE_ENCRYPTION": "aws:kms"})],
    "accept": [(["file://{folder}/pulsar-suspect-1.tar.gz"], {})],
    "prune": [([], {"RETENTION": "last=3"})],
    "reconcile": [(["latest"], {}), (["latest"], {"S3_SERVER_SIDE_ENCRYPTION": "aws:kms"})],
    "rescue": [
        ([], ZOOKEEPER | {"TIERED_STORAGE_BUCKET": "offloads"} | more)
        for more in ({}, {"S3_SERVER_SIDE_ENCRYPTION": "aws:kms"})
    ],
    "restore": [
        (["--dry-run"], more)
        for more in ({}, {"RESTORE_POINT": "latest"}, {"ZOOKEEPER_TLS": "true"}, DIGEST_MD5, GSSAPI, RECONCILE)
    ],
    "put-back": [
        ([], ZOOKEEPER | {"BROKER_SERVICE_URL": "http://127.0.0.1:1"} | more)
        for more in ({}, {"ZOOKEEPER_TLS": "true"}, DIGEST_MD5, GSSAPI)
    ],
    "make-keys": [(["{folder}/keys"], {})],
    "apache-values": [
        (f"{each} --release r --namespace n".split(), {})
        for each in ("backup --bucket s3a://b-b", "restore s3a://b-b/p-1.tar.gz")
    ],
    "rules": [([], {})],
}
"""Arguments and settings of each command by which it reads, taken together, all that it can read."""


@pytest.mark.usefixtures("restored_globals")
@pytest.mark.parametrize("verb", VERBS)
def test_readers_are_true(verb: str, folder: Path, settings: dict[str, str]) -> None:
    """A command reads the variables that name it as a reader, all of them and no other."""
    make_backup(folder)
    make_suspect(folder, 1)
    read: set[str] = set()
    for arguments, more in WAYS[verb]:
        environment = Noting({**settings, **more})
        assert (SpoolFailed.exit_code if "ZOOKEEPER_SERVERS" in more else 0) == main(
            [verb, *(text.format(folder=folder) for text in arguments)], environment
        )
        read |= environment.read
    assert {variable.name for variable in VARIABLES if verb in variable.readers} == read


@pytest.mark.parametrize("verb", VERBS)
def test_help_names_the_variables_of_a_command(verb: str, command: Command) -> None:
    """A command's help has each variable that the command reads, with default and limits, and no other."""
    lines = command(verb, "--help").output.partition("environment variables")[2].splitlines()
    shown = {line.split()[0]: line for line in lines if re.match(r"  [A-Z]", line)}
    expected = {variable.name: variable for variable in VARIABLES if verb in variable.readers}
    assert list(expected) == list(shown)
    for name, variable in expected.items():
        default = "required" if verb in variable.required_by else variable.default
        for fact in (default, variable.values, variable.unit):
            assert fact in shown[name]


def test_help_names_every_exit_code(command: Command) -> None:
    """The help has every exit code with its meaning, in order, beginning with 0."""
    lines = command("--help").output.splitlines()
    table = [line.split(maxsplit=1) for line in lines[lines.index("exit codes:") + 1 :]]
    assert [["0", "Done"], *([str(error.exit_code), error.__doc__] for error in every_error())] == table


def test_help_names_every_command(command: Command) -> None:
    """The help has every command."""
    assert VERBS == re.findall(r"^    ([a-z-]+)(?: |$)", command("--help").output, re.MULTILINE)


@pytest.mark.parametrize("verb", VERBS)
def test_every_command_has_help(verb: str, command: Command) -> None:
    """Each command explains itself."""
    outcome = command(verb, "--help")
    assert (0, "") == (outcome.exit_code, outcome.said)
    assert outcome.output.startswith(f"usage: metadata-tool {verb} ")


def test_version(command: Command) -> None:
    """The program tells its version."""
    assert Outcome(0, f"metadata-tool {__version__}\n", "") == command("--version")


@pytest.mark.parametrize(
    "arguments",
    [[], ["unknown"], ["--unknown"], ["list", "--unknown"], ["list", "extra"], ["verify"], ["inspect", "--tree"]],
)
def test_wrong_usage(arguments: list[str], command: Command) -> None:
    """A command line that makes no sense is exit code 2 with the usage, and does nothing."""
    outcome = command(*arguments)
    assert (2, "") == (outcome.exit_code, outcome.output)
    assert outcome.said.startswith("usage: metadata-tool")


@pytest.mark.parametrize(
    "uri", ["", "wrong", "s3a://bucket", "http://bucket/p-1.tar.gz", "s3a://bucket/p.tar.gz", "file://p-1.tar.gz"]
)
@pytest.mark.parametrize("verb", TAKING_A_URI)
def test_uri_is_wrong(verb: str, uri: str, command: Command) -> None:
    """An address that cannot be a backup's is refused in one line."""
    command(verb, uri).assert_refused(2, "URI is not valid")


@pytest.mark.parametrize("verb", TAKING_A_URI)
def test_secret_in_a_uri_is_not_repeated(verb: str, command: Command) -> None:
    """Credentials in an address are not shown."""
    outcome = command(verb, "s3a://AKIAKEY:s3cr3t@bucket/p-1.tar.gz")
    outcome.assert_refused(2, "URI is not valid")
    assert not re.search("AKIAKEY|s3cr3t", outcome.said)


@pytest.mark.parametrize(
    ("verb", "name"), [(verb, variable.name) for variable in VARIABLES for verb in variable.required_by]
)
def test_setting_is_missing(verb: str, name: str, command: Command) -> None:
    """A setting that a command needs is named if it is empty."""
    arguments = WAYS[verb][0][0]
    command(verb, *arguments, **{**ZOOKEEPER, name: ""}).assert_refused(2, f"{name} is empty. Set it to ")


def test_list_is_a_table_newest_first(folder: Path, command: Command) -> None:
    """A line for each backup of the prefix: its time, its bytes, and the address that a restore takes."""
    newer, older = make_backup(folder), make_backup(folder, timestamp=TIMESTAMP - 1000)
    make_backup(folder, prefix="pulsar-2")
    outcome = command("list")
    rows = [line.split() for line in outcome.output.splitlines()]
    sizes = [str((folder / str(point.name)).stat().st_size) for point in (newer, older)]
    assert (0, "") == (outcome.exit_code, outcome.said)
    assert [
        ["TIME", "SIZE", "URI"],
        ["2021-06-15T01:44:48.825Z", sizes[0], str(newer)],
        ["2021-06-15T01:44:47.825Z", sizes[1], str(older)],
    ] == rows


def test_list_marks_suspect_backups(folder: Path, command: Command) -> None:
    """Suspect backups are listed among the others, and marked in both forms."""
    suspect, sound = make_suspect(folder), make_backup(folder)
    rows = [line.split()[2:] for line in command("list").output.splitlines()]
    assert [["URI"], [str(suspect), "suspect"], [str(sound)]] == rows
    assert [True, None] == [entry.get("suspect") for entry in json.loads(command("list", "--json").output)]


def test_suspect_is_never_latest(folder: Path, command: Command) -> None:
    """`latest` is the newest sound backup. Without one, the error names a suspect one."""
    suspect = make_suspect(folder)
    command("verify", "latest").assert_refused(26, f"are suspect, such as {suspect}")
    sound = make_backup(folder)
    assert str(sound) in command("verify", "latest").output
    assert str(suspect) in command("verify", str(suspect)).output


def test_inspect_tells_why_it_is_suspect(folder: Path, command: Command) -> None:
    """The reasons are in the text and in the manifest."""
    suspect = str(make_suspect(folder))
    assert "SUSPECT WHEN IT WAS MADE (why it may not continue its predecessor)\nit is smaller\n" in (
        command("inspect", suspect).output
    )
    assert ["it is smaller"] == json.loads(command("inspect", suspect, "--json").output)["manifest"]["suspect"]


def test_accept(folder: Path, command: Command) -> None:
    """An accepted backup has the name of a sound one, the same bytes, and is the latest. It is accepted once."""
    make_backup(folder)
    suspect = make_suspect(folder)
    before = tree_of(folder)
    outcome = command("accept", str(suspect))
    accepted = folder / str(suspect.name.sound)
    assert (0, f"file://{accepted}\n") == (outcome.exit_code, outcome.output)
    assert {**before, accepted.name: before[str(suspect.name)]} == tree_of(folder)
    assert str(accepted) in command("verify", "latest").output
    after = tree_of(folder)
    command("accept", str(suspect)).assert_refused(24, "exists already")
    assert after == tree_of(folder)


def test_accept_an_older_one(folder: Path, command: Command, caplog: pytest.LogCaptureFixture) -> None:
    """If there is a newer sound backup, the accepted one is not the latest, and a warning says so."""
    suspect, newer = make_suspect(folder, TIMESTAMP - 1), make_backup(folder)
    assert 0 == command("accept", str(suspect)).exit_code
    assert f"{newer} is newer, so the accepted backup is not the latest" in caplog.text


def test_accept_what_is_not_suspect(folder: Path, command: Command) -> None:
    """Only a suspect backup can be accepted, and only one that is whole."""
    sound, suspect = make_backup(folder), make_suspect(folder)
    path = folder / str(suspect.name)
    path.write_bytes(path.read_bytes()[:-9])
    before = tree_of(folder)
    command("accept", str(sound)).assert_refused(2, f"{sound} is not suspect")
    command("accept", "latest").assert_refused(2, "URI is not valid")
    command("accept", str(suspect)).assert_refused(30, str(suspect))
    command("accept", f"file://{folder}/pulsar-suspect-7.tar.gz").assert_refused(26, "does not exist")
    assert before == tree_of(folder)


def test_list_in_pages(folder: Path, command: Command) -> None:
    """A page follows after a backup, and is as long as was asked for."""
    for number in range(5):
        make_backup(folder, timestamp=TIMESTAMP + number)

    def listed(*arguments: str) -> list[int]:
        return [entry["timestamp"] - TIMESTAMP for entry in json.loads(command("list", "--json", *arguments).output)]

    assert [4, 3] == listed("--limit", "2")
    assert [2, 1] == listed("--limit", "2", "--before", f"pulsar-{TIMESTAMP + 3}.tar.gz")
    assert [0] == listed("--before", f"file://{folder}/pulsar-{TIMESTAMP + 1}.tar.gz")
    for wrong in (["--limit", "0"], ["--limit", "x"], ["--before", "x"]):
        outcome = command("list", *wrong)
        assert (2, True) == (outcome.exit_code, wrong[0] in outcome.said)


def test_list_leaves_out_other_files(folder: Path, command: Command) -> None:
    """A file in the far future that is no backup is not listed."""
    make_backup(folder, timestamp=TIMESTAMP)
    (folder / "pulsar-99999999999999.tar.gz").write_bytes(b"somebody else's")
    (entry,) = json.loads(command("list", "--json").output)
    assert TIMESTAMP == entry["timestamp"]


def test_list_as_json(folder: Path, command: Command) -> None:
    """The same as JSON has the fields of the admin port."""
    point = make_backup(folder)
    (entry,) = json.loads(command("list", "--json").output)
    assert ["name", "uri", "size", "time", "timestamp"] == list(entry)
    assert (str(point.name), str(point), TIMESTAMP) == (entry["name"], entry["uri"], entry["timestamp"])


@pytest.mark.parametrize(("arguments", "expected"), [(["list"], ["TIME", "SIZE", "URI"]), (["list", "--json"], ["[]"])])
def test_list_may_be_empty(arguments: list[str], expected: list[str], command: Command) -> None:
    """No backups are no error."""
    outcome = command(*arguments)
    assert (0, expected) == (outcome.exit_code, outcome.output.split())


def test_list_of_a_directory_that_is_missing(folder: Path, command: Command) -> None:
    """A directory that does not exist is not the same as an empty one."""
    folder.rmdir()
    command("list").assert_refused(20, str(folder))


def test_what_list_prints_can_be_used(folder: Path, command: Command) -> None:
    """An address out of the list is what verify, inspect, reconcile and restore take."""
    make_backup(folder)
    (entry,) = json.loads(command("list", "--json").output)
    assert [0] * len(TAKING_A_URI) == [command(verb, entry["uri"]).exit_code for verb in TAKING_A_URI]
    assert 0 == command("restore", RESTORE_POINT=entry["uri"]).exit_code


def test_verify(folder: Path, command: Command) -> None:
    """For an undamaged backup, its address and its number of znodes are printed."""
    point = make_backup(folder)
    outcome = command("verify", str(point))
    assert (0, "") == (outcome.exit_code, outcome.said)
    assert outcome.output.startswith(f"{point} is complete and undamaged: {len(TREE)} znodes ")


def test_verify_counts_broker_metadata(folder: Path, command: Command) -> None:
    """What brokers gave out is counted too."""
    point = make_backup(folder, records=[SavedSchemas("t/n/a", 7, 8, ())])
    assert command("verify", str(point)).output.endswith(", and from brokers 1 topic's schemas\n")


def test_verify_needs_no_settings(folder: Path, command: Command) -> None:
    """A backup with an address can be verified without BUCKET."""
    assert 0 == command("verify", str(make_backup(folder)), BUCKET="", BACKUP_PREFIX="").exit_code


def test_rules_tell_what_is_required(command: Command) -> None:
    """After the rules come the parts without which a restore refuses a tree."""
    required = command("rules").output.partition("\nrequired\n")[2]
    assert ["/managed-ledgers", "/admin/clusters", "/ledgers"] == required.split()[:3]
    assert "ALLOW_PARTIAL" in required


def test_verify_tells_what_is_missing(folder: Path, command: Command, caplog: pytest.LogCaptureFixture) -> None:
    """An undamaged backup in which Pulsar is elsewhere passes, with a warning that a restore refuses it."""
    outcome = command("verify", str(make_backup(folder, managed_ledger_path="/own")))
    assert 0 == outcome.exit_code
    reason = "because the tree has no /own, but it has /managed-ledgers. Set MANAGED_LEDGER_PATH to /managed-ledgers"
    assert f"a restore of this backup with lost bookies will be refused, {reason}" in caplog.messages


def test_inspect(folder: Path, command: Command) -> None:
    """What is in a backup is shown: its manifest and its top-level paths."""
    outcome = command("inspect", str(make_backup(folder)))
    assert (0, "") == (outcome.exit_code, outcome.said)
    rows = [line.split() for line in outcome.output.splitlines()]
    assert ["timestamp", str(TIMESTAMP)] in rows
    assert ["/admin", "3", "2"] in rows


def test_inspect_as_json(folder: Path, command: Command) -> None:
    """The same as JSON."""
    read = json.loads(command("inspect", "--json", str(make_backup(folder))).output)
    assert ("pulsar", len(TREE)) == (read["manifest"]["prefix"], read["manifest"]["nodes"])
    assert {"znodes": 3, "bytes": 2} == read["topLevel"]["/admin"]


def test_inspect_the_tree(folder: Path, command: Command) -> None:
    """Every znode is shown below its parent."""
    outcome = command("inspect", "--tree", str(make_backup(folder)))
    expected = ["/  (null)", "  admin  (0 B)", "    clusters  (0 B)", "      standalone  (2 B)", "  ledgers  (0 B)"]
    expected += ["  managed-ledgers  (5 B)"]
    assert (0, expected) == (outcome.exit_code, outcome.output.splitlines())


def test_restore_places_the_snapshot(folder: Path, data_dir: Path, command: Command) -> None:
    """A restore puts the backup's snapshot, in a later epoch, where ZooKeeper looks for it, and prints its path."""
    point = make_backup(folder)
    outcome = command("restore")
    with opened(folder / str(point.name)) as backup:
        saved = list(backup.tree().nodes)
    placed = Path(outcome.output.rstrip("\n"))
    with placed.open("rb") as file:
        nodes = list(SnapshotReader(file).nodes())
    own = {ZNODE, b"/ledgers/idgen", b"/zookeeper", b"/zookeeper/config", b"/zookeeper/quota"}
    assert saved == [each for each in nodes if each.path not in own]
    assert [tree_of(data_dir)["version-2/restore.json"]] == [each.data for each in nodes if each.path == ZNODE]
    assert (0, "", data_dir / "version-2") == (outcome.exit_code, outcome.said, placed.parent)
    epochs, counter = divmod(int(placed.suffix[1:], 16) - ZXID, 1 << 32)
    assert (0, True) == (counter, 1 <= epochs <= 4096)
    names = {placed.name, "restore.json", "restore-report.json"}
    assert {f"version-2/{name}" for name in names} == tree_of(data_dir).keys()


def test_dry_run(folder: Path, data_dir: Path, command: Command) -> None:
    """A dry run says what would be, and writes nothing."""
    make_backup(folder)
    outcome = command("restore", "--dry-run")
    assert (0, "", {}) == (outcome.exit_code, outcome.output, tree_of(data_dir))


def test_dry_run_of_a_restore_that_would_fail(folder: Path, data_dir: Path, command: Command) -> None:
    """A dry run fails as the restore would."""
    make_backup(folder)
    (data_dir / "version-2").mkdir()
    (data_dir / "version-2" / "log.1").touch()
    command("restore", "--dry-run").assert_refused(40, "version-2/log.1")


def test_restore_into_a_fresh_volume(folder: Path, data_dir: Path, command: Command) -> None:
    """What volumes, storage systems and people leave, and the server's number, do not stop a restore and stay."""
    make_backup(folder)
    foreign = ["lost+found", ".snapshot", ".trashcan", "aquota.group", ".Trash-0", ".nfs000000000001", ".hidden", "any"]
    for name in foreign:
        (data_dir / name).mkdir()
    (data_dir / "myid").write_text("1")
    assert 0 == command("restore").exit_code
    assert "1" == (data_dir / "myid").read_text()
    assert {*foreign, "myid", "version-2"} == {path.name for path in data_dir.iterdir()}


def test_restore_is_the_same_everywhere(folder: Path, data_dir: Path, tmp_path: Path, command: Command) -> None:
    """Every member of an ensemble gets the same bytes under the same name."""
    make_backup(folder)
    (tmp_path / "member").mkdir()
    command("restore")
    command("restore", ZOOKEEPER_DATA_DIR=str(tmp_path / "member"))
    assert 3 == len(tree_of(data_dir))
    assert tree_of(data_dir) == tree_of(tmp_path / "member")


@pytest.mark.parametrize("name", ["version-2/snapshot.0", "version-2/log.1", "snapshot.5", "log.1"])
def test_restore_into_a_directory_with_data(name: str, folder: Path, data_dir: Path, command: Command) -> None:
    """A data directory that holds data of a server is refused, and stays as it is."""
    make_backup(folder)
    (data_dir / name).parent.mkdir(exist_ok=True)
    (data_dir / name).write_text("precious")
    command("restore").assert_refused(40, name)
    assert {name: b"precious"} == tree_of(data_dir)


def test_restore_twice(folder: Path, data_dir: Path, command: Command) -> None:
    """A ZooKeeper that was restored is not restored again: the same version has nothing to do, another is refused."""
    make_backup(folder)
    command("restore")
    before = tree_of(data_dir)
    again, another = command("restore"), command("restore", RESTORE_VERSION="2")
    assert (0, "", before) == (again.exit_code, again.output, tree_of(data_dir))
    another.assert_refused(40, str(data_dir))
    assert before == tree_of(data_dir)


def test_restore_into_a_directory_that_is_missing(folder: Path, data_dir: Path, command: Command) -> None:
    """On an empty volume, the data directory is made. A dry run and a restore that is refused leave none."""
    data_dir.rmdir()
    command("restore").assert_refused(26, "does not exist")
    make_backup(folder)
    assert 0 == command("restore", "--dry-run").exit_code
    assert not data_dir.exists()
    assert 0 == command("restore").exit_code
    assert {"snapshot", "restore"} <= {path.stem for path in (data_dir / "version-2").iterdir()}


def test_restore_into_a_volume_that_is_missing(folder: Path, data_dir: Path, command: Command) -> None:
    """A data directory whose parent does not exist is on a volume that was not mounted: neither is made."""
    make_backup(folder)
    deeper = data_dir / "volume" / "zookeeper"
    command("restore", ZOOKEEPER_DATA_DIR=str(deeper)).assert_refused(41, str(deeper))
    assert [] == list(data_dir.iterdir())


def assert_all_refuse(point: RestorePoint, exit_code: int, naming: str, command: Command, data_dir: Path) -> None:
    """Verify, inspect and restore all refuse a backup, for the same reason, and nothing is restored."""
    for verb in TAKING_A_URI:
        command(verb, str(point)).assert_refused(exit_code, naming)
    command("restore", RESTORE_POINT=str(point)).assert_refused(exit_code, naming)
    assert [] == list(data_dir.iterdir())


def test_backup_is_missing(folder: Path, data_dir: Path, command: Command) -> None:
    """A backup that is not there is named."""
    point = RestorePoint(location(folder), BackupName("pulsar", 1))
    assert_all_refuse(point, 26, str(point), command, data_dir)


def changed(at: float) -> Callable[[bytes], bytes]:
    """Flips a bit of a file, this far into it."""

    def change(content: bytes) -> bytes:
        index = int(len(content) * at)
        return content[:index] + bytes([content[index] ^ 0x10]) + content[index + 1 :]

    return change


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda _: b"", id="empty"),
        pytest.param(lambda _: b"no gzip at all", id="text"),
        pytest.param(lambda content: content[: len(content) // 2], id="half"),
        pytest.param(lambda content: content[:-1], id="cut"),
        pytest.param(lambda content: content + b"more", id="longer"),
        pytest.param(changed(0), id="magic"),
        pytest.param(changed(0.5), id="middle"),
        pytest.param(changed(0.999), id="end"),
    ],
)
def test_backup_is_damaged(damage: Callable[[bytes], bytes], folder: Path, data_dir: Path, command: Command) -> None:
    """A backup that is not what was written is refused, however little is wrong."""
    point = make_backup(folder)
    path = folder / str(point.name)
    path.write_bytes(damage(path.read_bytes()))
    for verb in ("verify", "inspect"):
        command(verb, str(point)).assert_refused(30, "damaged")
    command("restore").assert_refused(30, "damaged")
    assert [] == list(data_dir.iterdir())


def test_backup_is_of_a_later_format(folder: Path, data_dir: Path, command: Command) -> None:
    """A backup of a later format is refused with the advice to use a later version."""
    point = make_backup(folder, format_version=BROKER_FORMAT + 1)
    assert_all_refuse(point, 31, f"format {BROKER_FORMAT + 1}", command, data_dir)


@pytest.mark.parametrize("name", [BackupName("pulsar", TIMESTAMP + 1), BackupName("other", TIMESTAMP)])
def test_backup_is_renamed(name: BackupName, folder: Path, data_dir: Path, command: Command) -> None:
    """A backup under another's name is refused with its true one: a name is what users pick by."""
    made, point = make_backup(folder), RestorePoint(location(folder), name)
    (folder / str(made.name)).rename(folder / str(name))
    assert_all_refuse(point, 30, f"pulsar-{TIMESTAMP}", command, data_dir)


def test_spool_is_missing(folder: Path, tmp_path: Path, command: Command) -> None:
    """A spool directory that is not there is named."""
    point = make_backup(folder)
    command("verify", str(point), SPOOL_DIR=str(tmp_path / "nowhere")).assert_refused(15, "SPOOL_DIR")


def test_diff_to_the_newest(folder: Path, command: Command) -> None:
    """A backup is compared with the newest one, unless another is named."""
    earlier = make_backup(folder)
    later = make_backup(folder, timestamp=TIMESTAMP + 1, tree={**TREE, b"/z": b"1"})
    for arguments in ([str(earlier)], [str(earlier), str(later)]):
        outcome = command("diff", *arguments)
        assert (0, ["TOTAL", "other znodes in /z             1 added"]) == (
            outcome.exit_code,
            outcome.output.splitlines()[3:],
        )
        assert [str(earlier), str(later)] == [line.split()[1] for line in outcome.output.splitlines()[:2]]


def test_history_of_a_namespace(folder: Path, command: Command) -> None:
    """A name of Pulsar is found at its path, and a change is shown in Pulsar's words."""
    path = b"/admin/policies/public"
    for number, data in enumerate((b"{}", b'{"adminRoles":["a"]}')):
        tree = {b"": None, b"/admin": b"", b"/admin/policies": b"", path: data}
        make_backup(folder, timestamp=TIMESTAMP + number, tree=tree)
    outcome = command("history", "public")
    assert (0, "/admin/policies/public in 2 backups, 2 of them read") == (
        outcome.exit_code,
        outcome.output.splitlines()[0],
    )


def test_find_at_a_time(folder: Path, command: Command) -> None:
    """With --at, the newest backup of that time or earlier is searched, and no other is."""
    for number in (0, 1):
        make_backup(folder, timestamp=TIMESTAMP + number, tree={b"": None, f"/at-{number}".encode(): b""})
    assert "/at-0\n" == command("find", "/at-*", "--at", str(TIMESTAMP)).output
    assert "/at-1\n" == command("find", "/at-*", "--at", "2100-01-01T00:00:00Z").output
    command("find", "/at-*", "--at", "0").assert_refused(26, "there is no sound backup")
    command("find", "x://y").assert_refused(2, "'x://y' is not valid")
