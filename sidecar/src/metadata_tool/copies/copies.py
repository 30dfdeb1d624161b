"""What the admin port shows of other places of backups."""

from typing import Protocol

from metadata_tool.catalog import BackupName


class Copies(Protocol):
    """What the admin port needs of another place of backups."""

    @property
    def place(self) -> str:
        """Its address."""

    @property
    def newest(self) -> BackupName | None:
        """The newest sound backup that is known to be there."""

    @property
    def missing(self) -> int:
        """How many backups are copied there later."""

    @property
    def last_failure(self) -> str:
        """Why the newest backup is not there, without secrets. Empty if it is."""
