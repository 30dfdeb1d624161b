"""Frames of ZooKeeper's client protocol, as a server sends and receives them."""

import struct


def frame(content: bytes) -> bytes:
    """With its length, as it goes over the network."""
    return struct.pack(">i", len(content)) + content


def request(xid: int, kind: int, body: bytes = b"") -> bytes:
    """A request of a client."""
    return frame(struct.pack(">ii", xid, kind) + body)


def reply(xid: int, body: bytes = b"", error: int = 0, zxid: int = 5) -> bytes:
    """A reply to a request."""
    return frame(struct.pack(">iqi", xid, zxid, error) + body)


def event(kind: int, path: bytes, zxid: int = 5) -> bytes:
    """A watch event. Its path is `/` for the root."""
    return reply(-1, struct.pack(">iii", kind, 3, len(path)) + path, zxid=zxid)


def pong() -> bytes:
    """The answer to a ping."""
    return reply(-2)
