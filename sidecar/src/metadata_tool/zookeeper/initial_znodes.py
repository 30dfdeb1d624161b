"""The znodes that a new server creates (DataTree's constructor), and that loading a snapshot removes.

Without `/zookeeper/quota` quotas fail later, and without `/zookeeper/config` members differ in it. The configuration of
the saved ensemble is not used: each member writes its own.
"""

from metadata_tool.zookeeper.snapshot import OPEN_ACL_KEY, Node
from metadata_tool.zookeeper.stat import Stat

CONFIG = b"/zookeeper/config"
PATHS = frozenset((b"", b"/zookeeper", CONFIG, b"/zookeeper/quota"))
_NEW = Stat(0, 0, 0, 0, 0, 0, 0, 0, 0).pack()


def of_new_server(read_only: int) -> list[Node]:
    """The znodes of a new server. `read_only` is the key of an ACL that lets anyone read."""
    keys = {b"/zookeeper": OPEN_ACL_KEY, CONFIG: read_only, b"/zookeeper/quota": OPEN_ACL_KEY}
    return [Node(path, b"", key, _NEW) for path, key in keys.items()]
