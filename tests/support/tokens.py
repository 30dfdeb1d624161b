"""Authentication by token on a real Pulsar: the settings of its brokers, and tokens of roles."""

import base64
import hashlib
import hmac
import json
import secrets

_KEY = secrets.token_bytes(32)
ADMIN = "admin"
"""The role that may do everything. Brokers use it too."""


def token(role: str) -> str:
    """A token of a role."""
    signed = ".".join(_encoded(json.dumps(part).encode()) for part in ({"alg": "HS256"}, {"sub": role}))
    return f"{signed}.{_encoded(hmac.digest(_KEY, signed.encode(), hashlib.sha256))}"


def broker_settings() -> dict[str, str]:
    """The settings of brokers that ask for a token, and permit what a role was granted."""
    return {
        "authenticationEnabled": "true",
        "authorizationEnabled": "true",
        "authenticationProviders": "org.apache.pulsar.broker.authentication.AuthenticationProviderToken",
        "tokenSecretKey": f"data:;base64,{base64.b64encode(_KEY).decode()}",
        "superUserRoles": ADMIN,
        "brokerClientAuthenticationPlugin": "org.apache.pulsar.client.impl.auth.AuthenticationToken",
        "brokerClientAuthenticationParameters": f"token:{token(ADMIN)}",
    }


def _encoded(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()
