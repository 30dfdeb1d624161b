"""Paths of znodes, from what operators type: a path, a topic, a namespace or a tenant."""

import re
from urllib.parse import quote

from metadata_tool.pulsar.paths import MANAGED_LEDGERS, Layout

_TOPIC = re.compile(r"persistent://(?P<namespace>[^/]+/[^/]+(?:/[^/]+)?)/(?P<topic>.+)", re.DOTALL)
_SEGMENT = re.compile(r"segment://(?P<namespace>[^/]+/[^/]+)/(?P<topic>[^/]+/[^/]+)")
_NAMESPACE = re.compile(r"[^/]+(?:/[^/]+){0,2}")


def znode_path(name: str, layout: Layout) -> str:
    """The path of a znode for a path itself, `persistent://tenant/namespace/topic`, `tenant/namespace` or a tenant.

    Wildcards stay as they are.

    Raises:
        ValueError: it is none of these.
    """
    if name.startswith("/"):
        return "/" + name.strip("/")
    if match := _TOPIC.fullmatch(name):
        return layout.absolute(f"{MANAGED_LEDGERS}/{match['namespace']}/persistent/{_encoded(match['topic'])}")
    if match := _SEGMENT.fullmatch(name):
        return layout.absolute(f"{MANAGED_LEDGERS}/{match['namespace']}/segment/{match['topic']}")
    if _NAMESPACE.fullmatch(name):
        return layout.absolute(f"/admin/policies/{name}")
    raise ValueError("it is neither a path, nor the name of a topic, a namespace or a tenant")


def pattern(glob: str) -> re.Pattern[str]:
    """A regular expression for a pattern: `**` is anything, `*` and `?` do not match a slash."""
    parts = re.split(r"(\*\*|\*|\?)", glob)
    wildcards = {"**": ".*", "*": "[^/]*", "?": "[^/]"}
    return re.compile("".join(wildcards.get(part, re.escape(part)) for part in parts), re.DOTALL)


def _encoded(topic: str) -> str:
    """A topic's name as its path has it (Codec.encode), with wildcards as they are."""
    return quote(topic, safe="*?.-_").replace("%20", "+")
