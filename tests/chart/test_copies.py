"""Other places of backups, as the chart's values say it."""

from typing import Any

import pytest

from metadata_tool.settings import Settings
from metadata_tool.store import parse_location
from metadata_tool.variables import OF_A_COPY
from support.helm import merged, nested, one, refusal, render

COPIES = "zookeeper.customTools.backup.copies"
ON = nested("zookeeper.customTools.backup.enable", value=True)
FULL = {
    "bucket": "s3a://copies/prod",
    "endpoint": "https://s3.example.com",
    "region": "eu-west-2",
    "secretName": "copy-keys",
    "settings": {"S3_STORAGE_CLASS": "STANDARD_IA", "S3_KMS_KEY_ID": "", "S3_OBJECT_ACL": None},
}


def rendered(*copies: dict[str, Any]) -> list[dict[str, Any]]:
    """The objects of a backup with these copies."""
    return render(merged(ON, nested(COPIES, list(copies))))


def test_program_reads_the_places() -> None:
    """The program takes each place with its settings, and its keys are mounted where it looks for them."""
    objects = rendered({"bucket": "file:///mnt/copies", "secretName": None, "settings": None}, FULL)
    data = one(objects, "ConfigMap", "snpe-pulsar-backup")["data"]
    directory, bucket = Settings(data).copies()
    assert ("file:///mnt/copies", "s3a://copies/prod") == (str(directory.location), str(bucket.location))
    options = bucket.options
    assert ("https://s3.example.com", "eu-west-2", "STANDARD_IA") == (
        options.endpoint_url,
        options.region,
        options.upload.storage_class,
    )
    spec = one(objects, "StatefulSet", "snpe-pulsar-backup")["spec"]["template"]["spec"]
    (mount,) = [each for each in spec["containers"][0]["volumeMounts"] if each["name"] == "copy-keys-1"]
    assert {"name": "copy-keys-1", "mountPath": str(options.credentials_dir), "readOnly": True} == mount
    (volume,) = [each for each in spec["volumes"] if each["name"] == "copy-keys-1"]
    assert "copy-keys" == volume["secret"]["secretName"]


def test_without_copies() -> None:
    """Without copies the program reads no variable of them."""
    assert "BACKUP_COPIES" not in one(rendered(), "ConfigMap", "snpe-pulsar-backup")["data"]


@pytest.mark.parametrize(
    ("copy", "said"),
    [
        ({"bucket": ""}, "copies[0].bucket is empty"),
        ({"bucket": "s3a://copies/a,b"}, "copies[0].bucket has a comma"),
        (FULL | {"endpoint": "s3.example.com"}, 'copies[0].endpoint is "s3.example.com"'),
        (
            FULL | {"settings": {"AWS_SECRET_ACCESS_KEY": "x"}},
            "copies[0].settings.AWS_SECRET_ACCESS_KEY does not exist",
        ),
        (FULL | {"settings": {"S3_CHECKSUMS": "x"}}, 'copies[0].settings.S3_CHECKSUMS is "x"'),
        (FULL | {"settings": {"S3_KMS_KEY_ID": "a;b"}}, "copies[0].settings.S3_KMS_KEY_ID has a comma or a semicolon"),
    ],
)
def test_wrong_places(copy: dict[str, Any], said: str) -> None:
    """A place that is not valid is refused, and the message names its value."""
    assert said in refusal(merged(ON, nested(COPIES, [copy])), 3)


def test_settings_are_those_of_the_program() -> None:
    """Each setting of a place may be in `settings`, except its keys, and VERIFY, which the chart has for all places."""
    names = {variable.name for variable in OF_A_COPY} - {"S3_CREDENTIALS_DIR", "VERIFY"}
    own = dict.fromkeys(names, "")
    assert "BACKUP_COPIES" in one(rendered(FULL | {"settings": own}), "ConfigMap", "snpe-pulsar-backup")["data"]


@pytest.mark.parametrize(
    ("restore", "read"),
    [
        ({"restorePoint": "s3a://copies/prod/metadata-backup-1623721488825.tar.gz"}, "s3a://copies/prod/"),
        ({"restorePoint": "s3://copies/prod/metadata-backup-1623721488825.tar.gz"}, "s3a://copies/prod"),
        ({"restorePoint": "latest", "bucket": "s3a://copies/prod/"}, "s3a://copies/prod"),
    ],
)
def test_restore_from_a_place(restore: dict[str, Any], read: str) -> None:
    """A restore, and its put-back, reach the place that they read by its own settings and keys, and no other place."""
    places = nested(COPIES, [{"bucket": "s3a://other", "secretName": "other-keys"}, FULL | {"bucket": read}])
    values = nested("zookeeper.customTools.restore", value={"enable": True, "putBack": {"enabled": True}, **restore})
    objects = render(merged(places, values, nested("components.broker", value=True)))
    (job,) = [each for each in objects if each["kind"] == "Job" and "put-back" in each["metadata"]["name"]]
    statefulset = one(objects, "StatefulSet", "snpe-pulsar-zookeeper")
    for owner, containers in ((job, "containers"), (statefulset, "initContainers")):
        spec = owner["spec"]["template"]["spec"]
        container = spec[containers][0]
        name = container["envFrom"][0]["configMapRef"]["name"]
        options = Settings(one(objects, "ConfigMap", name)["data"]).store(parse_location("s3a://copies/prod")).options
        assert ("https://s3.example.com", "eu-west-2") == (options.endpoint_url, options.region)
        mounts = [each for each in container["volumeMounts"] if each["name"].startswith("copy-keys")]
        path = str(options.credentials_dir)
        assert [{"name": "copy-keys-1", "mountPath": path, "readOnly": True}] == mounts
        volumes = {each["name"]: each for each in spec["volumes"] if each["name"].startswith("copy-keys")}
        assert {"copy-keys-1": "copy-keys"} == {name: each["secret"]["secretName"] for name, each in volumes.items()}


def test_restore_from_elsewhere() -> None:
    """A restore that reads no place of copies gets no settings and no keys of one."""
    point = {"enable": True, "restorePoint": "s3a://copies/metadata-backup-1623721488825.tar.gz"}
    objects = render(merged(nested(COPIES, [FULL]), nested("zookeeper.customTools.restore", value=point)))
    assert "BACKUP_COPIES" not in one(objects, "ConfigMap", "snpe-pulsar-restore")["data"]
    assert "copy-keys" not in str(one(objects, "StatefulSet", "snpe-pulsar-zookeeper"))
