"""The steps that put back the schemas of a topic, against a model of the brokers' registry."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from metadata_tool.broker_metadata.records import SchemaVersion
from metadata_tool.pulsar.schema_locator import LocatedVersion
from metadata_tool.put_back.schema_steps import Done, Post, Refused, Step, Tombstone, next_step, unclear


def schema(version: int, text: str, kind: str = "AVRO") -> SchemaVersion:
    """A version that was saved."""
    return SchemaVersion(version, hashlib.sha256(text.encode()).digest(), kind, text, {}, 0)


def lost(version: int, text: str) -> SchemaVersion:
    """A version that brokers do not give out."""
    return SchemaVersion(version, hashlib.sha256(text.encode()).digest())


def deletion(version: int) -> SchemaVersion:
    """A tombstone."""
    return SchemaVersion(version, b"")


def located(*texts: str) -> tuple[LocatedVersion, ...]:
    """A locator with these schemas, an empty text for a tombstone."""
    return tuple(LocatedVersion(n, hashlib.sha256(t.encode()).digest() if t else b"") for n, t in enumerate(texts))


class Registry:
    """What brokers do with the schemas of a topic: a text for each version, None for a tombstone."""

    def __init__(self) -> None:
        self.texts: list[str | None] = []

    def locator(self) -> tuple[LocatedVersion, ...]:
        """The versions with their hashes."""
        return located(*(text or "" for text in self.texts))

    def given(self) -> dict[int, str]:
        """The versions that brokers give out: those after the last tombstone."""
        begin = max((n + 1 for n, text in enumerate(self.texts) if text is None), default=0)
        return {n: text for n, text in enumerate(self.texts) if n >= begin and text is not None}

    def post(self, text: str) -> None:
        """Register a schema, if there is no equal one."""
        if text not in self.given().values():
            self.texts.append(text)

    def take(self, step: Step) -> None:
        """Do a step."""
        match step:
            case Post(version):
                self.post(str(version.data))
            case Tombstone():
                self.texts.append(None)


def saved_from(texts: Sequence[str | None]) -> tuple[SchemaVersion, ...]:
    """What a backup has of a registry with this history."""
    registry = Registry()
    for text in texts:
        registry.take(Post(schema(0, text)) if text else Tombstone(0))
    given = registry.given()
    return tuple(
        schema(n, text) if text and n in given else lost(n, text) if text else deletion(n)
        for n, text in enumerate(registry.texts)
    )


class PutBacks(RuleBasedStateMachine):
    """Put-backs that are killed at any step, clients that come first, and requests that arrive twice."""

    @initialize(texts=st.lists(st.sampled_from(["a", "b", "c", None]), max_size=7))
    def backup(self, texts: list[str | None]) -> None:
        """A backup of any history, and a new cluster."""
        self.saved = saved_from(texts)
        self.registry = Registry()
        self.disturbed = False
        self.last: Step = Done()

    def next(self) -> Step:
        """The next step of any run."""
        return next_step(self.saved, self.registry.locator())

    @rule()
    def step(self) -> None:
        """A step of any run: whether its answer arrives does not matter."""
        before, step = list(self.registry.texts), self.next()
        self.registry.take(step)
        self.last = step if self.registry.texts != before else self.last
        if isinstance(step, Post | Tombstone):
            assert [*before, step.version.data if isinstance(step, Post) else None] == self.registry.texts
        else:
            assert before == self.registry.texts

    @rule(text=st.sampled_from(["a", "b", "c", "foreign"]))
    def client(self, text: str) -> None:
        """A client registers a schema, although that is held off."""
        self.registry.post(text)
        self.disturbed = True

    @rule()
    def late(self) -> None:
        """A request of a run that was killed arrives after the next run has sent it again."""
        self.registry.take(self.last)
        self.disturbed = True

    @precondition(lambda self: isinstance(self.next(), Refused))
    @rule()
    def replace(self) -> None:
        """An operator lets the topic's schemas be replaced."""
        self.registry.texts.clear()
        self.disturbed = False

    @rule()
    def run(self) -> None:
        """A run to its end: done, or refused without a change."""
        while isinstance(step := self.next(), Post | Tombstone):
            self.registry.take(step)
        assert self.disturbed or isinstance(step, Done)

    @invariant()
    def done_is_complete(self) -> None:
        """Only what is completely back is called done: each version can be read at its old number."""
        if isinstance(self.next(), Done):
            texts = self.registry.texts[: len(self.saved)]
            assert [version.data for version in self.saved if version.readable] == [
                text for version, text in zip(self.saved, texts, strict=True) if version.readable
            ]

    @invariant()
    def undisturbed_is_never_refused(self) -> None:
        """Nothing but clients and late requests leads to a refusal."""
        assert self.disturbed or not isinstance(self.next(), Refused)


TestPutBacks = PutBacks.TestCase


@pytest.mark.parametrize(
    ("saved", "current", "expected"),
    [
        ((schema(0, "a"), schema(1, "b")), located(), Post(schema(0, "a"))),
        ((schema(0, "a"), schema(1, "b")), located("a"), Post(schema(1, "b"))),
        ((lost(0, "a"), deletion(1), schema(2, "b")), located(), Tombstone(0)),
        ((lost(0, "a"), deletion(1), schema(2, "b")), located("", ""), Post(schema(2, "b"))),
        ((lost(0, "a"), deletion(1)), located("a", ""), Done()),
        ((schema(0, "a"),), located("a", "later", ""), Done()),
    ],
    ids=["first", "second", "unreadable", "after deletions", "bookies kept", "later versions"],
)
def test_steps(saved: tuple[SchemaVersion, ...], current: tuple[LocatedVersion, ...], expected: Step) -> None:
    """Each version is put at its old number, and versions that nobody can read become deletions."""
    assert expected == next_step(saved, current)


@pytest.mark.parametrize(
    ("saved", "current", "why", "replaceable"),
    [
        ((schema(0, "a"),), located("b"), "its version 0 is not the saved one", True),
        ((schema(0, "a"), schema(1, "b")), located("a", ""), "its version 1 is a deletion", True),
        ((schema(0, "a"),), (LocatedVersion(4, schema(0, "a").sha256),), "its version 4", True),
        ((schema(0, "a"), lost(1, "b")), located(), "no broker gave out version 1", False),
        ((schema(1, "a"),), located(), "the backup does not have all of its versions", False),
    ],
    ids=["client first", "deleted", "other number", "not saved", "gap"],
)
def test_refusals(
    saved: tuple[SchemaVersion, ...], current: tuple[LocatedVersion, ...], why: str, *, replaceable: bool
) -> None:
    """A topic with other versions is left alone, with the reason."""
    step = next_step(saved, current)
    assert isinstance(step, Refused)
    assert step.why.startswith(why)
    assert replaceable == step.replaceable


def test_other_form() -> None:
    """A key-value schema with another hash is the saved one if brokers give it out as it was saved."""
    saved = (schema(0, "{}", "KEY_VALUE"), schema(1, "b"))
    current = located("{ }")
    assert (saved[0],) == unclear(saved, current)
    assert isinstance(next_step(saved, current), Refused)
    assert Post(saved[1]) == next_step(saved, current, frozenset({0}))


def test_clear_hashes() -> None:
    """The hash tells everything for other types, deletions and equal versions."""
    saved = (schema(0, "a"), replace(schema(1, "{}", "KEY_VALUE")), lost(2, "c"))
    assert () == unclear(saved, located("other", "{}", ""))
