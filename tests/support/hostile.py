"""Hostile clients of an HTTP port: `python -m support.hostile PORT COUNT` runs until it is ended.

Each client does one kind of harm, and connects again as soon as its connection is closed.
"""

import asyncio
import os
import random
import socket
import ssl
import struct
import sys
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

from support.processes import Process

PATIENCE = 30.0
"""Seconds for which a client holds a connection that is not closed."""
LIST = b"GET /backup/list HTTP/1.1\r\nHost: h\r\n\r\n"
Harm = Callable[[socket.socket], Awaitable[None]]


def start(port: int, count: int, log: Path) -> Process:
    """Start `count` clients in a process of their own. Returns when all of them have connected once."""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    running = Process([sys.executable, "-m", "support.hostile", str(port), str(count)], log, environment)
    running.wait_until(lambda: "all have connected" in running.output())
    return running


async def _send(client: socket.socket, data: bytes) -> None:
    await asyncio.get_running_loop().sock_sendall(client, data)


async def _until_closed(client: socket.socket) -> None:
    while await asyncio.get_running_loop().sock_recv(client, 4096):
        pass


def _sends(data: bytes) -> Harm:
    """Sends this, and waits."""

    async def harm(client: socket.socket) -> None:
        await _send(client, data)
        await _until_closed(client)

    return harm


def _does_not_read(data: bytes) -> Harm:
    """Sends this, and reads nothing."""

    async def harm(client: socket.socket) -> None:
        await _send(client, data)
        await asyncio.sleep(random.uniform(1, 5))

    return harm


async def _one_byte_a_second(client: socket.socket) -> None:
    for byte in b"GET /healthz HTTP/1.1\r\nHost: somebody\r\nX-Slow: very\r\n\r\n":
        await _send(client, bytes([byte]))
        await asyncio.sleep(1)


async def _endless_head(client: socket.socket) -> None:
    await _send(client, b"GET / HTTP/1.1\r\n")
    while True:
        await _send(client, b"X-More: " + b"x" * 1000 + b"\r\n")
        await asyncio.sleep(0.01)


async def _endless_body(client: socket.socket) -> None:
    await _send(client, b"POST /backup/list HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        await _send(client, b"1000\r\n" + b"x" * 0x1000 + b"\r\n")
        await asyncio.sleep(0.01)


async def _resets(client: socket.socket) -> None:
    await _send(client, LIST[: random.randrange(len(LIST) + 1)])
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


async def _random_bytes(client: socket.socket) -> None:
    await _send(client, random.randbytes(random.randrange(1, 3000)))
    await _until_closed(client)


def _tls_hello() -> bytes:
    sent = ssl.MemoryBIO()
    try:
        ssl.create_default_context().wrap_bio(ssl.MemoryBIO(), sent, server_hostname="h").do_handshake()
    except ssl.SSLWantReadError:
        return sent.read()
    raise AssertionError


HARMS: list[Harm] = [
    _sends(b""),
    _sends(b"GET /healthz HTTP/1.1\r\nHost:"),
    _sends(b"GET /healthz HTTP/1.1\r\nHost: h\r\n"),
    _sends(_tls_hello()[:40]),
    _sends(_tls_hello()),
    _sends(b"POST /backup/list HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000\r\n\r\n"),
    _sends(b"GET /metrics HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n"),
    _sends(b"GET /metrics HTTP/1.1\r\nHost: h\r\n\r\n"),
    _does_not_read(LIST),
    _does_not_read(LIST * 20),
    _one_byte_a_second,
    _endless_head,
    _endless_body,
    _resets,
    _random_bytes,
]


async def _client(port: int, harm: Harm, connected: Callable[[], None]) -> None:
    while True:
        with socket.socket() as client:
            client.setblocking(False)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            try:
                await asyncio.wait_for(asyncio.get_running_loop().sock_connect(client, ("127.0.0.1", port)), PATIENCE)
                connected()
                await asyncio.wait_for(harm(client), PATIENCE)
            except (OSError, TimeoutError):
                pass
        await asyncio.sleep(random.uniform(0, 0.1))


async def _main(port: int, count: int) -> None:
    waiting = set(range(count))

    def connected(number: int) -> None:
        if number in waiting:
            waiting.remove(number)
            if not waiting:
                print("all have connected", flush=True)

    await asyncio.gather(*(_client(port, HARMS[n % len(HARMS)], partial(connected, n)) for n in range(count)))


if __name__ == "__main__":
    asyncio.run(_main(int(sys.argv[1]), int(sys.argv[2])))
