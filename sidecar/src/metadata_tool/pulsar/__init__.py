"""What Pulsar and BookKeeper keep in ZooKeeper, and what a new cluster needs changed in it."""
