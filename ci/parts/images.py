"""Container images for clusters without a registry, each a docker-archive file in the cache.

Debian's buildah and mmdebstrap build them, as root: no daemon, no registry. A tag names what the image is made from, so
that a cluster never runs a stale one.
"""

import hashlib
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ci.parts.cache import PartMissing, cached, run
from ci.parts.go import versitygw
from ci.parts.pulsar import distribution

_SIDECAR = Path(__file__).parents[2] / "sidecar"
_DEBIAN = "bookworm"
_CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")


@dataclass(frozen=True)
class Image:
    """An image: what a pod calls it, and the file to load into a cluster."""

    repository: str
    tag: str
    archive: Path

    @property
    def name(self) -> str:
        """`repository:tag`."""
        return f"{self.repository}:{self.tag}"


def metadata_tool() -> Image:
    """The program, from the project's own Dockerfile on a Debian base.

    Raises:
        PartMissing: it cannot be built.
    """

    def make(buildah: "_Buildah", name: str) -> None:
        base = buildah.base(["python3", "python3-venv", "ca-certificates"], "localhost/base:1")
        with buildah.pip_settings() as settings:
            buildah("build", "--pull-never", *settings, "--build-arg", f"BASE={base}", "--tag", name, str(_SIDECAR))

    sources = [_SIDECAR / name for name in ("Dockerfile", "pyproject.toml", "requirements.lock", "build.lock")]
    return _image("metadata-tool", [*sources, *sorted((_SIDECAR / "src").rglob("*.py"))], make)


def pulsar() -> Image:
    """Pulsar's distribution with a Java runtime, as far as ZooKeeper and the initialisation need it.

    Raises:
        PartMissing: it cannot be built.
    """

    def make(buildah: "_Buildah", name: str) -> None:
        packages = ["bash", "openjdk-17-jre-headless", "ca-certificates"]
        container = buildah("from", buildah.base(packages, "localhost/java:1")).strip()
        buildah("add", container, str(distribution()), "/pulsar")
        buildah("config", "--workingdir", "/pulsar", "--user", "10000:0", "--cmd", "bash", container)
        buildah("commit", container, name)

    return _image("pulsar", [Path(__file__), Path(__file__).with_name("pulsar.py")], make)


def s3() -> Image:
    """A real S3 server, with a shell to start it by.

    Raises:
        PartMissing: it cannot be built.
    """

    def make(buildah: "_Buildah", name: str) -> None:
        container = buildah("from", buildah.base(["ca-certificates"], "localhost/debian:1")).strip()
        buildah("add", container, versitygw(), "/usr/local/bin/versitygw")
        buildah("config", "--user", "10002:10002", "--entrypoint", '["versitygw"]', container)
        buildah("commit", container, name)

    return _image("s3", [Path(__file__), Path(__file__).with_name("go.py")], make)


class _Buildah:
    """buildah with a storage of its own: nothing of the user's is touched."""

    def __init__(self, work: Path) -> None:
        self._work = work
        self._storage = ["--root", f"{work}/root", "--runroot", f"{work}/runroot", "--storage-driver", "vfs"]

    def __call__(self, *arguments: str) -> str:
        command = ["buildah", *self._storage, *arguments]
        return run(command, "an image could not be built", {"BUILDAH_ISOLATION": "chroot"})

    def base(self, packages: list[str], name: str) -> str:
        """A Debian with these packages, as a local image of this name."""
        container = self("from", "scratch").strip()
        self("add", container, str(_debian(packages)), "/")
        self("commit", container, name)
        self("rm", container)
        return name

    @contextmanager
    def pip_settings(self) -> Iterator[list[str]]:
        """Lets pip in a build use this machine's index and certificates."""
        said = subprocess.run(["python3", "-m", "pip", "config", "list"], capture_output=True, text=True, check=False)
        options = [line.partition("=") for line in said.stdout.splitlines() if line.startswith("global.")]
        own = {key.removeprefix("global."): value.strip("'\"") for key, _, value in options}
        file = self._work / "pip.conf"
        lines = "".join(f"{key} = {value}\n" for key, value in (own | {"cert": "/etc/ssl/certs/host.crt"}).items())
        file.write_text(f"[global]\n{lines}")
        yield ["--volume", f"{file}:/etc/pip.conf:ro", "--volume", f"{_CERTIFICATES}:/etc/ssl/certs/host.crt:ro"]


def _debian(packages: list[str]) -> Path:
    def make(target: Path) -> None:
        _require_tools()
        options = ["--variant=essential", f"--include={','.join(packages)}"]
        options.append('--aptopt=APT::Install-Recommends "false"')
        options += [f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in ("doc", "locale", "man")]
        options.append("--dpkgopt=path-include=/usr/share/man/man[1-9]")  # Java's packages want the folders
        run(["mmdebstrap", "--quiet", *options, _DEBIAN, f"{target}/base.tar"], "a Debian base could not be made")

    key = hashlib.sha256(" ".join([_DEBIAN, *packages]).encode()).hexdigest()[:12]
    return cached(f"debian-{key}", make) / "base.tar"


def _image(name: str, sources: list[Path], build: Callable[[_Buildah, str], None]) -> Image:
    tag = hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()[:12]
    repository = f"localhost/{name}"

    def make(target: Path) -> None:
        _require_tools()
        work = target / "work"
        work.mkdir()
        buildah = _Buildah(work)
        build(buildah, f"{repository}:{tag}")
        archive = f"{target}/image.tar"
        buildah("push", "--quiet", f"{repository}:{tag}", f"docker-archive:{archive}:{repository}:{tag}")
        shutil.rmtree(work)

    return Image(repository, tag, cached(f"image-{name}-{tag}", make) / "image.tar")


def _require_tools() -> None:
    missing = [tool for tool in ("buildah", "mmdebstrap", "crun") if not shutil.which(tool)]
    if missing:
        raise PartMissing(f"images need Debian's packages {', '.join(missing)}: apt-get install them")
    if os.geteuid() != 0:
        raise PartMissing("images are built as root: buildah and mmdebstrap make files of several users")
