"""Where: which input pixels does unit i read, and which units does a pixel reach?

Unit o of a layer reads s*o - p to s*o - p + d(k - 1).  Applied from the last layer to the first,
to both ends of an interval, that gives the region; applied to sets it gives the exact set, with
the holes that dilation leaves.  Padding moves the region and never enlarges it.  Positions of a
map that are padding read nothing: clipping happens at every map, not at the input alone.
Source: Araujo, Norris and Sim 2019, "solving for receptive field region".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from rflib.inputsize import map_sizes
from rflib.layers import LayerAxis, Stack, switch, told
from rflib.sets import Runs, clipped, count, folded, reached_from, read_by, unfolded


class Region(NamedTuple):
    """The first and the last position of an interval; `Region(0, -1)` is the empty one.

    >>> Region(-1, 5).size
    7
    >>> Region(0, -1).empty
    True
    """

    first: int
    last: int

    @property
    def size(self) -> int:
        """How many positions the interval holds."""
        return self.last - self.first + 1

    @property
    def empty(self) -> bool:
        """Whether the unit reads nothing but padding."""
        return self.last < self.first


EMPTY = Region(0, -1)
MOST_LISTED = 1_000_000  # positions; a tuple of more would fill memory rather than tell anything


def region(
    layers: object,
    unit: int | tuple[int, ...],
    input_size: int | tuple[int, ...] | None = None,
    clip: bool = False,
) -> Any:
    """Return the first and the last input position that `unit` of the last layer reads.

    Parameters
    ----------
    layers : see `rflib.read`.
    unit : index of the unit, from 0; per axis a tuple.
    input_size : input pixels; when given, `unit` must exist.
    clip : False: positions outside the input are negative or >= `input_size`, as if the input went
        on.  True: true input positions alone, exact also where intermediate maps are padded.

    Returns
    -------
    Region, or a tuple with one Region per axis for layers given per axis.  A hull: with dilation
    there may be holes inside (`reads` lists the set).

    Raises
    ------
    TypeError, ValueError : naming the argument, the value and what is allowed.

    Source: Araujo, Norris and Sim 2019.

    Examples
    --------
    >>> region([(3, 1, 1), (3, 1, 1)], unit=0)
    Region(first=-2, last=2)
    >>> region([(3, 1, 1), (3, 1, 1)], unit=0, input_size=32, clip=True)
    Region(first=0, last=2)
    """
    if switch("clip", clip) and input_size is None:
        raise ValueError("input_size must be given with clip=True; got None")
    return _over_axes(layers, "unit", unit, input_size, _clipped_hull if clip else _hull)


def reads(
    layers: object,
    unit: int | tuple[int, ...],
    input_size: int | tuple[int, ...] | None = None,
) -> Any:
    """Return the exact set of input positions that `unit` reads, holes and all, sorted.

    With `input_size` only true input positions; without, also those that lie outside the input.
    Arguments and errors are those of `region`; per axis, a tuple of tuples: the set in two
    dimensions is their product.

    >>> reads([(3, 1, 0, 2), (3, 1, 0, 2)], unit=0)
    (0, 2, 4, 6, 8)
    """

    def listed(axis: Sequence[LayerAxis], one: int, sizes: tuple[int, ...] | None) -> Any:
        return _listed(_read_back(axis, one, sizes))

    return _over_axes(layers, "unit", unit, input_size, listed)


def reaches(
    layers: object,
    pixel: int | tuple[int, ...],
    input_size: int | tuple[int, ...] | None = None,
) -> Any:
    """Return the first and the last unit of the last layer that read input position `pixel`.

    The inverse of `region`; without `input_size` the maps before the last one go on for ever in
    both directions.  Errors are those of `region`; an empty Region says that no unit reads it.

    >>> reaches([(3,), (3, 2)], pixel=6)
    Region(first=1, last=3)
    """

    def hull(axis: Sequence[LayerAxis], one: int, sizes: tuple[int, ...] | None) -> Any:
        return _ends(_reach_on(axis, one, sizes))

    return _over_axes(layers, "pixel", pixel, input_size, hull)


def reached(
    layers: object,
    pixel: int | tuple[int, ...],
    input_size: int | tuple[int, ...] | None = None,
) -> Any:
    """Return the exact set of units of the last layer that read input position `pixel`, sorted.

    Arguments and errors are those of `reaches`.

    >>> reached([(3, 1, 0, 2)], pixel=4)
    (0, 2, 4)
    """

    def listed(axis: Sequence[LayerAxis], one: int, sizes: tuple[int, ...] | None) -> Any:
        return _listed(_reach_on(axis, one, sizes))

    return _over_axes(layers, "pixel", pixel, input_size, listed)


def _over_axes(layers: object, name: str, place: Any, input_size: Any, answer: Any) -> Any:
    """Ask `answer(layers, place, sizes of the maps)` for each axis; every axis the same way."""
    stack = Stack(layers)
    places = stack.spread(name, place, 0)
    if input_size is None:
        sizes: list[tuple[int, ...] | None] = [None] * len(places)
    else:
        given = stack.spread("input_size", input_size, 1)
        sizes = [map_sizes(axis, size) for axis, size in zip(stack.axes, given, strict=True)]
        for place_on_axis, maps in zip(places, sizes, strict=True):
            assert maps is not None
            there = maps[-1] if name == "unit" else maps[0]
            if place_on_axis >= there:
                raise ValueError(
                    f"{name} must be from 0 to {told(there - 1)} on an input of {told(maps[0])}; "
                    f"got {told(place_on_axis)}"
                )
    return stack.join(
        answer(axis, place_on_axis, maps)
        for axis, place_on_axis, maps in zip(stack.axes, places, sizes, strict=True)
    )


def _hull(layers: Sequence[LayerAxis], unit: int, _: tuple[int, ...] | None) -> Region:
    if any(layer.transposed for layer in layers):
        return _ends(_read_back(layers, unit, None))
    first = last = unit  # without transposed layers the ends of the set come from the ends
    for layer in reversed(layers):
        first = layer.stride * first - layer.before
        last = layer.stride * last - layer.before + layer.reach
    return Region(first, last)


def _clipped_hull(layers: Sequence[LayerAxis], unit: int, sizes: tuple[int, ...] | None) -> Region:
    return _ends(_read_back(layers, unit, sizes))


def _read_back(layers: Sequence[LayerAxis], unit: int, sizes: tuple[int, ...] | None) -> Runs:
    runs: Runs = ((unit, unit),)
    for i, layer in reversed(tuple(enumerate(layers))):
        runs = read_by(layer, runs)
        if sizes is not None:
            runs = folded(layer, runs, sizes[i])
    return runs


def _reach_on(layers: Sequence[LayerAxis], pixel: int, sizes: tuple[int, ...] | None) -> Runs:
    runs: Runs = ((pixel, pixel),)
    for i, layer in enumerate(layers):
        if sizes is not None:
            runs = unfolded(layer, runs, sizes[i])
        runs = reached_from(layer, runs)
        if sizes is not None:
            runs = clipped(runs, 0, sizes[i + 1] - 1)
    # Units before the first do not exist; without a size, the last map goes on to the right.
    return clipped(runs, 0, runs[-1][1]) if runs else runs


def _ends(runs: Runs) -> Region:
    return Region(runs[0][0], runs[-1][1]) if runs else EMPTY


def _listed(runs: Runs) -> tuple[int, ...]:
    if count(runs) > MOST_LISTED:
        raise ValueError(
            f"the exact set must have at most {MOST_LISTED:,} positions to be listed; this one has "
            f"{told(count(runs))}. Its ends are given by rflib.region and rflib.reaches"
        )
    return tuple(i for first, last in runs for i in range(first, last + 1))
