"""Writes values in Avro's encoding, the other way round than `broker_metadata.avro` reads them."""

import struct
from collections.abc import Iterable, Mapping
from typing import Any


def encode(schema: Any, value: Any) -> bytes:
    """A value by a schema as JSON, with bytes in hex. A union takes null for None, else its last branch.

    Missing fields are None.
    """
    return _encode(schema, value, {})


def number(value: int) -> bytes:
    """A zigzag-coded number."""
    coded, found = (value << 1) ^ (value >> 63), bytearray()
    while coded > 0x7F:
        found.append(coded & 0x7F | 0x80)
        coded >>= 7
    return bytes([*found, coded])


def _encode(schema: Any, value: Any, named: dict[str, Any]) -> bytes:  # noqa: C901, PLR0911, PLR0912  # one for each type
    if isinstance(schema, list):
        branch = schema.index("null") if value is None else len(schema) - 1
        return number(branch) + _encode(schema[branch], value, named)
    kind = schema["type"] if isinstance(schema, Mapping) else schema
    if isinstance(schema, Mapping) and "name" in schema:
        named[schema["name"]] = schema
    match kind:
        case "null":
            return b""
        case "boolean":
            return bytes([value])
        case "int" | "long":
            return number(value)
        case "float" | "double":
            return struct.pack("<f" if kind == "float" else "<d", value)
        case "bytes":
            return number(len(value) // 2) + bytes.fromhex(value)
        case "string":
            return _encode("bytes", value.encode().hex(), named)
        case "fixed":
            return bytes.fromhex(value)
        case "enum":
            return number(schema["symbols"].index(value))
        case "array":
            return _blocks(_encode(schema["items"], each, named) for each in value)
        case "map":
            items = schema["values"]
            return _blocks(_encode("string", name, named) + _encode(items, each, named) for name, each in value.items())
        case "record":
            return b"".join(_encode(field["type"], value.get(field["name"]), named) for field in schema["fields"])
    return _encode(named[kind.rpartition(".")[2]], value, named)


def _blocks(items: Iterable[bytes]) -> bytes:
    """Items in blocks of one, every second of which has its size in bytes."""
    found = [number(-1) + number(len(item)) + item if odd % 2 else number(1) + item for odd, item in enumerate(items)]
    return b"".join(found) + b"\0"
