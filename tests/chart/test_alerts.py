"""The alerts of the chart, read and run by Prometheus' own promtool."""

import json
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from ci.chart import CHART
from ci.parts.chart_tools import promtool
from metadata_tool.metrics import BROKER, COPIES, COVERAGE, METRICS, SCRUB
from support.alert_failures import FACTOR, FAILURES, SOUND
from support.helm import Manifest, merged, nested, one, refusal, render
from support.quick_rules import milliseconds, quickened

ALERTS = sorted(path.stem for path in (CHART / "alerts").glob("*.yaml"))
UNIT_TESTS = sorted((Path(__file__).parent / "rules").glob("*alerts_test.yaml"))
SELECTOR = '{namespace="snpe", pod=~"snpe-pulsar-backup-.*"}'
BACKUP = "zookeeper.customTools.backup"
THRESHOLDS = "monitoring.prometheusRule.thresholds"
ON = merged(
    {"namespace": "snpe"},
    nested(f"{BACKUP}.enable", value=True),
    nested(f"{BACKUP}.backupInterval", "600"),
    nested(f"{BACKUP}.drill.enabled", value=True),
    nested("monitoring.prometheusRule.enabled", value=True),
)


def groups(*settings: dict[str, Any]) -> Manifest:
    """The groups that Prometheus loads."""
    rule = one(render(merged(ON, *settings)), "PrometheusRule", "snpe-pulsar-backup")
    return dict(rule["spec"])


def rules(*settings: dict[str, Any]) -> dict[str, Manifest]:
    """The rules, by the alert's name."""
    return {rule["alert"]: rule for group in groups(*settings)["groups"] for rule in group["rules"]}


@cache
def default_rules() -> dict[str, Manifest]:
    """The rules with an interval of 600 s and the default thresholds."""
    return rules()


def run(directory: Path, *arguments: str) -> None:
    """Run a promtool that must be content."""
    done = subprocess.run([promtool(), *arguments], cwd=directory, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def check(directory: Path, *settings: dict[str, Any]) -> None:
    """Let promtool read the rules, and find nothing to warn of."""
    (directory / "rules.yaml").write_text(json.dumps(groups(*settings)))
    run(directory, "check", "rules", "--lint=all", "--lint-fatal", "rules.yaml")


def test_prometheus_reads_the_rules(tmp_path: Path) -> None:
    """Prometheus takes every rule, and its linter finds nothing."""
    check(tmp_path)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (f"{BACKUP}.backupInterval", 1),
        (f"{BACKUP}.backupInterval", "31536000"),
        (f"{THRESHOLDS}.maxAgeIntervals", 0.01),
        (f"{THRESHOLDS}.maxAgeIntervals", 1000),
        (f"{THRESHOLDS}.sizeDropRatio", 0.00001),
        (f"{THRESHOLDS}.sizeDropRatio", 1),
        (f"{THRESHOLDS}.uploadSeconds", 0.5),
        (f"{THRESHOLDS}.uploadSeconds", 10_000_000),
        (f"{THRESHOLDS}.unchangedSeconds", 1e9),
    ],
)
def test_prometheus_reads_extreme_values(path: str, value: object, tmp_path: Path) -> None:
    """Very small and very large values make rules that Prometheus takes, too."""
    check(tmp_path, nested(path, value))


def test_alerts_fire_when_they_should_and_only_then(tmp_path: Path) -> None:
    """In each unit test the alerts fire, or do not, with the labels and the description that are written there."""
    tested = groups()
    for group in tested["groups"]:
        for rule in group["rules"]:
            rule["annotations"] = {"description": rule["annotations"]["description"]}
    (tmp_path / "rules.yaml").write_text(json.dumps(tested))
    for file in UNIT_TESTS:
        shutil.copy(file, tmp_path)
    run(tmp_path, "test", "rules", *(file.name for file in UNIT_TESTS))


@pytest.mark.parametrize("fires", [True, False])
def test_every_alert_has_a_unit_test(*, fires: bool) -> None:
    """For each alert there is a unit test in which it fires, and one in which it does not."""
    tests = [test for file in UNIT_TESTS for test in yaml.safe_load(file.read_text())["tests"]]
    cases = [case for test in tests for case in test["alert_rule_test"]]
    assert set(default_rules()) == {case["alertname"] for case in cases if bool(case.get("exp_alerts")) == fires}


def test_every_alert_has_a_failure() -> None:
    """`make test-alerts` has a failure for each alert. Add one for a new alert to tests/support/alert_failures.py."""
    fired = frozenset[str]().union(*(failure.alerts for failure in FAILURES))
    assert set(default_rules()) == fired
    assert len(FAILURES) == len({failure.name for failure in FAILURES} - {SOUND.name})


def test_failures_have_names_of_releases() -> None:
    """The chart takes the name of each failure as that of a release."""
    assert max(FAILURES, key=lambda failure: len(failure.name)).groups()


TIME = re.compile(r"(?<![\w.\"])\d[\d.]*(?:ms|[smhd])?(?![\w\"])")


def test_quick_rules_differ_in_times_alone() -> None:
    """The rules that `make test-alerts` lets fire are those of users, with all times divided by one number."""
    for rule in default_rules().values():
        quick = quickened(rule, FACTOR)
        without_times = [{**each, "for": "", "expr": TIME.sub("time", each["expr"])} for each in (rule, quick)]
        assert without_times[0] == without_times[1]
        assert milliseconds(rule["for"]) == FACTOR * milliseconds(quick["for"])
        for usual, quicker in zip(*(TIME.findall(each["expr"]) for each in (rule, quick)), strict=True):
            assert usual == quicker or length(usual) == pytest.approx(FACTOR * length(quicker))


def length(time: str) -> float:
    """A duration in milliseconds, or a number of seconds as it is."""
    return milliseconds(time) if time[-1].isalpha() else float(time)


@pytest.mark.parametrize(
    ("alert", "duration", "times"),
    [
        ("Absent", "6000ms", []),
        ("DrillFailed", "3000ms", ["1"]),
        ("DrillTooOld", "3000ms", ["36000ms", "0", "2592"]),
        ("Failing", "0ms", ["9000ms", "0", "0", "9"]),
        ("SizeFell", "600ms", ["0", "864000ms", "0.5"]),
        ("TooOld", "600ms", ["42000ms", "0", "18"]),
        ("Unrecoverable", "18000ms", ["100000000000"]),
        ("UploadSlow", "3000ms", ["1.2"]),
    ],
)
def test_quick_rules(alert: str, duration: str, times: list[str]) -> None:
    """Durations and numbers of seconds are a hundredth, and numbers of other things are not."""
    quick = quickened(default_rules()[f"PulsarMetadataBackup{alert}"], 100)
    assert (duration, times) == (quick["for"], TIME.findall(quick["expr"]))


def test_every_file_is_one_alert() -> None:
    """Each file is one alert, whose name is the file's."""
    names = {f"PulsarMetadataBackup{name.title().replace('-', '')}" for name in ALERTS}
    assert names == set(default_rules())
    assert len(ALERTS) == sum(len(group["rules"]) for group in groups()["groups"])


def test_every_alert_says_what_to_do() -> None:
    """Each alert has a severity, says what is wrong and what to do, and links its runbook."""
    for rule in default_rules().values():
        assert {"alert", "expr", "for", "labels", "annotations"} == set(rule)
        assert rule["labels"] in ({"severity": "critical"}, {"severity": "warning"})
        texts = dict(rule["annotations"])
        assert texts.pop("runbook_url").startswith("https://")
        assert {"summary", "description", "runbook"} == set(texts)
        assert all(text.strip().endswith(".") for text in texts.values())


def test_every_alert_has_a_runbook() -> None:
    """Its link leads to a section of docs/runbooks.md, which says meaning, impact, diagnosis and mitigation."""
    home = yaml.safe_load((CHART / "Chart.yaml").read_text())["home"]
    sections = re.split(r"^## (.*)$", (CHART.parents[1] / "docs" / "runbooks.md").read_text(), flags=re.MULTILINE)[1:]
    runbooks = dict(zip(sections[::2], sections[1::2], strict=True))
    assert set(default_rules()) == set(runbooks)
    for name, rule in default_rules().items():
        assert f"{home}/blob/main/docs/runbooks.md#{name.lower()}" == rule["annotations"]["runbook_url"]
        parts = re.findall("^### (.*)$", runbooks[name], re.MULTILINE)
        assert ["Meaning", "Impact", "Diagnosis", "Mitigation"] == parts
        assert "kubectl" in runbooks[name].partition("### Diagnosis")[2].partition("### Mitigation")[0]


def test_runbooks_elsewhere() -> None:
    """A copy of the runbooks is linked in place of the project's."""
    copy = "https://wiki.example.com/pulsar"
    for name, rule in rules(nested("monitoring.prometheusRule.runbookUrl", copy)).items():
        assert f"{copy}#{name.lower()}" == rule["annotations"]["runbook_url"]
    said = refusal(merged(ON, nested("monitoring.prometheusRule.runbookUrl", "wiki")), 3)
    assert "monitoring/prometheusRule/runbookUrl" in said


def test_alerts_are_of_this_release() -> None:
    """Every series that an alert reads is one that the service shows, and of this release's pods alone."""
    known = {metric.name for metric in (*METRICS, *COVERAGE, *SCRUB, *BROKER, *COPIES)} | {"process_start_time_seconds"}
    for rule in default_rules().values():
        read = re.findall(r"\b((?:backup|process)_\w+)(\{[^}]*\})?", rule["expr"])
        assert read
        assert [] == [series for series in read if series[0] not in known or not series[1].startswith(SELECTOR[:-1])]


@pytest.mark.parametrize(
    ("path", "value", "alert", "said"),
    [
        (f"{THRESHOLDS}.maxAgeIntervals", 1.5, "TooOld", "> 900"),
        (f"{THRESHOLDS}.maxAgeIntervals", 1.5, "Never", "[900s]"),
        (f"{THRESHOLDS}.sizeDropRatio", 0.8, "SizeFell", "< 0.8"),
        (f"{THRESHOLDS}.uploadSeconds", 7, "UploadSlow", "> 7"),
        (f"{THRESHOLDS}.unchangedSeconds", 1e6, "Unchanged", "> 1000000"),
        (f"{THRESHOLDS}.unrecoverableBytes", 1e12, "Unrecoverable", "> 1000000000000"),
        (f"{THRESHOLDS}.drillMaxAgeSeconds", 1e6, "DrillTooOld", "> 1000000"),
        (f"{BACKUP}.backupInterval", "3600", "TooOld", "> 10800"),
        (f"{BACKUP}.backupInterval", "3600", "Never", "[10800s]"),
        (f"{BACKUP}.backupInterval", "3600", "Failing", "[5400s]"),
        (f"{BACKUP}.backupInterval", 10, "Failing", "[300s]"),
        (f"{BACKUP}.backupInterval", "3600", "RetentionFailing", "[5400s]"),
        (f"{BACKUP}.backupInterval", "3600", "ScrubFailing", "[5400s]"),
        (f"{BACKUP}.backupInterval", 10, "ScrubFailing", "[300s]"),
        (f"{BACKUP}.backupInterval", "3600", "LongerThanInterval", "> 3600"),
    ],
)
def test_thresholds_are_values(path: str, value: object, alert: str, said: str) -> None:
    """What an alert compares with follows the chart's values."""
    assert said in rules(nested(path, value))[f"PulsarMetadataBackup{alert}"]["expr"]


def test_alerts_that_are_excluded() -> None:
    """An alert that is not wanted is left out, and no other."""
    excluded = {"PulsarMetadataBackupUploadSlow", "PulsarMetadataBackupAbsent"}
    found = rules(nested("monitoring.prometheusRule.excludedAlerts", sorted(excluded)))
    assert default_rules().keys() - excluded == found.keys()


def test_alerts_of_drills() -> None:
    """Without drills there are no alerts on them, but their names may be excluded all the same."""
    off = nested(f"{BACKUP}.drill.enabled", value=False)
    drills = {f"PulsarMetadataBackupDrill{name}" for name in ("Failed", "Never", "TooOld")}
    assert drills == default_rules().keys() - rules(off).keys()
    excluded = nested("monitoring.prometheusRule.excludedAlerts", sorted(drills))
    assert drills == default_rules().keys() - rules(off, excluded).keys()
    assert "259200s" == default_rules()["PulsarMetadataBackupDrillNever"]["for"]


def test_excluded_alert_that_does_not_exist() -> None:
    """A name that no alert has is refused, with the names that there are."""
    said = refusal(merged(ON, nested("monitoring.prometheusRule.excludedAlerts", ["PulsarMetadataBackup"])), 3)
    assert "monitoring.prometheusRule.excludedAlerts has PulsarMetadataBackup, which is not one of" in said
    assert ", ".join(sorted(default_rules())[:2]) in said


def test_labels_of_alerts() -> None:
    """Every alert gets the labels, beside its own and over them."""
    found = rules(nested("monitoring.prometheusRule.alertLabels", {"team": "storage"}))
    assert {name: rule["labels"] | {"team": "storage"} for name, rule in default_rules().items()} == {
        name: rule["labels"] for name, rule in found.items()
    }
    found = rules(nested("monitoring.prometheusRule.alertLabels", {"severity": "page"}))
    assert {"page"} == {rule["labels"]["severity"] for rule in found.values()}
