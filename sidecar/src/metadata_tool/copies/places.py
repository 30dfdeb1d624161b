"""All places of copies together: those of the service, and those of a single backup."""

import logging
import time
from collections.abc import Iterator, Sequence

from metadata_tool import root_cause
from metadata_tool.copies.copier import Copier
from metadata_tool.copies.copy import Finished, save_copy
from metadata_tool.errors import BackupNotCopied, ToolError
from metadata_tool.lifecycle import Heartbeat
from metadata_tool.logs import error_fields
from metadata_tool.store import Store

log = logging.getLogger(__name__)


class Copiers:
    """The copiers of the service, which work side by side and know nothing of each other."""

    def __init__(self, copiers: Sequence[Copier] = ()) -> None:
        self._copiers = copiers

    def __iter__(self) -> Iterator[Copier]:
        return iter(self._copiers)

    def start(self) -> None:
        """Start all of them."""
        for copier in self:
            copier.start()

    def offer(self, finished: Finished) -> None:
        """Offer a backup to each."""
        for copier in self:
            copier.offer(finished)

    def begin_stop(self) -> None:
        """Ask all to end. Signal handlers may call this."""
        for copier in self:
            copier.begin_stop()

    def stop(self, patience: float) -> bool:
        """Do the same, and wait. Returns whether all ended within `patience` seconds."""
        self.begin_stop()
        until = time.monotonic() + patience
        ended = [copier.stop(max(0.0, until - time.monotonic())) for copier in self]
        return all(ended)


class CopyOnce:
    """Copies one backup to each place, one after the other."""

    def __init__(self, stores: Sequence[Store], heartbeat: Heartbeat) -> None:
        self._stores = stores
        self._heartbeat = heartbeat
        self._failed: list[str] = []

    def offer(self, finished: Finished) -> None:
        """Copy a backup that is in BUCKET. A failure is logged, and the other places get it."""
        for store in self._stores:
            place = str(store.location)
            extra = {"phase": "copy", "place": place}
            try:
                save_copy(store, finished, finished.path.parent, self._heartbeat)
            except ToolError as caught:
                error = root_cause.explained(caught)
                why = str(error).removesuffix(".")
                log.warning("%s has no copy of the backup: %s", place, why, extra={**extra, **error_fields(error)})
                self._failed.append(place)
            else:
                log.info("copied the backup to %s", store.location.uri(str(finished.name)), extra=extra)

    def require_all(self) -> None:
        """Raise BackupNotCopied if a place has no copy."""
        if self._failed:
            raise BackupNotCopied(
                f"the backup is in BUCKET, but there is no copy in {', '.join(self._failed)}",
                "Look at the warnings above. The next backup is copied again",
            )
