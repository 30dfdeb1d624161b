"""A release of Apache's chart: the names of its ZooKeeper's objects. Source: the templates of version 4.7.0."""

import re
from dataclasses import dataclass

from metadata_tool.errors import SettingError

CHART = "pulsar"
"""The name of the chart, which is a part of most names."""
CLIENT_PORT, CLIENT_PORT_TLS = 2181, 2281
ADMIN_PORT = 9990
"""Pulsar's own zookeeper.conf has it."""
JUTE_MAXBUFFER = 10_485_760
"""Pulsar's start script sets it, for servers and clients."""
USER, GROUP = 10_000, 0
"""The user and group of ZooKeeper in Pulsar's image."""
VOLUME, DATA_DIR, LOG_DIR = "/pulsar/data", "/pulsar/data/zookeeper", "/pulsar/data-log"
"""Where the volume of the data is mounted, ZooKeeper's `dataDir` in it, and the volume that is its `dataLogDir`."""
CERTIFICATES, AUTHORITIES = "/pulsar/certs/zookeeper", "/pulsar/certs/ca"

_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?")
_DOMAIN = re.compile(rf"{_LABEL.pattern}(?:\.{_LABEL.pattern})*")
_PREFIX = re.compile(r"(?:/[^/,\s]+)*/?")
_LONGEST_NAME = 63
_LONGEST_RELEASE = 53
_ZOOKEEPER, _HEADLESS = "zookeeper", "zookeeper-headless"


@dataclass(frozen=True)
class Release:
    """A release, with its values that names depend on.

    `fullname` is `fullnameOverride`, empty if that is not set. `domain` is `clusterDomain`, `prefix` is
    `metadataPrefix`, and `tls` says whether `tls.enabled` and `tls.zookeeper.enabled` are true. `before_4_6`: the chart
    is older than 4.6, which has no Service for members besides that for clients.
    """

    name: str
    namespace: str
    fullname: str
    domain: str
    prefix: str
    tls: bool
    before_4_6: bool = False

    @classmethod
    def checked(
        cls, name: str, namespace: str, *, fullname: str, domain: str, prefix: str, tls: bool, before_4_6: bool = False
    ) -> "Release":
        """A release whose names are valid in Kubernetes.

        Raises:
            SettingError: a name is not valid. The message names the option.
        """
        longest = _LONGEST_NAME - len(f"-{_HEADLESS}")
        _check("--release", name, _LABEL, _LONGEST_RELEASE, "the name of a helm release")
        _check("--namespace", namespace, _LABEL, _LONGEST_NAME, "the name of a namespace")
        _check("--domain", domain, _DOMAIN, 253, "a DNS domain such as cluster.local")
        _check("--metadata-prefix", prefix, _PREFIX, 1000, "the path of a znode, such as /pulsar")
        if fullname:
            _check("--fullname", fullname, _LABEL, longest, "the fullnameOverride of that release")
        release = cls(name, namespace, fullname or _fullname(name), domain, prefix.rstrip("/"), tls, before_4_6)
        if len(release.fullname) > longest:
            raise SettingError(
                f"--release is {name!a}, and the Services would have names of more than {_LONGEST_NAME} characters",
                f"Set --fullname to a fullnameOverride of at most {longest} characters",
            )
        return release

    @property
    def members(self) -> str:
        """The StatefulSet of ZooKeeper, its container, and the Service for clients."""
        return f"{self.fullname}-{_ZOOKEEPER}"

    @property
    def port(self) -> int:
        """The port for clients. With TLS, the plain one stays open beside it."""
        return CLIENT_PORT_TLS if self.tls else CLIENT_PORT

    @property
    def service(self) -> str:
        """The address for clients, with the chroot.

        With TLS, it is the short name within the namespace, because certificates before 4.6.1 have no other one.
        """
        return f"{self.members if self.tls else self._host(self.members)}:{self.port}{self.prefix}"

    def servers(self, replicas: int) -> str:
        """The address of each member, with the chroot. Certificates have these host names."""
        headless = self._host(f"{self.fullname}-{_ZOOKEEPER if self.before_4_6 else _HEADLESS}")
        return ",".join(f"{self.members}-{number}.{headless}:{self.port}" for number in range(replicas)) + self.prefix

    @property
    def web_service_url(self) -> str:
        """The brokers' web service, as that chart writes it into Pulsar's metadata."""
        return f"http://{self._host(f'{self.fullname}-broker')}:8080/"

    @property
    def broker_service_url(self) -> str:
        """The brokers, as that chart writes them into Pulsar's metadata."""
        return f"pulsar://{self._host(f'{self.fullname}-broker')}:6650/"

    @property
    def data_volume(self) -> str:
        """The name of the volume that is mounted at VOLUME."""
        return f"{self.members}-data"

    @property
    def log_volume(self) -> str:
        """The name of the volume that is mounted at LOG_DIR, with `zookeeper.volumes.useSeparateDiskForTxlog`."""
        return f"{self.members}-datalog"

    @property
    def client_certificate(self) -> str:
        """The Secret with the client certificate of the toolset: ca.crt, tls.crt and tls.key."""
        return f"{self.name}-tls-toolset"

    def _host(self, service: str) -> str:
        return f"{service}.{self.namespace}.svc.{self.domain}"


def _fullname(release: str) -> str:
    """How names begin: the release's name, and then the chart's, unless the first contains the second."""
    return release if CHART in release else f"{release}-{CHART}"


def _check(option: str, value: str, pattern: re.Pattern[str], longest: int, expected: str) -> None:
    if not pattern.fullmatch(value) or len(value) > longest:
        raise SettingError(f"{option} is {value!a}", f"Set it to {expected}")
