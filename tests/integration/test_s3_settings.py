"""Settings of S3: encryption, storage classes, checksums, certificates, proxies, and all sources of credentials."""

import base64
import hashlib
import json
import os
import pwd
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from metadata_tool import errors
from metadata_tool.errors import ToolError
from metadata_tool.files import sha256
from metadata_tool.store import Store, open_store, parse_location
from metadata_tool.store.base import StoreOptions, UploadOptions
from metadata_tool.store.limits import PART_SIZE, TransferLimits
from metadata_tool.tiered_storage.bucket import S3Bucket
from support.backups import keep
from support.certificates import Authority
from support.embedded_s3 import KEYS, embedded_s3
from support.forward_proxy import forward_proxy
from support.processes import free_port
from support.proxy import Faults, proxy
from support.s3 import ACCESS_KEY, SECRET_KEY, Bucket, S3Server, new_bucket, s3_client, s3_server
from support.store_contract import file_of, never
from support.stores import refuse_trailers
from support.tool import assert_refused, run

NAME = "p-1.tar.gz"
LIMITS = TransferLimits(connect=5, read=5, pauses=(0.0,))
OPTIONS = StoreOptions("us-east-1", limits=LIMITS)
SECRET = "zq7secret"


@pytest.fixture(autouse=True)
def nothing_else(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No credentials and settings but those of a test."""
    for name in [*os.environ]:
        if name.startswith("AWS_") or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "no-credentials"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "no-config"))


def set_all(monkeypatch: pytest.MonkeyPatch, variables: Mapping[str, str]) -> None:
    """Set variables of the environment."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)


def opened(bucket: str, options: StoreOptions = OPTIONS) -> Store:
    """A folder of a bucket."""
    return open_store(parse_location(f"s3a://{bucket}/folder"), options)


def refused(kind: type[ToolError], act: Callable[[], Any], *words: str) -> None:
    """An act that fails with this error, whose one line has these words."""
    with pytest.raises(kind) as raised:
        act()
    assert kind is type(raised.value)
    text = str(raised.value)
    assert 1 == len(text.splitlines())
    assert [] == [word for word in words if word not in text], text
    assert SECRET not in text


@pytest.fixture
def faulty(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> Iterator[Faults]:
    """What stands between the program and versitygw."""
    with proxy(bucket.server.port) as (endpoint, faults):
        set_all(monkeypatch, {**bucket.server.environment(), "AWS_ENDPOINT_URL_S3": endpoint})
        yield faults


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """Signs certificates."""
    return Authority(tmp_path / "authority")


# What a bucket demands


@pytest.fixture(scope="module")
def moto_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """A server that knows encryption and storage classes."""
    with embedded_s3(tmp_path_factory.mktemp("moto"), "demanding") as endpoint:
        yield int(endpoint.rpartition(":")[2])


@pytest.fixture
def demanding(moto_port: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[Faults]:
    """A bucket whose policy demands encryption."""
    with proxy(moto_port) as (endpoint, faults):
        set_all(monkeypatch, {**KEYS, "AWS_ENDPOINT_URL_S3": endpoint})
        yield faults


def demand_encryption(method: str, headers: Mapping[str, str]) -> tuple[int, str, str] | None:
    """The answer of a bucket to an upload without encryption."""
    is_part = "x-amz-server-side-encryption" not in headers
    return (403, "AccessDenied", "explicit deny: unencrypted upload") if method == "PUT" and is_part else None


def test_bucket_demands_encryption(demanding: Faults, tmp_path: Path) -> None:
    """An error repeats why an upload is denied, and names the setting. With the setting, the upload works."""
    demanding.refuse = demand_encryption
    file = file_of(tmp_path, 1000)
    words = ('403 AccessDenied, "explicit deny: unencrypted upload"', "S3_SERVER_SIDE_ENCRYPTION")
    refused(errors.BucketDenied, lambda: keep(opened("demanding"), file, "p-0.tar.gz", never), *words)
    options = replace(OPTIONS, upload=UploadOptions(server_side_encryption="AES256"))
    keep(opened("demanding", options), file, "p-0.tar.gz", never)
    assert {"p-0.tar.gz": 1000} == opened("demanding").list("p-0")


@pytest.mark.parametrize("size", [1000, PART_SIZE + 1])
def test_demands_are_sent(size: int, demanding: Faults, tmp_path: Path) -> None:
    """Uploads carry what the settings say, in one piece or in parts. Every request carries owner and payer."""
    name = f"p-{size}.tar.gz"
    upload = UploadOptions("aws:kms", "key-1", "STANDARD_IA", "bucket-owner-full-control")
    options = replace(OPTIONS, upload=upload, expected_bucket_owner="123456789012", requester_pays=True)
    store = opened("demanding", options)
    keep(store, file_of(tmp_path, size), name, never)
    store.fetch(name, tmp_path / "fetched", never)
    store.delete(name)
    first = next(headers for method, path, headers in demanding.seen if method in ("PUT", "POST"))
    expected = {
        "x-amz-server-side-encryption": "aws:kms",
        "x-amz-server-side-encryption-aws-kms-key-id": "key-1",
        "x-amz-storage-class": "STANDARD_IA",
        "x-amz-acl": "bucket-owner-full-control",
    }
    assert expected == {name: first.get(name) for name in expected}
    for _, path, headers in demanding.seen:
        assert ("123456789012", "requester") == (
            headers.get("x-amz-expected-bucket-owner"),
            headers.get("x-amz-request-payer"),
        ), path


def test_payer_is_told_to_tiered_storage(demanding: Faults) -> None:
    """Buckets of tiered storage are listed and read at the cost of whoever the settings say."""
    bucket = S3Bucket("demanding", replace(OPTIONS, requester_pays=True))
    list(bucket.objects())
    assert bucket.read("no-such-object", 10) is None
    assert ["requester", "requester"] == [headers.get("x-amz-request-payer") for _, _, headers in demanding.seen]


def test_nothing_is_demanded(demanding: Faults, tmp_path: Path) -> None:
    """Without settings, no request carries any of them."""
    store = opened("demanding")
    keep(store, file_of(tmp_path, 10), "p-2.tar.gz", never)
    fields = ("encryption", "storage-class", "x-amz-acl", "owner", "payer")
    assert [] == [name for _, _, headers in demanding.seen for name in headers if any(part in name for part in fields)]


# Checksums


@dataclass(frozen=True)
class Either:
    """A bucket of versitygw, plain or behind TLS, and a local file."""

    tls: bool
    bucket: str
    faults: Faults
    file: Path

    def save(self, options: StoreOptions) -> None:
        """Save the file there."""
        keep(opened(self.bucket, options), self.file, NAME, never)


@pytest.fixture(params=[False, True], ids=["plain", "tls"])
def either(
    bucket: Bucket,
    authority: Authority,
    tmp_path: Path,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Either]:
    """The bucket with TLS and without, one after the other."""
    with proxy(bucket.server.port, authority.issue("s3") if request.param else None) as (endpoint, faults):
        mine = {"AWS_ENDPOINT_URL_S3": endpoint, "AWS_CA_BUNDLE": str(authority.path)}
        set_all(monkeypatch, {**bucket.server.environment(), **mine})
        yield Either(request.param, bucket.name, faults, file_of(tmp_path, 1000))


@pytest.mark.parametrize(
    ("setting", "variables", "expected"),
    [
        ("auto", {}, False),
        ("on", {}, True),
        ("off", {}, False),
        ("auto", {"AWS_REQUEST_CHECKSUM_CALCULATION": "when_supported"}, True),
        ("auto", {"AWS_REQUEST_CHECKSUM_CALCULATION": "WHEN_REQUIRED"}, False),
        ("on", {"AWS_REQUEST_CHECKSUM_CALCULATION": "when_required"}, True),
    ],
)
def test_checksums_are_a_choice(
    setting: str, variables: dict[str, str], expected: bool, either: Either, monkeypatch: pytest.MonkeyPatch
) -> None:
    """S3_CHECKSUMS goes before boto3's own setting, and an endpoint that is not Amazon's gets none by itself."""
    set_all(monkeypatch, variables)
    either.save(replace(OPTIONS, checksums=setting))
    put = next(headers for method, path, headers in either.faults.seen if method == "PUT" and path.endswith(".tar.gz"))
    field = "x-amz-trailer" if either.tls else "x-amz-checksum-sha256"
    assert ({field} if expected else set()) == {"x-amz-trailer", "x-amz-checksum-sha256"} & set(put)
    if not expected:
        assert sha256(either.file).hex() == put["x-amz-content-sha256"]  # signed, so the server checks it


def test_checksums_of_amazon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Amazon's endpoints get checksums by themselves, whatever port or path the address has."""
    set_all(monkeypatch, {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"})
    for address, expected in {
        "https://s3.eu-central-1.amazonaws.com": True,
        "https://s3.eu-central-1.amazonaws.com:443/": True,
        "https://bucket.vpce-1-2.s3.us-east-1.vpce.amazonaws.com": True,
        "https://s3.cn-north-1.amazonaws.com.cn": True,
        "https://s3.amazonaws.com.example.com": False,
        "https://storage.googleapis.com": False,
    }.items():
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", address)
        assert (address, expected) == (address, opened("my-bucket").sends_checksums)  # type: ignore[attr-defined]


def test_store_without_trailers(
    bucket: Bucket, authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If trailers are asked for and refused, the store's words are repeated, and the hint names S3_CHECKSUMS."""
    with proxy(bucket.server.port, authority.issue("s3")) as (endpoint, faults):
        faults.refuse = refuse_trailers
        mine = {"AWS_ENDPOINT_URL_S3": endpoint, "AWS_CA_BUNDLE": str(authority.path)}
        set_all(monkeypatch, {**bucket.server.environment(), **mine})
        store, file = opened(bucket.name, replace(OPTIONS, checksums="on")), file_of(tmp_path, 1000)
        words = ("501 NotImplemented", "A header you provided implies functionality", "S3_CHECKSUMS=off")
        refused(errors.StoreFailed, lambda: keep(store, file, NAME, never), *words)
        assert [] == bucket.objects()


@pytest.mark.parametrize(
    "form",
    [
        lambda value: base64.b64decode(value.partition("-")[0]).hex(),
        lambda value: value.partition("-")[0],
        lambda _: base64.b64encode(hashlib.sha256(b"of other parts").digest()).decode() + "-7",
        lambda _: "sha256:not-known",
        lambda _: "",
    ],
    ids=["hexadecimal", "without-parts", "other-parts", "unknown", "empty"],
)
@pytest.mark.parametrize("size", [1000, PART_SIZE + 1])
@pytest.mark.parametrize("tells_parts", [True, False])
def test_checksum_of_another_form(
    form: Callable[[str], str], size: int, faulty: Faults, bucket: Bucket, tmp_path: Path, *, tells_parts: bool
) -> None:
    """A good backup whose checksum differs only in form is read back, kept, and can be fetched."""
    store = opened(bucket.name, replace(OPTIONS, checksums="on"))
    faulty.checksum, faulty.hide = form, () if tells_parts else ("etag", "x-amz-checksum-type")
    file = file_of(tmp_path, size)
    keep(store, file, NAME, never)
    store.fetch(NAME, tmp_path / "fetched", never)
    assert file.read_bytes() == (tmp_path / "fetched").read_bytes()


@pytest.mark.parametrize("checksums", ["on", "off"])
def test_answer_without_the_size(checksums: str, faulty: Faults, bucket: Bucket, tmp_path: Path) -> None:
    """An upload is read back if a proxy removes its size from the answer to HEAD."""
    store = opened(bucket.name, replace(OPTIONS, checksums=checksums))
    faulty.hide = ("content-length",)
    keep(store, file_of(tmp_path, 1000), NAME, never)
    assert ["PUT", "HEAD", "GET"] == [method for method, path, _ in faulty.seen if path.endswith(NAME)]
    faulty.damage = lambda method, body: b"x" + body[1:] if method == "GET" and len(body) == 1000 else body
    refused(errors.UploadUnverified, lambda: keep(store, file_of(tmp_path, 1000), "p-2.tar.gz", never), "SHA-256")
    assert ["folder/p-1.tar.gz"] == bucket.objects()


# Certificates and proxies


@contextmanager
def behind_tls(bucket: Bucket, authority: Authority, patch: pytest.MonkeyPatch, **certificate: Any) -> Iterator[str]:
    """A server with a certificate of an authority that the system does not know."""
    with proxy(bucket.server.port, authority.issue("s3", **certificate)) as (endpoint, _):
        set_all(patch, {**bucket.server.environment(), "AWS_ENDPOINT_URL_S3": endpoint})
        yield endpoint


def test_private_authority(bucket: Bucket, authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    """AWS_CA_BUNDLE names the authority. Without it, the error says certificate, and not network."""
    with behind_tls(bucket, authority, monkeypatch) as endpoint:
        words = (f"the certificate of the object store at {endpoint} is not trusted", "Set AWS_CA_BUNDLE")
        refused(errors.StoreUnreachable, lambda: opened(bucket.name).list(""), *words)
        monkeypatch.setenv("AWS_CA_BUNDLE", str(authority.path))
        assert {} == opened(bucket.name).list("")


@pytest.mark.parametrize(
    ("certificate", "why"), [({"host": "10.0.0.1"}, "10.0.0.1"), ({"valid": False}, "certificate has expired")]
)
def test_wrong_certificate(
    certificate: dict[str, Any], why: str, bucket: Bucket, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A certificate of another host, or one that has expired, is named with the reason."""
    with behind_tls(bucket, authority, monkeypatch, **certificate):
        monkeypatch.setenv("AWS_CA_BUNDLE", str(authority.path))
        refused(errors.StoreUnreachable, lambda: opened(bucket.name).list(""), "is not trusted", why)


@pytest.mark.parametrize(
    ("content", "why"),
    [(None, "No such file or directory"), ("not a certificate", "no certificate in PEM form"), ("", "PEM")],
)
def test_broken_authorities(content: str | None, why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of authorities that cannot be loaded is a wrong setting, before any request."""
    file = tmp_path / "authorities.pem"
    if content is not None:
        file.write_text(content)
    set_all(monkeypatch, {"AWS_CA_BUNDLE": str(file), "AWS_ENDPOINT_URL_S3": "https://127.0.0.1:1"})
    refused(errors.SettingError, lambda: opened("my-bucket"), "AWS_CA_BUNDLE", str(file), why)


def test_tls_with_a_plain_port(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    """An https address of a port without TLS is an error that says so."""
    mine = {"AWS_ENDPOINT_URL_S3": f"https://127.0.0.1:{bucket.server.port}"}
    set_all(monkeypatch, {**bucket.server.environment(), **mine})
    refused(errors.StoreUnreachable, lambda: opened(bucket.name).list(""), "does not speak TLS", "AWS_ENDPOINT_URL_S3")


@pytest.mark.parametrize("tls", [False, True])
def test_proxy(tls: bool, bucket: Bucket, authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests go through the proxy of HTTP_PROXY or HTTPS_PROXY, except to the hosts of NO_PROXY."""
    with (
        forward_proxy() as (address, asked),
        proxy(bucket.server.port, authority.issue("s3") if tls else None) as (endpoint, _),
    ):
        mine = {"AWS_ENDPOINT_URL_S3": endpoint, "AWS_CA_BUNDLE": str(authority.path)}
        mine |= {"HTTPS_PROXY" if tls else "HTTP_PROXY": address}
        set_all(monkeypatch, {**bucket.server.environment(), **mine})
        assert {} == opened(bucket.name).list("")
        assert endpoint.partition("://")[2] in asked[0]
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        seen = len(asked)
        assert {} == opened(bucket.name).list("")
        assert seen == len(asked)


def test_dead_proxy(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy that does not answer is named, without its password, and not the object store."""
    port = free_port()
    mine = {"HTTP_PROXY": f"http://user:{SECRET}@127.0.0.1:{port}"}
    set_all(monkeypatch, {**bucket.server.environment(), **mine})
    words = (f"the proxy http://127.0.0.1:{port} does not answer", "HTTPS_PROXY")
    refused(errors.StoreUnreachable, lambda: opened(bucket.name).list(""), *words)


def test_redirects_without_end(faulty: Faults, bucket: Bucket) -> None:
    """An endpoint that redirects every request is an error on one line."""
    faulty.redirect = f"{os.environ['AWS_ENDPOINT_URL_S3']}/{bucket.name}"
    refused(errors.StoreFailed, lambda: opened(bucket.name).list(""), "redirects requests again and again")


def test_password_in_the_address(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    """A password in the endpoint's address is not repeated."""
    set_all(monkeypatch, bucket.server.environment())
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"http://user:{SECRET}@127.0.0.1:{free_port()}")
    refused(errors.StoreUnreachable, lambda: opened(bucket.name).list(""), "the object store at http://127.0.0.1:")


# Credentials


@pytest.mark.parametrize("around", ["\n", " ", "\r\n", "\t"])
def test_white_space_around_keys(around: str, bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    """White space around keys of the environment is cut, as a Secret made with `echo` has it."""
    keys = {name: f"{around}{bucket.server.environment()[name]}{around}" for name in KEYS if name != "AWS_REGION"}
    set_all(monkeypatch, {**bucket.server.environment(), **keys})
    assert {} == opened(bucket.name).list("")


@pytest.mark.parametrize("value", [f"{SECRET}\n{SECRET}", f"{SECRET}ä"])
def test_keys_that_no_header_may_have(value: str, bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key with a line break in it, or of other characters than ASCII, is named and not shown."""
    set_all(monkeypatch, {**bucket.server.environment(), "AWS_SECRET_ACCESS_KEY": value})
    refused(errors.CredentialsRejected, lambda: opened(bucket.name).list(""), "secret key", "line break", "env")


def credentials_file(path: Path, access_key: str, secret_key: str) -> None:
    """Write boto3's file of credentials, as a tool that rotates keys does."""
    made = path.with_suffix(".new")
    made.write_text(f"[default]\naws_access_key_id = {access_key}\naws_secret_access_key = {secret_key}\n")
    made.replace(path)


def test_credentials_file_is_rotated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that lives on uses the new keys of the shared credentials file at its next use."""
    file = tmp_path / "credentials"
    credentials_file(file, ACCESS_KEY, SECRET_KEY)
    with s3_server(tmp_path / "s3") as server:
        bucket = new_bucket(server)
        environment = {name: value for name, value in server.environment().items() if "KEY" not in name}
        set_all(monkeypatch, {**environment, "AWS_SHARED_CREDENTIALS_FILE": str(file)})
        store = opened(bucket.name)
        assert {} == store.list("")
        server.stop()
        server.start("another-tester", "another-secret")
        refused(errors.CredentialsRejected, lambda: store.list(""))
        credentials_file(file, "another-tester", "another-secret")
        assert {} == store.list("")
        keep(store, file_of(tmp_path, 1000), NAME, never)


def test_user_without_a_home(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    """A user who is in no list of users, and has no HOME, needs no files of boto3's."""

    def unknown(_: int) -> None:
        raise KeyError

    set_all(monkeypatch, bucket.server.environment())
    for name in ("HOME", "AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", unknown)
    assert {} == opened(bucket.name).list("")


def process_of(directory: Path, body: str) -> dict[str, str]:
    """Settings with a credential_process that runs this Python."""
    program = directory / "program"
    program.write_text(f"#!/usr/bin/env python3\n{body}\n")
    program.chmod(0o755)
    config = directory / "config"
    config.write_text(f"[default]\ncredential_process = {program}\n")
    return {"AWS_CONFIG_FILE": str(config)}


def test_program_gives_new_keys(bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If keys of a credential_process are refused, it is run again, and its new keys are used at once."""
    answer = tmp_path / "answer"
    environment = {name: value for name, value in bucket.server.environment().items() if "KEY" not in name}
    set_all(monkeypatch, {**environment, **process_of(tmp_path, f"print(open({str(answer)!r}).read())")})
    keys = {"Version": 1, "AccessKeyId": ACCESS_KEY, "SecretAccessKey": "wrong"}
    answer.write_text(json.dumps(keys))
    store = opened(bucket.name)
    refused(errors.CredentialsRejected, lambda: store.list(""), "refused the credentials")
    answer.write_text(json.dumps(keys | {"SecretAccessKey": SECRET_KEY}))
    assert {} == store.list("")


PROGRAMS = {
    "fails": f"import sys; print('{SECRET}'); sys.exit('no ticket')",
    "not-json": f"print('{SECRET}')",
    "a-list": "print('[]')",
    "a-number": "print('1')",
    "no-keys": "print('{\"Version\": 1}')",
    "another-version": "print('{\"Version\": 9}')",
    "not-utf-8": "import sys; sys.stdout.buffer.write(bytes([255, 254]))",
}


@pytest.mark.parametrize("body", PROGRAMS.values(), ids=PROGRAMS)
def test_program_without_keys(body: str, bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A credential_process that fails, or answers in another form, is one line without its output."""
    environment = {name: value for name, value in bucket.server.environment().items() if "KEY" not in name}
    set_all(monkeypatch, {**environment, **process_of(tmp_path, body)})
    refused(errors.CredentialsRejected, lambda: opened(bucket.name).list(""), "credentials")


def broken_config(directory: Path) -> dict[str, str]:
    """A configuration file that cannot be parsed."""
    (directory / "config").write_text("[default\nregion")
    return {"AWS_CONFIG_FILE": str(directory / "config")}


def missing_program(directory: Path) -> dict[str, str]:
    """A program for credentials that does not exist."""
    (directory / "config").write_text("[default]\ncredential_process = /no/such/program\n")
    return {"AWS_CONFIG_FILE": str(directory / "config")}


def missing_token(directory: Path) -> dict[str, str]:
    """A role without its token."""
    token = str(directory / "no-token")
    return {"AWS_ROLE_ARN": "arn:aws:iam::123456789012:role/backup", "AWS_WEB_IDENTITY_TOKEN_FILE": token}


def unreadable_token(directory: Path) -> dict[str, str]:
    """A directory in place of the token."""
    return {**missing_token(directory), "AWS_WEB_IDENTITY_TOKEN_FILE": str(directory)}


def token_that_is_not_text(directory: Path) -> dict[str, str]:
    """Bytes in place of the token."""
    (directory / "token").write_bytes(b"\xff\xfe\x00")
    return {**missing_token(directory), "AWS_WEB_IDENTITY_TOKEN_FILE": str(directory / "token")}


def unknown_profile(_: Path) -> dict[str, str]:
    """A profile that no file has."""
    return {"AWS_PROFILE": "no-such-profile"}


@pytest.mark.parametrize(
    ("setting", "error", "words"),
    [
        (missing_token, errors.CredentialsRejected, "no-token cannot be used for credentials (No such file"),
        (unreadable_token, errors.CredentialsRejected, "cannot be used for credentials (Is a directory)"),
        (token_that_is_not_text, errors.CredentialsRejected, "credentials"),
        (missing_program, errors.CredentialsRejected, "/no/such/program cannot be used for credentials (No such file"),
        (broken_config, errors.SettingError, "config"),
        (unknown_profile, errors.SettingError, "no-such-profile"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_broken_sources_of_credentials(
    setting: Callable[[Path], dict[str, str]], error: type[ToolError], words: str, bucket: Bucket, tmp_path: Path
) -> None:
    """A source of credentials that cannot be used ends the command with one line that names it."""
    environment = {name: value for name, value in bucket.settings.items() if "KEY" not in name}
    settings = {**environment, "AWS_MAX_ATTEMPTS": "1", "HOME": str(tmp_path), **setting(tmp_path)}
    assert_refused(error, words, run("list", settings=settings))


class _Sts(BaseHTTPRequestHandler):
    """A stand-in for STS: no real one can be had here."""

    status, body = 200, ""
    asked: list[str]

    def do_POST(self) -> None:  # the server looks for this name
        """Answer every request alike."""
        self.asked.append(self.rfile.read(int(self.headers["Content-Length"])).decode())
        self.send_response(self.status)
        self.send_header("Content-Length", str(len(self.body)))
        self.end_headers()
        self.wfile.write(self.body.encode())

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def sts(status: int, body: str) -> Iterator[tuple[str, list[str]]]:
    """The address of an STS that always gives this answer, and what it was asked."""
    asked: list[str] = []
    handler = type("Handler", (_Sts,), {"status": status, "body": body, "asked": asked})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", asked
        server.shutdown()
        thread.join()


def role(directory: Path, endpoint: str) -> dict[str, str]:
    """Settings of a role that is taken by a token."""
    token = directory / "token"
    token.write_text(SECRET)
    return {**missing_token(directory), "AWS_WEB_IDENTITY_TOKEN_FILE": str(token), "AWS_ENDPOINT_URL_STS": endpoint}


REFUSAL = (
    "<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code>"
    "<Message>Not authorized to perform sts:AssumeRoleWithWebIdentity</Message></Error></ErrorResponse>"
)
GRANT = (
    "<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult><Credentials>"
    f"<AccessKeyId>{ACCESS_KEY}</AccessKeyId><SecretAccessKey>{SECRET_KEY}</SecretAccessKey>"
    "<SessionToken></SessionToken><Expiration>2099-01-01T00:00:00Z</Expiration></Credentials>"
    "</AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>"
)


def test_role_is_refused(bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If STS refuses the role, STS is named and not the bucket, with its own words."""
    environment = {name: value for name, value in bucket.server.environment().items() if "KEY" not in name}
    with sts(403, REFUSAL) as (endpoint, _):
        set_all(monkeypatch, {**environment, **role(tmp_path, endpoint)})
        words = ("STS refused", "403 AccessDenied", "Not authorized to perform", "AWS_ROLE_ARN")
        refused(errors.CredentialsRejected, lambda: opened(bucket.name).list(""), *words)


def test_sts_is_down(bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If STS does not answer, its address is named, and not the object store."""
    environment = {name: value for name, value in bucket.server.environment().items() if "KEY" not in name}
    endpoint = f"http://127.0.0.2:{free_port()}"
    set_all(monkeypatch, {**environment, **role(tmp_path, endpoint)})
    refused(errors.StoreUnreachable, lambda: opened(bucket.name).list(""), f"at {endpoint}/ does not answer")


def test_token_is_read_again(bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A role works, and its token file is read again whenever new credentials are needed."""
    environment = {name: value for name, value in bucket.server.environment().items() if "KEY" not in name}
    with sts(200, GRANT.replace("2099", "2001")) as (endpoint, asked):
        set_all(monkeypatch, {**environment, **role(tmp_path, endpoint)})
        (tmp_path / "token").write_text("first-token")
        refused(errors.CredentialsRejected, lambda: opened(bucket.name).list(""))  # what STS gives has expired
        (tmp_path / "token").write_text("second-token")
        refused(errors.CredentialsRejected, lambda: opened(bucket.name).list(""))
    assert [True, True] == ["first-token" in asked[0], "second-token" in asked[-1]]
    with sts(200, GRANT) as (endpoint, _):
        set_all(monkeypatch, {**environment, **role(tmp_path, endpoint)})
        assert {} == opened(bucket.name).list("")


def test_other_listing_of_the_server(server_with_pages: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """More files than a page has are all listed on a server that answers as the first version of the listing does."""
    with proxy(server_with_pages.port) as (endpoint, faults):
        faults.only_v1_listings = True
        set_all(monkeypatch, {**server_with_pages.environment(), "AWS_ENDPOINT_URL_S3": endpoint})
        assert 1_100 == len(opened("pages").list("a-"))


@pytest.fixture
def server_with_pages(s3: S3Server) -> S3Server:
    """A server with a bucket of more than one page."""
    client = s3_client(s3.endpoint)
    client.create_bucket(Bucket="pages")
    for number in range(1_100):
        client.put_object(Bucket="pages", Key=f"folder/a-{number}", Body=b"")
    return s3
