"""Patterns of paths, such as `/ledgers/<digits>/**`.

`<digits>` stands for a number of at most 19 digits, any other `<name>` for one name of a path, and a final `/**` for
the znode and everything below it. Code and documentation share the patterns.
"""

import re
from dataclasses import dataclass

MANAGED_LEDGERS = "/managed-ledgers"
"""The start of patterns that follow the configured path of managed ledgers."""
OWN = "/metadata-backup"
"""The znode below which restores write their own data, outside of any chroot. It has no metadata of Pulsar below it."""

CLUSTER_NAME = re.compile(r"[-=:.\w]+", re.ASCII)
"""The name of a Pulsar cluster (NamedEntity)."""

_PLACEHOLDER = re.compile(r"<(\w+)>")


@dataclass(frozen=True)
class Layout:
    """Where Pulsar's tree is: its chroot (`/a/b`, or empty) and the path of its managed ledgers."""

    chroot: str = ""
    managed_ledger_path: str = MANAGED_LEDGERS

    def absolute(self, pattern: str) -> str:
        """The pattern below the chroot, with the configured path of managed ledgers."""
        if pattern.startswith(f"{MANAGED_LEDGERS}/"):
            pattern = self.managed_ledger_path + pattern.removeprefix(MANAGED_LEDGERS)
        return self.chroot + pattern

    def compile(self, pattern: str) -> re.Pattern[bytes]:
        """A regular expression for `fullmatch` with paths. `<name>` becomes the group `name`."""
        znode, with_descendants = pattern.removesuffix("/**"), pattern.endswith("/**")
        parts = _PLACEHOLDER.split(self.absolute(znode))
        expression = "".join(_group(part) if odd % 2 else re.escape(part) for odd, part in enumerate(parts))
        return re.compile((expression + ("(?:/.*)?" if with_descendants else "")).encode(), re.DOTALL)


def _group(name: str) -> str:
    return f"(?P<{name}>{'[0-9]{1,19}' if name == 'digits' else '[^/]+'})"
