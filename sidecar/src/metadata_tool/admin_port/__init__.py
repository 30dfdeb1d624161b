"""Serves HTTP so that no client can keep others from being answered. Nothing here knows of backups."""
