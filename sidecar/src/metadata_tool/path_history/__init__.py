"""When a path changed, and which paths match a pattern, over a series of backups."""
