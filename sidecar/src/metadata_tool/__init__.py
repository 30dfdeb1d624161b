"""Backs up Pulsar's ZooKeeper metadata to a bucket, and starts a new ZooKeeper from such a backup."""

__version__ = "0.1.0"
