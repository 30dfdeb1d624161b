"""moto's S3 server, which PyPI has: for the demo, and for Pulsar's offloader, whose generic driver signs as of old."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import boto3

from support.processes import Process, free_port

KEYS = {"AWS_ACCESS_KEY_ID": "demo", "AWS_SECRET_ACCESS_KEY": "demo-secret", "AWS_REGION": "us-east-1"}


@contextmanager
def embedded_s3(directory: Path, bucket: str) -> Iterator[str]:
    """The endpoint of a server with a bucket."""
    port = free_port()
    endpoint = f"http://127.0.0.1:{port}"
    command = [sys.executable, str(Path(__file__).with_name("moto_s3.py")), str(port)]
    server = Process(command, directory / "embedded-s3.log")
    try:
        server.wait_until(lambda: "Running on" in server.output())
        s3 = boto3.session.Session(
            aws_access_key_id=KEYS["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=KEYS["AWS_SECRET_ACCESS_KEY"],
            region_name=KEYS["AWS_REGION"],
        ).client("s3", endpoint_url=endpoint)
        s3.create_bucket(Bucket=bucket)
        yield endpoint
    finally:
        server.stop()
