"""The settings of one put-back."""

from dataclasses import dataclass
from pathlib import Path

from metadata_tool.broker_metadata.access import BrokerAccess
from metadata_tool.catalog import RestorePoint
from metadata_tool.zookeeper.net.ensemble import Ensemble


@dataclass(frozen=True)
class PutBackJob:
    """What to put back, and where.

    `point` is None for the backup that the ensemble was restored from. `rate` is how many requests may start in a
    second. `replace` are names of topics whose schemas may be replaced.
    """

    point: RestorePoint | None
    ensemble: Ensemble
    chroot: str
    access: BrokerAccess
    requests: int
    rate: int
    spool_dir: Path
    replace: tuple[str, ...] = ()
    dry_run: bool = False
