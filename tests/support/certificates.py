"""Authorities and certificates of tests, as PEM files."""

import datetime as dt
import ipaddress
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID

_NOW = dt.datetime.now(dt.UTC)
_DAY = dt.timedelta(days=1)


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


@dataclass(frozen=True)
class Certificate:
    """Files: the certificate, its key, and both in one, as ZooKeeper wants them."""

    cert: Path
    key: Path
    both: Path


class Authority:
    """Signs certificates. `path` is the file of trusted authorities."""

    def __init__(self, directory: Path) -> None:
        """Make one, in a directory that does not exist yet."""
        directory.mkdir()
        self._directory = directory
        self._key = ec.generate_private_key(ec.SECP256R1())
        self.path = directory / "ca.pem"
        usable = x509.BasicConstraints(ca=True, path_length=None)
        built = self._builder("a test's authority", self._key).add_extension(usable, critical=True)
        self._write(self.path, built.sign(self._key, hashes.SHA256()))

    def issue(self, name: str, *, host: str = "127.0.0.1", valid: bool = True, password: str = "") -> Certificate:
        """A certificate of a host. If not valid, it has expired. The key is encrypted if there is a password."""
        key = ec.generate_private_key(ec.SECP256R1())
        try:
            alternative: x509.GeneralName = x509.IPAddress(ipaddress.ip_address(host))
        except ValueError:
            alternative = x509.DNSName(host)
        built = self._builder(name, key, _DAY if valid else -_DAY)
        built = built.add_extension(x509.SubjectAlternativeName([alternative]), critical=False)
        made = Certificate(*(self._directory / f"{name}.{kind}" for kind in ("crt", "key", "pem")))
        self._write(made.cert, built.sign(self._key, hashes.SHA256()))
        encryption: KeySerializationEncryption = NoEncryption()
        if password:
            encryption = BestAvailableEncryption(password.encode())
        made.key.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption))
        made.both.write_bytes(made.key.read_bytes() + made.cert.read_bytes())
        return made

    def _builder(
        self, name: str, key: ec.EllipticCurvePrivateKey, lasts: dt.timedelta = _DAY
    ) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(_name(name))
            .issuer_name(_name("a test's authority"))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(_NOW - 2 * _DAY)
            .not_valid_after(_NOW + lasts)
        )

    @staticmethod
    def _write(path: Path, certificate: x509.Certificate) -> None:
        path.write_bytes(certificate.public_bytes(Encoding.PEM))


def server_settings(authority: Authority, port: int, client_auth: str) -> dict[str, str]:
    """Lines of zoo.cfg: TLS at this port, for clients of this authority, with or without client certificates."""
    return {
        "serverCnxnFactory": "org.apache.zookeeper.server.NettyServerCnxnFactory",
        "secureClientPort": str(port),
        "secureClientPortAddress": "127.0.0.1",
        "ssl.keyStore.location": str(authority.issue("server").both),
        "ssl.trustStore.location": str(authority.path),
        "ssl.clientAuth": client_auth,
    }
