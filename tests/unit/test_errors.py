import pickle
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metadata_tool.errors import SettingError, Stopped, ToolError, every_error
from support.trees import PATIENT

ERRORS = list(every_error())

messages = st.text() | st.lists(st.sampled_from(["a", "\n", "\r", "\v", "\f", "\x1c", "\x85", "\u2028", " "])).map(
    "".join
)


def test_codes_are_unique() -> None:
    """No two errors share an exit code."""
    shared = {code: times for code, times in Counter(error.exit_code for error in ERRORS).items() if times > 1}
    expected: dict[int, int] = {}
    assert expected == shared


def test_order() -> None:
    """All errors are listed, the lowest exit code first."""
    codes = [error.exit_code for error in ERRORS]
    assert sorted(codes) == codes
    assert {ToolError, SettingError, Stopped} <= set(ERRORS)


def test_codes_fit() -> None:
    """An exit code is one that a process can end with, and is not that of success."""
    assert [] == [error for error in ERRORS if error.exit_code not in range(1, 256)]


def test_meanings() -> None:
    """Every error has a meaning of its own, one line long."""
    meanings = [error.__doc__ or "" for error in ERRORS]
    assert [] == [meaning for meaning in meanings if [meaning] != meaning.splitlines()]
    assert [] == [meaning for meaning, times in Counter(meanings).items() if times > 1]


@PATIENT
@given(messages, messages)
def test_one_line(message: str, hint: str) -> None:
    """The text of an error is one line, whatever the message."""
    said = str(ToolError(message, hint))
    assert len(said.splitlines()) <= 1
    assert said == said.strip()


@PATIENT
@given(messages, messages)
def test_nothing_is_lost(message: str, hint: str) -> None:
    """The text of an error has every word of its message and of its hint."""
    said = str(ToolError(message, hint))
    expected = message.split()
    assert expected == said.split()[: len(expected)] or said.startswith(" ".join(expected))
    assert said.removesuffix(".").endswith(" ".join(hint.split()))


@pytest.mark.parametrize(
    ("hint", "expected"),
    [
        pytest.param("", "the disk is full", id="no hint"),
        pytest.param(" \n", "the disk is full", id="blank hint"),
        pytest.param("Make\nroom", "the disk is full. Make room.", id="hint"),
    ],
)
def test_hint(hint: str, expected: str) -> None:
    """The hint, if there is one, follows the message."""
    assert expected == str(SettingError("the disk\n  is full", hint))


def test_long_messages_are_shortened() -> None:
    """What another program says may have megabytes. A message has its start, its end, and how much is missing."""
    said = "x" * 1_000_000
    error = ToolError(f"it said {said}, and ended", f"Read {said}")
    assert len(str(error)) < 10_000
    assert (True, True) == (error.message.startswith("it said x"), error.message.endswith(", and ended"))
    assert "characters" in error.message
    copied = pickle.loads(pickle.dumps(error))  # as between processes
    assert str(error) == str(copied)
