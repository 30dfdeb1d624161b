"""A forward proxy, as HTTP_PROXY and HTTPS_PROXY name one."""

import contextlib
import select
import socket
import threading
from collections.abc import Iterator
from socketserver import StreamRequestHandler, ThreadingTCPServer


@contextlib.contextmanager
def forward_proxy() -> Iterator[tuple[str, list[str]]]:
    """Its address, and the request lines that it has seen."""
    asked: list[str] = []

    class Handler(_Handler):
        pass

    Handler.asked = asked
    with _Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}", asked
        server.shutdown()
        thread.join()


class _Server(ThreadingTCPServer):
    daemon_threads = True


class _Handler(StreamRequestHandler):
    asked: list[str]

    def handle(self) -> None:
        """Open a tunnel for CONNECT. For an absolute address, hand on the request as it came."""
        line = self.rfile.readline().decode()
        self.asked.append(line.strip())
        method, target, _ = line.split()
        head = [line]
        while (header := self.rfile.readline().decode()) not in ("\r\n", ""):
            head.append(header)
        authority = target if method == "CONNECT" else target.partition("://")[2].partition("/")[0]
        host, _, port = authority.rpartition(":")
        with socket.create_connection((host, int(port)), timeout=10) as onward:
            if method == "CONNECT":
                self.wfile.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            else:
                path = "/" + target.partition("://")[2].partition("/")[2]
                kept = [header for header in head[1:] if not header.lower().startswith("proxy-connection")]
                text = "".join([f"{method} {path} HTTP/1.1\r\n", *kept, "Connection: close\r\n", "\r\n"])
                onward.sendall(text.encode())
            _join(self.connection, onward)


def _join(left: socket.socket, right: socket.socket) -> None:
    """Hand on bytes in both directions until one side closes."""
    with contextlib.suppress(OSError):
        while True:
            for ready in select.select([left, right], [], [], 10)[0]:
                content = ready.recv(65536)
                if not content:
                    return
                (right if ready is left else left).sendall(content)
