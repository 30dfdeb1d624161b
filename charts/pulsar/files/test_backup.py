"""Waits until the admin port has a backup that holds a Pulsar cluster, for as long as the first one may take."""

import json
import sys
import time
import urllib.error
import urllib.request
from typing import Any

INITIALISE = "Initialise the metadata by `helm upgrade` with initialize=true, and wait for the next backup."
DECIDE = "Read why in the log of the backup's pod, then accept it by `metadata-tool accept`, or repair ZooKeeper."
READ_THE_LOG = "Read the log of the backup's pod."


def ask(url: str) -> tuple[dict[str, Any], str, str]:
    """The newest backup, what is wrong with it or with the answer, and what to do. Empty texts if all is well."""
    try:
        with urllib.request.urlopen(url, timeout=30) as reply:
            latest = json.load(reply)
        if suspect := latest.get("suspectBackup"):
            return latest, f"the newest one, {suspect['uri']}, is suspect", DECIDE
        if "clusters" not in latest:
            return latest, f"{latest['uri']} was made before the service started", READ_THE_LOG
        if not latest["clusters"]:
            return latest, f"{latest['uri']} holds no Pulsar cluster, because /admin/clusters is empty", INITIALISE
    except urllib.error.HTTPError as error:
        answer = error.read().decode(errors="replace").strip()
        return {}, f"the admin port answered {error.code} {answer}", READ_THE_LOG
    except (OSError, ValueError, KeyError) as error:
        return {}, f"the admin port gave no valid answer ({error})", READ_THE_LOG
    return latest, "", ""


def main(url: str, patience: float) -> None:
    """Ask until all is well, for at most `patience` seconds."""
    deadline = time.monotonic() + patience
    while True:
        latest, fault, hint = ask(url)
        if not fault:
            print(f"{latest['uri']}, {latest['size']} bytes, of {latest['time']}, with {', '.join(latest['clusters'])}")
            return
        if time.monotonic() > deadline:
            sys.exit(f"error: there is no valid backup yet, {fault}. {hint}")
        print(f"waiting for a valid backup, {fault}", flush=True)
        time.sleep(5)


main(sys.argv[1], float(sys.argv[2]))
