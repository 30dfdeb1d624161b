"""Puts back what a backup has of the brokers: schemas and topic policies, after a restore."""
