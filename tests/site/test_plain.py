"""Where the surroundings are plain: no scripts, a folder instead of a server, paper."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from visits import VIEW, Visit, Visitor

# Width and height of every picture in each element; zeros for an element without one.
SIZES = """
(elements, picture) => elements.flatMap((element) => {
  const found = [...element.querySelectorAll(picture)].map((each) => each.getBoundingClientRect());
  return found.length ? found.map(({ width, height }) => [width, height]) : [[0, 0]];
})
"""


@pytest.fixture(scope="module")
def from_folder(visitor: Visitor, page_path: str) -> Iterator[Visit]:
    """A page opened as a file, in dark."""
    with visitor.visit(page_path, scheme="file", theme="dark") as visit:
        visit.page.wait_for_load_state("networkidle")
        yield visit


def test_reads_without_scripts(visitor: Visitor, html: Path, page_path: str) -> None:
    views = (html / page_path).read_text("utf8").count(VIEW)
    with visitor.visit(page_path, scripts=False) as visit:
        assert len(visit.page.locator("main").inner_text().strip()) > 20
        assert visit.page.locator("main .still").count() == views
        sizes = visit.page.locator("main .still").evaluate_all(SIZES, ":scope > svg")
        assert [size for size in sizes if size[0] <= 100 or size[1] <= 50] == []


def test_works_from_a_folder(from_folder: Visit) -> None:
    page = from_folder.page
    assert from_folder.elsewhere == []
    assert from_folder.complaints == []
    failed = "[...document.fonts].filter((f) => f.status === 'error').map((f) => f.family)"
    assert page.evaluate(failed) == []
    for figure in page.locator(".live-figure").all():
        slider = figure.locator(".noUi-handle").first
        before = figure.locator(".rflib").inner_html()
        slider.press(
            "ArrowRight"
            if slider.get_attribute("aria-valuenow") != slider.get_attribute("aria-valuemax")
            else "ArrowLeft"
        )
        assert figure.locator(".rflib").inner_html() != before


def test_prints(from_folder: Visit) -> None:
    """On white paper, whatever its reader looks at on the screen."""
    page = from_folder.page
    theme = "document.documentElement.dataset.theme"
    assert page.pdf(format="A4").startswith(b"%PDF")
    assert page.evaluate(theme) == "dark"
    page.emulate_media(media="print")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.evaluate(theme) == "light"
    assert not page.locator("#pst-primary-sidebar").is_visible()
    sizes = page.locator(".live-figure").evaluate_all(SIZES, ".rflib svg[role]")
    assert [size for size in sizes if size[0] <= 100] == []
