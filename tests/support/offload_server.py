"""An S3 server that answers as one with very many offloaded ledgers, of which it keeps none."""

import contextlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

from support.offload import Offloaded

PAGE = 1000
_SPREAD = 0x9E3779B97F4A7C15F39CC0605CEDC835
"""Makes the uuids of ledgers as mixed as real ones."""


def ledger(number: int, per_topic: int = 1000) -> Offloaded:
    """The ledger of this number."""
    topic = number // per_topic
    name = f"tenant/namespace-{topic // 100:03d}/persistent/topic-{topic % 100:04d}"
    return Offloaded(UUID(int=number * _SPREAD & (1 << 128) - 1), number + 1, name)


@contextlib.contextmanager
def offload_server(ledgers: int, per_topic: int = 1000) -> Iterator[str]:
    """The endpoint of a server whose every bucket holds so many ledgers."""

    class Handler(_Handler):
        pass

    Handler.ledgers, Handler.per_topic = ledgers, per_topic
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # else each body waits for the client to acknowledge the headers
    ledgers: int
    per_topic: int

    def do_GET(self) -> None:  # the server looks for this name
        """Answer a listing, or an index."""
        url = urlsplit(self.path)
        key = url.path.rpartition("/")[2]
        if key.endswith("-index"):
            self._answer(self._ledger(int(key.split("-")[-2]) - 1).index(), "application/octet-stream")
        else:
            self._answer(self._page(parse_qs(url.query)).encode(), "application/xml")

    def _ledger(self, number: int) -> Offloaded:
        return ledger(number, self.per_topic)

    def _page(self, query: dict[str, list[str]]) -> str:
        first = int(query.get("continuation-token", ["0"])[0])
        end = min(first + PAGE // 2, self.ledgers)
        index_size = len(self._ledger(0).index())
        contents = "".join(
            f"<Contents><Key>{each.data_key}</Key><Size>{each.data_length}</Size></Contents>"
            f"<Contents><Key>{each.index_key}</Key><Size>{index_size}</Size></Contents>"
            for each in map(self._ledger, range(first, end))
        )
        more = end < self.ledgers
        following = f"<NextContinuationToken>{end}</NextContinuationToken>" if more else ""
        return (
            f"<ListBucketResult><Name>b</Name><KeyCount>{2 * (end - first)}</KeyCount><MaxKeys>{PAGE}</MaxKeys>"
            f"<IsTruncated>{'true' if more else 'false'}</IsTruncated>{following}{contents}</ListBucketResult>"
        )

    def _answer(self, body: bytes, kind: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""
