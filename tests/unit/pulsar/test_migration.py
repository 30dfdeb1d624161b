"""What the tree tells of a move of Pulsar's metadata to another store."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metadata_tool.pulsar.migration import FLAG, Migration
from metadata_tool.pulsar.paths import Layout
from support.metadata import as_json, tree
from support.recovery import scanned
from support.trees import PATIENT

TARGET = "oxia://oxia:6648/default"


@pytest.mark.parametrize(
    ("phase", "moved", "warning"),
    [
        ("NOT_STARTED", False, ""),
        ("FAILED", False, ""),
        ("PREPARATION", False, f"Pulsar is moving its metadata to {TARGET} (phase PREPARATION). After that, back up "),
        ("COPYING", False, f"Pulsar is moving its metadata to {TARGET} (phase COPYING). After that, back up "),
        ("COMPLETED", True, f"Pulsar has moved its metadata to {TARGET} ({FLAG} has phase COMPLETED). This ZooKeeper"),
        ("LATER", True, f"Pulsar has moved its metadata to {TARGET} ({FLAG} has phase LATER). This ZooKeeper"),
    ],
)
def test_phases(phase: str, warning: str, *, moved: bool) -> None:
    """Only a move that runs or is completed needs a warning. An unknown phase counts as completed."""
    found = Migration.parse(as_json(phase=phase, targetUrl=TARGET))
    assert {"phase": phase, "targetUrl": TARGET} == found.to_json()
    assert (moved, warning) == (found.moved, found.warning[: len(warning)])
    assert bool(warning) == bool(found.warning)


@pytest.mark.parametrize("data", [None, b"", b"x", b"[]", b"7", b"{}", b'{"phase": 3}', b"[" * 100_000])
def test_flag_that_is_not_readable(data: bytes | None) -> None:
    """A flag that is not readable may be that of a move, and the warning says so."""
    found = Migration.parse(data)
    assert ({"phase": "(not readable)", "targetUrl": ""}, True) == (found.to_json(), found.moved)
    assert f"{FLAG} is not readable" in found.warning


def test_address_without_a_login() -> None:
    """A login in the address is not shown, and neither are characters that cannot be printed."""
    found = Migration.parse(as_json(phase="COMPLETED", targetUrl="oxia://user:secret@host:1/a@b\n"))
    assert "oxia://host:1/a@b\\n" == found.target
    assert Migration("COMPLETED") == Migration.parse(as_json(phase="COMPLETED", targetUrl=None))


@PATIENT
@given(st.text(), st.text())
def test_any_text(phase: str, target: str) -> None:
    """Whatever the flag holds, the warning is one line."""
    found = Migration.parse(json.dumps({"phase": phase, "targetUrl": target}).encode())
    assert not found.warning or found.warning.isprintable()


@pytest.mark.parametrize("chroot", ["", "/a/b"])
def test_of_a_tree(chroot: str) -> None:
    """The flag is found below the chroot, and a tree without it has no migration."""
    nodes = tree({f"{chroot}{FLAG}": as_json(phase="COPYING", targetUrl=TARGET)})
    assert Migration("COPYING", TARGET) == scanned(nodes, Layout(chroot)).facts.migration
    assert scanned(nodes, Layout("/other")).facts.migration is None
