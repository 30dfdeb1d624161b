"""Every store that needs a server keeps the promises of all stores."""

from collections.abc import Iterator

import pytest

from support.certificates import Authority
from support.embedded_s3 import KEYS, embedded_s3
from support.s3 import ACCESS_KEY, SECRET_KEY, S3Server, s3_server
from support.store_contract import StoreContract, Subject
from support.stores import WITH_SERVER, Server, in_new_bucket

LONG_FORM = ("moto-tls", "v1-listings", "versitygw-tls")
"""Moto and TLS are each with another here, and tests/integration/test_s3_settings.py has the older listings."""
PARAMETERS = [
    pytest.param(scheme, name, id=name, marks=[pytest.mark.soak] if name in LONG_FORM else [])
    for scheme, kinds in WITH_SERVER.items()
    for name in kinds
]
KEYS_OF_VERSITYGW = {"AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY}


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Signs the certificates of these tests."""
    return Authority(tmp_path_factory.mktemp("authority") / "ca")


@pytest.fixture(scope="session")
def versitygw(s3: S3Server) -> Server:
    """A real S3 server."""
    return Server(s3.port, KEYS_OF_VERSITYGW)


@pytest.fixture(scope="session")
def versitygw_tls(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The server versitygw with TLS."""
    with s3_server(tmp_path_factory.mktemp("s3-tls"), authority.issue("s3")) as server:
        yield Server(server.port, KEYS_OF_VERSITYGW, authority.path)


@pytest.fixture(scope="session")
def moto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Moto's S3 server."""
    with embedded_s3(tmp_path_factory.mktemp("moto"), "unused") as endpoint:
        yield Server(int(endpoint.rpartition(":")[2]), KEYS)


@pytest.fixture
def subject(
    scheme: str, name: str, authority: Authority, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Subject]:
    """An empty folder of each."""
    kind = WITH_SERVER[scheme][name]
    with in_new_bucket(request.getfixturevalue(kind.server), kind, authority, monkeypatch.setenv) as made:
        assert scheme == made.store().location.scheme
        yield made


@pytest.mark.parametrize(("scheme", "name"), PARAMETERS)
class TestStores(StoreContract):
    """The suite."""
