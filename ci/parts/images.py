"""Container images for clusters without a registry, each a docker-archive file in the cache.

Debian's buildah and mmdebstrap build them, as root: no daemon, no registry. A tag names what the image is made from, so
that a cluster never runs a stale one.
"""

import ast
import hashlib
import os
import shutil
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from ci.parts.cache import PartMissing, cached, digest, run
from ci.parts.go import versitygw
from ci.parts.pulsar import distribution, offloaders

_SIDECAR = Path(__file__).parents[2] / "sidecar"
_DEBIAN = "bookworm"
_CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
_HOST_CERTIFICATES = "/etc/ssl/certs/host.crt"
_PIP_SETTINGS = ("index-url", "extra-index-url", "trusted-host", "proxy", "timeout", "default-timeout")
"""Settings of how to reach an index. Others, such as find-links, name folders that a build does not see."""


@dataclass(frozen=True)
class Image:
    """An image: its name in a pod, and the file to load into a cluster."""

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
        base = buildah.base(["python3", "python3-venv", "ca-certificates", "libstdc++6"], "localhost/base:1")
        options = ["--pull-never", "--build-arg", f"BASE={base}", *buildah.pip_options()]
        buildah("build", *options, "--tag", name, str(_SIDECAR))

    names = ("Dockerfile", ".dockerignore", "pyproject.toml", "requirements.lock", "build.lock")
    source = [file for file in (_SIDECAR / "src").rglob("*") if file.is_file() and "__pycache__" not in file.parts]
    return _image("metadata-tool", [*(_SIDECAR / name for name in names), *source], make)


def pulsar() -> Image:
    """Pulsar's distribution with its offloaders in /pulsar, and a Java runtime. Mount what it writes to.

    Raises:
        PartMissing: it cannot be built.
    """

    def make(buildah: "_Buildah", name: str) -> None:
        packages = ["bash", "openjdk-17-jre-headless", "ca-certificates"]
        container = buildah("from", buildah.base(packages, "localhost/java:1")).strip()
        buildah("add", "--chown", "0:0", container, str(distribution()), "/pulsar")
        buildah("add", "--chown", "0:0", container, str(offloaders()), "/pulsar/offloaders")
        buildah("config", "--workingdir", "/pulsar", "--user", "10000:0", "--cmd", "bash", container)
        buildah("commit", container, name)

    return _image("pulsar", [Path(__file__).with_name("pulsar.py")], make)


def s3() -> Image:
    """A real S3 server, and a shell that starts it.

    Raises:
        PartMissing: it cannot be built.
    """

    def make(buildah: "_Buildah", name: str) -> None:
        container = buildah("from", buildah.base(["ca-certificates"], "localhost/debian:1")).strip()
        buildah("add", container, versitygw(), "/usr/local/bin/versitygw")
        buildah("config", "--user", "10002:10002", "--entrypoint", '["versitygw"]', container)
        buildah("commit", container, name)

    return _image("s3", [Path(__file__).with_name("go.py")], make)


def client() -> Image:
    """Python with Pulsar's client, for programs that a test brings along.

    Raises:
        PartMissing: it cannot be built.
    """
    lock = Path(__file__).with_name("client.lock")

    def make(buildah: "_Buildah", name: str) -> None:
        packages = ["python3", "python3-venv", "ca-certificates", "libstdc++6"]
        container = buildah("from", buildah.base(packages, "localhost/base:1")).strip()
        buildah("copy", container, str(lock), "/opt/client.lock")
        buildah("run", container, "--", "python3", "-m", "venv", "/opt/client")
        install = ["pip", "install", "--no-cache-dir", "--require-hashes", "--requirement", "/opt/client.lock"]
        buildah("run", *buildah.pip_options(), container, "--", "/opt/client/bin/python", "-m", *install)
        buildah("config", "--env", "PATH=/opt/client/bin:/usr/bin:/bin", "--user", "10003:10003", container)
        buildah("commit", container, name)

    return _image("pulsar-client", [lock], make)


class _Buildah:
    """buildah with storage of its own, so that the user's images stay untouched."""

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

    def pip_options(self) -> list[str]:
        """Lets pip in a build use this machine's index and certificates. None of them stays in the image."""
        settings = _pip_settings()
        volumes = []
        if _CERTIFICATES.is_file():
            settings["cert"] = _HOST_CERTIFICATES
            volumes = ["--volume", f"{_CERTIFICATES}:{_HOST_CERTIFICATES}:ro"]
        file = self._work / "pip.conf"
        file.write_text("[global]\n" + "".join(f"{key} = {value}\n" for key, value in settings.items()))
        return [*volumes, "--volume", f"{file}:/etc/pip.conf:ro"]


def _pip_settings() -> dict[str, str]:
    said = run([sys.executable, "-m", "pip", "config", "list"], "pip's configuration could not be read")
    settings: dict[str, dict[str, str]] = {"global": {}, "install": {}, ":env:": {}}  # the later ones win
    for line in said.splitlines():
        name, _, value = line.partition("=")
        section, _, key = name.partition(".")
        if section in settings and key in _PIP_SETTINGS:
            settings[section][key] = " ".join(str(ast.literal_eval(value)).split())
    return settings["global"] | settings["install"] | settings[":env:"]


def _debian(packages: list[str]) -> Path:
    options = ["--variant=essential", f"--include={','.join(packages)}", '--aptopt=APT::Install-Recommends "false"']
    options += [f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in ("doc", "locale", "man")]
    options.append("--dpkgopt=path-include=/usr/share/man/man[1-9]")  # Java's packages want the folders

    def make(target: Path) -> None:
        _require_tools()
        command = ["mmdebstrap", "--quiet", *options, _DEBIAN, f"{target}/base.tar"]
        run(command, f"a Debian {_DEBIAN} base could not be made")

    key = hashlib.sha256(" ".join([_DEBIAN, *options]).encode()).hexdigest()[:12]
    return cached(f"debian-{key}", make) / "base.tar"


def _image(name: str, sources: Iterable[Path], build: Callable[[_Buildah, str], None]) -> Image:
    repository, tag = f"localhost/{name}", _digest([Path(__file__), *sources])

    def make(target: Path) -> None:
        _require_tools()
        work = target / "work"
        work.mkdir()
        try:
            buildah = _Buildah(work)
            build(buildah, f"{repository}:{tag}")
            archive = f"docker-archive:{target}/image.tar:{repository}:{tag}"
            buildah("push", "--quiet", f"{repository}:{tag}", archive)
        finally:
            shutil.rmtree(work)

    return Image(repository, tag, cached(f"image-{name}-{tag}", make) / "image.tar")


def _digest(files: Iterable[Path]) -> str:
    """The digest of names and contents, so that a renamed file makes another image."""
    root = Path(__file__).parents[2]
    lines = sorted(f"{file.relative_to(root)} {digest(file)}" for file in files)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:12]


def _require_tools() -> None:
    missing = [tool for tool in ("buildah", "mmdebstrap") if not shutil.which(tool)]
    if missing:
        packages = " ".join(missing)
        raise PartMissing(f"container images are built by Debian's packages {packages}: apt-get install {packages}")
    if os.geteuid() != 0:
        raise PartMissing("container images are built as root: buildah and mmdebstrap make files of several users")
