"""Which broker is asked for events, and with what."""

import json
from pathlib import Path

import pytest

from metadata_tool.broker_metadata.access import BrokerAccess
from metadata_tool.broker_metadata.client import Answer
from metadata_tool.broker_metadata.event_reader import EventReader, new_client
from metadata_tool.broker_metadata.not_saved import NotSavedError, Reason
from metadata_tool.errors import BrokerDenied

EVENTS = "t/ns/persistent/__change_events"
LOOKUP = "/lookup/v2/topic/persistent/t/ns/__change_events"
PLAIN = {"brokerUrl": "pulsar://127.0.0.1:1", "brokerUrlSsl": ""}


class Broker:
    """Answers the lookup."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer

    def request(self, method: str, path: str, body: bytes | None = None, *, repeatable: bool | None = None) -> Answer:
        """The answer."""
        assert ("GET", LOOKUP, None, None) == (method, path, body, repeatable)
        return self._answer


def found(owner: object) -> Answer:
    """An answer that names the owner of a topic."""
    return Answer(200, json.dumps(owner).encode())


@pytest.mark.parametrize(
    ("url", "answer", "reason"),
    [
        ("http://b:8080", Answer(404, b""), Reason.DELETED),
        ("http://b:8080", Answer(412, b""), Reason.FAILED),
        ("http://b:8080", found([]), Reason.FAILED),
        ("http://b:8080", found({"brokerUrl": 1}), Reason.FAILED),
        ("http://b:8080", found({"brokerUrl": "http://b"}), Reason.FAILED),
        ("https://b:8443", found(PLAIN), Reason.FAILED),
        ("https://b:8443", found(PLAIN | {"brokerUrlSsl": "pulsar://127.0.0.1:1"}), Reason.FAILED),
    ],
)
def test_lookup_without_an_owner(url: str, answer: Answer, reason: Reason) -> None:
    """Without the address of a broker, nothing is read. With https, an address without TLS does not count."""
    with pytest.raises(NotSavedError) as caught:
        list(EventReader(BrokerAccess(url), Broker(answer)).events(EVENTS))
    assert reason is caught.value.reason


def test_unusable_token(tmp_path: Path) -> None:
    """A token that cannot be read is an error before anything is sent."""
    with pytest.raises(BrokerDenied, match="BROKER_TOKEN_FILE"):
        new_client(BrokerAccess("http://b:8080", token_file=tmp_path / "none"), "pulsar://127.0.0.1:1")
