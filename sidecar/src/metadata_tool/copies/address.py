"""The places of `BACKUP_COPIES`: `address;SETTING=value;…`, with commas between them."""

from collections.abc import Collection


def split(text: str) -> list[str]:
    """Each place of the list."""
    return [place.strip() for place in text.split(",")] if text else []


def parse(place: str, known: Collection[str]) -> tuple[str, dict[str, str]]:
    """The address of a place, and its own settings by name, each one of `known`.

    Raises:
        ValueError: what is wrong with it. Nothing of the text is repeated, as it may hold a secret.
    """
    address, *pairs = (part.strip() for part in place.split(";"))
    given: dict[str, str] = {}
    for pair in filter(None, pairs):
        name, equals, value = (part.strip() for part in pair.partition("="))
        if not equals or name not in known:
            raise ValueError(f"one of its settings is none of {', '.join(sorted(known))}")
        if name in given:
            raise ValueError(f"it sets {name} twice")
        given[name] = value
    return address, given
