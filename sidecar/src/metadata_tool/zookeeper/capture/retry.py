"""What changes after a connection broke. Events may have been missed, so all that was read is discarded."""

from metadata_tool.zookeeper.capture.acl_cache import AclCache
from metadata_tool.zookeeper.limits import ReadLimits


def ask_for_less(limits: ReadLimits, cache: AclCache | None) -> ReadLimits:
    """The limits of the next attempt, with smaller requests, for replies that were too large. The cache is dropped."""
    if cache:
        cache.forget()
    return limits.reduced()
