"""manifest.json: what is written, and what is refused."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from metadata_tool.broker_metadata.broker_file import KINDS, BrokerFile
from metadata_tool.catalog import LATEST_TIMESTAMP, rfc3339
from metadata_tool.errors import ArchiveCorrupt, ArchiveUnsupported
from metadata_tool.manifest import BROKER_FORMAT, FORMAT_VERSION, USE_ANOTHER, Manifest, SnapshotFile, snapshot_name
from support.trees import EXAMPLES, PATIENT, manifest_of

MANIFEST = manifest_of(b"snapshot", 3, zxid=0x5_0000_0064)
MISSING = object()
NUMBERS = ["timestamp", "nodes", "bytes", "ephemeralsLeftOut", "snapshot.size"]
TEXTS = ["toolVersion", "prefix", "zooKeeperVersion", "chroot", "managedLedgerPath", "snapshot.name", "snapshot.sha256"]
ZXIDS = ["zxid", "firstZxid"]

numbers = st.integers(0, (1 << 63) - 1)
jsons = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=5), children, max_size=3),
    max_leaves=5,
)


counts = st.dictionaries(st.sampled_from(KINDS), numbers)
printable = st.text(st.characters(exclude_categories=["C", "Z"], include_characters=" ")).filter(str.isprintable)


@st.composite
def manifests(draw: st.DrawFn) -> Manifest:
    """Manifests of backups."""
    zxid = draw(st.integers(0, (0x7FFF_FFFF << 32) - 1))
    manifest = Manifest(
        format_version=FORMAT_VERSION,
        tool_version=draw(printable),
        prefix=draw(printable),
        timestamp=draw(st.integers(0, LATEST_TIMESTAMP)),
        zookeeper_version=draw(printable),
        zxid=zxid,
        first_zxid=draw(st.integers(0, zxid)),
        nodes=draw(numbers),
        data_bytes=draw(numbers),
        ephemerals=draw(numbers),
        chroot=draw(printable),
        managed_ledger_path=draw(printable),
        snapshot=SnapshotFile(snapshot_name(zxid), draw(numbers), draw(printable)),
        unproven_acls=draw(st.none() | numbers),
        origin=draw(st.none() | st.dictionaries(st.text(max_size=5), st.integers(0, 9), max_size=3)),
        identity=draw(st.none() | st.dictionaries(st.text(max_size=5), jsons, max_size=3)),
        predecessor=draw(st.none() | st.just({"name": "p-1.tar.gz", "zxid": "0x1", "nodes": 7, "bytes": 8})),
        suspect=tuple(draw(st.lists(printable, max_size=2))),
    )
    return manifest.with_broker(draw(st.none() | st.builds(BrokerFile, numbers, printable, counts, counts)))


def with_field(field: str, value: object, manifest: Manifest = MANIFEST) -> bytes:
    """manifest.json with one field changed or removed."""
    fields: dict[str, Any] = json.loads(manifest.encode())
    *outer, key = field.split(".")
    owner = fields[outer[0]] if outer else fields
    if value is MISSING:
        del owner[key]
    else:
        owner[key] = value
    return json.dumps(fields).encode()


@PATIENT
@given(manifests())
def test_round_trip(manifest: Manifest) -> None:
    """Any manifest is decoded as it was encoded."""
    assert manifest == Manifest.decode(manifest.encode())


def test_json() -> None:
    """manifest.json has these fields, with zxids in hex, and the time in RFC 3339 too."""
    manifest = Manifest(
        format_version=1,
        tool_version="1.2.3",
        prefix="pulsar",
        timestamp=1_700_000_000_123,
        zookeeper_version="3.9.5",
        zxid=0x5_0000_0064,
        first_zxid=0x5_0000_0010,
        nodes=7,
        data_bytes=1234,
        ephemerals=2,
        chroot="/pulsar",
        managed_ledger_path="/managed-ledgers",
        snapshot=SnapshotFile("version-2/snapshot.500000064", 99, "ab" * 32),
    )
    expected = {
        "formatVersion": 1,
        "toolVersion": "1.2.3",
        "prefix": "pulsar",
        "timestamp": 1_700_000_000_123,
        "time": "2023-11-14T22:13:20.123Z",
        "zooKeeperVersion": "3.9.5",
        "zxid": "0x500000064",
        "firstZxid": "0x500000010",
        "nodes": 7,
        "bytes": 1234,
        "ephemeralsLeftOut": 2,
        "chroot": "/pulsar",
        "managedLedgerPath": "/managed-ledgers",
        "snapshot": {"name": "version-2/snapshot.500000064", "size": 99, "sha256": "ab" * 32},
    }
    assert expected == json.loads(manifest.encode())


def test_bytes() -> None:
    """manifest.json is the same in every release, line by line, with the fields that later ones have added."""
    manifest = replace(MANIFEST, timestamp=7, coverage={"topics": 1}, summary={"clusters": ["\u00fc"]})
    manifest = replace(manifest, identity={"clusters": []}, predecessor={"nodes": 3}, suspect=("it is smaller",))
    expected = f"""{{
  "formatVersion": 1,
  "toolVersion": "1.0.0",
  "prefix": "pulsar",
  "timestamp": 7,
  "time": "1970-01-01T00:00:00.007Z",
  "zooKeeperVersion": "3.9.5",
  "zxid": "0x500000064",
  "firstZxid": "0x500000063",
  "nodes": 3,
  "bytes": 10,
  "ephemeralsLeftOut": 1,
  "chroot": "",
  "managedLedgerPath": "/managed-ledgers",
  "snapshot": {{
    "name": "version-2/snapshot.500000064",
    "size": 8,
    "sha256": "{MANIFEST.snapshot.sha256}"
  }},
  "unprovenAcls": 4,
  "coverage": {{
    "topics": 1
  }},
  "outline": {{
    "clusters": [
      "\\u00fc"
    ]
  }},
  "identity": {{
    "clusters": []
  }},
  "predecessor": {{
    "nodes": 3
  }},
  "suspect": [
    "it is smaller"
  ]
}}
"""
    assert expected == manifest.encode().decode()
    assert manifest == Manifest.decode(expected.encode())


BROKER = BrokerFile(9, "cd" * 32, {"schemas": 2, "cursor": 1}, {"topicPolicies": 4})


def test_broker_metadata() -> None:
    """A manifest with a broker.json has format 2. Without one it has format 1, and the same bytes as before."""
    fields = json.loads(MANIFEST.with_broker(BROKER).encode())
    described = {"name": "broker.json", "size": 9, "sha256": "cd" * 32}
    counts = {"saved": {"schemas": 2, "cursor": 1}, "notSaved": {"topicPolicies": 4}}
    assert (2, described | counts) == (fields["formatVersion"], fields["brokerMetadata"])
    assert MANIFEST.encode() == MANIFEST.with_broker(BROKER).with_broker(None).encode()


@pytest.mark.parametrize(
    ("field", "value", "what"),
    [
        ("brokerMetadata", MISSING, "brokerMetadata is missing or of the wrong type"),
        ("brokerMetadata", [], "brokerMetadata is missing or of the wrong type"),
        ("brokerMetadata.name", "../broker.json", r"brokerMetadata\.name is not broker\.json"),
        ("brokerMetadata.size", -1, r"brokerMetadata\.size is out of range"),
        ("brokerMetadata.sha256", 7, r"brokerMetadata\.sha256 is missing or of the wrong type"),
        ("brokerMetadata.saved", None, r"brokerMetadata\.saved is missing or of the wrong type"),
        (
            "brokerMetadata.notSaved",
            {"cursor": "1"},
            r"brokerMetadata\.notSaved\.cursor is missing or of the wrong type",
        ),
    ],
)
def test_wrong_broker_metadata(field: str, value: object, what: str) -> None:
    """A manifest of format 2 that does not describe its broker.json is refused."""
    with pytest.raises(ArchiveCorrupt, match=what):
        Manifest.decode(with_field(field, value, MANIFEST.with_broker(BROKER)))


def test_unknown_kinds_of_broker_metadata() -> None:
    """Counts of kinds that a later version has added are ignored."""
    text = with_field("brokerMetadata.saved", {"schemas": 2, "cursor": 1, "later": {}}, MANIFEST.with_broker(BROKER))
    assert MANIFEST.with_broker(BROKER) == Manifest.decode(text)


@PATIENT
@given(manifests())
def test_ascii_lines(manifest: Manifest) -> None:
    """manifest.json is ASCII and ends with a newline, so any tool shows it."""
    encoded = manifest.encode()
    assert encoded.isascii()
    assert encoded.endswith(b"}\n")


@PATIENT
@given(st.dictionaries(st.text().map(lambda key: f"x-{key}"), jsons, max_size=4))
def test_unknown_fields(more: dict[str, Any]) -> None:
    """Unknown fields are ignored."""
    fields = json.loads(MANIFEST.encode())
    fields["snapshot"] |= more
    expected = MANIFEST
    assert expected == Manifest.decode(json.dumps(more | fields).encode())


@pytest.mark.parametrize(
    ("zxid", "expected"), [(0, "version-2/snapshot.0"), (0x5_0000_00AB, "version-2/snapshot.5000000ab")]
)
def test_snapshot_name(zxid: int, expected: str) -> None:
    """A snapshot has the name that ZooKeeper gives it: the zxid in hex, without 0x and leading zeros."""
    assert expected == snapshot_name(zxid)


@pytest.mark.parametrize("version", [BROKER_FORMAT + 1, 1000, (1 << 63) - 1])
def test_later_format(version: int) -> None:
    """A manifest of a later format is refused as such, whatever its other fields are."""
    with pytest.raises(ArchiveUnsupported, match=rf"format {version},.*\. Use the version of metadata-tool that wrote"):
        Manifest.decode(json.dumps({"formatVersion": version, "zxid": []}).encode())


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"{", id="cut"),
        pytest.param(b"manifest", id="words"),
        pytest.param(b"\xff\xfe", id="half UTF-16"),
        pytest.param(b'{"a": "\xff"}', id="not UTF-8"),
        pytest.param(b"[" * 100_000, id="very deep"),
        pytest.param(b'{"formatVersion": ' + b"9" * 5000 + b"}", id="very long number"),
        pytest.param(MANIFEST.encode() + b"{}", id="something after it"),
    ],
)
def test_not_json(text: bytes) -> None:
    """Anything that is not JSON is refused."""
    with pytest.raises(ArchiveCorrupt, match=r"manifest\.json is damaged, it is not JSON"):
        Manifest.decode(text)


@pytest.mark.parametrize("text", [b"null", b"[]", b"1", b'"{}"', b"true", b"NaN"])
def test_not_an_object(text: bytes) -> None:
    """JSON that is not an object is refused."""
    with pytest.raises(ArchiveCorrupt, match="not a JSON object"):
        Manifest.decode(text)


@pytest.mark.parametrize(
    "value",
    [pytest.param(MISSING, id="missing"), None, True, False, 1.0, float("nan"), [], ["a"]],
    ids=str,
)
def test_wrong_type(value: object) -> None:
    """A field that is missing or has another type is refused and named. A boolean is not a number."""
    for field in ("formatVersion", "snapshot", *NUMBERS, *TEXTS, *ZXIDS):
        with pytest.raises(ArchiveCorrupt, match=rf"{field} is missing or of the wrong type"):
            Manifest.decode(with_field(field, value))


@pytest.mark.parametrize("field", [*TEXTS, *ZXIDS])
def test_number_for_text(field: str) -> None:
    """A number instead of text is refused."""
    with pytest.raises(ArchiveCorrupt, match=field):
        Manifest.decode(with_field(field, 5))


@pytest.mark.parametrize("field", ["formatVersion", *NUMBERS])
def test_text_for_number(field: str) -> None:
    """Text instead of a number is refused."""
    with pytest.raises(ArchiveCorrupt, match=field):
        Manifest.decode(with_field(field, "1"))


@pytest.mark.parametrize("field", ["formatVersion", *NUMBERS])
@pytest.mark.parametrize("value", [-1, -(1 << 70), 1 << 63, 1 << 200])
def test_number_out_of_range(field: str, value: int) -> None:
    """A number that is negative or larger than 63 bits is refused."""
    with pytest.raises(ArchiveCorrupt, match=f"{field} is out of range"):
        Manifest.decode(with_field(field, value))


@pytest.mark.parametrize("field", ZXIDS)
@pytest.mark.parametrize("value", ["", "0x", "zxid", "5.0", "-0x1", "-1", "0x8000000000000000", "0x1" + "0" * 5000])
def test_not_a_zxid(field: str, value: str) -> None:
    """Text that is not a zxid is refused."""
    with pytest.raises(ArchiveCorrupt, match=rf"{field} is (not a zxid|out of range)"):
        Manifest.decode(with_field(field, value))


def with_changes(**changes: Any) -> bytes:
    """manifest.json with other values of the right types."""
    return replace(MANIFEST, **changes).encode()


NAME_DIFFERS = "the name of its snapshot does not match zxid"


@pytest.mark.parametrize(
    ("text", "what"),
    [
        pytest.param(with_changes(format_version=0), "formatVersion is 0", id="format 0"),
        pytest.param(
            with_field("timestamp", LATEST_TIMESTAMP + 1), "timestamp is out of range", id="after the year 5138"
        ),
        pytest.param(with_changes(zxid=MANIFEST.zxid + 1), NAME_DIFFERS, id="another zxid"),
        pytest.param(with_changes(first_zxid=MANIFEST.zxid + 1), "firstZxid is later than zxid", id="first after last"),
        pytest.param(with_field("snapshot.name", "../snapshot.500000064"), NAME_DIFFERS, id="snapshot outside"),
        pytest.param(with_field("snapshot.name", "/version-2/snapshot.500000064"), NAME_DIFFERS, id="absolute"),
        pytest.param(with_field("snapshot.name", "version-2/snapshot.0500000064"), NAME_DIFFERS, id="with a zero"),
        pytest.param(with_field("snapshot.name", "version-2/snapshot.500000064.gz"), NAME_DIFFERS, id="zipped"),
        pytest.param(with_field("snapshot.name", ""), NAME_DIFFERS, id="snapshot without a name"),
        pytest.param(with_field("prefix", "a\nb"), "prefix is not printable text", id="line break"),
    ],
)
def test_contradiction(text: bytes, what: str) -> None:
    """A manifest with fields that contradict each other is refused, and the message says which."""
    with pytest.raises(ArchiveCorrupt) as caught:
        Manifest.decode(text)
    expected = (f"the backup's manifest.json is damaged, {what}", USE_ANOTHER)
    assert expected == (caught.value.message, caught.value.hint)


def test_latest_timestamp() -> None:
    """The last time that a backup's name can have is taken."""
    expected = replace(MANIFEST, timestamp=LATEST_TIMESTAMP)
    assert expected == Manifest.decode(expected.encode())


def test_last_epoch() -> None:
    """A zxid in the last epoch is refused, because a restore needs a later one."""
    zxid = 0x7FFF_FFFF << 32
    text = with_changes(zxid=zxid, snapshot=SnapshotFile(snapshot_name(zxid), 8, MANIFEST.snapshot.sha256))
    with pytest.raises(ArchiveCorrupt, match="zxid is in the last epoch"):
        Manifest.decode(text)


def decoded_or_refused(text: bytes) -> Manifest | None:
    """A manifest, None if it is refused as damaged or of a later format."""
    try:
        return Manifest.decode(text)
    except (ArchiveCorrupt, ArchiveUnsupported):
        return None


@settings(PATIENT, max_examples=5 * EXAMPLES)
@given(st.binary() | jsons.map(lambda value: json.dumps(value).encode()))
def test_anything(text: bytes) -> None:
    """Anything that is not a manifest is refused as damaged or unsupported, never with another error."""
    assert decoded_or_refused(text) is None


def test_any_field() -> None:
    """With any value in a field, the manifest is refused or has this value. Both happen."""
    outcomes: set[bool] = set()

    @settings(PATIENT, max_examples=5 * EXAMPLES)
    @given(st.sampled_from(["formatVersion", "snapshot", *NUMBERS, *TEXTS]), jsons)
    @example("snapshot.size", 7)
    def check(field: str, value: object) -> None:
        text = with_field(field, value)
        manifest = decoded_or_refused(text)
        outcomes.add(manifest is None)
        assert manifest is None or json.loads(text) | {"time": rfc3339(manifest.timestamp)} == manifest.to_json()

    check()
    assert {True, False} == outcomes


def test_truncated() -> None:
    """A truncated manifest.json is refused, wherever it ends, except without its last newline."""
    text = MANIFEST.encode()
    accepted = [cut for cut in range(len(text) - 1) if decoded_or_refused(text[:cut])]
    expected: list[int] = []
    assert expected == accepted
