"""The built book in a real browser: its pages, a server that plays a host, and visits to the pages.

Nothing here builds anything: the tests drive what `make book` wrote to `_build/html`.
"""

from __future__ import annotations

import functools
import http.server
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from chromium import FLAGS, find
from playwright.sync_api import Browser, sync_playwright
from visits import HTML, VIEW, Site, Visitor, measured, pages

MISSING = "no-built-book"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "page_path" in metafunc.fixturenames:
        metafunc.parametrize("page_path", pages() or [MISSING], scope="module")
    if "figure_page" in metafunc.fixturenames:
        metafunc.parametrize("figure_page", pages(having=VIEW) or [MISSING])


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker("site")
            item.add_marker("slow")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for line in measured:
        terminalreporter.write_line(line)


@pytest.fixture(scope="session")
def html() -> Path:
    if not pages():
        pytest.fail(f"there is no built book in {HTML}: run make book", pytrace=False)
    return HTML


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args: object) -> None:
        """Say nothing: the visits record what goes wrong."""


class Host(http.server.ThreadingHTTPServer):
    def handle_error(self, *where: object) -> None:
        """A browser that leaves a page while it loads breaks the connection; that is no error."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(*where)


@pytest.fixture(scope="session")
def site(html: Path) -> Iterator[Site]:
    handler = functools.partial(Quiet, directory=str(html))
    with Host(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield Site(html, f"http://127.0.0.1:{server.server_port}/")
        server.shutdown()


# For a module, not for all: while Playwright runs nothing else may run an event loop.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    path = find()
    if not path:
        pytest.fail("there is no Chromium: run make test, which gets one", pytrace=False)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(FLAGS))
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def visitor(browser: Browser, site: Site) -> Visitor:
    return Visitor(browser, site)
