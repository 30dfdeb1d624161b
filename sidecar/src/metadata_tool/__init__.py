"""Backs up Pulsar's ZooKeeper metadata to a bucket, and restores a backup into a new ZooKeeper."""

__version__ = "0.1.0"
