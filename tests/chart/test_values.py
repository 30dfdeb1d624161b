"""values.yaml as its readers use it: the example below each empty map and list."""

import re
from collections.abc import Iterator
from hashlib import sha256
from typing import Any

import pytest
import yaml

from ci.chart import CHART
from ci.parts.chart_tools import OLDEST_AND_NEWEST
from support.helm import conform, merged, nested, render, template, text

VALUES = (CHART / "values.yaml").read_text()
LINES = VALUES.splitlines()
DEFAULTS = yaml.load(VALUES, yaml.CSafeLoader)
ON = merged(
    {"initialize": True},
    nested("zookeeper.customTools.backup.enable", value=True),
    nested("zookeeper.customTools.backup.drill.enabled", value=True),
    nested("zookeeper.customTools.restore.putBack.enabled", value=True),
    nested("zookeeper.customTools.restore.enable", value=True),
    nested("zookeeper.customTools.restore.restorePoint", "latest"),
    *(nested(f"monitoring.{each}.enabled", value=True) for each in DEFAULTS["monitoring"]),
    *(nested(f"components.{each}", value=True) for each in DEFAULTS["components"]),
    nested("broker.serviceAccount.create", value=True),
    nested("zookeeper.volumes.useSeparateDiskForTxlog", value=True),
)
ENCRYPTION = "zookeeper.customTools.backup.encryption"
BESIDE = {f"{ENCRYPTION}.recipients": nested(f"{ENCRYPTION}.signingSecretName", "signing")}
"""What an example needs beside it, which is refused without the example."""


def empty(node: yaml.MappingNode, above: str = "") -> Iterator[tuple[str, int]]:
    """Path and line of each key that is an empty map or list by default."""
    for key, value in node.value:
        path = above + key.value
        if isinstance(value, yaml.CollectionNode) and not value.value:
            yield path, key.start_mark.line
        elif isinstance(value, yaml.MappingNode):
            yield from empty(value, f"{path}.")


ROOT = yaml.compose(VALUES, Loader=yaml.SafeLoader)
assert isinstance(ROOT, yaml.MappingNode)
EMPTY = dict(empty(ROOT))


def example(line: int) -> list[str]:
    """The lines of the example below a key, without the marks of a comment."""
    indent = re.match(" *", LINES[line])
    assert indent
    below = []
    for each in LINES[line + 1 :]:
        found = re.match(rf"{indent[0]}# (  .*)", each)
        if not found:
            break
        below.append(indent[0] + found[1])
    return below


def in_use(keys: dict[str, int]) -> dict[str, Any]:
    """The values with the examples of some keys in use, as the head of the file says it."""
    lines: list[str | None] = list(LINES)
    for line in keys.values():
        below = example(line)
        lines[line] = re.sub(r" (\{\}|\[\])$", "", LINES[line])
        lines[line + 1 : line + 1 + len(below)] = below
    return dict(yaml.load("\n".join(filter(None, lines)), yaml.CSafeLoader))


@pytest.mark.parametrize("path", EMPTY)
def test_example(path: str) -> None:
    """Without its marks of a comment, the example is what the key then holds, and nothing else changes."""
    whole = value = in_use({path: EMPTY[path]})
    for key in path.split("."):
        value = value[key]
    assert value
    assert merged(DEFAULTS, nested(path, value)) == whole


@pytest.mark.parametrize("major", [3, 4])
def test_examples_pass_the_schema(major: int) -> None:
    """Both helms accept all examples at once."""
    done = template(merged(in_use(EMPTY), ON, *BESIDE.values()), major)
    assert (0, "") == (done.returncode, done.stderr)


@pytest.mark.parametrize("kubernetes", OLDEST_AND_NEWEST)
def test_examples_conform(kubernetes: str) -> None:
    """Kubernetes accepts the objects that they lead to."""
    assert "" == conform(text(merged(in_use(EMPTY), ON, *BESIDE.values()), "--kube-version", kubernetes), kubernetes)


RENDERS = 20


def renders_of(path: str) -> frozenset[int]:
    """The renders in which an example is in use: about half of all, and no two examples have the same."""
    digest = int.from_bytes(sha256(path.encode()).digest())
    return frozenset(number for number in range(RENDERS) if digest >> number & 1)


def leaves(value: object, above: str) -> Iterator[str]:
    """Each text and number in objects, with the keys that lead to it. Items of a list count by name, not by place."""
    if isinstance(value, dict):
        for key, below in value.items():
            yield from leaves(below, f"{above}.{key}")
    elif isinstance(value, list):
        for below in value:
            name = (below.get("metadata") or below).get("name", "") if isinstance(below, dict) else ""
            yield from leaves(below, f"{above}[{name}]")
            yield f"{above}[] {below}"
    else:
        yield f"{above} {value!r}"


def test_examples_reach_the_objects() -> None:
    """Each example changes the objects of the release.

    Examples are used together in a few renders. What an example leads to is in those in which it is in use, and in no
    other.
    """
    codes = {path: renders_of(path) for path in EMPTY}
    found: dict[str, set[int]] = {}
    for number in range(RENDERS):
        used = {path: EMPTY[path] for path, code in codes.items() if number in code}
        beside = [BESIDE[path] for path in used if path in BESIDE]
        for manifest in render(merged(in_use(used), ON, *beside)):
            name = re.sub("-[0-9a-f]{8}$", "", manifest["metadata"]["name"])  # a Job's has a digest of what it does
            for leaf in leaves(manifest, f"{manifest['kind']} {name}"):
                found.setdefault(leaf, set()).add(number)
    everywhere = frozenset(range(RENDERS))
    seen = {frozenset(renders) for renders in found.values()}
    assert len(codes) == len({*codes.values(), frozenset(), everywhere}) - 2
    assert set() == {path for path, code in codes.items() if not {code, everywhere - code} & seen}
