"""Errors of boto3 in the words of an operator: who said what, and what to do."""

import errno
import os
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
import urllib3.exceptions
from botocore import exceptions as boto_errors
from botocore.credentials import RefreshableCredentials
from botocore.exceptions import ClientError
from botocore.parsers import ResponseParserError, create_parser
from botocore.session import Session
from hypothesis import given
from hypothesis import strategies as st

from metadata_tool import errors
from metadata_tool.errors import Stopped, ToolError
from metadata_tool.location import Location
from metadata_tool.store.base import StoreOptions
from metadata_tool.store.limits import QUOTED_TEXT
from metadata_tool.store.s3_faults import Faults, plain

FOLDER = Location("s3a", "my-bucket", "team")
ENDPOINT = "https://s3.example.com:9000"
STS = "https://sts.eu-central-1.amazonaws.com"
SECRET = "zq7secret"
NAME = "p-1.tar.gz"


def faults(*, is_amazon: bool = False, **options: Any) -> Faults:
    """Those of a folder at an endpoint that is not Amazon's."""
    return Faults(FOLDER, ENDPOINT, StoreOptions(**options), is_amazon=is_amazon)


def answer(
    operation: str, status: int, code: str = "", message: str = "", headers: dict[str, str] | None = None
) -> ClientError:
    """An error answer as botocore raises it."""
    meta: Any = {"HTTPStatusCode": status, "HTTPHeaders": headers or {}}
    return ClientError({"Error": {"Code": code, "Message": message}, "ResponseMetadata": meta}, operation)


def untrusted(why: str) -> ssl.SSLCertVerificationError:
    """OpenSSL's error about a certificate."""
    error = ssl.SSLCertVerificationError(1, f"[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: {why}")
    error.verify_message = why
    return error


def explained(error: BaseException, made: Faults | None = None, local: Path | None = None) -> ToolError:
    """What an exception of a request becomes."""
    with pytest.raises(ToolError) as raised, (made or faults()).explained(NAME, local):
        raise error
    return raised.value


def explained_credentials(error: BaseException) -> ToolError:
    """What an exception becomes while credentials are read."""
    with pytest.raises(ToolError) as raised, faults().credentials_explained():
        raise error
    return raised.value


@pytest.mark.parametrize(
    ("error", "kind", "words", "hint"),
    [
        (
            answer("PutObject", 403, "AccessDenied", "an explicit deny in a resource-based policy"),
            errors.BucketDenied,
            'the object store denied PutObject for s3a://my-bucket/team (403 AccessDenied, "an explicit deny',
            "S3_SERVER_SIDE_ENCRYPTION",
        ),
        (answer("ListObjectsV2", 403, "403"), errors.BucketDenied, "denied ListObjectsV2", "s3:ListBucket"),
        (answer("GetObject", 403, "AccountProblem"), errors.BucketDenied, "AccountProblem", "s3:GetObject"),
        (
            answer("ListObjectsV2", 403, "SignatureDoesNotMatch", "check your key"),
            errors.CredentialsRejected,
            'refused the credentials for s3a://my-bucket/team (403 SignatureDoesNotMatch, "check your key")',
            "no proxy alters requests",
        ),
        (
            answer("PutObject", 403, "SignatureDoesNotMatch"),
            errors.CredentialsRejected,
            "403 SignatureDoesNotMatch",
            "S3_CHECKSUMS=off, if only uploads are refused",
        ),
        (answer("DeleteObject", 403, "AccessDenied"), errors.BucketDenied, "denied DeleteObject", "the object lock"),
        (answer("DeleteObject", 405, "MethodNotAllowed"), errors.BucketDenied, "405 MethodNotAllowed", "object lock"),
        (answer("DeleteObject", 400, "InvalidRequest", "WORM"), errors.BucketDenied, '"WORM"', "s3:DeleteObject"),
        (answer("DeleteObject", 409, "ObjectUnderRetention"), errors.BucketDenied, "ObjectUnder", "legal holds"),
        (answer("DeleteObject", 451, "ObjectUnderLegalHold"), errors.BucketDenied, "451", "legal holds"),
        (answer("DeleteObject", 501, "NotImplemented"), errors.BucketDenied, "501", "legal holds"),
        (answer("DeleteObject", 503, "SlowDown"), errors.StoreFailed, "503 SlowDown", "Try again"),
        (answer("DeleteObject", 429, "SlowDown"), errors.StoreFailed, "429 SlowDown", "Try again"),
        (answer("DeleteObject", 403, "ExpiredToken"), errors.CredentialsRejected, "ExpiredToken", "Check AWS_"),
        (answer("DeleteObject", 404, "NoSuchBucket"), errors.BucketMissing, "does not exist", "Create the bucket"),
        (answer("ListObjectsV2", 404, "NoSuchBucket"), errors.BucketMissing, "bucket", "S3_ADDRESSING_STYLE"),
        (answer("GetObject", 404, "NoSuchKey"), errors.BackupMissing, f"{NAME} does not exist", "metadata-tool list"),
        (answer("ListObjectsV2", 404, "404"), errors.BucketMissing, "ListObjectsV2", "the S3 API"),
        (
            answer("PutObject", 301, "PermanentRedirect", "", {"x-amz-bucket-region": "eu-west-1"}),
            errors.StoreFailed,
            "in another region",
            "Set AWS_REGION to eu-west-1",
        ),
        (
            answer("PutObject", 403, "SecondLevelDomainForbidden", "use virtual hosted style"),
            errors.StoreFailed,
            "how the bucket is addressed",
            "S3_ADDRESSING_STYLE=virtual",
        ),
        (answer("PutObject", 501, "NotImplemented", "A header"), errors.StoreFailed, "501 N", "S3_CHECKSUMS=off"),
        (answer("PutObject", 400, "XAmzContentSHA256Mismatch"), errors.UploadUnverified, "altered", "proxies"),
        (answer("PutObject", 413, "EntityTooLarge", "max"), errors.StoreFailed, "413 EntityTooLarge", "quota"),
        (answer("PutObject", 413, "413"), errors.StoreFailed, "refuses the size of", "requests of 8 MiB"),
        (answer("PutObject", 413, "Oops", "nginx"), errors.StoreFailed, '413 Oops, "nginx"', "proxies"),
        (answer("PutObject", 400, "400"), errors.StoreFailed, "(400)", "Correct AWS_REGION"),
        (answer("PutObject", 400, "InvalidRequest", "x"), errors.StoreFailed, "400 InvalidRequest", "retries fail"),
        (answer("PutObject", 401, "401"), errors.StoreFailed, "(401)", "demands a login"),
        (answer("PutObject", 411, "411"), errors.StoreFailed, "(411)", "S3_CHECKSUMS=off"),
        (answer("PutObject", 501, "501"), errors.StoreFailed, "(501)", "S3_CHECKSUMS=off"),
        (answer("ListObjectsV2", 501, "501"), errors.StoreFailed, "(501)", "the S3 API"),
        (answer("PutObject", 505, "505"), errors.StoreFailed, "(505)", "retries fail"),
        (answer("PutObject", 408, "RequestTimeout"), errors.StoreFailed, "408 RequestTimeout", "Try again"),
        (answer("PutObject", 409, "OperationAborted"), errors.StoreFailed, "409 OperationAborted", "Try again"),
        (answer("PutObject", 418, "418"), errors.StoreFailed, "(418)", "retries fail"),
        (answer("PutObject", 507, "507"), errors.StoreFailed, "no room", "Free space"),
        (answer("PutObject", 400, "KMS.NotFoundException", "no key"), errors.StoreFailed, "KMS.Not", "S3_KMS_KEY_ID"),
        (answer("PutObject", 400, "InvalidStorageClass"), errors.StoreFailed, "InvalidStor", "S3_STORAGE_CLASS"),
        (answer("PutObject", 400, "AccessControlListNotSupported"), errors.StoreFailed, "ListNot", "S3_OBJECT_ACL"),
        (answer("GetObject", 403, "InvalidObjectState"), errors.ObjectArchived, "InvalidObjectState", "archive"),
        (answer("PutObject", 411, "MissingContentLength"), errors.StoreFailed, "411 Miss", "retries fail"),
        (answer("PutObject", 503, "SlowDown", "reduce"), errors.StoreFailed, '503 SlowDown, "reduce"', "Try again"),
        (answer("PutObject", 429, "TooManyRequests"), errors.StoreFailed, "429", "Try again"),
        (
            answer("AssumeRoleWithWebIdentity", 403, "AccessDenied", "Not authorized"),
            errors.CredentialsRejected,
            'STS refused to give credentials (403 AccessDenied, "Not authorized", AssumeRoleWithWebIdentity)',
            "AWS_ROLE_ARN",
        ),
        (answer("AssumeRole", 503, "ServiceUnavailable"), errors.StoreUnreachable, "STS failed (503", "Try again"),
        (
            answer("GetRoleCredentials", 401, "UnauthorizedException"),
            errors.CredentialsRejected,
            "AWS IAM Identity Center refused",
            "AWS_ROLE_ARN",
        ),
    ],
    ids=lambda value: (
        f"{value.operation_name}-{value.response['Error']['Code']}" if isinstance(value, ClientError) else ""
    ),
)
def test_answers(error: ClientError, kind: type[ToolError], words: str, hint: str) -> None:
    """An error names who said it, repeats the code and the message, and hints at the cause."""
    found = explained(error)
    assert kind is type(found)
    assert words in found.message
    assert hint in found.hint
    assert kind is type(explained_credentials(error))


def test_style_that_is_refused() -> None:
    """If the store refuses the bucket in the host name, the hint names the other style."""
    error = answer("PutObject", 400, "VirtualHostDomainForbidden")
    assert "S3_ADDRESSING_STYLE=path" in explained(error, faults(addressing_style="virtual")).hint


def test_owner_of_the_bucket() -> None:
    """If an owner is expected, a denial says which one to check."""
    error = answer("ListObjectsV2", 403, "AccessDenied")
    assert (
        "123456789012 (S3_EXPECTED_BUCKET_OWNER)" in explained(error, faults(expected_bucket_owner="123456789012")).hint
    )


def test_files_of_keys(tmp_path: Path) -> None:
    """Refused keys of a directory are named by the directory."""
    error = answer("ListObjectsV2", 403, "InvalidAccessKeyId")
    assert f"in {tmp_path} (S3_CREDENTIALS_DIR)" in explained(error, faults(credentials_dir=tmp_path)).hint


@pytest.mark.parametrize(
    ("operation", "code", "message", "who"),
    [
        ("PutObject", "RequestTimeTooSkewed", "too large", "the object store"),
        ("ListObjectsV2", "RequestExpired", "", "the object store"),
        ("AssumeRole", "SignatureDoesNotMatch", "Signature expired: 20260101T000000Z is now earlier than", "STS"),
        ("AssumeRole", "InvalidSignatureException", "Signature not yet current: 2026", "STS"),
    ],
)
@pytest.mark.parametrize(
    "skew", [(3600, "s ahead of the sender's"), (-3600, "s behind the sender's"), (0, "is wrong")], ids=str
)
def test_clock(operation: str, code: str, message: str, who: str, skew: tuple[int, str]) -> None:
    """A request that is refused for its time names the clock, and how far it is off."""
    date = format_datetime(datetime.now(UTC) - timedelta(seconds=skew[0]), usegmt=True)
    found = explained(answer(operation, 403, code, message, {"date": date}))
    assert (errors.CredentialsRejected, True) == (type(found), found.message.startswith(f"{who} refused the time"))
    assert "clock of this machine is wrong" in found.message
    assert found.message.endswith(skew[1])
    assert "Set the clock" in found.hint


@pytest.mark.parametrize("date", [None, "", "yesterday", "Thu, 99 Xxx 2026 00:00:00 GMT"])
def test_clock_of_an_answer_without_a_time(date: str | None) -> None:
    """Without a usable time in the answer, the skew is left out."""
    found = explained(answer("PutObject", 403, "RequestTimeTooSkewed", "", {} if date is None else {"date": date}))
    assert found.message.endswith("the clock of this machine is wrong")


@pytest.mark.parametrize(
    ("error", "kind", "words", "hint"),
    [
        (
            boto_errors.EndpointConnectionError(endpoint_url=f"{ENDPOINT}/my-bucket", error="refused"),
            errors.StoreUnreachable,
            f"the object store at {ENDPOINT} does not answer (EndpointConnectionError)",
            "AWS_ENDPOINT_URL_S3",
        ),
        (
            boto_errors.EndpointConnectionError(endpoint_url="https://my-bucket.s3.example.com:9000/", error="no name"),
            errors.StoreUnreachable,
            f"the object store at {ENDPOINT} does not answer",
            "AWS_ENDPOINT_URL_S3",
        ),
        (
            boto_errors.ConnectTimeoutError(endpoint_url=f"{STS}/", error=""),
            errors.StoreUnreachable,
            f"STS at {STS}/ does not answer",
            "network",
        ),
        (
            boto_errors.EndpointConnectionError(endpoint_url="https://s3.example.com:7000/", error="refused"),
            errors.StoreUnreachable,
            "the service at https://s3.example.com:7000/ does not answer",
            "network",
        ),
        (
            boto_errors.ReadTimeoutError(endpoint_url="http://169.254.169.254/latest", error=""),
            errors.StoreUnreachable,
            "the metadata service at http://169.254.169.254/latest does not answer",
            "network",
        ),
        (
            boto_errors.ConnectTimeoutError(endpoint_url="https://portal.sso.example.com/", error=""),
            errors.StoreUnreachable,
            "the service at https://portal.sso.example.com/ does not answer",
            "network",
        ),
        (
            boto_errors.HTTPClientError(error=PermissionError(13, "Permission denied", "/etc/ssl/ca.pem")),
            errors.StoreUnreachable,
            f"{ENDPOINT} does not answer (PermissionError, [Errno 13] Permission denied: '/etc/ssl/ca.pem')",
            "AWS_ENDPOINT_URL_S3",
        ),
        (
            boto_errors.ProxyConnectionError(proxy_url=f"http://user:{SECRET}@proxy.example.com:3128", error="x"),
            errors.StoreUnreachable,
            "the proxy http://proxy.example.com:3128 does not answer",
            "HTTPS_PROXY",
        ),
        (
            boto_errors.SSLError(
                endpoint_url=f"{ENDPOINT}/",
                error=urllib3.exceptions.SSLError(untrusted("self-signed certificate")),
            ),
            errors.StoreUnreachable,
            f"the certificate of the object store at {ENDPOINT} is not trusted (self-signed certificate)",
            "AWS_CA_BUNDLE",
        ),
        (
            boto_errors.SSLError(endpoint_url=f"{STS}/", error=untrusted("certificate has expired")),
            errors.StoreUnreachable,
            f"the certificate of STS at {STS}/ is not trusted (certificate has expired)",
            "AWS_CA_BUNDLE",
        ),
        (
            boto_errors.SSLError(
                endpoint_url=f"{ENDPOINT}/", error=ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER] wrong version number")
            ),
            errors.StoreUnreachable,
            "does not speak TLS as expected",
            "https://",
        ),
        (
            boto_errors.NoCredentialsError(),
            errors.CredentialsRejected,
            "no usable credentials were found for s3a://my-bucket/team",
            "AWS_ACCESS_KEY_ID",
        ),
        (
            boto_errors.PartialCredentialsError(provider="env", cred_var="AWS_SECRET_ACCESS_KEY"),
            errors.CredentialsRejected,
            "AWS_SECRET_ACCESS_KEY",
            "AWS_ACCESS_KEY_ID",
        ),
        (
            boto_errors.CredentialRetrievalError(provider="custom-process", error_msg="it ended with 1"),
            errors.CredentialsRejected,
            "it ended with 1",
            "program or service",
        ),
        (
            FileNotFoundError(errno.ENOENT, "No such file or directory", "/var/run/token"),
            errors.CredentialsRejected,
            "/var/run/token cannot be used for credentials (No such file or directory)",
            "AWS_ variable",
        ),
        (ResponseParserError("not XML"), errors.StoreFailed, "not an answer of S3", "web console"),
        (RecursionError(), errors.StoreFailed, "redirects requests again and again", "AWS_ENDPOINT_URL_S3"),
        (OSError(errno.EMFILE, "Too many open files"), errors.StoreFailed, "Too many open files", "AWS_ variables"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_exceptions(error: Exception, kind: type[ToolError], words: str, hint: str) -> None:
    """An exception names whom it is about, by the address without its credentials, and hints at the cause."""
    found = explained(error)
    assert kind is type(found)
    assert words in found.message
    assert hint in found.hint
    assert SECRET not in str(found)


def test_local_files_are_not_the_stores(tmp_path: Path) -> None:
    """An error of the local file is left to its owner, whether the system names the file or not."""
    local = tmp_path / "local"
    for error in (OSError(errno.EIO, "Input/output error"), OSError(errno.ENOSPC, "full", str(local))):
        with pytest.raises(type(error)) as raised, faults().explained(NAME, local):
            raise error
        assert error is raised.value
    assert errors.CredentialsRejected is type(explained(PermissionError(errno.EACCES, "denied", "/token"), None, local))
    timeout = boto_errors.ReadTimeoutError(endpoint_url=ENDPOINT, error="")
    assert errors.StoreUnreachable is type(explained(timeout, None, local))


@pytest.mark.parametrize("error", [Stopped("stopped"), errors.UploadUnverified("differs")])
def test_own_errors_pass(error: ToolError) -> None:
    """The program's own errors pass unchanged."""
    assert error is explained(error)
    assert error is explained_credentials(error)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), TypeError("a fault of ours")])
def test_faults_of_ours_pass(error: BaseException) -> None:
    """A signal, or a bug of the program, does not look like a broken object store."""
    with pytest.raises(type(error)), faults().explained(NAME):
        raise error


def test_credentials_that_are_renewed_during_a_transfer() -> None:
    """Whatever a provider of credentials raises while a request needs new ones, the error is about credentials."""
    expired = datetime.now(UTC) - timedelta(hours=1)
    credentials = RefreshableCredentials(
        "a", "b", "c", expired, lambda: dict[str, str]()["no such key"], "custom-process"
    )
    with pytest.raises(errors.CredentialsRejected, match="KeyError") as raised, faults().explained(NAME):
        credentials.get_frozen_credentials()
    one_line(raised.value)


def test_listing_with_a_number_that_is_none() -> None:
    """An answer with a value of another type than S3's is not an answer of S3."""
    output: Any = Session().get_service_model("s3").operation_model("ListObjectsV2").output_shape
    body = b"<ListBucketResult><Contents><Key>a</Key><Size>x5</Size></Contents></ListBucketResult>"
    with pytest.raises(errors.StoreFailed, match="not an answer of S3"), faults().explained(NAME):
        create_parser("rest-xml").parse({"status_code": 200, "headers": {}, "body": body}, output)


def every_kind(kind: type[BaseException]) -> Iterator[type[BaseException]]:
    """A class and all classes below it."""
    yield kind
    for below in kind.__subclasses__():
        yield from every_kind(below)


class _Anything(dict[str, str]):
    """Whatever a message of botocore asks for, and it is secret."""

    def __missing__(self, key: str) -> str:
        return f"https://user:{SECRET}@host/{key}"


def made(kind: Any) -> BaseException:
    """An exception of botocore's kind, however many details its message wants."""
    error = kind.__new__(kind)
    text = getattr(kind, "fmt", "").format_map(_Anything()) or f"https://user:{SECRET}@host"
    Exception.__init__(error, text)
    error.kwargs = {"endpoint_url": f"https://user:{SECRET}@host", "error": OSError(text), "proxy_url": text}
    if kind in every_kind(ClientError):
        error.response, error.operation_name = {"Error": {}}, "PutObject"
    return error  # type: ignore[no-any-return]


BOTOCORE = sorted(
    {*every_kind(boto_errors.BotoCoreError), *every_kind(ClientError)}, key=lambda kind: kind.__qualname__
)
URLLIB3 = sorted(set(every_kind(urllib3.exceptions.HTTPError)) - set(BOTOCORE), key=lambda kind: kind.__qualname__)


def one_line(error: ToolError) -> None:
    """An error is one line of bounded length, without a secret."""
    text = str(error)
    assert [text] == text.splitlines()
    assert len(text) < 1000
    assert SECRET not in text
    assert error.message
    assert error.hint


@pytest.mark.parametrize("kinds", [BOTOCORE, URLLIB3], ids=["botocore", "urllib3"])
def test_every_exception_of_the_libraries(kinds: list[type[BaseException]]) -> None:
    """No exception of botocore or urllib3 becomes a traceback, and none shows the credentials of an address."""
    assert kinds
    for kind in kinds:
        one_line(explained(made(kind)))
        one_line(explained_credentials(made(kind)))


@given(
    st.sampled_from(["PutObject", "GetObject", "ListObjectsV2", "AssumeRole", "AssumeRoleWithWebIdentity", "Other"]),
    st.integers(0, 599),
    st.text(max_size=30) | st.sampled_from(["AccessDenied", "NoSuchKey", "KMS.X", "SlowDown", "RequestTimeTooSkewed"]),
    st.text() | st.just(f"see https://user:{SECRET}@host " + "x" * 100_000),
)
def test_any_answer(operation: str, status: int, code: str, message: str) -> None:
    """Whatever a service answers, the error is one line of bounded length."""
    one_line(explained(answer(operation, status, code, message)))
    one_line(explained_credentials(answer(operation, status, code, message)))


@given(
    st.sampled_from(sorted(errno.errorcode)).flatmap(
        lambda number: st.sampled_from([None, "/token", b"/token\xff"]).map(
            lambda name: OSError(number, os.strerror(number), name) if name else OSError(number, os.strerror(number))
        )
    )
    | st.text().map(OSError)
    | st.text().map(ValueError)
    | st.just(ssl.SSLError(1, "wrong version"))
)
def test_any_error_of_the_system(error: Exception) -> None:
    """No error of a system call, and no value that a library refuses, becomes a traceback."""
    one_line(explained(error))
    one_line(explained_credentials(error))


@pytest.mark.parametrize("error", [AttributeError("x"), KeyError("Version"), TypeError(SECRET), RuntimeError()])
def test_any_error_of_a_provider(error: Exception) -> None:
    """A provider of credentials may raise anything. Texts that may hold a secret are not repeated."""
    found = explained_credentials(error)
    one_line(found)
    assert errors.CredentialsRejected is type(found)
    assert type(error).__name__ in found.message


@given(st.text())
def test_texts_of_others(text: str) -> None:
    """Somebody else's text is printable, on one line, and not long."""
    found = plain(text)
    assert found.isprintable() or not found
    assert len(found) <= QUOTED_TEXT + 1
