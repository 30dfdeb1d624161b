"""ZooKeeper's errors as an operator reads them: the exit code, and what to do, by command."""

import re
import socket
import struct
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from metadata_tool import errors
from metadata_tool.cli import main
from metadata_tool.variables import VARIABLES
from metadata_tool.zookeeper import errors as faults
from metadata_tool.zookeeper.errors import DataDirUnusable, NoTicket, SaslRefused, ZnodeUnreadable, ZooKeeperError
from metadata_tool.zookeeper.net.sasl import DIGEST_MD5, GSSAPI
from metadata_tool.zookeeper_faults import FOR_BACKUP, FOR_PUT_BACK, FOR_RESTORE, TYPES, as_tool_error, explained

FAULTS = [each for each in vars(faults).values() if isinstance(each, type) and issubclass(each, ZooKeeperError)]


@pytest.mark.parametrize("fault", [each for each in FAULTS if each is not ZooKeeperError])
def test_every_fault(fault: type[ZooKeeperError]) -> None:
    """Every error has an exit code, and a hint for a command that can meet it."""
    assert TYPES[fault].exit_code > 1
    assert fault in {*FOR_BACKUP, *FOR_RESTORE, *FOR_PUT_BACK}


@pytest.mark.parametrize("hint", [hint for hint in FOR_RESTORE.values() if isinstance(hint, str)])
def test_restore_speaks_of_a_restore(hint: str) -> None:
    """No hint of a restore speaks of a backup or an upload."""
    assert "upload" not in hint
    assert "backup" not in hint


EXAMPLES = [
    SaslRefused("zk-0", DIGEST_MD5),
    SaslRefused("zk-0", GSSAPI),
    *(NoTicket("zk-0", "why", code) for code in (0, -1765328378, -1765328377, -1765328347, -1765328360, -1765328228)),
    ZnodeUnreadable("hidden", "READ on it"),
    *(each.__new__(each) for each in FOR_RESTORE if isinstance(FOR_RESTORE[each], str)),
]


@pytest.mark.parametrize("fault", EXAMPLES, ids=lambda fault: type(fault).__name__)
def test_restore_names_what_it_reads(fault: ZooKeeperError) -> None:
    """Every setting in the hint of a restore is read by a restore, and the hint says that nothing was touched."""
    fault.__dict__.setdefault("rights", "READ on it")
    hint = as_tool_error(fault, FOR_RESTORE).hint
    read = {variable.name for variable in VARIABLES if "restore" in variable.readers} | {"KRB5_CONFIG"}
    assert set() == set(re.findall(r"\b[A-Z0-9]+_[A-Z0-9_]+\b", hint)) - read
    assert isinstance(fault, DataDirUnusable) or hint.endswith("Nothing was touched")


@pytest.mark.parametrize("hint", [hint for hint in FOR_PUT_BACK.values() if isinstance(hint, str)])
def test_put_back_names_what_it_reads(hint: str) -> None:
    """Every setting in the hint of a put-back is read by it."""
    read = {variable.name for variable in VARIABLES if "put-back" in variable.readers} | {"KRB5_CONFIG"}
    assert set() == set(re.findall(r"\b[A-Z0-9]+_[A-Z0-9_]+\b", hint)) - read


@pytest.mark.parametrize(
    ("fault", "error", "expected"),
    [
        (
            ZnodeUnreadable("the login cannot read znode /a", "READ on it"),
            errors.ZnodeUnreadable,
            (
                "the login cannot read znode /a. "
                "Give the backup a login (ZOOKEEPER_AUTH or SASL) with READ on it. Nothing was uploaded."
            ),
        ),
        (
            SaslRefused("zk-0", DIGEST_MD5),
            errors.ZooKeeperLoginFailed,
            (
                "ZooKeeper at zk-0 refused the login by SASL DIGEST-MD5. "
                "Check ZOOKEEPER_SASL_USER and ZOOKEEPER_SASL_PASSWORD. "
                "Check that ZOOKEEPER_SASL_MECHANISM is the mechanism of the servers' JAAS login."
            ),
        ),
        (
            SaslRefused("zk-0", GSSAPI),
            errors.ZooKeeperLoginFailed,
            (
                "ZooKeeper at zk-0 refused the login by SASL GSSAPI. Check ZOOKEEPER_SASL_PRINCIPAL. "
                "Check that ZOOKEEPER_SASL_MECHANISM is the mechanism of the servers' JAAS login."
            ),
        ),
        (
            NoTicket("zk-0", "Clock skew too great", -1765328347),
            errors.ZooKeeperLoginFailed,
            (
                "Kerberos gives no ticket for ZooKeeper at zk-0: Clock skew too great. "
                "Set the clocks. Kerberos allows a difference of 5 minutes."
            ),
        ),
    ],
)
def test_what_a_backup_says(fault: ZooKeeperError, error: type[errors.ToolError], expected: str) -> None:
    """The hint follows from what the error knows."""
    told = as_tool_error(fault, FOR_BACKUP)
    assert (error, expected) == (type(told), str(told))


def test_other_errors_pass() -> None:
    """An error of another kind is left alone."""
    with pytest.raises(errors.Stopped), explained(FOR_RESTORE):
        raise errors.Stopped("stopped")


@pytest.fixture
def hanging_up() -> Iterator[str]:
    """The address of a server that says that it leads, accepts a session, and closes the connection."""
    accepted = struct.pack(">iiqi", 0, 4000, 1, 16) + bytes(16) + b"\0"
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    if connection.recv(65536) == b"srvr":
                        connection.sendall(b"Zookeeper version: 3.9.5\nMode: leader\n")
                    else:
                        connection.sendall(struct.pack(">i", len(accepted)) + accepted)

        threading.Thread(target=serve, daemon=True).start()
        yield f"127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)


def test_restore_whose_ensemble_fails(
    hanging_up: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A restore whose ensemble hangs up says what to do about a restore, and nothing of an upload."""
    settings = {
        "RESTORE_POINT": "s3a://bucket/pulsar-1.tar.gz",
        "ZOOKEEPER_DATA_DIR": str(tmp_path),
        "ZOOKEEPER_SERVERS": hanging_up,
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    assert errors.ZooKeeperSessionLost.exit_code == main(["restore"])
    (said,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert said.startswith("error: the ZooKeeper session was lost while reading: ")
    assert said.endswith(". Check the ensemble's health, then run the restore again. Nothing was touched.")
