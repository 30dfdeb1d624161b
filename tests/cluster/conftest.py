"""The cluster that the tests run on. It is theirs for one namespace, which must not exist before."""

from collections.abc import Iterator

import pytest

from support.cluster import Release, Surroundings


@pytest.fixture(scope="session")
def surroundings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Surroundings]:
    """A namespace with an object store and credentials, gone afterwards."""
    made = Surroundings(tmp_path_factory.mktemp("surroundings"))
    try:
        made.set_up()
        yield made
    finally:
        made.tear_down()


@pytest.fixture(scope="session")
def release(tmp_path_factory: pytest.TempPathFactory) -> Release:
    """The chart, with the values of the example and those of this cluster."""
    return Release(tmp_path_factory.mktemp("release"))
