"""The network: sessions with an ensemble, and a connection that does no I/O beneath a loop that does."""
