"""Find the Chromium that the browser tests drive; run as a program, get one where there is none.

In this order: the program that the environment variable CHROMIUM names; on the PATH the headless
shell (the same engine without the windows, which starts and draws faster), chromium, google-chrome;
the build that Playwright has downloaded.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from playwright.sync_api import Error, sync_playwright

FLAGS = (
    "--no-sandbox",  # root has no sandbox, and the pages are the book's own
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def find() -> str | None:
    """The path of a Chromium, or None; Playwright's own counts when it has been downloaded."""
    names = ("chromium-headless-shell", "chromium", "google-chrome")
    found = [os.environ.get("CHROMIUM"), *map(shutil.which, names)]
    if path := next(filter(None, found), None):
        return path
    with sync_playwright() as playwright:
        own = playwright.chromium.executable_path
    return own if Path(own).exists() else None


def get() -> None:
    """Install one: from the system's packages as root on Debian, else Playwright's own build."""
    commands = [[sys.executable, "-m", "playwright", "install", "chromium"]]
    if os.name == "posix" and os.geteuid() == 0 and shutil.which("apt-get"):
        install = ["apt-get", "install", "-q", "-y", "--no-install-recommends", "fonts-liberation"]
        commands[:0] = [
            ["apt-get", "update", "-q"],
            [*install, "chromium-headless-shell"],
            [*install, "chromium"],  # where the shell has no package of its own
        ]
    quiet = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    for command in commands:
        print("There is no Chromium yet:", *command, flush=True)
        subprocess.run(command, env=quiet, stdin=subprocess.DEVNULL, check=False)
        if find():
            return


def version(path: str) -> str:
    """Start it as the tests do and ask for its version."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(FLAGS))
        try:
            return browser.version
        finally:
            browser.close()


def main() -> int:
    if not find():
        get()
    path = find()
    if not path:
        print("No Chromium was found and none could be installed.", file=sys.stderr)
        return 1
    try:
        print(f"Chromium {version(path)}: {path}")
    except Error as error:
        print(f"{path} does not start: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
