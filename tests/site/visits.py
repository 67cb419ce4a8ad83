"""Visits to pages of the built book: open one as a reader would, and record what it does."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import Browser, ConsoleMessage, Page, Response, Route

ROOT = Path(__file__).parents[2]
HTML = Path(os.environ.get("BOOK_HTML", ROOT / "_build" / "html"))
VIEW = '<script type="application/vnd.jupyter.widget-view+json">'
DESK = {"width": 1280, "height": 900}
PHONE = {"width": 390, "height": 844}
LOCAL = {"http": "127.0.0.1", "file": ""}

# Noted before any script of the page runs: when the first live figure has its picture.
FIRST_FIGURE = """
new MutationObserver((_, observer) => {
  if (!document.querySelector('.live-figure svg, .live-figure canvas')) return;
  window.firstFigure = performance.now();
  observer.disconnect();
}).observe(document, { childList: true, subtree: true });
"""

# Scripts are through: widgets drawn where cells displayed some, math typeset where there is any.
READY = """
() => document.readyState === 'complete'
  && !document.querySelector('script[type="application/vnd.jupyter.widget-view+json"]')
  && [...document.querySelectorAll('.live-figure')].every((f) => f.querySelector('svg, canvas'))
  && [...document.querySelectorAll('.math')].every((m) => m.querySelector('mjx-container'))
"""


AXE = Path(__file__).with_name("vendor") / "axe.min.js"
RUN_AXE = """
() => axe.run({ resultTypes: ['violations'] }).then(({ violations }) => violations.map(
  ({ id, help, nodes }) =>
  ({ id, help, count: nodes.length, where: nodes.slice(0, 3).map((n) => n.html.slice(0, 200)) })))
"""

# Lines for the end of the report: what was measured, whatever the tests made of it.
measured: list[str] = []


def pages(having: str = 'id="main-content"') -> list[str]:
    """Return the book's pages; what has no main part is a redirect."""
    found = (path for path in HTML.rglob("*.html") if having in path.read_text("utf8"))
    return sorted(path.relative_to(HTML).as_posix() for path in found)


@dataclass(frozen=True)
class Site:
    html: Path
    http: str

    def address(self, page: str, scheme: str) -> str:
        return self.http + page if scheme == "http" else (self.html / page).as_uri()


@dataclass
class Visit:
    page: Page
    elsewhere: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    responses: list[Response] = field(default_factory=list)

    def hear(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            self.complaints.append(f"{message.type}: {message.text}")

    def guard(self, route: Route) -> None:
        address = urlsplit(route.request.url)
        if address.scheme in {"data", "blob"} or LOCAL.get(address.scheme) == (
            address.hostname or ""
        ):
            route.continue_()
        else:
            self.elsewhere.append(route.request.url)
            route.abort()


@dataclass(frozen=True)
class Visitor:
    browser: Browser
    site: Site

    @contextmanager
    def visit(
        self,
        path: str,
        *,
        scheme: str = "http",
        theme: str = "light",
        viewport: dict[str, int] = DESK,
        scripts: bool = True,
    ) -> Iterator[Visit]:
        """Open a page in a browser that has never been here, every other host cut off."""
        options: dict[str, Any] = {"viewport": viewport, "java_script_enabled": scripts}
        with self.browser.new_context(**options) as context:
            if scripts:
                context.add_init_script(FIRST_FIGURE)
                keys = ("mode", "theme")  # where the theme's own switch keeps what its reader chose
                chosen = "".join(f"localStorage.setItem('{key}', '{theme}');" for key in keys)
                context.add_init_script(chosen)
            context.set_default_timeout(5_000)
            context.set_default_navigation_timeout(30_000)
            page = context.new_page()
            visit = Visit(page)
            page.on("console", visit.hear)
            page.on("pageerror", lambda error: visit.complaints.append(f"exception: {error}"))
            page.on("response", lambda response: visit.responses.append(response))
            page.route("**/*", visit.guard)
            page.goto(self.site.address(path, scheme))
            if scripts:
                page.wait_for_function(READY, timeout=10_000)
            yield visit
            page.unroute_all(behavior="ignoreErrors")


def axe(page: Page) -> list[dict[str, Any]]:
    page.evaluate(AXE.read_text("utf8"))
    return page.evaluate(RUN_AXE)
