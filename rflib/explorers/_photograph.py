"""The photograph: the field of any unit of a ResNet as a box, and what becomes of it at the border.

Two sliders choose the unit of a stage's map. A third sets the padding of the network's first layer
(its own is 3): it moves every box, and adds or takes units, but no box grows or shrinks by it.
"""

from dataclasses import replace
from functools import cache
from typing import Any

from rflib.explorers.base import Choice, Control, Figure, Slider, State, build
from rflib.explorers.stages import IMAGE, STAGES, field_and_inside, length, tenths
from rflib.figures import photograph_data
from rflib.inputsize import output_size
from rflib.layers import Layer
from rflib.networks import resnet_path
from rflib.recurrence import recurrence

CONTROLS: tuple[Control, ...] = (
    Choice("network", (("ResNet-18", 18), ("ResNet-50", 50)), 18),
    Slider("padding", 0, 6, 3, label="first padding"),
    Choice("stage", tuple((name, index) for index, name in enumerate(STAGES)), 2),
    Slider("row", 0, 57, 9, dependent=True),
    Slider("column", 0, 57, 14, dependent=True),
)


def state(network: int, stage: int, row: int, column: int, padding: int) -> State:
    """What the figure shows; stage: 0 is the stem, 4 is layer4; row, column: of its map.

    rows, columns: first and last pixel of the unit's field; readRows, readColumns: of what the unit
    reads of the image. part: how much of the field's area that is, in percent. centre: the row and
    column in the middle of the field; looks: the centres of the first and the last unit of the map.
    (All kernels are odd, so each centre is a pixel.)
    """
    size, jump, units = _sizes(network, stage, padding)
    first, last = (_field(network, stage, padding, unit)[0] for unit in (0, units - 1))
    row, column = min(row, units - 1), min(column, units - 1)
    (rows, read_rows), (columns, read_columns) = (
        _field(network, stage, padding, unit) for unit in (row, column)
    )
    area = length(read_rows) * length(read_columns)
    numbers = {
        "network": network,
        "stage": stage,
        "row": row,
        "column": column,
        "padding": padding,
        "size": size,
        "jump": jump,
        "units": units,
        "reach": [first[0], last[1]],
        "looks": [sum(first) // 2, sum(last) // 2],
        "centre": [sum(rows) // 2, sum(columns) // 2],
        "rows": rows,
        "columns": columns,
        "readRows": read_rows,
        "readColumns": read_columns,
        "part": tenths(100 * area, size**2),
        "bounds": {"row": units - 1, "column": units - 1},
    }
    return {"sentence": _sentence(numbers), **numbers}


@cache
def _layers(network: int, stage: int, padding: int) -> list[Layer]:
    path = resnet_path(network)
    first, *rest = (layer for name in STAGES[: stage + 1] for layer in path[name])
    return [replace(first, padding=padding), *rest]


@cache
def _sizes(network: int, stage: int, padding: int) -> tuple[int, int, int]:
    """Field, jump and number of units along one axis, at the end of a stage."""
    layers = _layers(network, stage, padding)
    last = recurrence(layers)[-1]
    return last.size, int(last.jump), output_size(layers, IMAGE)


@cache
def _field(network: int, stage: int, padding: int, unit: int) -> tuple[list[int], list[int]]:
    return field_and_inside(_layers(network, stage, padding), unit)


def _sentence(now: dict[str, Any]) -> str:
    size, rows, columns = now["size"], now["rows"], now["columns"]
    said = (
        f"The field of unit {now['row']}, {now['column']} of {STAGES[now['stage']]} has rows "
        f"{_span(rows)} and columns {_span(columns)}: {size}×{size} pixels, whatever the padding."
    )
    if (now["readRows"], now["readColumns"]) == (rows, columns):
        return f"{said} All of them lie inside the image."
    height, width = length(now["readRows"]), length(now["readColumns"])
    # Without padding the first layer's windows leave one row and one column over at the end.
    missed = [
        f"{axis} {read[1] + 1}"
        for axis, field, read in (
            ("row", rows, now["readRows"]),
            ("column", columns, now["readColumns"]),
        )
        if read[1] < min(field[1], IMAGE - 1)
    ]
    over = f" or in {' and '.join(missed)}, which no window reaches" if missed else ""
    return (
        f"{said} Of these it reads {height}×{width}, {now['part']} %; "
        f"the rest lies outside the image{over}."
    )


def _span(ends: list[int]) -> str:
    return f"{ends[0]} to {ends[1]}".replace("-", "−")


def photograph(**initial: Any) -> Figure:
    """The field of one unit of a ResNet as a box on a photograph; `initial` sets the controls.

    Controls: network (18 or 50), padding of the first layer (0-6), stage (0, the stem, to 4), and
    row and column of the unit on its map. ValueError for a value that a control cannot take.

    >>> photograph(stage=4, row=3, column=3).drawing.numbers["centre"]
    [96, 96]
    """
    return build("photograph", CONTROLS, state, initial, data=photograph_data())
