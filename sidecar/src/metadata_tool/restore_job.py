"""The settings of one restore."""

from dataclasses import dataclass, replace
from pathlib import Path

from metadata_tool.catalog import RestorePoint, Series
from metadata_tool.errors import ToolError
from metadata_tool.pulsar.recovery_options import RecoveryOptions
from metadata_tool.restore_marker import Marker
from metadata_tool.store.base import StoreOptions
from metadata_tool.zookeeper.datadir import DataDir
from metadata_tool.zookeeper.sasl import Sasl
from metadata_tool.zookeeper.session import Login
from metadata_tool.zookeeper.tls import Tls


@dataclass(frozen=True)
class RestoreJob:
    """What to restore, under which version, where to, and what the new cluster needs.

    `wanted` is a backup, or a series whose newest backup is wanted. `ensemble` is `host:port,…` of the members, empty
    if they are not known. They are asked with `tls`, and with `login` and `sasl` if one serves. `admin_port` is the
    port of their AdminServers, `admin_address` the address of this member's (empty: all addresses). `newer_in` are
    places to check for newer backups, in addition to the place of the backup. `allow_partial`: a backup is restored
    even if it lacks a part of Pulsar's metadata. `looked_up`: the backup is the newest of a series, and was not chosen
    by an operator. `bucket_access` is how to read the buckets of tiered storage. If it is None, they are not checked.
    """

    wanted: RestorePoint | Series
    version: str
    data: DataDir
    spool_dir: Path
    ensemble: str
    admin_port: int
    overwrite_existing: bool
    recovery_options: RecoveryOptions
    admin_address: str = ""
    allow_older: bool = False
    allow_partial: bool = False
    looked_up: bool = False
    newer_in: tuple[Series, ...] = ()
    bucket_access: StoreOptions | None = None
    login: Login | None = None
    tls: Tls | None = None
    sasl: Sasl | None = None

    @property
    def members(self) -> list[str]:
        """`host:port` of each member."""
        return list(dict.fromkeys(filter(None, self.ensemble.split(","))))

    @property
    def point(self) -> RestorePoint:
        """The backup to restore. It is a bug to ask before it was looked up (ToolError)."""
        if isinstance(self.wanted, Series):
            raise ToolError(
                f"the newest backup of {self.wanted} was not looked up", "Report this bug. Nothing was touched"
            )
        return self.wanted

    @property
    def described(self) -> str:
        """What is wanted, in words."""
        return f"the newest {self.wanted}-<epoch ms>.tar.gz" if isinstance(self.wanted, Series) else str(self.wanted)

    def settled(self, point: RestorePoint) -> "RestoreJob":
        """The same job for this backup."""
        return replace(self, wanted=point, looked_up=isinstance(self.wanted, Series))

    def accepts(self, point: str) -> bool:
        """Whether members may have been restored from this point. For `latest`, from any."""
        return isinstance(self.wanted, Series) or point == str(self.wanted)

    @property
    def marker(self) -> Marker:
        """The marker that this restore leaves in the data directory."""
        return self.marker_from(str(self.point))

    def marker_from(self, point: str) -> Marker:
        """The marker of this restore, if its point is this one."""
        return Marker(self.version, point, self.recovery_options.described())

    @property
    def aside(self) -> str:
        """The reason that becomes part of the name of data that is moved aside."""
        return f"replaced-by-restore-{self.version}"
