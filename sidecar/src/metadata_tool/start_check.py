"""Why new ZooKeeper servers would not start from a tree that is complete and undamaged, and what they need."""

from collections.abc import Iterator

from metadata_tool.errors import TreeUnloadable
from metadata_tool.pulsar.completeness import Finding, named
from metadata_tool.restore_marker import MAX_EPOCHS
from metadata_tool.zookeeper.limits import MAX_JUTE_MAXBUFFER
from metadata_tool.zookeeper.loadable import LoadCheck, Named, leaves_epochs

_STEP = 1 << 20
_AROUND = 4096
"""More than the path, the ACL and the stat around the data of a znode."""
_USE_ANOTHER = "Use a backup without them"


def load_findings(loading: LoadCheck) -> Iterator[Finding]:
    """What servers do not load, each with what to do about it."""
    if loading.too_large.count:
        needed = maxbuffer_for(loading.too_large.largest)
        names = _names(loading.too_large)
        yield Finding.of(
            f"ZooKeeper servers with a jute.maxbuffer of {loading.maxbuffer} do not load {names}",
            f"Start the new servers, brokers and bookies with -Djute.maxbuffer={needed} or more, "
            "and set JUTE_MAXBUFFER to the same value (zookeeper.juteMaxBuffer)",
        )
    if loading.too_deep.count:
        yield Finding.of(
            f"ZooKeeper servers overflow their stack at {_names(loading.too_deep)}",
            _USE_ANOTHER,
        )
    if loading.bad_quotas.count:
        yield Finding.of(
            f"ZooKeeper servers do not load the quota of no path, {_names(loading.bad_quotas)}",
            _USE_ANOTHER,
        )


def epoch_findings(zxid: int) -> Iterator[Finding]:
    """Why an ensemble would elect no leader after a restore of a backup at this zxid."""
    if not leaves_epochs(zxid + (MAX_EPOCHS << 32)):
        yield Finding.of(f"its zxid {zxid:#x} leaves no room for a later one", "Use another backup")


def maxbuffer_for(size: int) -> int:
    """A `jute.maxbuffer`, in whole MiB, with which servers and clients read and write a field of this size."""
    return min(-(-(size + _AROUND) // _STEP) * _STEP, MAX_JUTE_MAXBUFFER)


def require_loadable(loading: LoadCheck) -> None:
    """Refuse a tree that servers do not load.

    Raises:
        TreeUnloadable: the message names the first znodes, and the setting that the servers need.
    """
    for finding in load_findings(loading):
        raise TreeUnloadable(finding.what, f"{finding.at_restore}. Nothing was touched")


def _names(znodes: Named) -> str:
    return named(znodes.first, znodes.count)
