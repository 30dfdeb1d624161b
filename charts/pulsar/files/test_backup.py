"""Waits until the admin port has a backup that holds a Pulsar cluster, for as long as the first one may take."""

import json
import sys
import time
import urllib.error
import urllib.request
from typing import Any


def ask(url: str) -> tuple[dict[str, Any], str]:
    """The newest backup, and what is wrong with it or with the answer; empty if all is well."""
    try:
        with urllib.request.urlopen(url, timeout=30) as reply:
            latest = json.load(reply)
        if "clusters" not in latest:
            return latest, f"{latest['uri']} was made before the service started"
        if not latest["clusters"]:
            return latest, f"{latest['uri']} holds no Pulsar cluster, /admin/clusters is empty"
    except urllib.error.HTTPError as error:
        return {}, f"{error.code}: {error.read().decode(errors='replace').strip()}"
    except (OSError, ValueError, KeyError) as error:
        return {}, str(error)
    return latest, ""


def main(url: str, patience: float) -> None:
    """Ask until all is well, for at most `patience` seconds."""
    deadline = time.monotonic() + patience
    while True:
        latest, fault = ask(url)
        if not fault:
            print(f"{latest['uri']}, {latest['size']} bytes, of {latest['time']}, with {', '.join(latest['clusters'])}")
            return
        if time.monotonic() > deadline:
            hint = "Initialise the metadata by `helm upgrade` with initialize=true, and wait for the next backup."
            sys.exit(f"error: no good backup at {url}. {fault}. {hint if 'Pulsar cluster' in fault else ''}")
        print(f"waiting for a backup at {url}: {fault}", flush=True)
        time.sleep(5)


main(sys.argv[1], float(sys.argv[2]))
