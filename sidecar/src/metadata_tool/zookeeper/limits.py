"""Every limit and pause of this package, with its reason. Seconds and bytes, unless a name says otherwise."""

from dataclasses import dataclass, replace

JUTE_MAXBUFFER = 0xFFFFF
"""Bytes of a request, of a client's reply and of half a field on disk: a server's default (BinaryInputArchive)."""
MAX_JUTE_MAXBUFFER = 0x3FFF_FFFF
"""With more, 3.8 and older add up a negative limit, and load nothing."""
MAX_DEPTH = 2000
"""Levels of a path. From about 2500 on, the stack of a server with default settings overflows."""
MAX_EPOCH = 0x7F00_0000
"""Each election takes an epoch, and there is none after 0x7FFFFFFF."""
REPORTED_ZNODES = 20
"""Znodes of one kind that a report names."""

# A session

CONNECT_TIMEOUT = 30
"""How long to look for a server that accepts a session: an election of a large ensemble takes less."""
SESSION_TIMEOUT = 15.0
"""A handshake with a server that hangs takes as long, and a pod has 20 s to stop."""
COMMAND_TIMEOUT = 3.0
"""For a four-letter command, TLS included. It never waits for other requests."""
COMMAND_ANSWER = 1 << 16
"""Bytes of its answer, which has a few hundred."""
CONNECT_PAUSES = (0.2, 0.4, 0.8, 1.6, 2.0)
"""Between attempts to connect. The last one repeats."""
LOG_INTERVAL = 10.0
"""Between log lines about the progress of one step."""
PROBE_TIMEOUT = 3.0
"""For a server without a session: those of a new cluster refuse at once, or have no name yet."""
PROBE_ANSWER = 1 << 20
"""The answer of an AdminServer has a few thousand bytes."""
HANDSHAKE_FRAME = 1 << 20
"""The largest answer of a handshake that is accepted. A Kerberos token has some thousand bytes."""
SASL_TOKENS = 6
"""DIGEST-MD5 needs two, GSSAPI three."""
DIGEST_CHALLENGE = 2048
"""RFC 2831, 2.1.1."""

# A connection

REPLY_FRAME = 128 << 20
"""The largest reply that is accepted. A server's own limit (jute.maxbuffer) is 1 MiB for requests, not for replies."""
RECEIVE_BUFFER = 1 << 20
PING_SHARE = 1 / 3
"""After this share of the session timeout without a request, a ping keeps the session alive."""
POLL_MS, POLL_SOON_MS = 200, 5
"""How long to wait for events: a stop must be noticed, and throttled requests are sent again soon."""
THROTTLED_PAUSES = (0.005, 0.01, 0.02, 0.04, 0.08, 0.1)
"""Before a throttled request is sent again. The last one repeats."""


@dataclass(frozen=True)
class ConnectionLimits:
    """How long a server may take.

    A reply counts as lost after `reply_timeout` seconds, for a server can stop for a minute to collect garbage. A
    request that is throttled `throttled_tries` times in a row, about 5 s, will not get through.
    """

    reply_timeout: float = 120.0
    throttled_tries: int = 50


# A capture


@dataclass(frozen=True)
class RetryLimits:
    """How often a capture is tried if its connection breaks, and the pause before the next attempt, in seconds."""

    attempts: int = 4
    pause: float = 1.0


REPLY_BYTES = 1 << 20
"""What a server may have to collect for one reply. It builds the reply in its heap."""
READ_BYTES = 100
"""Bytes of a reply for each znode, besides its data."""
NAME_BYTES = 64
"""Estimated bytes of a reply for each child. Only the number of children is known before."""


@dataclass(frozen=True)
class ReadLimits:
    """How much is asked of a server at once.

    `batch` are znodes in a multi-read, `in_flight` multi-reads on their connection. `cut_in_flight` are multi-reads
    and batches of ACLs of a consistent cut: many, because what has changed must be read soon, and is mostly small.
    `connections` are for ACLs of the walk, and `acls` the requests in a batch on each of them: larger batches are
    faster, and other clients wait longer.
    `request_bytes` bounds a request: a server accepts up to jute.maxbuffer, 1 MiB by default.
    `unknown_bytes` is what a znode of unknown size counts for: 16 of them share a request, so a wrong guess is bounded.
    """

    batch: int = 256
    in_flight: int = 4
    cut_in_flight: int = 200
    connections: int = 8
    acls: int = 7
    request_bytes: int = 256 << 10
    reply_bytes: int = REPLY_BYTES
    unknown_bytes: int = REPLY_BYTES // 16 - READ_BYTES

    def reduced(self) -> "ReadLimits":
        """A quarter of the znodes, ACLs and bytes in a request and its reply, and of the multi-reads in flight.

        A cut keeps its number in flight, and may ask for four znodes of unknown size at once, or it may never succeed.
        """
        return replace(
            self,
            batch=max(1, self.batch // 4),
            in_flight=max(1, self.in_flight // 4),
            acls=max(1, self.acls // 4),
            request_bytes=max(4096, self.request_bytes // 4),
            reply_bytes=max(4 * (self.unknown_bytes + READ_BYTES), self.reply_bytes // 4),
        )


ACL_BATCHES_IN_FLIGHT = 3
"""On each connection for ACLs, so that the next batches are there when the server has answered one."""
ACL_BATCHES_AHEAD = 3
"""Batches of znodes whose ACLs are read before their data."""
SMALL_READS_FACTOR = 4
"""Factor for multi-reads in flight if they hold few znodes, because otherwise latency dominates."""
ACL_REST = 0.0003
"""Between two reads of answers about ACLs. Each reads several answers, which leaves the processor to the server."""

CATCH_UP_ROUNDS = 10
CATCH_UP_FEW, CATCH_UP_MANY = 64, 4096
"""With up to FEW changed znodes a cut is quick. With more than MANY all rounds of catching up come before it."""
CATCH_UP_GAIN = 0.75
"""A round of catching up that leaves more than this share of the changed znodes is the last one."""

CUT_ROUNDS = 2000
"""Minutes of work, even behind a slow network. 254 rounds were the most that one load test needed."""
CUT_BATCH = 4096
"""Znodes in a request of a cut. They are small, or it is bounded by its bytes."""
CUT_RECENT = 512
"""Recently changed znodes in the first request of a round: with more, its reply would take too long."""
QUOTA_COUNTER_BYTES = 256
"""More than the counters of a quota take."""


@dataclass(frozen=True)
class CacheLimits:
    """When the cached ACLs of the previous walk are no longer used.

    At most `skips` cached znodes are passed over for one batch: a large subtree may be gone, and events must be read.
    More than `mistakes` znodes that were created again show that the ensemble is another one.
    If one reply is longer by `growth` bytes than expected, znodes have grown too much to guess their sizes.
    After a full disk, nothing is kept for some captures, at most `longest_pause` of them.
    """

    skips: int = 10_000
    mistakes: int = 4096
    growth: int = 1 << 20
    longest_pause: int = 64


# Files

READ_BUFFER = 1 << 16
"""Of a queue of paths on disk."""
WRITE_BUFFER = 1 << 20
"""Of files on disk: few and large writes."""
SNAPSHOT_CHUNK = 1 << 18
"""A snapshot is read and written in pieces of this size."""
SNAPPY_BLOCK = 1 << 20
"""Bytes of one block of a compressed snapshot, compressed or not. Servers write blocks of 32 KiB."""


@dataclass(frozen=True)
class SnapshotLimits:
    """What a snapshot may claim, so that a damaged one cannot fill the memory.

    `field` is for one path, data or part of an ACL: a server's own limit is jute.maxbuffer, 1 MiB unless raised.
    `acl` is for one ACL, which reached a server in one request, `acls` for all of them. `header_items` are sessions,
    and different ACLs: they are kept in memory, and no real tree has more.
    """

    field: int = 64 << 20
    acl: int = 4 << 20
    acls: int = 16 << 20
    header_items: int = 100_000
