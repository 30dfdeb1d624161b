"""Metadata that Pulsar keeps in BookKeeper, and that brokers give out: schemas, positions, topic policies."""
