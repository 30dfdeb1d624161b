"""Where backup files are kept: in an object store or in a directory.

`registry.py` lists the schemes of addresses and opens the store behind each. `base.py` says what every store promises.
"""

from metadata_tool.store.base import Store
from metadata_tool.store.registry import EXAMPLES, open_store, parse_location

__all__ = ["EXAMPLES", "Store", "open_store", "parse_location"]
