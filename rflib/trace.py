"""The exact receptive field of any torch module, by running its own forward on coordinates.

In place of numbers, each tensor carries for every position the first and the last input index that
it depends on, along each axis.  A window takes the minimum and the maximum over its taps, a sum
unites what it adds, a view moves positions, a softmax unites a whole dim.  So branches, dilation,
upsampling and clipping come out as they are, whatever Python the forward runs; no weight is read.

Sources: Araujo, Norris and Sim 2019 for the arithmetic; the idea of running a program on intervals
in place of values is abstract interpretation.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from fractions import Fraction
from functools import cached_property
from html import escape
from math import lcm, prod
from operator import index as whole_number
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.module import (
    register_module_forward_hook,
    register_module_forward_pre_hook,
)

from rflib import _shortcuts  # noqa: F401 (with _operators, registers all rules)
from rflib._copy import first_convolution, short, times, untouched
from rflib._maps import BITS, ENDS, NONE, Array, Deps, MapError, Origin, compressed, vary
from rflib._tracer import (
    MARKS,
    OTHER,
    WINDOWS,
    Functions,
    Map,
    Run,
    TraceError,
    bare_copy,
    leaves,
    rule,
    surroundings,
)
from rflib.regions import Region

__all__ = ["Field", "Halo", "Map", "Trace", "TraceError", "rule", "trace"]

DOUBLINGS = 5  # how often the input may be doubled to find a unit that no border clips
MOST_TOKENS = 1 << 10  # of a run, before it is doubled once more
MOST_ENTRIES = 1 << 21  # of an array of that run
MOST_TO_TELL = 1 << 23  # the same, where one larger run tells windows from whole maps
LONGEST = 1 << 15  # pixels along an axis of such an input
MOST_WIDER = 16  # steps by which a halo may grow where maps are cropped
LONGEST_PERIOD = 1024  # units; that of ten levels of halving
IRREGULAR = 256  # units along an axis that show whether what they read repeats
ROWS = 40  # of a table, before it shows the outer submodules only


@dataclass(frozen=True)
class Measure:
    """Size, jump and start along one axis, and the input on which they could be seen."""

    size: int
    sizes: tuple[tuple[int, Fraction], ...]
    jump: int | Fraction | None
    start: int | Fraction | None
    period: int
    free: bool  # of a unit that no border clips


class Field:
    """What the units of one tensor see of one input; lengths in input pixels, one entry an axis.

    path : the submodule, "" for the model; "name@2" for its second call, "name:key" for one of
        several outputs.
    shape : of the tensor.
    units : how many units there are along each of the dims that carry positions.
    """

    def __init__(self, trace: Trace, path: str, map_: Map, which: int, local: bool) -> None:
        self.path, self.shape = path, map_.shape
        self._trace, self._map, self._which, self._local = trace, map_, which, local
        deps = map_.local if local else map_.strict
        self._dims = unit_dims(trace.telling(path, map_), trace.places(which))
        self._arrays, self._filled = arranged(map_, deps, self._dims, trace.places(which))
        self.units = tuple(map_.shape[d] for d in self._dims)

    # Size, jump, start.

    @property
    def size(self) -> tuple[int, ...]:
        """The extent of the field of a unit that no border clips; where units differ, the largest.

        Where the border clips every unit on this input, it is measured on a larger one
        (`measured_at`); where that cannot run either, it is the largest seen (`clipped`).
        """
        return tuple(m.size for m in self._measures)

    @property
    def sizes(self) -> tuple[tuple[tuple[int, Fraction], ...], ...]:
        """Per axis, every size that occurs with its share of the units, largest first."""
        return tuple(m.sizes for m in self._measures)

    @property
    def jump(self) -> tuple[int | Fraction | None, ...]:
        """The distance between neighbouring units' fields; None where there is no such number."""
        return tuple(m.jump for m in self._measures)

    @property
    def start(self) -> tuple[int | Fraction | None, ...]:
        """Where unit 0 looks: the centre of its field, as if no border clipped it.

        Where units differ, the mean over one period of them: of their centres, each moved back by
        as many jumps as there are units before it.
        """
        return tuple(m.start for m in self._measures)

    @property
    def varies(self) -> bool:
        """Whether units that no border clips differ in size (their phases do)."""
        return any(len(m.sizes) > 1 for m in self._measures)

    @property
    def clipped(self) -> tuple[bool, ...]:
        """Per axis, whether `size` is of clipped units, and the true one may be larger."""
        return tuple(not m.free for m in self._measures)

    @property
    def measured_at(self) -> tuple[int, ...]:
        """The shape of the input on which size, jump and start were read off."""
        return self._measured[1]

    @property
    def _measures(self) -> tuple[Measure, ...]:
        return self._measured[0]

    @cached_property
    def _measured(self) -> tuple[tuple[Measure, ...], tuple[int, ...]]:
        given = self._trace.shape(self._which)
        own = self._own_measures
        wanted = [
            m.jump is None or not m.free
            for m, whole in zip(own, self._whole, strict=True)
            if not whole
        ]
        if not any(wanted) or any(array is None for array in self._arrays):
            return own, given
        best, at = own, given
        for larger in self._trace._larger():
            try:
                field = larger.find(self.path, self._which)
                if field is None:
                    break
                field = field.local if self._local else field
                if field._other:
                    break
                found = field._own_measures
            except MapError:  # it would take too many numbers
                break
            best = tuple(
                mine
                if whole or (mine.free and (mine.jump is not None or other.jump is None))
                else other
                for mine, other, whole in zip(own, found, self._whole, strict=True)
            )
            at = larger.shape(self._which)
            if all(m.free and m.jump is not None for m in best):
                break
            if all(m.free for m in best) and min(field.units, default=0) >= IRREGULAR:
                break  # regular it will not be, however large the input
        if not all(m.free for m in best):  # never free: what is seen on the given input counts
            kept = tuple(b if b.free else mine for b, mine in zip(best, own, strict=True))
            return kept, at
        return best, at

    @cached_property
    def _own_measures(self) -> tuple[Measure, ...]:
        return tuple(
            measured(array, whole, length, pattern(self._map), WINDOWS in self._map.wholes[place])
            for array, whole, length, place in zip(
                self._arrays,
                self._whole,
                self._trace.shape(self._which)[2:],
                self._trace.places(self._which),
                strict=True,
            )
        )

    @property
    def _other(self) -> bool:
        """Whether windows on the way are not those of the input that was asked for."""
        return any(OTHER in self._map.wholes[place] for place in self._trace.places(self._which))

    # Where.

    def region(self, unit: int | Sequence[int]) -> tuple[Region, ...]:
        """The first and the last input position that a unit depends on, along each axis.

        Exact for this very unit, border clipping included; Region(0, -1) if it depends on none.
        A hull: where `hull` is true, there may be holes inside, and `reads` tells them.

        Raises TypeError or ValueError for a unit that does not exist.
        """
        place = self._place(unit)
        regions = []
        for array in self._arrays:
            if array is None:
                return tuple(Region(0, -1) for _ in self._arrays)
            first, minus_last = (int(n) for n in at(array, place)[:2])
            if first == NONE:
                return tuple(Region(0, -1) for _ in self._arrays)
            regions.append(Region(first, -minus_last))
        return tuple(regions)

    def reads(self, unit: int | Sequence[int]) -> tuple[tuple[int, ...], ...]:
        """The exact input positions that a unit depends on, along each axis, holes left out."""
        place = self._place(unit)
        field = self._trace._exact().of(self.path, self._which)
        field = field.local if self._local else field
        found = []
        for array in field._arrays:
            if array is None:
                return tuple(() for _ in field._arrays)
            bits = np.unpackbits(at(array, place), bitorder="little")
            found.append(tuple(np.flatnonzero(bits).tolist()))
        return tuple(found) if all(found) else tuple(() for _ in found)

    def holes(self, unit: int | Sequence[int]) -> tuple[bool, ...]:
        """Per axis, whether there are positions inside `region(unit)` that it does not read."""
        return tuple(
            len(reads) < region.size
            for reads, region in zip(self.reads(unit), self.region(unit), strict=True)
        )

    def reaches(self, pixel: int | Sequence[int]) -> tuple[Region, ...]:
        """The first and the last unit that depend on an input position, per axis; the inverse.

        Raises ValueError where units are not laid out along the input's axes.
        """
        lengths = self._trace.shape(self._which)[2:]
        places = checked("pixel", pixel, lengths, "the input has pixels")
        field = self._trace._exact().of(self.path, self._which)
        field = field.local if self._local else field
        found = []
        for axis, (array, place) in enumerate(zip(field._arrays, places, strict=True)):
            along = [] if array is None else [d for d in range(array.ndim - 1) if vary(array, d)]
            if array is None or len(along) > 1 or (along and along != [axis]):
                raise ValueError(
                    f"pixel={pixel!r}: the units of {self.path or 'the model'!r} are not laid out "
                    f"along the axes of the input, so there is no first and last one"
                )
            bit = array[place // 8].ravel() >> (place % 8) & 1
            units = np.flatnonzero(bit)
            if not len(units):
                return tuple(Region(0, -1) for _ in places)
            whole = bit.size == 1
            count = self.units[axis] if axis < len(self.units) else 1
            found.append(Region(0, count - 1) if whole else Region(int(units[0]), int(units[-1])))
        return tuple(found)

    @property
    def empty(self) -> bool:
        """Whether no unit depends on this input at all."""
        return any(a is None or bool((a[0] == NONE).all()) for a in self._arrays)

    @property
    def blind(self) -> int:
        """How many units depend on no input position, as they see nothing but padding."""
        if self.empty:
            return prod(self.units)
        masks = [np.broadcast_to(a[0] == NONE, self.units) for a in self._arrays if a is not None]
        return int(np.logical_or.reduce(masks).sum()) if self._map.strict.ragged else 0

    @property
    def flat(self) -> bool:
        """Whether positions stand in one row with the channels, so that all are one unit here."""
        deps = self._map.local if self._local else self._map.strict
        moving = any(a is not None and a.size > a.shape[0] for a in deps.arrays)
        return len(self.shape) <= 2 and moving

    @property
    def hull(self) -> bool:
        """Whether the set that a unit reads may be less than the box that `region` gives.

        False is proven. True means that holes are possible; `holes(unit)` and `reads(unit)` tell
        them axis by axis, `rflib.probe` shows the set in the plane.
        """
        return not self._filled

    # Through a whole map or not.

    @cached_property
    def local(self) -> Field:
        """The same units without the paths through an operator that reads a whole map."""
        if self._local or self._map.local is self._map.strict:
            return self
        return Field(self._trace, self.path, self._map, self._which, local=True)

    @property
    def global_(self) -> tuple[str, ...]:
        """The operators that read a whole map, however large, and so made the field global."""
        if self._local:
            return ()
        names = dict.fromkeys(
            name
            for place, whole in zip(self._trace.places(self._which), self._whole, strict=True)
            if whole
            for name in self._map.wholes[place]
            if name not in MARKS
        )
        return tuple(names)

    @cached_property
    def _whole(self) -> tuple[bool, ...]:
        places = self._trace.places(self._which)
        if self.flat:
            return tuple(True for _ in places)
        if self._local or self._map.local is self._map.strict:
            return tuple(False for _ in places)
        return tuple(
            any(name not in MARKS for name in self._map.wholes[place])
            and not self._beside(self._map.strict.arrays[place], self._map.local.arrays[place])
            for place in places
        )

    @staticmethod
    def _beside(strict: Array | None, local: Array | None) -> bool:
        """Whether the whole map that an operator has read is not in what these positions read."""
        if strict is None:
            return True
        first, last = strict[0], strict[1]
        if (first == first.flat[0]).all() and (last == last.flat[0]).all():
            return False  # all see the same, also where the border makes the local fields so
        return strict is local or (local is not None and np.array_equal(strict[:2], local[:2]))

    def _place(self, unit: Any) -> tuple[int, ...]:
        return checked("unit", unit, self.units, f"{self._subject()} has units")

    def _subject(self) -> str:
        return f"{self.path!r}" if self.path else "the output"

    # Telling.

    def __repr__(self) -> str:
        return f"{self._subject()}: {'; '.join(self.cells()[2:])}"

    def cells(self) -> tuple[str, ...]:
        """Path, units, size, jump, start and remarks, as words for a table."""
        if any(array is None for array in self._arrays):
            return (self.path or "output", told(self.units), "-", "-", "-", "does not depend on it")
        size = [
            " or ".join(str(n) for n, _ in m.sizes)
            if len(m.sizes) <= 3
            else f"{m.sizes[-1][0]} to {m.sizes[0][0]}"
            for m in self._measures
        ]
        size = [
            f">= {text}" if clipped and not whole else text
            for text, clipped, whole in zip(size, self.clipped, self._whole, strict=True)
        ]
        remarks = []
        calls = self._trace.calls(self.path)
        if calls > 1:
            remarks.append(f"the last of {calls} calls")
        if self.global_:
            remarks.append(f"global by {self.global_[0]}" + (", ..." if self.global_[1:] else ""))
            inner = self.local
            if not inner.empty:
                remarks.append(f"local {told(inner.size)}")
        if self.flat:
            remarks.append("all positions side by side")
        elif self.hull and not self.global_:
            remarks.append("a hull")
        if self.blind:
            remarks.append(f"{self.blind} units see padding only")
        return (
            self.path or "output",
            told(self.units) or "1",
            told(size),
            told(self.jump),
            told(self.start),
            "; ".join(remarks),
        )


def at(array: Array, place: Sequence[int]) -> Array:
    """One unit's entry."""
    index: tuple[Any, ...] = tuple(p if vary(array, d) else 0 for d, p in enumerate(place))
    found: Array = array[(slice(None), *index)]
    return found


def told(values: Sequence[Any]) -> str:
    words = ["-" if v is None else str(v) for v in values]
    return words[0] if len(set(words)) == 1 else " x ".join(words)


def unit_dims(map_: Map, places: Sequence[int]) -> tuple[int, ...]:
    """The dims of a tensor along which its units lie: rows and columns, or tokens, or none."""
    dims, axes = len(map_.shape), len(places)
    movers: list[set[int]] = [set() for _ in places]  # for each axis, the dims along which it moves
    for deps in (map_.strict, map_.local):
        for moving, place in zip(movers, places, strict=True):
            array = deps.arrays[place]
            if array is not None:
                moving.update(d for d in range(dims) if vary(array, d))
    everywhere = set().union(*movers)
    if dims != axes + 2:
        return tuple(sorted(everywhere)) if dims > 2 else ()
    first, last = tuple(range(2, dims)), tuple(range(1, dims - 1))

    def fits(order: Sequence[int], channels: int) -> bool:
        """Whether each axis that moves at all does so along its dim, and else in the channels."""
        pairs = [(moving, dim) for moving, dim in zip(movers, order, strict=True) if moving]
        return all(dim in moving and moving <= {dim, channels} for moving, dim in pairs)

    if not everywhere or fits(first, 1) or not fits(last, dims - 1):
        return first  # channels first; they may vary too, where branches stand side by side
    return first if all(map_.shape[d] == 1 for d in first) else last


def arranged(
    map_: Map, deps: Deps, dims: Sequence[int], places: Sequence[int]
) -> tuple[tuple[Array | None, ...], bool]:
    """The arrays of one input with the dims of the units alone, and whether their boxes are full.

    What stands beside the units, the channels say, is united.
    """
    rest = [d for d in range(len(map_.shape)) if d not in dims]
    deps = map_.run.calculus.reduced(deps, rest)
    if deps.ragged:
        (deps,) = map_.run.calculus.settled(deps)
    axes = tuple(d + 1 for d in rest)
    arrays = tuple(
        None if (a := deps.arrays[place]) is None else compressed(a.squeeze(axes))
        for place in places
    )
    return arrays, deps.filled


def measured(array: Array | None, whole: bool, length: int, enough: int, windows: bool) -> Measure:
    """Read size, jump and start off the units that no border clips.

    enough : how many neighbours it takes to be sure of what repeats.
    windows : whether there are windows on the way, of which the border has fewer.
    """
    if array is None:
        return Measure(0, ((0, Fraction(1)),), None, None, 1, free=True)
    array = one_line(array)
    along = [d for d in range(array.ndim - 1) if vary(array, d)]
    first, last = array[0], -array[1]
    there = first != NONE
    clear = (array[2] == NONE) & (array[3] == NONE)
    if windows:
        clear &= (first > 0) & (last < length - 1)
    extent = np.where(there, last - first + 1, 0)
    if whole or not (clear & there).any():
        size = int(extent.max(initial=0))
        return Measure(size, ((size, Fraction(1)),), None, None, 1, free=whole)
    if len(along) == 1:
        regular = progression(first.ravel(), last.ravel(), clear.ravel(), enough)
        if regular is not None:
            return regular
    counted = Counter(extent[clear].tolist())
    shares = sorted(((n, Fraction(c, int(clear.sum()))) for n, c in counted.items()), reverse=True)
    # Zeros that forward itself has put around a map are no border that could be seen; but then the
    # widest units all reach an end of the input.
    widest = clear & (extent == shares[0][0])
    inside = bool((widest & (first > 0) & (last < length - 1)).any() and clear.sum() >= enough)
    return Measure(int(shares[0][0]), tuple(shares), None, None, 1, free=inside)


def pattern(map_: Map) -> int:
    """How many neighbouring units show whether and how what they read repeats."""
    return max(4, 2 * map_.upsampled)


def one_line(array: Array) -> Array:
    """Along one dim alone, where the others only tell which units depend on anything at all."""
    for dim in range(array.ndim - 1):
        others = tuple(d + 1 for d in range(array.ndim - 1) if d != dim)
        if not vary(array, dim) or not others:
            continue
        line = array.min(axis=others, keepdims=True)
        if ((array == line) | (array[0] == NONE)).all():
            return cast(Array, line)
    return array


def progression(first: Array, last: Array, clear: Array, enough: int) -> Measure | None:
    """The longest run of units that no border clips, if what they read repeats with a period."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], clear.astype(np.int8), [0]])))
    begin, end = max(zip(edges[::2], edges[1::2], strict=True), key=lambda run: run[1] - run[0])
    lo, hi = first[begin:end].astype(np.int64), last[begin:end].astype(np.int64)
    if len(lo) < enough:
        return None
    period, step = repeat(lo, hi)
    if not step:
        # Near the ends units may be cut where no border can be seen, as by zeros that forward puts
        # there itself. Then the pattern shows further inside, and theirs must fit into it.
        core = slice(len(lo) // 2, len(lo) // 2 + len(lo) // 4)
        if len(lo[core]) < enough:
            return None
        period, step = repeat(lo[core], hi[core])
        turn, phase = np.divmod(np.arange(len(lo)) - core.start, period)
        if not step:
            return None
        before, after = lo - lo[core][phase] - turn * step, hi[core][phase] + turn * step - hi
        if min(before.min(), after.min()) < 0 or (before * after).any():
            return None
        lo, hi, begin = lo[core], hi[core], begin + core.start
    jump = Fraction(step, period)
    there = [i for i in range(period) if lo[i] != NONE]  # others read nothing at all
    counted = Counter(int(hi[i] - lo[i]) + 1 for i in there)
    if len(there) < period:
        counted[0] = period - len(there)
    sizes = sorted(((k, Fraction(c, period)) for k, c in counted.items()), reverse=True)
    centres = [Fraction(int(lo[i] + hi[i]), 2) - (int(begin) + i) * jump for i in there]
    start = sum(centres, Fraction(0)) / len(there)
    return Measure(sizes[0][0], tuple(sizes), tidy(jump), tidy(start), period, free=True)


def repeat(lo: Array, hi: Array) -> tuple[int, int]:
    """After how many units the pattern repeats, and how far it has moved then; (1, 0): never."""
    there = lo != NONE
    for period in range(1, min(len(lo) // 2, LONGEST_PERIOD) + 1):
        now, then = there[period:], there[:-period]
        if (now != then).any() or not now.any():
            continue
        moved = [(ends[period:] - ends[:-period])[now] for ends in (lo, hi)]
        if (moved[0] == moved[0][0]).all() and (moved[1] == moved[0][0]).all():
            return period, int(moved[0][0])
    return 1, 0


def tidy(value: Fraction) -> int | Fraction:
    return value.numerator if value.denominator == 1 else value


def checked(name: str, value: Any, counts: Sequence[int], what: str) -> tuple[int, ...]:
    """One place per axis, or words."""
    entries = list(value) if isinstance(value, (tuple, list)) else [value] * len(counts)
    if len(entries) != len(counts):
        raise ValueError(
            f"{name} must have {len(counts)} entries, as {what} along {len(counts)} axes "
            f"({times(counts) or 'none'}); got {short(value)}"
        )
    places = []
    for entry, count in zip(entries, counts, strict=True):
        try:
            if isinstance(entry, bool):
                raise TypeError
            place = whole_number(entry)
        except TypeError:
            raise TypeError(f"{name} must be whole numbers; got {short(value)}") from None
        if not 0 <= place < count:
            raise ValueError(
                f"{name} must lie from 0 to {count - 1}: {what} {times(counts)}; got {short(value)}"
            )
        places.append(place)
    return tuple(places)


@dataclass(frozen=True)
class Halo:
    """What a tile needs beyond its own pixels along one axis, so that its inner units are exact.

    before, after : input pixels to add on each side of the tile (multiples of `step` in front).
    step : tiles begin and end at multiples of it, so that every stride falls as in the whole image.
    jump : input pixels per output unit.
    """

    before: int
    after: int
    step: int
    jump: int | Fraction


class Trace(Mapping[str, Field]):
    """The fields of a model's submodules and of its output, by path; prints as a table.

    ``t["layer4"]`` is the output of a submodule (its last call; ``"layer4@1"`` its first; of
    several tensors ``"encoder:0"``, ``"backbone:out"``), ``t.output`` the model's own.

    everything : operators without a rule that were let see everything, with their places.
    never_called : submodules that forward did not call.
    """

    def __init__(self, study: Study, shapes: tuple[tuple[int, ...], ...], bits: bool) -> None:
        self._study, self._shapes, self._asked = study, shapes, not study.growing
        wanted = study.ratios if study.growing else None
        self._run, self._maps, self._failed = study.run(shapes, BITS if bits else ENDS, wanted)
        if not (study.growing or bits):
            study.ratios = self._run.ratios
        self._called = study.calls
        self._fields: dict[tuple[str, int], Field] = {}
        self._grown: list[Trace] = []
        self._bits: Trace | None = None
        if self._failed is not None and not study.growing:
            raise self._failed
        if self._run.doubtful and not (study.growing or bits):
            self._tell_windows(study)

    def _tell_windows(self, study: Study) -> None:
        """Run again without taking windows of attention for the whole map that they fill here."""
        larger = next(self._larger(MOST_TO_TELL), None)
        windows = self._run.windows_beside(larger._run) if larger else frozenset()
        if windows:
            study.windows = windows
            self._grown.clear()
            self._run, self._maps, self._failed = study.run(self._shapes, ENDS)

    # Access.

    def find(self, path: str, which: int) -> Field | None:
        key = (path, which)
        if key not in self._fields:
            if path not in self._maps:
                return None
            self._fields[key] = Field(self, path, self._maps[path], which, local=False)
        return self._fields[key]

    def __getitem__(self, path: str) -> Field:
        return self.of(path)

    def of(self, path: str, input: int | str = 0) -> Field:
        """The field of a submodule's output with respect to one of several inputs.

        Raises TypeError or KeyError in words: for a path that is none, was never called, or has
        several outputs.
        """
        if not isinstance(path, str):
            raise TypeError(f"path must be the path of a submodule; got {short(path)}")
        which = self._study.which(input)
        found = self.find(path, which)
        if found is not None:
            return found
        raise KeyError(self._study.why_not(path, self._maps))

    def __iter__(self) -> Iterator[str]:
        return (path for path in self._maps if "@" not in path)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __contains__(self, path: object) -> bool:
        return path in self._maps

    @property
    def output(self) -> Field:
        """The field of the model's own output; of several outputs, name one: ``t[":out"]``."""
        return self.of("")

    @property
    def outputs(self) -> dict[str, Field]:
        """All tensors of the model's output, by key ("" for one alone)."""
        keys = [p for p in self._maps if p == "" or p.startswith(":")]
        return {p.removeprefix(":"): self.of(p) for p in keys}

    @property
    def everything(self) -> tuple[str, ...]:
        return tuple(self._run.everything)

    @property
    def never_called(self) -> tuple[str, ...]:
        return tuple(
            name
            for name in self._study.names
            if name and name not in self._study.called and not self._study.is_container(name)
        )

    def calls(self, path: str) -> int:
        """How often forward called a submodule."""
        return self._called.get(path.partition(":")[0], 0)

    # The origin.

    @property
    def input_size(self) -> tuple[Any, ...]:
        """The shape of the input, or of each of several."""
        return self._shapes[0] if len(self._shapes) == 1 else self._shapes

    def shape(self, which: int) -> tuple[int, ...]:
        return self._shapes[which]

    def axes(self, which: int) -> int:
        return len(self._shapes[which]) - 2

    def places(self, which: int) -> tuple[int, ...]:
        return tuple(p for p, a in enumerate(self._run.origin.axes) if a[0] == which)

    # Other runs of the same model.

    def telling(self, path: str, map_: Map) -> Map:
        """The map; or that of a larger input, where on this one all its units see the same."""
        if not self._asked or len(map_.shape) < 4 or max(map_.shape[2:]) == 1:
            return map_
        if any(map_.varies(d) for d in range(len(map_.shape))):
            return map_
        larger = next(self._larger(), None)
        return map_ if larger is None else larger._maps.get(path, map_)

    def _larger(self, most: int = MOST_ENTRIES) -> Iterator[Trace]:
        """The same model on inputs with sides twice, four times ... as long."""
        for power in range(1, DOUBLINGS + 1):
            if len(self._grown) < power:
                factor = 2**power
                shapes = tuple((*s[:2], *(n * factor for n in s[2:])) for s in self._shapes)
                last = self._grown[-1] if self._grown else self
                if any(n > LONGEST for s in shapes for n in s[2:]) or last._most() > MOST_TOKENS:
                    return
                if last._run.calculus.largest > most:
                    return
                with self._study.larger():
                    try:
                        self._grown.append(Trace(self._study, shapes, bits=False))
                    except TraceError:
                        return
            yield self._grown[power - 1]

    def _most(self) -> int:
        """The most tokens of the last run: positions in a row are as many as an area holds."""
        maps = self._maps.values()
        usual = {len(s) for s in self._shapes}
        rows = [m for m in maps if len(m.shape) > 2 and len(m.shape) not in usual]
        return max((n for m in rows for d, n in enumerate(m.shape) if m.varies(d)), default=0)

    def _exact(self) -> Trace:
        if self._run.origin.domain is BITS:
            return self
        if self._bits is None:
            self._bits = Trace(self._study, self._shapes, bits=True)
        return self._bits

    # Tiles.

    def halo(self, path: str = "", input: int | str = 0) -> tuple[Halo, ...]:
        """Per axis, how far tiles of the input must overlap for tiled inference to be exact.

        Cut the input into tiles whose ends are multiples of `step`, give each `before` and `after`
        pixels of its surroundings (less where the image ends), and keep the units of the tile
        itself, of the last tile all that follow: they are the same numbers as on the whole image.

        Raises ValueError where that is impossible: an operator reads the whole map, windows lie
        irregularly, a map is resampled to a size or with aligned corners, padding is circular.
        """
        field = self.of(path, input)
        if field.global_:
            raise ValueError(
                f"{field._subject()} cannot be computed in tiles: {field.global_[0]} reads the "
                f"whole map"
            )
        which = self._study.which(input)
        at = field.measured_at
        trace = next((t for t in (self, *self._grown) if t.shape(which) == at), self)
        inner = trace.of(path, which)
        # On another size than `inner`: what lies farther away there depends on the size.
        larger = next((t for t in self._larger() if max(t.shape(which)) > max(at)), None)
        outer = (larger.find(path, which) if larger else None) or inner
        if outer._other:
            raise ValueError(
                f"{field._subject()} cannot be computed in tiles: an operator on the way, as "
                f"resampling to a given size or with aligned corners, has other windows on "
                f"an input of another size"
            )
        found = []
        for axis, measure in enumerate(field._measures):
            if not measure.jump or measure.jump < 0 or not measure.free:
                raise ValueError(
                    f"{field._subject()} cannot be computed in tiles along axis {axis}: its units "
                    f"do not lie at regular distances, or no input shows one that no border clips"
                )
            step = trace._step(axis, which, measure)
            halo = reach_of_tiles(inner._arrays[axis], measure, step)
            usual = reach_of_tiles(inner._arrays[axis], measure, step, free_only=True)
            # What is far shows best on a large input.
            if (
                any(strays(one._arrays[axis], measure, usual) for one in (inner, outer))
                or reach_of_tiles(outer._arrays[axis], measure, step) != halo
            ):
                raise ValueError(
                    f"{field._subject()} cannot be computed in tiles along axis {axis}: units near "
                    f"the border read what lies far from them, as with circular padding"
                )
            found.append(trace._widened(inner, which, axis, measure, halo))
        return tuple(found)

    def _widened(self, field: Field, which: int, axis: int, measure: Measure, halo: Halo) -> Halo:
        """The halo, larger where the units of a tile would hang over its edge.

        So they do where a map is cropped on the way: the tile's map ends before the image's does.
        A run on a tile tells, since its units know whether they hang over a border. With several
        inputs of the model it is not known how long the others would be.
        """
        if len(self._shapes) > 1:
            return halo
        array, period, jump = field._arrays[axis], measure.period, halo.jump
        free = map(int, np.flatnonzero(free_of_borders(array)))
        wanted = {unit % period: pair for unit, pair in offsets(array, jump, free).items()}
        length = halo.step * max(2, -(-(measure.size + 32) // halo.step))
        for _ in range(MOST_WIDER):
            shape = list(self._shapes[0])
            shape[2 + axis] = halo.before + length + halo.after
            with self._study.larger():
                tile = Trace(self._study, (tuple(shape),), bits=False).find(field.path, which)
            if tile is None:
                break
            kept = range(halo.before // jump, (halo.before + length) // jump)
            front, back, there = hanging(tile._arrays[axis], kept)
            if not front and not back:
                found = offsets(tile._arrays[axis], jump, there)
                if all(wanted.get(unit % period, pair) == pair for unit, pair in found.items()):
                    return halo
                front = back = True
            halo = replace(
                halo,
                before=halo.before + front * halo.step,
                after=halo.after + back * halo.step,
            )
        raise ValueError(
            f"{field._subject()} cannot be computed in tiles along axis {axis}: the units of a "
            f"tile read something else than those of the image, however much of it is around"
        )

    def _step(self, axis: int, which: int, measure: Measure) -> int:
        """After how many input pixels everything in the network repeats."""
        place = self.places(which)[axis]
        step = (Fraction(measure.jump or 1) * measure.period).numerator
        for map_ in self._run.grids:
            array = map_.strict.arrays[place]
            if array is None or len(map_.shape) != self.axes(which) + 2:
                continue
            dims = unit_dims(map_, self.places(which))
            (line,), _ = arranged(map_, map_.strict, dims, [place])
            windows = WINDOWS in map_.wholes[place]
            found = measured(line, False, self.shape(which)[2 + axis], pattern(map_), windows)
            if found.jump is None:
                raise ValueError(
                    "the model cannot be computed in tiles: some windows lie at irregular "
                    "distances, or see the whole map"
                )
            step = lcm(step, (Fraction(found.jump) * found.period).numerator)
        return step

    # Telling.

    def table(self, depth: int | None = None) -> list[tuple[str, ...]]:
        """Rows of words: path, units, size, jump, start, remarks; `depth` limits the nesting."""
        paths = [p for p in self if p != "" and not p.startswith(":")]
        if depth is None and len(paths) > ROWS:
            depth = 1
        if depth is not None:
            paths = [p for p in paths if p.partition(":")[0].count(".") < depth]
        paths += [p for p in self if p == "" or p.startswith(":")]
        return [HEAD, *(self.of(p).cells() for p in paths)]

    def __str__(self) -> str:
        rows = self.table()
        widths = [max(len(row[i]) for row in rows) for i in range(len(HEAD))]
        lines = [
            "  ".join(
                cell.ljust(width) if i in (0, 5) else cell.rjust(width)
                for i, (cell, width) in enumerate(zip(row, widths, strict=True))
            ).rstrip()
            for row in rows
        ]
        return "\n".join([*lines, *self._notes()])

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        head, *rows = self.table()
        top = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in head)
        body = "".join(
            f'<tr><th scope="row">{escape(row[0])}</th>'
            + "".join(f"<td>{escape(cell)}</td>" for cell in row[1:])
            + "</tr>"
            for row in rows
        )
        notes = "".join(f"<p>{escape(note)}</p>" for note in self._notes())
        sizes = " and ".join(times(s[1:]) for s in self._shapes)
        caption = f"<caption>{escape(self._study.name)}, input {sizes}</caption>"
        return f"<table>{caption}<thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>{notes}"

    def _notes(self) -> Iterator[str]:
        if self.everything:
            yield f"let see everything, for want of a rule: {', '.join(self.everything)}"


HEAD = ("submodule", "units", "size", "jump", "start", "")


def pixel_ends(array: Array | None) -> tuple[Array, Array]:
    """First and last pixel of each unit of a line; NONE is the first of one that reads nothing."""
    assert array is not None
    return array[0].ravel().astype(np.int64), -array[1].ravel().astype(np.int64)


def free_of_borders(array: Array | None) -> Array:
    """Of each unit of a line, whether it hangs over neither border."""
    assert array is not None
    free: Array = ((array[2] == NONE) & (array[3] == NONE)).ravel()
    return free


def offsets(
    array: Array | None, jump: int | Fraction, units: Iterable[int]
) -> dict[int, tuple[int | Fraction, int | Fraction]]:
    """First and last pixel less the unit's own place, of those of the units that read anything."""
    first, last = pixel_ends(array)
    return {
        unit: (int(first[unit]) - unit * jump, int(last[unit]) - unit * jump)
        for unit in units
        if first[unit] < NONE
    }


def reaches(array: Array | None, jump: Fraction, step: int) -> Iterator[tuple[bool, int, int]]:
    """Of each unit that reads anything: is it free of the border, and how far does it reach?

    Before and after the tile of multiples of `step` in which it lies.
    """
    first, last = pixel_ends(array)
    free = free_of_borders(array)
    for unit in map(int, np.flatnonzero(first < NONE)):
        begin, end = unit * jump // step * step, -(-(unit + 1) * jump // step) * step
        yield bool(free[unit]), begin - int(first[unit]), int(last[unit]) - (end - 1)


def reach_of_tiles(
    array: Array | None, measure: Measure, step: int, free_only: bool = False
) -> Halo:
    """How far the units of a tile reach beyond its own pixels, to both sides.

    Those at the border too: where padding reflects, they may read further than all others.
    """
    assert measure.jump is not None
    before = after = 0
    for free, left, right in reaches(array, Fraction(measure.jump), step):
        if free or not free_only:
            before, after = max(before, left), max(after, right)

    def up(n: int) -> int:
        return -(-n // step) * step

    return Halo(up(before), up(after), step, measure.jump)


def strays(array: Array | None, measure: Measure, usual: Halo) -> bool:
    """Whether units near the border reach farther than their field could, folded back."""
    most = max(usual.before, usual.after) + 2 * measure.size + usual.step
    told = reaches(array, Fraction(usual.jump), usual.step)
    return any(max(left, right) > most for _, left, right in told)


def hanging(array: Array | None, kept: range) -> tuple[bool, bool, list[int]]:
    """Whether any unit that a tile keeps hangs over its front, or its back; those that are there.

    One that is not there was beyond the back.
    """
    assert array is not None
    front, back = (array[side].ravel() != NONE for side in (2, 3))
    there = [unit for unit in kept if unit < front.size]
    return bool(front[there].any()), bool(back[there].any()) or len(there) < len(kept), there


def trace(
    model: nn.Module,
    input_size: Any = None,
    *,
    unknown: str = "error",
) -> Trace:
    """Return the exact field of every submodule's output, for every unit, without computing it.

    The model is copied and never changed; its hooks are not run, and no weight is read: the copy
    runs in eval mode on tensors without numbers. What counts is the wiring. So a weight that
    happens to be 0 counts as an influence. But what a constant attention mask hides (True for
    open, -inf or the lowest number for closed) is hidden, unless the model was made on the meta
    device, where masks have no numbers; one that adds -100, say, hides nothing.

    Parameters
    ----------
    model : any nn.Module.
    input_size : (1, channels, *axes) in pixels; for several inputs a list of such sizes, or a dict
        from the names of forward's arguments to sizes. None: 224 pixels a side, with channels and
        axes from the first convolution. Fields of units clipped by the border are measured on
        larger inputs where the model allows.
    unknown : "error", or "everything": an operator without a rule sees all of its arguments at
        every position, and the result lists it.

    Returns
    -------
    Trace

    Raises
    ------
    TypeError, ValueError : naming the argument, its value and what is allowed.
    TraceError : the model takes decisions by numbers, or uses an operator that has no rule.

    Examples
    --------
    >>> from torch import nn
    >>> t = trace(nn.Sequential(nn.Conv2d(3, 8, 3), nn.MaxPool2d(2), nn.Conv2d(8, 8, 3)),
    ...           (1, 3, 32, 32))
    >>> t["2"].size, t["2"].jump, t["2"].region((0, 3))
    ((8, 8), (2, 2), (Region(first=0, last=7), Region(first=6, last=13)))
    >>> print(t)
    submodule    units  size  jump  start
    0             30     3     1      1
    1             15     4     2    3/2
    2             13     8     2    7/2
    output        13     8     2    7/2
    """
    model = getattr(model, "_orig_mod", model)
    study = Study(model, input_size, unknown)
    with untouched(model):
        return Trace(study, study.shapes, bits=False)


class Study:
    """The copy of the model, ready to be run on inputs of several sizes."""

    def __init__(self, model: Any, input_size: Any, unknown: Any) -> None:
        check_model(model)
        if not isinstance(unknown, str) or unknown not in ("error", "everything"):
            raise ValueError(f"unknown must be 'error' or 'everything'; got {short(unknown)}")
        self.unknown, self.name = unknown, type(model).__name__
        self.keys: list[str] | None = None
        self.shapes = self._shapes(model, input_size)
        with surroundings():
            self.model = bare_copy(model)
        self.names = dict(self.model.named_modules(remove_duplicate=False))
        self.called: set[str] = set()
        self.growing = False
        self.ratios: list[Fraction | None] = []
        self.windows: frozenset[int] = frozenset()
        self.path: list[str] = []
        self.run_: Run | None = None
        self.found: dict[str, Map] = {}
        self.name_of: dict[int, str] = {}
        for name, module in self.names.items():
            self.name_of.setdefault(id(module), name)
        floats = [p.dtype for p in model.parameters() if p.is_floating_point()]
        self.dtype = floats[0] if floats else torch.get_default_dtype()

    def larger(self) -> Any:
        """Runs on larger inputs keep what they found where the model refuses the rest."""
        from contextlib import contextmanager

        @contextmanager
        def growing() -> Iterator[None]:
            self.growing = True
            try:
                yield
            finally:
                self.growing = False

        return growing()

    def _shapes(self, model: nn.Module, given: Any) -> tuple[tuple[int, ...], ...]:
        if given is None:
            channels, axes = first_convolution(model)
            return ((1, channels, *[224] * axes),)
        if isinstance(given, Mapping):
            self.keys = [str(k) for k in given]
            return tuple(checked_shape(f"input_size[{k!r}]", v) for k, v in given.items())
        several = isinstance(given, Sequence) and not isinstance(given, (str, bytes))
        if several and given and isinstance(given[0], Sequence):
            return tuple(checked_shape(f"input_size[{i}]", v) for i, v in enumerate(given))
        return (checked_shape("input_size", given),)

    def which(self, input: int | str) -> int:
        """The number of an input, from its number or its name."""
        names = self.keys or []
        if isinstance(input, str) and input in names:
            return names.index(input)
        if isinstance(input, int) and not isinstance(input, bool) and 0 <= input < len(self.shapes):
            return input
        allowed = ", ".join(map(repr, names)) or f"a number from 0 to {len(self.shapes) - 1}"
        raise ValueError(f"input must be {allowed}; got {short(input)}")

    def run(
        self,
        shapes: tuple[tuple[int, ...], ...],
        domain: Any,
        wanted: list[Fraction | None] | None = None,
    ) -> tuple[Run, dict[str, Map], Exception | None]:
        """One forward pass on coordinates."""
        axes = tuple((i, 2 + a, n) for i, s in enumerate(shapes) for a, n in enumerate(s[2:]))
        self.path.clear()
        run = Run(Origin(domain, axes), self.unknown, self.path)
        run.wanted, run.windows = wanted, self.windows
        self.run_, self.found = run, {}
        self.calls: dict[str, int] = {}
        failed: Exception | None = None
        with surroundings():
            images = [torch.empty(s, dtype=self.dtype, device="meta") for s in shapes]
            for which, image in enumerate(images):
                run.follow(image, run.source(which, tuple(image.shape)))
            arguments = images if self.keys is None else []
            named = dict(zip(self.keys, images, strict=True)) if self.keys else {}
            hooks = [
                register_module_forward_pre_hook(self._entered),
                register_module_forward_hook(self._left),
            ]
            try:
                with Functions(run), run:
                    self.model(*arguments, **named)
            except TraceError as error:
                failed = error
            except Exception as error:
                place = f", in submodule {self.path[-1]!r}" if self.path and self.path[-1] else ""
                sizes = ", ".join(str(tuple(s)) for s in shapes)
                failed = ValueError(
                    f"input_size={sizes}: the model's forward fails{place}: "
                    f"{type(error).__name__}: {error}"
                )
                failed.__cause__ = error
            finally:
                for hook in hooks:
                    hook.remove()
        return run, self.found, failed

    def _entered(self, module: nn.Module, _: Any) -> None:
        if id(module) in self.name_of:
            self.path.append(self.name_of[id(module)])

    def _left(self, module: nn.Module, _: Any, output: Any) -> None:
        name = self.name_of.get(id(module))
        if name is None:
            return  # of another model, called within this one
        self.path.pop()
        self.called.add(name)
        assert self.run_ is not None
        call = self.calls[name] = self.calls.get(name, 0) + 1
        if isinstance(output, Tensor):
            map_ = self.run_.map_of(output) or self.run_.constant(tuple(output.shape))
            self.found[name] = self.found[f"{name}@{call}"] = map_
            return
        for key, tensor in leaves(output):
            map_ = self.run_.map_of(tensor) or self.run_.constant(tuple(tensor.shape))
            suffix = f":{key}" if key else ""
            self.found[f"{name}{suffix}"] = map_
            self.found[f"{name}@{call}{suffix}"] = map_

    def is_container(self, name: str) -> bool:
        return isinstance(self.names[name], (nn.ModuleList, nn.ModuleDict))

    def why_not(self, path: str, maps: Mapping[str, Map]) -> str:
        base, _, key = path.partition(":")
        name = base.partition("@")[0]
        keyed = [p for p in maps if p.startswith(f"{base}:")]
        if name not in self.names:
            near = get_close_matches(path, [*maps], 5, 0.4) or [p for p in maps if p][:5]
            names = ", ".join(map(repr, near))
            return f"{path!r} is not a submodule of this {self.name}; near it: {names}"
        if name not in self.called:
            return f"{path!r} is never called in forward, so it has no output"
        if not key and keyed:
            which = repr(path) if path else "the model"
            return f"{which} gives several tensors: name one, {', '.join(map(repr, keyed[:6]))}"
        if keyed:
            return f"{path!r}: it has {', '.join(map(repr, keyed[:6]))}"
        calls = sum(1 for p in maps if p.startswith(f"{name}@"))
        if "@" in base and calls:
            return f"{path!r}: it is called {calls} times, so @1 to @{calls}"
        return f"{path!r} gives no tensor"


def checked_shape(name: str, shape: Any) -> tuple[int, ...]:
    """(1, channels, *axes), or words."""
    wanted = "must be (1, channels, *axes) with one to three axes, such as (1, 3, 224, 224)"
    if isinstance(shape, (str, bytes)) or not isinstance(shape, Sequence):
        raise TypeError(f"{name} {wanted}; got {short(shape)}")
    numbers = []
    for n in shape:
        try:
            if isinstance(n, (bool, Tensor)):
                raise TypeError
            numbers.append(whole_number(n))
        except TypeError:
            raise TypeError(f"{name} {wanted}; got {short(shape)}") from None
    if not 3 <= len(numbers) <= 5 or min(numbers) < 1:
        raise ValueError(f"{name} {wanted}, each at least 1; got {short(shape)}")
    if numbers[0] != 1:
        raise ValueError(f"{name} {wanted}: the batch must be 1; got {short(shape)}")
    return tuple(numbers)


def check_model(model: Any) -> None:
    if not isinstance(model, nn.Module):
        made = isinstance(model, type) and issubclass(model, nn.Module)
        hint = f"; make one first: {model.__name__}(...)" if made else ""
        if isinstance(model, (list, tuple)):
            hint = "; wrap modules in nn.Sequential(*model)"
        raise TypeError(f"model must be a torch.nn.Module; got {short(model)}{hint}")
    if any(isinstance(module, torch.jit.ScriptModule) for module in model.modules()):
        raise TypeError(
            "model must run in Python; got a ScriptModule: give the module that it was made from"
        )
    if type(model).forward is nn.Module.forward:
        raise TypeError(f"model must have a forward; got {type(model).__name__}, which has none")
    for module in model.modules():
        for name, tensor in [*module._parameters.items(), *module._buffers.items()]:
            if tensor is not None and nn.parameter.is_lazy(tensor):
                raise TypeError(
                    f"model must be initialised; {name!r} of a {type(module).__name__} is not: run "
                    f"the model once on an input"
                )
