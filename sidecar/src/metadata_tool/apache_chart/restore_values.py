"""Values with which Apache's chart restores its ZooKeeper: an init container, its volumes, and a start command."""

from collections.abc import Mapping
from dataclasses import dataclass

from metadata_tool.apache_chart.release import (
    ADMIN_PORT,
    AUTHORITIES,
    CERTIFICATES,
    DATA_DIR,
    GROUP,
    JUTE_MAXBUFFER,
    LOG_DIR,
    USER,
    VOLUME,
    Release,
)
from metadata_tool.apache_chart.start_command import start_command
from metadata_tool.apache_chart.yaml_text import Value
from metadata_tool.pulsar.rules import Scope

_SPOOL, _KEYS = "restore-spool", "restore-keys"
_KEYS_DIR = "/etc/restore-keys"


@dataclass(frozen=True)
class RestoreValues:
    """A restore into a release. `point` is `latest` or a backup's address, `place` is BUCKET and BACKUP_PREFIX.

    `version` is RESTORE_VERSION, `cluster` is `clusterName` (empty: the release's own), `secret` is the name of the
    Secret with the keys of the object store (empty: the AWS credential chain), and `more` are further variables.
    """

    release: Release
    point: str
    place: Mapping[str, str]
    image: str
    replicas: int
    version: str
    scope: Scope
    cluster: str
    log_disk: bool
    secret: str
    more: Mapping[str, str]

    def environment(self) -> dict[str, str]:
        """The variables of the restore."""
        release = self.release
        return {
            "RESTORE_POINT": self.point,
            **self.place,
            "RESTORE_VERSION": self.version,
            "RESTORE_SCOPE": str(self.scope),
            "CLUSTER_NAME": self.cluster or release.fullname,
            "CLUSTER_SERVICE_URL": release.web_service_url,
            "CLUSTER_BROKER_SERVICE_URL": release.broker_service_url,
            "JUTE_MAXBUFFER": str(JUTE_MAXBUFFER),
            "ZOOKEEPER_SERVERS": release.servers(self.replicas),
            "ZOOKEEPER_ADMIN_PORT": str(ADMIN_PORT),
            "ZOOKEEPER_DATA_DIR": DATA_DIR,
            **({"ZOOKEEPER_DATA_LOG_DIR": LOG_DIR} if self.log_disk else {}),
            **(_tls() if release.tls else {}),
            "SPOOL_DIR": "/tmp",  # noqa: S108  # a volume of its own
            **({"S3_CREDENTIALS_DIR": _KEYS_DIR} if self.secret else {}),
            **self.more,
        }

    def values(self) -> dict[str, Value]:
        """The values of Apache's chart."""
        return {
            "zookeeper": {
                "additionalCommand": start_command(DATA_DIR),
                "extraVolumes": self._volumes(),
                "initContainers": [self._container()],
            }
        }

    def _volumes(self) -> list[Value]:
        volumes: list[Value] = [{"name": _SPOOL, "emptyDir": {"sizeLimit": "4Gi"}}]
        if self.secret:
            volumes.append({"name": _KEYS, "secret": {"secretName": self.secret}})
        return volumes

    def _container(self) -> dict[str, Value]:
        return {
            "name": "restore",
            "image": self.image,
            "args": ["restore"],
            "env": [{"name": name, "value": _unexpanded(value)} for name, value in self.environment().items()],
            "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"memory": "512Mi"}},
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": USER,
                "runAsGroup": GROUP,
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "terminationMessagePolicy": "FallbackToLogsOnError",
            "volumeMounts": self._mounts(),
        }

    def _mounts(self) -> list[Value]:
        found = [(self.release.data_volume, VOLUME, False), (_SPOOL, "/tmp", False)]  # noqa: S108
        if self.log_disk:
            found.append((self.release.log_volume, LOG_DIR, False))
        if self.secret:
            found.append((_KEYS, _KEYS_DIR, True))
        if self.release.tls:  # volumes that the chart makes for ZooKeeper
            found += [("zookeeper-certs", CERTIFICATES, True), ("ca", AUTHORITIES, True)]
        return [
            {"name": name, "mountPath": path, **({"readOnly": True} if read_only else {})}
            for name, path, read_only in found
        ]


def _tls() -> dict[str, str]:
    """The variables for TLS, with the members' own certificate as the client's."""
    return {
        "ZOOKEEPER_TLS": "true",
        "ZOOKEEPER_TLS_CA": f"{AUTHORITIES}/ca.crt",
        "ZOOKEEPER_TLS_CERT": f"{CERTIFICATES}/tls.crt",
        "ZOOKEEPER_TLS_KEY": f"{CERTIFICATES}/tls.key",
    }


def _unexpanded(value: str) -> str:
    """The value, escaped so that Kubernetes expands no $(NAME) in it."""
    return value.replace("$", "$$")
