"""The token that requests to the admin port need if they change anything."""

import hmac
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from metadata_tool.errors import SettingError
from metadata_tool.limits import SHORTEST_TOKEN

_SCHEME = "Bearer "


@dataclass(frozen=True)
class AdminToken:
    """A token, or a file that holds it and is read at every use. With neither, such requests are refused."""

    token: str = field(default="", repr=False)
    file: Path | None = None

    @property
    def is_set(self) -> bool:
        """Whether there is one, right or wrong."""
        return bool(self.token or self.file)

    def allows(self, authorization: str) -> bool:
        """Whether a request with this `Authorization` header has the token. Takes as long for each wrong one.

        Raises:
            SettingError: the file cannot be used.
        """
        token = self._current()
        scheme, given = authorization[: len(_SCHEME)], authorization[len(_SCHEME) :].strip()
        is_equal = hmac.compare_digest(_digest(given), _digest(token))
        return scheme.lower() == _SCHEME.lower() and is_equal and bool(token)

    def _current(self) -> str:
        if not self.file:
            return self.token
        hint = f"Put a token there, one word of at least {SHORTEST_TOKEN} printable characters"
        try:
            token = self.file.read_text("ascii").strip()
        except OSError as error:
            raise SettingError(
                f"the token in {self.file} (ADMIN_TOKEN_FILE) cannot be read ({error.strerror})", hint
            ) from error
        except UnicodeDecodeError:
            raise SettingError(f"the token in {self.file} (ADMIN_TOKEN_FILE) is not ASCII text", hint) from None
        if why := wrong(token):
            raise SettingError(f"the token in {self.file} (ADMIN_TOKEN_FILE) {why}", hint)
        return token


def _digest(token: str) -> bytes:
    """A digest, which has the same length for every token."""
    return sha256(token.encode("utf-8", "surrogateescape")).digest()


def wrong(token: str) -> str:
    """Why a text is not a token, empty if it is one."""
    if not all("!" <= char <= "~" for char in token):
        return "is not one word of printable characters"
    return f"is shorter than {SHORTEST_TOKEN} characters" if len(token) < SHORTEST_TOKEN else ""
