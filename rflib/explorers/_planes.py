"""The planes: three convolutional layers A, B, C over a small image, and what one unit of C reads.

Each layer has the padding that keeps a map's size at stride 1 ("same"; a kernel of even width pads
one more after than before), as the example that the book starts from has it. So unit (r, c) looks
at the pixels around its own place, and a field that reaches over the border is cut there.
"""

from typing import Any

import rflib
from rflib.explorers.base import Control, Figure, Slider, State, build

IMAGE = 16
NAMES = ("image", "A", "B", "C")

CONTROLS: tuple[Control, ...] = (
    Slider("row", 0, IMAGE - 1, 3, "row of C's unit", dependent=True),
    Slider("column", 0, IMAGE - 1, 3, "column of C's unit", dependent=True),
    Slider("kernel", 1, 5, 3),
    Slider("stride", 1, 2, 1),
)


def state(row: int, column: int, kernel: int, stride: int) -> State:
    """What the figure shows: `maps` from the image to C, each with the patch that is read."""
    before, after = (kernel - 1) // 2, kernel // 2
    layer = rflib.Layer((kernel, kernel), stride, ((before, after), (before, after)))
    net = [layer] * 3
    sizes = [height for height, _ in rflib.output_size(net, (IMAGE, IMAGE), steps=True)]
    row, column = min(row, sizes[3] - 1), min(column, sizes[3] - 1)
    maps = [_map(depth, net[depth:], (row, column), sizes[depth]) for depth in range(4)]
    return {
        "row": row,
        "column": column,
        "bounds": {"row": sizes[3] - 1, "column": sizes[3] - 1},
        "kernel": kernel,
        "stride": stride,
        "maps": maps,
        "sentence": _sentence(row, column, maps),
    }


def planes(**initial: Any) -> Figure:
    """Three layers over an image and the patches that one unit reads; `initial` sets the sliders.

    Controls: row and column of the unit of C, kernel 1-5 and stride 1-2 of every layer. ValueError
    for a value outside its range.

    >>> planes(row=3, column=3).drawing.numbers["maps"][0]["rows"]
    [0, 6]
    """
    return build("planes", CONTROLS, state, initial)


def _map(depth: int, above: list[rflib.Layer], unit: tuple[int, int], size: int) -> dict[str, Any]:
    """One map: the patch of it that the unit of C reads, cut at the border, and `full`, uncut."""
    rows, columns = [(u, u) for u in unit]
    if above:
        rows, columns = rflib.region(above, unit, (size, size), clip=True)
    return {
        "name": NAMES[depth],
        "size": size,
        "full": rflib.receptive_field(above)[0] if above else 1,
        "rows": list(rows),
        "columns": list(columns),
    }


def _extent(patch: dict[str, Any]) -> str:
    height, width = (last - first + 1 for first, last in (patch["rows"], patch["columns"]))
    return f"{height}×{width}"


def _sentence(row: int, column: int, maps: list[dict[str, Any]]) -> str:
    image, a, b, _ = maps
    words = (
        f"Unit C({row}, {column}) reads {_extent(b)} of B, the previous layer; "
        f"through it {_extent(a)} of A and {_extent(image)} of the image"
    )
    full = f"{image['full']}×{image['full']}"
    if _extent(image) == full:
        return f"{words}: its receptive field is {full}."
    return f"{words}: its receptive field, {full}, is cut by the border."
