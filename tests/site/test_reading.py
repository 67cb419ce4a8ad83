"""Each page for every reader: axe-core in light, dark and on a phone; nothing too wide or small."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from playwright.sync_api import Page
from visits import DESK, PHONE, Visitor

AXE = Path(__file__).with_name("vendor") / "axe.min.js"
RUN_AXE = """
() => axe.run({ resultTypes: ['violations'] }).then(({ violations }) => violations.map(
  ({ id, help, nodes }) =>
  ({ id, help, count: nodes.length, where: nodes.slice(0, 3).map((n) => n.html.slice(0, 200)) })))
"""

# What stands out to the right of the window, or would if something did not hide it.
TOO_WIDE = """
() => [...document.querySelectorAll('.bd-article *')].filter((element) => {
    const box = element.getBoundingClientRect();
    if (!box.width || box.right <= innerWidth + 1) return false;
    for (let up = element.parentElement; up; up = up.parentElement)
      if (['auto', 'scroll'].includes(getComputedStyle(up).overflowX)) return false;
    return !element.closest('mjx-assistive-mml, .visually-hidden, .sr-only');
  }).slice(0, 5).map((element) => element.outerHTML.slice(0, 150))
"""

# Formulas on a line of their own that have to be scrolled.
CUT_FORMULAS = """
() => [...document.querySelectorAll('mjx-container[display="true"]')]
  .filter((formula) => formula.scrollWidth > formula.clientWidth + 1)
  .map((formula) => formula.textContent)
"""

# Pictures whose ground is not light: the first ancestor with a colour of its own decides.
DARK_GROUND = """
() => [...document.querySelectorAll('main img')].filter((image) => {
    if (image.closest('.only-light, .only-dark, .dark-light')) return false;
    for (let element = image; element; element = element.parentElement) {
      const color = getComputedStyle(element).backgroundColor;
      const [r, g, b, a = 1] = color.match(/[\\d.]+/g).map(Number);
      if (a > 0.5) return 0.2126 * r + 0.7152 * g + 0.0722 * b < 180;
    }
    return true;
  }).map((image) => image.src)
"""

SMALL_TARGETS = """
() => ['.noUi-handle', 'button', 'select', 'input', '[contenteditable]']
  .flatMap((target) => [...document.querySelectorAll(`.live-figure ${target}`)])
  .filter((element) => element.checkVisibility())
  .map((element) => [element, element.getBoundingClientRect()])
  .filter(([, box]) => Math.round(box.width) < 24 || Math.round(box.height) < 24)
  .map(([element, box]) => `${box.width} x ${box.height}: ${element.outerHTML.slice(0, 120)}`)
"""


AT_REST = "() => document.getAnimations().every((each) => each.playState !== 'running')"


def axe(page: Page) -> list[dict[str, Any]]:
    page.evaluate(AXE.read_text("utf8"))
    return page.evaluate(RUN_AXE)


def test_axe_finds_nothing(visitor: Visitor, page_path: str) -> None:
    """In the light page, and in the dark one that its own switch makes of it."""
    theme = "document.documentElement.dataset.theme"
    with visitor.visit(page_path, theme="light", viewport=DESK) as visit:
        page = visit.page
        assert page.evaluate(theme) == "light"
        assert axe(page) == []
        for _ in range(3):  # light, dark, as the system has it
            if page.evaluate(theme) != "dark":
                page.locator(".theme-switch-button:visible").first.click()
        assert page.evaluate(theme) == "dark"
        page.mouse.move(0, 0)  # off the button
        page.wait_for_function(AT_REST)  # its colours change by and by
        assert axe(page) == []
        assert page.evaluate(DARK_GROUND) == [], "pictures without a light ground"


def test_fits_a_phone(visitor: Visitor, page_path: str) -> None:
    with visitor.visit(page_path, viewport=PHONE) as visit:
        page = visit.page
        assert axe(page) == []
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
        assert page.evaluate(TOO_WIDE) == [], "wider than the window"
        assert page.evaluate(CUT_FORMULAS) == [], "formulas wider than the window"
        assert page.evaluate(SMALL_TARGETS) == [], "targets under 24 pixels"
        small = "texts => texts.filter((t) => parseFloat(getComputedStyle(t).fontSize) < 12).length"
        assert page.locator(".live-figure svg text").evaluate_all(small) == 0


def test_search_finds_pages(visitor: Visitor) -> None:
    with visitor.visit("search.html?q=field") as visit:
        visit.page.wait_for_selector("#search-results li a", timeout=5_000)
        assert visit.elsewhere == []
        assert visit.complaints == []
