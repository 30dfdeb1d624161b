"""The system's error behind an error, where it says more than the place at which it struck."""

import errno
import resource

from metadata_tool.errors import OpenFilesExhausted, ToolError

_TOO_MANY_OPEN = (errno.EMFILE, errno.ENFILE)
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)


def explained(error: ToolError) -> ToolError:
    """The error to report: OpenFilesExhausted if a lack of file descriptors is behind this one, whatever it blames."""
    if not _is_caused_by(error, _TOO_MANY_OPEN):
        return error
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return OpenFilesExhausted(
        f"too many files are open, and this process may open {limit}", "Raise the limit on open files (ulimit -n)"
    )


def is_full_disk(error: BaseException) -> bool:
    """Whether the error comes from a disk or a quota without room."""
    return _is_caused_by(error, _NO_ROOM)


def _is_caused_by(error: BaseException, numbers: tuple[int, ...]) -> bool:
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting:
        each = waiting.pop()
        if each is None or id(each) in seen:
            continue
        if isinstance(each, OSError) and each.errno in numbers:
            return True
        seen.add(id(each))
        waiting += [each.__cause__, each.__context__]
    return False
