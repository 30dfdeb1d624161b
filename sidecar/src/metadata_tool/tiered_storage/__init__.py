"""The bucket of tiered storage: what the offloaders of Pulsar have written there."""
