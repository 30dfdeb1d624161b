"""Asks the admin port for a backup, for as long as the first one may take."""

import json
import sys
import time
import urllib.error
import urllib.request

url, patience = sys.argv[1], float(sys.argv[2])
deadline = time.monotonic() + patience
while True:
    try:
        with urllib.request.urlopen(url, timeout=30) as reply:
            latest = json.load(reply)
        print(f"{latest['uri']}, {latest['size']} bytes, of {latest['time']}")
        break
    except urllib.error.HTTPError as error:
        said = f"{error.code}: {error.read().decode(errors='replace').strip()}"
    except (OSError, ValueError, KeyError) as error:
        said = str(error)
    if time.monotonic() > deadline:
        sys.exit(f"no backup at {url}: {said}")
    print(f"waiting for a backup at {url}: {said}", flush=True)
    time.sleep(5)
