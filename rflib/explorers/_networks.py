"""Networks in practice: what a unit of any stage of them sees of the photograph.

A menu of networks, a slider for the stage, two for the unit. The numbers come from
`networks.json`, which `_networks_trace` makes with `rflib.trace`: per stage size, jump, the first
pixel of unit 0 and the last pixel that any unit reads. From these follow the fields of all its
units, as that module checks; so the figure needs no torch.
"""

import json
from functools import cache
from importlib.resources import files
from typing import Any

from rflib.explorers.base import Choice, Control, Figure, Slider, State, build
from rflib.explorers.stages import IMAGE, length, part, tenths
from rflib.figures import photograph_data


@cache
def networks_data() -> dict[str, Any]:
    """The table of `networks.json`; a stage is (label, path, size, jump, first, units, end, whole).

    first: the first pixel that unit 0 would read without a border; end: the last that any unit
    reads; whole: 1 if the strict field of its units is the whole image.
    """
    text = (files("rflib.explorers") / "networks.json").read_text(encoding="utf-8")
    table: dict[str, Any] = json.loads(text)
    return table


CONTROLS: tuple[Control, ...] = (
    Choice(
        "network",
        tuple((entry["title"], name) for name, entry in networks_data().items()),
        "resnet50",
        menu=True,
    ),
    Slider("stage", 1, 8, 5, dependent=True),
    Slider("row", 0, 111, 3, dependent=True),
    Slider("column", 0, 111, 3, dependent=True),
)


def state(network: str, stage: int, row: int, column: int) -> State:
    """What the figure shows; stage: counted from 1, as listed; row, column: of its map.

    stages: of each its field, jump, units along an axis, how many of these hang over no border,
    and whether their strict field is the whole image. rows, columns: first and last pixel of the
    unit's field; insideRows, insideColumns: of the part that is read of the image. over: pixels
    beyond the image above, below, left, right. share: of the image's pixels, those that are read;
    beyond: of the field's area, what is not in the image; both in percent. A rim of the image that
    no unit reads, as Inception's windows do not fit, is in neither.
    """
    entry = networks_data()[network]
    stage = min(stage, len(entry["stages"]))
    label, path, size, jump, first, units, end, whole = entry["stages"][stage - 1]
    row, column = min(row, units - 1), min(column, units - 1)
    rows, columns = (
        [first + unit * jump, first + unit * jump + size - 1] for unit in (row, column)
    )
    inside_rows, inside_columns = ([max(0, a), min(end, b)] for a, b in (rows, columns))
    area = length(inside_rows) * length(inside_columns)
    over = [pixels for ends in (rows, columns) for pixels in _over(ends)]
    within = (size - over[0] - over[1]) * (size - over[2] - over[3])
    numbers = {
        "network": network,
        "title": entry["title"],
        "stage": stage,
        "label": label,
        "row": row,
        "column": column,
        "stages": [_stage(*each) for each in entry["stages"]],
        "reach": [first, first + (units - 1) * jump + size - 1],
        "rows": rows,
        "columns": columns,
        "insideRows": inside_rows,
        "insideColumns": inside_columns,
        "over": over,
        "share": tenths(100 * area, IMAGE**2),
        "beyond": tenths(100 * (size**2 - within), size**2),
        "through": entry["through"] if whole else "",
        "code": f'{entry["code"]}["{path}"]',
        "bounds": {"stage": len(entry["stages"]), "row": units - 1, "column": units - 1},
    }
    return {"sentence": _sentence(numbers, size), **numbers}


def _stage(
    label: str, _: str, size: int, jump: int, first: int, units: int, __: int, whole: int
) -> dict[str, Any]:
    fields = ([first + unit * jump, first + unit * jump + size - 1] for unit in range(units))
    free = sum(_over(ends) == (0, 0) for ends in fields)
    return {
        "label": label,
        "size": size,
        "jump": jump,
        "units": units,
        "free": free,
        "whole": bool(whole),
    }


def _over(ends: list[int]) -> tuple[int, int]:
    """How many pixels of a field lie before and behind the image."""
    return max(0, -ends[0]), max(0, ends[1] - IMAGE + 1)


def _sentence(now: dict[str, Any], size: int) -> str:
    said = [
        f"Unit {now['row']}, {now['column']} of {now['label']} has a field of "
        f"{size:,}×{size:,} pixels."
    ]
    covered = part(now["share"])
    around = zip(now["over"], ("above", "below", "on the left", "on the right"), strict=True)
    sides = [(over, side) for over, side in around if over]
    if sides:
        said.append(
            f"It covers {covered} and hangs over it, by {_listed(sides)}: "
            f"{now['beyond']} % of it is not in the image."
        )
    else:
        said.append(f"It covers {covered} and hangs over no border.")
    if now["through"]:
        said.append(f"Strictly it depends on every pixel, through {now['through']}.")
    return " ".join(said)


def _listed(sides: list[tuple[int, str]]) -> str:
    """What hangs over, in words: 3 pixels above and 2 below."""
    (over, side), *rest = sides
    words = [f"{over:,} pixel{'s' * (over > 1)} {side}", *(f"{n:,} {where}" for n, where in rest)]
    return " and ".join([", ".join(words[:-1]), words[-1]]) if rest else words[0]


def networks(**initial: Any) -> Figure:
    """Networks in practice on a photograph of 224 pixels; `initial` sets the controls.

    Controls: network (a name of the menu, as of `rflib.networks.NAMES`), stage (1 and up) and the
    unit's row and column. ValueError for a value that a control cannot take.

    >>> networks(network="vgg16", stage=5).drawing.numbers["stages"][4]["size"]
    212
    """
    data = {"photograph": photograph_data(), "networks": networks_data()}
    return build("networks", CONTROLS, state, initial, data=data)
