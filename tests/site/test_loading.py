"""A first visit to each page: whom it asks, what it says, what it weighs, when its figure is up."""

from __future__ import annotations

import gzip
from collections.abc import Iterator

import pytest
from visits import Visit, Visitor, measured

BUDGET = 700_000  # bytes, compressed, all files of a first visit
SLOWEST = (
    5_000  # ms until the first figure; the aim is 1,000, and a busy machine is no fault of the page
)


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
