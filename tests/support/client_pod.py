"""A pod that uses Pulsar as applications in the cluster do."""

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ci.parts.images import client
from support.cluster import NAMESPACE, PATIENCE, kubectl, load, restricted

NAME = "client"
_PROGRAM = Path(__file__).with_name("client_program.py")
_WITHIN = 3 * PATIENCE
"""Seconds: a bound for many steps in a row on a machine under load."""


@dataclass(frozen=True)
class ClientPod:
    """A pod with the program, for the Pulsar of a release."""

    broker: str
    """The name of the brokers' Service."""

    def set_up(self) -> None:
        """Start it. It may run before there is a Pulsar, and after it is lost."""
        load(client())
        program = {_PROGRAM.name: _PROGRAM.read_text()}
        config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": NAME}, "data": program}
        kubectl("apply", "--filename", "-", stdin=json.dumps(config))
        kubectl("apply", "--filename", "-", stdin=json.dumps(self._pod()))
        kubectl("wait", f"pod/{NAME}", "--for=condition=Ready", f"--timeout={PATIENCE}s")

    @staticmethod
    def do(*steps: tuple[Any, ...]) -> list[Any]:
        """Do these steps, verbs of the program and their arguments. Returns their results."""
        command = [
            "kubectl",
            "--namespace",
            NAMESPACE,
            "exec",
            "--stdin",
            NAME,
            "--",
            "python",
            f"/program/{_PROGRAM.name}",
        ]
        done = subprocess.run(
            command, input=json.dumps(steps), capture_output=True, text=True, timeout=_WITHIN, check=False
        )
        assert done.returncode == 0, f"{[step[:3] for step in steps]}: {done.stderr[-4000:]}"
        return list(json.loads(done.stdout.splitlines()[-1]))  # after the errors that the client logs

    def _pod(self) -> dict[str, Any]:
        container = {
            "name": NAME,
            "image": client().name,
            "imagePullPolicy": "IfNotPresent",
            "command": ["sleep", "infinity"],
            "env": [
                {"name": "PULSAR_SERVICE_URL", "value": f"pulsar://{self.broker}:6650"},
                {"name": "PULSAR_ADMIN_URL", "value": f"http://{self.broker}:8080"},
                {"name": "PYTHONDONTWRITEBYTECODE", "value": "1"},
            ],
            "volumeMounts": [{"name": "program", "mountPath": "/program"}],
        }
        volumes = [{"name": "program", "configMap": {"name": NAME}}]
        return restricted(NAME, 10003, container, volumes)
