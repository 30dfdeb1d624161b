"""A real Prometheus on loopback, with rules and targets that a test gives it."""

import contextlib
import json
import signal
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from ci.parts.chart_tools import prometheus
from support.processes import Process, free_port

_SCRAPES, _EVALUATIONS = "2s", "1s"


@dataclass(frozen=True)
class Target:
    """A service to scrape, and the pod that it stands for. Prometheus' operator gives series these two labels."""

    port: int
    namespace: str
    pod: str


class Prometheus:
    """A Prometheus that scrapes services, and evaluates rules on what it has scraped."""

    def __init__(self, directory: Path) -> None:
        """Start it. It has no targets and no rules yet."""
        self._targets, self._rules = directory / "targets.json", directory / "rules.yaml"
        self._targets.write_text("[]")
        self._rules.write_text("{}")
        configuration = {
            "global": {
                "scrape_interval": _SCRAPES,
                "scrape_timeout": _SCRAPES,
                "evaluation_interval": _EVALUATIONS,
            },
            "rule_files": [str(self._rules)],
            "scrape_configs": [
                {"job_name": "backup", "file_sd_configs": [{"files": [str(self._targets)], "refresh_interval": "1s"}]}
            ],
        }
        file = directory / "prometheus.yaml"
        file.write_text(yaml.dump(configuration))
        port = free_port()
        self._url = f"http://127.0.0.1:{port}"
        options = {
            "config.file": file,
            "storage.tsdb.path": directory / "data",
            "web.listen-address": f"127.0.0.1:{port}",
            "log.level": "warn",
        }
        command = [prometheus(), *(f"--{name}={value}" for name, value in options.items())]
        self.process = Process(command, directory / "prometheus.log")
        self.process.wait_until(self._ready)

    def scrape(self, targets: Sequence[Target]) -> None:
        """Scrape these targets from now on, and no others. Returns when it has tried each of them.

        Prometheus takes new targets every five seconds.
        """
        found = [
            {"targets": [f"127.0.0.1:{each.port}"], "labels": {"namespace": each.namespace, "pod": each.pod}}
            for each in targets
        ]
        written = self._targets.with_suffix(".new")
        written.write_text(json.dumps(found))
        written.rename(self._targets)  # it is read at any time
        ports = {each.port for each in targets}
        self.process.wait_until(lambda: ports == self._scraped())

    def evaluate(self, groups: Sequence[Mapping[str, Any]]) -> None:
        """Evaluate these groups of rules from now on."""
        self._rules.write_text(json.dumps({"groups": groups}))
        self.process.send(signal.SIGHUP)
        self.process.wait_until(lambda: len(groups) == len(self._ask("rules")["groups"]))

    def alerts(self) -> list[dict[str, Any]]:
        """The alerts that fire or are pending now, with their labels and annotations."""
        return list(self._ask("alerts")["alerts"])

    def rule_errors(self) -> dict[str, str]:
        """What is wrong with rules that could not be evaluated, by the alert's name."""
        rules = [rule for group in self._ask("rules")["groups"] for rule in group["rules"]]
        assert rules
        return {rule["name"]: rule.get("lastError", rule["health"]) for rule in rules if rule["health"] != "ok"}

    def query(self, expression: str) -> list[tuple[dict[str, str], float]]:
        """The labels and the value of each series that an expression gives now."""
        found = self._ask("query", query=expression)["result"]
        return [(each["metric"], float(each["value"][1])) for each in found]

    def _scraped(self) -> set[int]:
        """The ports of its targets, if each was scraped."""
        targets = self._ask("targets", state="active")["activeTargets"]
        tried = all(each["health"] != "unknown" for each in targets)
        return {int(each["labels"]["instance"].rpartition(":")[2]) for each in targets if tried}

    def _ask(self, what: str, **parameters: str) -> dict[str, Any]:
        address = f"{self._url}/api/v1/{what}?{urllib.parse.urlencode(parameters)}"
        with urllib.request.urlopen(address, timeout=20) as answer:
            return dict(json.load(answer)["data"])

    def _ready(self) -> bool:
        with contextlib.suppress(OSError), urllib.request.urlopen(f"{self._url}/-/ready", timeout=5) as answer:
            return bool(answer.status == 200)
        return False


@contextlib.contextmanager
def running(directory: Path) -> Iterator[Prometheus]:
    """A Prometheus that ends afterwards."""
    made = Prometheus(directory)
    try:
        yield made
    finally:
        made.process.stop()
