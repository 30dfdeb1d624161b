"""What `make` and CI need: getting the real parts, the demo, the tables in docs/."""
