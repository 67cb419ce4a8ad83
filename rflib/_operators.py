"""One rule for each operator of ATen: what its result's positions depend on.

Imported for its effect: every `@rule` here enters the registry of `rflib._tracer`.  Operators that
torch itself tags as pointwise need no rule.  Geometry is that of torch's documentation; weights
count as influence whatever their value.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import product
from math import ceil, floor, prod
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rflib._maps import Array, MapError, adaptive
from rflib._tracer import (
    FAST,
    FUNCTIONS,
    META,
    REFUSED,
    Map,
    Run,
    TraceError,
    blank,
    closed,
    lowest,
    rule,
    tensors,
)


def per_axis(value: Any, axes: int) -> list[Any]:
    """One entry per axis from torch's int, list of one, or list."""
    values = list(value) if isinstance(value, (list, tuple)) else [value]
    return values * axes if len(values) == 1 else values


def first_map(*values: Any) -> Map:
    return next(v for v in values if isinstance(v, Map))


# Position by position, where torch does not say so itself.


@rule(
    "aten::_to_copy aten::clone aten::alias aten::detach aten::lift_fresh "
    "aten::hardswish aten::hardtanh aten::log_sigmoid_forward aten::_prelu_kernel "
    "aten::rrelu_with_noise aten::native_dropout aten::bernoulli "
    "aten::complex aten::polar "
    "aten::nan_to_num"
)
def _elementwise(*args: Any, output: Any, **kwargs: Any) -> Any:
    maps = [a for a in args if isinstance(a, Map)]
    one = maps[0].elementwise(*maps[1:])
    return [one] * len(output) if isinstance(output, (list, tuple)) else one


@rule("aten::view_as_real")
def _as_real(x: Map, *, output: Tensor) -> Map:
    return x.unsqueeze(-1).expand(*output.shape)


@rule("aten::view_as_complex")
def _as_complex(x: Map) -> Map:
    return x.mix(-1).squeeze([-1])


@rule("aten::copy")
def _copy(self: Any, source: Any, *_: Any, **__: Any) -> Map | None:
    return source if isinstance(source, Map) else None


@rule(
    "aten::fill aten::zero aten::normal aten::uniform aten::zeros_like aten::ones_like "
    "aten::empty_like aten::full_like aten::rand_like aten::randn_like aten::new_zeros "
    "aten::new_ones aten::new_empty aten::new_full aten::new_empty_strided aten::randint_like"
)
def _from_nothing(*args: Any, **kwargs: Any) -> Map | None:
    value = args[1] if len(args) > 1 else None
    return value if isinstance(value, Map) else None  # fill_ with a number that was computed


@rule("aten::glu")
def _glu(x: Map, dim: int = -1) -> Map:
    half = x.shape[x.dim(dim)] // 2
    return x.slice(dim, 0, half).elementwise(x.slice(dim, half))


@rule("aten::embedding")
def _embedding(weight: Any, indices: Any, *_: Any, output: Tensor, **__: Any) -> Map:
    if isinstance(weight, Map):
        raise MapError("a table of embeddings that depends on the input cannot be traced")
    places: Map = indices
    return places.unsqueeze(-1).expand(*output.shape)


@rule("aten::tril aten::triu")
def _triangle(x: Map, diagonal: int = 0) -> Map:
    square = torch.ones(x.shape[-2:], dtype=torch.bool)
    lower = "tril" in x.run.operator
    return x.keep((square.tril(diagonal) if lower else square.triu(diagonal)).numpy())


@rule("aten::where aten::masked_fill")
def _where(*args: Any, output: Tensor) -> Map:
    """Of both tensors what a constant mask leaves; all of all where the mask is not known."""
    run = first_map(*args).run
    filled = "masked_fill" in run.operator
    mask, one, other = (args[1], args[2], args[0]) if filled else args
    known = None if isinstance(mask, Map) else run.value_of(mask)
    maps = [a for a in args if isinstance(a, Map)]
    if known is not None:
        chosen = ((one, known.numpy()), (other, ~known.numpy()))
        maps = [a.expand(*output.shape).keep(keep) for a, keep in chosen if isinstance(a, Map)]
    found = run.united(maps).expand(*output.shape)
    for value, keep in chosen if known is not None else ():
        number = _number(run, value)
        if number is not None and output.is_floating_point() and number <= lowest(output):
            number = -np.inf
        if number in (-np.inf, 0.0):
            found = found.block(np.broadcast_to(keep, output.shape), number)
    return found


def _number(run: Run, value: Any) -> float | None:
    """The number that a scalar, or a constant of one entry, stands for; None: not known."""
    if isinstance(value, Tensor) and value.numel() == 1:
        value = run.value_of(value)
    if isinstance(value, Tensor):
        return float(value) if value.numel() == 1 else None
    return float(value) if isinstance(value, (int, float)) else None


# Convolutions and pools.


def _mixed_channels(x: Map, channels: int, groups: int) -> Map:
    """Every output channel of a group depends on all input channels of that group."""
    if not x.varies(1):
        return x.resized(1, channels)
    if groups == 1:
        return x.mix(1).resized(1, channels)
    n, c, *rest = x.shape
    each = channels // groups
    mixed = x.reshape(n, groups, c // groups, *rest).mix(2).resized(2, each)
    return mixed.reshape(n, channels, *rest)


def _dynamic(weight: Any, bias: Any, out: Map, channels: int) -> Map:
    """A weight that was computed from the input counts at every position."""
    extra = [w.merge() for w in (weight, bias) if isinstance(w, Map)]
    if not extra:
        return out
    return out.elementwise(*(e.expand(*[1] * len(out.shape)) for e in extra))


@rule("aten::convolution")
def _convolution(
    x: Any,
    weight: Any,
    bias: Any,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    transposed: bool,
    output_padding: Sequence[int],
    groups: int,
    *,
    output: Tensor,
) -> Map:
    if not isinstance(x, Map):
        only = first_map(weight, bias)
        return _dynamic(weight, bias, only.nothing(tuple(output.shape)), output.shape[1])
    axes = len(weight.shape) - 2
    found = x
    if len(x.shape) == axes + 1:
        found = x.unsqueeze(0)
    channels = output.shape[-axes - 1]
    found = _mixed_channels(found, channels, groups)
    spread = [per_axis(v, axes) for v in (stride, padding, dilation)]
    sizes = tuple(output.shape)[-axes:]
    for axis, (s, p, d, out) in enumerate(zip(*spread, sizes, strict=True)):
        k, dim = weight.shape[2 + axis], 2 + axis
        if transposed:
            found = found.window_transposed(dim, k, s, p, d, out)
        else:
            found = found.window(dim, k, s, (p, p), d, out)
    found = _dynamic(weight, bias, found, channels)
    return found.squeeze([0]) if len(x.shape) == axes + 1 else found


def _pool_axes(kernel: Any, x: Map) -> int:
    return len(kernel) if isinstance(kernel, (list, tuple)) else len(x.shape) - 2


def _pooled(x: Map, kernel: Any, stride: Any, padding: Any, dilation: Any, output: Tensor) -> Map:
    axes = _pool_axes(kernel, x)
    spread = [per_axis(v, axes) for v in (kernel, stride or kernel, padding, dilation)]
    sizes = tuple(output.shape)[-axes:]
    for axis, (k, s, p, d, out) in enumerate(zip(*spread, sizes, strict=True)):
        x = x.window(axis - axes, k, s, (p, p), d, out)
    return x


@rule("aten::max_pool2d_with_indices aten::max_pool3d_with_indices")
def _max_pool(
    x: Map,
    kernel: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    *,
    output: Any,
) -> tuple[Map, Map]:
    found = _pooled(x, kernel, stride, padding, dilation, output[0])
    return found, found


@rule("aten::avg_pool2d aten::avg_pool3d")
def _avg_pool(
    x: Map, kernel: Any, stride: Any = None, padding: Any = 0, *rest: Any, output: Tensor, **_: Any
) -> Map:
    return _pooled(x, kernel, stride, padding, 1, output)


@rule(
    "aten::_adaptive_avg_pool2d aten::_adaptive_avg_pool3d "
    "aten::adaptive_max_pool2d aten::adaptive_max_pool3d "
)
def _adaptive_pool(x: Map, size: Any, *, output: Any) -> Any:
    several = isinstance(output, (list, tuple))
    shape = tuple((output[0] if several else output).shape)
    axes = len(size) if isinstance(size, (list, tuple)) else len(shape) - 2
    for axis in range(axes):
        dim, out = axis - axes, shape[axis - axes]
        n = x.shape[dim]
        if out == 1:
            x = x.merge(dim, keepdim=True)
            continue
        x = x.stretched(dim, n, out)
        if out != n:
            x = x.spans(dim, adaptive(n, out))
    return (x, x) if several else x


# Resampling.


def _resample_axes(x: Map) -> int:
    return len(x.shape) - 2


def _ratio(n: int, out: int, align: bool, scale: float | None) -> Fraction:
    """How many positions of the result lie where the argument has one.

    A decimal scale means its decimals: 0.6 is 3/5, not the number of bits next to it.
    """
    if align:
        return Fraction(out - 1, n - 1) if min(n, out) > 1 else Fraction(1)
    return Fraction(scale).limit_denominator(1 << 20) if scale else Fraction(out, n)


def _stretch(n: int, out: int, align: bool, scale: float | None) -> tuple[int, int]:
    """How many steps become how many: a given scale is the same on an input of any size.

    With aligned corners it is the distances between the positions that are in the ratio.
    """
    if align:
        return n - 1, out - 1
    ratio = _ratio(n, out, align, scale)
    return (ratio.denominator, ratio.numerator) if scale else (n, out)


def _repeating(
    x: Map, before: Map, output: Tensor, align: bool, scales: Sequence[float | None]
) -> Map:
    """Note after how many positions a resampled map repeats: 11/10 takes eleven."""
    sizes = zip(before.shape[2:], output.shape[2:], scales, strict=True)
    turns = [
        _ratio(n, out, align, scale).numerator
        for axis, (n, out, scale) in enumerate(sizes)
        if before.varies(2 + axis)
    ]
    x.upsampled = before.upsampled * max([1, *turns])
    return x


def _scales(rest: Sequence[Any], axes: int) -> list[float | None]:
    """The scales among an operator's last arguments: a list, or one number per axis."""
    if len(rest) == 1 and isinstance(rest[0], (list, tuple)):
        return list(rest[0])
    given = list(rest)[-axes:] if rest else []
    return given if len(given) == axes else [None] * axes


@rule(
    "aten::upsample_nearest1d aten::upsample_nearest2d aten::upsample_nearest3d "
    "aten::_upsample_nearest_exact1d aten::_upsample_nearest_exact2d "
    "aten::_upsample_nearest_exact3d"
)
def _nearest(x: Map, size: Any, *rest: Any, output: Tensor, **kwargs: Any) -> Map:
    axes = _resample_axes(x)
    scales = _scales(rest or tuple(kwargs.values()), axes)
    exact = "exact" in x.run.operator
    before = x
    call = torch.ops.aten._upsample_nearest_exact1d if exact else torch.ops.aten.upsample_nearest1d
    for axis in range(axes):
        n, out = x.shape[2 + axis], output.shape[2 + axis]
        x = x.stretched(2 + axis, *_stretch(n, out, False, scales[axis]))
        # torch's own rounding, asked from torch: the numbers that it moves are their own places.
        places = torch.arange(n, dtype=torch.float32)[None, None]
        index = call(places, [out], scales[axis])[0, 0]
        x = x.take(2 + axis, index.long().numpy())
    return _repeating(x, before, output, False, scales)


def _linear_taps(n: int, out: int, align: bool, scale: float | None) -> list[list[int]]:
    """For each output: the positions with a weight that is not zero, unclamped."""
    if align:
        step = Fraction(n - 1, out - 1) if out > 1 else Fraction(0)
        places = [step * o for o in range(out)]
    else:
        step = 1 / _ratio(n, out, align, scale)
        places = [
            max(step * (Fraction(2 * o + 1, 2)) - Fraction(1, 2), Fraction(-1, 2))
            for o in range(out)
        ]
    taps = []
    for place in places:
        low = floor(place)
        taps.append([low] if place == low else [low, low + 1])
    return taps


def _cubic_taps(n: int, out: int, align: bool, scale: float | None) -> list[list[int]]:
    if align:
        step = Fraction(n - 1, out - 1) if out > 1 else Fraction(0)
        places = [step * o for o in range(out)]
    else:
        step = 1 / _ratio(n, out, align, scale)
        places = [step * Fraction(2 * o + 1, 2) - Fraction(1, 2) for o in range(out)]
    taps = []
    for place in places:
        low = floor(place)
        taps.append([low] if place == low else [low - 1, low, low + 1, low + 2])
    return taps


def _smooth_taps(n: int, out: int, align: bool, scale: float | None, half: int) -> list[list[int]]:
    """Antialiased: all within `half` steps of the centre, in coarse steps when shrinking."""
    if align:
        step = Fraction(n - 1, out - 1) if out > 1 else Fraction(0)
    else:
        step = 1 / _ratio(n, out, align, scale)
    support = half * max(step, Fraction(1))
    taps = []
    for o in range(out):
        centre = step * Fraction(2 * o + 1, 2)
        near = [
            i
            for i in range(floor(centre - support), ceil(centre + support) + 1)
            if abs(Fraction(2 * i + 1, 2) - centre) < support
            and 0 <= i < n
            and not (half == 2 and abs(Fraction(2 * i + 1, 2) - centre) == max(step, Fraction(1)))
        ]
        taps.append(near)
    return taps


def _by_taps(x: Map, dim: int, taps: Sequence[Sequence[int]]) -> Map:
    """Positions that unite a few others each; places beyond a border are those at the border."""
    n = x.shape[x.dim(dim)]
    parts = []
    for t in range(max(map(len, taps))):
        index = np.array([tap[min(t, len(tap) - 1)] for tap in taps])
        parts.append(x.take(dim, index.clip(0, n - 1), index < 0, index >= n))
    return parts[0].elementwise(*parts[1:])


def _resampled(x: Map, align: bool, rest: Any, output: Tensor, taps: Any, *more: Any) -> Map:
    axes = _resample_axes(x)
    scales, before = _scales(rest, axes), x
    for axis in range(axes):
        n, out = x.shape[2 + axis], output.shape[2 + axis]
        x = x.stretched(2 + axis, *_stretch(n, out, align, scales[axis]))
        # Torch copies an axis that keeps its length, whatever the scale; but not where it is cubic.
        if n != out or (taps is _cubic_taps and scales[axis] not in (None, 1.0)):
            x = _by_taps(x, 2 + axis, taps(n, out, align, scales[axis], *more))
    return _repeating(x, before, output, align, scales)


@rule("aten::upsample_linear1d aten::upsample_bilinear2d aten::upsample_trilinear3d")
def _linear(x: Map, size: Any, align: bool, *rest: Any, output: Tensor, **kwargs: Any) -> Map:
    return _resampled(x, align, rest or tuple(kwargs.values()), output, _linear_taps)


@rule("aten::upsample_bicubic2d")
def _cubic(x: Map, size: Any, align: bool, *rest: Any, output: Tensor, **kwargs: Any) -> Map:
    return _resampled(x, align, rest or tuple(kwargs.values()), output, _cubic_taps)


@rule("aten::_upsample_bilinear2d_aa aten::_upsample_bicubic2d_aa")
def _antialiased(x: Map, size: Any, align: bool, *rest: Any, output: Tensor, **kwargs: Any) -> Map:
    half = 1 if "bilinear" in x.run.operator else 2
    return _resampled(x, align, rest or tuple(kwargs.values()), output, _smooth_taps, half)


# Padding and moving.


@rule("aten::constant_pad_nd")
def _constant_pad(x: Map, pad: Sequence[int], value: Any = 0) -> Map:
    for axis in range(len(pad) // 2):
        before, after = pad[2 * axis], pad[2 * axis + 1]
        if before or after:
            x = x.pad(-1 - axis, before, after)
    return x


def _pad_index(n: int, before: int, after: int, mode: str) -> tuple[Array, Array, Array]:
    places = np.arange(-before, n + after)
    front, back = places < 0, places >= n
    if mode == "circular":
        places = places % n
    elif mode == "replicate":
        places = places.clip(0, n - 1)
    else:
        places = np.abs(places)
        places = np.where(places >= n, 2 * (n - 1) - places, places)
    return places, front, back


def _padded(x: Map, pad: Sequence[int], mode: str) -> Map:
    for axis in range(len(pad) // 2):
        dim = -1 - axis
        x = x.take(dim, *_pad_index(x.shape[dim], pad[2 * axis], pad[2 * axis + 1], mode))
    return x


@rule("aten::reflection_pad1d aten::reflection_pad2d aten::reflection_pad3d")
def _reflection_pad(x: Map, pad: Sequence[int]) -> Map:
    return _padded(x, pad, "reflect")


@rule("aten::replication_pad1d aten::replication_pad2d aten::replication_pad3d")
def _replication_pad(x: Map, pad: Sequence[int]) -> Map:
    return _padded(x, pad, "replicate")


@rule("aten::view aten::_unsafe_view aten::_reshape_alias aten::view_copy")
def _view(x: Map, *_: Any, output: Tensor, **__: Any) -> Map:
    if _ and isinstance(_[0], torch.dtype):
        raise MapError("a view as another type of numbers moves parts of positions")
    return x.reshape(*output.shape)


@rule("aten::as_strided")
def _as_strided(x: Map, size: Sequence[int], *_: Any) -> Map:
    if tuple(size) == x.shape and sum(n > 1 for n in size) <= 1:
        return x  # another layout in memory of the same positions
    raise MapError("as_strided reads memory by distances; use views, slices or unfold instead")


@rule("aten::permute")
def _permute(x: Map, dims: Sequence[int]) -> Map:
    return x.permute(*dims)


@rule("aten::transpose")
def _transpose(x: Map, one: int, other: int) -> Map:
    if not x.shape:
        return x
    order = list(range(len(x.shape)))
    one, other = x.dim(one), x.dim(other)
    order[one], order[other] = other, one
    return x.permute(*order)


@rule("aten::t ")
def _t(x: Map) -> Map:
    return x if len(x.shape) < 2 else x.permute(1, 0)


@rule("aten::expand")
def _expand(x: Map, size: Sequence[int], **_: Any) -> Map:
    return x.expand(*size)


@rule("aten::unsqueeze")
def _unsqueeze(x: Map, dim: int) -> Map:
    return x.unsqueeze(dim)


@rule("aten::squeeze")
def _squeeze(x: Map, dims: Any = None, *, output: Tensor) -> Map:
    if len(x.shape) == output.dim():
        return x
    if dims is None:
        chosen = [d for d, n in enumerate(x.shape) if n == 1]
    else:
        chosen = [d for d in per_axis(dims, 1) if x.shape[x.dim(d)] == 1]
    return x.squeeze(chosen)


@rule("aten::slice")
def _slice(x: Map, dim: int = 0, start: Any = None, end: Any = None, step: int = 1) -> Map:
    return x.slice(dim, start or 0, end, step)


@rule("aten::select")
def _select(x: Map, dim: int, index: int) -> Map:
    return x.select(dim, index)


@rule("aten::unbind")
def _unbind(x: Map, dim: int = 0) -> list[Map]:
    return [x.select(dim, i) for i in range(x.shape[x.dim(dim)])]


@rule("aten::split aten::split_with_sizes aten::unsafe_split aten::unsafe_split_with_sizes")
def _split(x: Map, sizes: Any, dim: int = 0, *, output: Any) -> list[Map]:
    parts, start = [], 0
    for one in output:
        length = one.shape[x.dim(dim)]
        parts.append(x.slice(dim, start, start + length))
        start += length
    return parts


@rule("aten::unfold")
def _unfold(x: Map, dim: int, size: int, step: int) -> Map:
    dim = x.dim(dim)
    count = (x.shape[dim] - size) // step + 1
    index = (np.arange(count)[:, None] * step + np.arange(size)).ravel()
    found = x.take(dim, index).reshape(*x.shape[:dim], count, size, *x.shape[dim + 1 :])
    order = [d for d in range(len(found.shape)) if d != dim + 1]
    return found.permute(*order, dim + 1)


@rule("aten::diagonal")
def _diagonal(x: Map, offset: int = 0, dim1: int = 0, dim2: int = 1, *, output: Tensor) -> Map:
    dim1, dim2 = x.dim(dim1), x.dim(dim2)
    places: list[Any] = [None] * len(x.shape)
    along = np.arange(output.shape[-1])
    places[dim1], places[dim2] = along + max(0, -offset), along + max(0, offset)
    rest = [d for d in range(len(x.shape)) if d not in (dim1, dim2)]
    moved = x.permute(dim1, dim2, *rest)
    found = moved.index(
        [places[dim1], places[dim2], *[None] * len(rest)],
        (output.shape[-1], *(x.shape[d] for d in rest)),
    )
    return found.permute(*range(1, len(rest) + 1), 0)


@rule("aten::cat")
def _cat(parts: Sequence[Any], dim: int = 0, *, output: Tensor) -> Map:
    maps = [p for p in parts if isinstance(p, Map)]
    blank = maps[0]
    full = [
        p if isinstance(p, Map) else blank.nothing(tuple(p.shape))
        for p in parts
        if tuple(p.shape) != (0,)  # torch lets an empty list's tensor pass
    ]
    return blank.run.joined(full, dim % output.dim())


@rule("aten::stack")
def _stack(parts: Sequence[Any], dim: int = 0, *, output: Tensor) -> Map:
    blank = first_map(*parts)
    dim %= output.dim()
    full = [p if isinstance(p, Map) else blank.nothing(tuple(p.shape)) for p in parts]
    return blank.run.joined([p.unsqueeze(dim) for p in full], dim)


@rule("aten::flip")
def _flip(x: Map, dims: Sequence[int]) -> Map:
    for dim in dims:
        x = x.take(dim, np.arange(x.shape[x.dim(dim)])[::-1])
    return x


@rule("aten::rot90")
def _rot90(x: Map, k: int = 1, dims: Sequence[int] = (0, 1)) -> Map:
    one, other = (x.dim(d) for d in dims)
    for _ in range(k % 4):
        x = _transpose(_flip(x, [other]), one, other)
    return x


@rule("aten::roll")
def _roll(x: Map, shifts: Any, dims: Any = ()) -> Map:
    if not per_axis(dims, 1):
        flat: Map = _roll(x.reshape(prod(x.shape)), per_axis(shifts, 1), [0])
        return flat.reshape(*x.shape)
    for shift, dim in zip(per_axis(shifts, 1), per_axis(dims, 1), strict=True):
        n = x.shape[x.dim(dim)]
        x = x.take(dim, (np.arange(n) - shift) % n)
    return x


@rule("aten::repeat")
def _repeat(x: Map, repeats: Sequence[int]) -> Map:
    x = x.expand(*[1] * (len(repeats) - len(x.shape)), *x.shape)
    for dim, times in enumerate(repeats):
        if times != 1:
            x = x.take(dim, np.tile(np.arange(x.shape[dim]), times))
    return x


@rule("aten::repeat_interleave")
def _repeat_interleave(x: Map, repeats: Any, dim: Any = None, **_: Any) -> Map:
    if not isinstance(repeats, int):
        raise MapError("repeats must be one number: with one for each entry it cannot be traced")
    if dim is None:
        x, dim = x.reshape(prod(x.shape)), 0
    return x.take(dim, np.repeat(np.arange(x.shape[x.dim(dim)]), repeats))


@rule("aten::channel_shuffle ")
def _channel_shuffle(x: Map, groups: int) -> Map:
    c = x.shape[1]
    order = np.arange(c).reshape(groups, c // groups).T.ravel()
    return x.take(1, order)


@rule("aten::pixel_shuffle")
def _pixel_shuffle(x: Map, r: int) -> Map:
    *lead, c, h, w = x.shape
    n = len(lead)
    found = x.reshape(*lead, c // r**2, r, r, h, w)
    found = found.permute(*range(n + 1), n + 3, n + 1, n + 4, n + 2)
    return found.reshape(*lead, c // r**2, h * r, w * r)


@rule("aten::pixel_unshuffle")
def _pixel_unshuffle(x: Map, r: int) -> Map:
    *lead, c, h, w = x.shape
    n = len(lead)
    found = x.reshape(*lead, c, h // r, r, w // r, r)
    found = found.permute(*range(n + 1), n + 2, n + 4, n + 1, n + 3)
    return found.reshape(*lead, c * r**2, h // r, w // r)


@rule("aten::im2col")
def _im2col(
    x: Map, kernel: Any, dilation: Any, padding: Any, stride: Any, *, output: Tensor
) -> Map:
    (kh, kw), (dh, dw), (ph, pw), (sh, sw) = (
        per_axis(v, 2) for v in (kernel, dilation, padding, stride)
    )
    batched = x if len(x.shape) == 4 else x.unsqueeze(0)
    b, c, h, w = batched.shape
    oh = (h + 2 * ph - dh * (kh - 1) - 1) // sh + 1
    ow = (w + 2 * pw - dw * (kw - 1) - 1) // sw + 1

    def places(n: int, k: int, d: int, p: int, s: int, out: int) -> tuple[Array, Array, Array]:
        at = (np.arange(k)[:, None] * d + np.arange(out) * s - p).ravel()
        return np.where((at < 0) | (at >= n), -1, at), at < 0, at >= n

    found = batched.take(2, *places(h, kh, dh, ph, sh, oh)).take(3, *places(w, kw, dw, pw, sw, ow))
    found = found.reshape(b, c, kh, oh, kw, ow).permute(0, 1, 2, 4, 3, 5)
    return found.reshape(*((b,) if len(x.shape) == 4 else ()), c * kh * kw, oh * ow)


@rule("aten::col2im")
def _col2im(
    x: Map, size: Any, kernel: Any, dilation: Any, padding: Any, stride: Any, *, output: Tensor
) -> Map:
    (kh, kw), (dh, dw), (ph, pw), (sh, sw) = (
        per_axis(v, 2) for v in (kernel, dilation, padding, stride)
    )
    h, w = size
    batched = x if len(x.shape) == 3 else x.unsqueeze(0)
    b, rows, _ = batched.shape
    c = rows // (kh * kw)
    oh = (h + 2 * ph - dh * (kh - 1) - 1) // sh + 1
    ow = (w + 2 * pw - dw * (kw - 1) - 1) // sw + 1
    cols = batched.reshape(b, c, kh, kw, oh, ow)

    def laid(part: Map, dim: int, n: int, at: Array) -> Map:
        """Entry o of a dim put to place at[o] of n."""
        index = np.full(n, -1)
        good = (at >= 0) & (at < n)
        index[at[good]] = np.arange(len(at))[good]
        return part.take(dim, index)

    parts = []
    for i, j in product(range(kh), range(kw)):
        one = cols.select(2, i).select(2, j)
        one = laid(one, 2, h, np.arange(oh) * sh - ph + i * dh)
        parts.append(laid(one, 3, w, np.arange(ow) * sw - pw + j * dw))
    found = parts[0].elementwise(*parts[1:])
    return found if len(x.shape) == 3 else found.squeeze([0])


# Indexing by constants; by what depends on the input it cannot be traced.


DECIDED = (
    "decides by values which positions it reads, so that they differ from input to input. Trace "
    "the part before it, or register a rule of your own for what it may read"
)


def _refuse_values(run: Run, *_: Any) -> None:
    raise TraceError(f"{run.where()} {DECIDED}")


def _refuse_numbers(run: Run, *_: Any) -> None:
    raise TraceError(
        f"{run.where()} hands numbers that depend on the input to Python (item, bool, int, a "
        f"comparison in an if), and rflib.trace runs without numbers. Take this step out of "
        f"forward, or trace the part before it"
    )


def _refuse_index(run: Run, x: Any, indices: Sequence[Any], *rest: Any) -> Any:
    """Refuse an index that depends on the input; write a mask of constants as numbers."""
    if rest and _mask_alone(run, indices, rest[0]):
        return None
    places: list[Any] = []
    for index in indices:
        if index is not None and run.map_of(index) is not None:
            raise TraceError(f"{run.where()} {DECIDED}")
        mask = index is not None and index.dtype in (torch.bool, torch.uint8)
        value = run.value_of(index) if mask else None
        places += [index] if value is None else value.nonzero(as_tuple=True)
    return (x, places, *rest)


def _mask_alone(run: Run, indices: Sequence[Any], value: Tensor) -> bool:
    """x[mask] = one number: position by position, although it looks like an index."""
    one = len(indices) == 1 and indices[0] is not None and value.numel() == 1
    return one and indices[0].dtype == torch.bool and run.map_of(indices[0]) is not None


def _refuse_places(run: Run, x: Any, dim: Any, index: Any = None, *_: Any) -> None:
    if any(run.map_of(t) is not None for t in tensors([dim, index])):
        raise TraceError(f"{run.where()} {DECIDED}")


def _known(index: Any, run: Run) -> Any:
    if index is None:
        return None
    if isinstance(index, Map):
        raise MapError(f"it {DECIDED}")
    value = run.value_of(index)
    if value is None:
        raise MapError("the values of its index were not kept: make it in forward, or smaller")
    return value.numpy()


@rule("aten::index aten::_unsafe_index")
def _index(x: Any, indices: Sequence[Any], *, output: Tensor) -> Map:
    run = first_map(x, *indices).run
    places = [_known(i, run) for i in indices]
    return x.index(places, tuple(output.shape))  # type: ignore[no-any-return]


@rule("aten::index_select")
def _index_select(x: Any, dim: int, index: Any) -> Map:
    run = first_map(x, index).run
    return x.take(dim, np.atleast_1d(_known(index, run)))  # type: ignore[no-any-return]


@rule("aten::gather")
def _gather(x: Any, dim: int, index: Any, **_: Any) -> Map:
    run = first_map(x, index).run
    places = _known(index, run)
    dim = x.dim(dim)
    grid: list[Any] = list(np.indices(places.shape, sparse=True))
    grid[dim] = places
    return x.index(grid, places.shape)  # type: ignore[no-any-return]


@rule("aten::index_put")
def _index_put(x: Any, indices: Sequence[Any], value: Any, accumulate: bool = False) -> Map:
    run = first_map(x, value, *(i for i in indices if i is not None)).run
    base, new = _mapped(run, x), _mapped(run, value)
    if len(indices) == 1 and isinstance(indices[0], Map):  # a mask: see _mask_alone
        mask: Map = indices[0]
        wide = mask.reshape(*mask.shape, *[1] * (len(base.shape) - len(mask.shape)))
        return base.elementwise(wide, new.reshape(*[1] * len(base.shape)))
    return run.put(base, [_known(i, run) for i in indices], new, accumulate)


def _mapped(run: Run, x: Any) -> Map:
    return x if isinstance(x, Map) else run.constant(tuple(np.shape(x)))


def _written_along(x: Any, dim: int, index: Any, source: Any, accumulate: bool) -> Map:
    """Along a dim, entry i of `source` goes to index[i]."""
    run = first_map(x, source).run
    base = _mapped(run, x)
    places: list[Any] = [None] * len(base.shape)
    places[base.dim(dim)] = np.atleast_1d(_known(index, run))
    return run.put(base, places, _mapped(run, source), accumulate)


@rule("aten::index_copy aten::index_fill")
def _index_copy(x: Any, dim: int, index: Any, source: Any) -> Map:
    return _written_along(x, dim, index, source, False)


@rule("aten::index_add")
def _index_add(x: Any, dim: int, index: Any, source: Any, **_: Any) -> Map:
    return _written_along(x, dim, index, source, True)


@rule("aten::scatter aten::scatter_add aten::scatter_reduce")
def _scatter(
    x: Any, dim: int, index: Any, source: Any, reduce: Any = None, include_self: bool = True
) -> Map:
    run = first_map(x, source).run
    base, new, places = _mapped(run, x), _mapped(run, source), _known(index, run)
    for d, n in enumerate(places.shape if new.shape else ()):
        new = new.slice(d, 0, n)
    grid: list[Any] = list(np.indices(places.shape, sparse=True))
    grid[base.dim(dim)] = places
    return run.put(
        base, grid, new, reduce is not None or run.operator.startswith("aten::scatter_a")
    )


@rule("aten::take")
def _take(x: Any, index: Any) -> Map:
    run = first_map(x, index).run
    places = _known(index, run)
    flat: Map = x.reshape(prod(x.shape))
    return flat.take(0, places.ravel() % prod(x.shape)).reshape(*places.shape)


@rule("aten::slice_scatter")
def _slice_scatter(
    x: Any, value: Any, dim: int = 0, start: Any = None, end: Any = None, step: int = 1
) -> Map:
    run = first_map(x, value).run
    base, new = _mapped(run, x), _mapped(run, value)
    places: list[Any] = [None] * len(base.shape)
    dim = base.dim(dim)
    places[dim] = np.arange(base.shape[dim])[slice(start, end, step)]
    return run.put(base, places, new, False)


BY_VALUES = (
    "aten::grid_sampler_2d aten::grid_sampler_3d aten::max_unpool2d aten::max_unpool3d "
    "torchvision::deform_conv2d torchvision::roi_align torchvision::roi_pool torchvision::nms "
    "aten::nonzero aten::masked_select aten::_unique2 aten::unique_dim aten::bincount "
    "aten::masked_scatter aten::searchsorted aten::bucketize aten::histc"
)


@rule(BY_VALUES + " aten::_local_scalar_dense aten::equal ")
def _refused(*_: Any) -> None:
    """Never called: what stands in REFUSED raises first."""


for _name in BY_VALUES.split():
    REFUSED[_name] = _refuse_values
for _name in ("aten::_local_scalar_dense", "aten::equal"):
    REFUSED[_name] = _refuse_numbers
for _name in ("aten::index", "aten::_unsafe_index", "aten::index_put"):
    REFUSED[_name] = _refuse_index
INDEXED = (
    "aten::index_copy aten::index_fill aten::index_add aten::scatter aten::scatter_add "
    "aten::scatter_reduce aten::take aten::gather aten::index_select"
)
for _name in INDEXED.split():
    REFUSED[_name] = _refuse_places


# Along whole dims.


@rule(
    "aten::sum aten::mean aten::amax aten::amin aten::prod aten::any aten::all aten::logsumexp "
    "aten::linalg_vector_norm aten::norm aten::var aten::std aten::nansum aten::count_nonzero "
    "aten::max aten::min aten::median aten::argmax aten::argmin aten::var_mean aten::std_mean "
    "aten::nanmedian aten::mode aten::kthvalue aten::aminmax"
)
def _reduction(x: Any, *args: Any, output: Any, **kwargs: Any) -> Any:
    name = x.run.operator if isinstance(x, Map) else ""
    rest = list(args)
    if name in ("aten::max", "aten::min") and rest and isinstance(rest[0], (Map, Tensor)):
        return x.elementwise(rest[0])  # the larger of two tensors
    if name in ("aten::linalg_vector_norm", "aten::norm", "aten::kthvalue") and rest:
        rest = rest[1:]
    if name == "aten::logsumexp" or rest:
        dims = rest[0] if rest else kwargs.get("dim")
    else:
        dims = kwargs.get("dim", -1 if name in ("aten::mode", "aten::kthvalue") else None)
    several = isinstance(output, (list, tuple))
    shape = tuple((output[0] if several else output).shape)
    if isinstance(dims, (bool, float)) or dims is None or dims == []:
        chosen: Any = tuple(range(len(x.shape)))
    else:
        chosen = dims
    found = x.merge(chosen, keepdim=len(shape) == len(x.shape))
    return [found] * len(output) if several else found


@rule("aten::_softmax aten::_log_softmax aten::_safe_softmax aten::sort aten::topk aten::argsort")
def _along(x: Map, *args: Any, output: Any, **kwargs: Any) -> Any:
    if x.run.operator == "aten::topk":
        k, dim = args[0], args[1] if len(args) > 1 else kwargs.get("dim", -1)
        whole = x.merge(dim, keepdim=True)
        found = whole.expand(*(k if d == x.dim(dim) else n for d, n in enumerate(x.shape)))
        return [found] * len(output)
    numbers = [a for a in args if isinstance(a, int) and not isinstance(a, bool)]
    dim = numbers[0] if numbers else kwargs.get("dim", -1)
    found = x.spread(dim)
    mask = x.mask(-np.inf) if x.run.operator in ("aten::_softmax", "aten::_safe_softmax") else None
    if mask is not None:
        found = found.block(mask, 0.0)  # its share of the sum is nothing, whatever the others are
    return [found] * len(output) if isinstance(output, (list, tuple)) else found


@rule("aten::cumsum aten::cumprod aten::cummax aten::cummin aten::logcumsumexp")
def _cumulative(x: Map, dim: int, *_: Any, output: Any, **__: Any) -> Any:
    found = x.accumulate(dim)
    return [found] * len(output) if isinstance(output, (list, tuple)) else found


@rule("aten::native_layer_norm aten::_fused_rms_norm ")
def _layer_norm(x: Map, shape: Sequence[int], *_: Any, output: Any) -> Any:
    dims = tuple(range(-len(shape), 0))
    found = x.spread(dims)
    if not isinstance(output, (list, tuple)):
        return found
    statistics = [x.merge(dims, keepdim=True)] * (len(output) - 1)
    return [found, *statistics]


@rule("aten::native_group_norm")
def _group_norm(
    x: Map, weight: Any, bias: Any, n: int, c: int, hw: int, groups: int, eps: float
) -> list[Map]:
    split = x.reshape(n, groups, c // groups, *x.shape[2:])
    found = split.spread(tuple(range(2, len(split.shape)))).reshape(*x.shape)
    statistics = split.merge(tuple(range(2, len(split.shape))))
    return [found, statistics, statistics]


@rule(
    "aten::native_batch_norm aten::_native_batch_norm_legit "
    "aten::_native_batch_norm_legit_no_training "
    ""
)
def _batch_norm(x: Any, *args: Any, output: Any, **_: Any) -> Any:
    maps = [a for a in (x, *args) if isinstance(a, Map)]
    rest = len(output) - 1
    name = maps[0].run.operator
    training = any(a is True for a in args)
    if not isinstance(x, Map) or len(maps) > 1:
        raise MapError("a scale or shift that depends on the input must be applied by a product")
    if not training or "no_training" in name:
        return [x, *[None] * rest]
    return [x.spread((0, *range(2, len(x.shape)))), *[None] * rest]


@rule("aten::mm aten::bmm aten::mv aten::dot ")
def _product(a: Any, b: Any, **_: Any) -> Map:
    run = first_map(a, b).run
    vector = len(b.shape) == 1
    parts = []
    if isinstance(a, Map):
        rows = a.merge(-1, keepdim=not vector)
        parts.append(rows)
    zeros = a.mask(0.0) if isinstance(a, Map) and not vector else None
    if isinstance(b, Map) and zeros is not None:
        parts.append(_let_through(b, ~zeros))
    elif isinstance(b, Map):
        parts.append(b.merge(-1 if vector else -2, keepdim=not vector))
    shape = (
        tuple(a.shape[:-1])
        if vector
        else (
            *np.broadcast_shapes(tuple(a.shape[:-2]), tuple(b.shape[:-2])),
            a.shape[-2],
            b.shape[-1],
        )
    )
    return run.united(parts).expand(*shape)


def _let_through(values: Map, mask: Array) -> Map:
    """What a product reads of (..., keys, channels) by weights (..., queries, keys), 0 for some."""
    lead = np.broadcast_shapes(values.shape[:-2], mask.shape[:-2])
    keys, channels = values.shape[-2:]
    queries = mask.shape[-2]
    wide = values.unsqueeze(-3).expand(*lead, queries, keys, channels)
    return wide.keep(mask[..., None]).merge(-2)


@rule("aten::addmm aten::baddbmm aten::addmv aten::addbmm")
def _added_product(bias: Any, a: Any, b: Any, *, output: Tensor, **_: Any) -> Map:
    run = first_map(bias, a, b).run
    parts = [bias] if isinstance(bias, Map) else []
    if isinstance(a, Map) or isinstance(b, Map):
        parts.append(_product(a, b))
    found = run.united(parts).expand(*output.shape)
    known = None if isinstance(bias, Map) else run.value_of(bias)
    return found if known is None else found.block(closed(known), -np.inf)


@rule("aten::_trilinear aten::_cdist_forward aten::cross aten::linalg_cross")
def _sees_all(*args: Any, output: Tensor, **_: Any) -> Map:
    raise MapError("it mixes dims in a way that rflib.trace has no rule for")


@rule("aten::_fft_r2c aten::_fft_c2c aten::_fft_c2r")
def _fft(x: Map, dims: Any, *_: Any, output: Tensor, **__: Any) -> Map:
    whole = x.merge(tuple(dims), keepdim=True)
    return whole.expand(*output.shape)


@rule("aten::_scaled_dot_product_flash_attention_for_cpu ")
def _attention(
    q: Any, k: Any, v: Any, *_: Any, output: Any, attn_mask: Any = None, **__: Any
) -> list[Any]:
    return [_attend(q, k, v, causal=False, mask=attn_mask), *[None] * (len(output) - 1)]


def _attend(q: Any, k: Any, v: Any, causal: bool, mask: Any = None) -> Map:
    run = first_map(q, k, v, mask).run
    keys = [m.merge(-1, keepdim=True) for m in (k,) if isinstance(m, Map)]
    keys += [v] if isinstance(v, Map) else []
    parts = [q.merge(-1, keepdim=True)] if isinstance(q, Map) else []
    if keys:
        seen = run.united(keys).expand(*tuple(v.shape))
        if causal:
            length, positions = q.shape[-2], seen.shape[-2]
            seen = seen.accumulate(-2)
            seen = seen.take(-2, np.minimum(np.arange(length), positions - 1))
        elif isinstance(mask, Tensor) and (known := run.value_of(mask)) is not None:
            open_ = known.numpy() if known.dtype == torch.bool else ~closed(known)
            shape = (*open_.shape[:-2], q.shape[-2], k.shape[-2])
            seen = _let_through(seen, np.broadcast_to(open_, shape))
        else:
            seen = seen.merge(-2, keepdim=True)
        parts.append(seen)
    if isinstance(mask, Map):
        parts.append(mask.merge(-1, keepdim=True))
    lead = np.broadcast_shapes(tuple(q.shape[:-2]), tuple(v.shape[:-2]))
    return run.united(parts).expand(*lead, q.shape[-2], v.shape[-1])


# Functions that know more than their operators.


def _circular(run: Run, x: Tensor, *args: Any, **kwargs: Any) -> Any:
    """F.pad with mode="circular": torch writes it as copies into slices."""
    names = dict(zip(("pad", "mode", "value"), args, strict=False)) | kwargs
    source = run.map_of(x)
    if names.get("mode") != "circular" or source is None:
        return None
    amounts = list(names["pad"])
    if any(n > x.shape[-1 - i // 2] for i, n in enumerate(amounts)):
        return None  # torch refuses to wrap around more than once, and says so
    cut = [min(n, 0) for n in amounts]  # torch cuts first, and wraps what is left
    found = _padded(_constant_pad(source, cut), [max(n, 0) for n in amounts], "circular")
    output = torch.empty(found.shape, dtype=x.dtype, device=META)
    run.follow(output, found)
    return output


def _causal(run: Run, q: Tensor, k: Tensor, v: Tensor, *args: Any, **kwargs: Any) -> Any:
    """Causal attention: torch writes it as a mask of numbers."""
    names = dict(zip(("attn_mask", "dropout_p", "is_causal"), args, strict=False)) | kwargs
    asked, keys, values = (run.map_of(t) or t for t in (q, k, v))
    if not names.get("is_causal") or names.get("enable_gqa"):
        return None
    if not any(isinstance(t, Map) for t in (asked, keys, values)):
        return None
    found = _attend(asked, keys, values, causal=True)
    output = torch.empty(found.shape, dtype=q.dtype, device=META)
    run.follow(output, found)
    return output


def _plain_index(run: Run, index: Any) -> tuple[Any, ...] | None:
    """Lists and constant masks as tensors of numbers, which keep their values; None: no need.

    Torch itself would put them on the device of what is indexed, where there are no numbers.
    """
    entries: list[Any] = []
    changed = False
    for entry in index if isinstance(index, tuple) else (index,):
        if isinstance(entry, (list, np.ndarray)) and not list(tensors(entry)):
            entry, changed = torch.as_tensor(entry), True
        if isinstance(entry, Tensor) and entry.dtype == torch.bool and entry.dim():
            value = None if run.map_of(entry) is not None else run.value_of(entry)
            if value is not None:
                entries += value.nonzero(as_tuple=True)
                changed = True
                continue
        entries.append(entry)
    return tuple(entries) if changed else None


def _getitem(run: Run, x: Tensor, index: Any) -> Any:
    plain = None if run.map_of(x) is None else _plain_index(run, index)
    return None if plain is None else x[plain]


def _setitem(run: Run, x: Tensor, index: Any, value: Any) -> Any:
    plain = None if run.map_of(x) is None else _plain_index(run, index)
    if plain is None:
        return None
    x[plain] = value
    return True


def _refuse_hand(run: Run, x: Any, *_: Any, **__: Any) -> None:
    if run.map_of(x) is not None:
        run.operator = "that makes Python numbers or an array of a tensor"
        _refuse_numbers(run)


def _new_tensor(run: Run, x: Tensor, data: Any, **more: Any) -> Any:
    """A constant that keeps its values."""
    if run.map_of(x) is None or more.get("device") is not None:
        return None
    return torch.tensor(data, dtype=more.get("dtype") or x.dtype)


def _take_along(run: Run, x: Tensor, index: Tensor, dim: int | None = None) -> Any:
    """Torch asks for an index on the device of x, where there are no numbers; gather does not."""
    if run.map_of(x) is None or run.map_of(index) is not None or dim is None:
        return None
    if x.dim() != index.dim() or not -x.dim() <= dim < x.dim():
        return None  # torch says what is wrong with it
    sides = [max(a, b) for a, b in zip(x.shape, index.shape, strict=True)]
    dim %= x.dim()
    wide = [(*sides[:dim], t.shape[dim], *sides[dim + 1 :]) for t in (x, index)]
    return x.expand(wide[0]).gather(dim, index.expand(wide[1]))


FUNCTIONS["__getitem__"], FUNCTIONS["__setitem__"] = _getitem, _setitem
FUNCTIONS["new_tensor"], FUNCTIONS["take_along_dim"] = _new_tensor, _take_along
for _name in ("numpy", "tolist", "__array__"):
    FUNCTIONS[_name] = _refuse_hand
FUNCTIONS["pad"] = _circular
FUNCTIONS["scaled_dot_product_attention"] = _causal


# Shapes of the most frequent results, ten times faster than asking the operator; and at its first
# operator whose shapes are written in Python, torch imports its compiler or sympy, for seconds.


def _convolution_shape(
    x: Tensor,
    weight: Tensor,
    bias: Any,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    transposed: bool,
    output_padding: Sequence[int],
    groups: int,
) -> Tensor | None:
    axes = weight.dim() - 2
    inputs, outputs = weight.shape[1] * groups, weight.shape[0]
    if transposed:
        inputs, outputs = outputs, inputs
    if x.dim() != axes + 2 or x.shape[1] != inputs or x.dtype != weight.dtype:
        return None  # torch says what is wrong with it
    extra = output_padding if transposed else (0,) * axes
    if not len(stride) == len(padding) == len(dilation) == len(extra) == axes:
        return None
    shape = [x.shape[0], outputs]
    each = zip(x.shape[2:], weight.shape[2:], stride, padding, dilation, extra, strict=True)
    for n, k, s, p, d, more in each:
        span = d * (k - 1) + 1
        if transposed and more >= max(s, d):
            return None
        shape.append(
            (n - 1) * s - 2 * p + span + more if transposed else (n + 2 * p - span) // s + 1
        )
    if transposed and min(x.shape) and min(shape[2:]) < 1:  # the meta kernel lets one 0 pass
        raise RuntimeError(
            f"Given input size per channel: {tuple(x.shape[2:])}. Calculated output size per "
            f"channel: {tuple(shape[2:])}. Output size is too small"
        )
    if min(shape) < 1:
        return None
    return blank(shape, x)


def _batch_norm_shape(x: Tensor, *_: Any) -> list[Tensor] | None:
    return [torch.empty(x.shape, dtype=x.dtype, device=META), *torch.empty((2, 0), device=META)]


FAST["aten::convolution"] = _convolution_shape
FAST["aten::native_batch_norm"] = _batch_norm_shape


def _usual(*found: Tensor) -> bool:
    """Whether dtype and strides of the result are the usual ones."""
    dtype = found[0].dtype
    return dtype.is_floating_point and all(x.dtype == dtype and x.is_contiguous() for x in found)


def _pointwise_shape(*args: Any, **_: Any) -> Tensor | None:
    return _elementwise_shape([*tensors(args)], args)


def _chosen_shape(where: Tensor, *args: Any) -> Tensor | None:
    """Of torch.where."""
    found = [*tensors(args)]
    return _elementwise_shape(found, args, where) if where.dtype == torch.bool else None


def _filled_shape(x: Tensor, mask: Tensor, value: Any) -> Tensor | None:
    """Of masked_fill."""
    alone = isinstance(value, (int, float)) and mask.dtype == torch.bool
    return _elementwise_shape([x], (), mask) if alone else None


def _elementwise_shape(found: list[Tensor], args: Any, *masks: Tensor) -> Tensor | None:
    dtype = found[0].dtype if found else torch.int64
    if not dtype.is_floating_point or any(x.dtype != dtype for x in found):
        return None
    if any(isinstance(value, complex) for value in args):
        return None
    every = [*found, *masks]
    try:
        shape = np.broadcast_shapes(*(tuple(x.shape) for x in every))
    except ValueError:
        return None
    if all(x.is_contiguous() for x in every):
        return torch.empty(shape, dtype=dtype, device=META)
    # Channels last, say: results lie as the first operand of that shape does, whose order of dims
    # no operand before it may question.
    place = next((i for i, x in enumerate(every) if x.shape == shape), None)
    if place is None or not _dense(every[place]):
        return None
    if any(sum(n > 1 for n in x.shape) > 1 for x in every[:place]):
        return None
    return torch.empty_strided(shape, every[place].stride(), dtype=dtype, device=META)


def _dense(x: Tensor) -> bool:
    """Whether no two entries share a place in memory, and none lies between them."""
    expected = 1
    for stride, n in sorted(zip(x.stride(), x.shape, strict=True)):
        if n > 1 and stride != expected:
            return False
        expected *= n
    return True


def _pool_shape(
    x: Tensor,
    kernel: Sequence[int],
    stride: Sequence[int] = (),
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
) -> Tensor | None:
    axes = 2
    if x.dim() != axes + 2 or not _usual(x):
        return None
    shape = list(x.shape[:2])
    each = [per_axis(v, axes) for v in (kernel, stride or kernel, padding, dilation)]
    for n, k, s, p, d in zip(x.shape[2:], *each, strict=True):
        if not 0 <= 2 * p <= k:
            return None
        over = n + 2 * p - d * (k - 1) - 1
        steps = -(-over // s) if ceil_mode else over // s
        if ceil_mode and steps * s >= n + p:
            steps -= 1  # the last window would begin in the padding behind
        shape.append(steps + 1)
    return torch.empty(shape, dtype=x.dtype, device=META) if min(shape) > 0 else None


def _max_pool_shape(*args: Any) -> tuple[Tensor, Tensor] | None:
    values = _pool_shape(*args)
    if values is None:
        return None
    return values, torch.empty(values.shape, dtype=torch.int64, device=META)


def _average_pool_shape(
    x: Tensor,
    kernel: Sequence[int],
    stride: Sequence[int] = (),
    padding: Any = 0,
    ceil_mode: bool = False,
    *_: Any,
) -> Tensor | None:
    return _pool_shape(x, kernel, stride, padding, 1, ceil_mode)


def _mean_shape(x: Tensor, dims: Any = None, keep: bool = False, **more: Any) -> Tensor | None:
    if more or not dims or not _usual(x):
        return None
    gone = {d % x.dim() for d in dims if -x.dim() <= d < x.dim()}
    if len(gone) != len(dims):
        return None
    shape = [1 if d in gone else n for d, n in enumerate(x.shape) if keep or d not in gone]
    return torch.empty(shape, dtype=x.dtype, device=META)


def _linear_shape(bias: Tensor, x: Tensor, weight: Tensor, **more: Any) -> Tensor | None:
    fits = x.dim() == weight.dim() == 2 and x.shape[1] == weight.shape[0]
    if more or not fits or bias.shape != weight.shape[1:] or not _usual(x, bias):
        return None
    return torch.empty((x.shape[0], weight.shape[1]), dtype=x.dtype, device=META)


def _cat_shape(parts: Sequence[Tensor], dim: int = 0) -> Tensor | None:
    first = parts[0]
    if not -first.dim() <= dim < first.dim() or not _usual(*parts):
        return None
    shapes = [list(x.shape) for x in parts]
    lengths = [shape.pop(dim) if len(shape) == first.dim() else -1 for shape in shapes]
    if min(lengths) < 0 or any(shape != shapes[0] for shape in shapes):
        return None
    dim %= first.dim()
    shape = [*shapes[0][:dim], sum(lengths), *shapes[0][dim:]]
    return torch.empty(shape, dtype=first.dtype, device=META)


def _adaptive_shape(x: Tensor, sides: Sequence[int]) -> Tensor | None:
    if x.dim() != 4 or len(sides) != 2 or min(sides) < 1 or not _usual(x):
        return None
    return torch.empty((*x.shape[:2], *sides), dtype=x.dtype, device=META)


def _stack_shape(parts: Sequence[Tensor], dim: int = 0) -> Tensor | None:
    first = parts[0]
    if not -first.dim() - 1 <= dim <= first.dim() or not _usual(*parts):
        return None
    if any(x.shape != first.shape for x in parts):
        return None
    dim %= first.dim() + 1
    shape = (*first.shape[:dim], len(parts), *first.shape[dim:])
    return torch.empty(shape, dtype=first.dtype, device=META)


def _layer_norm_shape(x: Tensor, sides: Sequence[int], *_: Any) -> list[Tensor] | None:
    rest = x.dim() - len(sides)
    if rest < 0 or list(x.shape[rest:]) != list(sides) or not x.dtype.is_floating_point:
        return None
    told = torch.empty((*x.shape[:rest], *[1] * len(sides)), dtype=x.dtype, device=META)
    # The result lies as the CPU lays it, whatever the strides of x.
    return [torch.empty(x.shape, dtype=x.dtype, device=META), told, told]


def _group_norm_shape(x: Tensor, *given: Any) -> list[Tensor] | None:
    groups = given[5]
    if x.dim() < 2 or not _usual(x) or x.shape[1] % groups:
        return None
    told = torch.empty((x.shape[0], groups), dtype=x.dtype, device=META)
    return [torch.empty(x.shape, dtype=x.dtype, device=META), told, told]


def _resized_shape(x: Tensor, sides: Any, *_: Any) -> Tensor | None:
    known = isinstance(sides, (list, tuple)) and len(sides) == x.dim() - 2
    if not known or min(sides) < 1 or not _usual(x):
        return None
    return torch.empty((*x.shape[:2], *sides), dtype=x.dtype, device=META)


def _shuffled_shape(x: Tensor, factor: int) -> Tensor | None:
    if x.dim() != 4 or factor < 1 or x.shape[1] % factor**2 or not _usual(x):
        return None
    n, c, h, w = x.shape
    return torch.empty((n, c // factor**2, h * factor, w * factor), dtype=x.dtype, device=META)


def _unshuffled_shape(x: Tensor, factor: int) -> Tensor | None:
    if x.dim() != 4 or factor < 1 or any(n % factor for n in x.shape[2:]) or not _usual(x):
        return None
    n, c, h, w = x.shape
    shape = (n, c * factor**2, h // factor, w // factor)
    return torch.empty(shape, dtype=x.dtype, device=META)


def _softmax_shape(x: Tensor, dim: int, half_to_float: bool) -> Tensor | None:
    if half_to_float or not -x.dim() <= dim < x.dim() or not _usual(x):
        return None
    return torch.empty(x.shape, dtype=x.dtype, device=META)


def _product_shape(x: Tensor, y: Tensor) -> Tensor | None:
    fits = x.dim() == y.dim() in (2, 3) and x.shape[-1] == y.shape[-2]
    if not fits or x.shape[:-2] != y.shape[:-2] or not x.dtype == y.dtype == torch.float32:
        return None
    return torch.empty((*x.shape[:-1], y.shape[-1]), dtype=x.dtype, device=META)


def _moved_shape(x: Tensor, *_: Any) -> Tensor | None:
    return torch.empty(x.shape, dtype=x.dtype, device=META) if _usual(x) else None


def _padded_shape(x: Tensor, amounts: Sequence[int]) -> Tensor | None:
    axes = len(amounts) // 2
    if x.dim() != axes + 2 or not _usual(x):
        return None
    shape = list(x.shape)
    for axis in range(axes):
        before, after = amounts[2 * axis : 2 * axis + 2]
        if not (0 <= before < x.shape[-1 - axis] and 0 <= after < x.shape[-1 - axis]):
            return None
        shape[-1 - axis] += before + after
    return torch.empty(shape, dtype=x.dtype, device=META)


for _name in ("relu", "sigmoid", "tanh", "silu", "gelu", "elu", "leaky_relu", "hardtanh"):
    FAST[f"aten::{_name}"] = _pointwise_shape
for _name in ("hardswish", "hardsigmoid", "add", "sub", "mul", "div"):
    FAST[f"aten::{_name}"] = _pointwise_shape
for _name in ("clamp", "pow", "mish", "softplus", "_prelu_kernel", "exp", "sqrt", "rsqrt", "neg"):
    FAST[f"aten::{_name}"] = _pointwise_shape
for _name in ("nearest1d", "nearest2d", "nearest3d", "linear1d", "bilinear2d", "trilinear3d"):
    FAST[f"aten::upsample_{_name}"] = _resized_shape
FAST["aten::upsample_bicubic2d"] = _resized_shape
FAST["aten::stack"] = _stack_shape
FAST["aten::native_layer_norm"] = _layer_norm_shape
FAST["aten::native_group_norm"] = _group_norm_shape
FAST["aten::pixel_shuffle"] = _shuffled_shape
FAST["aten::pixel_unshuffle"] = _unshuffled_shape
FAST["aten::_softmax"] = _softmax_shape
FAST["aten::mm"] = FAST["aten::bmm"] = _product_shape
FAST["aten::where"], FAST["aten::masked_fill"] = _chosen_shape, _filled_shape
for _name in ("flip", "roll"):
    FAST[f"aten::{_name}"] = _moved_shape
for _name in ("1d", "2d", "3d"):
    FAST[f"aten::reflection_pad{_name}"] = FAST[f"aten::replication_pad{_name}"] = _padded_shape
FAST["aten::_adaptive_avg_pool2d"] = _adaptive_shape
FAST["aten::max_pool2d_with_indices"] = _max_pool_shape
FAST["aten::avg_pool2d"] = _average_pool_shape
FAST["aten::mean"] = _mean_shape
FAST["aten::addmm"] = _linear_shape
FAST["aten::cat"] = _cat_shape
