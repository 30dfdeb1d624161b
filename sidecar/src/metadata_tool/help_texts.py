"""What `--help` shows below the usage: the variables that a command reads, and the exit codes."""

import textwrap

from metadata_tool.errors import every_error
from metadata_tool.variables import BOTO3, COMMANDS, VARIABLES, Variable

_WIDTH = 82
_BY_BOTO3 = tuple(command for command in COMMANDS if command not in ("make-keys", "apache-values", "rules"))


def of_program() -> str:
    """Where to find the variables, and the exit codes."""
    lines = [
        "The program is configured by environment variables.",
        "`metadata-tool COMMAND --help` shows the variables that a command reads.",
        "",
        "exit codes:",
        "   0  Done",
    ]
    lines += [f"  {error.exit_code:>2}  {error.__doc__}" for error in every_error()]
    return "\n".join(lines)


def of_command(command: str) -> str:
    """The variables that a command reads, each with its default and the values that are allowed."""
    lines = ["environment variables (an empty one counts as unset):"]
    for variable in VARIABLES:
        if command in variable.readers:
            lines.append(f"  {variable.name}{_facts(variable, command)}")
            lines += _wrapped(variable.meaning, 6)
    if command in _BY_BOTO3:
        lines += ["", *_wrapped(BOTO3, 0)]
    return "\n".join(lines)


def _facts(variable: Variable, command: str) -> str:
    default = f"default {variable.default}" if variable.default else ""
    facts = [variable.values, "required" if command in variable.required_by else default]
    return f" ({'; '.join(filter(None, facts))})" if any(facts) else ""


def _wrapped(text: str, indent: int) -> list[str]:
    return textwrap.wrap(text, _WIDTH - indent, initial_indent=" " * indent, subsequent_indent=" " * indent)
