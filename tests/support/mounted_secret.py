"""A Kubernetes Secret as kubelet mounts it, and changes it: all files at once, by one link."""

import itertools
import shutil
from collections.abc import Mapping
from pathlib import Path


class MountedSecret:
    """A directory with links to `..data/<name>`, where `..data` is a link to the directory of one generation."""

    def __init__(self, directory: Path, files: Mapping[str, str]) -> None:
        self.directory = directory
        self._numbers = itertools.count()
        directory.mkdir(parents=True)
        self.write(files)

    def write(self, files: Mapping[str, str]) -> None:
        """Replace all files in one step, and delete the old ones."""
        generation = self.directory / f"..2024_05_01.{next(self._numbers)}"
        generation.mkdir()
        for name, content in files.items():
            (generation / name).write_text(content)
        link, coming = self.directory / "..data", self.directory / "..data_tmp"
        former = self.directory / link.readlink() if link.is_symlink() else None
        coming.symlink_to(generation.name)
        coming.rename(link)
        for name in files:
            if not (self.directory / name).is_symlink():
                (self.directory / name).symlink_to(f"..data/{name}")
        if former:
            shutil.rmtree(former)
