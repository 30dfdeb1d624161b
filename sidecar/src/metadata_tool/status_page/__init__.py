"""The page for people at the root of the admin port."""
