"""Every live figure in a real JupyterLab, with a kernel: picture and numbers follow each control.

`make check-lab` installs JupyterLab and runs this. `make test` does not: the packages of JupyterLab
are as many as half of the book's own.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from execute import VIEW, notebooks
from moves import TRIALS, Control, Figure, follow, try_keys
from playwright.sync_api import Browser, Locator, Page
from visits import ROOT

NOTEBOOKS = [
    path.relative_to(ROOT).as_posix() for path in notebooks() if VIEW in path.read_text("utf8")
]
MINUTES = 5 * 60_000  # for the slowest notebook on a slow machine, in milliseconds
# What runs is told at the top of the notebook, and by a star for a prompt.
BUSY = """
() => document.querySelector('.jp-Notebook-ExecutionIndicator')?.dataset.status === 'busy'
  || [...document.querySelectorAll('.jp-CodeCell .jp-InputPrompt')]
    .some((prompt) => prompt.textContent.includes('*'))
"""
CUT_LABELS = """
(figure) => [...figure.querySelectorAll('label, button, .widget-label')]
  .filter((label) => label.checkVisibility() && label.scrollWidth > label.clientWidth + 1)
  .map((label) => label.innerText)
"""


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a JupyterLab that has copies of the notebooks, without their outputs."""
    folder = tmp_path_factory.mktemp("lab")
    for name in NOTEBOOKS:
        copy = folder / name
        copy.parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, copy)
    subprocess.run(
        [sys.executable, "-m", "nbconvert", "--clear-output", "--inplace", *NOTEBOOKS],
        cwd=folder,
        check=True,
        capture_output=True,
    )
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root"]
    options = [
        f"--ServerApp.port={port}",
        "--IdentityProvider.token=",
        "--ServerApp.port_retries=0",
    ]
    # Otherwise cells out of sight are taken out of the page, and their figures with them.
    settings = folder / "settings" / "@jupyterlab" / "notebook-extension"
    settings.mkdir(parents=True)
    (settings / "tracker.jupyterlab-settings").write_text('{"windowingMode": "none"}')
    environment = os.environ | {"JUPYTERLAB_SETTINGS_DIR": str(folder / "settings")}
    log = folder / "log"
    with (
        log.open("w") as out,
        subprocess.Popen(
            [*command, *options], cwd=folder, env=environment, stdout=out, stderr=out
        ) as server,
    ):
        try:
            address = f"http://127.0.0.1:{port}/"
            wait_for(address + "api", server, log)
            yield address
        finally:
            server.terminate()


def wait_for(address: str, server: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(240):
        assert server.poll() is None, log.read_text()
        try:
            urllib.request.urlopen(address, timeout=5).close()
        except urllib.error.URLError:
            time.sleep(0.25)
        else:
            return
    pytest.fail(f"JupyterLab does not answer:\n{log.read_text()}")


def run_all(page: Page, address: str, figures: int) -> None:
    """Open a notebook and run it until so many figures are there and the kernel is done."""
    page.goto(address)
    page.locator(".jp-Notebook .jp-CodeCell").first.wait_for(timeout=MINUTES)
    page.get_by_text("| Idle").wait_for(timeout=MINUTES)  # before there is a kernel nothing runs
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
    there = "(n) => document.querySelectorAll('.rflib-figure .rflib').length === n"
    page.wait_for_function(there, arg=figures, timeout=MINUTES)
    page.wait_for_function(f"() => !({BUSY})()", timeout=MINUTES)


class Patient(Figure):
    """Presses no key before the kernel has answered the last: its answer may move a slider back."""

    def press(self, *keys: str) -> None:
        for key in keys:
            super().press(key)
            self.page.wait_for_timeout(50)
            self.page.wait_for_function(f"() => !({BUSY})()")


def try_click(figure: Figure, control: Control) -> bool:
    """A choice or a switch with the mouse: JupyterLab keeps the space bar."""
    target = figure.box.locator(f"[data-key='{control.key}']")
    if "mod-active" in (target.get_attribute("class") or ""):
        return False  # chosen already: nothing would change
    looks = [figure.look()]
    for _ in range(2 if control.kind == "switch" else 1):
        target.click()
        looks.append(figure.look())
    follow(control.name, looks)
    return True


def try_menu(figure: Figure, menu: Control) -> bool:
    """Choose each entry as with the mouse: JupyterLab keeps the arrow keys of a closed menu."""
    select = figure.box.locator(f"[data-key='{menu.key}']")
    looks = [figure.look()]
    for index in (*range(1, menu.options), 0):
        select.select_option(index=index)
        looks.append(figure.look())
    follow(menu.name, looks)
    return True


def try_figure(page: Page, box: Locator) -> None:
    figure = Patient(page, box, box.element_handle())
    clicks = {"menu": try_menu, "choice": try_click, "switch": try_click}
    trials = TRIALS | clicks | {"slider": try_keys}  # a read-out has no name there
    assert figure.element.evaluate(CUT_LABELS) == []
    done = 0
    for key in figure.controls():
        control = figure.controls().get(key)
        if control and control.usable:
            done += trials[control.kind](figure, control)
    assert done > 2, "hardly a control was moved"


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_figures_are_live(browser: Browser, lab: str, name: str) -> None:
    with browser.new_context(viewport={"width": 1400, "height": 2000}) as context:
        context.set_default_timeout(10_000)
        page = context.new_page()
        complaints: list[str] = []
        page.on("pageerror", lambda error: complaints.append(str(error)))
        wanted = (ROOT / name).read_text("utf8").count(VIEW)
        run_all(page, f"{lab}lab/tree/{name}?reset", wanted)
        assert page.locator(".jp-OutputArea-output[data-mime-type$=error]").all_inner_texts() == []
        for box in page.locator(".rflib-figure").all():
            box.scroll_into_view_if_needed()
            box.locator(".rflib svg, .rflib canvas").first.wait_for()
            try_figure(page, box)
        assert complaints == []
