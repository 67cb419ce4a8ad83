"""Each page on a phone: what axe-core says, nothing too wide or small. And the search."""

from __future__ import annotations

from visits import PHONE, Visitor, axe

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

# Lines that begin with the punctuation behind a formula, or end with the bracket before one.
TORN = """
() => [...document.querySelectorAll('.bd-article .math:not(div) > mjx-container')]
  .flatMap((math) => [[math, 'next', 0], [math, 'previous', -1]])
  .filter(([math, side, at]) => {
    const words = math.parentElement[`${side}Sibling`];
    if (words?.nodeType !== Node.TEXT_NODE || /\\s/.test(words.data.at(at))) return false;
    const range = document.createRange(), first = at ? words.length - 1 : 0;
    range.setStart(words, first);
    range.setEnd(words, first + 1);
    const [here, there] = [math, range].map((part) => part.getBoundingClientRect());
    return here.height && (there.bottom < here.top || there.top > here.bottom);
  })
  .map(([math]) => math.closest('p, li, td, dd')?.textContent.slice(0, 150))
"""

SMALL_TARGETS = """
() => ['.noUi-handle', 'button', 'select', 'input', '[contenteditable]']
  .flatMap((target) => [...document.querySelectorAll(`.live-figure ${target}`)])
  .filter((element) => element.checkVisibility())
  .map((element) => [element, element.getBoundingClientRect()])
  .filter(([, box]) => Math.round(box.width) < 24 || Math.round(box.height) < 24)
  .map(([element, box]) => `${box.width} x ${box.height}: ${element.outerHTML.slice(0, 120)}`)
"""


def test_fits_a_phone(visitor: Visitor, page_path: str) -> None:
    with visitor.visit(page_path, viewport=PHONE) as visit:
        page = visit.page
        assert axe(page) == []
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
        assert page.evaluate(TOO_WIDE) == [], "wider than the window"
        assert page.evaluate(CUT_FORMULAS) == [], "formulas wider than the window"
        assert page.evaluate(TORN) == [], "formulas torn from their punctuation"
        assert page.evaluate(SMALL_TARGETS) == [], "targets under 24 pixels"
        small = "texts => texts.filter((t) => parseFloat(getComputedStyle(t).fontSize) < 12).length"
        assert page.locator(".live-figure svg text").evaluate_all(small) == 0


def test_search_finds_pages(visitor: Visitor) -> None:
    with visitor.visit("search.html?q=field") as visit:
        visit.page.wait_for_selector("#search-results li a", timeout=5_000)
        assert visit.elsewhere == []
        assert visit.complaints == []
