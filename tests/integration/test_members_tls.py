"""Members with TLS, by the chart's own scripts: an ensemble, its backup, and a renewed certificate."""

import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ci.parts.zookeeper import NEWEST
from metadata_tool.errors import ClusterRunning, ZooKeeperUntrusted
from support.certificates import Authority, Certificate
from support.members import TLS, Member, Pods
from support.tool import assert_refused, run, succeed


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """Signs the certificates of members and clients."""
    return Authority(tmp_path / "authority")


@pytest.fixture
def pods(authority: Authority, tmp_path: Path) -> Iterator[Pods]:
    """Three pods with certificates, which are not started yet."""
    made = Pods(NEWEST, tmp_path, TLS)
    made.plan(3)
    for member in made.members:
        member.give(authority, authority.issue(f"member-{member.ordinal}", host=member.host))
    try:
        yield made
    finally:
        made.stop()


def settings(pods: Pods, authority: Authority, own: Certificate | None, folder: Path) -> dict[str, str]:
    """A backup by TLS."""
    found = {
        "BUCKET": f"file://{folder}",
        "ZOOKEEPER_SERVERS": ",".join(member.secure_address for member in pods.members),
        "ZOOKEEPER_TLS": "true",
        "ZOOKEEPER_TLS_CA": str(authority.path),
    }
    return found | ({"ZOOKEEPER_TLS_CERT": str(own.cert), "ZOOKEEPER_TLS_KEY": str(own.key)} if own else {})


def shown(member: Member, port: int, authority: Authority, own: Certificate) -> str:
    """The name in the certificate that a member shows at a port."""
    context = ssl.create_default_context(cafile=str(authority.path))
    context.load_cert_chain(own.cert, own.key)
    with (
        socket.create_connection((member.host, port), timeout=10) as connection,
        context.wrap_socket(connection, server_hostname=member.host) as secured,
    ):
        subject: Any = (secured.getpeercert() or {})["subject"]
        return str(subject[0][0][1])


def test_ensemble_with_tls(pods: Pods, authority: Authority, folder: Path, tmp_path: Path) -> None:
    """It grows to three, is backed up by TLS with a client certificate alone, and shows renewed certificates."""
    pods.scale(1)
    pods.wait_for(1)
    pods.scale(3)
    pods.wait_for(3)
    pods.eventually("all are ready", lambda: all(member.ready() for member in pods.members))
    own = authority.issue("backup", host="backup")
    wanted = settings(pods, authority, own, folder)
    assert "pulsar" in succeed("backup", settings={**wanted, "BACKUP_PREFIX": "pulsar"})
    assert_refused(ZooKeeperUntrusted, "", run("backup", settings=settings(pods, authority, None, folder)))
    (tmp_path / "volume").mkdir()
    restoring = {"RESTORE_POINT": f"file://{folder}/pulsar-1.tar.gz", "ZOOKEEPER_DATA_DIR": str(tmp_path / "volume")}
    outcome = run("restore", settings={**wanted, **restoring})
    assert_refused(ClusterRunning, "already serves an ensemble that did not come from a restore", outcome)
    first, ports = pods.members[0], pods.secure_ports
    assert ["member-0", "member-0"] == [shown(first, port, authority, own) for port in ports]
    first.give(authority, authority.issue("renewed", host=first.host))
    pods.eventually(
        "the new certificate", lambda: ["renewed", "renewed"] == [shown(first, port, authority, own) for port in ports]
    )
    pods.wait_for(3)
