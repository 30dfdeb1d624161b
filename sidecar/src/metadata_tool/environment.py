"""Reads one environment variable and checks its value: the only reader of os.environ."""

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

from metadata_tool.errors import SettingError
from metadata_tool.variables import VARIABLES, Variable

T = TypeVar("T")


_GUNICORN_VARIABLES = (
    "FORWARDED_ALLOW_IPS",
    "GUNICORN_FD",
    "GUNICORN_PID",
    "LISTEN_FDS",
    "LISTEN_PID",
    "PORT",
    "SENDFILE",
    "WEB_CONCURRENCY",
)


def hide_from_gunicorn() -> None:
    """Unset the variables that gunicorn reads for itself, some of them as soon as it is imported."""
    for name in _GUNICORN_VARIABLES:
        os.environ.pop(name, None)


class Environment:
    """Values by variable. Blanks around a value are removed, and an empty value counts as unset.

    Every method raises SettingError, which names the variable.
    """

    def __init__(self, values: Mapping[str, str] | None = None) -> None:
        self._values = os.environ if values is None else values

    def for_others(self) -> dict[str, str]:
        """What another program may see: everything but this program's settings and the credentials of S3."""
        own = {variable.name for variable in VARIABLES}
        return {name: value for name, value in self._values.items() if name not in own and not name.startswith("AWS_")}

    def replaced(self, values: Mapping[str, str]) -> dict[str, str]:
        """All values, with these in place of those of the same name."""
        return {**self._values, **values}

    def text(self, variable: Variable) -> str:
        """The value, or the default."""
        return self._values.get(variable.name, "").strip() or variable.default

    def required(self, variable: Variable, hint: str) -> str:
        """The value, which must be set."""
        value = self.text(variable)
        if not value:
            state = "empty" if variable.name in self._values else "not set"
            raise SettingError(f"{variable.name} is {state}", hint)
        return value

    def parsed(self, variable: Variable, parse: Callable[[str], T], hint: str) -> T:
        """The parsed value, which must be set. `parse` raises ValueError, and no message repeats the value."""
        try:
            return parse(self.required(variable, hint))
        except ValueError as error:
            raise SettingError(f"{variable.name} is not valid, {error}", hint) from error

    def number(self, variable: Variable) -> int:
        """A number within the variable's limits."""
        value = self.text(variable)
        assert variable.low is not None
        assert variable.high is not None
        if not re.fullmatch(r"[0-9]{1,10}", value) or not variable.low <= int(value) <= variable.high:
            raise _refusal(variable, value, variable.expected)
        return int(value)

    def optional_number(self, variable: Variable) -> int | None:
        """A number within the variable's limits. None if the variable is unset and has no default."""
        return self.number(variable) if self.text(variable) else None

    def fraction(self, variable: Variable) -> float:
        """A number from 0 to 1."""
        value = self.text(variable)
        if not re.fullmatch(r"0(\.[0-9]{1,10})?|1(\.0{1,10})?", value):
            raise _refusal(variable, value, variable.expected)
        return float(value)

    def choice(self, variable: Variable) -> str:
        """One of the variable's choices. Empty if there is no default and the variable is unset."""
        return _chosen(variable, self.text(variable))

    def folded_choice(self, variable: Variable) -> str:
        """One of the variable's choices, in any case: names that many programs share are often set in capitals."""
        return _chosen(variable, self.text(variable).lower())

    def switch(self, variable: Variable) -> bool:
        """Whether the value is `true`."""
        return self.choice(variable) == "true"

    def path(self, variable: Variable) -> Path | None:
        """A path. None if the variable is unset."""
        value = self.text(variable)
        return Path(value) if value else None

    def matching(self, variable: Variable, pattern: re.Pattern[str], expected: str) -> str:
        """A printable value that matches a pattern. `expected` describes such a value in words."""
        value = self.text(variable)
        if not pattern.fullmatch(value) or not value.isprintable():
            raise _refusal(variable, value, expected)
        return value


def _chosen(variable: Variable, value: str) -> str:
    if value and value not in variable.choices:
        raise _refusal(variable, value, variable.expected)
    return value


def _refusal(variable: Variable, value: str, expected: str) -> SettingError:
    return SettingError(f"{variable.name} is {value!a}", f"It must be {expected}")
