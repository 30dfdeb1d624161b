import pytest

from metadata_tool.store import parse_location


@pytest.mark.parametrize(
    ("folder", "expected"),
    [
        ("s3://bucket", "s3a://bucket/p-1.tar.gz"),
        ("s3a://bucket/team/prod/", "s3a://bucket/team/prod/p-1.tar.gz"),
        ("file:///var/backups", "file:///var/backups/p-1.tar.gz"),
    ],
)
def test_address_of_a_file(folder: str, expected: str) -> None:
    """A file's address is its folder's and its name."""
    assert expected == parse_location(folder).uri("p-1.tar.gz")


@pytest.mark.parametrize(
    ("folder", "expected"), [("s3a://bucket", "p-1.tar.gz"), ("s3a://bucket/team/prod", "team/prod/p-1.tar.gz")]
)
def test_key_of_a_file(folder: str, expected: str) -> None:
    """An object's key has the path before its name, and never begins with a slash."""
    assert expected == parse_location(folder).key("p-1.tar.gz")
