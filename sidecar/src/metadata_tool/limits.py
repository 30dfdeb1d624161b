"""Limits and pauses of the service and its backups, each with its reason. Every time is in seconds."""

# The service

STALLED_AFTER = 600.0
"""Without a heartbeat for so long, the backup loop counts as dead: longer than any single wait for a server."""
EARLY_BACKUPS = 10
"""How many backups follow soon, as long as none of them holds a Pulsar cluster."""
EARLY_INTERVAL = 60.0
"""From the start of such a backup to the next: a cluster that is being initialised is soon in a backup."""
SHUTDOWN = 25
"""Until the service has to end: less than the 30 that Kubernetes gives a pod."""
LAST_BACKUP = SHUTDOWN - 5
"""Of these for a running backup, so that some are left for open requests."""

# The admin port

REQUEST_THREADS = 8
LISTINGS = 3
"""Requests that may wait for the object store. If it hangs, the other threads still answer health checks."""
NAMESPACES, TOPICS = 1_000, 1_000
"""Entries of an answer: those that would lose most."""
METRIC_NAMESPACES = 100
"""Namespaces with samples of their own, those that would lose most. Prometheus keeps every label that it has seen."""

# A backup

COVERED_NAMESPACES = 100
"""Namespaces that the manifest lists: those that would lose most."""
