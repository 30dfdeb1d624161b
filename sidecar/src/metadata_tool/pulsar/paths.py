"""Patterns of paths: `/ledgers/<digits>/**`. `<digits>` is a number, any other `<name>` one name, `/**` all below, too.

They are what the documentation shows, and what is matched.
"""

import re
from dataclasses import dataclass

MANAGED_LEDGERS = "/managed-ledgers"
"""Stands for the configured path in patterns."""

_WILD = re.compile(r"<(\w+)>")


@dataclass(frozen=True)
class Layout:
    """Where Pulsar's tree begins (`/a/b`, empty without a chroot), and where it keeps its managed ledgers."""

    chroot: str = ""
    managed_ledger_path: str = MANAGED_LEDGERS

    def place(self, pattern: str) -> str:
        """The whole path of a pattern."""
        if pattern.startswith(f"{MANAGED_LEDGERS}/"):
            pattern = self.managed_ledger_path + pattern.removeprefix(MANAGED_LEDGERS)
        return self.chroot + pattern

    def compile(self, pattern: str) -> re.Pattern[bytes]:
        """A pattern as a regular expression of whole paths; `<name>` becomes the group `name`."""
        whole, below = pattern.removesuffix("/**"), pattern.endswith("/**")
        parts = _WILD.split(self.place(whole))
        expression = "".join(_group(part) if odd % 2 else re.escape(part) for odd, part in enumerate(parts))
        return re.compile((expression + ("(?:/.*)?" if below else "")).encode(), re.DOTALL)


def _group(name: str) -> str:
    return f"(?P<{name}>{'[0-9]{1,19}' if name == 'digits' else '[^/]+'})"
