"""The readiness probe of the chart's backup, with every kind of answer of an admin port."""

import contextlib
import socket
import struct
import threading
from collections.abc import Iterator

import pytest

from support.processes import free_port
from support.readiness import probe

FAILED = "HTTP/1.1 503 SERVICE UNAVAILABLE\r\nContent-Type: application/json\r\n\r\n"


@contextlib.contextmanager
def answering(answer: str | None, *, reset: bool = False) -> Iterator[int]:
    """A port that answers one request with this and closes or resets it. With None, it never answers."""
    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with listener.accept()[0] as connection:
                request = b""
                while not request.endswith(b"\r\n\r\n"):  # what is left unread at the close resets the connection
                    request += connection.recv(1000)
                if answer is None:
                    over.wait(60)
                else:
                    connection.sendall(answer.encode())
                if reset:
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            over.set()
            thread.join()


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ('HTTP/1.1 200 OK\r\n\r\n{"status":"ok"}\n', (0, "")),
        (FAILED + '{"error":"the last backup failed: no answer"}\n', (1, "the last backup failed: no answer\n")),
        (FAILED + '{"error":"no end of line"}', (1, "no end of line\n")),
        (FAILED + '{"error":"znode \\"/a\\" may not be read"}\n', (1, 'znode "/a" may not be read\n')),
        (FAILED + '{"error":"$(id) `id` %s \\u2026"}\n', (1, "$(id) `id` %s \\u2026\n")),
    ],
    ids=["ready", "failed", "unended", "quotes", "no-code"],
)
def test_answers(answer: str, expected: tuple[int, str]) -> None:
    """200 is ready and silent. The error of any other answer is printed unchanged."""
    with answering(answer) as port:
        assert expected == probe(port)


@pytest.mark.parametrize(
    ("answer", "reset"), [("", False), ("", True), (None, False)], ids=["closes", "resets", "hangs"]
)
def test_no_answer(answer: str | None, reset: bool) -> None:
    """An admin port that accepts the request and does not answer is not ready."""
    with answering(answer, reset=reset) as port:
        assert (1, f"the admin port {port} does not answer\n") == probe(port)


def test_nothing_listens() -> None:
    """Without an admin port, the pod is not ready, and bash says why."""
    exit_code, said = probe(free_port())
    assert (1, True) == (exit_code, "Connection refused" in said), said
