"""`python -m metadata_tool` is `metadata-tool`."""

import sys

from metadata_tool.cli import main

sys.exit(main())
