"""Values for a Pulsar that Apache's chart runs: its ZooKeeper is backed up by this project's chart, or restored."""
