"""What the service knows of drills, from their records in the bucket."""

import logging
from collections.abc import Callable

from metadata_tool.drill.records import Records
from metadata_tool.errors import FAULT, Stopped, ToolError
from metadata_tool.lifecycle import Heartbeat, interruptible
from metadata_tool.metrics import Metrics

log = logging.getLogger(__name__)

_PHASE = {"phase": "drill"}


class DrillWatch:
    """Called by the service when it starts and after each backup. Reads the records, and sets the metrics.

    Nothing is raised, and what was known stays if the records cannot be read.
    """

    def __init__(self, read: Callable[[], Records], metrics: Metrics) -> None:
        self._read = read
        self._metrics = metrics
        self.last = Records()
        """The newest records that could be read."""
        self._told = False
        """Whether the log says that they cannot be read now."""

    def __call__(self, heartbeat: Heartbeat) -> None:
        """Read the records, unless the service is asked to stop meanwhile."""
        try:
            self.last = interruptible(self._read, heartbeat)
        except Stopped:
            return
        except ToolError as error:
            if not self._told:
                log.warning("the records of drills cannot be read, because %s", error, extra=_PHASE)
            self._told = True
        except Exception:
            log.exception("the records of drills cannot be read, because of %s", FAULT, extra=_PHASE)
        else:
            self._told = False
            self._metrics.drilled(self.last)
