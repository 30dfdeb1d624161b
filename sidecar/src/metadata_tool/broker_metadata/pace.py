"""Limits how many requests to brokers start in a second."""

import threading
import time

from metadata_tool.broker_metadata.client import Answer, Asks


class Paced:
    """Sends requests through another client. At most `rate` of them start in a second, from all threads together."""

    def __init__(self, broker: Asks, rate: int) -> None:
        self._broker, self._pause = broker, 1 / rate
        self._next = 0.0
        self._lock = threading.Lock()

    def request(self, method: str, path: str, body: bytes | None = None, *, repeatable: bool | None = None) -> Answer:
        """The answer of a broker, as `BrokerClient` gives it."""
        with self._lock:
            now = time.monotonic()
            start = max(now, self._next)
            self._next = start + self._pause
        time.sleep(start - now)
        return self._broker.request(method, path, body, repeatable=repeatable)
