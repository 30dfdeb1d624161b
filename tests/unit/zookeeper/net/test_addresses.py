import socket
from typing import Any

import pytest

from metadata_tool.zookeeper.net import addresses
from metadata_tool.zookeeper.net.addresses import Endpoint


@pytest.mark.parametrize(
    ("connect_string", "expected"),
    [
        ("zk-0:2182", [("zk-0", 2182)]),
        ("zk-0", [("zk-0", 2181)]),
        ("ZK-0.example, zk-1:1/pulsar/a", [("zk-0.example", 2181), ("zk-1", 1)]),
        ("[::1]:2182,[fe80::1]", [("::1", 2182), ("fe80::1", 2181)]),
        ("127.0.0.1:2181,", [("127.0.0.1", 2181)]),
    ],
)
def test_servers(connect_string: str, expected: list[tuple[str, int]]) -> None:
    """Names and ports are read as clients of ZooKeeper read them, and a chroot is left out."""
    assert expected == addresses.servers(connect_string)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_numeric_addresses(host: str) -> None:
    """An address needs no name, in either form."""
    name = f"[{host}]" if ":" in host else host
    assert ([Endpoint(host, host, 21)], {}) == addresses.resolved(f"{name}:21")


def test_all_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each address of each name is there once, in an order that changes. The names that have none are told."""

    def getaddrinfo(name: str, port: int, **_: Any) -> list[Any]:
        if name == "gone":
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [(2, 1, 6, "", (f"{name}.{number}", port)) for number in range(4)]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    attempts = [addresses.resolved("one:1,gone,two:2") for _ in range(20)]
    assert {"gone:2181": "its name cannot be resolved (Name or service not known)"} == attempts[0][1]
    expected = [
        Endpoint(name, f"{name}.{number}", port) for name, port in (("one", 1), ("two", 2)) for number in range(4)
    ]
    assert {tuple(expected)} == {tuple(sorted(found)) for found, _ in attempts}
    assert len({tuple(found) for found, _ in attempts}) > 1


@pytest.mark.parametrize("name", ["a..b", "x" * 64])
def test_impossible_names(name: str) -> None:
    """A name that no host can have counts as one that cannot be resolved."""
    found, failed = addresses.resolved(name)
    assert ([], [f"{name}:2181"]) == (found, list(failed))
