from typing import Any

import pytest

from metadata_tool.apache_chart.release import Release
from metadata_tool.errors import SettingError

VALUES: dict[str, Any] = {"fullname": "", "domain": "cluster.local", "prefix": "", "tls": False}


def release(name: str = "prod", namespace: str = "messaging", **values: Any) -> Release:
    """A release of Apache's chart."""
    return Release.checked(name, namespace, **{**VALUES, **values})


@pytest.mark.parametrize(
    ("name", "fullname", "expected"),
    [
        ("prod", "", "prod-pulsar"),
        ("pulsar", "", "pulsar"),
        ("my-pulsar-2", "", "my-pulsar-2"),
        ("prod", "messages", "messages"),
        ("pulsar", "messages", "messages"),
    ],
)
def test_fullname(name: str, fullname: str, expected: str) -> None:
    """Names begin with the release and the chart, unless the one holds the other, or with fullnameOverride."""
    found = release(name, fullname=fullname)
    assert expected == found.fullname
    assert f"{expected}-zookeeper-data" == found.data_volume
    assert f"{name}-tls-toolset" == found.client_certificate


def test_addresses() -> None:
    """The Service, each member behind the headless one, and the brokers, with their DNS names."""
    found = release()
    assert "prod-pulsar-zookeeper.messaging.svc.cluster.local:2181" == found.service
    assert [
        f"prod-pulsar-zookeeper-{number}.prod-pulsar-zookeeper-headless.messaging.svc.cluster.local:2181"
        for number in range(3)
    ] == found.servers(3).split(",")
    assert "http://prod-pulsar-broker.messaging.svc.cluster.local:8080/" == found.web_service_url
    assert "pulsar://prod-pulsar-broker.messaging.svc.cluster.local:6650/" == found.broker_service_url


def test_addresses_before_4_6() -> None:
    """Older charts have one Service, by which members are found, too."""
    found = release("pulsar", before_4_6=True)
    assert "pulsar-zookeeper-0.pulsar-zookeeper.messaging.svc.cluster.local:2181" == found.servers(1)
    assert "pulsar-zookeeper.messaging.svc.cluster.local:2181" == found.service


def test_addresses_with_everything_set() -> None:
    """The domain, the port for TLS, and once the chroot."""
    found = release("pulsar", tls=True, prefix="/a/b/", domain="k8s.example.com")
    assert "pulsar-zookeeper:2281/a/b" == found.service
    assert "pulsar-zookeeper-0.pulsar-zookeeper-headless.messaging.svc.k8s.example.com:2281/a/b" == found.servers(1)


@pytest.mark.parametrize(
    ("option", "wrong"),
    [
        ("release", {"name": "Prod"}),
        ("release", {"name": ""}),
        ("release", {"name": "a" * 54}),
        ("release", {"name": "a\nb"}),
        ("namespace", {"namespace": "a.b"}),
        ("namespace", {"namespace": "-a"}),
        ("domain", {"domain": "cluster..local"}),
        ("domain", {"domain": "x y"}),
        ("fullname", {"fullname": "a" * 45}),
        ("fullname", {"fullname": "a_b"}),
        ("metadata-prefix", {"prefix": "pulsar"}),
        ("metadata-prefix", {"prefix": "/a,b:1"}),
    ],
)
def test_wrong_options(option: str, wrong: dict[str, str]) -> None:
    """A name that Kubernetes would refuse is refused, and the option is named."""
    with pytest.raises(SettingError, match=f"^--{option} is "):
        release(**wrong)


def test_names_that_become_too_long() -> None:
    """The longest name is that of the headless Service, and has at most 63 characters."""
    assert 63 == len(f"{release('a' * 37).fullname}-zookeeper-headless")
    with pytest.raises(SettingError, match="Services would have names of more than 63 characters"):
        release("a" * 38)
