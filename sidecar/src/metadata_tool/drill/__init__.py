"""Proves that a backup restores: a restore into a scratch directory, and a ZooKeeper server that starts from it."""
