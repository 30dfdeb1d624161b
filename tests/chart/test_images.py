"""Which images run."""

from typing import Any

import pytest

from support.helm import containers, merged, nested, pods, refusal, render

IMAGES = "images.zookeeper"
ONE, OTHER = (f"sha256:{digit * 64}" for digit in "ab")
BOTH = merged(
    {"initialize": True},
    nested("zookeeper.customTools.backup.enable", value=True),
    nested("zookeeper.customTools.restore.enable", value=True),
    nested("zookeeper.customTools.restore.restorePoint", "s3a://bucket/pulsar-backup-1623721488825.tar.gz"),
)


def images(values: dict[str, Any]) -> dict[str, str]:
    """The image of each container, by the container's name."""
    rendered = render(merged(BOTH, values))
    return {each["name"]: each["image"] for _, spec in pods(rendered) for each in containers(spec)}


def test_zookeeper_by_digest() -> None:
    """A digest replaces the tag, for the Jobs too, behind any registry."""
    found = images(merged(nested(f"{IMAGES}.digest", ONE), nested("global.imageRegistry", "registry.example.com")))
    expected = f"registry.example.com/apachepulsar/pulsar@{ONE}"
    assert [expected] * 3 == [found[name] for name in ("zookeeper", "init", "bookie-init")]


@pytest.mark.parametrize(
    ("backup", "restore", "expected"),
    [
        ({"digest": ONE}, {}, (f"@{ONE}", f"@{ONE}")),
        ({}, {"digest": ONE}, (f"@{ONE}", f"@{ONE}")),
        ({"digest": ONE}, {"digest": OTHER}, (f"@{ONE}", f"@{OTHER}")),
        ({"digest": ONE, "tag": "1"}, {}, (f"@{ONE}", f"@{ONE}")),
        ({"digest": ONE}, {"tag": "2"}, (f"@{ONE}", ":2")),
    ],
)
def test_tools_by_digest(backup: dict[str, str], restore: dict[str, str], expected: tuple[str, str]) -> None:
    """What one tool leaves empty comes from the other. A tag of its own is not replaced by the other's digest."""
    found = images(nested(f"{IMAGES}.customTools", {"backup": backup, "restore": restore}))
    name = "pulsar-metadata-backup"
    assert tuple(name + each for each in expected) == (found["backup"], found["restore"])


@pytest.mark.parametrize("where", [IMAGES, f"{IMAGES}.customTools.backup", f"{IMAGES}.customTools.restore"])
@pytest.mark.parametrize("digest", ["sha256:abc", "a" * 64, f"@{ONE}", f"sha256:{'A' * 64}"])
def test_digest_that_cannot_be(where: str, digest: str) -> None:
    """What is no digest is refused by its key."""
    assert f"{where.replace('.', '/')}/digest" in refusal(nested(f"{where}.digest", digest), 3)
