"""What the chart makes of null, for every key that it has."""

import json
import re
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
import yaml

from ci.chart import CHART
from ci.parts.chart_tools import KUBERNETES
from support.helm import EVERYTHING, conform, merged, nested, template

DEFAULTS = yaml.load((CHART / "values.yaml").read_text(), yaml.CSafeLoader)
SCHEMA = json.loads((CHART / "values.schema.json").read_text())
PLAIN = nested("zookeeper.customTools.backup.enable", value=True)

pytestmark = pytest.mark.xdist_group("null")  # its tests share what helm made of each key
NOTHING: dict[type, object] = {str: "", list: [], dict: {}}


def keys(described: dict[str, Any], defaults: dict[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """Path and default of every key that is described. Keys of other charts have no default."""
    for key, below in described["properties"].items():
        if key not in defaults:
            continue
        yield above + key, defaults[key]
        if "description" not in below:
            yield from keys(below, defaults[key], f"{above}{key}.")


KEYS = dict(keys(SCHEMA, DEFAULTS))
WORKLOADS = ("bookkeeper", "broker", "proxy", "toolset")
"""Components of one template, so that their keys of one name are null together."""


def cases() -> dict[str, list[str]]:
    """Keys that are null together, by a name."""
    found: dict[str, list[str]] = {}
    for path in KEYS:
        component, _, below = path.partition(".")
        found.setdefault(f"*.{below}" if component in WORKLOADS and below else path, []).append(path)
    return found


def required(described: dict[str, Any], above: str = "") -> Iterator[str]:
    """The paths that the schema demands."""
    for key, below in described["properties"].items():
        if key in described.get("required", ()):
            yield above + key
        if below is not True and "properties" in below:
            yield from required(below, f"{above}{key}.")


CASES = cases()
REQUIRED = KEYS.keys() & set(required(SCHEMA))
TURNS = [(case, 3 + number % 2) for number, case in enumerate(CASES)]
"""Each case, with the helm whose turn it is."""
ALONE = [(case, major) for case, major in TURNS if not REQUIRED.issuperset(CASES[case])]
"""Those of them that the schema does not refuse."""


def groups() -> list[tuple[str, ...]]:
    """The same cases, with those of one name together. A switch or a map with keys in it could hide others."""
    found: dict[str, list[str]] = {}
    for case, _ in ALONE:
        hides = any(
            isinstance(default := KEYS[path], bool) or (default and isinstance(default, dict)) for path in CASES[case]
        )
        found.setdefault(case if hides else case.rpartition(".")[2], []).append(case)
    return [tuple(each) for each in found.values()]


GROUPS = [(group, 3 + number % 2) for number, group in enumerate(groups())]
"""Each group, with the helm whose turn it is."""
MAY_BE_EMPTY = [(case, major) for case, major in TURNS if all(KEYS[key] in NOTHING.values() for key in CASES[case])]


def told(major: int, *values: dict[str, Any]) -> tuple[str, str]:
    """What helm renders, and what it says."""
    done = template(merged(*values), major)
    return done.stdout, done.stderr


@cache
def said(group: tuple[str, ...], major: int) -> tuple[str, str]:
    """What helm makes of keys that are null, while every other option is set."""
    return told(major, EVERYTHING, *(nested(path, None) for case in group for path in CASES[case]))


def said_of_each(group: tuple[str, ...], major: int) -> Iterator[tuple[str, str, str]]:
    """What helm makes of each case, and its name: of a group at once, unless that is refused."""
    if len(group) == 1 or not said(group, major)[1]:
        yield group[0], *said(group, major)
    else:
        for case in group:
            yield case, *said((case,), major)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Each case with both helms. In the short form groups, each with one of them, without what the schema demands."""
    if "major" in metafunc.fixturenames:
        soak = metafunc.config.getoption("--soak")
        each = [((case,), major) for case in CASES for major in (3, 4)] if soak else GROUPS
        metafunc.parametrize(("group", "major"), each, ids=lambda value: value[0] if isinstance(value, tuple) else None)


def test_null_renders_or_is_refused_by_name(group: tuple[str, ...], major: int) -> None:
    """Any key that is null: manifests without a trace of it, or a line that names the key."""
    for case, rendered, refused in said_of_each(group, major):
        for path in CASES[case] if "missing property" in refused else CASES[case][:1]:
            above, _, key = ("/" + path.replace(".", "/")).rpartition("/")
            named = f"at '{above}': missing property '{key}'|{re.escape('.'.join(path.split('.')[-2:]))} is "
            assert re.search(named, refused) if refused else "<nil>" not in rendered, refused


@pytest.mark.parametrize("helm", [3, 4])
@pytest.mark.parametrize("depth", sorted({path.count(".") for path in REQUIRED}))
def test_null_is_refused_by_the_schema(depth: int, helm: int) -> None:
    """Where the schema demands a key, null is refused in a line that names the key, also if others are null, too."""
    nulls = {path for path in REQUIRED if path.count(".") == depth}
    refused = told(helm, EVERYTHING, *(nested(path, None) for path in nulls))[1]
    named = {
        f"{above.strip('/')}/{key}".lstrip("/").replace("/", ".")
        for above, keys in re.findall(r"at '(.*?)': missing propert(?:y|ies) (.*)", refused)
        for key in re.findall("'(.*?)'", keys)
    }
    assert nulls == named, refused


@pytest.mark.parametrize(("key", "helm"), MAY_BE_EMPTY)
@pytest.mark.soak
def test_null_is_as_good_as_empty(key: str, helm: int) -> None:
    """Where a key is empty by default, null is the same as empty, whatever else is set."""
    nulls = [nested(path, None) for path in CASES[key]]
    empty = [nested(path, NOTHING[type(KEYS[path])]) for path in CASES[key]]
    assert told(helm, EVERYTHING, *nulls, *empty) == said((key,), helm)


@pytest.mark.parametrize("helm", [3, 4])
def test_nulls_together_are_as_good_as_empty(helm: int) -> None:
    """Where keys are empty by default, null for all of them changes nothing."""
    nulls = [nested(path, None) for case, _ in MAY_BE_EMPTY for path in CASES[case]]
    assert told(helm, PLAIN) == told(helm, PLAIN, *nulls)


def test_what_null_renders_conforms() -> None:
    """Kubernetes accepts every field of the objects that a null leads to."""
    objects = {
        each
        for group, helm in GROUPS
        for _, rendered, _ in said_of_each(group, helm)
        for each in rendered.split("\n---\n")
    }
    assert "" == conform("\n---\n".join(sorted(objects)), KUBERNETES[-1])


@pytest.mark.parametrize("key", ["zookeeper.replicaCount", "clusterDomain", "zookeeper.ports.client", "monitoring"])
def test_null_for_what_must_be_there(key: str) -> None:
    """What the chart cannot do without is refused, by both helms."""
    assert all("missing property" in said((key,), helm)[1] for helm in (3, 4))
