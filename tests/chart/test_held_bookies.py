"""Bookies that were kept keep ledgers that the restored tree does not know, until the operator says otherwise."""

import pytest

from metadata_tool.pulsar.report import HELD_COLLECTION
from support.helm import Values, merged, nested, one, render

OWN = {"gcWaitTime": "1000", "isForceGCAllowWhenNoSpace": "true"}
BOOKIES = merged(nested("components.bookkeeper", True), nested("bookkeeper.configData", OWN))
KEPT = nested("zookeeper.customTools.restore.scope", "bookies-kept")
CHECKED = nested("zookeeper.customTools.restore.collectGarbage", True)
HELD = {**HELD_COLLECTION, "isForceGCAllowWhenNoSpace": "false"}


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        pytest.param({}, OWN, id="bookies-lost"),
        pytest.param(KEPT, HELD, id="bookies-kept"),
        pytest.param(merged(KEPT, CHECKED), OWN, id="checked"),
    ],
)
def test_garbage_collection_is_held(values: Values, expected: Values) -> None:
    """With bookies that were kept, the settings of the restore's warning replace those of configData."""
    manifests = render(merged(BOOKIES, values))
    lines = one(manifests, "ConfigMap", "snpe-pulsar-bookie")["data"]["bookkeeper.conf"].splitlines()
    settings = dict(line.split("=", 1) for line in lines if "=" in line)
    assert expected == {name: settings[name] for name in HELD if name in settings}
