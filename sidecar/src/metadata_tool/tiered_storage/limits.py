"""Limits of this package, with their reasons."""

INDEX_BYTES = 16 << 20
"""How much of an index is read. It has 20 bytes for each block of 64 MB, so real ones have a few hundred bytes."""
NAMED_LEDGERS = 1000
"""How many missing or damaged ledgers a report names. All are counted."""
NAMESPACES = 10_000
"""How many namespaces a report counts one by one."""
NAMED_TOPICS = 20
"""How many topics a report names."""
SAMPLES = 5
"""How many ledgers of a bucket a restore looks for, each with one small request."""
ROWS = 2000
"""Rows that are written into the table of ledgers at once."""
REPORT_EVERY = 10.0
"""Seconds between two log lines about the progress."""
MAX_PARTITIONS = 10_000
"""Partitions of a topic that a rescue believes. A higher number may be part of the name of another topic."""
