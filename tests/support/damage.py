"""A file that a failing disk has altered."""

from pathlib import Path


def damage(path: Path, place: int, bits: int = 1) -> None:
    """Turn over some bits of its byte at this place."""
    with path.open("r+b") as file:
        file.seek(place)
        (was,) = file.read(1)
        file.seek(place)
        file.write(bytes([was ^ bits]))
