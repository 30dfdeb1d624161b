from typing import Any

import yaml
from hypothesis import given
from hypothesis import strategies as st

from metadata_tool.apache_chart.yaml_text import dump

TEXTS = st.text().filter(str.isprintable) | st.sampled_from(
    [
        "yes",
        "No",
        "ON",
        "null",
        "~",
        "0440",
        "1e3",
        "0x1f",
        "1:30",
        "100m",
        "4Gi",
        "-",
        "- a",
        "a: b",
        "#",
        "{}",
        "",
        "/a",
        "a:b",
        "s3a://b",
        "a:",
        "a:1",
    ]
)
VALUES = st.recursive(
    TEXTS | st.integers() | st.booleans(),
    lambda below: st.lists(below, max_size=4) | st.dictionaries(TEXTS, below, max_size=4),
)


@given(values=st.dictionaries(TEXTS, VALUES, max_size=4))
def test_reads_back(values: dict[str, Any]) -> None:
    """Whatever the values are, a reader of YAML gets the same."""
    assert values == yaml.safe_load(dump(values))


def test_what_is_short_is_on_one_line() -> None:
    """Blocks show the structure, and an item of a list takes a line."""
    values: Any = {
        "zookeeper": {
            "empty": {},
            "volumes": [{"name": "spool", "emptyDir": {"sizeLimit": "4Gi"}}, {"name": "a" * 60, "value": "b" * 60}],
        }
    }
    assert dump(values).splitlines() == [
        "zookeeper:",
        "  empty: {}",
        "  volumes:",
        "    - {name: spool, emptyDir: {sizeLimit: 4Gi}}",
        f"    - name: {'a' * 60}",
        f"      value: {'b' * 60}",
    ]
