"""Apache Pulsar from Maven Central, by jgo: the server's distribution, and the offloader for tiered storage."""

import shutil
import tarfile
from collections.abc import Sequence
from pathlib import Path

from jgo.maven import MavenContext

from ci.parts.cache import PartMissing, cached
from metadata_tool.files import sha256

NEWEST = "4.0.8"
OLDER = "3.3.6"

_SERVER, _OFFLOADER = "pulsar-server-distribution", "pulsar-offloader-distribution"
_SHA256 = {
    (_SERVER, NEWEST): "35c7d064c9e0928edbf2e708989faba0379662f98aa84ce0d4190c59efb6765e",
    (_OFFLOADER, NEWEST): "a73d8c48f578edbc572147351fbca742740b3fe4329f892ce80f3de717adf6c7",
    (_SERVER, OLDER): "d364d0a85b46b91b210bfe7dc73d42587704b8905bcf0443c84344bccdd1390a",
    (_OFFLOADER, OLDER): "db9c609699741ac0a5587c7ce3f2337139f669b1495ff7432dec2ee4c7f40cfd",
}


def distribution(version: str = NEWEST) -> Path:
    """A folder with `bin/`, `conf/` and `lib/`: about 230 MB.

    Raises:
        PartMissing: it cannot be fetched.
    """
    return _fetched(_SERVER, version, ("bin/", "conf/", "lib/"))


def offloaders(version: str = NEWEST) -> Path:
    """A folder with the offloader for S3 and what speaks its protocol: 60 MB.

    Raises:
        PartMissing: it cannot be fetched.
    """
    return _fetched(_OFFLOADER, version, ("offloaders/tiered-storage-jcloud-",)) / "offloaders"


def with_offloader(version: str = NEWEST) -> Path:
    """The same, with `offloaders/` beside them, where namespaces' own policies look for it: 60 MB more.

    Raises:
        PartMissing: it cannot be fetched.
    """
    server = distribution(version)

    def make(target: Path) -> None:
        for small in (
            "bin",
            "conf",
        ):  # bin/pulsar uses the folder above its own as Pulsar's, with symbolic links resolved
            shutil.copytree(server / small, target / small)
        (target / "lib").symlink_to(server / "lib")
        (target / "offloaders").symlink_to(offloaders(version))

    return cached(f"pulsar-with-offloader-{version}", make)


def _fetched(artifact: str, version: str, kept: Sequence[str]) -> Path:
    digest = _SHA256[artifact, version]

    def make(target: Path) -> None:
        work = target / "work"
        component = MavenContext(repo_cache=work).project("org.apache.pulsar", artifact).at_version(version)
        try:
            file = component.artifact(classifier="bin", packaging="tar.gz").resolve()
        except Exception as error:  # jgo raises the errors of its HTTP library
            raise PartMissing(f"{artifact} {version} could not be fetched from Maven Central ({error})") from error
        if sha256(file).hex() != digest:
            raise PartMissing(f"{artifact} {version} came damaged from Maven Central. Try again")
        with tarfile.open(file) as archive:
            for member in archive:
                _, _, path = member.name.partition("/")
                if path.startswith(tuple(kept)):
                    archive.extract(member.replace(name=path), target, filter="tar")
        shutil.rmtree(work)

    return cached(f"{artifact}-{version}-{digest[:12]}", make)
