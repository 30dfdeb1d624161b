"""Every store that needs a server keeps the promises of all stores."""

from collections.abc import Iterator

import pytest

from support.embedded_s3 import KEYS, embedded_s3
from support.s3 import ACCESS_KEY, SECRET_KEY, S3Server
from support.store_contract import StoreContract, Subject
from support.stores import WITH_SERVER, Server, in_new_bucket

PARAMETERS = [pytest.param(scheme, name, id=name) for scheme, names in WITH_SERVER.items() for name in names]


@pytest.fixture(scope="module")
def versitygw(s3: S3Server) -> Server:
    """A real S3 server."""
    return Server(s3.port, {"AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY})


@pytest.fixture(scope="module")
def moto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Moto's S3 server."""
    with embedded_s3(tmp_path_factory.mktemp("moto"), "unused") as endpoint:
        yield Server(int(endpoint.rpartition(":")[2]), KEYS)


@pytest.fixture
def subject(
    scheme: str, name: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Subject]:
    """An empty folder of each."""
    server: Server = request.getfixturevalue(name.partition("-")[0])
    with in_new_bucket(server, monkeypatch.setenv, checksums=not name.endswith("-without-checksums")) as made:
        assert scheme == made.store().location.scheme
        yield made


@pytest.mark.parametrize(("scheme", "name"), PARAMETERS)
class TestStores(StoreContract):
    """The suite."""
