"""zookeeper.conf and the environment of ZooKeeper: in force, completed, or refused with what to do."""

import subprocess
from pathlib import Path
from typing import Any

import pytest

from ci.chart import CHART
from support.helm import merged, nested, one, pods, refusal, render
from support.zookeeper import standalone

OWN = {
    "dataDir": "/pulsar/data/zookeeper",
    "clientPort": 2181,
    "admin.serverPort": "9990",
    "quorumListenOnAllIPs": True,
    "reconfigEnabled": True,
    "standaloneEnabled": False,
    "metricsProvider.className": "org.apache.zookeeper.metrics.prometheus.PrometheusMetricsProvider",
    "metricsProvider.httpPort": 8000,
}
"""Lines that the chart writes, and that values cannot change."""
RELIED = {
    "admin.enableServer": True,
    "admin.serverAddress": "0.0.0.0",
    "admin.commandURL": "/commands",
    "admin.forceHttps": False,
    "clientPortAddress": "0.0.0.0",
    "dataLogDir": "/pulsar/data/zookeeper",
    "db.autocreate": False,
    "peerType": "participant",
    "leaderServes": "yes",
    "readonlymode.enabled": False,
    "metricsProvider.httpHost": "0.0.0.0",
    "DigestAuthenticationProvider.enabled": True,
    "DigestAuthenticationProvider.digestAlg": "SHA1",
}
"""Settings that the chart does not write, and whose one value it relies on."""
NEVER = ["dynamicConfigFile", "DigestAuthenticationProvider.superDigest", "server.1", "group.1", "weight.1"]
JAVA_ONLY = ["znode.container.checkIntervalMs", "follower.nodelay", "leader.nodelay"]


def conf(values: dict[str, Any] | None = None) -> dict[str, str]:
    """The lines of zookeeper.conf."""
    text = one(render(values), "ConfigMap", "snpe-pulsar-zookeeper")["data"]["zookeeper.conf"]
    return dict(line.split("=", 1) for line in text.splitlines() if line)


def config(key: str, value: object) -> dict[str, Any]:
    """Values with one line of zookeeper.conf."""
    return {"zookeeper": {"config": {key: value}}}


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("tickTime", 4000, "4000"),
        ("autopurge.purgeInterval", 0, "0"),
        ("syncLimit", "20", "20"),
        ("snapshot.compression.method", "gz", "gz"),
        ("forceSync", False, "false"),
        ("maxClientCnxns", 0, "0"),
    ],
)
def test_line_in_force(key: str, value: object, expected: str) -> None:
    """A line that the chart does not rely on is in force, whatever its value, and no other changes."""
    assert conf() | {key: expected} == conf(config(key, value))


def test_logs_on_a_volume_of_their_own() -> None:
    """ZooKeeper has its logs on the volume for them, and zookeeper.config cannot put them elsewhere."""
    apart = nested("zookeeper.volumes.useSeparateDiskForTxlog", value=True)
    assert conf() | {"dataLogDir": "/pulsar/data-log"} == conf(apart)
    assert conf(apart) == conf(merged(apart, config("dataLogDir", "/pulsar/data-log")))
    assert "zookeeper.config.dataLogDir is set by the chart" in refusal(merged(apart, config("dataLogDir", "/x")), 3)


def test_null_is_no_line() -> None:
    """A line that is null counts as unset."""
    assert conf() == conf(config("tickTime", None)) == conf(config("dataDir", None))


@pytest.mark.parametrize(("key", "value"), OWN.items())
def test_own_lines(key: str, value: object) -> None:
    """A line of the chart may be repeated. Any other value is refused."""
    assert conf() == conf(config(key, value))
    assert f"zookeeper.config.{key} is set by the chart, because" in refusal(config(key, "other"), 3)


@pytest.mark.parametrize(("key", "value"), RELIED.items())
def test_relied_on(key: str, value: object) -> None:
    """A value that the chart relies on may be set. Any other value is refused, with the reason."""
    assert conf().keys() | {key} == conf(config(key, value)).keys()
    assert f"zookeeper.config.{key} cannot be set, because" in refusal(config(key, "other"), 3)


@pytest.mark.parametrize("key", NEVER)
def test_never(key: str) -> None:
    """What the members decide themselves is refused whatever its value."""
    said = refusal(config(key, "other"), 3)
    assert f"zookeeper.config.{key} cannot be set, because" in said
    assert "Remove it" in said


@pytest.mark.parametrize("key", JAVA_ONLY)
def test_java_only(key: str) -> None:
    """A name that ZooKeeper does not read from its configuration is refused with the way to set it."""
    said = refusal(config(key, 7), 3)
    assert f"zookeeper.config.{key} has no effect" in said
    assert f"Add -D{key}=7 to zookeeper.configData.PULSAR_EXTRA_OPTS" in said


def environment(values: dict[str, Any]) -> dict[str, str]:
    """The environment of bin/pulsar."""
    data: dict[str, str] = one(render(values), "ConfigMap", "snpe-pulsar-zookeeper-env")["data"]
    return data


def limits(values: dict[str, Any]) -> set[str]:
    """The limits of znodes that backup and restore know."""
    tools = nested("zookeeper.customTools", TOOLS)
    manifests = render(merged(values, tools))
    return {one(manifests, "ConfigMap", f"snpe-pulsar-{tool}")["data"]["JUTE_MAXBUFFER"] for tool in TOOLS}


def test_limit_of_znodes() -> None:
    """The limit is set for ZooKeeper, after all other options, and is known to backup and restore."""
    values = {"zookeeper": {"juteMaxBuffer": 20971520}}
    options = environment({})["PULSAR_EXTRA_OPTS"]
    assert {**environment({}), "PULSAR_EXTRA_OPTS": f"{options} -Djute.maxbuffer=20971520"} == environment(values)
    assert {"20971520"} == limits(values)
    no_options = merged(values, nested("zookeeper.configData", {"PULSAR_EXTRA_OPTS": None}))
    assert "-Djute.maxbuffer=20971520" == environment(no_options)["PULSAR_EXTRA_OPTS"]


@pytest.mark.parametrize(
    ("where", "value", "limit"),
    [
        ("configData", {}, "10485760"),
        ("configData", {"PULSAR_EXTRA_OPTS": "-Djute.maxbuffer=4194304"}, "4194304"),
        ("configData", {"PULSAR_MEM": "-Xmx1g -Djute.maxbuffer=5000000 -Xms1g"}, "5000000"),
        ("configData", {"PULSAR_MEM": "-Djute.maxbuffer=1", "PULSAR_GC": "-Djute.maxbuffer=5000000 -Xmx1g"}, "5000000"),
        ("configData", {"PULSAR_EXTRA_OPTS": "-Djute.maxbuffer=5000000 -Djute.maxbuffer=0x400000"}, "4194304"),
        ("configData", {"PULSAR_EXTRA_OPTS": "-Djute.maxbuffer=2147483647"}, "1073741823"),
        ("configData", {"PULSAR_EXTRA_OPTS": "-Djute.maxbuffer=10"}, "4096"),
        ("configData", {"OPTS": "-Djute.maxbuffer=5000000"}, "10485760"),
        ("extraEnv", [{"name": "PULSAR_EXTRA_OPTS", "value": "-Djute.maxbuffer=5000000"}], "5000000"),
        ("juteMaxBuffer", "5000000", "5000000"),
        ("juteMaxBuffer", None, "10485760"),
        ("juteMaxBuffer", "", "10485760"),
    ],
)
def test_limit_of_znodes_in_force(where: str, value: object, limit: str) -> None:
    """Backup and restore know the limit that is in force, wherever it is set. Without one, it is Pulsar's own."""
    assert {limit} == limits(nested(f"zookeeper.{where}", value))


def test_limit_of_znodes_restarts_members() -> None:
    """Members are restarted for the limit, and not as long as it is unset."""

    def annotations(values: dict[str, Any]) -> object:
        made = one(render(values), "StatefulSet", "snpe-pulsar-zookeeper")
        return made["spec"]["template"]["metadata"]["annotations"]

    unset = annotations({})
    assert unset == annotations({"zookeeper": {"juteMaxBuffer": None}})
    assert unset != annotations({"zookeeper": {"juteMaxBuffer": 20971520}})


@pytest.mark.parametrize("value", [4095, 1073741824, "4Mi", "0x400000"])
def test_limit_of_znodes_that_servers_do_not_take(value: object) -> None:
    """A limit outside the program's range is refused."""
    said = refusal({"zookeeper": {"juteMaxBuffer": value}}, 3)
    assert f'zookeeper.juteMaxBuffer is "{value}". It must be a number of bytes from 4096 to 1073741823' in said


def test_limit_of_znodes_twice() -> None:
    """A limit that is set twice, or would have no effect, is refused."""
    values = {"zookeeper": {"juteMaxBuffer": 5000000}}
    option = nested("zookeeper.configData.PULSAR_GC", "-Djute.maxbuffer=5000000")
    said = "zookeeper.juteMaxBuffer is set, but zookeeper.configData or zookeeper.extraEnv sets the Java property"
    assert said in refusal(merged(values, option), 3)
    extra = nested("zookeeper.extraEnv", [{"name": "PULSAR_EXTRA_OPTS", "value": "-Xss2m"}])
    assert "zookeeper.juteMaxBuffer has no effect, because zookeeper.extraEnv" in refusal(merged(values, extra), 3)
    assert "Set zookeeper.juteMaxBuffer to 7" in refusal(config("jute.maxbuffer", 7), 3)


def test_prefix_of_properties() -> None:
    """ZooKeeper puts the prefix of its Java properties before a name, so a name that has it is refused."""
    said = refusal(config("zookeeper.snapCount", 7), 3)
    assert "zookeeper.config.zookeeper.snapCount has no effect" in said
    assert "Set zookeeper.config.snapCount" in said


@pytest.mark.parametrize("key", ["metricsProvider.httpsPort", "observerMasterPort", "secureClientPort"])
@pytest.mark.parametrize("port", [2181, "2888", 3888, 8000, 9990])
def test_port_that_is_taken(key: str, port: object) -> None:
    """A port of the configuration that another listener has is refused. A free one is in force."""
    assert f"zookeeper.config.{key} is {port}, and ZooKeeper uses this port" in refusal(config(key, port), 3)
    assert "2281" == conf(config(key, 2281))[key]


@pytest.mark.parametrize(
    ("whitelist", "expected"),
    [
        ("srvr, mntr", "srvr, mntr, ruok"),
        ("stat", "stat, ruok, srvr"),
        ("ruok,srvr", "ruok, srvr"),
        ("*", "*"),
        ("mntr,*", "mntr, *"),
        ("", "ruok, srvr"),
        (None, "ruok, srvr, mntr"),
    ],
)
def test_whitelist_is_completed(whitelist: str | None, expected: str) -> None:
    """The commands of the probes are allowed, whatever else is."""
    assert expected == conf(config("4lw.commands.whitelist", whitelist))["4lw.commands.whitelist"]


@pytest.mark.parametrize("whitelist", ["mntr", "stat, conf"])
def test_probes_on_a_real_server(whitelist: str, tmp_path: Path) -> None:
    """With any list of allowed commands, the probes succeed."""
    key = "4lw.commands.whitelist"
    (pod,) = (spec for name, spec in pods(render(config(key, whitelist))) if name == "snpe-pulsar-zookeeper")
    with standalone("3.9.5", tmp_path, {key: conf(config(key, whitelist))[key]}) as server:
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            command = pod["containers"][0][probe]["exec"]["command"]
            here = [part.replace("/etc/zookeeper", str(CHART / "files")) for part in command]
            here[here.index("2181")] = str(server.port)
            done = subprocess.run(here, env={"PATH": "/usr/bin:/bin", "TMPDIR": str(tmp_path)}, check=False)
            assert 0 == done.returncode, probe


@pytest.mark.parametrize(
    "option",
    [
        "-Dzookeeper.admin.enableServer=false",
        "-Dzookeeper.db.autocreate=true",
        "-Dzookeeper.leaderServes=no",
        "-Dzookeeper.DigestAuthenticationProvider.superDigest=super:x",
        "-Dreadonlymode.enabled=true",
    ],
)
@pytest.mark.parametrize("where", ["configData", "extraEnv"])
def test_java_property(option: str, where: str) -> None:
    """A Java property that the chart relies on is refused by its name, wherever it is set."""
    options = f"-Dzookeeper.tcpKeepAlive=true {option}"
    variables: object = {"PULSAR_EXTRA_OPTS": options}
    if where == "extraEnv":
        variables = [{"name": "OPTS", "value": options}]
    name = option.removeprefix("-D").partition("=")[0]
    said = refusal(nested(f"zookeeper.{where}", variables), 3)
    assert f"zookeeper.configData or zookeeper.extraEnv sets the Java property {name}, which the members need" in said


@pytest.mark.parametrize("name", ["POD_NAME", "PULSAR_ZK_CONF", "ZOOKEEPER_DATA"])
def test_variables_of_the_scripts(name: str) -> None:
    """A variable that the chart's scripts read is refused."""
    said = f"zookeeper.configData or zookeeper.extraEnv sets {name}, which the chart sets itself. Remove it"
    assert said in refusal(nested(f"zookeeper.configData.{name}", "x"), 3)
    assert said in refusal(nested("zookeeper.extraEnv", [{"name": name, "value": "x"}]), 3)


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("PULSAR_PREFIX_tickTime", "tickTime"),
        ("PULSAR_PREFIX_4lw.commands.whitelist", "4lw.commands.whitelist"),
        ("tickTime", "tickTime"),
        ("autopurge.purgeInterval", "autopurge.purgeInterval"),
        ("4lw.commands.whitelist", "4lw.commands.whitelist"),
        ("dataDir", "dataDir"),
    ],
)
def test_setting_in_the_environment(name: str, key: str) -> None:
    """A setting of ZooKeeper's, as Pulsar's scripts or another chart take it, is refused with its place here."""
    said = (
        f"sets {name}, which has no effect, because they are the environment of bin/pulsar. Set zookeeper.config.{key}"
    )
    assert said in refusal({"zookeeper": {"configData": {name: "4000"}}}, 3)
    assert said in refusal({"zookeeper": {"extraEnv": [{"name": name, "value": "4000"}]}}, 3)
    assert render({"zookeeper": {"configData": {name: None}}})


@pytest.mark.parametrize("name", ["http_proxy", "PULSAR_LOG_LEVEL", "OPTS", "BOOKIE_MEM", "JAVA_HOME"])
def test_variable(name: str) -> None:
    """A variable is in the environment."""
    data = one(render(nested(f"zookeeper.configData.{name}", "x")), "ConfigMap", "snpe-pulsar-zookeeper-env")["data"]
    assert "x" == data[name]


TOOLS = {"backup": {"enable": True}, "restore": {"enable": True, "restorePoint": "latest"}}


@pytest.mark.parametrize("tool", TOOLS)
def test_prefix_of_pulsar_for_the_program(tool: str) -> None:
    """The program has no such settings either."""
    tools = merged(TOOLS, nested(f"{tool}.configData.PULSAR_PREFIX_bucket", "x"))
    said = refusal({"zookeeper": {"customTools": tools}}, 3)
    assert f"{tool}.configData.PULSAR_PREFIX_bucket has no effect" in said


@pytest.mark.parametrize("tool", TOOLS)
@pytest.mark.parametrize("name", ["WEB_SERVER_PORT", "BUCKET", "SPOOL_DIR", "ZOOKEEPER_SERVERS"])
def test_variables_that_the_chart_sets(tool: str, name: str) -> None:
    """A variable that the chart sets is refused in extraEnv, too, where it would win. A login is not."""

    def values(variable: str) -> dict[str, Any]:
        extra = nested(f"{tool}.extraEnv", [{"name": variable, "value": "/x"}])
        return {"zookeeper": {"customTools": merged(TOOLS, extra)}}

    assert f"{tool}.extraEnv sets {name}, which the chart sets from other values. Remove it" in refusal(values(name), 3)
    assert render(values("ZOOKEEPER_TLS_CA"))
