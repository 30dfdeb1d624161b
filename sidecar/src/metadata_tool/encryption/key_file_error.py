"""What is wrong with a file of keys, in words that repeat nothing of it."""


class KeyFileError(ValueError):
    """A file of keys is not valid. The message is the reason."""
