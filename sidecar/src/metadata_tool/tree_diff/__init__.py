"""What changed between two backups."""
