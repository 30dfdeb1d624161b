"""Why new servers would not start, as messages."""

import pytest

from metadata_tool.errors import TreeUnloadable
from metadata_tool.start_check import load_findings, maxbuffer_for, require_loadable
from metadata_tool.zookeeper.loadable import LoadCheck
from support.trees import node

SIZE = 2_700_000


def check(*sizes: int) -> LoadCheck:
    """The check of a tree with data of these sizes."""
    loading = LoadCheck()
    for number, size in enumerate(sizes):
        loading.add(node(b"/%d" % number, bytes(size)))
    return loading


@pytest.mark.parametrize(
    ("sizes", "names"),
    [
        ([SIZE], f"/0 ({SIZE} bytes)"),
        ([SIZE, 3 << 20], f"/0 ({SIZE} bytes) and /1 (3145728 bytes)"),
        ([SIZE] * 6, f"{', '.join(f'/{number} ({SIZE} bytes)' for number in range(5))} and /5 ({SIZE} bytes)"),
        ([SIZE] * 7, f"{', '.join(f'/{number} ({SIZE} bytes)' for number in range(6))} and 1 more"),
        ([SIZE] * 30, f"{', '.join(f'/{number} ({SIZE} bytes)' for number in range(6))} and 24 more"),
    ],
)
def test_names(sizes: list[int], names: str) -> None:
    """The first znodes are named, with their sizes, and the others are counted."""
    (finding,) = load_findings(check(*sizes))
    assert f"ZooKeeper servers with a jute.maxbuffer of 1048575 do not load {names}" == finding.what


def test_refusal() -> None:
    """A tree that servers do not load is refused, and the message has the settings for the largest znode."""
    with pytest.raises(TreeUnloadable) as refused:
        require_loadable(check(SIZE, 7 << 20, SIZE))
    hint = (
        "Start the new servers, brokers and bookies with -Djute.maxbuffer=8388608 or more, and set JUTE_MAXBUFFER to "
        "the same value (zookeeper.juteMaxBuffer). Nothing was touched"
    )
    assert hint == refused.value.hint


def test_loadable() -> None:
    """A tree that servers load is not refused, even if its clients need a higher limit."""
    require_loadable(check(1, 2_000_000))


@pytest.mark.parametrize(
    ("path", "what"),
    [
        (b"/x" * 2001, f"ZooKeeper servers overflow their stack at {'/x' * 50}… (2001 levels)"),
        (
            b"/zookeeper/quota/zookeeper_limits",
            "ZooKeeper servers do not load the quota of no path, /zookeeper/quota/zookeeper_limits",
        ),
    ],
)
def test_shapes(path: bytes, what: str) -> None:
    """A tree that no setting makes loadable is refused, too."""
    loading = LoadCheck()
    loading.add(node(path))
    with pytest.raises(TreeUnloadable) as refused:
        require_loadable(loading)
    assert (what, "Use a backup without them. Nothing was touched") == (refused.value.message, refused.value.hint)


@pytest.mark.parametrize(
    ("size", "needed"),
    [(1, 1 << 20), (SIZE, 3 << 20), (3 << 20, 4 << 20), ((4 << 20) - 1, 5 << 20), (1 << 31, 0x3FFF_FFFF)],
)
def test_needed(size: int, needed: int) -> None:
    """The limit that is advised has room for the field and what is around it, up to the highest that servers take."""
    assert needed == maxbuffer_for(size)
