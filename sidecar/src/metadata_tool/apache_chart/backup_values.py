"""Values that let this project's chart back up the ZooKeeper of Apache's chart."""

from dataclasses import dataclass

from metadata_tool.apache_chart.image import Image
from metadata_tool.apache_chart.release import Release
from metadata_tool.apache_chart.yaml_text import Value


@dataclass(frozen=True)
class BackupValues:
    """A backup of a release. `image` is None for the chart's default.

    `secret` is the name of the Secret with the keys of the object store, empty for the AWS credential chain. `endpoint`
    and `region` are empty if the chart's defaults fit.
    """

    release: Release
    bucket: str
    prefix: str
    image: Image | None
    secret: str
    endpoint: str
    region: str

    def environment(self) -> dict[str, str]:
        """The variables that the chart makes of these values."""
        return {"ZOOKEEPER_SERVERS": self.release.service, "BUCKET": self.bucket, "BACKUP_PREFIX": self.prefix}

    def values(self) -> dict[str, Value]:
        """The values of this project's chart, for a release in the same namespace."""
        images: dict[str, Value] = {}
        if self.image:
            images = {"images": {"zookeeper": {"customTools": {"backup": self.image.values()}}}}
        store = {name: value for name, value in (("endpoint", self.endpoint), ("region", self.region)) if value}
        tools: dict[str, Value] = {"objectStore": {**store}} if store else {}
        return {
            **images,
            "components": {"zookeeper": False},
            "zookeeper": {
                "connect": self.release.service,
                "customTools": {**tools, "backup": self._backup()},
            },
        }

    def _backup(self) -> dict[str, Value]:
        backup: dict[str, Value] = {"enable": True, "bucket": self.bucket, "backupPrefix": self.prefix}
        if self.secret:
            backup["secrets"] = {"use": True, "aws": {"secretName": self.secret}}
        if self.release.tls:
            backup["tls"] = {"enabled": True, "secretName": self.release.client_certificate}
        return backup
