"""The branches: two convolutions over one input that are joined, and what a unit of the join reads.

Branch A and branch B have one layer each, of the same stride. Each is padded by `left` positions in
front, and behind by as many as it takes for both to have the same number of units. So they can
always be joined, and may still look at different places. A shortcut, where it is on, hands on
the one position that unit o stands at, s*o.
"""

from typing import Any

import rflib
from rflib.explorers.base import Control, Figure, Slider, State, Switch, build

INPUT = 24

CONTROLS: tuple[Control, ...] = (
    Slider("kernel_a", 1, 7, 5, "kernel of A"),
    Slider("left_a", 0, 6, 2, "padding left of A", dependent=True),
    Slider("kernel_b", 1, 7, 3, "kernel of B"),
    Slider("left_b", 0, 6, 1, "padding left of B", dependent=True),
    Slider("stride", 1, 3, 1),
    Slider("unit", 0, INPUT - 1, 9, "unit of the join", dependent=True),
    Switch("shortcut", False, "a shortcut beside them"),
)


def state(
    kernel_a: int,
    left_a: int,
    kernel_b: int,
    left_b: int,
    stride: int,
    unit: int,
    shortcut: bool,
) -> State:
    """What the figure shows: each branch's interval, and the one of both together."""
    units = -(-INPUT // stride)
    unit, left_a, left_b = (
        min(unit, units - 1),
        min(left_a, kernel_a - 1),
        min(left_b, kernel_b - 1),
    )
    branches = [
        _branch("A", kernel_a, left_a, stride, unit),
        _branch("B", kernel_b, left_b, stride, unit),
    ]
    if shortcut:
        branches.append(_branch("shortcut", 1, 0, stride, unit))
    first = min(branch["first"] for branch in branches)
    last = max(branch["last"] for branch in branches)
    longest = max(branch["last"] - branch["first"] + 1 for branch in branches)
    return {
        "left_a": left_a,
        "left_b": left_b,
        "unit": unit,
        "bounds": {"left_a": kernel_a - 1, "left_b": kernel_b - 1, "unit": units - 1},
        "units": units,
        "stride": stride,
        "branches": branches,
        "first": first,
        "last": last,
        "size": last - first + 1,
        "longest": longest,
        "sentence": _sentence(unit, branches, first, last, longest),
    }


def branches(**initial: Any) -> Figure:
    """Two branches over one input and what a unit of their join reads; `initial` sets the controls.

    Controls: kernel 1-7 and padding on the left of A and B, the stride of both, the unit, and a
    shortcut. ValueError for a value outside its range.

    >>> branches(kernel_a=5, left_a=4, kernel_b=3, left_b=0).drawing.numbers["size"]
    7
    """
    return build("branches", CONTROLS, state, initial)


def _branch(name: str, kernel: int, left: int, stride: int, unit: int) -> dict[str, Any]:
    """One branch: what its unit reads, padding included, as if the input went on."""
    (region,) = rflib.region([rflib.Layer((kernel,), stride, ((left, 0),))], (unit,))
    return {"name": name, "kernel": kernel, "first": region.first, "last": region.last}


def _span(first: int, last: int) -> str:
    return f"{_signed(first)}" if first == last else f"{_signed(first)} to {_signed(last)}"


def _signed(n: int) -> str:
    return f"−{-n}" if n < 0 else f"{n}"


def _sentence(
    unit: int, branches: list[dict[str, Any]], first: int, last: int, longest: int
) -> str:
    parts = [f"{_subject(b)} {_span(b['first'], b['last'])}" for b in branches]
    size = last - first + 1
    inputs = "input" if size == 1 else "inputs"
    both = f"Unit {unit} reads {inputs} {_span(first, last)}: {', '.join(parts)}."
    if size == longest:
        told = f"{both} One of them holds all the others, so the field is its {size}."
    else:
        told = f"{both} The longest alone has {longest}, together they have {size}."
    outside = max(0, -first) + max(0, last - INPUT + 1)
    return f"{told} Of these, {outside} outside of the input." if outside else told


def _subject(branch: dict[str, Any]) -> str:
    return "the shortcut" if branch["name"] == "shortcut" else str(branch["name"])
