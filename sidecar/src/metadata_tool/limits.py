"""Limits and pauses of the service and its backups, each with its reason. Every time is in seconds."""

# The service

STALLED_AFTER = 600.0
"""Without a heartbeat for this time, the backup loop counts as hung. Any single wait for a server is shorter."""
EARLY_BACKUPS = 10
"""How many backups follow after EARLY_INTERVAL, as long as none of them holds a Pulsar cluster."""
EARLY_INTERVAL = 60.0
"""From the start of such a backup to the next, so that a new cluster is soon in a backup."""
SHUTDOWN = 25
"""From a signal to the end of the service. Kubernetes gives a pod 30 by default."""
LAST_BACKUP = SHUTDOWN - 5
"""How much of SHUTDOWN a running backup may use. The rest is for open requests."""

# The admin port

REQUEST_THREADS = 8
LISTINGS = 3
"""Requests that may wait for the object store. If it hangs, the other threads still answer health checks."""
LISTING_PAUSE = 1.0
"""The next listing starts as long after the last one as that took, but at most this long."""
NAMESPACES, TOPICS = 1_000, 1_000
"""How many of each an answer lists: those that would lose most."""
METRIC_NAMESPACES = 100
"""Namespaces with samples of their own, those that would lose most. Prometheus keeps every label that it has seen."""

# A backup

COVERED_NAMESPACES = 100
"""Namespaces that the manifest lists: those that would lose most."""
