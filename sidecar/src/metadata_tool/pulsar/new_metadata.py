"""The metadata of a Pulsar cluster that was just created, as `initialize-cluster-metadata` and brokers write it.

Read from trees of Pulsar 4.0. What a JSON value does not have, brokers fill in with their defaults.
"""

import json
from collections.abc import Mapping
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from metadata_tool.pulsar.ids import SHORT_COUNTER
from metadata_tool.pulsar.ledger_layout import LAYOUT

_BUNDLES = 4
"""Bundles of a namespace, the default of `defaultNumberOfNamespaceBundles`."""
_FULL_RANGE = 1 << 32

INFINITE_RETENTION = {"retentionTimeInMinutes": -1, "retentionSizeInMB": -1}


def bookkeeper(seed: str) -> dict[str, bytes]:
    """The znodes of BookKeeper without bookies, by path. The same seed gives the same id of the instance."""
    return {
        "/ledgers/INSTANCEID": str(uuid5(NAMESPACE_URL, seed)).encode(),
        LAYOUT: b"2\norg.apache.bookkeeper.meta.HierarchicalLedgerManagerFactory:1",
        "/ledgers/available/readonly": b"",
        SHORT_COUNTER: b"",
    }


def cluster() -> bytes:
    """A cluster without addresses."""
    return encoded({})


def tenant(name_of_cluster: str) -> bytes:
    """A tenant that this cluster serves."""
    return encoded({"allowedClusters": [name_of_cluster], "adminRoles": []})


def namespace(name_of_cluster: str) -> bytes:
    """The policies of a namespace: Pulsar's defaults, but nothing is ever deleted."""
    bounds = [number * _FULL_RANGE // _BUNDLES for number in range(_BUNDLES)] + [_FULL_RANGE - 1]
    return encoded(
        {
            "auth_policies": {"namespace_auth": {}, "destination_auth": {}, "subscription_auth_roles": {}},
            "replication_clusters": [name_of_cluster],
            "bundles": {"boundaries": [f"{bound:#010x}" for bound in bounds], "numBundles": _BUNDLES},
            "retention_policies": INFINITE_RETENTION,
        }
    )


def partitioned_topic(partitions: int) -> bytes:
    """The metadata of a partitioned topic."""
    return encoded({"partitions": partitions, "deleted": False})


def encoded(value: Mapping[str, Any]) -> bytes:
    """Compact JSON, as Pulsar writes it."""
    return json.dumps(value, separators=(",", ":")).encode()
