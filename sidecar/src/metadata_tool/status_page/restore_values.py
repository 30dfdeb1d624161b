"""The values of the chart that restore one backup, to paste."""

import json

from metadata_tool.catalog import Backup

_KEYS = "      encryption: {secretName: backup-keys}  # your Secret with identity.txt and signing.pub"


def restore_values(backup: Backup, *, newest: bool, encrypted: bool) -> str:
    """YAML. A backup that is not the newest sound one is restored only on purpose."""
    folder = backup.uri.removesuffix(f"/{backup.name}")
    older = [] if newest else ["      allowOlder: true  # there are newer backups, or this one is suspect"]
    return "\n".join(
        [
            "zookeeper:",
            "  customTools:",
            "    restore:",
            "      enable: true",
            f"      restorePoint: {json.dumps(backup.uri)}",
            f"      bucket: {json.dumps(folder)}",
            f'      restoreVersion: "{backup.name.timestamp}"  # to restore it again, set another number',
            *older,
            *([_KEYS] if encrypted else []),
        ]
    )
