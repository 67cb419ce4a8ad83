"""Where thin strips of the input show the same rows and columns as all of it: proven by a trace.

Rows depend on rows and columns on columns.  So a unit's field along one axis needs that axis in
full length only, and the others may be as narrow as the network lets them be: the cost is a length
in place of an area.  This holds where `rflib.trace` finds, for the strip's unit and the whole
input's, the same ends and the same clipping along the long axis, and no operator on the way that
reads a whole map.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from typing import Any

from torch import nn

from rflib._copy import checked_unit
from rflib._maps import NONE
from rflib.regions import Region
from rflib.trace import Field, Study, Trace, at

NARROWEST = 2  # pixels: with one, a map of another width could be stretched by broadcasting
WORTH = 8  # a strip is used if it has at most this part of the input's positions
ANY = (1, 1, 1, 1)  # a study wants one size of input from the start, which is not used
TRIES = 8  # units across a strip, from its middle: their phases may differ


@dataclass(frozen=True)
class Strip:
    """A thin input, and the unit of it that reads along `axis` what the unit of all of it reads."""

    axis: int
    size: tuple[int, ...]
    unit: tuple[int, ...]
    units: tuple[int, ...]
    region: Region  # along the axis, by the trace


class Prover:
    """The wiring up to one submodule's output, traced on inputs of several sizes."""

    def __init__(self, model: nn.Module, path: str) -> None:
        self.study, self.path = Study(model, ANY, "error"), path

    def field(self, size: tuple[int, ...]) -> Field | None:
        """The units' field, if they lie along the input's axes and no whole map is read."""
        trace = Trace(self.study, (size,), bits=False)
        field = trace.of(self.path)
        along = field._dims == tuple(range(2, len(size))) and len(field.shape) == len(size)
        return field if along and not any(field._map.wholes) else None

    def strips(self, size: tuple[int, ...], unit: Any) -> list[Strip] | None:
        """One strip per axis, or None where that is not proven."""
        try:
            whole = self.field(size)
        except (TypeError, LookupError, ValueError, RuntimeError):
            return None  # what is wrong with model, layer or size is told by running it
        if whole is None:
            return None
        place = checked_unit(unit, whole.units)
        found = [self.strip(whole, size, place, axis) for axis in range(len(size) - 2)]
        return [strip for strip in found if strip] if all(found) else None

    def strip(
        self, whole: Field, size: tuple[int, ...], unit: tuple[int, ...], axis: int
    ) -> Strip | None:
        """The narrowest one, by doubling, on which the unit reads the same along this axis."""
        wanted = ends(whole, unit, axis)
        width = NARROWEST
        while wanted:
            sides = [n if a == axis else min(n, width) for a, n in enumerate(size[2:])]
            if prod(sides) * WORTH > prod(size[2:]):
                break
            thin = (*size[:2], *sides)
            try:
                field = self.field(thin)
            except (TypeError, LookupError, ValueError, RuntimeError):  # too narrow for it
                field = None
            if field is not None and field.units[axis] == whole.units[axis]:
                for place in across(field.units, unit[axis], axis):
                    if ends(field, place, axis) == wanted:
                        region = Region(wanted[0], -wanted[1])
                        return Strip(axis, thin, place, field.units, region)
            width *= 2
        return None


def ends(field: Field, unit: tuple[int, ...], axis: int) -> list[int] | None:
    """First, minus last, and which borders clip (0, else NONE); None if nothing is read."""
    entries = [a if a is None else at(a, unit).tolist() for a in field._arrays]
    if any(entry is None or entry[0] == NONE for entry in entries):
        return None
    found: list[int] | None = entries[axis]
    return found


def across(units: tuple[int, ...], place: int, axis: int) -> Iterator[tuple[int, ...]]:
    """Units of a strip at this place along its axis, from the middle of the others outwards."""
    for step in range(TRIES):
        shift = -(step + 1) // 2 if step % 2 else step // 2
        moved = tuple(place if a == axis else n // 2 + shift for a, n in enumerate(units))
        if all(0 <= m < n for m, n in zip(moved, units, strict=True)):
            yield moved
