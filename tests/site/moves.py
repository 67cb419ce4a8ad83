"""Move the controls of a live figure as a reader would, and see that picture and numbers follow.

Nothing here knows a figure: its controls are found where it is shown, in the book or in JupyterLab.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise

from playwright.sync_api import ElementHandle, Locator, Page

# What a reader can move or press, by kind: the first selector that fits says which.
KINDS = {
    "slider": ".noUi-handle",
    "menu": "select",
    "choice": ".widget-toggle-buttons button",
    "switch": "input[type=checkbox]",
    "action": ".rflib button",
}
STEPS = 2  # as many values of a slider from its lowest up, then the highest
# Where a control has nothing to say in some state, the figure has to say so.
ADMITS = re.compile(
    r"nothing (?:changes|to do)|no effect|stays the same|does not (?:matter|change)|unchanged", re.I
)

# What a reader sees after the next frame: the pictures of the drawing, and what it says but for its
# buttons. A picture comes as a number that no other picture of the page has.
LOOK = """
async (figure) => {
  await new Promise(requestAnimationFrame);
  const drawing = figure.querySelector('.rflib');
  const pictures = [...drawing.querySelectorAll('svg, img, canvas')]
    .map((part) => part.tagName === 'CANVAS' ? part.toDataURL() : part.outerHTML).join();
  const seen = window.seenPictures ??= new Map();
  if (!seen.has(pictures)) seen.set(pictures, seen.size);
  const copy = drawing.cloneNode(true);
  copy.querySelectorAll('button').forEach((part) => part.remove());
  return [seen.get(pictures), copy.textContent];
}
"""
# Each control is known by its key, and with it comes whether a reader could use it now.
# A drawing may write its own buttons anew: they go by their text.
READ = """
(figure, kinds) => [...figure.querySelectorAll(Object.values(kinds).join())].map((control) => {
  control.dataset.key = control.closest('.rflib')
    ? `action ${control.textContent}`
    : control.dataset.key ?? `control ${window.controls = (window.controls ?? 0) + 1}`;
  const number = (name) => Math.round(control.getAttribute(`aria-value${name}`) ?? NaN);
  return {
    key: control.dataset.key,
    kind: Object.keys(kinds).find((kind) => control.matches(kinds[kind])),
    name: control.ariaLabel || control.labels?.[0]?.innerText || control.innerText
      || control.closest('.widget-slider')?.querySelector('label')?.innerText || control.outerHTML,
    usable: control.checkVisibility({ visibilityProperty: true }) && !control.disabled
      && !control.closest('[disabled]'),
    value: number('now'), low: number('min'), high: number('max'),
    options: control.options?.length ?? 0,
    chosen: control.getAttribute('aria-pressed') === 'true',
  };
})
"""
FOCUS = """
(figure, key) => {
  const control = figure.querySelector(`[data-key=${JSON.stringify(key)}]`);
  control?.focus();
  return Boolean(control);
}
"""


@dataclass(frozen=True)
class Look:
    picture: int
    words: str


@dataclass(frozen=True)
class Control:
    """What one control is now; `value`, `low` and `high` are a slider's."""

    key: str
    kind: str
    name: str
    usable: bool
    value: float
    low: float
    high: float
    options: int
    chosen: bool


@dataclass(frozen=True)
class Figure:
    """One figure of a page. Its element is asked itself: a locator searches the page each time."""

    page: Page
    box: Locator
    element: ElementHandle

    def look(self) -> Look:
        return Look(*self.element.evaluate(LOOK))

    def controls(self) -> dict[str, Control]:
        """Every control by its key."""
        found = (Control(**each) for each in self.element.evaluate(READ, KINDS))
        return {control.key: control for control in found}

    def value(self, slider: Control) -> float:
        return self.controls()[slider.key].value

    def focus(self, control: Control) -> None:
        """Focus a control, also one that its drawing has written anew since it was read."""
        if not self.element.evaluate(FOCUS, control.key):
            self.controls()
            assert self.element.evaluate(FOCUS, control.key), f"{control.name}: gone"

    def press(self, *keys: str) -> None:
        """Press keys on the control that has the focus."""
        for key in keys:
            self.page.keyboard.press(key)

    def press_on(self, control: Control, *keys: str) -> None:
        self.focus(control)
        self.press(*keys)

    def steps(self, control: Control, *keys: str) -> list[Look]:
        """Press the keys one after the other; what is shown before the first and after each."""
        self.focus(control)
        looks = [self.look()]
        for key in keys:
            self.press(key)
            looks.append(self.look())
        return looks


def follow(name: str, looks: list[Look]) -> None:
    """Each step must show; over all steps both the picture and the words must move."""
    for before, after in pairwise(looks):
        assert before != after or ADMITS.search(after.words), f"{name}: a step changes nothing"
    if not ADMITS.search(" ".join(look.words for look in looks)):
        assert len({look.picture for look in looks}) > 1, f"{name}: the picture stays the same"
        assert len({look.words for look in looks}) > 1, f"{name}: the numbers stay the same"


def try_keys(figure: Figure, slider: Control) -> bool:
    """The arrows, Home and End of a slider; False where it has no room to move."""
    name, low, high = slider.name, slider.low, slider.high
    if low == high:
        return False
    figure.press_on(slider, "Home")
    assert figure.value(slider) == low, f"{name}: Home"
    figure.press("ArrowRight")
    step = figure.value(slider) - low
    assert step > 0, f"{name}: ArrowRight"
    figure.press("Home")
    steps = min(STEPS, int((high - low) // step))
    follow(name, figure.steps(slider, *["ArrowRight"] * steps))
    assert figure.value(slider) == low + steps * step, f"{name}: ArrowRight"
    figure.press("End")
    assert figure.value(slider) == high, f"{name}: End"
    figure.press("ArrowLeft")
    assert low <= figure.value(slider) < high, f"{name}: ArrowLeft"
    return True


def try_slider(figure: Figure, slider: Control) -> bool:
    """A slider's keys, and the number beside it, into which one can type."""
    if not try_keys(figure, slider):
        return False
    read_out = figure.box.get_by_role("textbox", name=f"{slider.name}:").first
    read_out.fill(str(int(slider.value)))
    figure.press("Enter")
    assert figure.value(slider) == slider.value, f"{slider.name}: typing {slider.value}"
    return True


def try_menu(figure: Figure, menu: Control) -> bool:
    figure.press_on(menu, "Home")
    follow(menu.name, figure.steps(menu, *["ArrowDown"] * (menu.options - 1)))
    figure.press("Home")
    return menu.options > 1


def try_choice(figure: Figure, button: Control) -> bool:
    """One button of a row of choices: choose another, then this one."""
    if button.chosen:
        figure.element.evaluate(
            """(figure, key) => figure.querySelector(`[data-key=${JSON.stringify(key)}]`)
                .parentElement.querySelector("button[aria-pressed='false']").focus()""",
            button.key,
        )
        figure.press("Space")
    looks = figure.steps(button, "Space")
    assert figure.controls()[button.key].chosen, f"{button.name}: Space"
    follow(button.name, looks)
    return True


def try_switch(figure: Figure, switch: Control) -> bool:
    follow(switch.name, figure.steps(switch, "Space", "Space"))
    return True


def try_action(figure: Figure, button: Control) -> bool:
    """A button that does something: it must show, from one state of the figure or another."""
    before, after = figure.steps(button, "Enter")
    if after == before:
        move_something(figure)
        before, after = figure.steps(button, "Enter")
    follow(button.name, [before, after])
    return True


def move_something(figure: Figure) -> None:
    """Bring the figure into another state: the last slider that has room goes one step."""
    for slider in reversed(figure.controls().values()):
        if slider.kind == "slider" and slider.usable:
            figure.press_on(slider, "ArrowRight")
            if figure.value(slider) != slider.value:
                return


TRIALS = {
    "slider": try_slider,
    "menu": try_menu,
    "choice": try_choice,
    "switch": try_switch,
    "action": try_action,
}
