"""Runs in a pod: clients that create znodes through the Service, and print each that was acknowledged.

Arguments: the servers, and how many clients. It ends soon after a file END exists.
"""

import contextlib
import os
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from kazoo.client import KazooClient
from kazoo.exceptions import KazooException, NodeExistsError
from kazoo.handlers.threading import KazooTimeoutError

END = Path("/tmp/end")  # of a container of its own


@contextlib.contextmanager
def connected(servers: str) -> Iterator[KazooClient]:
    """A client of its own, for as long as its connection lasts."""
    zookeeper = KazooClient(servers, timeout=6)
    try:
        zookeeper.start(timeout=10)
        yield zookeeper
    finally:
        zookeeper.stop()
        zookeeper.close()


def write(servers: str, number: int) -> None:
    """Create one znode after the other. If an answer was lost, create the same znode again."""
    count = 0
    while True:
        with contextlib.suppress(KazooException, KazooTimeoutError), connected(servers) as zookeeper:
            while True:
                path = f"/written-{number}-{count}"
                with contextlib.suppress(NodeExistsError):
                    zookeeper.create(path, b"")
                os.write(1, f"{path}\n".encode())  # in one piece, because several threads write
                count += 1
                time.sleep(0.01)


def main() -> None:
    """All clients, until the end."""
    servers, number = sys.argv[1], int(sys.argv[2])
    threads = [threading.Thread(target=write, args=(servers, each)) for each in range(number)]
    for thread in threads:
        thread.start()
    while not END.exists():
        time.sleep(2)  # whoever made the file has left this container by then
    os._exit(0)


main()
