"""A NAT or a load balancer forgets connections that were idle, and answers nothing on them."""

import time

import pytest

from metadata_tool.location import Location
from metadata_tool.store.base import StoreOptions
from metadata_tool.store.credentials import Keys
from metadata_tool.store.limits import TransferLimits
from metadata_tool.store.s3 import S3Store
from support.proxy import proxy
from support.s3 import ACCESS_KEY, SECRET_KEY, Bucket


@pytest.mark.fault("Object store", "a NAT forgets idle connections")
def test_forgotten_connections(bucket: Bucket) -> None:
    """No request is sent on a connection that was idle for long, and the next ones share a connection again."""
    with proxy(bucket.server.port) as (endpoint, faults):
        faults.forgets_after = 0.4
        limits = TransferLimits(read=2, idle=0.2)
        store = S3Store(
            Location("s3a", bucket.name, ""),
            StoreOptions("us-east-1", endpoint, Keys(ACCESS_KEY, SECRET_KEY), limits=limits),
        )
        for _ in range(3):
            store.list("p-")
            store.list("p-")
            time.sleep(0.5)
        assert (6, 0) == (len(faults.seen), faults.forgotten)
