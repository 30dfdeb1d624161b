"""Each alert of the chart, fired by a real Prometheus over a real failure. All of them happen at once."""

import json
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from threading import Lock
from typing import Any

import pytest

from ci.chart import CHART
from support.alert_failures import FAILURES, SOUND, Failure
from support.alert_sites import Shared, Site
from support.processes import eventually
from support.prometheus import Prometheus, running
from support.s3 import S3Server

PANELS: list[dict[str, Any]] = json.loads((CHART / "dashboards" / "metadata-backup.json").read_text())["panels"]
PATIENCE = 120
"""Seconds: a bound for a machine under load, not an expectation."""
SCRAPES = 30
"""How often a sound service is scraped at least, without an alert."""


@dataclass
class Stage:
    """What Prometheus sees of all releases, and what has become of their failures."""

    prometheus: Prometheus
    failures: list[Failure]
    sites: dict[str, Site]
    happened: dict[str, Future[None]]
    pool: ThreadPoolExecutor

    def firing(self, failure: Failure) -> set[str]:
        """The alerts of a release that fire now."""
        return {
            alert["labels"]["alertname"]
            for alert in self.prometheus.alerts()
            if (alert["labels"]["namespace"], alert["state"]) == (failure.name, "firing")
        }

    def fired(self, failure: Failure) -> set[str]:
        """The alerts of a release that have ever fired."""
        ever = f'max_over_time(ALERTS{{namespace="{failure.name}", alertstate="firing"}}[1h])'
        return {labels["alertname"] for labels, _ in self.prometheus.query(ever)}

    def has_fired(self, failure: Failure) -> bool:
        """Whether all alerts of a failure have fired."""
        return failure.alerts <= self.fired(failure)

    def scrapes(self, failure: Failure) -> float:
        """How often the pods of a release were scraped."""
        times = f'sum(count_over_time(up{{namespace="{failure.name}"}}[1h]))'
        return sum(count for _, count in self.prometheus.query(times))

    def state(self, failure: Failure) -> str:
        """The state of a release, for error messages."""
        said = self.sites[failure.name].service.process.output()[-3000:]
        alerts = [alert for alert in self.prometheus.alerts() if alert["labels"]["namespace"] == failure.name]
        return f"{alerts}\n{said}"


def chosen(items: Sequence[pytest.Item]) -> list[Failure]:
    """The failures that these tests are about. All of them, if a test is about no single failure."""
    about = [item.callspec.params.get("failure") if hasattr(item, "callspec") else None for item in items]
    return [failure for failure in FAILURES if None in about or failure in about]


@pytest.fixture(scope="module")
def stage(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, s3: S3Server) -> Iterator[Stage]:
    """A release for each failure. Each was sound, as far as it can be, before Prometheus has seen it."""
    directory = tmp_path_factory.mktemp("alerts")
    failures = chosen(request.session.items)
    every = [SOUND, *failures]
    with ThreadPoolExecutor(len(every)) as pool, ExitStack() as stack:
        shared = Shared(directory, s3, stack)
        sites = {failure.name: Site(failure.name, shared) for failure in every}
        stack.callback(lambda: list(pool.map(Site.stop, sites.values())))
        steps = {failure.name: failure.happens(sites[failure.name]) for failure in every}
        list(pool.map(next, steps.values()))
        prometheus = stack.enter_context(running(directory))

        def discover() -> None:
            with finding:  # several may move at once
                prometheus.scrape([site.target for site in sites.values()])

        finding = Lock()
        shared.discover = discover
        shared.discover()
        prometheus.evaluate([group for failure in every for group in failure.groups()])
        happened = {name: pool.submit(next, step, None) for name, step in steps.items()}
        yield Stage(prometheus, failures, sites, happened, pool)


@pytest.mark.parametrize("failure", FAILURES, ids=[failure.what for failure in FAILURES])
def test_alerts_fire(failure: Failure, stage: Stage) -> None:
    """The alerts of a failure fire, and say where."""
    stage.happened[failure.name].result()
    eventually(
        f"{sorted(failure.alerts)} fire",
        partial(stage.has_fired, failure),
        PATIENCE,
        lambda: stage.state(failure),
    )


def test_alerts_say_where(stage: Stage) -> None:
    """The texts of an alert name its release, and Prometheus fills in all of their parts."""
    alerts = stage.prometheus.alerts()
    assert alerts
    for alert in alerts:
        texts = alert["annotations"]
        assert alert["labels"]["namespace"] in texts["description"]
        assert [] == [text for text in texts.values() if "<no value>" in text or "<error" in text]


@pytest.fixture(scope="module")
def ended(stage: Stage) -> dict[str, Future[None]]:
    """What an operator does once all alerts of a failure have fired, and the wait for their end."""

    def repair(failure: Failure) -> None:
        eventually(f"{failure.what}, and its alerts fire", partial(stage.has_fired, failure), PATIENCE)
        if failure.repair:
            failure.repair(stage.sites[failure.name])
            eventually(
                f"{sorted(failure.alerts)} end",
                lambda: not stage.firing(failure),
                PATIENCE,
                lambda: stage.state(failure),
            )

    return {failure.name: stage.pool.submit(repair, failure) for failure in stage.failures}


@pytest.mark.parametrize("failure", [pytest.param(failure, id=failure.what) for failure in FAILURES if failure.repair])
def test_alerts_end(failure: Failure, ended: dict[str, Future[None]]) -> None:
    """After an operator has done what the runbook says, no alert of the failure fires any more."""
    ended[failure.name].result()


def test_no_alert_fires_while_all_is_well(stage: Stage) -> None:
    """A sound service, which is moved once, is scraped for a while, and no alert fires."""
    stage.happened[SOUND.name].result()
    eventually("it is scraped often", lambda: stage.scrapes(SOUND) >= SCRAPES, PATIENCE)
    assert set() == stage.fired(SOUND), stage.state(SOUND)


@pytest.mark.parametrize("failure", FAILURES, ids=[failure.what for failure in FAILURES])
def test_no_other_alert_fires(failure: Failure, stage: Stage) -> None:
    """A failure has set off no other alerts than it should."""
    assert failure.alerts == stage.fired(failure), stage.state(failure)


def test_prometheus_can_evaluate_every_rule(stage: Stage) -> None:
    """No rule has an error, whatever metrics the services have."""
    assert {} == stage.prometheus.rule_errors()


@pytest.mark.parametrize("panel", PANELS, ids=[panel["title"] for panel in PANELS])
def test_dashboard_has_answers(panel: dict[str, Any], stage: Stage) -> None:
    """Each query of the dashboard has a result, for at least one of the releases."""
    for target in panel["targets"]:
        expression = target["expr"].replace('="$namespace"', '=~".+"')
        for variable, value in {"pod": ".+", "__rate_interval": "1m", "__range": "1h"}.items():
            expression = expression.replace(f"${variable}", value)
        eventually(expression, partial(stage.prometheus.query, expression), PATIENCE)
