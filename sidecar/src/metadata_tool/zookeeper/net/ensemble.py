"""What must be known of an ensemble to open sessions with it."""

from dataclasses import dataclass, field

from metadata_tool.zookeeper import limits
from metadata_tool.zookeeper.limits import ConnectionLimits
from metadata_tool.zookeeper.net.sasl import Sasl
from metadata_tool.zookeeper.net.tls import Tls


@dataclass(frozen=True)
class Login:
    """A scheme such as `digest`, and its credential, which no message shows."""

    scheme: str
    credential: str = field(repr=False)


@dataclass(frozen=True)
class Ensemble:
    """The servers (`host:port,…`), the login, TLS and SASL, if any, and how many seconds to wait for a session."""

    servers: str
    login: Login | None = None
    patience: float = limits.CONNECT_TIMEOUT
    tls: Tls | None = None
    sasl: Sasl | None = None
    limits: ConnectionLimits = field(default_factory=ConnectionLimits)
