"""Who holds the lock of a put-back, in words."""

import re

import pytest

from metadata_tool.put_back.ensemble import Holder


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (Holder("pod-0", 7, 1769903999123).to_json(), " on pod-0 (process 7) since 2026-01-31T23:59:59.123Z"),
        (b'{"host":"pod-0"}', " on pod-0"),
        (b'{"host":"a\\nb","pid":"7","since":-1}', r" on a\nb"),
        (b'{"pid":7,"since":99999999999999999}', ""),
        (b"{", ""),
        (b"[]", ""),
    ],
)
def test_in_words(data: bytes, expected: str) -> None:
    """What the lock tells is told, and nothing else, whatever its data is."""
    assert expected == Holder.in_words(data)


def test_own() -> None:
    """The lock of this process names it, and the present time."""
    assert re.fullmatch(r" on \S+ \(process \d+\) since 20\d\d-\S+Z", Holder.in_words(Holder.own().to_json()))
