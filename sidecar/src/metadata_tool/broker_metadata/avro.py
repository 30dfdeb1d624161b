"""Decodes Avro's binary encoding by a definition, as Pulsar encodes topic policies. Both may be hostile.

This is not a library, because none is bounded: lists of values without bytes, records whose fields double, and deep
values cost fastavro and avro gigabytes, minutes or the process.

https://avro.apache.org/docs/1.11.1/specification/
"""

import json
import struct
from collections.abc import Callable, Iterator
from typing import Any

_DEPTH = 64
"""How deep types and values may be nested. Those of policies have about ten levels."""
_LONGEST = 10
"""Bytes of an encoded number of 64 bits."""


class AvroError(ValueError):
    """The definition or the data is not valid, or has something that policies do not have."""


class _Data:
    """Encoded values, read from the beginning."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0
        self._depth = 0
        self._values = 4 * len(data) + 1_000  # null takes no bytes, so a hostile list could have any number of them

    def take(self, count: int) -> bytes:
        """The next bytes."""
        if not 0 <= count <= len(self._data) - self._at:
            raise AvroError("the data ends too early")
        self._at += count
        return self._data[self._at - count : self._at]

    def number(self) -> int:
        """The next number, in zigzag encoding."""
        value = 0
        for shift in range(0, 7 * _LONGEST, 7):
            byte = self.take(1)[0]
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return (value >> 1) ^ -(value & 1)
        raise AvroError("a number is too long")

    def value(self, read: "_Read") -> Any:
        """The next value, which is inside of another one."""
        self._values -= 1
        self._depth += 1
        if self._values < 0 or self._depth > _DEPTH:
            raise AvroError("there are too many values")
        found = read(self)
        self._depth -= 1
        return found

    def items(self) -> Iterator[None]:
        """One step for each item of a list, which is encoded in blocks."""
        while count := self.number():
            if count < 0:
                count = -count
                self.number()  # the bytes of the block
            if count > len(self._data) - self._at:
                raise AvroError("a list is longer than the data")  # an item of policies has at least one byte
            for _ in range(count):
                yield

    def require_end(self) -> None:
        """Refuse more data."""
        if self._at < len(self._data):
            raise AvroError("there is data after its end")


_Read = Callable[[_Data], Any]


class Decoder:
    """Decodes values of one definition."""

    def __init__(self, definition: str) -> None:
        """Read a definition, which is JSON.

        Raises:
            AvroError: it is not valid.
        """
        self._named: dict[str, _Read] = {}
        try:
            self._read = self._reader(json.loads(definition), "", 0)
        except AvroError:
            raise
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise AvroError("the definition is not valid") from error

    def decode(self, encoded: bytes) -> Any:
        """The value as in JSON. Bytes are in hex.

        Raises:
            AvroError: it is not a value of this definition.
        """
        data = _Data(encoded)
        value = data.value(self._read)
        data.require_end()
        return value

    def _reader(self, kind: Any, space: str, depth: int) -> _Read:  # noqa: PLR0911  # one for each kind
        """What reads values of a type. Names without a dot are of this name space."""
        if depth > _DEPTH:
            raise AvroError("the definition is nested too deep")
        if isinstance(kind, list):
            return _union([self._reader(each, space, depth + 1) for each in kind])
        if isinstance(kind, str):
            return _PRIMITIVES.get(kind) or self._by_name(_full(kind, space))
        match kind["type"]:
            case "array":
                return _array(self._reader(kind["items"], space, depth + 1))
            case "map":
                return _map(self._reader(kind["values"], space, depth + 1))
            case "enum":
                return self._keep(kind, space, _enum([str(symbol) for symbol in kind["symbols"]]))
            case "fixed":
                size = int(kind["size"])
                return self._keep(kind, space, lambda data: data.take(size).hex())
            case "record" | "error":
                return self._record(kind, space, depth)
            case inner:  # a type with annotations
                return self._reader(inner, space, depth + 1)

    def _record(self, kind: dict[str, Any], space: str, depth: int) -> _Read:
        fields: list[tuple[str, _Read]] = []
        read = self._keep(kind, space, lambda data: {name: data.value(field) for name, field in fields})
        inner = _full(kind["name"], kind.get("namespace", space)).rpartition(".")[0]
        fields += [(str(field["name"]), self._reader(field["type"], inner, depth + 1)) for field in kind["fields"]]
        return read

    def _keep(self, kind: dict[str, Any], space: str, read: _Read) -> _Read:
        """Note a type that has a name, which may be used before the type is complete."""
        self._named[_full(kind["name"], kind.get("namespace", space))] = read
        return read

    def _by_name(self, name: str) -> _Read:
        if name not in self._named:
            raise AvroError("the definition uses a type that it does not have")
        return self._named[name]


def _full(name: str, space: str) -> str:
    return name if "." in name or not space else f"{space}.{name}"


def _chosen(choices: list[Any], number: int) -> Any:
    if not 0 <= number < len(choices):
        raise AvroError("it has a choice that does not exist")
    return choices[number]


def _union(kinds: list[_Read]) -> _Read:
    return lambda data: data.value(_chosen(kinds, data.number()))


def _enum(symbols: list[Any]) -> _Read:
    return lambda data: _chosen(symbols, data.number())


def _array(item: _Read) -> _Read:
    return lambda data: [data.value(item) for _ in data.items()]


def _map(value: _Read) -> _Read:
    return lambda data: {_text(data): data.value(value) for _ in data.items()}


def _text(data: _Data) -> str:
    try:
        return data.take(data.number()).decode()
    except UnicodeDecodeError as error:
        raise AvroError("a text is not UTF-8") from error


def _floating(form: str) -> _Read:
    return lambda data: struct.unpack(form, data.take(struct.calcsize(form)))[0]


_PRIMITIVES: dict[str, _Read] = {
    "null": lambda _: None,
    "boolean": lambda data: _chosen([False, True], data.take(1)[0]),
    "int": _Data.number,
    "long": _Data.number,
    "float": _floating("<f"),
    "double": _floating("<d"),
    "bytes": lambda data: data.take(data.number()).hex(),
    "string": _text,
}
