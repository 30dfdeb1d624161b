"""Every limit and pause of this package, with its reason. Seconds and bytes, unless a name says otherwise."""

CONNECT_TIMEOUT = 5.0
"""To open a connection. A broker that needs longer is not reachable."""
REQUEST_TIMEOUT = 30.0
"""For one answer, from its first to its last byte. A broker that loads a topic may need seconds."""
PAUSES = (0.5, 2.0, 5.0)
"""Before each further try of a request. A broker that hands a namespace to another one needs a few seconds."""
REDIRECTS = 5
"""Redirects that one request follows. The owner of a topic is one redirect away."""
MAX_ANSWER = 48 << 20
"""Bytes of an answer, so that what is saved of it fits a line of `broker.json`."""
CHUNK = 64 << 10
QUOTED_TEXT = 200
"""How many characters of a broker's answer a message repeats."""
ASK_FOR_BROKERS_EVERY = 5.0
"""The shortest time between two questions which brokers there are, when redirects lead to hosts that are not known."""
