"""The clients of S3."""

from metadata_tool.location import Location
from metadata_tool.store.base import StoreOptions
from metadata_tool.store.credentials import Keys
from metadata_tool.store.s3_client import Clients
from metadata_tool.variables import SCRUB_REQUESTS


def test_connections_of_a_scrub() -> None:
    """A client keeps as many connections as a scrub may use at once, so that none is closed after each request."""
    options = StoreOptions(region="eu-west-1", endpoint_url="http://127.0.0.1:1", keys=Keys("access", "secret"))
    client = Clients(Location("s3a", "offloads", ""), options).current()
    assert SCRUB_REQUESTS.high == vars(client.meta.config)["max_pool_connections"]
