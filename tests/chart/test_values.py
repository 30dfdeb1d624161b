"""values.yaml as its readers use it: the example below each empty map and list."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from ci.chart import CHART
from ci.parts.chart_tools import OLDEST_AND_NEWEST
from support.helm import conform, merged, nested, render, template, text

VALUES = (CHART / "values.yaml").read_text()
LINES = VALUES.splitlines()
ON = merged(
    {"initialize": True},
    nested("zookeeper.customTools.backup.enable", value=True),
    nested("zookeeper.customTools.backup.drill.enabled", value=True),
    nested("zookeeper.customTools.restore.putBack.enabled", value=True),
    nested("zookeeper.customTools.restore.enable", value=True),
    nested("zookeeper.customTools.restore.restorePoint", "latest"),
    *(nested(f"monitoring.{each}.enabled", value=True) for each in yaml.safe_load(VALUES)["monitoring"]),
    *(nested(f"components.{each}", value=True) for each in yaml.safe_load(VALUES)["components"]),
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
    return dict(yaml.safe_load("\n".join(filter(None, lines))))


@pytest.mark.parametrize("path", EMPTY)
def test_example(path: str) -> None:
    """Without its marks of a comment, the example is what the key then holds, and nothing else changes."""
    value = in_use({path: EMPTY[path]})
    for key in path.split("."):
        value = value[key]
    assert value
    assert merged(yaml.safe_load(VALUES), nested(path, value)) == in_use({path: EMPTY[path]})


@pytest.mark.parametrize("major", [3, 4])
def test_examples_pass_the_schema(major: int) -> None:
    """Both helms accept all examples at once."""
    done = template(merged(in_use(EMPTY), ON, *BESIDE.values()), major)
    assert (0, "") == (done.returncode, done.stderr)


@pytest.mark.parametrize("kubernetes", OLDEST_AND_NEWEST)
def test_examples_conform(kubernetes: str) -> None:
    """Kubernetes accepts the objects that they lead to."""
    assert "" == conform(text(merged(in_use(EMPTY), ON, *BESIDE.values()), "--kube-version", kubernetes), kubernetes)


def test_examples_reach_the_objects() -> None:
    """Each example changes the objects of the release."""
    plain = render(merged(in_use({}), ON))
    assert [] == [
        path for path, line in EMPTY.items() if render(merged(in_use({path: line}), ON, BESIDE.get(path, {}))) == plain
    ]
