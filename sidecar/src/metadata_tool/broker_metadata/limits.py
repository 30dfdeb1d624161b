"""Every limit and pause of this package, with its reason. Seconds and bytes, unless a name says otherwise."""

CONNECT_TIMEOUT = 5.0
"""To open a connection. A broker that needs longer is not reachable."""
REQUEST_TIMEOUT = 30.0
"""For one answer, from its first to its last byte. A broker that loads a topic may need seconds."""
PAUSES = (0.5, 2.0, 5.0)
"""Before each further try of a request. A broker that hands a namespace to another one needs a few seconds."""
REDIRECTS = 5
"""Redirects that one request follows. The owner of a topic is one redirect away."""
MAX_ANSWER = 32 << 20
"""Bytes of an answer. Versions and holes of almost all topics fit, and a faulty answer must not take all memory."""
CHUNK = 64 << 10
QUOTED_TEXT = 200
"""How many characters of a broker's answer a message repeats."""
ASK_FOR_BROKERS_EVERY = 5.0
"""The shortest time between two requests for the list of brokers, which a redirect to an unknown host causes."""

# A backup's questions

CURSORS_ASKED_AT_ONCE = 10_000
"""Subscriptions of a topic in one question. A topic with more gets several questions."""
MAX_HOLES = 100_000
"""Holes of a subscription that are saved, so that its record fits a line. Messages of the others come again."""
NAMED_NOT_SAVED = 1_000
"""Records of each kind that name what was not saved. The others are counted."""
LOGGED_NOT_SAVED = 3
"""Different reasons that the log names."""
UNREACHABLE_IN_A_ROW = 20
"""Questions without an answer after which no more are asked. One broker that is down has only a part of the topics."""
OWNERS_LOOKED_UP = 5
"""Topics that are tried to find out whether the brokers belong to this ZooKeeper."""
QUESTIONS_AHEAD = 4
"""Questions that are begun or done ahead of the one whose answer is written next, for each request in flight."""
KILLED_AFTER = 5.0
"""From BROKER_TIMEOUT until the process that asks is killed, if it has not ended by itself."""
CLIENT_TIMEOUT = 10
"""For each step of Pulsar's client, in whole seconds."""
MAX_POLICIES = 200_000
"""Keys of policies in a namespace. Policies of a namespace with more are not saved, so that memory has a limit."""
READ_AGAIN_AFTER = 1.0
"""Until policies of a namespace are read once more, if that failed. The broker may still be loading their topic."""
