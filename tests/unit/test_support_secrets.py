"""The check for secrets finds them."""

import sys
from pathlib import Path

import pytest

from support.processes import Process
from support.secrets import secrets_of

GIVEN = {
    "AWS_SECRET_ACCESS_KEY": "the-secret-key\n",
    "AWS_SESSION_TOKEN": "the-session-token",
    "ZOOKEEPER_AUTH": "digest:user:the-password",
    "ZOOKEEPER_SASL_PASSWORD": "sasl-password",
    "ZOOKEEPER_TLS_KEY_PASSWORD": "store-password",
    "AWS_ENDPOINT_URL_S3": "http://user:in-the-address@127.0.0.1:1/",
    "BUCKET": "s3a://bucket",
}


def test_each_kind_is_known(tmp_path: Path) -> None:
    """Keys, tokens, passwords, those in addresses and those in mounted files are secrets. Other values are not."""
    (tmp_path / "AWS_SECRET_ACCESS_KEY").write_text("a-mounted-key\n")
    (tmp_path / "token").write_text("a-mounted-token\n")
    expected = {
        "the-secret-key",
        "the-session-token",
        "the-password",
        "sasl-password",
        "store-password",
        "in-the-address",
        "a-mounted-key",
        "a-mounted-token",
    }
    mounted = {"S3_CREDENTIALS_DIR": str(tmp_path), "BROKER_TOKEN_FILE": str(tmp_path / "token")}
    assert expected == secrets_of(GIVEN | mounted)


@pytest.mark.parametrize("secret", sorted(secrets_of(GIVEN)))
def test_told_secret_is_found(secret: str, tmp_path: Path) -> None:
    """A process of the program that prints a secret fails the test that runs it, without its value."""
    told = Process([sys.executable, "-c", f"print({secret!r})", "metadata_tool"], tmp_path / "log", GIVEN)
    with pytest.raises(AssertionError, match="1 secrets are in the log") as raised:
        told.wait()
    assert secret not in str(raised.value)
