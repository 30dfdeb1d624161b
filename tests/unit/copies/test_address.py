"""Places of copies as BACKUP_COPIES names them: an address, and settings of its own."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metadata_tool.copies import address

KNOWN = ("AWS_REGION", "VERIFY")
TEXT = st.text(st.characters(exclude_characters=",;=", exclude_categories=["Z", "C"]))


@given(TEXT, st.dictionaries(st.sampled_from(KNOWN), st.text(st.characters(exclude_characters=",;")).map(str.strip)))
def test_is_read_as_written(uri: str, given_settings: dict[str, str]) -> None:
    """Blanks around parts and a semicolon at the end do not count, and values may have an equals sign."""
    text = " ; ".join([uri, *(f"{name} = {value}" for name, value in given_settings.items()), ""])
    assert (uri, given_settings) == address.parse(text, KNOWN)


def test_list() -> None:
    """Commas part the places. Nothing is no place."""
    assert ["file:///a", "s3a://b;VERIFY=full"] == address.split("file:///a , s3a://b;VERIFY=full")
    assert [] == address.split("")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("s3a://b;zq7secret", "one of its settings is none of AWS_REGION, VERIFY"),
        ("s3a://b;zq7secret=1", "one of its settings is none of AWS_REGION, VERIFY"),
        ("s3a://b;AWS_REGION", "one of its settings is none of AWS_REGION, VERIFY"),
        ("s3a://b;VERIFY=zq7secret;VERIFY=full", "it sets VERIFY twice"),
    ],
)
def test_refusals(text: str, why: str) -> None:
    """What is wrong is told without the text, which may hold a secret."""
    with pytest.raises(ValueError, match=r".") as caught:
        address.parse(text, KNOWN)
    assert why == str(caught.value)
