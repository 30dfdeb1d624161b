"""Builds the images for the tests on a cluster; prints their names and files."""

import sys

from ci.parts.cache import PartMissing
from ci.parts.images import metadata_tool, pulsar, s3


def main() -> None:
    """Build them all."""
    try:
        for image in (metadata_tool(), pulsar(), s3()):
            print(image.name, image.archive)
    except PartMissing as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
