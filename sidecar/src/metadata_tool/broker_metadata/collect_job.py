"""The settings of the process that asks brokers, and its result."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from metadata_tool.broker_metadata.access import BrokerSettings
from metadata_tool.broker_metadata.not_saved import Reason


@dataclass(frozen=True)
class CollectJob:
    """The settings of the process: how to ask, the directory of the questions, the file to write, the brokers' hosts.

    `previous` is the `broker.json` of an earlier backup, None if there is none.
    """

    settings: BrokerSettings
    questions: Path
    target: Path
    hosts: frozenset[str] = frozenset()
    previous: Path | None = None


@dataclass
class Collected:
    """What was not saved by kind and reason, how many schemas were not asked for again, and the first reasons."""

    not_saved: Counter[tuple[str, Reason]] = field(default_factory=Counter)
    unchanged: int = 0
    why: list[str] = field(default_factory=list)
