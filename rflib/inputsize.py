"""Backward: how large an input makes this output?

R neighbouring units of a layer read s(R - 1) + d(k - 1) + 1 neighbouring positions of its input.
Start from the last layer with R = 1, walk to the first, and what is needed there is the receptive
field.  Padding is not counted: it lies in the window without being input.

A transposed layer divides where others multiply, and how much it needs depends on where the units
stand: on their *phase*.  Nothing is rounded; the phases are followed one by one and named.
Source: Dumoulin and Visin 2016; Araujo, Norris and Sim 2019.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from math import gcd
from typing import Any

from rflib.layers import LayerAxis, Stack, switch, told
from rflib.sets import Runs, hull_size, read_by

MOST_STATES = 100_000  # more phases than this are refused in words
MOST_PIECES = 5_000_000  # the same for the runs of positions that all phases read: half a GB
SEARCHED = 10_000  # how many units are searched for the first one of a phase


@dataclass(frozen=True)
class Phase:
    """One of the sizes that occur: `size` input pixels, for a `share` of all places.

    `first` is the first unit that has it (or, where that lies beyond unit 10,000, one that has it).
    """

    size: int
    share: Fraction
    first: int


def input_size(layers: object, output: int | tuple[int, ...] = 1, steps: bool = False) -> Any:
    """Return how many neighbouring input pixels `output` neighbouring units of the last layer read.

    Where that depends on the place of the units (behind a transposed layer), the largest.

    Parameters
    ----------
    layers : see `rflib.read`.
    output : how many neighbouring units of the last layer, >= 1; per axis a tuple.
    steps : also tell what is needed on the way: a tuple with the size needed before each layer,
        first the input, last `output` itself; each the largest over the phases.

    Returns
    -------
    int, or a tuple with one entry per axis for layers given per axis; with `steps` a tuple of them.

    Raises
    ------
    TypeError, ValueError : naming the argument, the value and what is allowed.

    Source: Dumoulin and Visin 2016, section 2; unrolled it is the recurrence (chapter 3).

    Examples
    --------
    >>> input_size([(3,), (3,), (2, 2)])
    6
    >>> input_size([(3,), (3,), (2, 2)], steps=True)
    (6, 4, 2, 1)
    >>> from rflib import Layer
    >>> input_size([(3, 2), Layer(3, 2, padding=1, transposed=True)], output=4)
    7
    """
    switch("steps", steps)
    stack = Stack(layers)
    wanted = stack.spread("output", output, 1)
    walks = [needed(axis, size) for axis, size in zip(stack.axes, wanted, strict=True)]
    if not steps:
        return stack.join(walk[0] for walk in walks)
    return tuple(stack.join(sizes) for sizes in zip(*walks, strict=True))


def needed(layers: Sequence[LayerAxis], output: int) -> tuple[int, ...]:
    """Return the sizes needed before each layer along one axis, largest phase, input first."""
    if any(layer.transposed for layer in layers):
        return _followed(layers, output)[1]
    sizes = [output]
    for layer in reversed(layers):
        sizes.append(layer.stride * (sizes[-1] - 1) + layer.reach + 1)
    return tuple(reversed(sizes))


def phases(layers: object, output: int | tuple[int, ...] = 1) -> Any:
    """Return every size that `output` neighbouring units can need, and how often: a tuple of Phase.

    Largest first.  Without a transposed layer there is one phase.  For layers given per axis, a
    tuple with one such tuple per axis.  Arguments and errors are those of `input_size`.

    Examples
    --------
    >>> from rflib import Layer
    >>> up = Layer(3, 2, padding=1, transposed=True)
    >>> for phase in phases([(9,), up]):
    ...     print(phase)
    Phase(size=10, share=Fraction(1, 2), first=1)
    Phase(size=9, share=Fraction(1, 2), first=0)
    """
    stack = Stack(layers)
    wanted = stack.spread("output", output, 1)
    return stack.join(
        axis_phases(axis, size) for axis, size in zip(stack.axes, wanted, strict=True)
    )


def axis_phases(layers: Sequence[LayerAxis], output: int = 1) -> tuple[Phase, ...]:
    """Return the phases along one axis, largest size first."""
    if not any(layer.transposed for layer in layers):
        return (Phase(needed(layers, output)[0], Fraction(1), 0),)
    states = _followed(layers, output)[0]
    units: dict[int, int] = {}
    for state in states:
        size = hull_size(state.shape)
        units[size] = min(units.get(size, state.unit), state.unit)
    firsts = _first_units(layers, output, units)
    return tuple(Phase(size, share, firsts[size]) for size, share in _shares(states))


def sizes_and_start(
    layers: Sequence[LayerAxis], jump: Fraction
) -> tuple[tuple[tuple[int, Fraction], ...], Fraction]:
    """Return every size with its share, largest first, and where unit 0 looks.

    That is the mean over the phases of (centre of a unit's field - the unit's number x jump): with
    one phase the centre of unit 0's field.  Units that read nothing do not count.
    """
    states = _followed(layers, 1)[0]
    centres = counted = Fraction(0)
    for state in states:
        if state.shape:
            middle = Fraction(state.shape[0][0] + state.shape[-1][1], 2)
            centres += state.share * middle - state.units * jump
            counted += state.share
    return _shares(states), centres / counted if counted else Fraction(0)


def _shares(states: Sequence[_State]) -> tuple[tuple[int, Fraction], ...]:
    """Return every size with its share, largest first."""
    shares: dict[int, Fraction] = {}
    for state in states:
        size = hull_size(state.shape)
        shares[size] = shares.get(size, Fraction(0)) + state.share
    return tuple(sorted(shares.items(), reverse=True))


def _first_units(layers: Sequence[LayerAxis], output: int, units: dict[int, int]) -> dict[int, int]:
    firsts: dict[int, int] = {}
    for unit in range(min(max(units.values()) + 1, SEARCHED)):
        runs: Runs = ((unit, unit + output - 1),)
        for layer in reversed(layers):
            runs = read_by(layer, runs)
        firsts.setdefault(hull_size(runs), unit)
        if len(firsts) == len(units):
            break
    return units | firsts


@dataclass(frozen=True)
class _State:
    """All places alike so far: units `period*m + unit` start to read at `pitch*m + offset`.

    `shape` is what they read of the current map, relative to `pitch*m`; `m` is any integer.
    `units` is the sum of the units that are alike, each times its share.
    """

    unit: int
    shape: Runs
    share: Fraction
    units: Fraction = Fraction(0)


def _followed(layers: Sequence[LayerAxis], output: int) -> tuple[list[_State], tuple[int, ...]]:
    """Follow the units back through the layers, splitting by phase where a layer divides.

    Going backwards, a unit's place is `pitch*m + offset` with a free integer m.  An ordinary layer
    multiplies the pitch by its stride.  A transposed one divides by its stride: where the pitch is
    no multiple of it, the m's fall into classes, and each class goes on for itself.  Classes that
    read the same shape at the same offset are one again.  Also returned: the largest size needed
    before each layer, input first.
    """
    pitch, period = 1, 1
    states = [_State(0, ((0, output - 1),), Fraction(1))]
    largest = [output]
    for layer in reversed(layers):
        if layer.transposed:
            classes = layer.stride // gcd(pitch, layer.stride)
            if len(states) * classes > MOST_STATES:
                raise ValueError(
                    f"layers must have at most {MOST_STATES:,} different phases; these have more. "
                    f"rflib.region gives the field of one unit"
                )
            states = [
                _State(
                    state.unit + period * q,
                    tuple((a + pitch * q, b + pitch * q) for a, b in state.shape),
                    state.share / classes,
                    (state.units + state.share * period * q) / classes,
                )
                for state in states
                for q in range(classes)
            ]
            period, pitch = period * classes, pitch * classes // layer.stride
        else:
            pitch *= layer.stride
        read, pieces = [], 0
        for state in states:
            read.append(replace(state, shape=read_by(layer, state.shape)))
            pieces += len(read[-1].shape)
            if pieces > MOST_PIECES:
                raise ValueError(
                    f"what all phases read must have at most {MOST_PIECES:,} pieces; here it has "
                    f"more. rflib.region gives the field of one unit"
                )
        states = _merge(read, pitch, period)
        largest.append(max(hull_size(state.shape) for state in states))
    here = [replace(state, unit=state.unit % period) for state in states]
    return here, tuple(reversed(largest))


def _merge(states: list[_State], pitch: int, period: int) -> list[_State]:
    merged: dict[Runs, _State] = {}
    for state in states:
        # m -> m + c moves the shape by whole pitches and the unit by whole periods.
        turns = state.shape[0][0] // pitch if state.shape else 0
        shape = tuple((a - pitch * turns, b - pitch * turns) for a, b in state.shape)
        units = state.units - state.share * period * turns
        here = _State(state.unit - period * turns, shape, state.share, units)
        there = merged.get(shape)
        if there is not None:
            kept = min(here, there, key=lambda one: one.unit % period)
            here = replace(kept, share=here.share + there.share, units=units + there.units)
        merged[shape] = here
    return list(merged.values())


# Forward sizes ----------------------------------------------------------------------------------


def output_size(layers: object, input_size: int | tuple[int, ...], steps: bool = False) -> Any:
    """Return how many units each layer's output has, as torch computes it: padding, floor and all.

    Parameters
    ----------
    layers : see `rflib.read`.
    input_size : pixels along the axis, >= 1; per axis a tuple.
    steps : return the sizes of all maps, first the input, last the output.

    Returns
    -------
    int, or a tuple with one entry per axis for layers given per axis; with `steps` a tuple of them.

    Raises
    ------
    ValueError : also where the input is too small, with the layer that has nothing to read.

    Examples
    --------
    >>> output_size([(7, 2, 3), (3, 2, 1)], 224, steps=True)
    (224, 112, 56)
    >>> output_size([(7, 2)], 224)
    109
    """
    switch("steps", steps)
    stack = Stack(layers)
    given = stack.spread("input_size", input_size, 1)
    walks = [map_sizes(axis, size) for axis, size in zip(stack.axes, given, strict=True)]
    if not steps:
        return stack.join(walk[-1] for walk in walks)
    return tuple(stack.join(sizes) for sizes in zip(*walks, strict=True))


def map_sizes(layers: Sequence[LayerAxis], size: int) -> tuple[int, ...]:
    """Return the sizes of all maps along one axis, first the input."""
    sizes = [size]
    for i, layer in enumerate(layers):
        _check_padding(layer, i, sizes[-1], size)
        sizes.append(_output(layer, sizes[-1]))
        if sizes[-1] < 1:
            wanted = f"its window of {told(layer.reach + 1)}"
            if layer.transposed:
                wanted = f"its padding, which cuts off {told(layer.before + layer.after)}"
            raise _too_small(size, i, sizes[-2], wanted)
    return tuple(sizes)


def _check_padding(layer: LayerAxis, i: int, size: int, given: int) -> None:
    least = {"reflect": 1, "circular": 0}.get(layer.padding_mode)
    pad = max(layer.before, layer.after)
    if least is not None and pad > size - least:
        raise _too_small(given, i, size, f"a {layer.padding_mode} padding of {told(pad)}")


def _too_small(given: int, i: int, received: int, wanted: str) -> ValueError:
    return ValueError(
        f"input_size must be large enough for every layer; got {told(given)}, of which "
        f"layers[{i}] receives {told(received)}, too few for {wanted}"
    )


def _output(layer: LayerAxis, size: int) -> int:
    padded = layer.before + layer.after
    if layer.transposed:
        return (size - 1) * layer.stride - padded + layer.reach + 1 + layer.output_padding
    room = size + padded - layer.reach - 1
    if not layer.ceil_mode:
        return room // layer.stride + 1 if room >= 0 else 0
    units = -(-room // layer.stride) + 1
    # A window must begin inside the input or the padding before it: torch's rule.
    return units - 1 if (units - 1) * layer.stride >= size + layer.before else units


def inputs_for(layers: object, output: int | tuple[int, ...]) -> Any:
    """Return the smallest and the largest input size whose output has exactly `output` units.

    Padding and floor are counted here, as `output_size` counts them: with a stride, several input
    sizes give the same output.

    Returns
    -------
    (smallest, largest); for layers given per axis, a tuple with one such pair per axis.

    Raises
    ------
    ValueError : also when no input size gives this output.

    Examples
    --------
    >>> inputs_for([(3, 2)], 3)
    (7, 8)
    """
    stack = Stack(layers)
    wanted = stack.spread("output", output, 1)
    return stack.join(_inputs(axis, size) for axis, size in zip(stack.axes, wanted, strict=True))


def _inputs(layers: Sequence[LayerAxis], output: int) -> tuple[int, int]:
    least = most = output
    for i, layer in reversed(tuple(enumerate(layers))):
        least, most = max(1, _first_giving(layer, least)), _first_giving(layer, most + 1) - 1
        if layer.padding_mode in ("reflect", "circular"):
            short = 1 if layer.padding_mode == "reflect" else 0
            least = max(least, layer.before + short, layer.after + short)
        if least > most:
            raise ValueError(
                f"output must be a size that some input gives; got {told(output)}, and no input of "
                f"layers[{i}] gives what it needs"
            )
    return least, most


def _first_giving(layer: LayerAxis, output: int) -> int:
    """Return the smallest input size that gives at least `output` units; the size grows with it."""
    padded = layer.before + layer.after
    if layer.transposed:
        fixed = layer.reach + 1 + layer.output_padding - padded
        return -(-(output - fixed) // layer.stride) + 1
    size = layer.stride * (output - 1) + layer.reach + 1 - padded
    if not layer.ceil_mode:
        return size
    # Rounded up, one unit more where anything is left over; or this very unit, where its window
    # begins inside.
    begins = layer.stride * (output - 1) - layer.before + 1
    return min(size + 1, max(size - layer.stride + 1, begins))
