"""The real parts that tests and the demo run: got from package registries, kept in a cache outside the tree."""
