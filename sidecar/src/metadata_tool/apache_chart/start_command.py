"""The command that a member runs before its ZooKeeper starts, so that others see which restore it comes from.

It is the value `zookeeper.additionalCommand` of Apache's chart: one line for `sh`, which runs before
`OPTS="… $OPTS" exec bin/pulsar zookeeper`.
"""

from metadata_tool.zookeeper import probe
from metadata_tool.zookeeper.datadir import JOINED, MARKER, VERSION_2

_POINT = "A-Za-z0-9:/._=+@,-"
"""Characters of a restore point that need no quotes."""


def start_command(data_dir: str) -> str:
    """The command, for members with this data directory.

    The marker of a member that joins (JOINED) counts only once the member has the ensemble's tree. Until then, it has
    no snapshot, or only the snapshot.0 of an empty server. The property HAS_RUN is not set, because in this chart empty
    members have a vote, too.
    """
    point = rf's|^  "restorePoint": "([{_POINT}]*)",$|-D{probe.POINT}=\1|p'
    return " ".join(
        (
            f"d={data_dir}; m=$d/{VERSION_2}/{MARKER};",
            rf"if [ ! -e $m ] && ls $d/{VERSION_2} 2>/dev/null | grep '^snapshot[.]'",
            rf"| grep -qvE '^snapshot[.]0([.]gz|[.]snappy)?$'; then m=$d/{JOINED}; fi;",
            f"if [ -e $m ]; then export OPTS=\"$OPTS -D{probe.ORIGIN}=$(sha256sum < $m | cut -d' ' -f1)",
            f"$(sed -nE '{point}' $m)\"; fi;",
        )
    )
