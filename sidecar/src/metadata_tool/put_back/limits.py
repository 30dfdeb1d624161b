"""Every limit and pause of this package, with its reason. Seconds, unless a name says otherwise."""

LOCATORS_AT_ONCE = 100
"""Locators that one request reads. A locator has about 60 bytes for each version."""
TRIES = 3
"""How often a step is tried while others change the same, or while its answer is lost."""
TRY_PAUSE = 1.0
"""Before a step is tried again, so that a request without an answer may still be done meanwhile."""
OWNERS_LOOKED_UP = 5
"""Namespaces that are tried to find out which broker owns a topic, if the login may not list brokers."""
LOG_INTERVAL = 10.0
"""Between log lines about progress."""
IDLE = 0.5
"""After this time without a request, one keeps the session alive. Servers grant sessions of 4 s and more by default."""
LOCK_PAUSE = 0.5
"""Between two looks at the lock of another put-back."""
LOCK_SESSIONS = 2
"""How many times as long as a session lasts the lock of another put-back is waited for: a killed one has ended then."""
NAMED = 20
"""Problems of one kind that the text of a report names. Its JSON has up to KEPT."""
KEPT = 1000
"""Problems of one kind that a report keeps."""
