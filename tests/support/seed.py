"""Trees to back up: one shaped like Pulsar's, one with everything that ZooKeeper can hold."""

import json

from kazoo.client import KazooClient
from kazoo.security import ACL, Id, make_acl, make_digest_acl

ADMIN = "backup:a-password"
"""A login that the digest ACLs here admit."""


def pulsar(client: KazooClient, topics: int = 40) -> None:
    """A small cluster's metadata: clusters, policies, managed ledgers, cursors, BookKeeper's ledgers and cookies."""
    _make(client, "/admin/clusters/demo", {"serviceUrl": "http://broker:8080"})
    for tenant in ("public", "shop"):
        _make(client, f"/admin/policies/{tenant}", {"allowedClusters": ["demo"]})
        _make(client, f"/admin/policies/{tenant}/default", {"replication_clusters": ["demo"]})
    for topic in range(topics):
        ledger = f"/managed-ledgers/shop/default/persistent/orders-{topic}"
        _make(client, ledger, {"ledgers": [topic]})
        for cursor in ("billing", "shipping"):
            _make(client, f"{ledger}/{cursor}", {"cursorsLedgerId": -1})
        _make(client, f"/ledgers/00/0000/L{topic:04d}", {"ensemble": ["bookie-0:3181"]})
    _make(client, "/ledgers/cookies/bookie-0:3181", {"layoutVersion": 5})
    _make(client, "/ledgers/idgen", {})
    for _ in range(topics):
        client.delete(client.create("/ledgers/idgen/ID-", b"", sequence=True))
    client.create("/ledgers/available/bookie-0:3181", b"", ephemeral=True, makepath=True)


def _make(client: KazooClient, path: str, value: object) -> None:
    if not client.exists(path):  # what Pulsar itself made stays as it is
        client.create(path, json.dumps(value).encode() if value else b"", makepath=True)


def everything(client: KazooClient, wide: int) -> None:
    """Null and empty data, unicode, a large znode, many children, every kind of ACL, versions that moved."""
    client.create("/null", None)
    client.create("/empty", b"")
    client.create("/unicode-\u00fc\u4e2d\u0627/\u00f1 with a space", "\u00e9".encode(), makepath=True)
    client.create("/large", bytes(range(256)) * 3516)  # 900 KB
    for number in range(5):
        client.set("/empty", b"" if number % 2 else b"x")
    client.set("/empty", b"")
    client.create("/sequential", b"")
    for _ in range(7):
        client.create("/sequential/n-", b"", sequence=True)
    client.delete("/sequential/n-0000000003")
    client.create("/sequential/ephemeral", b"", ephemeral=True)
    client.create("/gone", b"")
    client.create("/gone/child", b"")
    client.delete("/gone/child")
    _acls(client)
    _wide(client, wide)


def _acls(client: KazooClient) -> None:
    user, _, password = ADMIN.partition(":")
    digest = make_digest_acl(user, password, all=True)
    client.create("/acl-digest", b"secret", acl=[digest])
    client.create("/acl-digest/below", b"", acl=[digest])
    client.create(
        "/acl-mixed", b"", acl=[digest, make_acl("world", "anyone", read=True), ACL(31, Id("ip", "10.0.0.1"))]
    )
    client.create("/acl-changed", b"")
    client.set_acls("/acl-changed", [digest])
    client.set_acls("/acl-changed", [make_acl("world", "anyone", all=True), make_acl("world", "anyone", read=True)])


def _wide(client: KazooClient, count: int) -> None:
    client.create("/wide", b"")
    for start in range(0, count, 5_000):
        numbers = range(start, min(start + 5_000, count))
        for reply in [client.create_async(f"/wide/child-{number:05d}", b"%d" % number) for number in numbers]:
            reply.get()
