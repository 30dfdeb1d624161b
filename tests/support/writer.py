"""Runs in a pod: clients that create znodes through the Service, and print each that was acknowledged.

Arguments: the servers, and how many clients. It ends by SIGTERM.
"""

import contextlib
import os
import signal
import sys
import threading
import time

from kazoo.client import KazooClient
from kazoo.exceptions import KazooException, NodeExistsError
from kazoo.handlers.threading import KazooTimeoutError


def write(servers: str, number: int) -> None:
    """Create one after the other; one whose answer was lost is asked for again."""
    zookeeper = KazooClient(servers, timeout=6)
    count = 0
    while True:
        with contextlib.suppress(KazooException, KazooTimeoutError):
            if not zookeeper.connected:
                zookeeper.start(timeout=5)
            path = f"/written-{number}-{count}"
            with contextlib.suppress(NodeExistsError):
                zookeeper.create(path, b"")
            os.write(1, f"{path}\n".encode())  # in one piece, as several threads write
            count += 1
        time.sleep(0.004)


def main() -> None:
    """All clients, for ever."""
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))  # the first process of a container has no default handler
    servers, number = sys.argv[1], int(sys.argv[2])
    threads = [threading.Thread(target=write, args=(servers, each)) for each in range(number)]
    for thread in threads:
        thread.start()


main()
