"""Turns errors of boto3 into messages: which part failed (the store, STS, a proxy, a file), and what to do."""

import re
import ssl
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from botocore import exceptions as boto_errors
from botocore.parsers import ResponseParserError
from urllib3.exceptions import HTTPError
from urllib3.util.ssl_match_hostname import CertificateError

from metadata_tool.errors import (
    BucketDenied,
    BucketMissing,
    CredentialsRejected,
    ObjectArchived,
    StoreFailed,
    StoreUnreachable,
    ToolError,
    UploadUnverified,
)
from metadata_tool.location import Location
from metadata_tool.store.base import StoreOptions, no_such_backup
from metadata_tool.store.credentials import ACCESS_KEY, SECRET_KEY, SESSION_TOKEN
from metadata_tool.store.download import CUT
from metadata_tool.store.limits import CLOCK_SKEW, PART_SIZE, QUOTED_TEXT

_PERMISSIONS = {
    "ListObjectsV2": "s3:ListBucket",
    "ListObjects": "s3:ListBucket",
    "HeadObject": "s3:GetObject",
    "GetObject": "s3:GetObject",
    "PutObject": "s3:PutObject",
    "CreateMultipartUpload": "s3:PutObject",
    "UploadPart": "s3:PutObject",
    "CompleteMultipartUpload": "s3:PutObject",
    "AbortMultipartUpload": "s3:AbortMultipartUpload",
    "DeleteObject": "s3:DeleteObject",
}
"""S3's operations, and the permission that each one needs. boto3 reports the operations of other services, too."""
_NEEDED = "A backup needs s3:ListBucket, GetObject, PutObject, DeleteObject and AbortMultipartUpload"
_DEMANDS = (
    "If they are allowed it, set what the bucket's policy demands "
    "(S3_SERVER_SIDE_ENCRYPTION, S3_KMS_KEY_ID, S3_STORAGE_CLASS, S3_OBJECT_ACL)"
)
_LOCKED = "If they are allowed it, check the object lock, legal holds and the policy of the bucket"

_NO_KEY = {"NoSuchKey", "404", "NotFound"}
_DENIED = {"AccessDenied", "AllAccessDisabled", "403", "Forbidden", "AccessForbidden"}
_BAD_KEYS = {"InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken", "InvalidClientTokenId"}
_BAD_KEYS |= {"ExpiredTokenException", "UnrecognizedClientException", "InvalidSecurity", "TokenRefreshRequired"}
_BAD_KEYS |= {"XAdminUserNotFound"}  # versitygw
_WRONG_REGION = {"AuthorizationHeaderMalformed", "PermanentRedirect", "301", "IllegalLocationConstraintException"}
_TRANSIENT = {408, 425, 429}
_WRONG_CLOCK = {"RequestTimeTooSkewed", "RequestExpired", "RequestInTheFuture"}
_WRONG_STYLE = {"SecondLevelDomainForbidden", "PathStyleDomainForbidden", "VirtualHostDomainForbidden"}
_ALTERED = {"BadDigest", "InvalidDigest", "XAmzContentSHA256Mismatch", "XAmzContentChecksumMismatch", "InvalidChecksum"}
_FULL = {"QuotaExceeded", "InsufficientStorage", "507", "XMinioStorageFull", "StorageFull"}
_TOO_LARGE = {"EntityTooLarge", "413", "RequestEntityTooLarge", "MaxMessageLengthExceeded"}
_HINTS = {
    "NotImplemented": "Set S3_CHECKSUMS=off, and unset what this store does not know "
    "(S3_SERVER_SIDE_ENCRYPTION, S3_STORAGE_CLASS, S3_OBJECT_ACL)",
    "InvalidStorageClass": "Correct S3_STORAGE_CLASS to a storage class of this store",
    "AccessControlListNotSupported": "Unset S3_OBJECT_ACL, because this bucket has ACLs disabled",
    "InvalidEncryptionAlgorithmError": "Correct S3_SERVER_SIDE_ENCRYPTION",
    "NoSuchUpload": "Check whether a lifecycle rule or another program removes unfinished uploads, then try again",
    "MethodNotAllowed": "Check that AWS_ENDPOINT_URL_S3 is the address of the S3 API, not of a web console",
}
_SERVICES = {
    "AssumeRole": "STS",
    "AssumeRoleWithSAML": "STS",
    "AssumeRoleWithWebIdentity": "STS",
    "GetRoleCredentials": "AWS IAM Identity Center",
    "CreateToken": "AWS IAM Identity Center",
    "CreateOAuth2Token": "AWS Sign-In",
}
_METADATA_SERVICES = {"169.254.169.254", "fd00:ec2::254", "169.254.170.2", "169.254.170.23", "fd00:ec2::23"}
_PROXIES = "Check the proxies in front of the object store, which may alter or limit requests"
_BY_STATUS = {
    400: "Correct AWS_REGION, S3_ADDRESSING_STYLE or S3_CHECKSUMS, or check whether a proxy alters requests",
    401: "Check whether a proxy in front of the object store demands a login of its own",
    405: _HINTS["MethodNotAllowed"],
    407: "Check HTTPS_PROXY and HTTP_PROXY, because the proxy demands a login",
    411: "Check whether a proxy removes Content-Length. If only uploads are refused, set S3_CHECKSUMS=off",
    414: _PROXIES,
    415: _PROXIES,
    417: _PROXIES,
    431: _PROXIES,
    451: "Ask the operators of the object store",
    505: _PROXIES,
    511: "Check whether a proxy in front of the object store demands a login of its own",
}
"""What to do about an answer whose code is not known. Retries do not help."""
_PASSING = {408, 409, 421, 423, 425, 429}
"""Refusals that may pass. So may errors of the server, except for the ones above."""
_TRY_AGAIN = "Try again. If it fails for long, ask the operators of the object store"
_NO_RETRY_HELPS = "Remove the cause that the object store names. Until then, retries fail too"


@dataclass(frozen=True)
class _ErrorAnswer:
    """An error answer of a service, with the code and the message of its sender."""

    operation: str
    status: int
    code: str
    message: str
    headers: dict[str, str]

    @classmethod
    def of(cls, error: boto_errors.ClientError) -> "_ErrorAnswer":
        meta = error.response.get("ResponseMetadata", {})
        told = error.response.get("Error", {})
        return cls(
            error.operation_name,
            int(meta.get("HTTPStatusCode") or 0),
            plain(str(told.get("Code") or "")),
            plain(str(told.get("Message") or "")),
            {name.lower(): value for name, value in meta.get("HTTPHeaders", {}).items()},
        )

    def __str__(self) -> str:
        """`403 AccessDenied, "no encryption header"`. Of an answer without a body, the status alone."""
        status = str(self.status or "")
        if self.code in (status, ""):
            return status
        quoted = f', "{self.message}"' if self.message not in (self.code, "") else ""
        return f"{status} {self.code}{quoted}".strip()

    @property
    def blames_the_clock(self) -> bool:
        """Whether the request was refused for its time. STS has no code of its own for that."""
        return self.code in _WRONG_CLOCK or "Signature expired" in self.message or "not yet current" in self.message

    @property
    def forbids_deletion(self) -> bool:
        """Whether this refuses to delete an object, in whatever way stores say that of locked ones."""
        refuses = (400 <= self.status < 500 and self.status not in _TRANSIENT) or self.status == 501
        return self.operation == "DeleteObject" and refuses

    @property
    def skew(self) -> str:
        """How far the clock here is from the sender's. Empty if the answer has no time."""
        try:
            theirs = parsedate_to_datetime(self.headers["date"])
        except (KeyError, ValueError):
            return ""
        seconds = round((datetime.now(UTC) - theirs.astimezone(UTC)).total_seconds())
        if abs(seconds) < CLOCK_SKEW:
            return ""
        return f", {abs(seconds)} s {'ahead of' if seconds > 0 else 'behind'} the sender's"


class Faults:
    """Turns the exceptions of boto3 into errors about one folder of a bucket."""

    def __init__(self, location: Location, endpoint: str, options: StoreOptions, *, is_amazon: bool) -> None:
        """`endpoint` is the URL of the object store, without credentials."""
        self._location = location
        self._endpoint = endpoint
        self._options = options
        self._is_amazon = is_amazon

    @contextmanager
    def explained(self, name: str, local: Path | None = None) -> Iterator[None]:
        """Run requests to the object store about a file, which may read or write a local one.

        Raises:
            ToolError: a request failed. The type says why.
            OSError: the local file cannot be read or written.
        """
        try:
            yield
        except ToolError:
            raise
        except Exception as error:
            if local and _is_about(local, error):
                raise
            explanation = self._of_answer(error, name) or self._of_library(error, name)
            if explanation is None:
                raise  # a fault in the program
            raise explanation from error

    def _of_answer(self, error: Exception, name: str) -> ToolError | None:
        """The error for an answer of the object store, or of the service that gives credentials."""
        if isinstance(error, boto_errors.ClientError):
            return self._answered(_ErrorAnswer.of(error), name)
        if isinstance(error, ResponseParserError) or (
            isinstance(error, ValueError)
            and _comes_through("botocore.parsers", error)  # a number or a time that is none
        ):
            return not_s3(self._endpoint)
        if isinstance(error, RecursionError):  # boto3 follows redirects without end
            return StoreFailed(
                f"the object store at {self._endpoint} redirects requests again and again",
                "Set AWS_ENDPOINT_URL_S3 to the address that it redirects to, and AWS_REGION to the bucket's region",
            )
        return None

    def _of_library(self, error: Exception, name: str) -> ToolError | None:
        """The error for an exception of boto3 or of the system. None for a fault in the program."""
        if isinstance(error, boto_errors.FlexibleChecksumError):
            return altered(self._location.uri(name))
        if isinstance(error, CUT):
            return StoreUnreachable(
                f"the transfer of {self._location.uri(name)} broke off too many times", "Check the network"
            )
        if isinstance(error, boto_errors.BotoCoreError | HTTPError | OSError | ValueError):
            return self._failed(error)
        if _comes_through("botocore.credentials", error):  # they are renewed during a transfer
            return self._unusable_credentials(error)
        return None

    @contextmanager
    def credentials_explained(self) -> Iterator[None]:
        """Read credentials, which may run programs, read files and ask services.

        Raises:
            CredentialsRejected: there are none, or they cannot be read.
            ToolError: a service that gives them cannot be used. The message names it.
        """
        try:
            yield
        except ToolError:
            raise
        except boto_errors.ClientError as error:
            raise self._answered(_ErrorAnswer.of(error), "") from error
        except Exception as error:  # providers of credentials raise anything
            raise self._failed(error, or_else=self._unusable_credentials(error)) from error

    def _answered(self, answer: _ErrorAnswer, name: str) -> ToolError:
        who = (
            "the object store"
            if answer.operation in _PERMISSIONS
            else _SERVICES.get(answer.operation, answer.operation)
        )
        if answer.blames_the_clock:
            return CredentialsRejected(
                f"{who} refused the time of a request ({answer}), so the clock of this machine is wrong{answer.skew}",
                "Set the clock of this machine, for example with NTP",
            )
        if answer.operation not in _PERMISSIONS:
            return _service_failed(who, answer)
        return (
            self._about_credentials(answer)
            or self._about_bucket(answer, name)
            or self._about_upload(answer, name)
            or self._denied(answer)
            or StoreFailed(f"the object store failed {answer.operation} for {self._location} ({answer})", _hint(answer))
        )

    def _about_credentials(self, answer: _ErrorAnswer) -> ToolError | None:
        if answer.code in _BAD_KEYS:
            hint = f"Check {ACCESS_KEY}, {SECRET_KEY} and {SESSION_TOKEN}{self._place_of_keys()}"
            if answer.code == "SignatureDoesNotMatch":
                hint += ", and that no proxy alters requests"
                if _PERMISSIONS[answer.operation] == "s3:PutObject" and not self._is_amazon:
                    hint += ". Set S3_CHECKSUMS=off, if only uploads are refused"
            return CredentialsRejected(
                f"the object store refused the credentials for {self._location} ({answer})", hint
            )
        return None

    def _denied(self, answer: _ErrorAnswer) -> ToolError | None:
        if answer.code in _DENIED or (answer.status == 403 and answer.code not in _HINTS) or answer.forbids_deletion:
            permission = _PERMISSIONS[answer.operation]
            owner = self._options.expected_bucket_owner
            more = [f"Check that account {owner} (S3_EXPECTED_BUCKET_OWNER) owns the bucket"] if owner else []
            more += [_DEMANDS] if permission == "s3:PutObject" else []
            more += [_LOCKED] if permission == "s3:DeleteObject" else []
            return BucketDenied(
                f"the object store denied {answer.operation} for {self._location} ({answer})",
                ". ".join([f"Allow these credentials {permission}", *more, _NEEDED]),
            )
        return None

    def _about_bucket(self, answer: _ErrorAnswer, name: str) -> ToolError | None:
        if answer.code == "NoSuchBucket":
            style = "" if self._is_amazon else ". If it exists, try another S3_ADDRESSING_STYLE"
            return BucketMissing(
                f"the bucket of {self._location} does not exist{_quoted(answer)}",
                f"Create the bucket, or correct BUCKET or the address{style}",
            )
        if answer.code in _NO_KEY:
            return self._no_key(answer, name)
        if answer.code == "InvalidObjectState":
            return ObjectArchived(
                f"{self._location.uri(name)} is in an archive ({answer})",
                "Restore this object from the archive with the object store's tools, then try again",
            )
        if answer.code in _WRONG_REGION:
            region = answer.headers.get("x-amz-bucket-region")
            return StoreFailed(
                f"the bucket of {self._location} is in another region ({answer})",
                f"Set AWS_REGION to {region}" if region else "Set AWS_REGION to the bucket's region",
            )
        if answer.code in _WRONG_STYLE:
            style = "path" if self._options.addressing_style == "virtual" else "virtual"
            return StoreFailed(
                f"the object store refuses how the bucket is addressed ({answer})", f"Set S3_ADDRESSING_STYLE={style}"
            )
        return None

    def _no_key(self, answer: _ErrorAnswer, name: str) -> ToolError:
        if _PERMISSIONS[answer.operation] == "s3:GetObject":
            return no_such_backup(self._location, name)
        return BucketMissing(
            f"the object store answered {answer.operation} for {self._location} with {answer}",
            "Check that the bucket exists, and that AWS_ENDPOINT_URL_S3 is the address of the S3 API",
        )

    def _about_upload(self, answer: _ErrorAnswer, name: str) -> ToolError | None:
        if answer.code in _ALTERED:
            return UploadUnverified(
                f"{self._location.uri(name)} was altered on its way to the object store ({answer})",
                "Check the network and the proxies on the way, then try again",
            )
        if answer.code in _TOO_LARGE or answer.status == 413:
            return StoreFailed(
                f"the object store refuses the size of {self._location.uri(name)} ({answer})",
                f"Let the store and the proxies in front of it accept requests of {PART_SIZE >> 20} MiB, or raise the "
                "bucket's quota",
            )
        if answer.code in _FULL or answer.status == 507:
            return StoreFailed(
                f"the object store has no room for {self._location.uri(name)} ({answer})",
                "Free space, or raise the bucket's quota",
            )
        if answer.code.startswith("KMS."):
            return StoreFailed(
                f"the object store cannot use the encryption key for {self._location} ({answer})",
                "Check S3_KMS_KEY_ID, and allow these credentials kms:GenerateDataKey and kms:Decrypt",
            )
        return None

    def _failed(self, error: Exception, or_else: ToolError | None = None) -> ToolError:
        """The error for an exception that is not an answer."""
        if isinstance(error, boto_errors.HTTPClientError | boto_errors.ConnectionError | HTTPError):
            return self._unreachable(error, getattr(error, "kwargs", {}))
        if isinstance(error, boto_errors.NoCredentialsError | boto_errors.PartialCredentialsError):
            return self._no_credentials(error)
        if isinstance(error, boto_errors.CredentialRetrievalError | boto_errors.TokenRetrievalError):
            return self._unusable_credentials(error)
        if isinstance(error, OSError) and error.filename:
            return CredentialsRejected(
                f"{_text(error.filename)} cannot be used for credentials ({error.strerror})",
                "Correct the AWS_ variable or the AWS configuration file that names it",
            )
        return or_else or StoreFailed(
            f"{self._location} cannot be used ({plain(_reason(error))})", "Check the AWS_ variables"
        )

    def _unreachable(self, error: Exception, details: Mapping[str, Any]) -> ToolError:
        if isinstance(error, boto_errors.ProxyConnectionError):
            proxy = plain(str(details.get("proxy_url", "")))
            return StoreUnreachable(f"the proxy {proxy} does not answer", "Check HTTPS_PROXY, HTTP_PROXY and NO_PROXY")
        sender = self._sender(details.get("endpoint_url"))
        if isinstance(error, boto_errors.SSLError):
            return self._untrusted(sender, _innermost(details.get("error")))
        return self._silent(error, sender)

    def _sender(self, url: str | None) -> str:
        """Whom a request was sent to, with the address."""
        asked, own = urlsplit(url or self._endpoint), urlsplit(self._endpoint)
        host = asked.hostname or ""
        if asked.netloc.rpartition("@")[2] == own.netloc or asked.netloc.endswith(f".{own.netloc}"):
            return f"the object store at {self._endpoint}"
        if host in _METADATA_SERVICES:
            return f"the metadata service at {plain(url or '')}"
        if host.startswith(("sts.", "sts-")):
            return f"STS at {plain(url or '')}"
        return f"the service at {plain(url or '')}"

    def _untrusted(self, sender: str, error: Any) -> ToolError:
        if isinstance(error, ssl.SSLCertVerificationError | CertificateError):
            why = getattr(error, "verify_message", "") or str(error)
            style = ", or set S3_ADDRESSING_STYLE=path" if self._options.addressing_style == "virtual" else ""
            return StoreUnreachable(
                f"the certificate of {sender} is not trusted ({plain(why)})",
                f"Set AWS_CA_BUNDLE to a PEM file of its authority, or correct the certificate{style}",
            )
        return StoreUnreachable(
            f"{sender} does not speak TLS as expected ({plain(str(error))})",
            "Check that AWS_ENDPOINT_URL_S3 begins with https:// only for a port with TLS",
        )

    def _silent(self, error: Exception, sender: str) -> ToolError:
        settings = "AWS_ENDPOINT_URL_S3, AWS_REGION and the network"
        if "the object store" not in sender:
            settings = "the network, and that this machine may reach that address"
        elif not self._is_amazon and self._options.addressing_style == "virtual":
            settings = f"{settings}, or set S3_ADDRESSING_STYLE=path"
        return StoreUnreachable(f"{sender} does not answer ({_why_silent(error)})", f"Check {settings}")

    def _no_credentials(self, error: Exception) -> ToolError:
        detail = f" ({plain(_reason(error))})" if isinstance(error, boto_errors.PartialCredentialsError) else ""
        return CredentialsRejected(
            f"no usable credentials were found for {self._location}{detail}",
            f"Set {ACCESS_KEY} and {SECRET_KEY}, or give the service account a role",
        )

    def _unusable_credentials(self, error: Exception) -> ToolError:
        known = isinstance(error, boto_errors.BotoCoreError | OSError | ValueError)
        reason = plain(_reason(error)) if known else type(error).__name__
        return CredentialsRejected(
            f"the credentials for {self._location} cannot be read ({reason})",
            "Check the AWS_ variables, the AWS configuration files and the program or service that gives credentials",
        )

    def _place_of_keys(self) -> str:
        folder = self._options.credentials_dir
        return f" in {folder} ({self._options.credentials_setting})" if folder else ""


def not_s3(endpoint: str) -> StoreFailed:
    """The error for an answer that is not of S3, such as a login page."""
    return StoreFailed(
        f"the answer of {endpoint} is not an answer of S3",
        "Check that AWS_ENDPOINT_URL_S3 is the address of the S3 API, not of a web console or a proxy's login page",
    )


def altered(uri: str) -> StoreFailed:
    """The error for a download that does not match its checksum."""
    return StoreFailed(
        f"{uri} does not match the object store's checksum",
        "Try again. If that fails too, use another backup, because this one is damaged",
    )


def plain(text: str) -> str:
    """Somebody else's text for a message: on one line, not long, and without the credentials of addresses."""
    text = " ".join(re.sub(r"://[^/@\s]*@", "://", text).split()).strip(" .")
    text = "".join(char if char.isprintable() else "?" for char in text)
    return text if len(text) <= QUOTED_TEXT else f"{text[:QUOTED_TEXT]}…"


def _service_failed(who: str, answer: _ErrorAnswer) -> ToolError:
    if answer.status >= 500:
        return StoreUnreachable(f"{who} failed ({answer}), so there are no credentials", "Try again")
    return CredentialsRejected(
        f"{who} refused to give credentials ({answer}, {answer.operation})",
        "Check AWS_ROLE_ARN, the trust policy of the role, and the token or keys that request it",
    )


def _hint(answer: _ErrorAnswer) -> str:
    if answer.code in _HINTS:
        return _HINTS[answer.code]
    if answer.status == 501:
        is_upload = _PERMISSIONS.get(answer.operation) == "s3:PutObject"
        return _HINTS["NotImplemented" if is_upload else "MethodNotAllowed"]
    if what := _BY_STATUS.get(answer.status):
        return f"{what}. Until then, retries fail too"
    passes = not answer.status or answer.status in _PASSING or answer.status >= 500
    return _TRY_AGAIN if passes else _NO_RETRY_HELPS


def _quoted(answer: _ErrorAnswer) -> str:
    return f' ("{answer.message}")' if answer.message else ""


def _why_silent(error: Exception) -> str:
    """The kind of a failure of the network. What no kind of botocore's fits is in the error that it wraps."""
    wrapped = getattr(error, "kwargs", {}).get("error")
    if type(error) is boto_errors.HTTPClientError and wrapped:
        return plain(f"{type(wrapped).__name__}, {wrapped}")
    return type(error).__name__


def _innermost(error: Any) -> Any:
    """The error of OpenSSL, which urllib3 and botocore wrap."""
    while error.args and isinstance(error.args[0], Exception):
        error = error.args[0]
    return error


def _comes_through(module: str, error: Exception) -> bool:
    """Whether code of this module raised an exception, or called what raised it."""
    return any(frame.f_globals.get("__name__") == module for frame, _ in traceback.walk_tb(error.__traceback__))


def _is_about(local: Path, error: Exception) -> bool:
    """Whether the local file cannot be read or written. Errors of boto3 and urllib3 may be OSErrors, too."""
    of_network = isinstance(error, boto_errors.BotoCoreError | HTTPError)
    return isinstance(error, OSError) and not of_network and error.filename in (None, str(local), local)


def _text(name: Any) -> str:
    return plain(name.decode(errors="replace") if isinstance(name, bytes) else str(name))


def _reason(error: Exception) -> str:
    return str(error) or type(error).__name__
