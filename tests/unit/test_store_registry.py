import pytest
from hypothesis import given
from hypothesis import strategies as st

from metadata_tool.location import Location
from metadata_tool.store import EXAMPLES, parse_location
from metadata_tool.store.registry import SCHEMES
from support.stores import WITH_SERVER, WITHOUT_SERVER
from support.trees import PATIENT

ALNUM = "abcdefgXYZ0189"
buckets = st.builds("{}{}{}".format, st.sampled_from(ALNUM), st.text(ALNUM + "._-", min_size=1), st.sampled_from(ALNUM))
s3_parts = st.text(ALNUM + "!_.*'()=+@,:-", min_size=1)
directory_parts = st.text(st.characters(exclude_characters="/", exclude_categories=["Cs"]), min_size=1)
ADDRESS_ALPHABET = "s3afile:/@.-_ \n%x"


def paths(parts: st.SearchStrategy[str], least: int) -> st.SearchStrategy[str]:
    """Paths of these parts."""
    return st.lists(parts.filter(lambda part: part not in {".", ".."}), min_size=least, max_size=4).map("/".join)


locations = st.builds(Location, st.just("s3a"), buckets, paths(s3_parts, 0)) | st.builds(
    Location, st.just("file"), st.just(""), paths(directory_parts, 1)
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("s3a://my-bucket", Location("s3a", "my-bucket", "")),
        ("s3a://my-bucket/", Location("s3a", "my-bucket", "")),
        ("s3a://bucket/team/prod", Location("s3a", "bucket", "team/prod")),
        ("s3a://bucket/team/prod/", Location("s3a", "bucket", "team/prod")),
        ("s3a://bucket.of.mine/a=b", Location("s3a", "bucket.of.mine", "a=b")),
        ("file:///backups", Location("file", "", "backups")),
        ("file:///var/lib/the backups/", Location("file", "", "var/lib/the backups")),
    ],
)
def test_address_is_read(text: str, expected: Location) -> None:
    """A bucket, with a path or without, and a directory are places for backups."""
    assert expected == parse_location(text)


@pytest.mark.parametrize("rest", ["bucket", "bucket/", "bucket/team/prod"])
def test_s3_means_s3a(rest: str) -> None:
    """s3:// is accepted wherever s3a:// is, and means the same."""
    assert parse_location(f"s3a://{rest}") == parse_location(f"s3://{rest}")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "bucket",
        "s3a:",
        "s3a:/bucket",
        "s3a://",
        "s3a:///path",
        "s3a://ab",
        "s3a://-bucket",
        "s3a://bucket-",
        "s3a://my bucket",
        "s3a://bucket\n",
        "s3a://bücket",
        "s3a://" + "b" * 256,
        "s3a://bucket/a//b",
        "s3a://bucket/./a",
        "s3a://bucket/../a",
        "s3a://bucket/a b",
        "s3a://bucket/a?b",
        "s3a://bucket/a#b",
        "s3n://bucket",
        "http://bucket",
        "file://",
        "file:///",
        "file:/backups",
        "file://backups",
        "file://host/backups",
        "file:////backups",
        "file:///a/../b",
        "file:///a/./b",
        "file:///a//b",
    ],
)
def test_wrong_address_is_refused(text: str) -> None:
    """Any other address is refused, not guessed at."""
    with pytest.raises(ValueError, match=r"\w"):
        parse_location(text)


@pytest.mark.parametrize(
    "text", ["s3a://key:s3cr3t@bucket", "s3://key:s3cr3t@bucket/path", "s3a://key:s3/cr3t@bucket", "s3cr3t", "s3a://@"]
)
def test_wrong_address_is_not_repeated(text: str) -> None:
    """An address that is refused may hold a secret, so the message does not repeat it."""
    with pytest.raises(ValueError, match=r"\w") as caught:
        parse_location(text)
    assert "cr3t" not in str(caught.value)


@given(locations)
@PATIENT
def test_address_comes_back(location: Location) -> None:
    """A place is written as an address that means the same place."""
    assert location == parse_location(str(location))


@given(st.text() | st.text(ADDRESS_ALPHABET) | st.builds("s3a://bucket/{}".format, st.text(ADDRESS_ALPHABET)))
@PATIENT
def test_any_text_is_read_or_refused(text: str) -> None:
    """Any text at all either names a place, which comes back, or is refused by ValueError."""
    try:
        location = parse_location(text)
    except ValueError:
        return
    assert location == parse_location(str(location))


def test_every_scheme_is_held_to_the_contract() -> None:
    """Every registered scheme has a store in the suite of `support.store_contract`."""
    tested = {name for name, stores in {**WITHOUT_SERVER, **WITH_SERVER}.items() if stores}
    assert {scheme.name for scheme in SCHEMES.values()} == tested


@pytest.mark.parametrize("name", SCHEMES)
def test_scheme_is_registered_under_its_name(name: str) -> None:
    """The address that a scheme writes is one that it reads, and so is each of its examples."""
    scheme = SCHEMES[name]
    assert scheme is SCHEMES[scheme.name]
    for example in scheme.examples:
        assert example == str(parse_location(example))
        assert example in EXAMPLES


def test_unknown_scheme() -> None:
    """An address of another kind is refused with the kinds that exist."""
    with pytest.raises(ValueError, match=r"^the address does not start with s3a://, s3:// or file://$"):
        parse_location("gs://bucket")
