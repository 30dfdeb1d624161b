"""Reads a value that is encoded by Avro (specification 1.11), by the JSON of the schema that it was written with."""

import json
import struct
from collections.abc import Callable
from typing import Any

Read = Callable[["_Input"], Any]

_NUMBER_BITS = 64
_FLOAT, _DOUBLE = struct.Struct("<f"), struct.Struct("<d")


class AvroError(ValueError):
    """A schema or a value that is not Avro's."""


class AvroSchema:
    """Reads values of one schema: records and maps as dictionaries, arrays as lists, enums as text."""

    def __init__(self, definition: str) -> None:
        """Raises AvroError if this is no schema."""
        self._named: dict[str, Read] = {}
        try:
            self._read = self._reader(json.loads(definition), "")
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise AvroError("not a schema of Avro") from error

    def value(self, data: bytes) -> Any:
        """The value that is encoded in all of these bytes.

        Raises:
            AvroError: they do not encode a value of this schema.
        """
        encoded = _Input(data)
        try:
            value = self._read(encoded)
        except (IndexError, KeyError, UnicodeDecodeError, RecursionError) as error:
            raise AvroError("not a value of the schema") from error
        encoded.require_end()
        return value

    def _reader(self, schema: Any, space: str) -> Read:
        """`space` is the namespace of names that have none."""
        if isinstance(schema, list):
            return _union([self._reader(branch, space) for branch in schema])
        if isinstance(schema, str):
            return _PRIMITIVES[schema] if schema in _PRIMITIVES else self._reference(schema, space)
        kind = schema["type"]
        if kind in {"array", "map"}:
            item = self._reader(schema["items" if kind == "array" else "values"], space)
            return _array(item) if kind == "array" else _map(item)
        return self._of_named(kind, schema, space)

    def _of_named(self, kind: Any, schema: dict[str, Any], space: str) -> Read:
        """A type that has a name, or a type with properties that do not matter here."""
        match kind:
            case "record" | "error":
                return self._record(schema, space)
            case "enum":
                return self._add(schema, space, _enum([str(symbol) for symbol in schema["symbols"]]))
            case "fixed":
                size = int(schema["size"])
                return self._add(schema, space, lambda encoded: encoded.take(size))
        return self._reader(kind, space)

    def _record(self, schema: dict[str, Any], space: str) -> Read:
        fields: list[tuple[str, Read]] = []
        read = self._add(schema, space, lambda encoded: {name: field(encoded) for name, field in fields})
        inner = _full_name(schema, space).rpartition(".")[0]
        fields += [(str(field["name"]), self._reader(field["type"], inner)) for field in schema["fields"]]
        return read

    def _add(self, schema: dict[str, Any], space: str, read: Read) -> Read:
        self._named[_full_name(schema, space)] = read
        return read

    def _reference(self, name: str, space: str) -> Read:
        full = name if "." in name or not space else f"{space}.{name}"
        return self._named[full]


class _Input:
    """Bytes that are read from the start."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def take(self, size: int) -> bytes:
        """The next bytes."""
        end = self._at + size
        if size < 0 or end > len(self._data):
            raise AvroError("the value ends too early")
        taken, self._at = self._data[self._at : end], end
        return taken

    def number(self) -> int:
        """A zigzag-coded number of variable length."""
        coded = shift = 0
        while shift < _NUMBER_BITS:
            byte = self._data[self._at]
            self._at += 1
            coded |= (byte & 0x7F) << shift
            if byte < 0x80:  # the last byte of the number
                return (coded >> 1) ^ -(coded & 1)
            shift += 7
        raise AvroError("a number is too long")

    def text(self) -> str:
        """A string."""
        return self.take(self.number()).decode()

    def blocks(self, item: Callable[[], object]) -> None:
        """Read all items of an array or map. Each takes at least one byte, as it does in Pulsar's schemas."""
        while count := self.number():
            if count < 0:
                count = -count
                self.number()  # the size of the block in bytes
            if count > len(self._data) - self._at:
                raise AvroError("a list is longer than the value")
            for _ in range(count):
                item()

    def require_end(self) -> None:
        """Refuse more bytes."""
        if self._at != len(self._data):
            raise AvroError("more bytes follow the value")


def _union(branches: list[Read]) -> Read:
    def read(encoded: _Input) -> Any:
        number = encoded.number()
        if not 0 <= number < len(branches):
            raise AvroError("a union has no such branch")
        return branches[number](encoded)

    return read


def _enum(symbols: list[str]) -> Read:
    def read(encoded: _Input) -> str:
        number = encoded.number()
        if not 0 <= number < len(symbols):
            raise AvroError("an enum has no such symbol")
        return symbols[number]

    return read


def _array(item: Read) -> Read:
    def read(encoded: _Input) -> list[Any]:
        found: list[Any] = []
        encoded.blocks(lambda: found.append(item(encoded)))
        return found

    return read


def _map(item: Read) -> Read:
    def read(encoded: _Input) -> dict[str, Any]:
        found: dict[str, Any] = {}

        def add() -> None:
            name = encoded.text()
            found[name] = item(encoded)

        encoded.blocks(add)
        return found

    return read


def _full_name(schema: dict[str, Any], space: str) -> str:
    name, own = str(schema["name"]), schema.get("namespace", space)
    return name if "." in name or not own else f"{own}.{name}"


_PRIMITIVES: dict[str, Read] = {
    "null": lambda _: None,
    "boolean": lambda encoded: encoded.take(1) != b"\0",
    "int": _Input.number,
    "long": _Input.number,
    "float": lambda encoded: _FLOAT.unpack(encoded.take(_FLOAT.size))[0],
    "double": lambda encoded: _DOUBLE.unpack(encoded.take(_DOUBLE.size))[0],
    "bytes": lambda encoded: encoded.take(encoded.number()),
    "string": _Input.text,
}
