"""The znodes that a server makes before it has any other (DataTree's constructor), and that loading a snapshot drops.

Without `/zookeeper/quota` quotas break later, and without `/zookeeper/config` members differ in it. What the saved
ensemble's configuration was says nothing of the new one: each member fills in its own.
"""

from metadata_tool.zookeeper.snapshot import OPEN_ACL_KEY, Node
from metadata_tool.zookeeper.stat import Stat

CONFIG = b"/zookeeper/config"
_NEW = Stat(0, 0, 0, 0, 0, 0, 0, 0, 0).pack()


def of_new_server(read_only: int) -> list[Node]:
    """All of them; `read_only` is the key of an ACL that lets anyone read."""
    keys = {b"/zookeeper": OPEN_ACL_KEY, CONFIG: read_only, b"/zookeeper/quota": OPEN_ACL_KEY}
    return [Node(path, b"", key, _NEW) for path, key in keys.items()]
