"""Chart and program agree: limits, choices, and the variables that the chart sets itself."""

from collections.abc import Callable
from typing import Any

import pytest

from ci.chart import PROGRAM
from ci.chart_program import FREE, SECRET, choices, program, template
from metadata_tool.environment import Environment
from metadata_tool.errors import SettingError
from metadata_tool.settings import Settings
from metadata_tool.variables import VARIABLES, Variable
from support.helm import EVERYTHING, containers, merged, nested, one, pods, refusal, render

TOOLS = "zookeeper.customTools"
BOTH = merged(
    *(nested(f"{TOOLS}.{tool}.enable", value=True) for tool in ("backup", "restore")),
    nested(f"{TOOLS}.restore.restorePoint", "latest"),
    nested(f"{TOOLS}.backup.broker", {"enabled": True, "serviceUrl": "http://brokers:8080"}),
)
BY_NAME = {variable.name: variable for variable in VARIABLES}
SHARED = {
    "AWS_REGION",
    "SCRUB_REQUESTS",
    "TIERED_STORAGE_ADDRESSING_STYLE",
    "TIERED_STORAGE_ENDPOINT_URL",
    "TIERED_STORAGE_REGION",
}
"""Variables that the chart sets unless configData does."""
NEVER = {"ZOOKEEPER_ADMIN_ADDRESS"}
"""Variables that the chart leaves unset, because its members listen on all addresses."""


def test_generated_file_is_current() -> None:
    """The committed template is the one that `make docs` writes."""
    assert template() == PROGRAM.read_text()


def test_names_exist() -> None:
    """The variables that users may set, and those that are secret, are the program's or boto3's."""
    assert set(FREE) <= set(BY_NAME)
    assert {name for name in SECRET if not name.startswith("AWS_")} <= set(BY_NAME)


def test_secrets_are_known() -> None:
    """Every variable of the program that sounds like a secret is one."""
    assert {name for name in BY_NAME if name.endswith(("PASSWORD", "AUTH"))} <= set(SECRET)


def own(*values: dict[str, Any]) -> set[str]:
    """The variables that the chart sets in the containers of the program."""
    manifests = render(merged(*values))
    data = {name for each in manifests if each["kind"] == "ConfigMap" for name in each.get("data", {})}
    env = {each["name"] for _, spec in pods(manifests) for box in containers(spec) for each in box.get("env", [])}
    return (data | env) & BY_NAME.keys()


def test_chart_sets_what_users_must_not() -> None:
    """A variable is refused in configData if, and only if, the chart sets it from another value."""
    tls = {"enabled": True, "secretName": "tls"}
    sasl = {"mechanism": "DIGEST-MD5", "secretName": "login"}
    external = merged(
        {"components": {"zookeeper": False}, "zookeeper": {"connect": "zk-0:2281"}},
        nested(f"{TOOLS}.backup", {"enable": True, "tls": tls, "sasl": sasl}),
    )
    bare: dict[str, Any] = {
        tool: {"configData": None, "extraEnv": [], "extraEnvFrom": []} for tool in ("backup", "restore")
    }
    found = own(EVERYTHING, {"zookeeper": {"customTools": bare}}) | own(external)
    assert found - {*SECRET, *SHARED} == set(program()["set_by_chart"]) - NEVER - {"KRB5_CONFIG"}


SET_BY_CHART = program()["set_by_chart"]


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[pytest.mark.soak] if number % 6 else []) for number, name in enumerate(SET_BY_CHART)],
)
def test_refused(name: str) -> None:
    """Such a variable is refused by its name."""
    values = merged(BOTH, nested(f"{TOOLS}.restore.configData.{name}", "1"))
    assert f"restore.configData.{name} is set by the chart from other values. Remove it" in refusal(values, 3)


def tried(variable: Variable) -> list[str]:
    """Values at the limits of a variable, just outside of them, and others that it cannot have."""
    if variable.kind == "fraction":
        return ["0", "0.25", "1", "1.0", "1.1", "-1", ".5", "50%", "often"]
    if variable.low is None or variable.high is None:
        return [*variable.choices, "other"]
    return [str(each) for each in (variable.low - 1, variable.low, variable.high, variable.high + 1)] + ["often", "1.5"]


def accepts(variable: Variable, value: str) -> bool:
    """Whether the program accepts a value."""
    environment = Environment({variable.name: value})
    readers: dict[str, Callable[[Variable], object]] = {
        "number": environment.number,
        "fraction": environment.fraction,
        "choice": environment.choice,
        "switch": environment.choice,
    }
    try:
        readers[variable.kind](variable)
    except SettingError:
        return False
    return True


WHERE = {
    "BACKUP_INTERVAL": f"{TOOLS}.backup.backupInterval",
    "WEB_SERVER_PORT": f"{TOOLS}.backup.webServerPort",
    "SCRUB_INTERVAL": f"{TOOLS}.backup.scrub.interval",
    "BROKER_TIMEOUT": f"{TOOLS}.backup.broker.timeout",
    "BROKER_REQUESTS": f"{TOOLS}.backup.broker.requests",
    "BROKER_REQUEST_RATE": f"{TOOLS}.backup.broker.requestRate",
    "VERIFY": f"{TOOLS}.backup.verify",
    "RESTORE_SCOPE": f"{TOOLS}.restore.scope",
    "ZOOKEEPER_SASL_MECHANISM": f"{TOOLS}.backup.sasl.mechanism",
    **{
        name: f"{TOOLS}.backup.configData.{name}"
        for name in FREE
        if BY_NAME[name].kind in ("number", "fraction", "choice")
    },
}


ACCEPTED = {name: [value for value in tried(BY_NAME[name]) if accepts(BY_NAME[name], value)] for name in WHERE}
LOGIN = nested(f"{TOOLS}.backup.sasl.secretName", "login")


@pytest.mark.parametrize("number", range(max(map(len, ACCEPTED.values()))))
def test_same_values(number: int) -> None:
    """The chart accepts what the program accepts: one value of each variable at once."""
    taken = {name: values[number] for name, values in ACCEPTED.items() if number < len(values)}
    manifests = render(merged(BOTH, LOGIN, *(nested(WHERE[name], value) for name, value in taken.items())))
    for name, value in taken.items():
        tool = "restore" if ".restore." in WHERE[name] else "backup"
        assert (name, value) == (name, one(manifests, "ConfigMap", f"snpe-pulsar-{tool}")["data"][name])


@pytest.mark.parametrize(
    ("name", "value"),
    [(name, value) for name in WHERE for value in tried(BY_NAME[name]) if value not in ACCEPTED[name]],
)
def test_other_values(name: str, value: str) -> None:
    """It refuses the rest by the key's name."""
    path = WHERE[name]
    assert path.rpartition(".")[2] in refusal(merged(BOTH, LOGIN, nested(path, value)), 3)


SERVE = {"ZOOKEEPER_SERVERS": "zk", "BUCKET": "s3a://bucket", "BACKUP_PREFIX": "p"}
RESTORE = SERVE | {"RESTORE_POINT": "latest", "RESTORE_VERSION": "1", "ZOOKEEPER_DATA_DIR": "/data"}
TEXTS: dict[str, tuple[str, list[str]]] = {
    "BUCKET": (
        f"{TOOLS}.backup.bucket",
        [
            "s3://bucket/a/b/",
            "s3a://bucket//a",
            "s3a://bucket/..",
            "s3a://bucket/a b",
            "file:///a",
            "file:////a",
            "gs://a",
        ],
    ),
    "BACKUP_PREFIX": (f"{TOOLS}.backup.backupPrefix", ["p.", "-p", "p p", "a" * 200, "a" * 201, "a-suspect"]),
    "BROKER_SERVICE_URL": (
        f"{TOOLS}.backup.broker.serviceUrl",
        [
            "https://[::1]:8443/",
            "http://a",
            "a:8080",
            "http://",
            "http://a:0",
            "http://a/admin",
            "http://a?b",
            "http://a b",
        ],
    ),
    "RETENTION": (
        f"{TOOLS}.backup.retention",
        ["hours=48,daily=14", " last=3 , yearly=0", "", "daily", "daily=0", "daily=1,daily=2", "x=1", "daily=1,"],
    ),
    "MANAGED_LEDGER_PATH": (
        f"{TOOLS}.backup.managedLedgerPath",
        ["/a/b", "/ä b", "/", "a", "/a/", "/a//b", "/a/../b", "/.", "/a\tb", "/a\u2028b"],
    ),
    "RESTORE_POINT": (
        f"{TOOLS}.restore.restorePoint",
        [
            "latest",
            "s3a://bucket/a/p-1.tar.gz",
            "s3a://bucket/p-01.tar.gz",
            "file:///a/p-1.tar.gz",
            "file:///p-1.tar.gz",
        ],
    ),
    "RESTORE_VERSION": (f"{TOOLS}.restore.restoreVersion", ["a b", "ä", "a" * 101, "a\tb", "a\u200bb"]),
    "CLUSTER_NAME": ("pulsar_metadata.clusterName", ["prod", "a:b=c", "a b", "ä", "a/b", "a'b"]),
    "CLUSTER_SERVICE_URL": ("pulsar_metadata.webServiceUrl", ["http://a:8080/", "a:8080", "http://", "http://a b"]),
    "CLUSTER_BROKER_SERVICE_URL": ("pulsar_metadata.brokerServiceUrl", ["pulsar+ssl://a:1", "a", "pulsar://ä"]),
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, (_, values) in TEXTS.items() for value in values])
def test_same_texts(name: str, value: str) -> None:
    """A text that the program refuses is refused by the chart, by the key's name, and no other is."""
    path = TEXTS[name][0]
    values = merged(BOTH, nested(path, value))
    settings = Settings(RESTORE | {name: value})
    try:
        settings.serve()
        settings.restore()
    except SettingError:
        assert f"{'.'.join(path.split('.')[-2:])} is" in refusal(values, 3)
    else:
        assert render(values)


def test_choices_that_may_be_unset() -> None:
    """A variable without a default may be empty, too."""
    assert ["", "DIGEST-MD5", "GSSAPI"] == choices("ZOOKEEPER_SASL_MECHANISM")
    assert ["bookies-lost", "bookies-kept"] == choices("RESTORE_SCOPE")
