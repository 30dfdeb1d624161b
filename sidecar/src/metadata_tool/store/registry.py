"""The schemes of addresses. A new kind of store is a module with a `Scheme`, and a line here."""

from collections.abc import Mapping

from metadata_tool.location import Location
from metadata_tool.store import directory, s3_scheme
from metadata_tool.store.base import Scheme, Store, StoreOptions

SCHEMES: Mapping[str, Scheme] = {
    "s3a": s3_scheme.SCHEME,
    "s3": s3_scheme.SCHEME,
    "file": directory.SCHEME,
}

_DEFAULT = StoreOptions()
_EXAMPLES = [example for scheme in dict.fromkeys(SCHEMES.values()) for example in scheme.examples]
EXAMPLES = f"{', '.join(_EXAMPLES[:-1])} or {_EXAMPLES[-1]}"
"""Addresses of every kind, for hints."""


def parse_location(text: str) -> Location:
    """Read the address of a folder.

    Raises:
        ValueError: what is wrong with it. The text is not repeated: it may contain credentials.
    """
    name, separator, rest = text.partition("://")
    if not separator or name not in SCHEMES:
        *most, last = (f"{known}://" for known in SCHEMES)
        raise ValueError(f"the address does not start with {', '.join(most)} or {last}")
    if "@" in rest.partition("/")[0]:
        raise ValueError(
            "the address contains credentials, which belong in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        )
    return SCHEMES[name].parse(rest)


def open_store(location: Location, options: StoreOptions = _DEFAULT) -> Store:
    """The store of a location. No request is made yet.

    Raises:
        SettingError: boto3's own settings are wrong.
    """
    return SCHEMES[location.scheme].open(location, options)
