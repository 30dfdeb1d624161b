"""The chart's README: its links and its values."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from ci.chart import CHART
from support.helm import nested, one, render

ROOT = Path(__file__).parents[2]
HOME = yaml.safe_load((CHART / "Chart.yaml").read_text())["home"]
README = (CHART / "README.md").read_text()
LINKS = sorted(set(re.findall(r"\]\(([^)]+)\)", README)))


def anchors(text: str) -> set[str]:
    """The anchors of a document's headings."""
    titles = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("link", LINKS)
def test_link(link: str) -> None:
    """A link works if the chart is published alone: it is absolute, and one to this project leads to a file of it."""
    assert link.startswith("https://")
    if link.startswith(HOME):
        path, _, anchor = link.removeprefix(f"{HOME}/blob/main/").partition("#")
        assert (ROOT / path).is_file()
        assert not anchor or anchor in anchors((ROOT / path).read_text())


def test_what_stands_before_the_table() -> None:
    """Install, backup, restore, upgrade, and the way from other charts come before all values."""
    assert re.findall("^## (.*)", README, re.MULTILINE) == [
        "Install",
        "Enable the backup",
        "Restore",
        "Upgrade",
        "Coming from another chart",
        "Values",
    ]


def test_values_in_it_work() -> None:
    """Its pieces of values.yaml, together, run the backup with keys from a Secret and an image from a registry."""
    values: dict[str, Any] = {}
    for piece in re.findall("```yaml\n(.*?)```", README, re.DOTALL):
        values |= yaml.safe_load(piece)
    spec = one(render(values), "StatefulSet", "snpe-pulsar-backup")["spec"]["template"]["spec"]
    assert "registry.example.com/pulsar-metadata-backup:0.1.0" == spec["containers"][0]["image"]
    assert "aws-secret" in [volume.get("secret", {}).get("secretName") for volume in spec["volumes"]]


def exists(path: str, values: dict[str, Any]) -> bool:
    """Whether the chart has a key."""
    for key in path.split("."):
        if not isinstance(values, dict) or key not in values:
            return False
        values = values[key]
    return True


def test_names_in_the_table_for_other_charts() -> None:
    """Each name in the column of this chart is one of its keys."""
    defaults = yaml.safe_load((CHART / "values.yaml").read_text())
    section = README.partition("| here |")[2].partition("\n## ")[0]
    for row in section.splitlines()[2:]:
        first = row.split("|")[1] if row.startswith("|") else ""
        above = ""
        for name in re.findall("`([^`]+)`", first):
            above = above if name.startswith(".") else name.rpartition(".")[0]
            assert exists(above + name if name.startswith(".") else name, defaults), row


def test_command_for_an_ensemble_of_another_chart() -> None:
    """It renders, and backs up that ensemble."""
    command = README.partition("helm install -n pulsar")[2].partition("```")[0]
    pairs = dict(pair.split("=", 1) for pair in re.findall(r"--set (\S+)", command))
    values: dict[str, Any] = {"components": {"zookeeper": False}, "zookeeper": {"connect": pairs["zookeeper.connect"]}}
    values["zookeeper"] |= nested("customTools.backup.enable", value=True)
    assert {"components.zookeeper", "zookeeper.connect", "zookeeper.customTools.backup.enable"} == set(pairs)
    found = one(render(values, release="metadata"), "ConfigMap", "metadata-pulsar-backup")["data"]
    assert "pulsar-zookeeper:2181" == found["ZOOKEEPER_SERVERS"]
