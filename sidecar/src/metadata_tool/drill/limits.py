"""Limits of a drill, each with its reason. Every time is in seconds."""

SERVES_WITHIN = 600.0
"""From the start of the server until it serves. Loading a million znodes takes ten seconds."""
ENDS_WITHIN = 10.0
"""From SIGTERM to the server until SIGKILL."""
ASKED_EVERY = 0.2
"""Between two questions whether the server serves."""
SESSION = 40.0
"""Without an answer for this time, the server counts as gone. It is the longest that a server allows."""
REPORT_EVERY = 10.0
"""Between two lines of progress."""
IN_FLIGHT = 500
"""Znodes whose answers are awaited at a time."""
RECORD = 64 << 10
"""Bytes of a drill's record. One that is larger is not a record."""
RECORDS_TRIED = 3
"""Records of a kind that are read to find one that is valid."""
