"""A Kerberos realm on loopback: a KDC, a keytab with all principals, and a krb5.conf that asks nobody else."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ci.parts.java import java_with_kerberos
from ci.parts.kdc import MAIN, kdc, require_kerberos
from support.processes import Process, free_port

REALM = "EXAMPLE.TEST"
USER = f"backup@{REALM}"
SERVICE = f"zookeeper/localhost@{REALM}"
_SETTINGS = {
    "org.name": "EXAMPLE",
    "org.domain": "TEST",
    "kdc.bind.address": "localhost",
    "kdc.port": "0",
    "instance": "DefaultKrbServer",
    "transport": "TCP",
    "debug": "false",
    "max.ticket.lifetime": "86400000",
    "max.renewable.lifetime": "604800000",
}
_CONFIG = """\
[libdefaults]
  default_realm = {realm}
  dns_lookup_kdc = false
  dns_lookup_realm = false
  dns_canonicalize_hostname = false
  rdns = false
  udp_preference_limit = 1
[realms]
  {realm} = {{
    kdc = 127.0.0.1:{port}
  }}
[domain_realm]
  localhost = {realm}
"""


@dataclass(frozen=True)
class Realm:
    """Files: the configuration, one of a KDC that does not answer, and the keytab."""

    config: Path
    lost: Path
    keytab: Path


@contextmanager
def realm(directory: Path) -> Iterator[Realm]:
    """A realm, ended afterwards.

    Raises:
        PartMissing: this machine has no Kerberos, or Java has none. The message says what to install.
    """
    require_kerberos()
    made = Realm(directory / "krb5.conf", directory / "lost.conf", directory / "keytab")
    (directory / "work").mkdir(parents=True)
    properties = directory / "kdc.properties"
    properties.write_text("".join(f"{name}={value}\n" for name, value in _SETTINGS.items()))
    arguments = [str(directory / "work"), str(properties), str(made.keytab), "zookeeper/localhost", "backup"]
    command = [java_with_kerberos(), "-Xmx128m", "-XX:+UseSerialGC", "-cp", kdc(), MAIN, *arguments]
    process = Process(command, directory / "log")
    try:
        process.wait_until(lambda: "with principals" in process.output())
        (port,) = re.findall(r"kdc = localhost:(\d+)", (directory / "work" / "krb5.conf").read_text())
        made.config.write_text(_CONFIG.format(realm=REALM, port=port))
        made.lost.write_text(_CONFIG.format(realm=REALM, port=free_port()))
        yield made
    finally:
        process.kill()
