"""Other places that keep a copy of each backup."""
