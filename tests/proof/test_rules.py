"""Negative controls: without any one rule of the capture, the comparison with the log finds differences."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ci.parts.zookeeper import NEWEST
from metadata_tool.zookeeper import capture, changes, consistent_cut
from metadata_tool.zookeeper.acl_cache import AclCache
from metadata_tool.zookeeper.acl_verifier import AclVerifier
from metadata_tool.zookeeper.acls import UNKNOWN, AclTable
from metadata_tool.zookeeper.bulk_reader import BulkReader
from metadata_tool.zookeeper.changes import ChangeTracker
from metadata_tool.zookeeper.consistent_cut import ConsistentCut
from metadata_tool.zookeeper.errors import ZnodeUnreadable
from metadata_tool.zookeeper.protocol import CREATED
from metadata_tool.zookeeper.stat import NEVER_SET
from support.capturing import Taken, Verdict, judge, take
from support.latency import delayed
from support.truth import load
from support.zookeeper import standalone

CAPTURES, MANY = 2, 10
Take = Callable[[pytest.MonkeyPatch], None]


def no_events(patch: pytest.MonkeyPatch) -> None:
    """What changes is not read again."""
    patch.setattr(ChangeTracker, "event", lambda *_: None)


def no_parents(patch: pytest.MonkeyPatch) -> None:
    """A create or a delete does not mark the parent."""
    patch.setattr(changes, "parent_of", lambda path: path)


def only_creates_mark_parents(patch: pytest.MonkeyPatch) -> None:
    """A delete does not mark the parent."""
    original = ChangeTracker.event

    def event(self: ChangeTracker, kind: int, path: bytes, zxid: int) -> None:
        original(self, kind, path, zxid) if kind == CREATED else self.mark(path)

    patch.setattr(ChangeTracker, "event", event)


def nothing_is_late(patch: pytest.MonkeyPatch) -> None:
    """Znodes that are marked at the cut are not read."""
    patch.setattr(ConsistentCut, "late", lambda _: [])


def nothing_breaks(patch: pytest.MonkeyPatch) -> None:
    """A znode that changes again before its late read is accepted."""
    original = ChangeTracker.mark

    def mark(self: ChangeTracker, path: bytes) -> None:
        original(self, path)
        self.broken.clear()

    patch.setattr(ChangeTracker, "mark", mark)


def no_quotas(patch: pytest.MonkeyPatch) -> None:
    """The counters of quotas are not part of the reply at Z."""
    for module in (capture, consistent_cut):
        patch.setattr(module, "is_quota_stats", lambda _: False)


def any_version_of_an_acl(patch: pytest.MonkeyPatch) -> None:
    """An ACL of any version of its znode is accepted."""
    patch.setattr(AclTable, "fitting", lambda self, path, _, reply: self.any_version(path, reply, UNKNOWN))
    patch.setattr(consistent_cut, "version_of", lambda _: (b"", NEVER_SET))


def no_proof(patch: pytest.MonkeyPatch) -> None:
    """ACLs are not read once more."""
    patch.setattr(AclVerifier, "run", lambda *_: set())


def nothing_is_silent(patch: pytest.MonkeyPatch) -> None:
    """Every zxid counts as announced by an event."""

    def reply(self: ChangeTracker, zxid: int) -> None:
        self.zxid = max(self.zxid, zxid)

    def event(self: ChangeTracker, kind: int, path: bytes, zxid: int) -> None:
        self.zxid = max(self.zxid, zxid - 1)
        original(self, kind, path, zxid)

    original = ChangeTracker.event
    patch.setattr(ChangeTracker, "reply", reply)
    patch.setattr(ChangeTracker, "event", event)


def the_proof_clears(patch: pytest.MonkeyPatch) -> None:
    """A read that keeps nothing takes marks away."""
    patch.setattr(BulkReader, "look", BulkReader.multi_read)


RULES: tuple[Take, ...] = (
    no_events,
    no_parents,
    only_creates_mark_parents,
    nothing_is_late,
    nothing_breaks,
    no_quotas,
    any_version_of_an_acl,
    no_proof,
    nothing_is_silent,
    the_proof_clears,
)
SELDOM = (nothing_breaks, no_quotas, any_version_of_an_acl)
"""Without these rules, only some captures are wrong, so they are removed in the long form alone."""
WHOLE = "all rules"
pytestmark = [pytest.mark.timeout(900), pytest.mark.xdist_group("load")]


def taken_out_one_by_one(*, soak: bool) -> list[Take]:
    """The rules that are removed in this form."""
    return [rule for rule in RULES if soak or rule not in SELDOM]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test for each of them."""
    if "rule" in metafunc.fixturenames:
        rules = taken_out_one_by_one(soak=metafunc.config.getoption("--soak"))
        metafunc.parametrize("rule", [rule.__name__ for rule in rules])


@pytest.fixture(scope="module")
def verdicts(tmp_path_factory: pytest.TempPathFactory, *, soak: bool) -> dict[str, Verdict]:
    """The differences of captures under one load, without each of the rules, and with all of them."""
    directory = tmp_path_factory.mktemp("rules")
    taken: dict[str, list[Taken]] = {}
    with (
        standalone(NEWEST, directory) as server,
        delayed(server.address, 6) as address,
        load(server.address, 3000, seed=1, znodes=3000, setacl=150, quota=3, hot=0.3),
    ):
        for rule in (None, *taken_out_one_by_one(soak=soak)):
            name = rule.__name__ if rule else WHOLE
            with taken_out(rule):
                captures = MANY if rule in SELDOM else CAPTURES
                known = AclCache(directory)
                taken[name] = [take(address, directory / f"{name}-{number}", known=known) for number in range(captures)]
                known.forget()
    return judge(NEWEST, server.data_dir, taken, directory / "truth")


@contextmanager
def taken_out(rule: Take | None) -> Iterator[None]:
    """Remove a rule, and the checks for changes without an event, which would stop some captures."""
    with pytest.MonkeyPatch.context() as patch:
        if rule:
            patch.setattr(capture.Capture, "require_all", lambda *_: None)
            patch.setattr(AclVerifier, "require_event", lambda *_: None)
            rule(patch)
        yield


def test_with_all_rules(verdicts: dict[str, Verdict]) -> None:
    """Under the same load, with all rules, captures are exact."""
    print(verdicts[WHOLE])
    assert {} == dict(verdicts[WHOLE].wrong)


def test_without(rule: str, verdicts: dict[str, Verdict]) -> None:
    """Without any one of the rules, captures differ from the log."""
    print(f"{verdicts[rule].wrong.total()} differences: {dict(verdicts[rule].wrong)}")
    assert verdicts[rule].wrong


def test_without_the_count(tmp_path: Path) -> None:
    """If events are lost, the count of znodes shows that some were not read."""
    with (
        standalone(NEWEST, tmp_path) as server,
        load(server.address, 2000, seed=1, znodes=4000, delete=0, setacl=0),
        pytest.MonkeyPatch.context() as patch,
    ):
        no_events(patch)
        patch.setattr(AclVerifier, "require_event", lambda *_: None)
        with pytest.raises(ZnodeUnreadable, match="this login can see"):
            take(server.address, tmp_path / "capture")


def test_without_events(tmp_path: Path) -> None:
    """If events are lost, the verification of ACLs finds that a znode has changed."""
    with (
        standalone(NEWEST, tmp_path) as server,
        load(server.address, 2000, seed=1, znodes=4000),
        pytest.MonkeyPatch.context() as patch,
    ):
        no_events(patch)
        with pytest.raises(ZnodeUnreadable, match="without a watch event"):
            take(server.address, tmp_path / "capture")
