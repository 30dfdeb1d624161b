"""docs/kubernetes.md, word by word: its commands, in their order, by a shell, on a cluster that has none of it."""

import contextlib
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from ci.chart import CHART
from ci.parts.helm import helm
from ci.parts.images import metadata_tool, pulsar
from support.cluster import NAMESPACE, Surroundings
from support.helm import EXAMPLE, merged, nested
from support.s3 import ACCESS_KEY, SECRET_KEY

GUIDE = CHART.parents[1] / "docs" / "kubernetes.md"
GUIDES_NAMESPACE = "snpe"
COMMANDS = re.findall(r"^ *```sh\n(.*?)^ *```$", GUIDE.read_text(), re.MULTILINE | re.DOTALL)


def filled_in() -> dict[str, Any]:
    """values.example.yaml with its lines filled in as it says, and ZooKeeper from an image that this cluster has."""
    text = re.sub(r"^(# )(images:|  )", r"\2", EXAMPLE.read_text(), flags=re.MULTILINE)
    text = re.sub(r"# (endpoint: )", r"\1", text)
    tool, zookeeper = metadata_tool(), pulsar()
    images = {
        "repository": zookeeper.repository,
        "tag": zookeeper.tag,
        "customTools": {"backup": {"repository": tool.repository, "tag": tool.tag}},
    }
    store = {"endpoint": f"http://s3.{NAMESPACE}.svc.cluster.local:7070", "region": "us-east-1"}
    values = dict(yaml.safe_load(text))
    assert {"images", "zookeeper", "initialize"} == values.keys()
    return merged(values, nested("images.zookeeper", images), nested("zookeeper.customTools.objectStore", store))


@pytest.fixture
def directory(surroundings: Surroundings, tmp_path: Path) -> Iterator[Path]:
    """Where an operator stands: the chart, values.yaml, helm. The namespace that the guide makes is gone afterwards."""
    surroundings.restart_object_store(ACCESS_KEY, SECRET_KEY)
    (tmp_path / "charts").symlink_to(CHART.parent)
    (tmp_path / "values.yaml").write_text(yaml.safe_dump(filled_in()))
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "helm").symlink_to(Path(shutil.which(helm(4)) or helm(4)).resolve())
    yield tmp_path
    delete = ["kubectl", "delete", "namespace", GUIDES_NAMESPACE, "--ignore-not-found", "--wait=false"]
    subprocess.run(delete, check=True, capture_output=True)


def test_the_guides_commands(directory: Path) -> None:
    """All of them succeed: the backup is there, the restore brings the cluster back, and it is switched off again."""
    script = "set -euxo pipefail\n" + "\n".join(COMMANDS)
    environment = {
        **os.environ,
        "PATH": f"{directory / 'bin'}:{os.environ['PATH']}",
        "AWS_ACCESS_KEY_ID": ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
    }
    output = directory / "output"
    with output.open("wb") as file:
        shell = subprocess.Popen(
            ["bash", "-c", script], cwd=directory, env=environment, stdout=file, stderr=file, start_new_session=True
        )
        try:
            code = shell.wait(timeout=800)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(shell.pid, signal.SIGKILL)  # the port that it forwards in the background, too
    said = output.read_text(errors="replace")
    assert 0 == code, said[-4000:]
    assert '"clusters":["snpe-pulsar"]' in said
    assert re.search(r"restored s3a://my-backuprestore/pulsar-backup-[0-9]+\.tar\.gz into", said)
    assert len(re.findall(r"statefulset rolling update complete|roll out complete|successfully rolled out", said)) >= 3
