"""The capture of a live tree, exactly as it was at one zxid."""
