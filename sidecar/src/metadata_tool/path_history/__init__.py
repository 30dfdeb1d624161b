"""What the backups of a series tell of one path, or of all paths that match a pattern."""
