"""Every limit and pause of this package, with its reason. Seconds, unless a name says otherwise."""

LOCATORS_AT_ONCE = 100
"""Locators that one request reads. A locator has about 60 bytes for each version."""
TRIES = 3
"""How often a step is tried if others change the same znode, or its answer is lost."""
TRY_PAUSE = 1.0
"""Before a step is tried again. Meanwhile a broker may still do the request whose answer was lost."""
OWNERS_LOOKED_UP = 5
"""Namespaces that are tried to find out which broker owns a topic, if the login may not list brokers."""
APPLIED_AFTER = 3.0
"""After topic policies were sent, before namespaces may delete data again. Brokers apply policies within 0.1 s."""
LOG_INTERVAL = 10.0
"""Between log lines about progress."""
IDLE = 0.5
"""After this time without a request, one is sent to keep the session. By default, servers grant at least 4 s."""
LOCK_PAUSE = 0.5
"""Between two looks at the lock of another put-back."""
LOCK_SESSIONS = 2
"""How long to wait for the lock of another put-back, in session timeouts. The lock of a killed one is gone by then."""
NAMED = 20
"""Problems of one kind that the text of a report names. Its JSON has up to KEPT."""
KEPT = 1000
"""Problems of one kind that a report keeps."""
