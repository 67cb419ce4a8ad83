"""Find the Chromium that the browser tests drive; run as a program, get one where there is none.

In this order: the program that the environment variable CHROMIUM names; on the PATH the headless
shell (the same engine without the windows, which starts and draws faster), chromium, google-chrome;
the build that Playwright has downloaded. With --packages only the system's packages are asked, and
nothing beyond Python's own library is imported: that can go on while the rest is installed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

FLAGS = (
    "--no-sandbox",  # root has no sandbox, and the pages are the book's own
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def installed() -> str | None:
    """The one that is named, or is on the PATH."""
    names = ("chromium-headless-shell", "chromium", "google-chrome")
    found = [os.environ.get("CHROMIUM"), *map(shutil.which, names)]
    return next(filter(None, found), None)


def find() -> str | None:
    """The path of a Chromium, or None; Playwright's own counts when it has been downloaded."""
    if path := installed():
        return path
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        own = playwright.chromium.executable_path
    return own if Path(own).exists() else None


def run(*command: str) -> None:
    """Run a command that may fail: what it should bring is looked for afterwards."""
    print("There is no Chromium yet:", *command, flush=True)
    quiet = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    subprocess.run(command, env=quiet, stdin=subprocess.DEVNULL, check=False)


def get_package() -> None:
    """Install one from the system's packages, as root on Debian and its like."""
    if os.name != "posix" or os.geteuid() != 0 or not shutil.which("apt-get"):
        return
    run("apt-get", "update", "-q")
    for package in ("chromium-headless-shell", "chromium"):  # not all systems have the shell
        if not installed():
            options = ("-q", "-y", "--no-install-recommends")
            run("apt-get", "install", *options, package, "fonts-liberation")


def version(path: str) -> str:
    """Start it as the tests do and ask for its version."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(FLAGS))
        try:
            return browser.version
        finally:
            browser.close()


def main() -> int:
    if sys.argv[1:] == ["--packages"]:  # before there is a Playwright
        if not installed():
            get_package()
        return 0
    from playwright.sync_api import Error

    if not find():
        get_package()
    if not find():
        run(sys.executable, "-m", "playwright", "install", "chromium")
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
