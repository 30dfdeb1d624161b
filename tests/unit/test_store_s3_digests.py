import base64
import hashlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metadata_tool.store.limits import PART_SIZE
from metadata_tool.store.s3_digests import Digests, in_parts, sha256_of_answer

SHA = hashlib.sha256(b"content").digest()
BASE64 = base64.b64encode(SHA).decode()


@pytest.mark.parametrize("text", [BASE64, f"{BASE64}-3", SHA.hex(), SHA.hex().upper(), f"{SHA.hex()}-3"])
def test_notations(text: str) -> None:
    """A SHA-256 is understood in Base64 and in hexadecimal digits, with and without the number of parts."""
    assert SHA == sha256_of_answer({"ChecksumSHA256": text})


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"ChecksumSHA256": ""},
        {"ChecksumSHA256": None},
        {"ChecksumCRC32": "AAAAAA=="},
        {"ChecksumSHA256": f"{BASE64[:20]}!{BASE64[20:]}"},
        {"ChecksumSHA256": BASE64[4:]},
        {"ChecksumSHA256": "x" * 64},
    ],
)
def test_no_sha256(answer: dict[str, str]) -> None:
    """A store that keeps none, or another checksum, tells no SHA-256."""
    assert sha256_of_answer(answer) is None


@given(st.text())
def test_other_notation(text: str) -> None:
    """Any other text is no SHA-256, and no error."""
    found = sha256_of_answer({"ChecksumSHA256": text})
    assert found is None or len(found) == len(SHA)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ({"ETag": '"abc"', "ChecksumSHA256": BASE64}, False),
        ({"ETag": '"abc-2"', "ChecksumSHA256": BASE64}, True),
        ({"ETag": '"abc"', "ChecksumSHA256": f"{BASE64}-2"}, True),
        ({"ETag": '"abc"', "ChecksumSHA256": BASE64, "ChecksumType": "COMPOSITE"}, True),
        ({"ETag": '"abc"', "ChecksumSHA256": BASE64, "ChecksumType": "FULL_OBJECT"}, False),
        ({}, False),
        ({"ETag": '"abc"'}, False),
        ({"ChecksumSHA256": BASE64}, False),
        ({"ChecksumSHA256": f"{BASE64}-2"}, True),
    ],
)
def test_upload_in_parts(answer: dict[str, str], expected: bool) -> None:
    """The ETag, the checksum or its type show that an object was uploaded in parts."""
    assert expected == in_parts(answer)


@pytest.mark.parametrize("size", [0, 1, PART_SIZE, PART_SIZE + 1])
def test_digests_of_a_file(size: int, tmp_path: Path) -> None:
    """The digest of a file, and the digest of the digests of its parts."""
    content = bytes(size)
    (tmp_path / "file").write_bytes(content)
    parts = [content[begin : begin + PART_SIZE] for begin in range(0, size, PART_SIZE)]
    of_parts = hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in parts)).digest()
    assert Digests(hashlib.sha256(content).digest(), of_parts) == Digests.of(tmp_path / "file")
