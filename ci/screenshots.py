"""Takes pictures of the status page: each state, on a phone and a desktop, light and dark, by a real browser.

The pages come from the program's own event loop on loopback, with their headers, so that the browser applies the
policy which they name.
"""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from flask import Flask

from metadata_tool.admin_port.bounds import Bounds
from metadata_tool.admin_port.event_loop import EventLoop
from support.scenes import SCENES, now

TARGET = Path(__file__).resolve().parent.parent / ".venv" / "screenshots"
BROWSERS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
SIZES = {"phone": (390, 3600), "desktop": (1280, 2500)}
SCHEMES = {"light": "1", "dark": "0"}
"""Blink's numbers of preferred colour schemes."""


def main() -> int:
    """Take all pictures into TARGET, or only those of the states that are named as arguments."""
    browser = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, BROWSERS)), None)
    if not browser:
        print(
            "error: there is no Chromium. Install Debian's chromium-headless-shell, or set CHROMIUM.", file=sys.stderr
        )
        return 2
    TARGET.mkdir(parents=True, exist_ok=True)
    for state in sys.argv[1:] or SCENES:
        with serving(SCENES[state](now()).app()) as url:
            for device, size in SIZES.items():
                for scheme, number in SCHEMES.items():
                    picture = TARGET / f"{state}-{device}-{scheme}.png"
                    take(browser, url, picture, size, number)
                    print(picture)
    return 0


@contextmanager
def serving(app: Flask) -> Iterator[str]:
    """The address of an admin port with this app."""
    listener = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
    going = threading.Event()
    going.set()
    loop = EventLoop([listener], app, frozenset(), Bounds())
    thread = threading.Thread(target=loop.run, args=(going.is_set,))
    thread.start()
    try:
        yield url
    finally:
        going.clear()
        loop.wake()
        thread.join()


def take(browser: str, url: str, picture: Path, size: tuple[int, int], scheme: str) -> None:
    """Take one picture. A violation of the page's policy, or any other message of the browser, is an error."""
    with tempfile.TemporaryDirectory() as profile:
        done = subprocess.run(
            [
                browser,
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--hide-scrollbars",
                "--enable-logging=stderr",
                f"--user-data-dir={profile}",
                f"--blink-settings=preferredColorScheme={scheme}",
                f"--window-size={size[0]},{size[1]}",
                f"--screenshot={picture}",
                url,
            ],
            check=True,
            capture_output=True,
            text=True,
            timeout=120,
        )
    if told := [line for line in done.stderr.splitlines() if "CONSOLE" in line]:
        raise SystemExit("\n".join(("error: the browser reports what is wrong with the page.", *told)))


if __name__ == "__main__":
    sys.exit(main())
