"""Another client of a server, in a process of its own: how long each of its reads takes, one after the other."""

import contextlib
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from metadata_tool.lifecycle import Heartbeat
from metadata_tool.zookeeper import protocol
from metadata_tool.zookeeper.net.ensemble import Ensemble
from metadata_tool.zookeeper.net.session import connect

_PAUSE = 0.001
_NO_WATCH = b"\0"


@dataclass
class Latency:
    """Milliseconds that reads took, known once it has ended."""

    reads: int = 0
    p50: float = 0.0
    p99: float = 0.0
    worst: float = 0.0

    def __str__(self) -> str:
        """One line for who runs the benchmark."""
        return f"{self.reads:,} reads: p50 {self.p50:.2f} ms, p99 {self.p99:.2f} ms, the longest {self.worst:.2f} ms"


@contextlib.contextmanager
def reading(address: str, latency: Latency) -> Iterator[None]:
    """Read from this server until the end of the block, and tell what it took."""
    command = [sys.executable, "-m", "support.other_client", address]
    tests = Path(__file__).parents[1]
    with subprocess.Popen(
        command, cwd=tests, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
    ) as child:
        assert child.stdout
        try:
            assert child.stdout.readline() == b"ready\n"
            yield
            said, _ = child.communicate(timeout=60)
            for name, value in json.loads(said).items():
                setattr(latency, name, value)
        finally:
            child.kill()


def _read_until_stdin_ends(address: str) -> dict[str, float]:
    waiting = threading.Thread(target=sys.stdin.read, daemon=True)
    waiting.start()
    took = []
    with connect(Ensemble(address), Heartbeat()) as session:
        print("ready", flush=True)
        while waiting.is_alive():
            begin = time.perf_counter()
            session.ask(protocol.GET_DATA, protocol.on_wire(b"/zookeeper") + _NO_WATCH)
            took.append(1000 * (time.perf_counter() - begin))
            time.sleep(_PAUSE)
    took.sort()
    number = len(took)
    return {"reads": number, "p50": took[number // 2], "p99": took[number * 99 // 100], "worst": took[-1]}


if __name__ == "__main__":
    print(json.dumps(_read_until_stdin_ends(sys.argv[1])))
