from pathlib import Path

import pytest

from metadata_tool.admin_token import AdminToken, wrong
from metadata_tool.errors import SettingError

TOKEN = "zq7secret-zq7secret"


@pytest.mark.parametrize(
    ("authorization", "expected"),
    [
        (f"Bearer {TOKEN}", True),
        (f"bearer  {TOKEN}", True),
        (f"Basic {TOKEN}", False),
        (TOKEN, False),
        (f"Bearer {TOKEN}x", False),
        (f"Bearer {TOKEN[:-1]}", False),
        ("Bearer \udcff\xe9", False),
        ("Bearer ", False),
        ("", False),
    ],
)
def test_token_is_compared(authorization: str, expected: bool) -> None:
    """The token itself is accepted as a bearer token, and nothing else."""
    assert expected == AdminToken(TOKEN).allows(authorization)


def test_file_is_read_at_every_use(tmp_path: Path) -> None:
    """A token in a file changes without a restart, and its last newline does not count."""
    file = tmp_path / "token"
    token = AdminToken(file=file)
    for text in ("first-first-first", "second-second-second"):
        file.write_text(f"{text}\n")
        assert token.allows(f"Bearer {text}")
    assert not token.allows("Bearer first-first-first")


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (None, "No such file"),
        (b"", "shorter than 16"),
        (b"zq7secret", "shorter than 16"),
        (b"zq7secret zq7secret", "one word"),
        (b"\xffzq7secret-zq7secret", "not ASCII"),
    ],
)
def test_file_without_a_token(content: bytes | None, named: str, tmp_path: Path) -> None:
    """A file that holds no token is named, with what is wrong and without its content. It allows nothing."""
    file = tmp_path / "token"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(SettingError, match=named) as caught:
        AdminToken(file=file).allows("Bearer ")
    assert str(file) in str(caught.value)
    assert "zq7secret" not in str(caught.value)


def test_token_is_not_shown() -> None:
    """No traceback shows the token."""
    assert TOKEN not in repr(AdminToken(TOKEN))


@pytest.mark.parametrize(("token", "is_right"), [("x" * 16, True), ("x" * 15, False), ("x" * 16 + " x", False)])
def test_tokens_that_could_be_guessed(token: str, is_right: bool) -> None:
    """A token has at least 16 printable characters."""
    assert is_right == (not wrong(token))
