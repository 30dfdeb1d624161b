"""Keys of encrypted backups, as the chart's values say it: who gets which of them."""

from typing import Any

import pytest

from support.helm import containers, merged, nested, pods, refusal, render

TOOLS = "zookeeper.customTools"
RECIPIENT = "age1replacethisbyyourownpublickeyofage000000000000000000000000"
READING = {"secretName": "keys", "signed": True}
ON = merged(
    nested(f"{TOOLS}.backup.enable", value=True),
    nested(f"{TOOLS}.backup.drill.enabled", value=True),
    nested(f"{TOOLS}.backup.encryption", {"recipients": [RECIPIENT, RECIPIENT], "signingSecretName": "signing"}),
    nested(f"{TOOLS}.restore", {"enable": True, "restorePoint": "s3a://bucket/pulsar-1.tar.gz"}),
)
BOTH = merged(nested(f"{TOOLS}.restore.encryption", READING), nested(f"{TOOLS}.backup.drill.encryption", READING))
WRITER, READER = {"ENCRYPTION_RECIPIENT", "SIGNING_KEY_FILE"}, {"ENCRYPTION_IDENTITY_FILE", "SIGNING_PUBLIC_KEY_FILE"}


def keys(*values: dict[str, Any]) -> dict[str, tuple[set[str], set[str]]]:
    """Variables and mounts of keys by container, where there are any."""
    found = {}
    for _, spec in pods(render(merged(ON, *values))):
        for box in containers(spec):
            names = {each["name"] for each in box.get("env", [])} & (WRITER | READER)
            mounts = {each["name"] for each in box.get("volumeMounts", [])} & {"signing-key", "backup-keys"}
            assert mounts <= {each["name"] for each in spec.get("volumes", [])}
            if names or mounts:
                found[box["name"]] = names, mounts
    return found


def test_each_gets_only_its_keys() -> None:
    """The backup gets no private key of age, and a restore and drills get no key that signs."""
    assert {"backup": (WRITER, {"signing-key"})} == keys()
    assert {
        "backup": (WRITER, {"signing-key"}),
        "drill": (READER, {"backup-keys"}),
        "restore": (READER, {"backup-keys"}),
    } == keys(BOTH)


def test_restore_that_compares_with_tiered_storage() -> None:
    """What such a restore saves is encrypted and signed, too."""
    found = keys(BOTH, nested(f"{TOOLS}.restore.tieredStorage.reconcile", value=True))
    assert (WRITER | READER, {"signing-key", "backup-keys"}) == found["restore"]


def test_put_back() -> None:
    """What puts schemas back reads the backup as the restore does."""
    brokers = nested(f"{TOOLS}.backup.broker.serviceUrl", "http://broker:8080")
    found = keys(BOTH, brokers, nested(f"{TOOLS}.restore.putBack", {"enabled": True}))
    assert (READER, {"backup-keys"}) == found["put-back"]


def test_unsigned_backups() -> None:
    """Signatures are asked for unless the values say otherwise."""
    found = keys(BOTH, nested(f"{TOOLS}.restore.encryption.signed", value=False))
    assert {"ENCRYPTION_IDENTITY_FILE"} == found["restore"][0]


@pytest.mark.parametrize(
    ("encryption", "said"),
    [
        ({"recipients": [RECIPIENT], "signingSecretName": ""}, "encryption.signingSecretName is empty"),
        ({"recipients": [], "signingSecretName": "x"}, "encryption.recipients is empty"),
        (
            {"recipients": ["AGE-SECRET-KEY-1QQ"], "signingSecretName": "x"},
            "has a text that is not a public key of age",
        ),
    ],
)
def test_wrong_keys(encryption: dict[str, Any], said: str) -> None:
    """Values that do not fit are refused, and no key is repeated."""
    refused = refusal(merged(ON, nested(f"{TOOLS}.backup.encryption", encryption)), 3)
    assert said in refused
    assert "AGE-SECRET-KEY-1QQ" not in refused
