"""Negative controls: without one of these rules of the capture, the comparison with the log finds differences."""

from pathlib import Path

import pytest

from ci.parts.zookeeper import NEWEST
from metadata_tool.zookeeper.capture.acl_cache import AclCache
from metadata_tool.zookeeper.capture.rules import ALL_RULES, Rules
from metadata_tool.zookeeper.errors import ZnodeUnreadable
from support.broken_rules import NoEvents, Trusting, unchecked
from support.capturing import Taken, Verdict, judge, take
from support.latency import delayed
from support.truth import load
from support.zookeeper import standalone

CAPTURES, MANY = 2, 10
WRITES, WRITES_IN_A_SOAK = 1500, 3000
"""Writes per second. With more, a busy machine needs minutes for a capture."""
SELDOM = ("LateIsInTime", "NoQuotas", "AnyVersion", "AclsHold")
"""Without these rules, only some captures are wrong."""
LONG_ALONE = (*SELDOM, "NoEvents", "OnlyCreatesMarkParents", "NothingIsLate", "NothingIsUnannounced")
"""Removed in the long form alone. The model of a server shows the same in seconds (test_model.py)."""
SHOWN = (
    "NoEvents",
    "NoParents",
    "OnlyCreatesMarkParents",
    "NothingIsLate",
    "NotVerified",
    "NothingIsUnannounced",
    "VerifierClears",
    *SELDOM,
)
"""What a load shows. The model of a server shows all of them."""
WHOLE = "all rules"
pytestmark = [pytest.mark.timeout(900), pytest.mark.xdist_group("load")]


def taken_out_one_by_one(*, soak: bool) -> list[str]:
    """The rules that are removed in this form."""
    return [name for name in SHOWN if soak or name not in LONG_ALONE]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test for each of them."""
    if "rule" in metafunc.fixturenames:
        metafunc.parametrize("rule", taken_out_one_by_one(soak=metafunc.config.getoption("--soak")))


@pytest.fixture(scope="module")
def verdicts(tmp_path_factory: pytest.TempPathFactory, *, soak: bool) -> dict[str, Verdict]:
    """The differences of captures under one load, without each of the rules, and with all of them."""
    directory = tmp_path_factory.mktemp("rules")
    taken: dict[str, list[Taken]] = {}
    with (
        standalone(NEWEST, directory) as server,
        delayed(server.address, 6) as address,
        load(server.address, WRITES_IN_A_SOAK if soak else WRITES, seed=1, znodes=3000, setacl=150, quota=3, hot=0.3),
    ):
        for name in (WHOLE, *taken_out_one_by_one(soak=soak)):
            known = AclCache(directory)
            taken[name] = [
                take(
                    address,
                    directory / f"{name}-{number}",
                    known=known,
                    rules=ALL_RULES if name == WHOLE else unchecked(name),
                )
                for number in range(MANY if name in SELDOM else CAPTURES)
            ]
            known.forget()
    return judge(NEWEST, server.data_dir, taken, directory / "truth")


def test_with_all_rules(verdicts: dict[str, Verdict]) -> None:
    """Under the same load, with all rules, captures are exact."""
    print(verdicts[WHOLE])
    assert {} == dict(verdicts[WHOLE].wrong)


def test_without(rule: str, verdicts: dict[str, Verdict]) -> None:
    """Without this rule, captures differ from the log."""
    print(f"{verdicts[rule].wrong.total()} differences: {dict(verdicts[rule].wrong)}")
    assert verdicts[rule].wrong


def test_count_notices_lost_events(tmp_path: Path) -> None:
    """If events are lost, the count of znodes shows that some were not read."""
    rules = Rules(tracker=NoEvents, verifier=Trusting)
    with (
        standalone(NEWEST, tmp_path) as server,
        load(server.address, 2000, seed=1, znodes=4000, delete=0, setacl=0),
        pytest.raises(ZnodeUnreadable, match="this login can see"),
    ):
        take(server.address, tmp_path / "capture", rules=rules)


def test_verifier_notices_lost_events(tmp_path: Path) -> None:
    """If events are lost, the verification of ACLs finds that a znode has changed."""
    with (
        standalone(NEWEST, tmp_path) as server,
        load(server.address, 2000, seed=1, znodes=4000),
        pytest.raises(ZnodeUnreadable, match="without a watch event"),
    ):
        take(server.address, tmp_path / "capture", rules=Rules(tracker=NoEvents))
