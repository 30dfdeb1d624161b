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
LAST_BACKUP = SHUTDOWN - 9
"""How much of SHUTDOWN a running backup may use. The rest is for open requests, the last scrub and the last lines."""
LAST_SCRUB = 2.0
"""How much longer than the last backup a stopped scrub may take to end. Its process is killed at once."""

HEARTBEAT_WITHIN = 10.0
"""For the answer to a heartbeat. The deletion of old backups waits for it."""

# The admin port

REQUEST_THREADS = 4
LISTINGS = 3
"""Requests that may wait for the object store. If it hangs, the other threads still answer the other requests."""
LISTING_PAUSE = 1.0
"""The longest pause after a listing. After a shorter listing, the pause is as long as the listing took."""
LISTED_EACH_TIME = 1_000
"""Backups that are listed for each request, which takes one request to the store. More are listed once in a while."""
LISTING_KEPT = 600.0
"""How old the listing of more backups may be. It is never older than the last backup of this service."""
PAGE = 1_000
"""Backups on a page of `/backup/list` at most."""
CONNECTIONS = 128
"""Open connections. If there is one more, the connection that has waited longest for its client is closed."""
FILES_PER_CONNECTION = 4
"""Files that the process may open for each connection. If it may open fewer than 512, there are fewer connections."""
BACKLOG = 2_048
"""Connections that the kernel keeps until they are accepted. Other clients retry after a second."""
REQUEST_WITHIN = 20.0
"""For the head of a request, since the connection was opened or the last answer was read."""
REQUEST_HEAD = 32 << 10
"""Bytes of the head of a request."""
REQUEST_BODY = 4 << 10
"""Bytes of the largest body that is read and dropped. A request with a larger one is answered without reading it."""
SHORTEST_TOKEN = 16
"""Characters of ADMIN_TOKEN. A shorter one could be guessed, because clients may try as often as they like."""
RUNS = 200
"""Backups of this process whose durations and errors are remembered."""
ANSWER_WITHIN = 60.0
"""For a client to read an answer, also through a slow `kubectl port-forward`."""
CLOSE_WITHIN = 2.0
"""For a client to close its connection after the last answer."""
UNSENT = 32 << 20
"""Bytes of answers that clients have not read. A single answer may be larger, such as a list of 200,000 backups."""
SEND_BUFFER = 128 << 10
"""Bytes that the kernel keeps for each connection. Its own default is several megabytes."""
WARN_AGAIN = 600.0
"""The shortest time between two warnings about too many connections."""
NAMESPACES, TOPICS = 1_000, 1_000
"""How many of each an answer lists: those that would lose most."""
METRIC_NAMESPACES = 100
"""Namespaces with samples of their own, those that would lose most. Prometheus keeps every label that it has seen."""

# A backup

MANIFESTS_READ = 10
"""Backups whose manifests are read to find the newest one. The others are ignored, so that no search lasts long."""
COVERED_NAMESPACES = 100
"""Namespaces that the manifest lists: those that would lose most."""

# Copies

COPY_AGAIN = 60.0
"""After a copy that failed, until the next try."""
MISSED_COPIES = 1_000
"""Backups of this process that are remembered for a place that lacks them: a week of an interval of 600 s."""
CATCH_UP_TRIES = 3
"""How often such a backup is tried, each time after a newer backup was copied. Then it is left out."""
LAST_COPY = 2.0
"""How much longer than the last backup and the last scrub a stopped copy may take to end."""

# Retention

ALWAYS_KEPT = 3
"""Newest backups that are kept whatever the rules are. Nothing is deleted unless so many are known to be good."""
PRUNED_AT_ONCE = 200
"""Old backups that are looked at and deleted after one backup, so that the next one is not late. The rest follow."""
DENIED_AT_ONCE = 3
"""Refusals after which no more backups are tried until the next time, if none was deleted."""
