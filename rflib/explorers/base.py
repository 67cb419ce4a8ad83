"""What every live figure is made of: controls, one drawing, and the links between them.

A figure NAME has two files beside this one. `_NAME.py` holds

    CONTROLS = (
        Slider("kernel", 1, 7, 3),
        Choice("mode", (("random", "random"), ("positive", "positive")), "random"),
        Switch("pool", True),
    )
    def state(**controls) -> State: ...   # pure, JSON-able, computed by rflib: the truth
    def NAME(**initial) -> Figure: return build("NAME", CONTROLS, state, initial)

and `NAME.js` holds the drawing and the same arithmetic (see base.js). Both `state` functions return
the same dict, exactly. Some of its keys mean something to this module:

    sentence  what the figure says in words (always there)
    bounds    {"unit": 4}: the largest value that the slider `unit` may take now. The state must be
              right for any value that it is given, so it takes the smaller of the two and returns
              it under the control's own name.
    shown     {"layer 3": False}: whether the group of controls of that name is visible

Controls are ipywidgets; jslink joins each to a trait of the drawing in the browser, so that they
also move it in a page without a kernel. With a kernel Python hears of each change and keeps
`drawing.numbers` up to date.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib.resources import files
from itertools import groupby
from math import ceil
from typing import Any

import anywidget
import ipywidgets
import traitlets

State = dict[str, Any]
StateFunction = Callable[..., State]


class _Plain:
    """A control whose value is what reaches the browser."""

    wire = "value"

    def to_wire(self, value: Any) -> Any:
        return value

    def from_wire(self, value: Any) -> Any:
        return value


@dataclass(frozen=True)
class Slider(_Plain):
    """A whole number from `low` to `high`; `dependent` if the state's `bounds` may lower `high`."""

    name: str
    low: int
    high: int
    value: int
    label: str = ""
    group: str = ""
    dependent: bool = False

    def values(self) -> tuple[int, ...]:
        return tuple(range(self.low, self.high + 1))

    def trait(self) -> traitlets.TraitType[Any, Any]:
        return traitlets.Int(self.value)

    def widget(self, value: int, **style: Any) -> ipywidgets.Widget:
        return ipywidgets.IntSlider(value=value, min=self.low, max=self.high, **style)


@dataclass(frozen=True)
class Choice:
    """One of a few options, (label, value) each: a row of buttons, with `menu=True` a list."""

    name: str
    options: tuple[tuple[str, Any], ...]
    value: Any
    label: str = ""
    group: str = ""
    menu: bool = False
    dependent = False

    def values(self) -> tuple[Any, ...]:
        return tuple(value for _, value in self.options)

    @property
    def wide(self) -> bool:
        """Whether it does not fit beside another control."""
        if self.menu:
            return any(len(text) > 24 for text, _ in self.options)
        return len(self.options) > 3

    def trait(self) -> traitlets.TraitType[Any, Any]:
        return traitlets.Int(self.to_wire(self.value))

    def widget(self, value: Any, **style: Any) -> ipywidgets.Widget:
        kind = ipywidgets.Dropdown if self.menu else ipywidgets.ToggleButtons
        return kind(options=list(self.options), index=self.to_wire(value), **style)

    # A selection's value stays in Python; what reaches the browser is its index.
    wire = "index"

    def to_wire(self, value: Any) -> int:
        return self.values().index(value)

    def from_wire(self, value: int) -> Any:
        return self.values()[value]


@dataclass(frozen=True)
class Switch(_Plain):
    """On or off: a check box."""

    name: str
    value: bool
    label: str = ""
    group: str = ""
    dependent = False

    def values(self) -> tuple[bool, ...]:
        return (False, True)

    def trait(self) -> traitlets.TraitType[Any, Any]:
        return traitlets.Bool(self.value)

    def widget(self, value: bool, **style: Any) -> ipywidgets.Widget:
        return ipywidgets.Checkbox(value=value, indent=False, **style)


Control = Slider | Choice | Switch


class Explorer(anywidget.AnyWidget):
    """The drawing of a figure, and in Python the numbers that it shows.

    It has one trait per control (a Choice by its index), `<name>_max` per dependent slider and
    `display_<i>` per group of controls. `numbers` is the state's dict and stays in Python.
    """

    _figure = traitlets.Unicode().tag(sync=True)
    _controls = traitlets.List(traitlets.Unicode()).tag(sync=True)
    _choices = traitlets.Dict().tag(sync=True)
    _groups = traitlets.List(traitlets.Unicode()).tag(sync=True)
    _data = traitlets.Any(None, allow_none=True).tag(sync=True)
    numbers = traitlets.Dict()

    # `<name>_max` starts at the slider's largest value ever, and the page lowers it: noUiSlider's
    # End key keeps to the range that a slider was made with, cut at its present one.
    _declared: tuple[Control, ...] = ()
    _state: StateFunction = dict

    def __init__(self, **values: Any) -> None:
        super().__init__(**values)
        self.observe(self._update, names=[control.name for control in self._declared])
        self.numbers = type(self)._state(**self.controls)

    @property
    def controls(self) -> dict[str, Any]:
        """The present value of every control, by name."""
        return {c.name: c.from_wire(getattr(self, c.name)) for c in self._declared}

    def _update(self, _change: object = None) -> None:
        numbers = type(self)._state(**self.controls)
        self.numbers = numbers
        for name, bound in numbers.get("bounds", {}).items():
            setattr(self, f"{name}_max", bound)
            setattr(self, name, numbers[name])
        for group, visible in numbers.get("shown", {}).items():
            setattr(self, f"display_{self._groups.index(group)}", "" if visible else "none")


class Figure(ipywidgets.VBox):
    """A figure as it is displayed: the controls, and below them `drawing`, the Explorer."""

    drawing: Explorer


def source(name: str) -> str:
    """The front-end module of figure `name`: base.js and NAME.js as one, without imports."""
    return "\n".join(_read(file) for file in ("base.js", f"{name}.js"))


def build(
    name: str,
    controls: tuple[Control, ...],
    state: StateFunction,
    initial: Mapping[str, Any],
    data: object = None,
) -> Figure:
    """One box with the controls, the drawing of figure `name`, and the links between them.

    `initial` maps names of controls to the values that they start with; ValueError for a value that
    a control cannot take. `data` is JSON that the drawing needs and cannot compute, a photograph
    say: its `state` is given it as `data`.
    """
    values = _starting_values(name, controls, initial)
    start = state(**values)
    values |= {bounded: start[bounded] for bounded in start.get("bounds", {})}
    widgets = {c.name: c.widget(values[c.name], **_style(c, controls)) for c in controls}
    groups = [title for title in dict.fromkeys(c.group for c in controls) if title]
    drawing = _drawing(name, controls, state, groups)(
        **{c.name: c.to_wire(values[c.name]) for c in controls},
        _figure=name,
        _controls=[c.name for c in controls],
        _choices={c.name: list(c.values()) for c in controls if isinstance(c, Choice)},
        _groups=groups,
        _data=data,
        **{
            f"display_{groups.index(title)}": "" if visible else "none"
            for title, visible in start.get("shown", {}).items()
        },
    )
    for control in controls:
        widget = widgets[control.name]
        if control.dependent:
            ipywidgets.jslink((drawing, f"{control.name}_max"), (widget, "max"))
        ipywidgets.jslink((widget, control.wire), (drawing, control.name))
    box = Figure([*_panels(controls, widgets, drawing), drawing])
    box.add_class("rflib-figure")  # base.css lets the labels of its check boxes wrap
    box.drawing = drawing
    return box


def _read(file: str) -> str:
    return (files("rflib.explorers") / file).read_text(encoding="utf-8")


def _starting_values(
    name: str, controls: Iterable[Control], initial: Mapping[str, Any]
) -> dict[str, Any]:
    allowed = {c.name: c for c in controls}
    for key, value in initial.items():
        if key not in allowed:
            raise ValueError(f"{name}() has no control {key!r}; it has {', '.join(allowed)}")
        # True is 1 and 3.0 is 3, but no control takes them.
        if not any(type(each) is type(value) and each == value for each in allowed[key].values()):
            choices = ", ".join(repr(each) for each in allowed[key].values())
            raise ValueError(f"{name}(): {key} is {value!r}; it can be one of {choices}")
    return {c.name: initial.get(c.name, c.value) for c in controls}


def _drawing(
    name: str, controls: tuple[Control, ...], state: StateFunction, groups: list[str]
) -> type[Explorer]:
    """The Explorer of one figure, with a trait for each control."""
    traits: dict[str, Any] = {c.name: c.trait().tag(sync=True) for c in controls}
    for control in controls:
        if control.dependent and isinstance(control, Slider):
            traits[f"{control.name}_max"] = traitlets.Int(control.high).tag(sync=True)
    for index in range(len(groups)):
        traits[f"display_{index}"] = traitlets.Unicode("").tag(sync=True)
    own = {
        "_esm": source(name),
        "_css": _read("base.css"),
        "_declared": controls,
        "_state": staticmethod(state),
        "__module__": Explorer.__module__,
        "__doc__": f"The drawing of the figure `{name}`.",
    }
    return type(name.capitalize(), (Explorer,), own | traits)


def pixels(n: int) -> str:
    """The count in words, as base.js has them."""
    return f"{n:,} {'pixel' if n == 1 else 'pixels'}"


def _label(control: Control) -> str:
    return control.label or control.name


def _style(control: Control, controls: Iterable[Control]) -> dict[str, Any]:
    """Labels as wide as the longest of their group: none is cut, the tracks stand in line."""
    layout = ipywidgets.Layout(width="auto", min_width="0", margin="0")
    if isinstance(control, Switch):
        return {"description": _label(control), "layout": layout}
    longest = max(
        len(_label(c)) for c in controls if c.group == control.group and not isinstance(c, Switch)
    )
    width = f"{ceil(longest * 6.6) + 10}px"
    style = {"description_width": width}
    if isinstance(control, Choice):
        if not control.menu:
            style["button_width"] = "auto"
        if control.wide:
            layout.grid_area = "auto / 1 / auto / -1"
    return {"description": _label(control), "layout": layout, "style": style}


def _panels(
    controls: Iterable[Control], widgets: Mapping[str, ipywidgets.Widget], drawing: Explorer
) -> list[ipywidgets.Widget]:
    """One grid of controls per group, its name above: as many columns as fit, one on a phone."""
    panels = []
    for group, members in groupby(controls, key=lambda c: c.group):
        inside = [widgets[c.name] for c in members]
        columns = "repeat(auto-fit, minmax(min(100%, 16rem), 1fr))"
        layout = ipywidgets.Layout(
            grid_template_columns=columns, grid_gap="2px 24px", width="100%", margin="0"
        )
        panel = ipywidgets.GridBox(inside, layout=layout)
        if group:
            title = ipywidgets.HTML(f"<strong>{group}</strong>")
            panel = ipywidgets.VBox([title, panel], layout=ipywidgets.Layout(margin="0"))
            index = list(drawing._groups).index(group)
            panel.layout.display = getattr(drawing, f"display_{index}")
            ipywidgets.jslink((drawing, f"display_{index}"), (panel.layout, "display"))
        panels.append(panel)
    return panels
