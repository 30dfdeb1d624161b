import resource

import pytest

from metadata_tool import limits
from metadata_tool.admin_port.bounds import of_this_process


@pytest.mark.parametrize(
    ("files", "connections"),
    [
        (1024, limits.CONNECTIONS),
        (1 << 20, limits.CONNECTIONS),
        (resource.RLIM_INFINITY, limits.CONNECTIONS),
        (64, 16),
        (3, 1),
    ],
)
def test_connections_leave_files_to_others(files: int, connections: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """However few files the process may open, connections take at most a quarter of them."""
    monkeypatch.setattr(resource, "getrlimit", lambda _: (files, files))
    assert connections == of_this_process().connections
