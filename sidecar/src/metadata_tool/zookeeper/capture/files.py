"""The files of a capture, in a directory of its own."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from metadata_tool.zookeeper.capture.rules import ALL_RULES, Rules
from metadata_tool.zookeeper.capture.spool import Overlay, PathQueue, Spool


@dataclass(frozen=True)
class CaptureFiles:
    """The znodes of the walk, those that were read again, and the paths of the next level."""

    directory: Path
    spool: Spool
    overlay: Overlay
    stack: ExitStack

    def queue(self, depth: int) -> PathQueue:
        """A new queue for the paths of this level. The root is level 0."""
        queue = PathQueue.create(self.directory / f"level-{depth}")
        self.stack.callback(queue.close)
        return queue


@contextmanager
def capture_files(directory: Path, rules: Rules = ALL_RULES) -> Iterator[CaptureFiles]:
    """Create the files in an empty directory. They are closed after the block."""
    with ExitStack() as stack:
        spool = Spool.create(directory / "walk")
        stack.callback(spool.close)
        overlay = rules.overlay.create(directory / "overlay")
        stack.callback(overlay.close)
        yield CaptureFiles(directory, spool, overlay, stack)
