"""BookKeeper, brokers, proxies and the toolset: what helm renders for them, and the scripts in their pods."""

import subprocess
from pathlib import Path
from typing import Any

import pytest

from ci.chart import CHART
from support.helm import Manifest, merged, names, nested, one, refusal, refused_upgrade, render

ALL: dict[str, Any] = {"components": dict.fromkeys(("bookkeeper", "broker", "proxy", "toolset"), True)}
COMPONENTS = ("bookie", "broker", "proxy", "toolset")
S3 = {"driver": "aws-s3", "bucket": "offloads", "region": "eu-central-1", "secret": "offload-keys"}
OFFLOAD = {"images": {"broker": {"repository": "apachepulsar/pulsar-all"}}, "broker": {"storageOffload": S3}}
KEPT = nested("zookeeper.customTools.restore.scope", "bookies-kept")
COLLECT = "zookeeper.customTools.restore.collectGarbage"
HELD_ALWAYS = nested("bookkeeper.configData.gcWaitTime", 315_360_000_000)


def conf(manifests: list[Manifest], component: str, file: str) -> dict[str, str]:
    """The settings in a configuration file of a component."""
    text = one(manifests, "ConfigMap", f"snpe-pulsar-{component}")["data"][file]
    return dict(line.split("=", 1) for line in text.split())


def container(manifests: list[Manifest], component: str) -> Manifest:
    """The container of a component."""
    spec = one(manifests, "StatefulSet", f"snpe-pulsar-{component}")["spec"]["template"]["spec"]
    return dict(spec["containers"][0])


def checksums(values: dict[str, Any]) -> dict[str, str]:
    """What restarts the pods of each StatefulSet if it changes."""
    return {
        each["metadata"]["name"].removeprefix("snpe-pulsar-"): str(each["spec"]["template"])
        for each in render(merged(ALL, values))
        if each["kind"] == "StatefulSet"
    }


def test_only_zookeeper_by_default() -> None:
    """Whoever has bookies and brokers from another chart gets no second ones."""
    assert not [name for name in names(render()) for component in COMPONENTS if name.endswith(f"pulsar-{component}")]


@pytest.mark.parametrize("major", [3, 4])
def test_names_of_apache(major: int) -> None:
    """Services and StatefulSets are called as in Apache's chart."""
    found = names(render(ALL, major=major))
    assert {f"StatefulSet/snpe-pulsar-{component}" for component in COMPONENTS} <= found
    services = ("bookie", "broker", "broker-headless", "proxy")
    assert {f"Service/snpe-pulsar-{name}" for name in services} <= found


def test_zookeeper_stays_as_it_is() -> None:
    """Whatever else is started, the pods of ZooKeeper do not restart, and no Job runs again."""
    initialized = {"initialize": True}
    alone, beside = render(initialized), render(merged(ALL, initialized))
    name = "snpe-pulsar-zookeeper"
    assert one(alone, "StatefulSet", name) == one(beside, "StatefulSet", name)
    jobs = [[each for each in manifests if each["kind"] == "Job"] for manifests in (alone, beside)]
    assert jobs[0] == jobs[1]


@pytest.mark.parametrize(
    ("values", "restarted"),
    [
        (nested("bookkeeper.configData.gcWaitTime", "1000"), {"bookie"}),
        (nested("broker.configData.brokerDeleteInactiveTopicsEnabled", "false"), {"broker"}),
        (nested("broker.configData.PULSAR_MEM", "-Xmx1g"), {"broker"}),
        (nested("proxy.configData.httpNumThreads", 9), {"proxy"}),
        (nested("toolset.configData.useTls", "true"), {"toolset"}),
        (nested("zookeeper.config.tickTime", 3000), {"zookeeper"}),
        (nested("bookkeeper.replicaCount", 5), set()),
        (nested("zookeeper.customTools.backup.enable", value=True), {"backup"}),
    ],
)
def test_a_setting_restarts_only_what_uses_it(values: dict[str, Any], restarted: set[str]) -> None:
    """A changed setting changes the pods of one component."""
    before, after = checksums({}), checksums(values)
    assert restarted == {name for name, template in after.items() if before.get(name) != template}


def test_settings_and_environment() -> None:
    """In configData, settings become lines of the configuration, and names in capitals become environment."""
    values = nested("broker.configData", {"PULSAR_MEM": "-Xmx1g", "ttlDurationDefaultInSeconds": 1_000_000, "a": None})
    manifests = render(merged(ALL, values, nested("broker.configData.PULSAR_PREFIX_added", "setting")))
    found = conf(manifests, "broker", "broker.conf")
    assert ("1000000", "setting") == (found["ttlDurationDefaultInSeconds"], found["added"])
    assert not {"PULSAR_MEM", "a", "PULSAR_PREFIX_added"} & found.keys()
    assert "-Xmx1g" == one(manifests, "ConfigMap", "snpe-pulsar-broker-env")["data"]["PULSAR_MEM"]


def test_limit_of_znodes() -> None:
    """Clients of ZooKeeper have its limit of znodes, besides options of their own."""
    own = nested("broker.configData.PULSAR_EXTRA_OPTS", "-Da=b")
    manifests = render(merged(ALL, own, nested("zookeeper.juteMaxBuffer", 20_971_520)))

    def options(component: str) -> str:
        return str(one(manifests, "ConfigMap", f"snpe-pulsar-{component}-env")["data"]["PULSAR_EXTRA_OPTS"])

    assert "-Da=b -Djute.maxbuffer=20971520" == options("broker")
    assert options("bookie").endswith("-Djute.maxbuffer=20971520")


def test_own_options_of_java() -> None:
    """Options in configData.OPTS are added to those of the chart."""
    values = merged(ALL, OFFLOAD, nested("broker.storageOffload.serviceEndpoint", "https://s3.example.com"))
    found = container(render(merged(values, nested("broker.configData.OPTS", "-Da=b"))), "broker")["env"]
    assert {"name": "OPTS", "value": "-Djclouds.regions=eu-central-1 -Da=b"} in found


def test_configuration_store_of_its_own() -> None:
    """Brokers may have another configuration store than the ensemble."""
    own = nested("broker.configData.configurationMetadataStoreUrl", "zk:global:2181")
    found = conf(render(merged(ALL, own)), "broker", "broker.conf")
    assert "zk:global:2181" == found["configurationMetadataStoreUrl"]


@pytest.mark.parametrize(("bookies", "expected"), [(1, "1"), (3, None)])
def test_quorums_fit_the_bookies(bookies: int, expected: str | None) -> None:
    """With one bookie, topics have one copy. With more, the quorums are those of Pulsar."""
    found = conf(render(merged(ALL, nested("bookkeeper.replicaCount", bookies))), "broker", "broker.conf")
    for name in ("EnsembleSize", "WriteQuorum", "AckQuorum"):
        assert expected == found.get(f"managedLedgerDefault{name}")


@pytest.mark.parametrize("client", ["bookie", "broker"])
def test_ensemble_of_another_chart(client: str) -> None:
    """Bookies and brokers use the ensemble of zookeeper.connect, with its chroot."""
    external = {"components": {"zookeeper": False}, "zookeeper": {"connect": "zk-0,zk-1:2182/pulsar"}}
    manifests = render(merged(ALL, external))
    address = "zk-0:2181,zk-1:2182/pulsar"
    assert {"name": "ZOOKEEPER_SERVERS", "value": address} in container(manifests, client)["env"]
    assert f"zk:{address}" == conf(manifests, "broker", "broker.conf")["metadataStoreUrl"]
    assert f"metadata-store:zk:{address}" == conf(manifests, "bookie", "bookkeeper.conf")["metadataServiceUri"]


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        (
            {},
            {
                "managedLedgerOffloadDriver": "aws-s3",
                "s3ManagedLedgerOffloadBucket": "offloads",
                "s3ManagedLedgerOffloadRegion": "eu-central-1",
            },
        ),
        (
            {"driver": "S3", "serviceEndpoint": "http://s3:9000", "maxBlockSizeInBytes": 5242880},
            {
                "managedLedgerOffloadDriver": "S3",
                "managedLedgerOffloadBucket": "offloads",
                "managedLedgerOffloadRegion": "eu-central-1",
                "managedLedgerOffloadServiceEndpoint": "http://s3:9000",
                "managedLedgerOffloadMaxBlockSizeInBytes": "5242880",
            },
        ),
        (
            {
                "driver": "google-cloud-storage",
                "gcsServiceAccountSecret": "account",
                "managedLedgerOffloadAutoTriggerSizeThresholdBytes": 0,
            },
            {
                "managedLedgerOffloadDriver": "google-cloud-storage",
                "gcsManagedLedgerOffloadBucket": "offloads",
                "gcsManagedLedgerOffloadRegion": "eu-central-1",
                "gcsManagedLedgerOffloadServiceAccountKeyFile": "/etc/offload-account/google-service-account-key.json",
                "managedLedgerOffloadAutoTriggerSizeThresholdBytes": "0",
            },
        ),
    ],
)
def test_drivers_of_tiered_storage(more: dict[str, Any], expected: dict[str, str]) -> None:
    """Each driver gets its own names, and nothing that is not set."""
    manifests = render(merged(ALL, OFFLOAD, nested("broker.storageOffload", more)))
    found = conf(manifests, "broker", "broker.conf")
    assert expected == {name: value for name, value in found.items() if "Offload" in name}


@pytest.mark.parametrize("driver", ["aws-s3", "S3", "azureblob"])
def test_keys_of_tiered_storage_stay_in_their_secret(driver: str) -> None:
    """The drivers read their keys from the environment, which comes from the Secret."""
    manifests = render(merged(ALL, OFFLOAD, nested("broker.storageOffload.driver", driver)))
    keys = {
        each["name"]: each["valueFrom"]["secretKeyRef"]
        for each in container(manifests, "broker")["env"]
        if "valueFrom" in each
    }
    first = "AZURE_STORAGE_ACCOUNT" if driver == "azureblob" else "AWS_ACCESS_KEY_ID"
    name = "ACCESS_KEY_ID" if driver == "S3" else first
    assert {"name": "offload-keys", "key": first} == keys[name]


def test_s3_that_is_not_amazons() -> None:
    """With an endpoint, the driver knows one region, or it would ask Amazon before each request."""
    values = merged(ALL, OFFLOAD, nested("broker.storageOffload.serviceEndpoint", "https://s3.example.com"))
    assert {"name": "OPTS", "value": "-Djclouds.regions=eu-central-1"} in container(render(values), "broker")["env"]
    assert "OPTS" not in [each["name"] for each in container(render(merged(ALL, OFFLOAD)), "broker")["env"]]


def test_bookies_hold_garbage_collection_after_a_restore() -> None:
    """With bookies kept, nothing is collected until the operator says so, whatever else is set."""
    own = nested("bookkeeper.configData", {"gcWaitTime": 1000, "isForceGCAllowWhenNoSpace": "true"})
    held = conf(render(merged(ALL, own, KEPT)), "bookie", "bookkeeper.conf")
    assert ("315360000000", "false", "-1", "-1") == (
        held["gcWaitTime"],
        held["isForceGCAllowWhenNoSpace"],
        held["minorCompactionInterval"],
        held["majorCompactionInterval"],
    )
    released = merged(ALL, own, KEPT, nested("zookeeper.customTools.restore.collectGarbage", value=True))
    for values in (released, merged(ALL, own)):
        found = conf(render(values), "bookie", "bookkeeper.conf")
        assert ("1000", "true") == (found["gcWaitTime"], found["isForceGCAllowWhenNoSpace"])
        assert "minorCompactionInterval" not in found


def test_restore_is_visible() -> None:
    """`kubectl get statefulsets -L restore-version,restore-scope` shows a restore."""
    point = "s3a://bucket/backup-1623721488825.tar.gz"
    restore = nested("zookeeper.customTools.restore", {"enable": True, "restorePoint": point, "restoreVersion": 7})
    labels = one(render(restore), "StatefulSet", "snpe-pulsar-zookeeper")["metadata"]["labels"]
    assert ("7", "bookies-lost") == (labels["restore-version"], labels["restore-scope"])
    assert "restore-version" not in one(render(), "StatefulSet", "snpe-pulsar-zookeeper")["metadata"]["labels"]


def test_network_policies() -> None:
    """Bookies take connections of brokers, the toolset and each other alone, and brokers take those of clients, too."""
    manifests = render(merged(ALL, nested("networkPolicy.enabled", value=True)))

    def clients(component: str, port: str) -> list[str]:
        rules = one(manifests, "NetworkPolicy", f"snpe-pulsar-{component}")["spec"]["ingress"]
        peers = [peer for rule in rules if {"port": port} in rule["ports"] for peer in rule["from"]]
        return [peer.get("podSelector", {}).get("matchLabels", {}).get("component", "any") for peer in peers]

    assert ["bookie", "broker", "toolset"] == clients("bookie", "bookie")
    assert ["broker", "proxy", "toolset", "any"] == clients("broker", "pulsar")
    assert {"bookie", "broker", "toolset"} <= set(clients("zookeeper", "client"))


def test_monitors() -> None:
    """Prometheus finds the metrics of each component."""
    manifests = render(merged(ALL, nested("monitoring.podMonitor.enabled", value=True)))
    for component in ("bookie", "broker", "proxy"):
        ports = {port["name"] for port in container(manifests, component)["ports"]}
        endpoints = one(manifests, "PodMonitor", f"snpe-pulsar-{component}")["spec"]["podMetricsEndpoints"]
        assert {endpoint["port"] for endpoint in endpoints} <= ports


OF_BOOKIES = ("bookieId", "advertisedAddress", "useShortHostName", "journalDirectories")
REFUSED: list[tuple[dict[str, Any], str]] = [
    (
        nested("broker.configData.metadataStoreUrl", "zk:elsewhere"),
        "broker.configData.metadataStoreUrl is set by the chart",
    ),
    (
        nested("bookkeeper.configData.PULSAR_PREFIX_bookiePort", 1),
        "configData.PULSAR_PREFIX_bookiePort is set by the chart",
    ),
    (
        nested("broker.configData.brokerClientAuthenticationParameters", "token:abc"),
        "broker.configData.brokerClientAuthenticationParameters is a secret",
    ),
    (
        nested("proxy.configData.brokerClientTlsKeyStorePassword", "abc"),
        "proxy.configData.brokerClientTlsKeyStorePassword is a secret",
    ),
    (nested("broker.configData.AZURE_STORAGE_ACCESS_KEY", "abc"), "AZURE_STORAGE_ACCESS_KEY is a secret"),
    (nested("broker.configData.brokerServicePortTls", 6651), "configData.brokerServicePortTls is set by the chart"),
    (nested("proxy.configData.servicePortTls", 6651), "configData.servicePortTls is set by the chart"),
    (nested("broker.configData.basicAuthConf", "data:;base64,YTpi"), "broker.configData.basicAuthConf is a secret"),
    (nested("broker.configData.a", "one\ntwo"), "broker.configData.a has several lines"),
    *(
        (nested(f"bookkeeper.configData.{name}", "a"), f"bookkeeper.configData.{name} is set by the chart")
        for name in OF_BOOKIES
    ),
    (
        merged(KEPT, nested("bookkeeper.extraEnv", [{"name": "PULSAR_PREFIX_gcWaitTime", "value": "1"}])),
        "bookkeeper.extraEnv sets PULSAR_PREFIX_gcWaitTime, which the chart sets",
    ),
    (
        nested("broker.extraEnv", [{"name": "PULSAR_PREFIX_metadataStoreUrl", "value": "zk:elsewhere"}]),
        "broker.extraEnv sets PULSAR_PREFIX_metadataStoreUrl, which the chart sets",
    ),
    (
        nested("broker.configData.managedLedgerDefaultEnsembleSize", 4),
        "broker.configData.managedLedgerDefaultEnsembleSize is 4, but bookkeeper.replicaCount is 3",
    ),
    (nested("broker.ports.http", 6650), "are both 6650"),
    (nested("proxy.ports.https", 8443), "proxy.ports.https is set, but proxy.configData has no tlsCertificateFilePath"),
    (nested("broker.component", "bookie"), "broker.component is bookie, and another part of the release"),
    (nested("broker.storageOffload.driver", "aws-s3"), "broker.storageOffload.bucket is empty"),
    (
        nested("broker.storageOffload", S3),
        "the image apachepulsar/pulsar has no offloaders. Set images.broker.repository",
    ),
    (
        merged(OFFLOAD, nested("broker.storageOffload", {"serviceEndpoint": "http://s3", "region": ""})),
        "broker.storageOffload.region is empty, but serviceEndpoint is set",
    ),
    (
        merged(OFFLOAD, nested("broker.storageOffload.region", "eu -Dx")),
        'broker.storageOffload.region is "eu -Dx"',
    ),
    (
        merged(
            {"components": {"zookeeper": False}, "zookeeper": {"connect": "zk-0:2281"}},
            nested("zookeeper.customTools.backup", {"enable": True, "tls": {"enabled": True, "secretName": "tls"}}),
        ),
        "bookkeeper.configData.OPTS has no options for TLS to ZooKeeper. Set it to",
    ),
    ({"components": {"zookeeper": False}}, "zookeeper.connect is empty, but components.zookeeper is false"),
    (nested("broker.extraPodSpec.containers", []), "broker.extraPodSpec.containers would replace the chart's own"),
]


@pytest.mark.parametrize(("values", "said"), REFUSED, ids=[said for _, said in REFUSED])
def test_refusals(values: dict[str, Any], said: str) -> None:
    """A value that cannot work is refused by helm itself, in a line that names it."""
    assert said in refusal(merged(ALL, values), 3)


@pytest.mark.parametrize(
    "value", ["file:///etc/token/token", "tokenFile:/etc/token/token", "/etc/tls/password", "true", ""]
)
def test_files_of_secrets_are_no_secrets(value: str) -> None:
    """A setting may name the file of a secret."""
    assert render(merged(ALL, nested("broker.configData.brokerClientAuthenticationParameters", value)))


def merged_configuration(directory: Path, image: str, own: str, environment: dict[str, str]) -> list[str]:
    """What the function `configuration` of workload.sh prints."""
    script = (CHART / "files" / "workload.sh").read_text()
    for folder, text in (("/etc/pulsar", own), ("/pulsar/conf", image)):
        place = directory / folder.replace("/", "_")
        place.mkdir()
        (place / "a.conf").write_text(text)
        script = script.replace(f'"{folder}/$1"', f'"{place}/$1"')
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", f"{script}\nconfiguration a.conf"],
        env={"PATH": "/usr/bin:/bin", **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.splitlines()


def test_configuration_of_a_pod(tmp_path: Path) -> None:
    """The image's file, with the chart's settings and then those of PULSAR_PREFIX_ in place of its own, each once."""
    found = merged_configuration(
        tmp_path,
        "# a comment\nkept=image\nreplaced=image\nspaced = image\n#commented=image\n",
        "\nreplaced=chart=with=signs\nspaced=chart\nsecret=chart\ncommented=chart\n",
        {"PULSAR_PREFIX_secret": "a=b\\c", "PULSAR_PREFIX_added": "x y"},
    )
    expected = [
        "# a comment",
        "kept=image",
        "#commented=image",
        "replaced=chart=with=signs",
        "spaced=chart",
        "secret=a=b\\c",
        "commented=chart",
        "added=x y",
    ]
    assert sorted(expected) == sorted(line for line in found if line)


def test_wait_for_a_port() -> None:
    """A pod waits until one of the addresses accepts connections, and says for what."""
    script = (CHART / "files" / "workload.sh").read_text()
    call = f"{script}\nwait_for ZooKeeper '127.0.0.1:1,[::1]:1/chroot'"
    done = subprocess.run(
        ["timeout", "2", "bash", "-euo", "pipefail", "-c", call],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (124, "waiting for ZooKeeper at 127.0.0.1:1,[::1]:1/chroot\n") == (done.returncode, done.stdout)


def test_brokers_are_reached_inside() -> None:
    """The addresses in the metadata may be those of the proxies, so a proxy that used them would call itself."""
    outside = {"brokerServiceUrl": "pulsar+ssl://example.com:6651", "webServiceUrl": "https://example.com"}
    manifests = render(merged(ALL, nested("pulsar_metadata", outside)))
    inside = "snpe-pulsar-broker.default.svc.cluster.local"
    proxy, toolset = conf(manifests, "proxy", "proxy.conf"), conf(manifests, "toolset", "client.conf")
    assert {f"pulsar://{inside}:6650/"} == {proxy["brokerServiceURL"], toolset["brokerServiceUrl"]}
    assert {f"http://{inside}:8080/"} == {proxy["brokerWebServiceURL"], toolset["webServiceUrl"]}
    elsewhere = merged(nested("components.proxy", value=True), nested("pulsar_metadata", outside))
    assert outside["brokerServiceUrl"] == conf(render(elsewhere), "proxy", "proxy.conf")["brokerServiceURL"]


def test_brokers_of_another_chart_reach_the_bookies() -> None:
    """Without brokers of this release, the bookies take connections of the clients that the values name."""
    values = merged(nested("components.bookkeeper", value=True), nested("networkPolicy.enabled", value=True))
    rules = one(render(values), "NetworkPolicy", "snpe-pulsar-bookie")["spec"]["ingress"]
    assert {"podSelector": {}} in rules[0]["from"]


def test_shell_of_a_bookie() -> None:
    """`bin/bookkeeper shell` in a bookie's pod asks this cluster."""
    assert {"name": "BOOKIE_CONF", "value": "/tmp/bookkeeper.conf"} in container(render(ALL), "bookie")["env"]


def test_hold_is_visible() -> None:
    """`kubectl get statefulsets -L garbage-collection` shows the hold, and no pod restarts for the label."""
    held = one(render(merged(ALL, KEPT)), "StatefulSet", "snpe-pulsar-bookie")
    assert "held" == held["metadata"]["labels"]["garbage-collection"]
    assert "garbage-collection" not in held["spec"]["template"]["metadata"]["labels"]
    assert "garbage-collection" not in one(render(ALL), "StatefulSet", "snpe-pulsar-bookie")["metadata"]["labels"]


@pytest.mark.parametrize(
    ("then", "now", "said"),
    [
        (KEPT, {}, "bookies hold garbage collection since a restore with scope bookies-kept"),
        (KEPT, KEPT, ""),
        (KEPT, nested(COLLECT, value=True), ""),
        (KEPT, merged(KEPT, nested(COLLECT, value=True)), ""),
        ({}, {}, ""),
        (HELD_ALWAYS, HELD_ALWAYS, ""),
    ],
)
def test_hold_is_not_lifted_by_chance(tmp_path: Path, then: dict[str, Any], now: dict[str, Any], said: str) -> None:
    """Who only removes the values of a restore does not want the bookies to delete ledgers."""
    found = one(render(merged(ALL, then)), "ConfigMap", "snpe-pulsar-bookie")
    call = '{{- include "pulsar.validate.hold" (dict "root" . "found" (.Files.Get "found.json" | fromJson)) }}\n'
    refused = refused_upgrade(tmp_path, found, call, merged(ALL, now))
    assert said in refused if said else not refused


@pytest.mark.parametrize(
    ("version", "collect", "said"),
    [(1, True, ""), (2, True, "collectGarbage is true since the restore with version 1"), (2, False, "")],
)
def test_each_restore_is_held(tmp_path: Path, *, version: int, collect: bool, said: str) -> None:
    """Whoever lifted the hold after one restore does not lose later ledgers in the next."""
    point = "s3a://bucket/backup-1623721488825.tar.gz"
    restore = nested("zookeeper.customTools.restore", {"enable": True, "restorePoint": point, "scope": "bookies-kept"})
    found = one(render(merged(ALL, restore)), "StatefulSet", "snpe-pulsar-zookeeper")
    now = nested("zookeeper.customTools.restore", {"restoreVersion": version, "collectGarbage": collect})
    call = '{{- include "pulsar.validate.hold" (dict "root" . "restored" (.Files.Get "found.json" | fromJson)) }}\n'
    refused = refused_upgrade(tmp_path, found, call, merged(ALL, restore, now))
    assert said in refused if said else not refused


@pytest.mark.parametrize(
    ("then", "now", "said"),
    [
        (3, 3, ""),
        (3, 2, ""),
        (3, 5, ""),
        (3, 1, "bookkeeper.replicaCount is 1, and 3 bookies run. "),
    ],
)
def test_bookies_are_removed_one_by_one(tmp_path: Path, then: int, now: int, said: str) -> None:
    """All copies of a ledger may be on two bookies that are removed at once."""
    count = "bookkeeper.replicaCount"
    found = one(render(merged(ALL, nested(count, then))), "StatefulSet", "snpe-pulsar-bookie")
    call = '{{- include "pulsar.validate.bookies" (dict "root" . "found" (.Files.Get "found.json" | fromJson)) }}\n'
    refused = refused_upgrade(tmp_path, found, call, merged(ALL, nested(count, now)))
    assert said in refused if said else not refused


@pytest.mark.parametrize(
    "value",
    [
        "tlsCertFile:/etc/tls/tls.crt,tlsKeyFile:/etc/tls/tls.key",
        '{"tlsCertFile":"/etc/tls/tls.crt","tlsKeyFile":"/etc/tls/tls.key"}',
        '{"privateKey":"file:///etc/key.json","issuerUrl":"https://example.com/oauth/token","audience":"urn:a"}',
        '{"saslJaasClientSectionName":"PulsarClient", "serverType":"broker"}',
    ],
)
def test_parameters_that_name_files(value: str) -> None:
    """Parameters of a login that name only files are not refused as secrets."""
    assert render(merged(ALL, nested("broker.configData.brokerClientAuthenticationParameters", value)))


@pytest.mark.parametrize(
    "value",
    [
        '{"userId":"a","password":"b"}',
        '{"privateKey":"data:application/json;base64,e30=","issuerUrl":"https://example.com"}',
        '{"clientSecret": "b"}',
        "keyStoreType:JKS,keyStorePath:/a,keyStorePassword:b",
    ],
)
def test_parameters_with_secrets(value: str) -> None:
    """Parameters of a login that contain a secret are refused."""
    values = merged(ALL, nested("broker.configData.brokerClientAuthenticationParameters", value))
    assert "brokerClientAuthenticationParameters is a secret" in refusal(values, 3)


def bookie(directory: Path, *, cookie: bool, volumes: tuple[str, ...]) -> str:
    """What bookkeeper.sh says, in a pod whose volumes have data, until it starts the bookie or waits."""
    for folder in ("bin", "tmp", "conf", *(f"data/bookkeeper/{name}/current" for name in volumes)):
        (directory / folder).mkdir(parents=True)
    for name in volumes:
        (directory / f"data/bookkeeper/{name}/current/VERSION").touch()
    for name in ("bookkeeper.sh", "workload.sh"):
        text = (CHART / "files" / name).read_text()
        for place, own in (
            ("/tmp", "tmp"),
            ("/etc/pulsar", "conf"),
            ("/pulsar/conf", "conf"),
            ("/pulsar/data", "data"),
        ):
            text = text.replace(f"{place}/", f"{{here}}/{own}/")
        (directory / name).write_text(text.replace("{here}", str(directory)))
    (directory / "conf/bookkeeper.conf").write_text("bookiePort=3181\n")
    for name, line in {
        "bin/bookkeeper": f'[ "$2" != cookie_get ] || {str(cookie).lower()}',
        "bin/pulsar": 'echo "started $1"',
        "bin/hostname": "echo bookie-0",
        "bin/timeout": "true",
    }.items():
        (directory / name).write_text(f"#!/bin/bash\n{line}\n")
        (directory / name).chmod(0o755)
    done = subprocess.run(
        ["/usr/bin/timeout", "2", "bash", "bookkeeper.sh"],
        cwd=directory,
        env={"PATH": f"{directory}/bin:/usr/bin:/bin", "ZOOKEEPER_SERVERS": "zk:2181"},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout + done.stderr


@pytest.mark.parametrize(
    ("cookie", "volumes", "said"),
    [
        (False, (), "started bookie\n"),
        (True, ("journal", "ledgers"), "started bookie\n"),
        (True, (), "bookie bookie-0:3181 had data, but these of its volumes are empty: journal ledgers."),
        (True, ("journal",), "but these of its volumes are empty: ledgers."),
        (True, ("ledgers",), "but these of its volumes are empty: journal."),
    ],
)
def test_a_bookie_that_lost_a_volume_waits(
    tmp_path: Path, *, cookie: bool, volumes: tuple[str, ...], said: str
) -> None:
    """It starts if both of its volumes have its data, or if it is new."""
    assert said in bookie(tmp_path, cookie=cookie, volumes=volumes)
