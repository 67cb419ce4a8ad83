"""The cone: which cells of every row one unit of a 1-D network depends on, down to the input.

All layers of the network are alike, and none has padding. The input is as long as `units` units of
the last layer need: as many units as fit on CELLS inputs, but at least three, so that a unit has
neighbours on both sides however large its field is.
"""

from typing import Any

import rflib
from rflib.explorers.base import Control, Figure, Slider, State, build

CELLS = 41

CONTROLS: tuple[Control, ...] = (
    Slider("layers", 1, 5, 3),
    Slider("kernel", 1, 7, 3),
    Slider("stride", 1, 3, 2),
    Slider("dilation", 1, 3, 1),
    Slider("unit", 0, CELLS - 1, 1, dependent=True),
)


def state(layers: int, kernel: int, stride: int, dilation: int, unit: int) -> State:
    """What the figure shows: `rows` from the input up, each with its lit cells."""
    net = [rflib.Layer(kernel, stride, 0, dilation)] * layers
    table = rflib.recurrence(net)
    size, jump = table[-1].size, table[-1].jump
    units = max(3, (CELLS - size) // jump + 1)
    unit = min(unit, units - 1)
    cells = rflib.input_size(net, units, steps=True)
    lit = [list(rflib.reads(net[below:], unit)) for below in range(layers)] + [[unit]]
    sizes, jumps = (1, *(row.size for row in table)), (1, *(row.jump for row in table))
    # Twice the centre of cell 0, in inputs: a whole number, also between two of them.
    centres = (0, *(int(2 * row.start) for row in table))
    return {
        "kernel": kernel,
        "stride": stride,
        "dilation": dilation,
        "unit": unit,
        "bounds": {"unit": units - 1},
        "rows": [
            {
                "name": f"layer {index}" if index else "input",
                "cells": cells[index],
                "size": sizes[index],
                "jump": jumps[index],
                "centre2": centres[index],
                "lit": lit[index],
            }
            for index in range(layers + 1)
        ],
        "sentence": _sentence(layers, unit, lit[0], jump),
    }


def cone(**initial: Any) -> Figure:
    """The cone of a 1-D network, with sliders; `initial` sets where they start.

    Controls: layers 1-5, kernel 1-7, stride 1-3, dilation 1-3 (of every layer), and the unit of
    the last layer whose inputs are lit. ValueError for a value outside its range.

    >>> cone(layers=3, kernel=3, stride=2).drawing.numbers["sentence"]
    'Unit 1 of layer 3 reads inputs 8 to 22: receptive field 15, jump 8.'
    """
    return build("cone", CONTROLS, state, initial)


def _sentence(layers: int, unit: int, reads: list[int], jump: int) -> str:
    first, last, size = reads[0], reads[-1], reads[-1] - reads[0] + 1
    if size == 1:
        what, field = f"input {first:,} alone", "1"
    elif len(reads) == size:
        what, field = f"inputs {first:,} to {last:,}", f"{size:,}"
    else:
        what = f"{len(reads):,} of the {size:,} inputs {first:,} to {last:,}"
        field = f"{size:,} with holes"
    return f"Unit {unit} of layer {layers} reads {what}: receptive field {field}, jump {jump:,}."
