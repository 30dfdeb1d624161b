"""The dashboard that the chart brings to Grafana."""

import json
import re
from typing import Any

import pytest

from ci.chart import CHART
from metadata_tool.metrics import BROKER, COPIES, COVERAGE, METRICS, SCRUB
from support.helm import merged, nested, one, render

DASHBOARD: dict[str, Any] = json.loads((CHART / "dashboards" / "metadata-backup.json").read_text())
PANELS: list[dict[str, Any]] = DASHBOARD["panels"]
PROCESS = {"process_resident_memory_bytes", "process_cpu_seconds_total"}
"""prometheus_client's own."""


@pytest.mark.parametrize("panel", PANELS, ids=[panel["title"] for panel in PANELS])
def test_panel(panel: dict[str, Any]) -> None:
    """A panel says what it shows, has a unit, and asks the chosen data source for the chosen pods."""
    assert panel["description"].endswith(".")
    assert panel["fieldConfig"]["defaults"]["unit"]
    assert {"type": "prometheus", "uid": "${datasource}"} == panel["datasource"]
    assert panel["targets"]
    for target in panel["targets"]:
        assert '{namespace="$namespace", pod=~"$pod"}' in target["expr"]


def test_panels_ask_for_metrics_that_exist() -> None:
    """Every promised metric is shown, and no other is asked for."""
    asked = " ".join(target["expr"] for panel in PANELS for target in panel["targets"])
    assert {metric.name for metric in (*METRICS, *COVERAGE, *SCRUB, *BROKER, *COPIES)} | PROCESS == set(
        re.findall(r"(\w+)\{", asked)
    )


def test_panels_have_their_own_places() -> None:
    """No panel lies over another, and their numbers are their own."""
    cells = [
        (panel["gridPos"]["x"] + x, panel["gridPos"]["y"] + y)
        for panel in PANELS
        for x in range(panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["h"])
    ]
    assert len(cells) == len(set(cells))
    assert len(PANELS) == len({panel["id"] for panel in PANELS})


def test_chart_carries_it_whole() -> None:
    """The ConfigMap that Grafana's sidecar picks up holds the file as it is."""
    values = merged(nested("monitoring.dashboard.enabled", value=True))
    found = one(render(values), "ConfigMap", "snpe-pulsar-backup-dashboard")
    assert "1" == found["metadata"]["labels"]["grafana_dashboard"]
    assert DASHBOARD == json.loads(found["data"]["metadata-backup.json"])
