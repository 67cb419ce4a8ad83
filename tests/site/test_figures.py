"""Every control of every live figure, by keyboard, without a kernel: picture and numbers follow.

The tests know no figure. They find the controls on the page, reach them by Tab, move them by the
keys that a reader would use, and look whether the drawing and what it says have changed.
"""

from __future__ import annotations

from moves import TRIALS, Figure
from visits import Visitor

# From before the figure, as Tab comes to it.
FOCUS_BEFORE = """
(figure) => {
  const before = document.createElement('span');
  before.tabIndex = -1;
  figure.before(before);
  before.focus();
}
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


def tab_through(figure: Figure) -> dict[str, float]:
    """Tab from before the figure until past it; return the outline's width at each control."""
    figure.controls()
    figure.element.evaluate(FOCUS_BEFORE)
    stops: dict[str, float] = {}
    for _ in range(400):
        figure.press("Tab")
        stop = figure.element.evaluate(STOP)
        if stop is None:
            break
        key, outline = stop
        stops[key] = outline
    return stops


def open_up(figure: Figure, tried: set[str]) -> None:
    """Bring out what the start hides: more layers, another kind of layer."""
    for kinds, key in (({"slider"}, "End"), ({"switch", "choice"}, "Space"), ({"menu"}, "End")):
        for each in sorted(tried):
            controls = figure.controls()
            if kinds != {"slider"} and any(
                c.usable and c.key not in tried for c in controls.values()
            ):
                return
            if (control := controls.get(each)) and control.usable and control.kind in kinds:
                figure.press_on(control, key)


def try_figure(figure: Figure) -> None:
    stops: dict[str, float] = {}
    tried: set[str] = set()
    done: set[str] = set()
    for _ in range(3):
        stops |= tab_through(figure)
        # A control may go away while the ones before it are tried, and come back.
        for key in figure.controls():
            control = figure.controls().get(key) if key not in done else None
            if control and control.usable:
                tried.add(key)
                if TRIALS[control.kind](figure, control):
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
            try_figure(Figure(visit.page, box, box.element_handle()))
        assert visit.complaints == []
        assert visit.elsewhere == []
