"""ZooKeeper servers from Maven Central."""

from pathlib import Path

from ci.parts.cache import cached
from ci.parts.maven import fetch_jars

NEWEST = "3.9.5"
OLDER = "3.8.6"
OLDEST = "3.6.4"
UNSUPPORTED = "3.5.10"

_RUNTIME = {
    # Packages that a server needs besides its declared dependencies, in the versions of its release.
    NEWEST: ("io.dropwizard.metrics:metrics-core:4.1.12.1", "org.xerial.snappy:snappy-java:1.1.10.5"),
    OLDER: ("io.dropwizard.metrics:metrics-core:4.1.12.1", "org.xerial.snappy:snappy-java:1.1.10.5"),
    OLDEST: ("io.dropwizard.metrics:metrics-core:3.2.5", "org.xerial.snappy:snappy-java:1.1.8.4"),
    UNSUPPORTED: (),
}
_ALWAYS = (
    "commons-cli:commons-cli:1.5.0",
    "com.fasterxml.jackson.core:jackson-databind:2.15.2",  # these two: the AdminServer
    "org.eclipse.jetty:jetty-servlet:9.4.58.v20250814",
)
_UNUSED = ("mockito", "byte-buddy", "objenesis")


def zookeeper(version: str) -> str:
    """The class path of a ZooKeeper server.

    Raises:
        PartMissing: it cannot be fetched.
    """

    def make(target: Path) -> None:
        coordinates = [f"org.apache.zookeeper:zookeeper:{version}", *_ALWAYS, *_RUNTIME[version]]
        fetch_jars(coordinates, target, f"ZooKeeper {version}", _UNUSED)

    return f"{cached(f'zookeeper-{version}-admin', make)}/*"
