"""Real servers and tools for the tests and the demo, fetched from package registries into a cache."""
