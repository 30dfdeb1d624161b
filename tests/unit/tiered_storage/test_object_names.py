from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metadata_tool.tiered_storage.object_names import ObjectName, uuid_of

TEXT = "0b1c2d3e-4f50-4611-8233-445566778899"


@given(st.builds(ObjectName, st.uuids(), st.integers(0, (1 << 63) - 1), st.booleans()))
def test_there_and_back(name: ObjectName) -> None:
    """Every name is read as it was written."""
    assert name == ObjectName.parse(str(name))


@pytest.mark.parametrize(
    "key",
    [
        "",
        TEXT,
        f"{TEXT}-ledger-",
        f"{TEXT}-ledger-7-index-index",
        f"{TEXT}-ledger-07",
        f"{TEXT}-ledger--7",
        f"{TEXT}-ledger-{1 << 63}",
        f"{TEXT}-index",
        f"folder/{TEXT}-ledger-7",
        f"{TEXT.upper()}-ledger-7",
        f" {TEXT}-ledger-7",
        f"{TEXT}-ledger-7\n",
    ],
)
def test_other_keys(key: str) -> None:
    """Other keys of the bucket are not taken for a ledger's objects."""
    assert ObjectName.parse(key) is None


@given(st.uuids())
def test_uuid(uuid: UUID) -> None:
    """A uuid is read from its two signed halves, as protobuf has them."""
    halves = [half - (1 << 64) if half >= 1 << 63 else half for half in (uuid.int >> 64, uuid.int & (1 << 64) - 1)]
    assert uuid == uuid_of(*halves)
