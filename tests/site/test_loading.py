"""A first visit to each page: whom it asks, what it says, what it weighs, when its figure is up;
what axe-core finds in it, light and dark."""

from __future__ import annotations

import gzip
from collections.abc import Iterator

import pytest
from visits import Visit, Visitor, axe, measured

BUDGET = 700_000  # bytes, compressed, all files of a first visit
SLOWEST = (
    5_000  # ms until the first figure; the aim is 1,000, and a busy machine is no fault of the page
)

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

AT_REST = "() => document.getAnimations().every((each) => each.playState !== 'running')"


@pytest.fixture(scope="module")
def visit(visitor: Visitor, page_path: str) -> Iterator[Visit]:
    with visitor.visit(page_path) as visit:
        visit.page.wait_for_load_state("networkidle")
        yield visit


def test_asks_no_other_host(visit: Visit) -> None:
    assert visit.elsewhere == []


def test_nothing_is_missing(visit: Visit) -> None:
    assert [response.url for response in visit.responses if response.status >= 400] == []


def test_console_stays_empty(visit: Visit) -> None:
    assert visit.complaints == []


def test_weight(visit: Visit, page_path: str) -> None:
    files = {answer.url: answer.body() for answer in visit.responses if answer.url[:4] == "http"}
    sizes = {url: min(len(body), len(gzip.compress(body))) for url, body in files.items()}
    total = sum(sizes.values())
    measured.append(f"{page_path}: {total / 1000:.0f} kB compressed in {len(sizes)} files")
    heaviest = sorted(sizes.items(), key=lambda item: -item[1])[:8]
    assert total < BUDGET, f"{total} bytes; the heaviest: {heaviest}"


def test_first_figure_is_up_soon(visit: Visit, page_path: str) -> None:
    if not visit.page.locator(".live-figure").count():
        return
    up = visit.page.evaluate("window.firstFigure")
    measured.append(f"{page_path}: first figure after {up:.0f} ms")
    assert up < SLOWEST


def test_math_is_typeset(visit: Visit) -> None:
    wrong = "mjx-merror, mjx-container [data-mjx-error], mjx-container mtext[mathcolor='red']"
    assert visit.page.locator(wrong).count() == 0


def test_pictures_load(visit: Visit) -> None:
    broken = "images => images.filter((i) => !i.naturalWidth).map((i) => i.src)"
    visit.page.evaluate("document.querySelectorAll('img').forEach((i) => (i.loading = 'eager'))")
    visit.page.wait_for_function("[...document.images].every((image) => image.complete)")
    assert visit.page.locator("img").evaluate_all(broken) == []


def test_math_fonts_load(visit: Visit) -> None:
    failed = "[...document.fonts].filter((f) => f.status === 'error').map((f) => f.family)"
    assert visit.page.evaluate(failed) == []


def test_axe_finds_nothing(visit: Visit) -> None:
    """In the light page, and in the dark one that its own switch makes of it."""
    page = visit.page
    theme = "document.documentElement.dataset.theme"
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
