"""What tests replace in the program, they replace by its public name."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

TESTS = Path(__file__).parent.parent
PATCHING = {"setattr", "setitem", "delattr", "delitem"}


def replaced(source: str) -> Iterator[str]:
    """The names that a test file replaces for a while."""
    if not any(f".{name}(" in source for name in PATCHING):
        return
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in PATCHING:
            for argument in node.args[:2]:
                if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
                    yield argument.value.rpartition(".")[2]
                elif isinstance(argument, ast.Attribute):
                    yield argument.attr


def test_no_private_name_is_replaced() -> None:
    """No test replaces a name that begins with an underscore: limits are parameters, and hooks are public."""
    found = {path.relative_to(TESTS): list(replaced(path.read_text())) for path in TESTS.rglob("*.py")}
    assert any(found.values())
    assert {} == {
        str(path): private for path, names in found.items() if (private := [name for name in names if name[:1] == "_"])
    }


@pytest.mark.parametrize(
    "line",
    [
        'patch.setattr(module, "_name", 1)',
        'monkeypatch.setattr("package.module._name", 1)',
        'monkeypatch.setitem(module._name, "key", 1)',
    ],
)
def test_private_name_is_found(line: str) -> None:
    """Each way to replace a private name is seen."""
    assert "_name" in set(replaced(line))
