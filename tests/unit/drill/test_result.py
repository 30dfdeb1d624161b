"""The result of a drill."""

import json

from metadata_tool.drill.result import DrillResult, TreeCounts

COUNTS = TreeCounts(unchanged=5, changed=4, added=3, removed=2, size=100, sha256="ab")
SECONDS = {"fetch": 1.0, "restore": 2.0, "compare files": 40.0, "start": 0.25, "compare served": 80.0}


def test_passed() -> None:
    """The result of a drill that passed has the time to a serving tree, each step, and the counts."""
    result = DrillResult("s3a://b/p-1.tar.gz", 1000, SECONDS, COUNTS, "3.9.5")
    found = json.loads(json.dumps(result.to_json()))
    assert (True, 3.25, {"backup": 11, "restored": 12}) == (found["passed"], found["servingSeconds"], found["znodes"])
    assert SECONDS == found["seconds"]
    text = result.as_text()
    assert "s3a://b/p-1.tar.gz restores. ZooKeeper 3.9.5 served it. It took 3.2 s to a serving tree" == result.headline
    assert "\n  compare served           80.00 s\n" in text
    assert "\n  removed by rules         2\n" in text


def test_failed() -> None:
    """The result of a drill that failed early has no counts."""
    result = DrillResult("s3a://b/p-1.tar.gz", 1000, {"fetch": 1.0}, failure="the file is damaged", hint="Use another")
    found = result.to_json()
    assert (False, "the file is damaged", "Use another") == (found["passed"], found["failure"], found["hint"])
    assert "the drill of s3a://b/p-1.tar.gz failed\n  fetch                    1.00 s" == result.as_text()
