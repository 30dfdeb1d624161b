"""What is counted of one place of copies."""

from dataclasses import dataclass

from metadata_tool.pruner import Pruned


@dataclass
class CopyMetrics:
    """Counts of one place. One thread writes them, and others may read.

    `last_success` is the start of the newest sound backup that is there, in epoch milliseconds (0: none is known).
    `missing` is the number of backups that this process made, and that are copied there later.
    """

    last_success: int = 0
    failures: int = 0
    missing: int = 0
    retention_deleted: int = 0
    retention_failures: int = 0

    def lacks(self, count: int) -> None:
        """Show how many backups are copied there later."""
        self.missing = count

    def pruned(self, done: Pruned) -> None:
        """Count what the retention deleted and could not delete."""
        self.retention_deleted += len(done.deleted)
        self.retention_failures += done.failures

    def prune_failed(self) -> None:
        """Count that the retention could not decide what to delete."""
        self.retention_failures += 1
