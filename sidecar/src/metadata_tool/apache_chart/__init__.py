"""Values to back up or restore the ZooKeeper of a Pulsar that Apache's chart runs."""
