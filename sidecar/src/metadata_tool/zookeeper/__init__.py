"""ZooKeeper: its client protocol, its snapshot format, its data directory. Nothing here knows of Pulsar."""
