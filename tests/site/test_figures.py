"""Every control of every live figure, by keyboard, without a kernel: picture and numbers follow.

The tests know no figure. They find the controls on the page, reach them by Tab, move them by the
keys that a reader would use, and look whether the drawing and what it says have changed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise

from playwright.sync_api import Locator, Page
from visits import Visitor

CONTROLS = (
    ".noUi-handle, select, .widget-toggle-buttons button, input[type=checkbox], .rflib button"
)
STEPS = 2  # as many values of a slider from its lowest up, then the highest
# Where a control has nothing to say in some state, the figure has to say so.
ADMITS = re.compile(
    r"nothing (?:changes|to do)|no effect|stays the same|does not (?:matter|change)|unchanged", re.I
)

# What a reader sees: the pictures of the drawing, and what it says but for its buttons.
LOOK = """
(drawing) => {
  const pictures = [...drawing.querySelectorAll('svg, img, canvas')]
    .map((part) => part.tagName === 'CANVAS' ? part.toDataURL() : part.outerHTML);
  const copy = drawing.cloneNode(true);
  copy.querySelectorAll('button').forEach((part) => part.remove());
  return [pictures.join(), copy.textContent];
}
"""
# Each control is known by its key, and with it comes whether a reader could use it now.
# A drawing may write its own buttons anew: they go by their text.
KEYS = """
(figure, controls) => [...figure.querySelectorAll(controls)].map((control) => [
  control.dataset.key = control.closest('.rflib')
    ? `action ${control.textContent}`
    : control.dataset.key ?? `control ${window.controls = (window.controls ?? 0) + 1}`,
  control.checkVisibility({ visibilityProperty: true }) && !control.disabled
    && !control.closest('[disabled]')])
"""
# Where the focus is now: in no figure, or at which control and with what outline.
STOP = """
(figure) => {
  const here = document.activeElement;
  if (!figure.contains(here)) return null;
  const { outlineStyle, outlineWidth } = getComputedStyle(here);
  return [here.dataset.key ?? '', outlineStyle === 'none' ? 0 : parseFloat(outlineWidth)];
}
"""


@dataclass(frozen=True)
class Look:
    picture: str
    words: str


@dataclass(frozen=True)
class Figure:
    page: Page
    box: Locator

    def look(self) -> Look:
        return Look(*self.box.locator(".rflib").evaluate(LOOK))

    def controls(self) -> dict[str, bool]:
        """Every control by its key; true where a reader could use it now."""
        return dict(self.box.evaluate(KEYS, CONTROLS))

    def control(self, key: str) -> Locator:
        return self.box.locator(f'[data-key="{key}"]').first

    def press(self, key: str) -> None:
        """Press a key on the control that has the focus."""
        self.page.keyboard.press(key)


def name_of(control: Locator) -> str:
    names = "(c) => c.ariaLabel || c.labels?.[0]?.innerText || c.innerText || c.outerHTML"
    return control.evaluate(names)


def value_of(slider: Locator) -> int:
    return round(float(slider.get_attribute("aria-valuenow") or "nan"))


def presses(figure: Figure, control: Locator, keys: list[str]) -> list[Look]:
    """Press the keys one after the other; return what the figure shows before and after each."""
    control.focus()
    looks = [figure.look()]
    for key in keys:
        figure.press(key)
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
    figure.press("ArrowRight")
    step = value_of(slider) - low
    assert step > 0, f"{name}: ArrowRight"
    figure.press("Home")
    steps = min(STEPS, (high - low) // step)
    follow(name, presses(figure, slider, ["ArrowRight"] * steps))
    assert value_of(slider) == low + steps * step, f"{name}: ArrowRight"
    figure.press("End")
    assert value_of(slider) == high, f"{name}: End"
    figure.press("ArrowLeft")
    assert low <= value_of(slider) < high, f"{name}: ArrowLeft"
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
    """One button of a row of choices: choose another, then this one."""
    name = name_of(button)
    others = button.locator("xpath=../button[@aria-pressed='false']")
    if button.get_attribute("aria-pressed") == "true":
        others.first.press("Space")
    before = figure.look()
    button.press("Space")
    assert button.get_attribute("aria-pressed") == "true", f"{name}: Space"
    follow(name, [before, figure.look()])
    return True


def try_switch(figure: Figure, switch: Locator) -> bool:
    follow(name_of(switch), presses(figure, switch, ["Space", "Space"]))
    return True


def try_action(figure: Figure, button: Locator) -> bool:
    """A button that does something: it must show, from one state of the figure or another."""
    name = name_of(button)
    key = str(button.get_attribute("data-key"))
    before = figure.look()
    button.press("Enter")
    if figure.look() == before:
        move_something(figure)
        before = figure.look()
        figure.control(key).press("Enter")
    follow(name, [before, figure.look()])
    return True


def move_something(figure: Figure) -> None:
    """Bring the figure into another state: the last slider that has room goes one step."""
    sliders = [slider for slider in figure.box.locator(".noUi-handle").all() if slider.is_visible()]
    for slider in reversed(sliders):
        before = value_of(slider)
        slider.press("ArrowRight")
        if value_of(slider) != before:
            return


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
    """Tab from before the figure until past it; return the outline's width at each control."""
    figure.controls()
    figure.box.evaluate("""(figure) => {
        const before = document.createElement('span');
        before.tabIndex = -1;
        figure.before(before);
        before.focus();
    }""")
    stops: dict[str, float] = {}
    for _ in range(400):
        figure.press("Tab")
        stop = figure.box.evaluate(STOP)
        if stop is None:
            break
        key, outline = stop
        stops[key] = outline
    return stops


def open_up(figure: Figure, tried: set[str]) -> None:
    """Bring out what the start hides: more layers, another kind of layer."""

    def those(selector: str) -> Iterator[Locator]:
        for key in sorted(tried):
            control = figure.control(key)
            if figure.controls().get(key) and control.evaluate(f"c => c.matches('{selector}')"):
                yield control

    def more() -> bool:
        return any(usable and key not in tried for key, usable in figure.controls().items())

    for slider in those(".noUi-handle"):
        slider.press("End")
    for key, selector in (("Space", "input, .widget-toggle-buttons *"), ("End", "select")):
        for control in those(selector):
            if more():
                return
            control.press(key)


def try_figure(figure: Figure) -> None:
    stops: dict[str, float] = {}
    tried: set[str] = set()
    done: set[str] = set()
    for _ in range(3):
        stops |= tab_through(figure)
        # A control may go away while the ones before it are tried, and come back.
        for key in figure.controls():
            if key not in done and figure.controls().get(key):
                tried.add(key)
                control = figure.control(key)
                if trial(control)(figure, control):
                    done.add(key)
        open_up(figure, tried)
        if done == figure.controls().keys() and tried <= stops.keys():
            break
    assert figure.controls().keys() <= tried, "controls that nothing brings out"
    assert tried - stops.keys() == set(), "controls that Tab does not reach"
    assert {key for key in tried if stops[key] < 2} == set(), "no focus outline to be seen"


def test_every_control_is_live(visitor: Visitor, figure_page: str) -> None:
    with visitor.visit(figure_page) as visit:
        for box in visit.page.locator(".live-figure").all():
            try_figure(Figure(visit.page, box))
        assert visit.complaints == []
        assert visit.elsewhere == []
