"""Which znodes belong to a capture with a chroot."""

import pytest

from metadata_tool.zookeeper.capture.scope import Scope

SCOPE = Scope(b"/in/side")


@pytest.mark.parametrize(
    ("path", "included", "counted"),
    [
        (b"", True, False),
        (b"/in", True, False),
        (b"/in/side", True, False),
        (b"/in/side/a", True, True),
        (b"/in/sidecar", False, False),
        (b"/in/s", False, False),
        (b"/i", False, False),
        (b"/zookeeper", True, False),
        (b"/zookeeper/quota", True, False),
        (b"/zookeepers", False, False),
    ],
)
def test_chroot(path: bytes, *, included: bool, counted: bool) -> None:
    """The chroot, what is above and below it, and ZooKeeper's own belong to it. Only what is below is counted."""
    assert (included, counted) == (SCOPE.includes(path), SCOPE.counts(path))


def test_all() -> None:
    """Without a chroot everything belongs to it, and all but the root is counted."""
    assert [(True, False), (True, True)] == [(Scope().includes(path), Scope().counts(path)) for path in (b"", b"/a")]
