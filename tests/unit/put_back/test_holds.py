"""A put-back sets back what is held, whenever it is killed, and never what somebody has set since."""

import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from metadata_tool.pulsar.holds import HELD, OF_DATA, OF_SCHEMAS, RETENTION, STRATEGY, TTL
from metadata_tool.put_back.holds import Holds, finish
from metadata_tool.put_back.result import PutBackResult
from metadata_tool.zookeeper.znodes import Write
from support.broker_model import BrokerModel
from support.trees import EXAMPLES

NAMESPACE, POLICIES, NOTE = "t/ns", "/admin/policies/t/ns", "/metadata-backup/held/t/ns"
HOUR = {"retentionTimeInMinutes": 60, "retentionSizeInMB": 5}
BEFORE: dict[str, Any] = {RETENTION: HOUR, TTL: None, "is_allow_auto_update_schema": None}
DATA = tuple(OF_DATA.values())
OTHERS = {"bundles": {"numBundles": 4}}


def restored(before: dict[str, Any] | None = None) -> BrokerModel:
    """The znodes of a namespace with these settings held, BEFORE if they are not given."""
    note = BEFORE if before is None else before
    policies = OTHERS | {name: HELD[name] for name in note}
    return BrokerModel({POLICIES: json.dumps(policies).encode(), NOTE: json.dumps(note).encode()})


def policies(znodes: BrokerModel) -> Any:
    """The policies of the namespace."""
    return json.loads(znodes.znodes[POLICIES])


def note(znodes: BrokerModel) -> Any:
    """What is noted."""
    return json.loads(znodes.znodes[NOTE])


def finished(
    znodes: BrokerModel, names: Sequence[str] = DATA, *, complete: bool = True, dry_run: bool = False
) -> PutBackResult:
    """The report of one namespace."""
    result = PutBackResult("", dry_run)
    finish(Holds(znodes), NAMESPACE, names, result, complete=complete)
    return result


def test_set_back() -> None:
    """Settings of data are set back, and those of schemas wait."""
    znodes = restored()
    result = finished(znodes)
    assert OTHERS | {RETENTION: HOUR, "is_allow_auto_update_schema": False} == policies(znodes)
    assert {"is_allow_auto_update_schema": None} == note(znodes)
    assert ({"freed": 1}, True, {}) == (dict(result.namespaces), result.complete, result.held)
    assert {"released": 1} == dict(finished(znodes, OF_SCHEMAS).namespaces)
    assert (OTHERS | {RETENTION: HOUR}, {}) == (policies(znodes), note(znodes))
    assert {} == dict(finished(znodes).namespaces), "a second run has nothing to do"


@pytest.mark.parametrize("waits", [True, False], ids=["incomplete", "dry run"])
def test_nothing_is_set_back(*, waits: bool) -> None:
    """While policies are missing, and in a dry run, all stays held."""
    znodes = restored()
    before = dict(znodes.znodes)
    result = finished(znodes, complete=not waits, dry_run=not waits)
    assert before == znodes.znodes
    assert {"keeping" if waits else "freed": 1} == dict(result.namespaces)
    assert ({NAMESPACE: [RETENTION, TTL]} if waits else {}) == result.held


def test_decisions_of_others() -> None:
    """What somebody has set since the restore stays, and is named once."""
    znodes = restored()
    znodes.znodes[POLICIES] = json.dumps(policies(znodes) | {TTL: 7}).encode()
    result = finished(znodes)
    assert (7, HOUR) == (policies(znodes)[TTL], policies(znodes)[RETENTION])
    assert [f"its {TTL} was changed since the restore, and stays as it is"] == [each.why for each in result.notes]
    assert [] == finished(znodes).notes


def test_no_note() -> None:
    """Without a note nothing is held, whatever the policies say, and nothing is noted."""
    znodes = restored()
    del znodes.znodes[NOTE]
    before = dict(znodes.znodes)
    Holds(znodes).remember(NAMESPACE, STRATEGY, "FULL")
    assert {} == dict(finished(znodes).namespaces)
    assert before == znodes.znodes


def test_remembered_once() -> None:
    """What a setting was is not forgotten by a run that finds it changed."""
    znodes = restored({})
    holds = Holds(znodes)
    holds.remember(NAMESPACE, STRATEGY, "FULL")
    holds.remember(NAMESPACE, STRATEGY, "ALWAYS_COMPATIBLE")
    assert {STRATEGY: "FULL"} == holds.of(NAMESPACE)


@pytest.mark.parametrize("times", [1, 99])
def test_written_by_others_meanwhile(times: int) -> None:
    """A change at the same moment is not lost. If there is one each time, the namespace is named."""
    znodes, plain, changes = restored(), BrokerModel.set_all, iter(range(times))

    def set_all(writes: Sequence[Write]) -> bool:
        for number in (found for found in [next(changes, None)] if found is not None):
            znodes.znodes[POLICIES] = json.dumps(policies(znodes) | {"number": number}).encode()
        return plain(znodes, writes)

    znodes.set_all = set_all  # type: ignore[method-assign]
    result = finished(znodes)
    assert (times == 1) == result.complete == (policies(znodes)[RETENTION] == HOUR)
    assert "number" in policies(znodes)


class KilledError(Exception):
    """The end of the process."""


class Runs(RuleBasedStateMachine):
    """Put-backs of a namespace that are killed before or after any write, while others change its policies."""

    @initialize(names=st.sets(st.sampled_from([*BEFORE])))
    def restore(self, names: set[str]) -> None:
        """A restore holds some settings."""
        self.before = {name: value for name, value in BEFORE.items() if name in names}
        self.znodes = restored(self.before)
        self.decided: dict[str, Any] = {}

    @rule(names=st.sampled_from([DATA, OF_SCHEMAS]), after=st.sampled_from([None, False, True]))
    def run(self, names: Sequence[str], after: bool | None) -> None:
        """A put-back runs, or is killed at its first write, before or after it."""
        plain = BrokerModel.set_all

        def set_all(writes: Sequence[Write]) -> bool:
            if after:
                plain(self.znodes, writes)
            raise KilledError

        self.znodes.set_all = set_all if after is not None else plain.__get__(self.znodes)  # type: ignore[method-assign]
        try:
            finished(self.znodes, names)
        except KilledError:
            return
        assert note(self.znodes).keys().isdisjoint(names)

    @rule(name=st.sampled_from([*BEFORE]), value=st.sampled_from([5, "held", None]))
    def decide(self, name: str, value: object) -> None:
        """Somebody sets a setting, also to the held value once it was set back."""
        value = HELD[name] if value == "held" and name not in note(self.znodes) else value
        if value != "held":
            self.decided[name] = value
            changed = {key: each for key, each in (policies(self.znodes) | {name: value}).items() if each is not None}
            self.znodes.znodes[POLICIES] = json.dumps(changed).encode()

    @invariant()
    def nothing_is_lost(self) -> None:
        """Each setting has the value that somebody decided on, or the held one as long as it is noted, or the old."""
        found, noted = policies(self.znodes), note(self.znodes)
        expected = self.before | {name: HELD[name] for name in noted} | self.decided
        assert expected == {name: found.get(name) for name in expected}
        assert OTHERS.items() <= found.items()
        assert noted.items() <= self.before.items()


TestRuns = Runs.TestCase
TestRuns.settings = settings(max_examples=EXAMPLES // 4, stateful_step_count=8, deadline=None)
