"""A real S3 server on loopback, and what tests ask of it past the program."""

import contextlib
import itertools
import json
import os
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import boto3

from ci.parts.go import versitygw
from support.certificates import Certificate
from support.processes import Process, free_port

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

ACCESS_KEY = "tester"
SECRET_KEY = "a-secret-of-the-tests"


@cache
def s3_client(
    endpoint: str, access_key: str = ACCESS_KEY, secret_key: str = SECRET_KEY, authorities: Path | None = None
) -> "S3Client":
    """A client of whatever serves S3 there. `authorities` are trusted for TLS.

    Tests share it: a new one loads boto3's description of S3 again, a tenth of a second of processor time.
    """
    return boto3.session.Session().client(
        "s3",
        region_name="us-east-1",
        endpoint_url=endpoint,
        aws_access_key_id=access_key,
        aws_secret_access_key=secret_key,
        verify=str(authorities) if authorities else None,
    )


class S3Server:
    """versitygw on a directory, which speaks TLS if it has a certificate."""

    def __init__(self, directory: Path, certificate: Certificate | None = None, *, versions: bool = False) -> None:
        """Nothing runs yet. With `versions`, buckets can keep the versions of objects."""
        self.port = free_port()
        self.endpoint = f"{'https' if certificate else 'http'}://127.0.0.1:{self.port}"
        self._certificate = certificate
        self._versions = versions
        self._directory = directory
        self._process: Process | None = None

    def start(self, access_key: str = ACCESS_KEY, secret_key: str = SECRET_KEY) -> None:
        """Start it and wait until it answers. These are its owner's keys, and no others are."""
        data = self._directory / "buckets"
        data.mkdir(exist_ok=True, parents=True)
        environment = {**os.environ, "ROOT_ACCESS_KEY": access_key, "ROOT_SECRET_KEY": secret_key}
        options = ["--port", f"127.0.0.1:{self.port}", "--iam-dir", str(self._folder("iam"))]
        if self._certificate:
            options += ["--cert", str(self._certificate.cert), "--key", str(self._certificate.key)]
        backend = ["posix", *(["--versioning-dir", str(self._folder("versions"))] if self._versions else []), str(data)]
        self._process = Process([versitygw(), *options, *backend], self._directory / "s3.log", environment)
        self._process.wait_until(self._answers)

    def stop(self) -> None:
        """End it."""
        if self._process:
            self._process.stop()

    def environment(self) -> dict[str, str]:
        """boto3's variables for this server."""
        return {
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
            "AWS_REGION": "us-east-1",
            "AWS_ENDPOINT_URL_S3": self.endpoint,
            "AWS_EC2_METADATA_DISABLED": "true",  # nothing may be asked outside this machine
        }

    def client(self, access_key: str = ACCESS_KEY, secret_key: str = SECRET_KEY) -> "S3Client":
        """A client with these keys, its owner's by default."""
        return s3_client(self.endpoint, access_key, secret_key)

    def add_user(self, access_key: str, secret_key: str) -> None:
        """A user who exists and owns nothing."""
        admin = [versitygw(), "admin", "--access", ACCESS_KEY, "--secret", SECRET_KEY, "--endpoint-url", self.endpoint]
        user = ["create-user", "--access", access_key, "--secret", secret_key, "--role", "user"]
        subprocess.run([*admin, *user], check=True, capture_output=True)

    def _folder(self, name: str) -> Path:
        folder = self._directory / name
        folder.mkdir(exist_ok=True)
        return folder

    def _answers(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1):
            return True
        return False


@contextlib.contextmanager
def s3_server(directory: Path, certificate: Certificate | None = None, *, versions: bool = False) -> Iterator[S3Server]:
    """A server that answers, and ends afterwards."""
    server = S3Server(directory, certificate, versions=versions)
    try:
        server.start()
        yield server
    finally:
        server.stop()


@dataclass(frozen=True)
class Bucket:
    """A bucket of a test's own."""

    server: S3Server
    name: str

    @property
    def settings(self) -> dict[str, str]:
        """The program's settings for it: a folder in the bucket."""
        return {**self.server.environment(), "BUCKET": f"s3a://{self.name}/team/prod"}

    def objects(self) -> list[str]:
        """All keys in it."""
        listed = self.server.client().list_objects_v2(Bucket=self.name).get("Contents", [])
        return sorted(item["Key"] for item in listed)

    def allow(self, user: str, *actions: str) -> None:
        """Give a user these rights on the bucket and its objects, and no others."""
        both = [f"arn:aws:s3:::{self.name}", f"arn:aws:s3:::{self.name}/*"]
        on_bucket, on_objects = (
            [action for action in actions if (action == "s3:ListBucket") is of_bucket] for of_bucket in (True, False)
        )
        statements = [
            {"Effect": "Allow", "Principal": {"AWS": [user]}, "Action": action, "Resource": resource}
            for action, resource in zip((on_bucket, on_objects), both, strict=True)
            if action
        ]
        policy = json.dumps({"Version": "2012-10-17", "Statement": statements})
        self.server.client().put_bucket_policy(Bucket=self.name, Policy=policy)

    def unfinished_uploads(self) -> int:
        """Multipart uploads that were begun and neither completed nor aborted."""
        return len(self.server.client().list_multipart_uploads(Bucket=self.name).get("Uploads", []))


_numbers = itertools.count()


def new_bucket(server: S3Server) -> Bucket:
    """An empty bucket."""
    bucket = Bucket(server, f"bucket-{next(_numbers)}")
    server.client().create_bucket(Bucket=bucket.name)
    return bucket
