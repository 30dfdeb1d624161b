"""What things are called."""

from typing import Any

import pytest

from support.helm import EVERYTHING, merged, names, nested, refusal, render, text

LONG = nested("zookeeper.customTools.backup.component", "a-backup-with-quite-a-long-name")


def test_fullname_override_replaces_release_and_chart() -> None:
    """`fullnameOverride` stands wherever `<release>-pulsar` would, and the release's labels stay."""
    everything = merged(EVERYTHING, {"pulsar_metadata": {"clusterName": ""}})
    by_release = text(merged(everything, {"fullnameOverride": ""}))
    found = text(merged(everything, {"fullnameOverride": "prod"}))
    assert "snpe-pulsar" in by_release
    assert "snpe-pulsar" not in found
    assert by_release.count("release: ") == found.count("release: ")
    assert {each.replace("snpe-pulsar", "prod") for each in names(render())} == names(
        render({"fullnameOverride": "prod"})
    )


@pytest.mark.parametrize(
    ("values", "release", "expected"),
    [
        ({}, "a" * 34, "the release's name has 34 characters and may have 33 (40 with -pulsar)"),
        ({}, "a" * 53, "the release's name has 53 characters and may have 33 (40 with -pulsar)"),
        (LONG, "a" * 53, "the release's name has 53 characters and may have 13 (20 with -pulsar)"),
        ({"fullnameOverride": "b" * 41}, "snpe", "fullnameOverride has 41 characters and may have 40"),
        (merged(LONG, {"fullnameOverride": "b" * 21}), "snpe", "fullnameOverride has 21 characters and may have 20"),
    ],
)
def test_name_that_is_too_long(values: dict[str, Any], release: str, expected: str) -> None:
    """The one message names the limit that counts, and what to do."""
    said = refusal(values, 3, release)
    assert expected in said


def test_longest_component() -> None:
    """The longest component leaves a release one letter."""
    component = nested("zookeeper.component", "z" * 43)
    assert f"StatefulSet/a-pulsar-{'z' * 43}" in names(render(component, release="a"))
    assert "may have 1 (8 with -pulsar)" in refusal(component, 3, "ab")
    assert "zookeeper/component" in refusal(nested("zookeeper.component", "z" * 44), 3, "a")


@pytest.mark.parametrize("release", ["a" * 34, "my.release", "2prod"])
def test_any_release_with_another_name(release: str) -> None:
    """A release whose name Services cannot have is refused with a hint at `fullnameOverride`, and is taken with one."""
    assert "fullnameOverride" in refusal({}, 3, release)
    assert "StatefulSet/prod-zookeeper" in names(render({"fullnameOverride": "prod"}, release=release))


@pytest.mark.parametrize("name", ["Prod", "2prod", "prod-", "my.prod"])
def test_fullname_override_that_cannot_be(name: str) -> None:
    """A name that Kubernetes would refuse is refused before."""
    assert "fullnameOverride" in refusal({"fullnameOverride": name}, 3)
