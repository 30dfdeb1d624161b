"""A Kerberos server from Maven Central (Hadoop's MiniKdc, that is Apache Kerby), and a check for the client library."""

import ctypes
from pathlib import Path

from ci.parts.cache import PartMissing, cached
from ci.parts.maven import fetch_jars
from metadata_tool.zookeeper.net.gssapi import LIBRARY

VERSION = "3.4.1"
MAIN = "org.apache.hadoop.minikdc.MiniKdc"
_UNUSED = ("hamcrest", "jline", "jsch", "junit")


def kdc() -> str:
    """The class path of a KDC.

    Raises:
        PartMissing: it cannot be fetched.
    """

    def make(target: Path) -> None:
        fetch_jars([f"org.apache.hadoop:hadoop-minikdc:{VERSION}"], target, f"MiniKdc {VERSION}", _UNUSED)

    return f"{cached(f'minikdc-{VERSION}', make)}/*"


def require_kerberos() -> None:
    """Check that the library for Kerberos logins is installed.

    Raises:
        PartMissing: it is not.
    """
    try:
        ctypes.CDLL(LIBRARY)
    except OSError as error:
        raise PartMissing(f"{LIBRARY} is missing, which Kerberos needs: apt-get install libgssapi-krb5-2") from error
