"""The buckets that a tree names, and a few ledgers that must be in each of them."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field

from metadata_tool.pulsar.moved_buckets import ledger_buckets, policy_buckets
from metadata_tool.pulsar.paths import Layout
from metadata_tool.pulsar.topics import Topic, TopicDecoder
from metadata_tool.pulsar.tree_facts import NAMESPACE, V1_NAMESPACE
from metadata_tool.tiered_storage.claims import Claim, claims
from metadata_tool.tiered_storage.limits import SAMPLES
from metadata_tool.zookeeper.snapshot import Node


@dataclass
class NamedBucket:
    """How many ledgers name a bucket. `samples` are the newest offloaded ledgers of the first topics."""

    ledgers: int = 0
    samples: list[Claim] = field(default_factory=list)


def named_buckets(nodes: Iterable[Node], layout: Layout) -> dict[str, NamedBucket]:
    """The buckets in ledgers and in the policies of namespaces, by name."""
    found: dict[str, NamedBucket] = {}
    decoder = TopicDecoder(layout)
    namespaces = [layout.compile(pattern) for pattern in (NAMESPACE, V1_NAMESPACE)]
    policies = f"{layout.chroot}/admin/policies/".encode()
    for node in nodes:
        topic = decoder.decode(node.path, node.data)
        if isinstance(topic, Topic):
            _add_topic(found, topic)
        elif node.path.startswith(policies) and any(pattern.fullmatch(node.path) for pattern in namespaces):
            _add_policies(found, node.data)
    return found


def _add_topic(found: dict[str, NamedBucket], topic: Topic) -> None:
    for ledger in topic.info.ledgerInfo:
        for name in ledger_buckets(ledger):
            found.setdefault(name, NamedBucket()).ledgers += 1
    newest = {claim.bucket: claim for claim in claims(topic) if claim.bucket and not claim.not_checked}
    for name, claim in newest.items():
        if len(found[name].samples) < SAMPLES:
            found[name].samples.append(claim)


def _add_policies(found: dict[str, NamedBucket], data: bytes | None) -> None:
    try:
        policies = json.loads(data or b"")
    except (ValueError, RecursionError):
        return
    if isinstance(policies, dict):
        for _, name in policy_buckets(policies):
            found.setdefault(name, NamedBucket())
