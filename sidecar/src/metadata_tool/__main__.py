"""Lets `python -m metadata_tool` run the program."""

import sys

from metadata_tool.cli import main

sys.exit(main())
