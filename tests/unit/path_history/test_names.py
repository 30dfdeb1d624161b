"""Names that operators type."""

import pytest

from metadata_tool.path_history.names import pattern, znode_path
from metadata_tool.pulsar.paths import Layout


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("/admin/policies", "/admin/policies"),
        ("/admin/policies/", "/admin/policies"),
        ("/", "/"),
        ("acme", "/pulsar/admin/policies/acme"),
        ("acme/orders", "/pulsar/admin/policies/acme/orders"),
        ("acme/c1/orders", "/pulsar/admin/policies/acme/c1/orders"),
        ("persistent://acme/orders/a", "/pulsar/ml/acme/orders/persistent/a"),
        ("persistent://acme/c1/orders/b c", "/pulsar/ml/acme/c1/orders/persistent/b+c"),
        ("persistent://acme/orders/a b*", "/pulsar/ml/acme/orders/persistent/a+b*"),
        ("segment://acme/orders/a/0000-ffff-0", "/pulsar/ml/acme/orders/segment/a/0000-ffff-0"),
    ],
)
def test_paths(name: str, expected: str) -> None:
    """A path stays, and a name of Pulsar becomes the path of its znode."""
    assert expected == znode_path(name, Layout("/pulsar", "/ml"))


@pytest.mark.parametrize("name", ["", "a/b/c/d", "http://a/b/c", "a//b"])
def test_refused(name: str) -> None:
    """What is none of these is refused."""
    with pytest.raises(ValueError, match="neither a path"):
        znode_path(name, Layout())


@pytest.mark.parametrize(
    ("glob", "matching", "others"),
    [
        ("/a/*", ["/a/b", "/a/"], ["/a", "/a/b/c", "/b/a"]),
        ("/a/**", ["/a/b", "/a/b/c"], ["/a", "/b"]),
        ("/a/?", ["/a/b"], ["/a/bb", "/a//"]),
        ("/a.b", ["/a.b"], ["/axb"]),
        ("/**/x", ["/a/x", "/a/b/x"], ["/x", "/a/xx"]),
    ],
)
def test_patterns(glob: str, matching: list[str], others: list[str]) -> None:
    """Only `**` matches a slash, and everything else stands for itself."""
    assert [] == [path for path in matching if not pattern(glob).fullmatch(path)]
    assert [] == [path for path in others if pattern(glob).fullmatch(path)]
