import pytest

from metadata_tool.apache_chart.image import Image
from metadata_tool.errors import SettingError

DIGEST = f"sha256:{'0' * 64}"


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("pulsar-metadata-backup:0.1.0", {"repository": "pulsar-metadata-backup", "tag": "0.1.0"}),
        ("registry.example.com:5000/team/tool:1", {"repository": "registry.example.com:5000/team/tool", "tag": "1"}),
        ("registry.example.com:5000/tool", {"repository": "registry.example.com:5000/tool"}),
        (f"a/tool@{DIGEST}", {"repository": "a/tool", "digest": DIGEST}),
        (f"a/tool:1@{DIGEST}", {"repository": "a/tool", "tag": "1", "digest": DIGEST}),
    ],
)
def test_parts(text: str, parts: dict[str, str]) -> None:
    """The port of a registry is not taken for a tag, and empty parts are left out."""
    assert parts == Image.parse(text).values()


@pytest.mark.parametrize("text", ["", "a b", "a:", "a@sha256:1", "https://a/b", "a:1\n", "-a"])
def test_wrong(text: str) -> None:
    """Anything else is refused."""
    with pytest.raises(SettingError, match=r"^--image is .*repository:tag"):
        Image.parse(text)
