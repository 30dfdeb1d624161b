"""Which cluster a tree is of: what stays the same in ZooKeeper for the life of a Pulsar cluster."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from metadata_tool import restore_marker
from metadata_tool.pulsar.paths import Layout
from metadata_tool.restore_marker import Marker
from metadata_tool.zookeeper.snapshot import Node, printable
from metadata_tool.zookeeper.stat import Stat

_INSTANCE_ID = "/ledgers/INSTANCEID"
_LASTING = ("", "/admin", "/ledgers")
"""Znodes that are created once in the life of a cluster, without the chroot. The first is the chroot itself."""

_LONGEST = 100
"""Characters of an instance id. BookKeeper's has 36."""


class Creation(NamedTuple):
    """When a znode was created: by its zxid, and in epoch ms of ZooKeeper's clock."""

    czxid: int
    ctime: int


class Restored(NamedTuple):
    """The restore that an ensemble is from: its version, its restore point, and the zxid that it gave the tree."""

    version: str
    point: str
    zxid: int


@dataclass(frozen=True)
class Identity:
    """The identity of a tree, as far as the tree has it. Pulsar adds the parts when its metadata is initialised."""

    instance_id: str = ""
    """BookKeeper's, which is given when it is formatted."""
    clusters: tuple[str, ...] = ()
    """Names of the clusters. With geo-replication, these include the remote ones."""
    created: Mapping[str, Creation] = field(default_factory=dict)
    """The creation of znodes that stay, by path. A restore keeps it."""
    restored: Restored | None = None

    @classmethod
    def of(cls, kept: Mapping[bytes, Node], clusters: list[str], layout: Layout) -> "Identity":
        """The identity in a tree of which a scan has kept the znodes at `paths(layout)`."""
        instance_id = kept.get(layout.absolute(_INSTANCE_ID).encode())
        created = {}
        for path in _lasting(layout):
            if node := kept.get(path.encode()):
                stat = Stat.unpack(node.stat)
                created[path] = Creation(stat.czxid, stat.ctime)
        return cls(
            printable(instance_id.data)[:_LONGEST] if instance_id and instance_id.data else "",
            tuple(clusters),
            created,
            _restored(kept.get(restore_marker.ZNODE)),
        )

    def to_json(self) -> dict[str, Any]:
        """The fields of `identity` in manifest.json (docs/format.md)."""
        restored = self.restored
        return {
            "instanceId": self.instance_id,
            "clusters": list(self.clusters),
            "created": {
                path: {"czxid": f"{found.czxid:#x}", "ctime": found.ctime} for path, found in self.created.items()
            },
            **({"restored": {**restored._asdict(), "zxid": f"{restored.zxid:#x}"}} if restored else {}),
        }

    @classmethod
    def parse(cls, fields: Mapping[str, Any] | None) -> "Identity":
        """The `identity` of a manifest. What is missing or invalid in it is absent."""
        fields = fields or {}
        clusters, created = fields.get("clusters"), fields.get("created")
        return cls(
            _text(fields.get("instanceId")),
            tuple(filter(None, map(_text, clusters))) if isinstance(clusters, list) else (),
            {
                path: creation
                for path, found in (created.items() if isinstance(created, dict) else ())
                if (creation := _creation(found))
            },
            _parsed_restored(fields.get("restored")),
        )


def paths(layout: Layout) -> list[bytes]:
    """The znodes that an identity is read from."""
    return [
        restore_marker.ZNODE,
        *(path.encode() for path in (*_lasting(layout), layout.absolute(_INSTANCE_ID))),
    ]


def _lasting(layout: Layout) -> list[str]:
    return [path for path in map(layout.absolute, _LASTING) if path]


def _restored(node: Node | None) -> Restored | None:
    marker = Marker.parse(node.data or b"") if node else None
    if not node or not marker:
        return None
    return Restored(_line(marker.version), _line(marker.point), Stat.unpack(node.stat).czxid)


def _parsed_restored(fields: object) -> Restored | None:
    if not isinstance(fields, dict):
        return None
    version, point, zxid = _text(fields.get("version")), _text(fields.get("point")), _zxid(fields.get("zxid"))
    return Restored(version, point, zxid) if point and zxid is not None else None


def _creation(fields: object) -> Creation | None:
    if not isinstance(fields, dict):
        return None
    czxid, ctime = _zxid(fields.get("czxid")), fields.get("ctime")
    return Creation(czxid, ctime) if czxid is not None and type(ctime) is int else None


def _zxid(value: object) -> int | None:
    try:
        return int(value, 16) if isinstance(value, str) else None
    except ValueError:
        return None


def _line(text: str) -> str:
    """A text that is safe in a message."""
    return printable(text.encode(errors="replace"))


def _text(value: object) -> str:
    return value if isinstance(value, str) and value.isprintable() else ""
