"""The way back: how many inputs do these outputs need, one layer down at a time?

R neighbouring units of a layer read s(R - 1) + k of its input (`rflib.input_size`); at the input
that meets the forward ledger, r + (outputs - 1)*j.  Behind a transposed layer the width hangs on
where the units stand, so every phase is shown (`rflib.phases`).
"""

from typing import Any

import rflib
from rflib.explorers.base import Control, Figure, Slider, State, Switch, build
from rflib.explorers.layerrows import in_rows, numbered
from rflib.sets import Runs, hull_size, read_by

MOST = 4
KERNELS, STRIDES = (3, 3, 2, 3), (2, 1, 2, 1)


def _row(index: int) -> tuple[Control, ...]:
    group = f"layer {index + 1}"
    return (
        Slider(f"k{index + 1}", 1, 7, KERNELS[index], label=numbered("k", index + 1), group=group),
        Slider(f"s{index + 1}", 1, 4, STRIDES[index], label=numbered("s", index + 1), group=group),
        Switch(f"t{index + 1}", False, label=f"layer {index + 1} transposed", group=group),
    )


CONTROLS: tuple[Control, ...] = (
    Slider("output", 1, 6, 2, label="output size"),
    Slider("step", 0, MOST, 0, dependent=True),
    Slider("layers", 1, MOST, 3),
    Slider("first", 0, 7, 0, label="first output"),
    Switch("wrong", False, label="run it the wrong way round"),
    *(control for index in range(MOST) for control in _row(index)),
)


def state(layers: int, output: int, first: int, step: int, wrong: bool, **sizes: int) -> State:
    """Return what the figure shows; k1, s1, t1, k2, ... are kernel, stride and transposed by layer.

    spans: what units first ... first + output - 1 of the last layer need of the input and of each
    layer, as [first, last] or [] for nothing; widths: how many that is, holes included; reads: how
    many without them; forward: size and jump after each layer; needs: the largest input for
    `output` units of each layer; astray: the backward formula run forwards, from `output` at the
    input; departs: the first layer at which that differs (0: none); phases: every width that occurs
    at the input.
    """
    stack = [
        rflib.Layer(sizes[f"k{n}"], sizes[f"s{n}"], transposed=bool(sizes[f"t{n}"]))
        for n in range(1, layers + 1)
    ]
    step = min(step, layers)
    runs = _needed(stack, first, output)
    needs = [rflib.input_size(stack[:n], output) for n in range(1, layers + 1)]
    astray = [output]
    for layer in stack:
        astray.append(rflib.input_size([layer], astray[-1]))
    departs = next((n for n in range(1, layers + 1) if astray[n] != needs[n - 1]), 0)
    numbers: State = {
        "bounds": {"step": layers},
        "shown": {f"layer {n}": n <= layers for n in range(1, MOST + 1)},
        "output": output,
        "step": step,
        "wrong": wrong,
        "layers": [_layer(layer) for layer in stack],
        "spans": [[each[0][0], each[-1][1]] if each else [] for each in runs],
        "widths": [hull_size(each) for each in runs],
        "reads": [sum(last - first + 1 for first, last in each) for each in runs],
        "forward": [{"size": row.size, "jump": str(row.jump)} for row in rflib.recurrence(stack)],
        "needs": needs,
        "astray": astray[1:],
        "departs": departs,
        "phases": [
            {"size": phase.size, "share": str(phase.share), "first": phase.first}
            for phase in rflib.phases(stack, output)
        ],
    }
    return {"sentence": _sentence(numbers), **numbers}


def _layer(layer: rflib.Layer) -> dict[str, Any]:
    axis = layer.axis(0)
    return {"kernel": axis.kernel, "stride": axis.stride, "transposed": axis.transposed}


def _needed(stack: list[rflib.Layer], first: int, output: int) -> list[Runs]:
    """Return what the units read of the input and of each layer's output, the last one included."""
    found: list[Runs] = [((first, first + output - 1),)]
    for layer in reversed(stack):
        found.append(read_by(layer.axis(0), found[-1]))
    return found[::-1]


def _sentence(numbers: State) -> str:
    layers, step = len(numbers["layers"]), numbers["step"]
    words = _asked(numbers) if step == 0 else _stepped(numbers, layers - step)
    span = numbers["spans"][layers - step]
    if step and span and span[0] < 0:
        words += " Positions below 0 lie before the map: the figure counts as if no map had an end."
    if step == layers:
        words += _meeting(numbers)
    if numbers["wrong"]:
        words += _gone_astray(numbers)
    return words


def _units(n: int) -> str:
    return "1 unit" if n == 1 else f"{n:,} units"


def _place(n: int) -> str:
    return "the input" if n == 0 else f"layer {n}"


def _asked(numbers: State) -> str:
    layers = len(numbers["layers"])
    verb = "is" if numbers["output"] == 1 else "are"
    return (
        f"{_units(numbers['output'])} of layer {layers} {verb} wanted. "
        f"How many does that take of {_place(layers - 1)}?"
    )


def _stepped(numbers: State, below: int) -> str:
    """Say the step from layer below + 1 down to what it reads."""
    layer = numbers["layers"][below]
    above, width = numbers["widths"][below + 1], numbers["widths"][below]
    if not above:
        return f"Nothing of {_place(below + 1)} is needed, and so nothing of {_place(below)}."
    verb = "takes" if above == 1 else "take"
    words = f"{_units(above)} of layer {below + 1} {verb} {width:,} of {_place(below)}"
    if not width:
        return words + ": no unit writes there, as the stride is wider than the kernel."
    if not layer["transposed"]:
        words += f": {layer['stride']}·({above:,} − 1) + {layer['kernel']} = {width:,}"
    read = numbers["reads"][below]
    holes = "" if read == width else f" It has holes: {read:,} of these {width:,} are read."
    return f"{words}.{holes}"


def _meeting(numbers: State) -> str:
    phases, last = numbers["phases"], numbers["forward"][-1]
    if len(phases) > 1:
        told = ", ".join(f"{phase['size']:,} ({phase['share']} of places)" for phase in phases)
        return f" It depends on where the outputs stand: {told}."
    if any(layer["transposed"] for layer in numbers["layers"]):
        return f" Wherever the outputs stand, it is {numbers['needs'][-1]:,}."
    total = f"{numbers['needs'][-1]:,}"
    if numbers["output"] == 1:
        return f" Forwards it is the same: r = {total}."
    more = f"{last['size']:,} + {numbers['output'] - 1}·{int(last['jump']):,}"
    return f" Forwards it is the same: {more} = {total}."


def _gone_astray(numbers: State) -> str:
    said, true, departs = numbers["astray"][-1], numbers["needs"][-1], numbers["departs"]
    if not departs:
        return f" The wrong way round gives {said:,} as well, for this net."
    there = f"{numbers['astray'][departs - 1]:,}, not {numbers['needs'][departs - 1]:,}"
    words = f" The wrong way round departs at layer {departs} ({there})"
    if departs == len(numbers["layers"]):
        return words + "."
    if said == true:
        return words + f", though it ends at {said:,} by chance."
    return words + f", and ends at {said:,}, not {true:,}."


def wayback(**initial: Any) -> Figure:
    """Return the way back: a network walked from its output to its input, one layer a step.

    `initial` sets controls: output (1-6), step, layers (1-4), first (0-7), wrong, and per layer k1
    (1-7), s1 (1-4), t1 (transposed), k2, ...  ValueError for a value that a control cannot take.

    >>> box = wayback(output=1, step=3)
    >>> box.drawing.numbers["widths"]
    [9, 4, 2, 1]
    """
    heading = "One row per layer: kernel k, stride s, and its kind"
    return in_rows(build("wayback", CONTROLS, state, initial), heading)
