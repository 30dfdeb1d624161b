"""Listings of servers of every kind, by a model, because no real server behaves in all these ways."""

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metadata_tool.errors import StoreFailed
from metadata_tool.location import Location
from metadata_tool.store.s3_listing import list_folder

FOLDER = Location("s3a", "bucket", "folder")
names = st.text("ab-/", min_size=1, max_size=4).filter(lambda name: not name.startswith("/") and "//" not in name)


@dataclass
class Model:
    """A server with these keys, and how it answers."""

    keys: list[str]
    page: int = 1000
    tokens: bool = True
    """Pages have a token to continue with, as in the second version of the listing."""
    next_markers: bool = True
    """Pages of the first version have a marker to continue with."""
    says_truncated: bool = True
    filters: bool = True
    """Prefix and delimiter are obeyed."""
    markers: bool = True
    """A marker is obeyed."""
    requests: int = field(default=0)
    meta: Any = field(default_factory=lambda: SimpleNamespace(endpoint_url="https://s3.example.com"))

    def list_objects_v2(self, ContinuationToken: str = "", **query: str) -> dict[str, Any]:  # noqa: N803
        """The second version."""
        return self._page(ContinuationToken if self.tokens else "", query)

    def list_objects(self, Marker: str = "", **query: str) -> dict[str, Any]:  # noqa: N803
        """The first version."""
        return self._page(Marker if self.markers else "", query)

    def _page(self, after: str, query: dict[str, str]) -> dict[str, Any]:
        self.requests += 1
        prefix = query["Prefix"]
        found: dict[str, bool] = {}
        for key in sorted(self.keys):
            below = key.removeprefix(prefix).partition("/")
            if not self.filters:
                found[key] = False
            elif key.startswith(prefix):
                found[prefix + below[0] + below[1]] = bool(below[1])
        entries = [(key, folder) for key, folder in sorted(found.items()) if key > after]
        shown, more = entries[: self.page], len(entries) > self.page
        answer: dict[str, Any] = {
            "Name": "bucket",
            "MaxKeys": self.page,
            "Contents": [{"Key": key, "Size": len(key)} for key, folder in shown if not folder],
            "CommonPrefixes": [{"Prefix": key} for key, folder in shown if folder],
        }
        if self.says_truncated:
            answer["IsTruncated"] = more
        if more and self.tokens:
            answer["NextContinuationToken"] = shown[-1][0]
        if more and not self.tokens and self.next_markers:
            answer["NextMarker"] = shown[-1][0]
        return answer


def listed(model: Any, prefix: str = "") -> dict[str, int]:
    """The listing of the folder."""
    return list_folder(model, FOLDER, prefix, {})


@st.composite
def servers(draw: st.DrawFn) -> Model:
    """A server of the first version or of the second, which leaves out what its version lets it leave out."""
    tokens = draw(st.booleans())
    keys = [f"folder/{key}" for key in draw(st.lists(names, unique=True, max_size=12))]
    return Model(
        [*keys, "folder2/a", "a"],
        page=draw(st.integers(1, 4)),
        tokens=tokens,
        next_markers=draw(st.booleans()),
        says_truncated=draw(st.booleans()) or not tokens,
        filters=draw(st.booleans()),
    )


@given(servers(), st.sampled_from(["", "a", "ab", "b-"]))
def test_every_server(model: Model, prefix: str) -> None:
    """A listing is complete on servers of both versions of the listing."""
    names_of_folder = {key.removeprefix("folder/"): len(key) for key in model.keys if key.startswith("folder/")}
    expected = {name: size for name, size in names_of_folder.items() if name.startswith(prefix) and "/" not in name}
    assert expected == listed(model, prefix)


def test_server_that_does_not_say_whether_more_follows() -> None:
    """A full page without IsTruncated is continued."""
    keys = [f"folder/a-{number}" for number in range(5)]
    assert 5 == len(listed(Model(keys, page=2, tokens=False, next_markers=False, says_truncated=False)))


@pytest.mark.parametrize("next_markers", [False, True])
def test_page_of_folders(next_markers: bool) -> None:
    """A page that has only folders leads on, with a marker of the server or without."""
    keys = ["folder/a/1", "folder/b/1", "folder/c"]
    model = Model(keys, page=1, tokens=False, next_markers=next_markers)
    assert ({"c": 8}, 3) == (listed(model), model.requests)


@pytest.mark.parametrize("count", [3, 4])
def test_pages_are_not_asked_for_in_vain(count: int) -> None:
    """A server that says whether more follows is believed, and each page is asked for once."""
    model = Model([f"folder/{number}" for number in range(count)], page=2, tokens=count == 3)
    assert (count, 2) == (len(listed(model)), model.requests)


def test_server_that_tells_no_size_of_a_page() -> None:
    """Without IsTruncated and MaxKeys, a page of 1,000 entries is continued, and a smaller one is the last."""
    sizes = iter([1000, 999])
    asked: list[dict[str, str]] = []

    def answer(**query: str) -> dict[str, Any]:
        asked.append(query)
        entries = [{"Key": f"folder/{len(asked)}-{number:04}", "Size": 1} for number in range(next(sizes))]
        return {"Name": "bucket", "Contents": entries}

    assert 1999 == len(listed(SimpleNamespace(list_objects_v2=answer, list_objects=answer)))
    assert "folder/1-0999" == asked[1]["Marker"]


@pytest.mark.parametrize("tokens", [False, True])
def test_server_that_repeats_itself(tokens: bool) -> None:
    """A server that sends the same page again and again is an error, and never a part of the list."""
    model = Model([f"folder/a-{number}" for number in range(5)], page=2, tokens=tokens, markers=False)
    if tokens:
        first = model.list_objects_v2(Prefix="folder/")
        model.list_objects_v2 = lambda **_: first  # type: ignore[method-assign]
    with pytest.raises(StoreFailed, match="lists s3a://bucket/folder only in part") as raised:
        listed(model)
    assert "proxy" in raised.value.hint


def test_page_without_entries_and_without_a_token() -> None:
    """A page that says that more follows, and not where, is an error."""
    model = SimpleNamespace(list_objects_v2=lambda **_: {"IsTruncated": True}, list_objects=None)
    with pytest.raises(StoreFailed, match="only in part"):
        listed(model)


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"ResponseMetadata": {"HTTPStatusCode": 200}},
        {"RequestCharged": "requester"},
        {"Name": "bucket", "Contents": [{"Key": "folder/p-1.tar.gz"}]},
        {"Name": "bucket", "Contents": [{"Size": 1}]},
    ],
)
def test_answer_of_something_else(answer: dict[str, Any]) -> None:
    """An answer that is not a listing, such as a login page, is not taken for one."""
    model = SimpleNamespace(
        list_objects_v2=lambda **_: answer, meta=SimpleNamespace(endpoint_url="https://user:pass@login.example.com")
    )
    with pytest.raises(StoreFailed, match="not an answer of S3") as raised:
        listed(model)
    assert "pass@" not in str(raised.value)


def test_fields_of_every_request() -> None:
    """What the bucket demands of every request is sent with each page."""
    sent: list[dict[str, str]] = []

    def answer(**query: str) -> dict[str, Any]:
        sent.append(query)
        more = len(sent) < 3
        return {"IsTruncated": more, "NextContinuationToken": str(len(sent))} if more else {"IsTruncated": False}

    list_folder(SimpleNamespace(list_objects_v2=answer), FOLDER, "a-", {"ExpectedBucketOwner": "1"})  # type: ignore[arg-type]
    expected = {"Bucket": "bucket", "Prefix": "folder/a-", "Delimiter": "/", "ExpectedBucketOwner": "1"}
    assert [expected, expected | {"ContinuationToken": "1"}, expected | {"ContinuationToken": "2"}] == sent
