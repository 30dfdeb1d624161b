"""The classes of rules that make a capture exact, and that a test can replace.

A test replaces one of them by a subclass without a rule, and must then find wrong captures. The cache of ACLs and the
connection are replaced where they are made.
"""

from collections.abc import Callable
from dataclasses import dataclass

from metadata_tool.zookeeper.capture.acl_table import AclTable
from metadata_tool.zookeeper.capture.acl_verifier import AclVerifier
from metadata_tool.zookeeper.capture.captured_tree import CapturedTree
from metadata_tool.zookeeper.capture.changes import ChangeTracker
from metadata_tool.zookeeper.capture.consistent_cut import ConsistentCut, is_quota_stats
from metadata_tool.zookeeper.capture.spool import Overlay


@dataclass(frozen=True)
class Rules:
    """The classes that a capture uses."""

    tracker: type[ChangeTracker] = ChangeTracker
    """Events mark what must be read again, and replies clear marks."""
    table: type[AclTable] = AclTable
    """An ACL counts for one version of its znode, and only if all of it is shown."""
    cut: type[ConsistentCut] = ConsistentCut
    """All is consistent at the zxid of one reply."""
    is_quota_stats: Callable[[bytes], bool] = is_quota_stats
    """Some znodes change without an event."""
    overlay: type[Overlay] = Overlay
    """What was read again replaces what was read before."""
    verifier: type[AclVerifier] = AclVerifier
    """ACL versions are the same before and after the capture's zxid."""
    result: type[CapturedTree] = CapturedTree
    """The server has as many znodes as were read."""


ALL_RULES = Rules()
