"""The metadata that Pulsar and BookKeeper keep in ZooKeeper, and how a new cluster needs it changed."""
