"""Writes the tables in docs/ that are made from the code, between their markers."""

import re
import sys
from collections.abc import Iterable
from pathlib import Path

from ci import other_charts
from metadata_tool.errors import every_error
from metadata_tool.metrics import BROKER, COPIES, COVERAGE, METRICS, SCRUB
from metadata_tool.pulsar.rules import RULES
from metadata_tool.variables import BOTO3, VARIABLES, Variable

DOCS = Path(__file__).resolve().parent.parent / "docs"


def environment() -> str:
    """The table of settings."""
    rows = [
        (f"`{each.name}`", _default(each), each.values, ", ".join(each.readers), each.meaning) for each in VARIABLES
    ]
    return table(("Variable", "Default", "Values", "Read by", "Meaning"), rows) + f"\n\n{BOTO3}"


def _default(variable: Variable) -> str:
    if variable.required_by == variable.readers:
        return "required"
    required = f"required by {', '.join(variable.required_by)}" if variable.required_by else ""
    return f"`{variable.default}`" if variable.default else required


def exit_codes() -> str:
    """The table of exit codes."""
    rows = [("0", "", "Done"), *((str(e.exit_code), f"`{e.__name__}`", e.__doc__ or "") for e in every_error())]
    return table(("code", "error", "meaning"), rows)


def metrics() -> str:
    """The table of metrics."""
    by_namespace = ((f'`{m.name}{{pulsar_namespace="…"}}`', m.type, m.meaning) for m in (*COVERAGE, *SCRUB))
    of_brokers = ((f"`{m.name}{{{_labels(labels)}}}`", m.type, m.meaning) for m, labels in BROKER.items())
    by_place = ((f'`{m.name}{{place="…"}}`', m.type, m.meaning) for m in COPIES)
    alone = ((f"`{m.name}`", m.type, m.meaning) for m in METRICS)
    return table(("name", "type", "meaning"), (*alone, *by_namespace, *of_brokers, *by_place))


def _labels(names: Iterable[str]) -> str:
    return ",".join(f'{name}="…"' for name in names)


def recovery() -> str:
    """The table of the rules of a recovery."""
    rows = [
        (rule.name, "<br>".join(f"`{path}`" for path in rule.paths), rule.action, rule.why, "<br>".join(rule.scopes))
        for rule in RULES
    ]
    return table(("rule", "znodes", "what is done", "why", "scope"), rows)


def coming_from() -> str:
    """The tables of other charts' keys: those with a counterpart here, and those without."""
    moved = ((f"`{key}`", _with_code(way)) for key, way in other_charts.moved().items())
    absent = ((_with_code(why), ", ".join(f"`{key}`" for key in keys)) for why, keys in other_charts.absent())
    return "\n\n".join(
        (table(("their key", "what to do"), moved), table(("why there is no such key", "their keys"), absent))
    )


def _with_code(text: str) -> str:
    """A sentence with the names of values as code."""
    return re.sub(r"\b[a-z]\w+(?:\.\w+)+|\b(?:commonLabels|extraObjects|fullnameOverride)\b", r"`\g<0>`", text)


TABLES = {
    "coming-from": coming_from,
    "environment": environment,
    "exit-codes": exit_codes,
    "metrics": metrics,
    "recovery": recovery,
}


def table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """A Markdown table."""
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def current(text: str, name: str) -> str:
    """A document with its table as the code has it."""
    return between(text, name, TABLES[name]())


def between(text: str, name: str, content: str) -> str:
    """A document with this between its markers."""
    begin, end = f"<!-- table: {name} -->", "<!-- end of table -->"
    pattern = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
    return pattern.sub(lambda _: f"{begin}\n\n{content}\n\n{end}", text)


def main() -> int:
    """Rewrite every document."""
    for name in TABLES:
        path = DOCS / f"{name}.md"
        path.write_text(current(path.read_text(), name))
    return 0


if __name__ == "__main__":
    sys.exit(main())
