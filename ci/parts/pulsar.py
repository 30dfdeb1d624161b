"""Apache Pulsar's server distribution from Maven Central, by jgo."""

import shutil
import tarfile
from pathlib import Path

from jgo.maven import MavenContext

from ci.parts.cache import PartMissing, cached, digest
from metadata_tool.files import sha256

VERSION = "4.0.8"
_SHA256 = "35c7d064c9e0928edbf2e708989faba0379662f98aa84ce0d4190c59efb6765e"
_KEPT = ("bin", "conf", "lib")


def distribution() -> Path:
    """A folder with `bin/`, `conf/` and `lib/`: about 230 MB.

    Raises:
        PartMissing: it cannot be fetched.
    """
    return cached(f"pulsar-{VERSION}-{digest(Path(__file__))}", _fetch)


def _fetch(target: Path) -> None:
    work = target / "work"
    maven = MavenContext(repo_cache=work)
    component = maven.project("org.apache.pulsar", "pulsar-server-distribution").at_version(VERSION)
    try:
        file = component.artifact(classifier="bin", packaging="tar.gz").resolve()
    except Exception as error:  # jgo raises whatever its HTTP library does
        raise PartMissing(f"Pulsar {VERSION} could not be fetched from Maven Central ({error})") from error
    if sha256(file).hex() != _SHA256:
        raise PartMissing(f"Pulsar {VERSION} came damaged from Maven Central: try again")
    with tarfile.open(file) as archive:
        for member in archive:
            _, _, path = member.name.partition("/")
            if path.partition("/")[0] in _KEPT:
                archive.extract(member.replace(name=path), target, filter="tar")
    shutil.rmtree(work)
