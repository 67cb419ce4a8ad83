"""The coverage: the set that one unit of dilated layers reads, and how many paths lead where.

Along one axis, all strides 1. The field of the next unit is the same set, one position further on.
"""

from math import gcd, prod
from typing import Any

import rflib
from rflib.explorers.base import Control, Figure, Slider, State, build
from rflib.explorers.layerrows import in_rows, numbered
from rflib.explorers.stages import tenths

MOST = 4
DILATIONS = (2, 2, 2, 1)


def _row(index: int) -> tuple[Control, ...]:
    group = f"layer {index + 1}"
    return (
        Slider(f"k{index + 1}", 2, 5, 3, label=numbered("k", index + 1), group=group),
        Slider(
            f"d{index + 1}", 1, 9, DILATIONS[index], label=numbered("d", index + 1), group=group
        ),
    )


CONTROLS: tuple[Control, ...] = (
    Slider("layers", 1, MOST, 3),
    *(control for index in range(MOST) for control in _row(index)),
)


def state(layers: int, **sizes: int) -> State:
    """Return what the figure shows; k1, d1, k2, ... are kernel and dilation by layer.

    size: of the hull; read: how many of its positions are read; paths: through how many choices of
    taps each position of the hull is reached; total: how many there are in all; shared: how many of
    the positions that are read the next unit reads as well; apart: the greatest common divisor of
    the dilations; weights: for one pair of channels; share: of the square hull of two axes, the
    part that is read, in percent; hole: the first position of the hull that is not read, or -1.
    """
    given = [{"kernel": sizes[f"k{n}"], "dilation": sizes[f"d{n}"]} for n in range(1, layers + 1)]
    stack = [rflib.Layer(each["kernel"], dilation=each["dilation"]) for each in given]
    size = rflib.receptive_field(stack)
    places = set(rflib.reads(stack, 0))
    paths = [1]
    for each in given:
        wider = [0] * (len(paths) + each["dilation"] * (each["kernel"] - 1))
        for tap in range(each["kernel"]):
            for place, ways in enumerate(paths):
                wider[place + each["dilation"] * tap] += ways
        paths = wider
    numbers: State = {
        "shown": {f"layer {n}": n <= layers for n in range(1, MOST + 1)},
        "layers": given,
        "size": size,
        "read": len(places),
        "paths": paths,
        "total": prod(each["kernel"] for each in given),
        "shared": len(places & {place + 1 for place in places}),
        "apart": gcd(*(each["dilation"] for each in given)),
        "weights": sum(each["kernel"] for each in given),
        "share": tenths(100 * len(places) ** 2, size**2),
        "hole": next((place for place in range(size) if place not in places), -1),
    }
    return {"sentence": _sentence(numbers), **numbers}


def _sentence(now: dict[str, Any]) -> str:
    size, read, shared, apart = now["size"], now["read"], now["shared"], now["apart"]
    if read == size:
        said = [f"All {size} positions of the hull are read."]
    else:
        said = [
            f"The hull has {size} positions, and {read} of them are read. The first hole is at "
            f"{now['hole']}."
        ]
    if shared:
        said.append(f"The next unit reads {shared} of these {read} too.")
    else:
        said.append("The next unit reads none of these.")
    if apart > 1:
        said.append(
            f"All dilations are multiples of {apart}: the network falls apart into {apart}."
        )
    # To the first position leads one path alone, so the least is always 1.
    most = max(now["paths"])
    if most == 1:
        said.append("One path leads to each position that is read.")
    else:
        said.append(f"Of the {now['total']} paths, up to {most} lead to one position.")
    return " ".join(said)


def coverage(**initial: Any) -> Figure:
    """Return the coverage: up to four dilated layers, and what one unit reads through them.

    `initial` sets controls: layers (1-4), and per layer k1 (2-5), d1 (1-9), k2, ...  ValueError for
    a value that a control cannot take.

    >>> box = coverage(layers=2, k1=3, d1=1, k2=3, d2=3)
    >>> box.drawing.numbers["size"], box.drawing.numbers["read"], box.drawing.numbers["paths"]
    (9, 9, [1, 1, 1, 1, 1, 1, 1, 1, 1])
    """
    heading = "One row per layer: kernel k, dilation d"
    return in_rows(build("coverage", CONTROLS, state, initial), heading)
