"""Lists a folder of a bucket completely, also on servers that know only the first version of the listing."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from metadata_tool.errors import StoreFailed
from metadata_tool.location import Location
from metadata_tool.store.s3_faults import not_s3, plain

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_PAGE = 1000
"""Entries of a page, if the server does not say how many it has at most."""
_FIELDS = ("Name", "IsTruncated", "MaxKeys", "KeyCount")
"""A listing has some of them, and another XML document has none."""


def list_folder(client: "S3Client", location: Location, prefix: str, common: dict[str, Any]) -> dict[str, int]:
    """Names in this folder that start with the prefix, and their sizes in bytes. `common` are fields of every request.

    Raises:
        BotoCoreError, ClientError: a request failed.
        StoreFailed: the listing is not complete, or the answer is not a listing.
    """
    folder = location.key("")
    query = {"Bucket": location.bucket, "Prefix": folder + prefix, "Delimiter": "/", **common}
    found: dict[str, int] = {}
    for page in pages(client, location, query):
        for item in page.get("Contents", []):
            if not {"Key", "Size"} <= item.keys():
                raise not_s3(plain(client.meta.endpoint_url))
            name = item["Key"].removeprefix(folder)
            if item["Key"].startswith(query["Prefix"]) and "/" not in name:  # not every server knows these filters
                found[name] = item["Size"]
    return found


def pages(client: "S3Client", location: Location, query: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """All pages. A server that answers without a token to continue with is asked by the first version's marker."""
    seen: set[str] = set()
    ask: Any = client.list_objects_v2
    onward: dict[str, str] = {}
    while True:
        page = ask(**query, **onward)
        if not any(name in page for name in _FIELDS):
            raise not_s3(plain(client.meta.endpoint_url))
        yield page
        if not _is_truncated(page):
            return
        if token := page.get("NextContinuationToken"):
            onward = {"ContinuationToken": token}
        else:
            token, ask = page.get("NextMarker") or _last(page), client.list_objects
            onward = {"Marker": token}
        if not token or token in seen:
            raise StoreFailed(
                f"the object store lists {location} only in part, and does not continue after {len(seen) + 1} pages",
                "Check whether a proxy in front of the object store removes parameters of requests",
            )
        seen.add(token)


def _is_truncated(page: dict[str, Any]) -> bool:
    """Whether more pages follow. A server that does not say so has more if the page is full."""
    if "IsTruncated" in page:
        return bool(page["IsTruncated"])
    return len(_entries(page)) >= (page.get("MaxKeys") or _PAGE)


def _entries(page: dict[str, Any]) -> list[str]:
    folders = [item["Prefix"] for item in page.get("CommonPrefixes", [])]
    return [*(item["Key"] for item in page.get("Contents", [])), *folders]


def _last(page: dict[str, Any]) -> str:
    return max(_entries(page), default="")
