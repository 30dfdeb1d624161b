"""How to reach the brokers' web service: its address, a token, TLS."""

import ssl
from dataclasses import dataclass, field
from pathlib import Path

from metadata_tool.broker_metadata.limits import REQUEST_TIMEOUT
from metadata_tool.errors import BrokerDenied, BrokerUnreachable


@dataclass(frozen=True)
class BrokerAccess:
    """The address, `http://host:port` or `https://…`, without a path. Everything else is optional.

    `ca`, `cert` and `key` are PEM files. `request_timeout` is in seconds, for one answer.
    """

    url: str
    token: str = field(default="", repr=False)
    token_file: Path | None = None
    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None
    request_timeout: float = REQUEST_TIMEOUT

    def current_token(self) -> str:
        """The token, read again if it is in a file. Empty if there is none.

        Raises:
            BrokerDenied: the file cannot be used.
        """
        if not self.token_file:
            return self.token
        try:
            token = self.token_file.read_text("ascii").strip()
        except OSError as error:
            raise self._unusable(f"cannot be read ({error.strerror})") from error
        except UnicodeDecodeError:
            raise self._unusable("is not ASCII text") from None  # the cause holds the secret
        if not is_token(token):
            raise self._unusable("is not one word of printable characters" if token else "is empty")
        return token

    def _unusable(self, state: str) -> BrokerDenied:
        return BrokerDenied(
            f"the token in {self.token_file} (BROKER_TOKEN_FILE) {state}", "Put the token of a role of Pulsar there"
        )

    def context(self) -> ssl.SSLContext | None:
        """The TLS context. None if the address is plain.

        Raises:
            BrokerUnreachable: a PEM file cannot be used.
        """
        if not self.url.startswith("https://"):
            return None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)
        try:
            if self.ca:
                context.load_verify_locations(self.ca)
        except OSError as error:
            raise _unusable_file(f"{self.ca} (BROKER_TLS_CA)", error) from error
        try:
            if self.cert and self.key:
                context.load_cert_chain(self.cert, self.key, password="")
        except OSError as error:
            names = f"{self.cert} (BROKER_TLS_CERT) or {self.key} (BROKER_TLS_KEY)"
            raise _unusable_file(names, error) from error
        return context


@dataclass(frozen=True)
class BrokerSettings:
    """How a backup asks brokers: seconds that it may take, requests in flight, and requests a second."""

    access: BrokerAccess
    timeout: int
    requests: int
    rate: int


def is_token(text: str) -> bool:
    """Whether a text can be a token: one word of printable ASCII characters."""
    return bool(text) and all("!" <= char <= "~" for char in text)


def _unusable_file(names: str, error: OSError) -> BrokerUnreachable:
    why = error.reason if isinstance(error, ssl.SSLError) else error.strerror
    return BrokerUnreachable(
        f"{names} cannot be used ({(why or str(error)).replace('_', ' ').lower()})",
        "Set each to a PEM file, the key without a password",
    )
