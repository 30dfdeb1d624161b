"""zookeeper.connect: the chart and the program take the same addresses, and understand them in the same way."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from ci.chart import CHART
from metadata_tool.errors import SettingError
from metadata_tool.settings import Settings
from support.helm import Manifest, merged, nested, one, refusal, render, template

CALL = """{{- range $number, $text := .Files.Get "cases.json" | fromJsonArray }}
---
{{ dict "number" $number "parsed" (include "pulsar.connect.parse" $text | fromJson) | toJson }}
{{- end }}
"""
BACKUP = nested("zookeeper.customTools.backup.enable", value=True)
ACCEPTED = [
    "zk-0:2181,zk-1:2181,zk-2:2181",
    "zk-0",
    "zk-0:2181, zk-1:2181 ,\tzk-2",
    " zk-0:2181 ",
    "[fd00::1]:2181",
    "[fd00::1],[::ffff:10.0.0.1]:2182/pulsar",
    "10.0.0.1:02181",
    "zk-0.zk.ns.svc.cluster.local.:2181",
    "zk_0:1",
    "a:1/",
    "a:1/x/y//",
    "a:1/ä b",
    'a:1/it\'s $(HOME) "quoted"',
]
REFUSED = [
    "a/aa /",  # a blank at the end of a chroot would not reach the program
    ",",
    "a:1,",
    "a:1,,b:1",
    "/pulsar",
    "a:",
    "a:0",
    "a:65536",
    "a:999999",
    "a:b",
    "a:1:2",
    "::1",
    "fd00::1:2181",
    "[::1",
    "[zk]:2181",
    "a b:1",
    "a:1;b:1",
    "-a:1",
    "zk://a:1",
    "a:1//pulsar",
    "a:1/x//y",
    "a:1/../y",
    "a:1/x/.",
    "a:1/x\ny",
    "a:1/x\u2028y",
]
HOSTS = st.sampled_from(["zk-0", "a", "_b.c", "10.0.0.1", "[fd00::1]", "[::]", "d.", "-", "", "fd00::1", "[zk]", "e e"])
PORTS = st.sampled_from(["", ":2181", ":1", ":65535", ":0", ":65536", ":00001", ":x", ":", ":123456"])
BLANKS = st.sampled_from(["", " ", "\t", "\u00a0"])
CHROOTS = st.sampled_from(
    ["", "/", "/a", "/a/b/", "//", "/a//b", "/..", "/a/./b", "/ä b", "/a\tb", "/a,b", "/a:1", "/a\u200b"]
)
MEMBERS = st.lists(st.tuples(BLANKS, HOSTS, PORTS, BLANKS).map("".join), min_size=1, max_size=3).map(",".join)
ADDRESSES = st.tuples(MEMBERS, CHROOTS, BLANKS).map("".join) | st.text("a0.:-_[]/, \n", max_size=12)


def chart(directory: Path, texts: list[str]) -> list[dict[str, str]]:
    """What the chart makes of addresses: a problem, or the address with ports."""
    copy = directory / "chart"
    shutil.copytree(CHART, copy)
    for file in (copy / "templates").rglob("*.yaml"):
        file.unlink()
    (copy / "templates" / "call.yaml").write_text(CALL)
    (copy / "cases.json").write_text(json.dumps(texts))
    done = template({}, 3, chart=copy)
    assert 0 == done.returncode, done.stderr
    found = {each["number"]: each["parsed"] for each in yaml.safe_load_all(done.stdout) if each and "number" in each}
    return [found[number] for number in range(len(texts))]


def program(text: str) -> tuple[str, str] | None:
    """The hosts, with ports, and the chroot that the program understands. None if it refuses the address."""
    environment = {"ZOOKEEPER_SERVERS": text, "BUCKET": "s3a://bucket", "BACKUP_PREFIX": "p"}
    try:
        source = Settings(environment).job().source
    except SettingError:
        return None
    hosts = source.ensemble.servers.split(",")
    return ",".join(host if re.search(r"(^|[^:\[]):[0-9]+$", host) else f"{host}:2181" for host in hosts), source.chroot


def agree(directory: Path, texts: list[str]) -> None:
    """Assert that chart and program agree on addresses."""
    for text, parsed in zip(texts, chart(directory, texts), strict=True):
        understood = program(text)
        assert (understood is None) == bool(parsed["problem"]), text
        if understood:
            assert "".join(understood) == parsed["address"], text
            assert understood == program(parsed["address"]), text


def test_same_grammar(tmp_path: Path) -> None:
    """Both take these addresses, and refuse those."""
    agree(tmp_path, [*ACCEPTED, *REFUSED])
    assert all(program(text) for text in ACCEPTED)
    assert not any(program(text) for text in REFUSED)


@settings(max_examples=10, deadline=None)
@given(texts=st.lists(ADDRESSES, min_size=50, max_size=100))
def test_same_grammar_at_random(tmp_path_factory: pytest.TempPathFactory, texts: list[str]) -> None:
    """Both agree on any address."""
    agree(tmp_path_factory.mktemp("random"), texts)


def external(text: str) -> dict[str, Any]:
    """Values for an ensemble of another chart, with everything that connects to it."""
    return merged(BACKUP, {"initialize": True, "components": {"zookeeper": False}, "zookeeper": {"connect": text}})


@pytest.mark.parametrize("text", ACCEPTED)
def test_accepted(text: str) -> None:
    """The backup gets the address with a port for each host."""
    data = one(render(external(text)), "ConfigMap", "snpe-pulsar-backup")["data"]
    assert program(text) == program(data["ZOOKEEPER_SERVERS"])


@pytest.mark.parametrize("text", REFUSED)
def test_refused(text: str) -> None:
    """A wrong address is refused, with what is wrong."""
    said = refusal(external(text), 3)
    assert re.search(
        r"zookeeper.connect is .*, and its (member \d is not host:port|chroot is not the path of a znode)", said
    )


def initialize(text: str) -> Manifest:
    """The scripts of the Jobs that initialise."""
    return dict(one(render(external(text)), "ConfigMap", "snpe-pulsar-initialize")["data"])


def test_jobs_wait_for_any_host() -> None:
    """The Jobs ask a host without brackets, at its port."""
    script = initialize("[fd00::1], zk-0:2182/pulsar")["wait.sh"]
    assert "servers='[fd00::1]:2181,zk-0:2182'" in script
    assert "tr -d '[]'" in script


def test_chroot_is_one_word_of_a_shell() -> None:
    """A chroot with quotes reaches Pulsar's scripts as it is."""
    assert "--metadata-store 'zk:a:1/it'\\''s $(HOME)'" in initialize("a:1/it's $(HOME)")["init.sh"]
