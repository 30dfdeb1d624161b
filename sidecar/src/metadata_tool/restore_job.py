"""The settings of one restore."""

from dataclasses import dataclass, replace
from pathlib import Path

from metadata_tool.catalog import BackupName, RestorePoint, Series
from metadata_tool.derived_backup import RECONCILED, derived_name
from metadata_tool.errors import ToolError
from metadata_tool.pulsar.recovery_options import RecoveryOptions
from metadata_tool.restore_marker import Marker
from metadata_tool.store.base import StoreOptions
from metadata_tool.zookeeper.datadir import DataDir
from metadata_tool.zookeeper.limits import JUTE_MAXBUFFER
from metadata_tool.zookeeper.net.ensemble import Login
from metadata_tool.zookeeper.net.sasl import Sasl
from metadata_tool.zookeeper.net.tls import Tls


@dataclass(frozen=True)
class RestoreJob:
    """What to restore, under which version, where to, and what the new cluster needs.

    `wanted` is a backup, or a series whose newest backup is wanted. `ensemble` is `host:port,…` of the members, empty
    if they are not known. They are asked with `tls`, and with `login` and `sasl` if one serves. `admin_port` is the
    port of their AdminServers, `admin_address` the address of this member's (empty: all addresses). `newer_in` are
    places to check for newer backups, in addition to the place of the backup. `allow_partial`: a backup is restored
    even if it lacks a part of Pulsar's metadata. `looked_up`: the backup is the newest of a series, and was not chosen
    by an operator. `bucket_access` is how to read the buckets of tiered storage. If it is None, they are not checked.
    `jute_maxbuffer` is that of the new servers.
    `is_settled`: `wanted` is the point that all members of this restore take.
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
    jute_maxbuffer: int = JUTE_MAXBUFFER
    is_settled: bool = False
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

    @property
    def waits(self) -> bool:
        """Whether members wait until one of them has chosen or made the point for all."""
        return isinstance(self.wanted, Series) or self.recovery_options.reconcile

    @property
    def shared_point(self) -> RestorePoint | None:
        """The point that all members of this restore take. None if it is not known yet, because it is looked up."""
        if isinstance(self.wanted, Series):
            return None
        return self.reconciled(self.wanted) if self.recovery_options.reconcile and not self.is_settled else self.wanted

    def reconciled(self, source: RestorePoint) -> RestorePoint:
        """Where this restore keeps what it makes of a backup and of tiered storage. All members derive the same name.

        Raises:
            SettingError: the prefix is too long.
        """
        digest = self.marker_from(str(source)).digest[:10]
        return RestorePoint(source.location, derived_name(source.name, f"{RECONCILED}-{digest}"))

    def may_share(self, point: RestorePoint) -> bool:
        """Whether another member may have chosen this point for all."""
        if not isinstance(self.wanted, Series):
            return point == self.shared_point
        if not self.recovery_options.reconcile:
            return point in self.wanted
        source = RestorePoint(self.wanted.location, BackupName(self.wanted.prefix, point.name.timestamp))
        return point == self.reconciled(source)

    def settled(self, point: RestorePoint) -> "RestoreJob":
        """The same job for this backup."""
        return replace(self, wanted=point, looked_up=self.looked_up or isinstance(self.wanted, Series), is_settled=True)

    def accepts(self, point: str) -> bool:
        """Whether members may have been restored from this point. For `latest`, from any."""
        return self.shared_point is None or point == str(self.shared_point)

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
