"""Patterns of paths."""

import pytest

from metadata_tool.pulsar.paths import Layout

TOPIC = "/managed-ledgers/<tenant>/<namespace>/persistent/<topic>"


@pytest.mark.parametrize(
    ("pattern", "path", "expected"),
    [
        ("/ledgers/<digits>/**", "/ledgers/00", True),
        ("/ledgers/<digits>/**", "/ledgers/00/0000/L0001", True),
        ("/ledgers/<digits>/**", "/ledgers/idgen", False),
        ("/ledgers/<digits>/**", "/ledgers/00x/1", False),
        ("/ledgers/cookies/<bookie>", "/ledgers/cookies", False),
        ("/ledgers/cookies/<bookie>", "/ledgers/cookies/a:1", True),
        ("/ledgers/cookies/<bookie>", "/ledgers/cookies/a/b", False),
        (TOPIC, "/managed-ledgers/public/default/persistent/orders", True),
        (TOPIC, "/managed-ledgers/public/default/persistent/line%0abreak", True),
        (TOPIC, "/managed-ledgers/public/default/persistent/orders/cursor", False),
        (TOPIC, "/managed-ledgers/public/default/non-persistent/orders", False),
        (TOPIC, "/x/managed-ledgers/public/default/persistent/orders", False),
    ],
)
def test_match(pattern: str, path: str, *, expected: bool) -> None:
    """A pattern matches complete paths."""
    assert expected == bool(Layout().compile(pattern).fullmatch(path.encode()))


@pytest.mark.parametrize(
    ("layout", "path"),
    [
        (Layout("/a/b"), "/a/b/managed-ledgers/public/default/persistent/orders"),
        (Layout("", "/own.path"), "/own.path/public/default/persistent/orders"),
        (Layout("/a", "/b"), "/a/b/public/default/persistent/orders"),
    ],
)
def test_layout(layout: Layout, path: str) -> None:
    """A pattern takes the chroot and the path of managed ledgers literally."""
    match = layout.compile(TOPIC).fullmatch(path.encode())
    assert match
    assert b"orders" == match["topic"]
    assert not layout.compile(TOPIC).fullmatch(path.replace(".", "x").encode() if "." in path else b"/" + path.encode())


def test_line_break_below() -> None:
    """A name below may have any character, a line break, too."""
    assert Layout().compile("/a/**").fullmatch(b"/a/b\nc")
