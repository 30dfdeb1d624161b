"""A relay that adds latency on the way to a server, without reducing throughput."""

import asyncio
import contextlib
import logging
import subprocess
import sys
from collections.abc import Iterator

_CHUNK = 256 << 10
_WINDOW = 256
"""The most chunks in flight in each direction, far more than a server sends within a round trip."""


@contextlib.contextmanager
def delayed(address: str, milliseconds: float) -> Iterator[str]:
    """The address of a relay to this `host:port`, which adds this many milliseconds to each round trip.

    It is a process of its own, so that it takes no time from the measuring process, and it ends with this one. With 0,
    the address is the server's own.
    """
    if not milliseconds:
        yield address
        return
    command = [sys.executable, __file__, address, str(milliseconds)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True) as relay:
        assert relay.stdin
        assert relay.stdout
        try:
            port = int(relay.stdout.readline())
            yield f"127.0.0.1:{port}"
        finally:
            relay.kill()


async def _serve(address: str, milliseconds: float) -> None:
    """Relay until stdin ends, which it does when the parent ends."""
    host, _, port = address.rpartition(":")
    one_way = milliseconds / 2000

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there, back = await asyncio.open_connection(host, int(port), limit=_CHUNK)
        except OSError:
            writer.close()
            return
        await asyncio.gather(_carry(reader, back, one_way), _carry(there, writer, one_way))

    server = await asyncio.start_server(connected, "127.0.0.1", 0, limit=_CHUNK)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.to_thread(sys.stdin.read)


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, one_way: float) -> None:
    """Pass the data of one side to the other, each chunk after its delay, and then the end."""
    under_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(_WINDOW)
    delivery = asyncio.create_task(_deliver(under_way, writer))
    chunk = b"?"
    while chunk:
        try:
            chunk = await reader.read(_CHUNK)
        except OSError:
            chunk = b""
        await under_way.put((asyncio.get_running_loop().time() + one_way, chunk))
    await delivery


async def _deliver(under_way: asyncio.Queue[tuple[float, bytes]], writer: asyncio.StreamWriter) -> None:
    """An empty chunk is the end. What cannot be delivered is dropped, so that no reader waits for it."""
    clock = asyncio.get_running_loop().time
    chunk = b"?"
    while chunk:
        due, chunk = await under_way.get()
        if (early := due - clock()) > 0:
            await asyncio.sleep(early)
        with contextlib.suppress(OSError):
            writer.write(chunk)
            await writer.drain()
    writer.close()


if __name__ == "__main__":
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)  # either side may close the connection
    asyncio.run(_serve(sys.argv[1], float(sys.argv[2])))
