"""The effective field: how the influence on one unit is spread over its field, layer upon layer.

Along one axis. What is shown is the mean of the squared gradient over random weights. Squares of
independent weights add up path by path (Luo et al. 2016): the mass of a stack is that of its layers
convolved with each other. A layer has one box of k equal parts; with a shortcut around it, and
weights that keep the variance, half of the mass goes straight through.
"""

from functools import cache
from math import sqrt
from typing import Any

from rflib.explorers.base import Choice, Control, Figure, Slider, State, Switch, build
from rflib.explorers.stages import tenths

MOST = 24


class _ShareSlider(Slider):
    """A slider over every fifth per cent."""

    step = 5


CONTROLS: tuple[Control, ...] = (
    Slider("layers", 1, MOST, 10),
    Choice("kernel", (("3", 3), ("5", 5), ("7", 7)), 3),
    Slider("dilation", 1, 3, 1),
    _ShareSlider("share", 50, 95, 95, label="share, per cent"),
    Switch("shortcut", False, label="a shortcut around each layer"),
)


def state(layers: int, kernel: int, dilation: int, share: int, shortcut: bool) -> State:
    """Return what the figure shows.

    size: of the theoretical field; width: of the shortest middle that holds the share; part: width
    in percent of size; sigma: standard deviation of the mass; profile: the mass of each position of
    the field, in thousandths of the largest; sizes, widths: size and width for 1, 2, ... layers.
    """
    grown = _grown(kernel, dilation, shortcut)
    sizes = [1 + n * dilation * (kernel - 1) for n in range(1, MOST + 1)]
    widths = [_width(mass, share) for mass in grown]
    mass, size, width = grown[layers - 1], sizes[layers - 1], widths[layers - 1]
    variance = layers * dilation**2 * (kernel**2 - 1) / (24 if shortcut else 12)
    most = max(mass)
    numbers: State = {
        "layers": layers,
        "dilation": dilation,
        "share": share,
        "size": size,
        "width": width,
        "part": tenths(100 * width, size),
        "sigma": _tenths(sqrt(variance)),
        "profile": [int(1000 * each / most + 0.5) for each in mass],
        "sizes": sizes,
        "widths": widths,
    }
    return {"sentence": _sentence(numbers), **numbers}


@cache
def _grown(kernel: int, dilation: int, shortcut: bool) -> list[list[float]]:
    """The mass behind 1, 2, ... layers."""
    through = 0.5 if shortcut else 0.0
    tap, middle = (1 - through) / kernel, dilation * (kernel - 1) // 2
    grown, mass = [], [1.0]
    for _ in range(MOST):
        wider = [0.0] * (len(mass) + 2 * middle)
        for place, each in enumerate(mass):
            wider[place + middle] += through * each
        for t in range(kernel):
            for place, each in enumerate(mass):
                wider[place + dilation * t] += tap * each
        mass = wider
        grown.append(mass)
    return grown


def _width(mass: list[float], share: int) -> int:
    """The shortest middle that holds the share, in per cent, but for rounding."""
    centre = (len(mass) - 1) // 2
    held, half = mass[centre], 0
    while held < share / 100 - 1e-9:
        half += 1
        held += mass[centre - half] + mass[centre + half]
    return 2 * half + 1


def _tenths(value: float) -> str:
    tens = int(10 * value + 0.5)
    return f"{tens // 10}.{tens % 10}"


def _sentence(now: dict[str, Any]) -> str:
    size, width = now["size"], now["width"]
    share = f"{now['share']} %"
    if width == size:
        return f"Only the whole field, {size} positions wide, holds {share} around its middle."
    middle = "the one in the middle holds" if width == 1 else f"the middle {width} hold"
    return (
        f"Of the {size} positions of the theoretical field's hull {middle} at least {share} of "
        f"the influence. That is {now['part']} % of the field."
    )


def effective(**initial: Any) -> Figure:
    """Return the effective field: controls layers, kernel, dilation, share (of the mass), shortcut.

    `initial` sets controls; ValueError for a value that a control cannot take.

    >>> box = effective(layers=20)
    >>> box.drawing.numbers["size"], box.drawing.numbers["width"], box.drawing.numbers["sigma"]
    (41, 15, '3.7')
    """
    return build("effective", CONTROLS, state, initial)
