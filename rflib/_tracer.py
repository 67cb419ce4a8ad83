"""Runs a model's own forward on coordinates: tensors without numbers, beside each its `Map`.

A copy of the model, its parameters on the meta device, runs under a `TorchDispatchMode`.  Each
operator of ATen that touches a followed tensor looks up its one rule in RULES (as
torch.utils.flop_counter has one formula each) and hands on what every position depends on.  An
operator without a rule is an error that names it, or "sees everything" where the reader says so.
"""

from __future__ import annotations

import copy
import inspect
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from fractions import Fraction
from math import lcm
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from rflib._maps import Array, Calculus, Deps, MapError, Origin, compressed, guarded, nested, vary

OTHER = "other windows than on the input asked for"
WINDOWS = (
    "windows side by side"  # of attention: at a border there are fewer, and nothing hangs over
)
MARKS = (OTHER, WINDOWS)  # they stand among the names of operators in `wholes`
SMALL = 1 << 24  # constants of at most so many numbers keep their values, for indices and masks


class TraceError(RuntimeError):
    """The model does what cannot be traced; the message says what, where, and what to do."""


Rule = Callable[..., Any]
RULES: dict[str, tuple[Rule, bool]] = {}  # by the operator's name; does it want the output?


def rule(names: str) -> Callable[[Rule], Rule]:
    """Teach `rflib.trace` an operator: register a function as its rule.

    Parameters
    ----------
    names : the operator's qualified name, such as "mylib::blur"; several, separated by spaces.

    The function is called with the operator's own arguments, every tensor that depends on the input
    replaced by its `Map`, and returns the result's `Map` (or a tuple of them, None for a result
    that depends on nothing).  A keyword-only parameter ``output`` receives the operator's result,
    a tensor without numbers that has its shape.

    Raises
    ------
    TypeError, ValueError : names is not a qualified name, or the operator has a rule already.

    Examples
    --------
    >>> @rule("mylib::blur5")
    ... def _(image):
    ...     return image.window(-1, kernel=5, padding=2).window(-2, kernel=5, padding=2)
    """
    if not isinstance(names, str):
        raise TypeError(f"names must be a string such as 'mylib::blur'; got {names!r}")
    for name in names.split():
        space, _, operator = name.partition("::")
        if not (space and operator.replace("_", "a").isalnum()):
            raise ValueError(f"names must be qualified, such as 'mylib::blur'; got {name!r}")
    if not names.split():
        raise ValueError(f"names must be qualified, such as 'mylib::blur'; got {names!r}")

    def register(function: Rule) -> Rule:
        wants = "output" in inspect.signature(function).parameters
        for name in names.split():
            if name in RULES:
                raise ValueError(f"the operator {name} has a rule already")
            RULES[name] = (function, wants)
        return function

    return register


class Blocked(NamedTuple):
    """Positions with a value that no input changes: one array, nonzero there."""

    value: float
    where: Deps


class Map:
    """What every position of a tensor depends on; what the rules of `rflib.trace` work with.

    Every method returns a new Map.  Dims may be negative, as in torch.

    shape : of the tensor.
    strict, local : with and without the paths through an operator that reads a whole map.
    wholes : the operators of that kind on the way, for each axis of the input.
    upsampled : by which factor in all; so many neighbours may differ from each other.
    blocked : where a constant mask has put -inf, whatever the input is, or a softmax made 0 of it.
    """

    __slots__ = ("blocked", "local", "run", "shape", "strict", "upsampled", "wholes")

    def __init__(
        self,
        run: Run,
        shape: Sequence[int],
        strict: Deps,
        local: Deps,
        wholes: tuple[tuple[str, ...], ...],
        upsampled: int = 1,
    ) -> None:
        self.run, self.shape = run, tuple(shape)
        self.strict, self.local = strict, local
        self.wholes, self.upsampled = wholes, upsampled
        self.blocked: Blocked | None = None

    def __repr__(self) -> str:
        return f"Map(shape={self.shape})"

    def _each(self, shape: Sequence[int], change: Callable[[Deps], Deps]) -> Map:
        strict = change(self.strict)
        local = strict if self.local is self.strict else change(self.local)
        return Map(self.run, shape, strict, local, self.wholes, self.upsampled)

    def _moved(self, shape: Sequence[int], change: Callable[[Deps], Deps]) -> Map:
        """As `_each`, for what only moves positions."""
        found = self._each(shape, change)
        if self.blocked is not None:
            found.blocked = Blocked(self.blocked.value, change(self.blocked.where))
        return found

    def block(self, mask: Array, value: float) -> Map:
        """With this value where a mask (broadcast to this shape) is true, whatever the input is."""
        if not mask.any():
            return self
        found = self.keep(~mask)
        grown = mask.reshape(*[1] * (len(self.shape) - mask.ndim), *mask.shape)
        where = Deps([compressed(grown[None].astype(np.int64))], filled=False, ragged=False)
        found.blocked = Blocked(value, where)
        return found

    def mask(self, value: float) -> Array | None:
        """Where this value stands whatever the input is; None: nowhere, as far as is known."""
        if self.blocked is None or self.blocked.value != value:
            return None
        array = self.blocked.where.arrays[0]
        assert array is not None
        return np.asarray(array[0] != 0)

    def dim(self, dim: int, extra: int = 0) -> int:
        """The dim as a number from 0."""
        dims = len(self.shape) + extra
        if not -dims <= dim < dims:
            raise MapError(f"dim must lie between {-dims} and {dims - 1}; got {dim}")
        return dim % dims

    # Positions as they are.

    def elementwise(self, *others: Any) -> Map:
        """Each position depends on the same position of this and the others, broadcast."""
        maps = [self, *(m for m in others if isinstance(m, Map))]
        return self.run.united(maps)

    def nothing(self, shape: Sequence[int] | None = None) -> Map:
        """A tensor that depends on no input."""
        return self.run.constant(self.shape if shape is None else shape)

    def expand(self, *shape: int) -> Map:
        """As torch's expand; -1 keeps a dim."""
        missing = len(shape) - len(self.shape)
        full = [self.shape[i - missing] if n == -1 else n for i, n in enumerate(shape)]
        dims = len(full)

        def lead(a: Array) -> Array:
            return a.reshape(a.shape[0], *[1] * missing, *a.shape[1:])

        return self._moved(full, lambda d: d.each(lead) if dims > len(self.shape) else d)

    def varies(self, dim: int) -> bool:
        """Whether positions along a dim differ in what they depend on."""
        return any(
            a is not None and vary(a, dim) for d in (self.strict, self.local) for a in d.arrays
        )

    def resized(self, dim: int, length: int) -> Map:
        """Another number of positions along a dim that does not matter."""
        shape = (*self.shape[:dim], length, *self.shape[dim + 1 :])
        return Map(self.run, shape, self.strict, self.local, self.wholes, self.upsampled)

    def keep(self, mask: Array) -> Map:
        """Where a constant mask is false, nothing; the mask is broadcast to this shape."""
        return self._each(self.shape, lambda d: self.run.calculus.kept(d, mask))

    # Windows.

    def window(
        self,
        dim: int,
        kernel: int,
        stride: int = 1,
        padding: int | tuple[int, int] = 0,
        dilation: int = 1,
        out: int | None = None,
    ) -> Map:
        """Position o unites the taps stride*o - padding + dilation*t; `out` positions come out."""
        dim = self.dim(dim)
        before, after = padding if isinstance(padding, tuple) else (padding, padding)
        n = self.shape[dim]
        if out is None:
            out = (n + before + after - dilation * (kernel - 1) - 1) // stride + 1
        if out < 1:
            raise MapError(f"a window of {kernel} does not fit into {n} positions")
        shape = (*self.shape[:dim], out, *self.shape[dim + 1 :])
        count = out
        return self._each(
            shape,
            lambda d: self.run.calculus.windows(d, dim, n, count, kernel, stride, before, dilation),
        )

    def window_transposed(
        self, dim: int, kernel: int, stride: int, padding: int, dilation: int, out: int
    ) -> Map:
        """Position i is written to stride*i - padding + dilation*t."""
        dim = self.dim(dim)
        n, before = self.shape[dim], dilation * (kernel - 1) - padding
        shape = (*self.shape[:dim], out, *self.shape[dim + 1 :])
        return self._each(
            shape,
            lambda d: self.run.calculus.windows(
                d, dim, n, out, kernel, 1, before, dilation, stride
            ),
        )

    def merge(self, dims: Sequence[int] | int | None = None, keepdim: bool = False) -> Map:
        """Positions along `dims` (None: all) united into one, as a sum or a mean does."""
        chosen = self._dims(dims)
        found = self._reduced(chosen)
        return found if keepdim else found.squeeze(chosen)

    def spread(self, dims: Sequence[int] | int | None = None) -> Map:
        """Each position depends on all along `dims`, as in a softmax or a norm."""
        whole = self._reduced(self._dims(dims))
        found = whole._each(self.shape, lambda d: d)
        if whole.local is not whole.strict and whole.local.none and not self.local.none:
            found.local = self.local  # the position itself is no path through the whole
        return found

    def accumulate(self, dim: int) -> Map:
        """Each position depends on itself and all before it along a dim."""
        dim = self.dim(dim)
        return self._each(self.shape, lambda d: self.run.calculus.accumulated(d, dim))

    def _dims(self, dims: Sequence[int] | int | None) -> tuple[int, ...]:
        if dims is None or (not isinstance(dims, int) and not len(dims)):
            return tuple(range(len(self.shape)))
        return tuple(self.dim(d) for d in ([dims] if isinstance(dims, int) else dims))

    def _reduced(self, dims: tuple[int, ...]) -> Map:
        shape = [1 if d in dims else n for d, n in enumerate(self.shape)]
        found = self._each(shape, lambda d: self.run.calculus.reduced(d, dims))
        self.run.count(self, dims)
        whole = self.run.whole(self, self.strict, found.strict, dims)
        if self.local is not self.strict:  # what is left beside one whole may be another
            more = self.run.whole(self, self.local, found.local, dims)
            whole = tuple(a or b for a, b in zip(whole, more, strict=True))
        if any(whole):
            name = self.run.label()
            found.wholes = tuple(
                (*names, name) if now and name not in names else names
                for names, now in zip(self.wholes, whole, strict=True)
            )
            found.local = self.run.calculus.nothing
        if len(self.run.unions) - 1 in self.run.windows:
            found.wholes = self.run.marked(found, WINDOWS)
        return found

    def mix(self, dim: int) -> Map:
        """Positions along a dim united, to size 1, as a convolution mixes channels."""
        dim = self.dim(dim)
        shape = (*self.shape[:dim], 1, *self.shape[dim + 1 :])
        return self._each(shape, lambda d: self.run.calculus.reduced(d, (dim,)))

    def spans(self, dim: int, spans: Sequence[tuple[int, int]]) -> Map:
        """Position o unites those from spans[o][0] to spans[o][1] along a dim."""
        parts = [self.slice(dim, a, b + 1).mix(dim) for a, b in spans]
        return self.run.joined(parts, self.dim(dim))

    def stretched(self, dim: int, length: int, out: int) -> Map:
        """The same map, marked where its windows are not those of the run that was asked for.

        Adaptive pools and resampling to a given size have other windows on a larger input.
        """
        if not self.run.keeps_ratio(length, out):
            marked = self.run.marked(self, OTHER)
            return Map(self.run, self.shape, self.strict, self.local, marked, self.upsampled)
        return self

    # Positions moved.

    def take(self, dim: int, index: Any, front: Any = None, back: Any = None) -> Map:
        """Along a dim, position i becomes what stood at `index[i]`; -1 is nothing.

        `front`, `back` : booleans, where the new positions lie beyond a border of the map.
        """
        dim, n = self.dim(dim), self.shape[dim]
        places = np.asarray(index, dtype=np.int64)
        if places.ndim != 1 or (len(places) and not (places.min() >= -1 and places.max() < n)):
            raise MapError(f"index must be a list of numbers from -1 to {n - 1}; got {index!r}")
        shape = (*self.shape[:dim], len(places), *self.shape[dim + 1 :])
        flags = [None if f is None else np.asarray(f, dtype=np.bool_) for f in (front, back)]
        return self._each(shape, lambda d: self.run.calculus.taken(d, dim, n, places, *flags))

    def slice(self, dim: int, start: int = 0, stop: int | None = None, step: int = 1) -> Map:
        """As x[start:stop:step] along a dim."""
        dim = self.dim(dim)
        places = range(self.shape[dim])[start:stop:step]
        shape = (*self.shape[:dim], len(places), *self.shape[dim + 1 :])
        if len(places) == self.shape[dim] and step == 1:
            return self
        index: list[Any] = [slice(None)] * (len(shape) + 1)
        index[dim + 1] = slice(places.start, places.stop if places.stop >= 0 else None, places.step)
        chosen = tuple(index)
        return self._moved(shape, lambda d: d.each(lambda a: a[chosen] if vary(a, dim) else a))

    def pad(self, dim: int, before: int, after: int) -> Map:
        """With positions that depend on nothing; negative amounts cut off."""
        n = self.shape[self.dim(dim)]
        places = np.arange(-before, n + after)
        front, back = places < 0, places >= n
        return self.take(dim, np.where(front | back, -1, places), front, back)

    def permute(self, *dims: int) -> Map:
        """As torch's permute."""
        order = [self.dim(d) for d in dims]
        shape = [self.shape[d] for d in order]
        axes = [0, *(d + 1 for d in order)]
        return self._moved(shape, lambda d: d.each(lambda a: a.transpose(axes)))

    def reshape(self, *shape: int) -> Map:
        """As torch's reshape, without -1."""
        return self._moved(shape, lambda d: self.run.calculus.reshaped(d, self.shape, shape))

    def squeeze(self, dims: Sequence[int]) -> Map:
        """Without these dims, which must have size 1."""
        axes = tuple(self.dim(d) + 1 for d in dims)
        shape = [n for d, n in enumerate(self.shape) if d + 1 not in axes]
        return self._moved(shape, lambda d: d.each(lambda a: a.squeeze(axes)))

    def unsqueeze(self, dim: int) -> Map:
        """With a new dim of size 1."""
        dim = self.dim(dim, extra=1)
        shape = (*self.shape[:dim], 1, *self.shape[dim:])
        return self._moved(shape, lambda d: d.each(lambda a: np.expand_dims(a, dim + 1)))

    def select(self, dim: int, index: int) -> Map:
        """As x[index] along a dim."""
        dim = self.dim(dim)
        index %= self.shape[dim]
        shape = (*self.shape[:dim], *self.shape[dim + 1 :])
        return self._moved(
            shape,
            lambda d: d.each(lambda a: a.take(index if vary(a, dim) else 0, dim + 1)),
        )

    def index(self, places: Sequence[Any], shape: Sequence[int]) -> Map:
        """As numpy's advanced indexing; `places` holds arrays of numbers, None for a whole dim."""
        used = [d for d, p in enumerate(places) if p is not None]
        chosen = tuple(slice(None) if p is None else p for p in places)

        def pick(array: Array) -> Array:
            full = [
                self.shape[d] if d in used else array.shape[d + 1] for d in range(array.ndim - 1)
            ]
            grown = np.broadcast_to(array, (array.shape[0], *full))
            # The sets go last: indices that stand apart move what they choose to the front.
            return compressed(np.moveaxis(np.moveaxis(grown, 0, -1)[chosen], -1, 0))

        return self._each(shape, lambda d: d.each(pick))


class Store:
    """One piece of memory: the map of the tensor that was made with it, and how often it changed.

    A view knows its store and the way to it, so that a write through one is seen through all.
    """

    __slots__ = ("map", "version")

    def __init__(self, map_: Map) -> None:
        self.map, self.version = map_, 0


class Trail:
    """How a tensor reads its store: through which views; and what that gave the last time."""

    __slots__ = ("map", "steps", "store", "version")

    def __init__(self, store: Store, steps: tuple[Callable[[Map], Map], ...] = ()) -> None:
        self.store, self.steps, self.version = store, steps, -1
        self.map = store.map

    def read(self) -> Map:
        if self.version != self.store.version:
            found = self.store.map
            for step in self.steps:
                found = step(found)
            self.map, self.version = found, self.store.version
        return self.map

    def write(self, new: Map) -> None:
        if self.steps:
            new = written(self.store.map, self.steps, new)
        self.store.map = new
        self.store.version += 1


def written(base: Map, steps: Sequence[Callable[[Map], Map]], new: Map) -> Map:
    """The base after `new` was written through a view of it."""
    run = base.run
    places = []  # for each dim of the base, where along it the view's positions lie
    for dim, n in enumerate(base.shape):
        shape = [1] * (len(base.shape) + 1)
        shape[dim + 1] = n
        index = np.arange(n, dtype=np.int64).reshape(shape)
        deps = Deps([index], filled=False, ragged=False)
        found = Map(run, base.shape, deps, deps, ())
        for step in steps:
            found = step(found)
        array = found.strict.arrays[0]
        assert array is not None
        places.append(array[0])
    used = []
    for dim, place in enumerate(places):
        along = [d for d in range(place.ndim) if place.shape[d] > 1]
        n = base.shape[dim]
        whole = n == 1 or (len(along) == 1 and np.array_equal(place.ravel(), np.arange(n)))
        used.append(not whole)
    return base.run.overwritten(base, new, places, used)


class Run(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """One forward pass on coordinates."""

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """No: else torch imports its compiler at the first operator, for two seconds and more."""
        return False

    def __init__(self, origin: Origin, unknown: str, path: list[str]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.origin, self.unknown, self.path = origin, unknown, path
        self.calculus = Calculus(origin)
        self.no_wholes: tuple[tuple[str, ...], ...] = tuple(() for _ in origin.axes)
        self.everything: list[str] = []  # operators without a rule that were let see everything
        self.operator = ""
        self.grids: list[Map] = []  # where an operator has changed the number of positions
        # Of adaptive windows, in the order in which they ran, and on the input that was asked for.
        self.ratios: list[Fraction | None] = []
        self.wanted: list[Fraction | None] | None = None
        # Of dims united, in the order in which that happened: their sizes, and the other dims'.
        self.unions: list[tuple[tuple[int, ...], tuple[int, ...]]] = []
        self.doubtful = False  # whether there may be windows of a map among them
        self.windows: frozenset[int] = frozenset()  # those known to be windows
        self.stale: set[int] = set()  # memory of constants whose values were not kept

    # Maps.

    def source(self, which: int, shape: Sequence[int]) -> Map:
        """The map of an input: each position depends on itself."""
        arrays: list[Array | None] = []
        for input_, axis, length in self.origin.axes:
            if input_ != which:
                arrays.append(None)
                continue
            seed = self.origin.domain.seed(length)
            at = [1] * len(shape)
            at[axis] = length
            arrays.append(seed.reshape(seed.shape[0], *at))
        deps = Deps(arrays, not self.origin.domain.exact, ragged=False)
        return Map(self, shape, deps, deps, self.no_wholes)

    def constant(self, shape: Sequence[int]) -> Map:
        nothing = self.calculus.nothing
        return Map(self, shape, nothing, nothing, self.no_wholes)

    def keeps_ratio(self, length: int, out: int) -> bool:
        """Note how many positions became how many; whether that is as on the input asked for."""
        ratio = Fraction(out, length) if length > 1 else None  # one position has no windows
        self.ratios.append(ratio)
        if self.wanted is None or ratio is None:
            return True
        place = len(self.ratios) - 1
        return place < len(self.wanted) and self.wanted[place] in (None, ratio)

    def marked(self, map_: Map, mark: str) -> tuple[tuple[str, ...], ...]:
        """The map's wholes, with a mark for every axis that it depends on."""
        arrays = map_.strict.arrays
        return tuple(
            (*names, mark) if mark not in names and array is not None else names
            for names, array in zip(map_.wholes, arrays, strict=True)
        )

    def united(self, maps: Sequence[Map]) -> Map:
        if len(maps) == 1:
            return maps[0]
        shape = np.broadcast_shapes(*(m.shape for m in maps))
        dims = len(shape)
        strict = self.calculus.union([m.strict for m in maps], dims)
        local = (
            strict
            if all(m.local is m.strict for m in maps)
            else self.calculus.union([m.local for m in maps], dims)
        )
        upsampled = lcm(*(m.upsampled for m in maps))
        return Map(self, shape, strict, local, self.joint(maps), upsampled)

    def blocked(self, found: Map, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Map:
        """A sum or product with what constant masks say of its terms.

        Whatever is added to -inf, or 0 is multiplied by, changes nothing.
        """
        name = plain(self.operator)
        value = {"add": -np.inf, "mul": 0.0}.get(name)
        if value is None or kwargs:
            return found
        masks = []
        for arg in args:
            if isinstance(arg, Map):
                masks.append(arg.mask(value))
                if name == "mul" and arg.mask(-np.inf) is not None and scaled(args):
                    return found.block(cast(Array, arg.mask(-np.inf)), -np.inf)
            elif isinstance(arg, Tensor) and name == "add" and arg.is_floating_point():
                known = self.value_of(arg)
                masks.append(None if known is None else closed(known))
        here = [m for m in masks if m is not None and m.any()]
        if not here:
            return found
        dims = len(found.shape)
        together = here[0]
        for mask in here[1:]:
            together = together | mask
        return found.block(together.reshape(*[1] * (dims - together.ndim), *together.shape), value)

    def joint(self, maps: Sequence[Map]) -> tuple[tuple[str, ...], ...]:
        wholes = [m.wholes for m in maps if m.wholes is not self.no_wholes]
        if not wholes:
            return self.no_wholes
        return tuple(
            tuple(dict.fromkeys(name for names in column for name in names))
            for column in zip(*wholes, strict=True)
        )

    def joined(self, maps: Sequence[Map], dim: int) -> Map:
        """As torch.cat."""
        shape = [*maps[0].shape]
        shape[dim] = sum(m.shape[dim] for m in maps)
        shapes = [m.shape for m in maps]
        strict = self.calculus.joined([m.strict for m in maps], shapes, dim)
        local = (
            strict
            if all(m.local is m.strict for m in maps)
            else self.calculus.joined([m.local for m in maps], shapes, dim)
        )
        upsampled = lcm(*(m.upsampled for m in maps))
        return Map(self, shape, strict, local, self.joint(maps), upsampled)

    def count(self, map_: Map, dims: Sequence[int]) -> None:
        """Note the sizes of dims about to be united, and of those that stay."""
        rest = (n for d, n in enumerate(map_.shape) if d not in dims)
        self.unions.append((tuple(map_.shape[d] for d in dims), tuple(rest)))

    def windows_beside(self, larger: Run) -> frozenset[int]:
        """The unions that are of windows: on a larger input they grow in number alone."""
        if len(larger.unions) != len(self.unions):
            return frozenset()
        pairs = enumerate(zip(self.unions, larger.unions, strict=True))
        return frozenset(i for i, (a, b) in pairs if a[0] == b[0] and a[1] != b[1])

    def whole(self, map_: Map, before: Deps, after: Deps, dims: Sequence[int]) -> tuple[bool, ...]:
        """For each axis, whether these dims held every position that the map has along it.

        Then what is united is no longer spread over positions side by side, and it was before: of
        windows next to each other each holds a part, and branches lie one within another.
        """
        ends = self.origin.domain.ends
        found = []
        inputs = {i: sum(a[0] == i for a in self.origin.axes) for i, _, _ in self.origin.axes}
        like_input = len(map_.shape) - 2 in inputs.values()
        for x, y, axis in zip(before.arrays, after.arrays, self.origin.axes, strict=True):
            moving = [] if x is None else [d for d in dims if vary(x, d)]
            if x is None or y is None or not nested(*ends(y)):
                self.doubtful |= bool(moving)
                found.append(False)
                continue
            # Where all positions see the whole input already, the dims tell.
            if not moving:
                first, last = ends(y)
                full = bool((first == 0).all() and (last == axis[2] - 1).all())
                every = like_input and {*range(2, len(map_.shape))} <= {*dims}
                found.append(full and every and map_.shape[axis[1]] > 1)
                continue
            spatial = like_input and max(moving) >= 2
            whole = spatial or not nested(*ends(x))
            place = len(self.unions) - 1
            self.doubtful |= whole and not spatial
            found.append(whole and place not in self.windows)
        return tuple(found)

    def put(self, base: Map, places: Sequence[Any], new: Map, accumulate: bool) -> Map:
        """As index_put: `new` written or added to base[places], None for a whole dim."""
        chosen = tuple(slice(None) if p is None else p for p in places)
        grids: list[Array] = []
        written_shape: tuple[int, ...] = ()
        for dim, n in enumerate(base.shape):
            along = np.arange(n).reshape([-1 if d == dim else 1 for d in range(len(base.shape))])
            index = np.broadcast_to(along, base.shape)[chosen]
            written_shape = index.shape
            grids.append(compressed(index[None])[0])
        used = [d < len(places) and places[d] is not None for d in range(len(base.shape))]
        return self.overwritten(base, new.expand(*written_shape), grids, used, accumulate)

    def overwritten(
        self,
        base: Map,
        new: Map,
        places: Sequence[Array],
        used: list[bool],
        accumulate: bool = False,
    ) -> Map:
        dims = len(base.shape)
        if 0 in new.shape:
            return base  # nothing is written

        def put(old: Array | None, fresh: Array | None, height: int, view: Sequence[int]) -> Array:
            blank = self.origin.domain.blank([height, *[1] * dims])
            old = blank if old is None else old
            fresh = self.origin.domain.blank([height, *[1] * len(view)]) if fresh is None else fresh
            # A dim of the base that is written whole needs its size only where something varies.
            keep = []
            for d, place in enumerate(places):
                along = [k for k in range(place.ndim) if place.shape[k] > 1]
                varies = vary(old, d) or (len(along) == 1 and vary(fresh, along[0]))
                keep.append(base.shape[d] if used[d] or varies else 1)
            grid = [height, *keep]
            guarded(int(np.prod(grid)))
            grown = np.broadcast_to(old, grid).copy()
            at = [
                p if k > 1 else np.zeros_like(p.flat[:1]).reshape([1] * p.ndim)
                for p, k in zip(places, keep, strict=True)
            ]
            # One place may take several entries that differ, as that of [0, 0] does.
            at[0] = np.broadcast_to(at[0], np.broadcast_shapes(at[0].shape, fresh.shape[1:]))
            if accumulate:  # a place may occur more than once
                self.origin.domain.unite.at(grown, cast(Any, (slice(None), *at)), fresh)
            else:
                grown[(slice(None), *at)] = fresh
            return compressed(grown)

        def both(old: Deps, fresh: Deps) -> Deps:
            if accumulate:
                old, fresh = self.calculus.settled(old, fresh)
            arrays: list[Array | None] = []
            for a, b in zip(old.arrays, fresh.arrays, strict=True):
                if a is None and b is None:
                    arrays.append(None)
                    continue
                height = (a if a is not None else cast(Array, b)).shape[0]
                arrays.append(put(a, b, height, new.shape))
            ragged = old.ragged or fresh.ragged or old.none != fresh.none
            return Deps(arrays, old.filled and fresh.filled and not accumulate, ragged)

        strict = both(base.strict, new.strict)
        same = base.local is base.strict and new.local is new.strict
        local = strict if same else both(base.local, new.local)
        upsampled = lcm(base.upsampled, new.upsampled)
        return Map(self, base.shape, strict, local, self.joint([base, new]), upsampled)

    # Tensors.

    def follow(self, tensor: Tensor, map_: Map) -> None:
        tensor._rflib = Trail(Store(map_))  # type: ignore[attr-defined]

    def trail(self, tensor: Tensor) -> Trail | None:
        trail: Trail | None = getattr(tensor, "_rflib", None)
        # A buffer, or what forward keeps on the model, may have been followed by an earlier run.
        return trail if trail is not None and trail.store.map.run is self else None

    def map_of(self, tensor: Tensor) -> Map | None:
        """The tensor's map, None where it depends on nothing."""
        trail = self.trail(tensor)
        if trail is None or trail.store.map.strict.none:
            return None
        found = trail.read()
        return None if found.strict.none else found

    def value_of(self, tensor: Tensor) -> Tensor | None:
        """The numbers of a tensor that depends on no input, None where they were not kept."""
        if self.stale and tensor.untyped_storage()._cdata in self.stale:
            return None
        if not tensor.is_meta:
            return tensor
        kept = getattr(tensor, "_rflib_value", None)
        if kept is None or kept.numel() > SMALL:
            return None
        return cast(Tensor, kept.detach().clone())

    # Operators.

    def label(self) -> str:
        """The operator and its place, for the list of those that read a whole map."""
        place = f" in {self.path[-1]}" if self.path and self.path[-1] else ""
        return f"{plain(self.operator)}{place}"

    def where(self, name: str | None = None) -> str:
        place = f"submodule {self.path[-1]!r}" if self.path and self.path[-1] else "forward"
        return f"the operator {name or self.operator} (in {place})"

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        schema = func._schema
        if composite(func):  # in inference mode torch hands these on as they are
            with self:
                return func.decompose(*args, **kwargs)
        self.operator = schema.name
        found = [*tensors(args), *tensors(kwargs)]
        maps = {id(t): m for t in found if (m := self.map_of(t)) is not None}
        if not maps:
            return self._apart(func, args, kwargs, found)
        name, changed = self._target(schema, args, kwargs)
        call, wants = self._rule(name, func)
        if name in REFUSED:
            args = REFUSED[name](self, *args) or args
        output = FAST[name](*args, **kwargs) if name in FAST else None
        if output is not None and changed is not None and output.shape != changed.shape:
            output = None  # torch says what is wrong with it
        if output is None:
            output = self._run(func, args, kwargs)

        def result(base: Map | None = None) -> Any:
            """What the rule says; of `base` in place of the first tensor."""

            def replaced(value: Any) -> Any:
                if isinstance(value, Tensor):
                    return base if base and value is found[0] else maps.get(id(value), value)
                if isinstance(value, (list, tuple)):
                    return [replaced(v) for v in value]
                return value

            more = {"output": output} if wants else {}
            try:
                return call(
                    *map(replaced, args), **{k: replaced(v) for k, v in kwargs.items()}, **more
                )
            except MapError as error:
                raise TraceError(f"{self.where(name)}: {error}") from None

        if changed is not None and torch.Tag.inplace_view in func.tags:  # unsqueeze_, t_, ...
            self._view(changed, changed, result, result())
            return changed
        if changed is not None:
            self._change(changed, result())
            return changed
        if returns_view(schema):
            self._view(found[0], output, result, result())
            return output
        made = result()
        self._attach(output, made)
        if isinstance(made, Map):
            self.note(next(iter(maps.values())), made)
        return output

    def note(self, before: Map, after: Map) -> None:
        """Where an operator has changed the number of positions, and by how much it upsampled."""
        if before.shape[2:] == after.shape[2:]:
            return
        self.grids.append(after)
        if len(before.shape) == len(after.shape):
            pairs = zip(before.shape[2:], after.shape[2:], strict=True)
            factors = [
                round(out / n) for d, (n, out) in enumerate(pairs, 2) if before.varies(d) and n > 1
            ]
            after.upsampled = max(after.upsampled, before.upsampled * max(1, *factors, 1))

    def _target(self, schema: Any, args: Any, kwargs: Any) -> tuple[str, Tensor | None]:
        """The operator whose rule counts, and the tensor that it writes to, if any."""
        name = schema.name
        if not schema.is_mutable or name in RULES:
            return name, None
        if name.endswith("_") and not name.endswith("__"):
            return name[:-1], args[0]
        out = kwargs.get("out")
        if isinstance(out, Tensor):
            return name, out
        raise TraceError(
            f"{self.where()} writes into several tensors at once, which rflib.trace cannot "
            f"follow. Use the form that returns its results"
        )

    def _rule(self, name: str, func: Any) -> tuple[Rule, bool]:
        given = RULES.get(name)
        if given is not None:
            return given
        if torch.Tag.pointwise in func.tags:
            return _pointwise, True
        if self.unknown == "everything":
            return self._everything, True
        raise TraceError(
            f"{self.where(name)} has no rule, so rflib.trace cannot tell what its positions "
            f"depend on. Teach it one,\n\n"
            f"    @rflib.rule({name!r})\n"
            f"    def _(x, *rest):            # the operator's own arguments\n"
            f"        return x.elementwise()  # or x.window(dim, kernel), x.merge(dims), ...\n\n"
            f"or let it see everything: rflib.trace(..., unknown='everything')"
        )

    def _everything(self, *args: Any, output: Any, **kwargs: Any) -> Any:
        """Every position of the result depends on every position of the arguments."""
        if (label := self.label()) not in self.everything:
            self.everything.append(label)
        whole = self.united([m.merge() for m in flat((args, kwargs)) if isinstance(m, Map)])

        def like(value: Any) -> Any:
            if isinstance(value, Tensor):
                return whole.expand(*value.shape)
            return [like(v) for v in value] if isinstance(value, (list, tuple)) else value

        return like(output)

    def _run(self, func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
        """The operator on tensors without numbers, for shapes and types."""
        if "device" in kwargs:
            kwargs = {**kwargs, "device": META}
        try:
            return func(*on_meta(args), **on_meta(kwargs))
        except (NotImplementedError, RuntimeError) as error:
            said = str(error).splitlines()[0]
            if isinstance(error, NotImplementedError):
                raise TraceError(
                    f"{self.where()} cannot run without numbers, as it has no implementation on "
                    f"torch's meta device: {said}"
                ) from error
            raise

    def _apart(self, func: Any, args: Any, kwargs: dict[str, Any], found: list[Tensor]) -> Any:
        """An operator on what depends on no input. Small constants keep their values."""
        schema = func._schema
        if not found:  # a tensor made from nothing
            output = self._run(func, args, {**kwargs, "device": META})
            if not isinstance(output, Tensor) or output.numel() > SMALL:
                return output
            made = func(*args, **{**kwargs, "device": CPU})
            wanted = kwargs.get("device")
            return made if wanted is None or wanted == CPU else with_values(output, made)
        known = {id(t): self.value_of(t) for t in found}
        if all(v is not None for v in known.values()) and sum(t.numel() for t in found) <= SMALL:
            bare = any(t.is_meta for t in found)
            if not bare and schema.is_mutable:
                return func(*args, **kwargs)
            if not schema.is_mutable:
                there = {**kwargs, "device": CPU} if "device" in kwargs else kwargs
                output = func(*valued(args, known), **valued(there, known))
                if bare:
                    output = with_values(self._run(func, args, kwargs), output)
                self._constant_view(schema, found[0], output, args, kwargs)
                return output
        if self.operator == "aten::_local_scalar_dense":
            raise TraceError(
                f"{self.where()} asks for a number that rflib.trace did not keep (it was made from "
                f"more than {SMALL:,} numbers): give it to forward as a Python number"
            )
        output = self._run(func, args, kwargs)
        if schema.is_mutable:
            target = args[0] if self.operator.endswith("_") else kwargs.get("out")
            if isinstance(target, Tensor):
                self.stale.add(target.untyped_storage()._cdata)
                trail = self.trail(target)
                if trail is not None and trail.store.map.strict.none is False:
                    trail.write(self.constant(target.shape))
                return target
        self._constant_view(schema, found[0], output, args, kwargs)
        return output

    def _constant_view(
        self, schema: Any, base: Tensor, output: Any, args: Any, kwargs: Any
    ) -> None:
        """A view of a constant: what depends on the input may be written through it later."""
        if not returns_view(schema) or schema.name not in RULES or isinstance(base, nn.Parameter):
            return
        call, wants = RULES[schema.name]
        more = {"output": output} if wants else {}

        def result(source: Map) -> Any:
            return call(source, *args[1:], **kwargs, **more)

        if self.trail(base) is None:
            self.follow(base, self.constant(base.shape))
        self._view(base, output, result, None)

    def _attach(self, output: Any, result: Any) -> None:
        """Give the results their maps."""
        if isinstance(output, Tensor):
            if isinstance(result, (list, tuple)) and result:
                result = result[0]
            if result is not None:
                self.follow(output, self._checked(output, result))
        elif isinstance(output, (list, tuple)):
            several = list(result) if isinstance(result, (list, tuple)) else [result]
            several += [None] * (len(output) - len(several))
            for one, its in zip(output, several, strict=True):
                self._attach(one, its)

    def _checked(self, output: Tensor, result: Any) -> Map:
        if not isinstance(result, Map):
            raise TraceError(f"{self.where()}: its rule must return a Map; got {result!r}")
        if result.shape != tuple(output.shape):
            raise TraceError(
                f"{self.where()}: its rule gives the shape {result.shape}, the operator gives "
                f"{tuple(output.shape)}"
            )
        return result

    def _view(self, base: Tensor, output: Any, again: Callable[[Map], Any], result: Any) -> None:
        """Results that share the memory of `base`."""
        trail = self.trail(base)
        assert trail is not None
        many = isinstance(output, (list, tuple))
        for i, one in enumerate(output if many else [output]):

            def step(source: Map, i: int = i) -> Map:
                found = again(source)
                return cast(Map, found[i] if many else found)

            view = Trail(trail.store, (*trail.steps, step))
            if result is not None:
                view.map = self._checked(one, result[i] if many else result)
                view.version = trail.store.version
            one._rflib = view

    def _change(self, target: Tensor, result: Any) -> None:
        """Write a rule's result into a tensor."""
        new = result[0] if isinstance(result, (list, tuple)) else result
        new = self.constant(target.shape) if new is None else new.expand(*target.shape)
        if self.trail(target) is None:
            self.follow(target, self.constant(target.shape))
        trail = cast(Trail, self.trail(target))
        if trail.read() is not new:
            trail.write(new)


def _pointwise(*args: Any, output: Any, **kwargs: Any) -> Any:
    """All of torch's operators that act position by position; it tags them itself."""
    maps = [m for m in flat((args, kwargs)) if isinstance(m, Map)]
    run = maps[0].run
    found = run.united(maps)
    if isinstance(output, Tensor):
        found = found if found.shape == output.shape else found.expand(*output.shape)
        return run.blocked(found, args, kwargs)
    return [found.expand(*one.shape) for one in output]


def lowest(tensor: Tensor) -> float:
    """The lowest number of its type, which in a mask stands for -inf: a sum with it is itself."""
    return torch.finfo(tensor.dtype).min


def closed(mask: Tensor) -> Array:
    """Where a mask that is added lets nothing through."""
    return (mask <= lowest(mask)).numpy()


def scaled(args: Sequence[Any]) -> bool:
    """Whether these are a map and positive numbers."""
    rest = [a for a in args if not isinstance(a, Map)]
    return len(rest) == len(args) - 1 and all(isinstance(a, (int, float)) and a > 0 for a in rest)


class Functions(TorchFunctionMode):
    """Functions whose operators would lose what the function knows."""

    def __init__(self, run: Run) -> None:
        super().__init__()
        self.run = run

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        name = getattr(func, "__name__", "")
        if name in FUNCTIONS:
            found = FUNCTIONS[name](self.run, *args, **kwargs)
            if found is not None:
                return found
        return func(*args, **kwargs)


FUNCTIONS: dict[str, Callable[..., Any]] = {}
FAST: dict[str, Callable[..., Any]] = {}  # shapes of frequent results, without asking the operator
REFUSED: dict[str, Callable[..., Any]] = {}  # what must be refused before the operator runs
CPU, META = torch.device("cpu"), torch.device("meta")


def blank(shape: Sequence[int], like: Tensor) -> Tensor:
    """A tensor without numbers of this shape, made behind the back of the dispatch mode."""
    with torch._C._DisableTorchDispatch():
        return torch.empty(shape, dtype=like.dtype, device=META)


def plain(name: str) -> str:
    return name.removeprefix("aten::").strip("_")


_VIEWS: dict[Any, bool] = {}


def returns_view(schema: Any) -> bool:
    """Whether results share the memory of the first argument, unwritten."""
    key = (schema.name, schema.overload_name)
    if key not in _VIEWS:
        infos = [r.alias_info for r in schema.returns]
        _VIEWS[key] = any(i is not None and not i.is_write for i in infos)
    return _VIEWS[key]


_COMPOSITES: dict[Any, bool] = {}


def composite(func: Any) -> bool:
    """Whether an operator without a rule of its own is made of others, by torch's own word."""
    if func not in _COMPOSITES:
        key = torch._C.DispatchKey.CompositeImplicitAutograd
        _COMPOSITES[func] = func.has_kernel_for_dispatch_key(key)
    return _COMPOSITES[func] and func._schema.name not in RULES


def tensors(value: Any) -> Iterator[Tensor]:
    """All tensors in a nest of arguments, in order."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from tensors(item)
    elif isinstance(value, dict):
        yield from tensors(list(value.values()))


def flat(value: Any) -> Iterator[Any]:
    """All entries of a nest of lists, tuples and dicts."""
    if isinstance(value, (list, tuple)):
        for item in value:
            yield from flat(item)
    elif isinstance(value, dict):
        yield from flat(list(value.values()))
    else:
        yield value


def on_meta(value: Any) -> Any:
    """The same nest with tensors on the meta device."""
    if isinstance(value, Tensor):
        if value.is_meta:
            return value
        return torch.empty_strided(value.shape, value.stride(), dtype=value.dtype, device=META)
    if isinstance(value, (list, tuple)):
        return type(value)([on_meta(v) for v in value]) if type(value) in (list, tuple) else value
    if isinstance(value, dict):
        return {k: on_meta(v) for k, v in value.items()}
    return value


def with_values(output: Any, made: Any) -> Any:
    """Tensors on the meta device that keep the values of others."""
    if isinstance(output, Tensor):
        output._rflib_value = made  # type: ignore[attr-defined]
    elif isinstance(output, (list, tuple)):
        for one, its in zip(output, made, strict=True):
            with_values(one, its)
    return output


def valued(value: Any, known: dict[int, Tensor | None]) -> Any:
    """The same nest with tensors replaced by their known values."""
    if isinstance(value, Tensor):
        return known[id(value)]
    if isinstance(value, (list, tuple)):
        return type(value)([valued(v, known) for v in value])
    if isinstance(value, dict):
        return {k: valued(v, known) for k, v in value.items()}
    return value


# The model, copied and run.


def bare_copy(model: nn.Module) -> nn.Module:
    """A copy in eval mode without hooks, its parameters without numbers; none is computed."""
    memo: dict[int, Any] = {}
    try:
        return _bare(model, memo)
    except Exception as error:
        raise TypeError(
            f"model: this {type(model).__name__} cannot be copied by copy.deepcopy, and "
            f"rflib.trace works on a copy only: {type(error).__name__}: {error}"
        ) from error


EMPTY = frozenset((dict, OrderedDict, list, set))
PLAIN = (int, float, str, bool, type(None), torch.dtype, torch.device)
SIMPLE = frozenset(PLAIN)


def _bare(module: nn.Module, memo: dict[int, Any]) -> nn.Module:
    """One module and all inside it; ten times as fast as copy.deepcopy, which does the rest."""
    if id(module) in memo:
        return cast(nn.Module, memo[id(module)])
    if hasattr(module, "__deepcopy__"):
        return copy.deepcopy(module, memo)
    twin = object.__new__(type(module))
    memo[id(module)] = twin
    state = twin.__dict__
    for name, value in module.__dict__.items():
        kind = type(value)
        if name == "_compiled_call_impl":
            continue  # module.compile() had put the reader's own module there
        if kind in SIMPLE:
            state[name] = value
        elif kind in EMPTY and not value:
            state[name] = kind()
        elif name in ("_parameters", "_buffers"):
            state[name] = {k: t if t is None else _bare_tensor(t, memo) for k, t in value.items()}
        elif name == "_modules":
            state[name] = {k: m if m is None else _bare(m, memo) for k, m in value.items()}
        elif name.startswith(("_forward_", "_backward_")) and isinstance(value, dict):
            state[name] = type(value)(
                (key, copy.deepcopy(hook, memo))
                for key, hook in value.items()
                if type(hook).__module__.startswith("torch.nn.utils")  # they compute weights
            )
        elif isinstance(value, PLAIN) or (
            isinstance(value, tuple) and all(isinstance(v, PLAIN) for v in value)
        ):
            state[name] = value
        elif isinstance(value, Tensor):
            state[name] = _bare_tensor(value, memo)
        else:
            state[name] = copy.deepcopy(value, memo)
    state["training"] = False
    return twin


def _bare_tensor(tensor: Tensor, memo: dict[int, Any]) -> Tensor:
    if id(tensor) not in memo:
        bare = torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype, device=META)
        if isinstance(tensor, nn.Parameter):
            bare = nn.Parameter(bare, requires_grad=False)
        if not tensor.is_meta and tensor.numel() <= SMALL:
            bare._rflib_value = tensor  # type: ignore[attr-defined]
        memo[id(tensor)] = bare
    return cast(Tensor, memo[id(tensor)])


@contextmanager
def surroundings() -> Iterator[None]:
    """No gradients, no fast paths that hide operators; torch's random state as before."""
    state, fast = torch.get_rng_state(), torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with torch.inference_mode(False), torch.no_grad():
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
        torch.set_rng_state(state)


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Tensor]]:
    """The tensors of an output, each with its key: "" alone, "0", "out", "boxes.0"."""
    if isinstance(value, Tensor):
        yield path, value
        return
    if isinstance(value, dict):
        items: Any = value.items()
    elif isinstance(value, tuple) and hasattr(value, "_fields"):
        items = zip(value._fields, value, strict=True)
    elif isinstance(value, (list, tuple)):
        items = enumerate(value)
    elif is_dataclass(value) and not isinstance(value, type):
        items = ((f.name, getattr(value, f.name)) for f in fields(value))
    else:
        return
    for key, item in items:
        yield from leaves(item, f"{path}.{key}" if path else str(key))
