"""Every control of every live figure, by keyboard, without a kernel: picture and numbers follow.

The tests know no figure. They find the controls on the page, reach them by Tab, move them by the
keys that a reader would use, and look whether the drawing and what it says have changed.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

from playwright.sync_api import Locator, Page
from visits import Visitor

CONTROLS = (
    ".noUi-handle, select, .widget-toggle-buttons button, input[type=checkbox], .rflib button"
)
STEPS = 8  # as many values of a slider from its lowest up, then the highest
# Where a control has nothing to say in some state, the figure has to say so.
ADMITS = re.compile(
    r"nothing changes|no effect|stays the same|does not (?:matter|change)|unchanged", re.I
)

PICTURE = """
(drawing) => [...drawing.querySelectorAll('svg, img, canvas')]
  .map((part) => part.tagName === 'CANVAS' ? part.toDataURL() : part.outerHTML).join()
"""
WORDS = """
(drawing) => {
  const copy = drawing.cloneNode(true);
  copy.querySelectorAll('svg, img, canvas, button').forEach((part) => part.remove());
  return copy.textContent;
}
"""
# Tab from before the figure until the focus is past it; each stop with its outline.
STOP = """
(figure) => {
  const here = document.activeElement;
  if (!figure.contains(here)) return null;
  const { outlineStyle, outlineWidth } = getComputedStyle(here);
  const outline = outlineStyle === 'none' ? 0 : parseFloat(outlineWidth);
  return { number: here.dataset.control, outline };
}
"""


@dataclass(frozen=True)
class Look:
    picture: str
    words: str


@dataclass
class Figure:
    page: Page
    box: Locator

    def look(self) -> Look:
        drawing = self.box.locator(".rflib")
        return Look(drawing.evaluate(PICTURE), drawing.evaluate(WORDS))

    def controls(self) -> list[Locator]:
        """Return the controls that can be used now, each with a number that stays with it."""
        number = """(figure, [controls]) => [...figure.querySelectorAll(controls)].forEach((c) =>
            c.dataset.control ??= String(window.controls = (window.controls ?? 0) + 1))"""
        self.box.evaluate(number, [CONTROLS])
        usable = (c for c in self.box.locator(CONTROLS).all() if c.is_visible() and c.is_enabled())
        return list(usable)


def number_of(control: Locator) -> str:
    return str(control.get_attribute("data-control"))


def name_of(control: Locator) -> str:
    return control.evaluate(
        "(c) => c.ariaLabel || c.labels?.[0]?.innerText || c.innerText || c.outerHTML"
    )


def value_of(slider: Locator) -> int:
    return round(float(slider.get_attribute("aria-valuenow") or "nan"))


def presses(figure: Figure, control: Locator, keys: list[str]) -> list[Look]:
    """Press the keys one after the other; return what the figure shows before and after each."""
    control.focus()
    looks = [figure.look()]
    for key in keys:
        control.press(key)
        looks.append(figure.look())
    return looks


def follow(name: str, looks: list[Look]) -> None:
    """Each step must show; over all steps both the picture and the words must move."""
    for before, after in pairwise(looks):
        assert before != after or ADMITS.search(after.words), f"{name}: a step changes nothing"
    if not ADMITS.search(" ".join(look.words for look in looks)):
        assert len({look.picture for look in looks}) > 1, f"{name}: the picture stays the same"
        assert len({look.words for look in looks}) > 1, f"{name}: the numbers stay the same"


def try_slider(figure: Figure, slider: Locator) -> bool:
    low, high = (
        int(float(slider.get_attribute(f"aria-value{end}") or 0)) for end in ("min", "max")
    )
    if low == high:
        return False
    start, name = value_of(slider), name_of(slider)
    slider.press("Home")
    assert value_of(slider) == low, f"{name}: Home"
    follow(name, presses(figure, slider, ["ArrowRight"] * min(STEPS, high - low)))
    assert value_of(slider) == low + min(STEPS, high - low), f"{name}: ArrowRight"
    slider.press("End")
    assert value_of(slider) == high, f"{name}: End"
    slider.press("ArrowLeft")
    assert value_of(slider) == high - 1, f"{name}: ArrowLeft"
    read_out = figure.box.get_by_role("textbox", name=f"{name}:").first
    read_out.fill(str(start))
    read_out.press("Enter")
    assert value_of(slider) == start, f"{name}: typing {start} into the read-out"
    return True


def try_menu(figure: Figure, menu: Locator) -> bool:
    count = menu.locator("option").count()
    menu.press("Home")
    follow(name_of(menu), presses(figure, menu, ["ArrowDown"] * (count - 1)))
    menu.press("Home")
    return count > 1


def try_buttons(figure: Figure, button: Locator) -> bool:
    """One button of a row of choices: choosing it, then another, then it again."""
    name = name_of(button)
    others = button.locator("xpath=../button")
    other = next(o for o in others.all() if number_of(o) != number_of(button))
    chosen = button if button.get_attribute("aria-pressed") == "true" else other
    away, back = (other, button) if chosen is button else (button, other)
    looks = [figure.look()]
    for target in (away, back):
        target.press("Space")
        assert target.get_attribute("aria-pressed") == "true", f"{name}: Space"
        looks.append(figure.look())
    follow(name, looks)
    return True


def try_switch(figure: Figure, switch: Locator) -> bool:
    follow(name_of(switch), presses(figure, switch, ["Space", "Space"]))
    return True


def try_action(figure: Figure, button: Locator) -> bool:
    """A button that does something, once: what it does must show."""
    name = name_of(button)
    before = figure.look()
    button.press("Enter")
    follow(name, [before, figure.look()])
    return True


def trial(control: Locator) -> Callable[[Figure, Locator], bool]:
    kinds: tuple[tuple[str, Callable[[Figure, Locator], bool]], ...] = (
        (".noUi-handle", try_slider),
        ("select", try_menu),
        (".widget-toggle-buttons button", try_buttons),
        ("input", try_switch),
        ("button", try_action),
    )
    return next(
        kind for selector, kind in kinds if control.evaluate(f"c => c.matches('{selector}')")
    )


def tab_through(figure: Figure) -> dict[str, float]:
    """Tab through the figure; return the width of the outline at each control that it stops at."""
    figure.box.evaluate("""(figure) => {
        const before = document.createElement('span');
        before.tabIndex = -1;
        figure.before(before);
        before.focus();
    }""")
    stops: dict[str, float] = {}
    for _ in range(400):
        figure.page.keyboard.press("Tab")
        stop = figure.box.evaluate(STOP)
        if stop is None:
            break
        if stop["number"]:
            stops[stop["number"]] = stop["outline"]
    return stops


def open_up(figure: Figure, tried: set[str]) -> None:
    """Bring out what the start hides: more layers, another kind of layer."""
    for control in figure.controls():
        if number_of(control) in tried and control.evaluate("c => c.matches('.noUi-handle')"):
            control.press("End")
    for control in figure.controls():
        if any(number_of(c) not in tried for c in figure.controls()):
            return
        if control.evaluate("c => c.matches('input, .widget-toggle-buttons button')"):
            control.press("Space")
        elif control.evaluate("c => c.matches('select')"):
            control.press("End")


def try_figure(figure: Figure) -> None:
    stops = tab_through(figure)
    tried: set[str] = set()
    done: set[str] = set()
    for _ in range(3):
        for control in figure.controls():
            # A control may go away while the ones before it are tried, and come back.
            if number_of(control) in done or not control.is_visible():
                continue
            tried.add(number_of(control))
            if trial(control)(figure, control):
                done.add(number_of(control))
        open_up(figure, tried)
        stops |= tab_through(figure)
    hidden = [
        c.get_attribute("aria-label")
        for c in figure.box.locator(CONTROLS).all()
        if number_of(c) not in tried
    ]
    assert hidden == [], "controls that nothing brings out"
    assert [number for number in tried if number not in stops] == [], "not reached by Tab"
    assert [number for number in tried if stops[number] < 2] == [], "no focus outline to be seen"


def test_every_control_is_live(visitor: Visitor, page_path: str) -> None:
    with visitor.visit(page_path) as visit:
        for box in visit.page.locator(".live-figure").all():
            try_figure(Figure(visit.page, box))
        assert visit.complaints == []
        assert visit.elsewhere == []
