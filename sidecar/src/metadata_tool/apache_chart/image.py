"""The name of an image, and its parts."""

import re
from dataclasses import dataclass

from metadata_tool.apache_chart.yaml_text import Value
from metadata_tool.errors import SettingError

_NAME = re.compile(
    r"(?P<repository>[a-zA-Z0-9][a-zA-Z0-9.-]*(?::[0-9]{1,5}(?=/))?(?:/[a-z0-9][a-z0-9._-]*)*)"
    r"(?::(?P<tag>[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}))?(?:@(?P<digest>sha256:[0-9a-f]{64}))?"
)


@dataclass(frozen=True)
class Image:
    """An image in a registry. The tag or the digest may be empty."""

    repository: str
    tag: str
    digest: str

    @classmethod
    def parse(cls, text: str) -> "Image":
        """The parts of `repository[:tag][@sha256:…]`.

        Raises:
            SettingError: the text is not such a name.
        """
        match = _NAME.fullmatch(text)
        if not match:
            raise SettingError(f"--image is {text!a}", "Set it to repository:tag or repository@sha256:…")
        return cls(match["repository"], match["tag"] or "", match["digest"] or "")

    def values(self) -> dict[str, Value]:
        """As this project's chart has it, without what is empty."""
        return {key: value for key, value in vars(self).items() if value}
