"""The ledger: a receptive field as a bar of 1 + d(k - 1)*j per layer, and what a stride does to it.

The bar's segments are the terms of the recurrence (`rflib.recurrence`).  The ghost bar is a common
mistake: the backward formula s(r - 1) + k applied forwards.  It has the same windows, each times
the strides AFTER its layer where the truth has the strides before.
"""

from typing import Any

import rflib
from rflib.explorers.base import Control, Figure, Slider, State, Switch, build
from rflib.explorers.layerrows import in_rows, numbered
from rflib.sets import Runs, count, read_by

MOST = 5
KERNELS, STRIDES, DILATIONS = (3, 3, 2, 3, 3), (2, 1, 2, 1, 1), (1, 1, 1, 1, 1)


def _row(index: int) -> tuple[Control, ...]:
    group = f"layer {index + 1}"
    return (
        Slider(f"k{index + 1}", 1, 11, KERNELS[index], label=numbered("k", index + 1), group=group),
        Slider(f"s{index + 1}", 1, 4, STRIDES[index], label=numbered("s", index + 1), group=group),
        Slider(
            f"d{index + 1}", 1, 3, DILATIONS[index], label=numbered("d", index + 1), group=group
        ),
    )


CONTROLS: tuple[Control, ...] = (
    Slider("layers", 1, MOST, 3),
    Switch("misuse", False, label="show the mistake (r − 1)·s + d(k − 1) + 1"),
    *(control for index in range(MOST) for control in _row(index)),
)


def state(layers: int, misuse: bool, **sizes: int) -> State:
    """Return what the figure shows; k1, s1, d1, k2, ... are kernel, stride and dilation by layer.

    Lengths are in input pixels.  rows: reach d(k - 1), jump before the layer, what it adds, size
    and jump after it, and what the formula run forwards makes of it.  units: how many units of the
    input and of each layer the last unit reads (without holes).
    """
    stack = [
        rflib.Layer(sizes[f"k{n}"], sizes[f"s{n}"], dilation=sizes[f"d{n}"])
        for n in range(1, layers + 1)
    ]
    table = rflib.recurrence(stack)
    rows = []
    jump, wrong = 1, 1
    for layer, row in zip(stack, table, strict=True):
        axis = layer.axis(0)
        wrong = rflib.input_size([layer], wrong)
        rows.append(
            {
                "kernel": axis.kernel,
                "stride": axis.stride,
                "dilation": axis.dilation,
                "reach": axis.reach,
                "before": jump,
                "adds": axis.reach * jump,
                "size": row.size,
                "jump": row.jump,
                "wrong": wrong,
            }
        )
        jump = row.jump
    units = _units(stack)
    return {
        "sentence": _sentence(rows, units[0], misuse),
        "shown": {f"layer {n}": n <= layers for n in range(1, MOST + 1)},
        "misuse": misuse,
        "rows": rows,
        "units": units,
    }


def _units(stack: list[rflib.Layer]) -> list[int]:
    runs: Runs = ((0, 0),)
    counts = [1]
    for layer in reversed(stack):
        runs = read_by(layer.axis(0), runs)
        counts.append(count(runs))
    return counts[::-1]


def _sentence(rows: list[dict[str, int]], read: int, misuse: bool) -> str:
    size, jump, wrong = rows[-1]["size"], rows[-1]["jump"], rows[-1]["wrong"]
    terms = "".join(f" + {row['reach']}·{row['before']:,}" for row in rows)
    words = f"Receptive field 1{terms} = {size:,}; jump {jump:,}."
    if read < size:
        words += f" It has holes: {read:,} of these {size:,} pixels are read."
    if misuse and wrong == size:
        words += f" The backward formula run forwards gives {wrong:,} as well, for this net."
    elif misuse:
        off = f"{abs(wrong - size):,} too {'many' if wrong > size else 'few'}"
        words += f" The backward formula run forwards gives {wrong:,}: {off}."
    return words


def ledger(**initial: Any) -> Figure:
    """Return the ledger: up to five layers, the bar of what each adds, the table and the cone.

    `initial` sets controls: layers (1-5), misuse, and per layer k1 (1-11), s1 (1-4), d1 (1-3), k2,
    ...  ValueError for a value that a control cannot take.

    >>> box = ledger(layers=2, k1=3, s1=2, k2=3, s2=1)
    >>> box.drawing.numbers["sentence"]
    'Receptive field 1 + 2·1 + 2·2 = 7; jump 2.'
    """
    heading = "One row per layer: kernel k, stride s, dilation d"
    return in_rows(build("ledger", CONTROLS, state, initial), heading)
