"""What each position of a tensor depends on, axis by axis: the algebra under `rflib.trace`.

For every axis of the input travels an array beside the tensor.  Along that axis, the set of input
indices that a position depends on is kept as four numbers of which unions take the minimum: its
first index, minus its last, and whether the position hangs over the front or the back border.  Or
it is kept exactly, as bits of which unions take the "or".  Arrays have size 1 along dims that do
not matter, so the cost is in lengths and not in areas.  A position along which any axis of an
input is empty depends on nothing of that input.

Idea: abstract interpretation by intervals, applied to indices instead of values.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, cast

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]
NONE = 1 << 30  # larger than any index: "nothing"
LARGEST_ARRAY = 1 << 28  # entries; beyond, refuse in words rather than fill the memory


class MapError(ValueError):
    """A rule asks for what its map cannot give."""


NO_OUTPUT = np.zeros(1, dtype=np.bool_)


class Domain:
    """How sets are kept along one axis: which operation unites, what is nothing."""

    def __init__(self, unite: np.ufunc, nothing: int, exact: bool) -> None:
        self.unite, self.nothing, self.exact = unite, nothing, exact

    def seed(self, length: int) -> Array:
        """The sets of the input's own positions: each depends on itself."""
        entries = length**2 // 8 if self.exact else 4 * length
        guarded(entries, f"an axis of {length:,} positions")
        if self.exact:
            return np.packbits(np.eye(length, dtype=np.bool_), axis=0, bitorder="little")
        index = np.arange(length, dtype=np.int32)
        rest = np.full(length, NONE, np.int32)
        return np.stack([index, -index, rest, rest])

    def blank(self, shape: Sequence[int], side: str = "") -> Array:
        """Positions that depend on nothing; `side` says which border they lie beyond."""
        array = np.full(shape, self.nothing, np.uint8 if self.exact else np.int32)
        if side and not self.exact:
            array[2 if side == "front" else 3] = 0
        return array

    def ends(self, array: Array) -> tuple[Array, Array]:
        """First and last index of each position's set; NONE and -NONE of the empty one."""
        if not self.exact:
            return array[0], -array[1]
        bits = np.unpackbits(array, axis=0, bitorder="little").astype(np.bool_)
        empty = ~bits.any(0)
        first, last = bits.argmax(0), len(bits) - 1 - bits[::-1].argmax(0)
        return np.where(empty, NONE, first), np.where(empty, -NONE, last)

    def empty(self, array: Array) -> Array:
        """Where a position depends on nothing."""
        return cast(Array, ~array.any(0) if self.exact else array[0] == NONE)


ENDS = Domain(np.minimum, NONE, exact=False)
BITS = Domain(np.bitwise_or, 0, exact=True)


@dataclass(frozen=True)
class Origin:
    """The axes that are followed: of which input, which of its axes, how long."""

    domain: Domain
    axes: tuple[tuple[int, int, int], ...]  # input, axis of it, length

    @property
    def groups(self) -> tuple[tuple[int, ...], ...]:
        """The places in `axes` that belong to one input."""
        inputs = dict.fromkeys(i for i, _, _ in self.axes)
        return tuple(tuple(p for p, a in enumerate(self.axes) if a[0] == i) for i in inputs)


class Deps:
    """One array per followed axis (None: no dependence), for all positions of one tensor.

    filled : every position's set is the whole box between its ends, proven.
    ragged : some positions may depend on nothing.
    """

    __slots__ = ("arrays", "filled", "none", "ragged")

    def __init__(self, arrays: Sequence[Array | None], filled: bool, ragged: bool) -> None:
        self.arrays, self.filled, self.ragged = tuple(arrays), filled, ragged
        self.none = all(array is None for array in self.arrays)

    def each(self, change: Callable[[Array], Array]) -> Deps:
        """Change every array in the same way; what is filled stays so."""
        return Deps(
            [None if a is None else change(a) for a in self.arrays], self.filled, self.ragged
        )


def vary(array: Array, dim: int) -> bool:
    return bool(array.shape[dim + 1] > 1)


def compressed(array: Array, dims: Iterable[int] | None = None) -> Array:
    """Size 1 again along the dims where all positions are the same."""
    for dim in range(array.ndim - 1) if dims is None else dims:
        if array.shape[dim + 1] > 1:
            first = slice_(array, dim + 1, 0, 1)
            if (array == first).all():
                array = first
    return array


def expanded(array: Array, dim: int, length: int) -> Array:
    """Full size along one dim."""
    if array.shape[dim + 1] == length:
        return array
    shape = [*array.shape]
    shape[dim + 1] = length
    guarded(prod(shape))
    return np.broadcast_to(array, shape)


MANY_DIMS = "the dependence of this tensor varies in so many dims at once that it"


def guarded(entries: int, what: str = MANY_DIMS) -> None:
    if entries > LARGEST_ARRAY:
        raise MapError(
            f"{what} would take {entries:,} numbers (the limit is {LARGEST_ARRAY:,}): give a "
            f"smaller input_size"
        )


def aligned(array: Array, dims: int) -> Array:
    """With leading dims of size 1, as broadcasting would add them."""
    missing = dims - (array.ndim - 1)
    return array.reshape(array.shape[0], *[1] * missing, *array.shape[1:]) if missing else array


def contains(outer: Deps, inner: Deps) -> bool:
    """Whether each position's box in `inner` lies within that in `outer`; ends only."""
    for a, b in zip(outer.arrays, inner.arrays, strict=True):
        if b is None or a is b:
            continue
        if a is None or not (a[:2] <= b[:2]).all():
            return False
    return True


def touch(array: Array, dim: int, distance: int = 1) -> bool:
    """Whether intervals `distance` apart along a dim leave no gap, before, between or behind."""
    ax = dim + 1
    n = array.shape[ax]
    if n <= distance:
        return True
    here, there = slice_(array, ax, 0, n - distance), slice_(array, ax, distance, n)
    near = (there[0] + here[1] <= 1) & (here[0] + there[1] <= 1)  # first - last <= 1, both ways
    return bool((near | (here[0] == NONE) | (there[0] == NONE)).all())


def unbroken(array: Array, dim: int) -> bool:
    """Whether, along a dim, the positions that depend on something are neighbours."""
    there = np.moveaxis(array[0] != NONE, dim, -1)
    return bool(((there[..., 1:] & ~there[..., :-1]).sum(-1) + there[..., 0] <= 1).all())


def carries(array: Array, dim: int) -> bool:
    """Whether a dim is one along which the ends move, and not merely some positions are empty."""
    if sum(n > 1 for n in array.shape[1:]) < 2:
        return True
    first = array[0]
    lowest = first.min(axis=dim)
    highest = np.where(first == NONE, -NONE, first).max(axis=dim)
    return bool((lowest < highest).any())


def slice_(array: Array, ax: int, start: int, stop: int, step: int = 1) -> Array:
    index: list[Any] = [slice(None)] * array.ndim
    index[ax] = slice(start, stop, step)
    return cast(Array, array[tuple(index)])


def nested(first: Array, last: Array) -> bool:
    """Whether of any two intervals one holds the other: no two lie side by side."""
    order = np.lexsort((-last.ravel(), first.ravel()))
    return bool((np.diff(last.ravel()[order]) <= 0).all())


class Calculus:
    """The operations on `Deps`, for one origin; shapes are those of the whole tensor."""

    def __init__(self, origin: Origin) -> None:
        self.origin, self.domain = origin, origin.domain
        self.groups = origin.groups
        self.nothing = Deps([None] * len(origin.axes), filled=True, ragged=False)
        self.largest = 0  # entries of an array made by a union: what the run costs

    # Positions as they are, united.

    def union(self, parts: Sequence[Deps], dims: int) -> Deps:
        """Position by position, broadcast to `dims` dims."""
        parts = [p for p in dict.fromkeys(parts) if not p.none]
        if not parts:
            return self.nothing
        if dims:
            parts = [
                p
                if all(a is None or a.ndim == dims + 1 for a in p.arrays)
                else p.each(lambda a: aligned(a, dims))
                for p in parts
            ]
        found = parts[0]
        for part in parts[1:]:
            found = self._united(found, part)
        return found

    def _united(self, a: Deps, b: Deps) -> Deps:
        if all(x is y for x, y in zip(a.arrays, b.arrays, strict=True)):
            return a
        if (a.ragged or b.ragged) and not self._alike(a, b):
            a, b = self.settled(a, b)
        arrays: list[Array | None] = []
        for x, y in zip(a.arrays, b.arrays, strict=True):
            one = x if y is None else y if x is None else None
            arrays.append(
                one if x is None or y is None else x if x is y else self.domain.unite(x, y)
            )
        self.largest = max(self.largest, *(x.size for x in arrays if x is not None), 0)
        filled = not self.domain.exact and self._union_filled(a, b)
        return Deps(arrays, filled, a.ragged or b.ragged)

    def _alike(self, a: Deps, b: Deps) -> bool:
        """Whether the same positions are empty, axis by axis."""
        return all(
            x is not None
            and y is not None
            and np.array_equal(self.domain.empty(x), self.domain.empty(y))
            for x, y in zip(a.arrays, b.arrays, strict=True)
        )

    def _shared(self, deps: Deps, dims: Iterable[int]) -> bool:
        """Whether two axes of one input vary along the same of these dims."""
        return any(
            sum(a is not None and vary(a, d) for a in map(deps.arrays.__getitem__, group)) > 1
            for d in dims
            for group in self.groups
        )

    def _union_filled(self, a: Deps, b: Deps) -> bool:
        if a.filled and contains(a, b):
            return True
        if b.filled and contains(b, a):
            return True
        if not (a.filled and b.filled):
            return False
        if len(self.groups) > 1:  # boxes of several inputs: rows of equal boxes would be needed
            return all(x is None or y is None for x, y in zip(a.arrays, b.arrays, strict=True))
        differing = [
            (x, y)
            for x, y in zip(a.arrays, b.arrays, strict=True)
            if x is not y and (x is None or y is None or not np.array_equal(x[:2], y[:2]))
        ]
        if len(differing) != 1:
            return not differing
        x, y = differing[0]
        if x is None or y is None:
            return False
        near = (x[0] + y[1] <= 1) & (y[0] + x[1] <= 1)
        return bool((near | (x[0] == NONE) | (y[0] == NONE)).all())

    def settled(self, *parts: Deps) -> tuple[Deps, ...]:
        """Positions that are empty along one axis of an input made empty along all of them.

        Within one tensor the axes may speak for themselves; a union with another tensor is right
        only after this.
        """
        done = []
        for part in parts:
            if not part.ragged:
                done.append(part)
                continue
            arrays = list(part.arrays)
            for group in self.groups:
                empty = [
                    compressed(self.domain.empty(arrays[i])[None])  # type: ignore[arg-type]
                    for i in group
                    if arrays[i] is not None
                ]
                for mask in empty:
                    if not mask.any():
                        continue
                    for i in group:
                        array = arrays[i]
                        if array is None:
                            continue
                        guarded(prod(np.broadcast_shapes(array.shape, mask.shape)))
                        emptied = np.where(mask, self.domain.blank([1] * array.ndim), array)
                        if not self.domain.exact:
                            emptied[2:] = array[2:]  # the borders are where they were
                        arrays[i] = emptied
            done.append(Deps(arrays, part.filled, True))
        return tuple(done)

    def kept(self, deps: Deps, mask: Array) -> Deps:
        """Positions outside of a mask made empty, along one axis of each input."""
        arrays = list(deps.arrays)
        for group in self.groups:
            place = next((i for i in group if arrays[i] is not None), None)
            if place is None:
                continue
            array = cast(Array, arrays[place])
            lines = compressed(aligned(mask[None], array.ndim - 1))
            guarded(prod(np.broadcast_shapes(array.shape, lines.shape)))
            arrays[place] = np.where(lines, array, self.domain.blank([1] * array.ndim))
        return Deps(arrays, deps.filled, ragged=True)

    # Positions united along dims.

    def reduced(self, deps: Deps, dims: Sequence[int]) -> Deps:
        """Positions along `dims` united, to size 1."""
        moving = [d for d in dims if any(a is not None and vary(a, d) for a in deps.arrays)]
        if not moving:
            return deps
        if deps.ragged and self._shared(deps, moving):
            (deps,) = self.settled(deps)
        axes = tuple(d + 1 for d in moving)
        arrays = [
            None if a is None else self.domain.unite.reduce(a, axis=axes, keepdims=True)
            for a in deps.arrays
        ]
        found = Deps(arrays, False, False)
        if not self.domain.exact:
            found.filled = self._reduction_filled(deps, found, moving)
        found.ragged = deps.ragged and self.has_empty(found)
        return found

    def _reduction_filled(self, deps: Deps, found: Deps, dims: Sequence[int]) -> bool:
        if not deps.filled:
            return False
        carried = [[a for a in deps.arrays if a is not None and vary(a, d)] for d in dims]
        movers = [a for arrays in carried for a in arrays]
        if len({id(a) for a in movers}) == len(movers) and all(
            len(arrays) == 1 and touch(arrays[0], d) and (not deps.ragged or unbroken(arrays[0], d))
            for arrays, d in zip(carried, dims, strict=True)
        ):
            return True
        # Branches side by side in the channels: filled when one of them reads all that others do.
        if len(dims) > 1:
            return False
        whole = [(a, f) for a, f in zip(deps.arrays, found.arrays, strict=True) if a is not None]
        widest = np.ones(deps_length(deps, dims[0]), dtype=np.bool_)
        for a, f in whole:
            if f is None or not vary(a, dims[0]):
                continue
            same = (a[:2] == f[:2]).all(0)
            widest &= np.moveaxis(same, dims[0], 0).reshape(len(widest), -1).all(1)
        return bool(widest.any())

    def has_empty(self, deps: Deps) -> bool:
        return any(a is not None and bool(self.domain.empty(a).any()) for a in deps.arrays)

    def accumulated(self, deps: Deps, dim: int) -> Deps:
        """Each position united with all before it along a dim."""
        if deps.ragged and self._shared(deps, [dim]):
            (deps,) = self.settled(deps)
        arrays = [
            a if a is None or not vary(a, dim) else self.domain.unite.accumulate(a, axis=dim + 1)
            for a in deps.arrays
        ]
        movers = [a for a in deps.arrays if a is not None and vary(a, dim)]
        filled = deps.filled and (not movers or (len(movers) == 1 and not deps.ragged))
        return Deps(arrays, filled and all(touch(a, dim) for a in movers), deps.ragged)

    # Positions moved.

    def _movers(self, deps: Deps, dim: int, length: int) -> list[bool]:
        """Which arrays change with the positions of a dim.

        A dim of one position is that of the axis which it would carry if the map were larger.
        """

        def owns(place: int, array: Array) -> bool:
            input_, axis, _ = self.origin.axes[place]
            usual = array.ndim - 3 == sum(a[0] == input_ for a in self.origin.axes)
            return axis == dim or not usual

        return [
            a is not None and (vary(a, dim) or (length == 1 and owns(p, a)))
            for p, a in enumerate(deps.arrays)
        ]

    def taken(
        self,
        deps: Deps,
        dim: int,
        length: int,
        index: Array,
        front: Array | None = None,
        back: Array | None = None,
    ) -> Deps:
        """Along a dim, position i becomes what stood at `index[i]`; -1 is nothing.

        `front`, `back` : where the new positions lie beyond a border.
        """
        missing = bool((index < 0).any())
        flagged = not self.domain.exact and any(f is not None and f.any() for f in (front, back))
        movers = self._movers(deps, dim, length)
        arrays: list[Array | None] = []
        for array, moves in zip(deps.arrays, movers, strict=True):
            if array is None or not (moves or (missing and not any(movers))):
                arrays.append(array)
                continue
            moved = expanded(array, dim, length).take(index, dim + 1, mode="wrap")
            shape = [1] * moved.ndim
            shape[dim + 1] = len(index)
            if missing:
                moved = np.where(
                    (index < 0).reshape(shape), self.domain.blank([1] * len(shape)), moved
                )
            if flagged and carries(array, dim):
                for row, flags in ((2, front), (3, back)):
                    if flags is not None and flags.any():
                        moved[row] = np.where(flags.reshape(shape[1:]), 0, moved[row])
            arrays.append(moved)
        return Deps(arrays, deps.filled, deps.ragged or missing)

    def windows(
        self,
        deps: Deps,
        dim: int,
        length: int,
        out: int,
        kernel: int,
        stride: int = 1,
        before: int = 0,
        dilation: int = 1,
        spread: int = 1,
    ) -> Deps:
        """Along a dim, position o unites the taps s*o - p + d*t of its window; padding is nothing.

        `spread` : the positions stand this far apart first, with nothing between (a transposed
        layer is such a window).
        """
        if kernel == stride == spread == 1 and before == 0 and out == length:
            return deps
        if deps.ragged and kernel > 1 and self._shared(deps, [dim]):
            (deps,) = self.settled(deps)
        wide, reach = (length - 1) * spread + 1, dilation * (kernel - 1)
        after = (out - 1) * stride + reach + 1 - before - wide
        if spread == 1 and max(before, after) <= reach and length >= dilation:
            none = NO_OUTPUT  # every window holds at least one position
        else:
            starts = stride * np.arange(out) - before
            none = self._dead(starts, kernel, dilation, length, spread)
        movers = self._movers(deps, dim, length)
        arrays: list[Array | None] = []
        for array, moves in zip(deps.arrays, movers, strict=True):
            if array is None:
                arrays.append(None)
            elif moves:
                arrays.append(
                    self._window(array, dim, wide, out, kernel, stride, before, dilation, spread)
                )
            elif none.any() and not any(movers):
                shape = [1] * array.ndim
                shape[dim + 1] = out
                arrays.append(
                    np.where(none.reshape(shape), self.domain.blank([1] * array.ndim), array)
                )
            else:
                arrays.append(array)
        filled = deps.filled and not self.domain.exact
        if filled and kernel > 1:
            moving = [a for a, m in zip(deps.arrays, movers, strict=True) if m and a is not None]
            filled = len(moving) <= 1 and all(
                (spread == 1 or dilation == 1)
                and touch(a, dim, dilation if spread == 1 else 1)
                and (not deps.ragged or unbroken(a, dim))
                for a in moving
            )
        found = Deps(arrays, filled, deps.ragged or bool(none.any()))
        if deps.ragged:
            found.ragged = self.has_empty(found)
        return found

    @staticmethod
    def _dead(starts: Array, kernel: int, dilation: int, length: int, spread: int) -> Array:
        """Outputs whose window holds no position at all."""
        if spread > 1 or dilation > 1:
            live = np.zeros(len(starts), dtype=np.bool_)
            for tap in range(kernel):
                place = starts + dilation * tap
                live |= (place >= 0) & (place <= (length - 1) * spread) & (place % spread == 0)
            return ~live
        return (starts + kernel - 1 < 0) | (starts >= length)

    def _window(
        self,
        array: Array,
        dim: int,
        wide: int,
        out: int,
        kernel: int,
        stride: int,
        before: int,
        dilation: int,
        spread: int,
    ) -> Array:
        ax = dim + 1
        if spread > 1:
            shape = [*array.shape]
            shape[ax] = wide
            guarded(prod(shape))
            sparse = self.domain.blank(shape)
            slice_(sparse, ax, 0, wide, spread)[...] = array
            array = sparse
        after = (out - 1) * stride + dilation * (kernel - 1) + 1 - before - wide
        blocks = [array]
        flagged = not self.domain.exact and carries(array, dim)
        for amount, side in ((before, "front"), (after, "back")):
            if amount > 0:
                shape = [*array.shape]
                shape[ax] = amount
                block = self.domain.blank(shape)
                if flagged:  # between spread positions there is nothing to miss
                    row = 2 if side == "front" else 3
                    places = np.arange(amount)
                    away = amount - places if side == "front" else places + 1
                    flags = np.where(away % spread == 0, 0, NONE).astype(np.int32)
                    block[row] = flags.reshape(
                        [-1 if i == dim else 1 for i in range(array.ndim - 1)]
                    )
                blocks.insert(0 if side == "front" else len(blocks), block)
        if before < 0:
            blocks[0] = slice_(array, ax, -before, array.shape[ax])
        padded = np.concatenate(blocks, ax) if len(blocks) > 1 else blocks[0]
        span = (out - 1) * stride + 1
        if kernel <= 4:
            found = slice_(padded, ax, 0, span, stride)
            for tap in range(1, kernel):
                start = tap * dilation
                found = self.domain.unite(found, slice_(padded, ax, start, start + span, stride))
            return found
        # Wider windows by doubling: unions may overlap.
        width = 1
        while 2 * width <= kernel:
            n = padded.shape[ax]
            padded = self.domain.unite(
                slice_(padded, ax, 0, n - width * dilation), slice_(padded, ax, width * dilation, n)
            )
            width *= 2
        found = slice_(padded, ax, 0, span, stride)
        rest = (kernel - width) * dilation
        return (
            cast(Array, self.domain.unite(found, slice_(padded, ax, rest, rest + span, stride)))
            if rest
            else found
        )

    # Dims regrouped.

    def reshaped(self, deps: Deps, old: Sequence[int], new: Sequence[int]) -> Deps:
        """As torch's view: the same positions in the same order under another shape."""
        if tuple(old) == tuple(new):
            return deps
        if prod(old) == 0:
            return self.nothing
        groups = matched(old, new)
        return deps.each(lambda array: _regrouped(array, old, new, groups))

    def joined(self, parts: Sequence[Deps], shapes: Sequence[Sequence[int]], dim: int) -> Deps:
        """As torch.cat."""
        if all(part is parts[0] for part in parts) and not any(
            a is not None and vary(a, dim) for a in parts[0].arrays
        ):
            return parts[0]
        ragged = any(p.ragged for p in parts)
        arrays: list[Array | None] = []
        dims = len(shapes[0])
        for i in range(len(self.origin.axes)):
            column = [p.arrays[i] for p in parts]
            if all(a is None for a in column):
                arrays.append(None)
                continue
            if all(a is column[0] for a in column) and not vary(column[0], dim):  # type: ignore[arg-type]
                arrays.append(column[0])
                continue
            height = next(a.shape[0] for a in column if a is not None)
            blocks = [self.domain.blank([height, *[1] * dims]) if a is None else a for a in column]
            common = [max(b.shape[k] for b in blocks) for k in range(dims + 1)]
            pieces = []
            for block, shape in zip(blocks, shapes, strict=True):
                common[dim + 1] = shape[dim]
                guarded(prod(common))
                pieces.append(np.broadcast_to(block, common))
            arrays.append(compressed(np.concatenate(pieces, dim + 1), [dim]))
        holes = any(p.none for p in parts) and any(not p.none for p in parts)
        for group in self.groups:
            missing = [all(p.arrays[i] is None for i in group) for p in parts]
            holes = holes or (any(missing) and not all(missing))
        return Deps(arrays, all(p.filled for p in parts), ragged or holes)


def deps_length(deps: Deps, dim: int) -> int:
    return max(int(a.shape[dim + 1]) for a in deps.arrays if a is not None)


def matched(
    old: Sequence[int], new: Sequence[int]
) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """Runs of old dims and of new dims that hold the same number of positions, in order."""
    found = []
    i = j = 0
    while i < len(old) or j < len(new):
        i0, j0 = i, j
        a = b = 1
        if i < len(old):
            a, i = old[i], i + 1
        if j < len(new):
            b, j = new[j], j + 1
        while a != b:
            if a < b:
                a, i = a * old[i], i + 1
            else:
                b, j = b * new[j], j + 1
        found.append(((i0, i), (j0, j)))
    return found


def _regrouped(
    array: Array,
    old: Sequence[int],
    new: Sequence[int],
    groups: Sequence[tuple[tuple[int, int], tuple[int, int]]],
) -> Array:
    grown: list[int] = [array.shape[0]]  # sizes after expanding what must be, then regrouped
    shape: list[int] = [array.shape[0]]
    check: list[int] = []
    for (i0, i1), (j0, j1) in groups:
        sizes = array.shape[i0 + 1 : i1 + 1]
        if all(n == 1 for n in sizes):
            grown += sizes
            shape += [1] * (j1 - j0)
        elif tuple(old[i0:i1]) == tuple(new[j0:j1]):
            grown += sizes
            shape += sizes
        else:
            grown += old[i0:i1]
            shape += new[j0:j1]
            check += range(j0, j1)
    if check:
        guarded(prod(grown))
        array = np.broadcast_to(array, grown)
    return compressed(array.reshape(shape), check)


# Where windows of other kinds read.


def adaptive(length: int, out: int) -> list[tuple[int, int]]:
    """First and last position of each window of an adaptive pool."""
    return [(o * length // out, -(-(o + 1) * length // out) - 1) for o in range(out)]
