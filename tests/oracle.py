"""What rflib's arithmetic is tested against: fields by brute force.

It shares no code with rflib.

A layer is a dict of `rflib.Layer`'s arguments. Along one axis it becomes a `Line`: plain numbers.

- `fields(lines, n)` builds every layer of a network over n inputs by sliding a window over the
  padded row (or, when transposed, by scattering each input over the output) and unites sets.
  Padding with zeros reads nothing. A set of input indices is an int whose bit i says whether input
  i is in it, so that a union is `|`.
- `lattice(lines, units)` is the same definition on an endless row, from a few units downwards.
- `gradient_fields` and `nan_fields` ask torch itself.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from fractions import Fraction
from math import prod
from typing import Any, NamedTuple


class Line(NamedTuple):
    """One layer along one axis, in numbers."""

    kernel: int
    stride: int
    before: int
    after: int
    dilation: int
    transposed: bool
    output_padding: int
    ceil_mode: bool
    padding_mode: str

    @property
    def reach(self) -> int:
        return self.dilation * (self.kernel - 1)


def along(layers: Sequence[dict[str, Any]], axis: int = 0) -> list[Line]:
    """The layers' arguments along one axis. Numbers count for every axis."""

    def pick(value: Any) -> Any:
        return value[axis] if isinstance(value, tuple) else value

    lines = []
    for layer in layers:
        kernel, dilation = pick(layer["kernel"]), pick(layer.get("dilation", 1))
        padding = layer.get("padding", 0)
        if padding == "same":  # torch puts the odd one behind
            span = dilation * (kernel - 1)
            before, after = span // 2, span - span // 2
        elif padding == "valid":
            before = after = 0
        else:
            pads = pick(padding)
            before, after = pads if isinstance(pads, tuple) else (pads, pads)
        lines.append(
            Line(
                kernel,
                pick(layer.get("stride", 1)),
                before,
                after,
                dilation,
                layer.get("transposed", False),
                pick(layer.get("output_padding", 0)),
                layer.get("ceil_mode", False),
                layer.get("padding_mode", "zeros"),
            )
        )
    return lines


def given_axes(layers: Sequence[dict[str, Any]]) -> int | None:
    """How many axes the layers are given for; None when they are given by numbers."""
    names = ("kernel", "stride", "padding", "dilation", "output_padding")
    found = {len(v) for layer in layers for n in names if isinstance(v := layer.get(n), tuple)}
    assert len(found) <= 1, layers
    return found.pop() if found else None


# A finite row of inputs, every layer built from the first to the last.


def windows(line: Line, n: int) -> list[list[int]]:
    """For each output position of the layer over n inputs: the input positions it reads."""
    if line.transposed:
        return scattered(line, n)
    row = padded(line, n)
    width = line.reach + 1
    if line.ceil_mode:  # the last window may hang over, but not begin behind the input
        row += [None] * (-(len(row) - width) % line.stride)
    starts = range(0, len(row) - width + 1, line.stride)
    if line.ceil_mode:
        starts = range(0, min(starts.stop, line.before + n), line.stride)
    cuts = (row[start : start + width : line.dilation] for start in starts)
    return [[i for i in cut if i is not None] for cut in cuts]


def padded(line: Line, n: int) -> list[int | None]:
    """The layer's input with its padding: which true position stands where; None reads nothing."""
    row: list[int | None] = list(range(n))
    before, after = line.before, line.after
    if line.padding_mode == "reflect":
        if max(before, after) >= n:
            raise TooSmallError(line, n)
        return row[1 : before + 1][::-1] + row + row[::-1][1 : after + 1]
    if line.padding_mode == "circular":
        if max(before, after) > n:
            raise TooSmallError(line, n)
        return row[n - before :] + row + row[:after]
    edge = line.padding_mode == "replicate"
    return (
        row[:1] * before + row + row[-1:] * after
        if edge
        else [None] * before + row + [None] * after
    )


class TooSmallError(ValueError):
    """Torch refuses to run a layer on so few positions."""


def scattered(line: Line, n: int) -> list[list[int]]:
    """Transposed: input i writes to i*s, i*s + d, ...; then the padding is cut off."""
    if n == 0:
        return []
    canvas: list[list[int]] = [[] for _ in range((n - 1) * line.stride + line.reach + 1)]
    for i in range(n):
        for tap in range(line.kernel):
            canvas[i * line.stride + tap * line.dilation].append(i)
    canvas += [[] for _ in range(line.output_padding)]  # longer at the end, before the cut
    return canvas[line.before : max(line.before, len(canvas) - line.after)]


def fields(lines: Sequence[Line], n: int) -> list[int]:
    """For each output unit of the network over n inputs: its field, as an int of bits."""
    below = [1 << i for i in range(n)]
    for line in lines:
        if not below:  # padding alone is no input, though a window may fit into it
            raise TooSmallError(line, 0)
        above = []
        for reads in windows(line, len(below)):
            field = 0
            for i in reads:
                field |= below[i]
            above.append(field)
        below = above
    return below


def sizes(lines: Sequence[Line], n: int) -> list[int]:
    """Units at the input and after each layer."""
    found = [n]
    for line in lines:
        found.append(len(windows(line, found[-1])))
    return found


def positions(field: int) -> tuple[int, ...]:
    return tuple(i for i in range(field.bit_length()) if field >> i & 1)


# An endless row of inputs: no border, so no clipping.


def lattice(lines: Sequence[Line], units: Iterable[int]) -> tuple[int, ...]:
    """The input positions that these output units read together, negative ones included."""
    wanted = set(units)
    for line in reversed(lines):
        wanted = {i for unit in wanted for i in sources(line, unit)}
    return tuple(sorted(wanted))


def sources(line: Line, unit: int) -> list[int]:
    taps = [tap * line.dilation for tap in range(line.kernel)]
    if not line.transposed:
        return [unit * line.stride - line.before + tap for tap in taps]
    place = unit + line.before
    nearby = range((place - line.reach) // line.stride, place // line.stride + 1)
    return [i for i in nearby if place - i * line.stride in taps]


def hull(indices: Sequence[int]) -> tuple[int, int]:
    """First and last; (0, -1) where there is nothing."""
    return (min(indices), max(indices)) if indices else (0, -1)


def extent(indices: Sequence[int]) -> int:
    first, last = hull(indices)
    return last - first + 1


def period(lines: Sequence[Line]) -> int:
    """A number of output units after which the pattern of fields repeats."""
    return prod(line.stride for line in lines if line.transposed)


def jump(lines: Sequence[Line]) -> Fraction:
    """How far the field moves from one unit to the next, measured over one period."""
    repeat = period(lines)
    for unit in range(repeat):
        here = lattice(lines, [unit])
        if here:
            return Fraction(lattice(lines, [unit + repeat])[0] - here[0], repeat)
    raise AssertionError("no unit reads anything")


def phase_sizes(lines: Sequence[Line], output: int = 1) -> dict[int, Fraction]:
    """Which extents `output` neighbouring units have together, and in which share of the places."""
    repeat = period(lines)
    counted = Counter(extent(lattice(lines, range(u, u + output))) for u in range(repeat))
    return {size: Fraction(times, repeat) for size, times in counted.items()}


def size(lines: Sequence[Line], output: int = 1) -> int:
    return max(phase_sizes(lines, output))


def roomy(lines: Sequence[Line]) -> int:
    """A number of inputs over which no border clips the field of the unit in the middle."""
    n, scale = 1, 1
    for line in lines:
        n += scale * (line.reach + line.before + line.after + 2 * line.stride)
        scale *= 1 if line.transposed else line.stride
    return 2 * n + scale


# Torch itself.


def gradient_fields(model: Any, shape: Sequence[int]) -> list[list[tuple[tuple[int, ...], ...]]]:
    """Per axis and per unit along it: the input positions with a gradient.

    Positive weights that cannot cancel, float64, max-pool as a sum over the same windows. The field
    of a unit is a product of one set per axis, so all units of a row or column are asked at once.
    """
    import torch

    linear = positive(model)
    x = torch.zeros(1, channels(model), *shape, dtype=torch.float64, requires_grad=True)
    y = linear(x)

    def gradient(selected: Any) -> Any:
        (g,) = torch.autograd.grad(selected.sum(), x, retain_graph=True)
        return g.abs().sum(dim=(0, 1)) > 0

    return per_axis(gradient, y, len(shape))


def per_axis(seen: Any, y: Any, axes: int) -> list[list[tuple[tuple[int, ...], ...]]]:
    found = []
    for axis in range(axes):
        rows = []
        for unit in range(y.shape[2 + axis]):
            mask = seen(y.select(2 + axis, unit))
            others = tuple(a for a in range(axes) if a != axis)
            line = mask.any(dim=others) if others else mask
            rows.append(tuple(line.nonzero().flatten().tolist()))
        found.append(rows)
    return found


def nan_fields(model: Any, n: int) -> list[tuple[int, ...]]:
    """Per unit of an unchanged 1-D network: the inputs whose NaN turns the unit into NaN."""
    import torch

    frozen = model.eval()
    hit: list[list[int]] = []
    with torch.no_grad():
        for i in range(n):
            x = torch.zeros(1, channels(model), n)
            x[0, :, i] = float("nan")
            y = frozen(x).isnan().any(dim=1)[0]
            hit = hit or [[] for _ in y]
            for unit in y.nonzero().flatten().tolist():
                hit[unit].append(i)
    return [tuple(inputs) for inputs in hit]


def torch_shape(model: Any, shape: Sequence[int]) -> tuple[int, ...]:
    """The network's output size, by running it on the meta device."""
    import torch

    meta = model.eval().to("meta")
    return tuple(meta(torch.empty(1, channels(model), *shape, device="meta")).shape[2:])


def channels(model: Any) -> int:
    """Channels that the first layer with channels asks for; 1 if there is none."""
    for module in model.modules():
        if hasattr(module, "in_channels"):
            return int(module.in_channels)
        if hasattr(module, "num_features"):
            return int(module.num_features)
    return 1


def positive(model: Any) -> Any:
    """A copy in float64 whose gradient cannot vanish: means in place of sums, pools that add up."""
    import copy

    import torch
    from torch import nn

    def mend(parent: Any) -> None:
        for name, child in parent.named_children():
            kind = type(child).__name__
            if kind.startswith("MaxPool"):
                setattr(parent, name, windowed_sum(child))
            elif kind.startswith(("BatchNorm", "Dropout", "ReLU", "GELU", "Sigmoid", "SiLU")):
                setattr(parent, name, nn.Identity())
            else:
                mend(child)

    twin = copy.deepcopy(model).double().eval()
    mend(twin)
    with torch.no_grad():
        for name, parameter in twin.named_parameters():
            parameter.fill_(0.0 if name.endswith("bias") else 1.0 / max(1, parameter[0].numel()))
    return twin


def windowed_sum(pool: Any) -> Any:
    """A max-pool's windows, summed: a convolution of ones with the pool's own geometry."""
    import torch
    import torch.nn.functional as F
    from torch import nn

    class WindowedSum(nn.Module):
        def forward(self, x: Any) -> Any:
            axes = x.dim() - 2
            spread = [v if isinstance(v, tuple) else (v,) * axes for v in every]
            wanted = pool(x.detach()).shape[2:]
            pads: list[int] = []
            for kernel, stride, padding, dilation, n, out in reversed(
                list(zip(*spread, x.shape[2:], wanted, strict=True))
            ):
                need = (out - 1) * stride + dilation * (kernel - 1) + 1
                pads += [padding, max(0, need - n - padding)]
            ones = torch.ones(x.shape[1], 1, *spread[0], dtype=x.dtype)
            conv = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}[axes]
            y = conv(F.pad(x, pads), ones, stride=spread[1], dilation=spread[3], groups=x.shape[1])
            return y[(..., *(slice(0, out) for out in wanted))]

    every = (pool.kernel_size, pool.stride, pool.padding, pool.dilation)
    return WindowedSum()
