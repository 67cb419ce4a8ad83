"""Random networks with branches, and what their units read by brute force.

A `Graph` is a list of steps, each an operator on one or two of the tensors made so far.  It runs
in two ways.  As itself, with max-pools, ReLUs, gates, writes into views.  And as its `twin`: every
step a positive linear map with the same wiring, so that a batch of images with a single lit pixel
each gives, in one forward pass, all pixels that every unit depends on.  The twin is written with
torch's own operators and shares no code with rflib.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from hypothesis import strategies as st
from oracle import windowed_sum
from torch import Tensor, nn

CONV = {1: nn.Conv1d, 2: nn.Conv2d}
TRANSPOSED = {1: nn.ConvTranspose1d, 2: nn.ConvTranspose2d}
MAX = {1: nn.MaxPool1d, 2: nn.MaxPool2d}
AVG = {1: nn.AvgPool1d, 2: nn.AvgPool2d}
ADAPTIVE = {1: F.adaptive_avg_pool1d, 2: F.adaptive_avg_pool2d}
LARGEST = 20  # positions along an axis
CHANNELS = 4

Step = Callable[[list[Tensor]], Tensor]


class Graph(nn.Module):
    """Steps that run as themselves, or as their positive linear twins."""

    def __init__(self, axes: int) -> None:
        super().__init__()
        self.axes = axes
        self.parts = nn.ModuleList()
        self.steps: list[tuple[Step, Step]] = []
        self.names: list[str] = []
        self.as_twin = False

    def forward(self, x: Tensor) -> Tensor:
        made = [x]
        for real, twin in self.steps:
            made.append((twin if self.as_twin else real)(made))
        return made[-1]

    def lit(self, size: int) -> Tensor:
        """Booleans [pixel..., unit...]: which pixels of the input each unit depends on."""
        count = size**self.axes
        images = torch.eye(count, dtype=torch.float64).reshape(count, 1, *[size] * self.axes)
        self.as_twin = True
        try:
            with torch.no_grad():
                out = self(images.expand(-1, CHANNELS, *images.shape[2:]).clone())
        finally:
            self.as_twin = False
        seen = out.abs().sum(1) > 0
        return seen.reshape(*[size] * self.axes, *seen.shape[1:])


def positive(module: nn.Module) -> nn.Module:
    """A layer in float64 whose weights are positive and whose bias is 0."""
    module = module.double().eval()
    with torch.no_grad():
        for name, value in module.named_parameters():
            value.copy_(torch.zeros_like(value) if name == "bias" else torch.rand_like(value) + 0.5)
    return module


def same(step: Step) -> tuple[Step, Step]:
    return step, step


@st.composite
def graph(draw: st.DrawFn, axes: int, size: int, most: int = 7) -> Graph:
    """A graph that runs on (1, CHANNELS, size...) and gives at least one unit."""
    torch.manual_seed(draw(st.integers(0, 99)))
    net = Graph(axes)
    shapes = [(1, CHANNELS, *[size] * axes)]
    for _ in range(draw(st.integers(1, most))):
        name = draw(st.sampled_from(sorted(STEPS)))
        at = draw(st.integers(max(0, len(shapes) - 3), len(shapes) - 1))
        made = STEPS[name](draw, net, at, shapes)
        if made is None:
            continue
        steps, part = made
        try:
            tensors = [torch.rand(s, dtype=torch.float64) for s in shapes]
            with torch.no_grad():
                results = [step([t.clone() for t in tensors]) for step in steps]
        except (RuntimeError, ValueError, AssertionError):
            continue  # torch refuses it on these shapes
        shape = tuple(results[0].shape)
        assert shape == tuple(results[1].shape), (name, shape, results[1].shape)
        if shape[1] != CHANNELS or not all(1 <= n <= LARGEST for n in shape[2:]):
            continue
        if part is not None:
            net.parts.append(part)
        net.steps.append(steps)
        net.names.append(name)
        shapes.append(shape)
    return net


# One builder for each kind of step: (draw, net, index of its input, shapes) -> (steps, module).


def convolution(draw: Any, net: Graph, at: int, shapes: Any) -> Any:
    k, d = draw(st.integers(1, 4)), draw(st.integers(1, 3))
    mode = draw(st.sampled_from(["zeros", "zeros", "reflect", "replicate", "circular"]))
    padding = draw(st.integers(0, 4))
    groups = draw(st.sampled_from([1, 1, 2, 4]))
    part = positive(
        CONV[net.axes](
            CHANNELS,
            CHANNELS,
            k,
            draw(st.integers(1, 3)),
            padding,
            d,
            groups=groups,
            padding_mode=mode,
        )
    )
    return same(lambda made: part(made[at])), part


def transposed(draw: Any, net: Graph, at: int, shapes: Any) -> Any:
    k, s, d = draw(st.integers(1, 4)), draw(st.integers(1, 3)), draw(st.integers(1, 2))
    part = positive(
        TRANSPOSED[net.axes](
            CHANNELS,
            CHANNELS,
            k,
            s,
            draw(st.integers(0, 2)),
            draw(st.integers(0, max(s, d) - 1)),
            dilation=d,
        )
    )
    return same(lambda made: part(made[at])), part


def max_pool(draw: Any, net: Graph, at: int, shapes: Any) -> Any:
    k = draw(st.integers(1, 4))
    pool = MAX[net.axes](
        k,
        draw(st.integers(1, 3)),
        draw(st.integers(0, k // 2)),
        draw(st.integers(1, 2)),
        ceil_mode=draw(st.booleans()),
    )
    every = windowed_sum(pool)
    return (lambda made: pool(made[at]), lambda made: every(made[at])), pool


def average_pool(draw: Any, net: Graph, at: int, shapes: Any) -> Any:
    k = draw(st.integers(1, 4))
    pool = AVG[net.axes](k, draw(st.integers(1, 3)), draw(st.integers(0, k // 2)))
    return same(lambda made: pool(made[at])), pool


def adaptive(draw: Any, net: Graph, at: int, shapes: Any) -> Any:
    sizes = [draw(st.integers(1, 6)) for _ in range(net.axes)]
    return same(lambda made: ADAPTIVE[net.axes](made[at], sizes)), None


def pointwise(draw: Any, net: Graph, at: int, shapes: Any) -> Any:
    real = draw(st.sampled_from([F.relu, torch.sigmoid, F.silu, F.gelu, torch.relu_]))

    def run(made: list[Tensor]) -> Tensor:
        return real(made[at].clone() if real is torch.relu_ else made[at])

    return (run, lambda made: made[at] * 1.0), None


def padded(draw: Any, net: Graph, at: int, shapes: Any) -> Any:
    mode = draw(st.sampled_from(["constant", "reflect", "replicate", "circular"]))
    least = -2 if mode == "constant" else 0
    amounts = [draw(st.integers(least, 3)) for _ in range(2 * net.axes)]
    return same(lambda made: F.pad(made[at], amounts, mode=mode)), None


def cut(draw: Any, net: Graph, at: int, shapes: Any) -> Any:
    dim = draw(st.integers(2, net.axes + 1))
    start, step = draw(st.integers(0, 3)), draw(st.integers(1, 3))
    stop = draw(st.integers(start + 1, LARGEST))
    index = [slice(None)] * (net.axes + 2)
    index[dim] = slice(start, stop, step)
    return same(lambda made: made[at][tuple(index)]), None


def moved(draw: Any, net: Graph, at: int, shapes: Any) -> Any:
    dim = draw(st.integers(1, net.axes + 1))
    kind = draw(st.sampled_from(["roll", "flip", "repeat", "turn"]))
    shift = draw(st.integers(-3, 3))

    def run(made: list[Tensor]) -> Tensor:
        x = made[at]
        if kind == "roll":
            return x.roll(shift, dim)
        if kind == "flip":
            return x.flip(dim)
        if kind == "repeat":
            return x.repeat_interleave(2, max(2, dim))
        return x.transpose(2, net.axes + 1)

    return same(run), None


def enlarged(draw: Any, net: Graph, at: int, shapes: Any) -> Any:
    scale = draw(st.sampled_from([2, 4]))
    mode = draw(
        st.sampled_from(["nearest", "nearest-exact", {1: "linear", 2: "bilinear"}[net.axes]])
    )
    return same(lambda made: F.interpolate(made[at], scale_factor=scale, mode=mode)), None


def shuffled(draw: Any, net: Graph, at: int, shapes: Any) -> Any:
    if net.axes != 2:
        return None
    back = draw(st.booleans())

    def run(made: list[Tensor]) -> Tensor:
        if back:  # positions go to channels and, four to one, are mixed again
            return F.pixel_unshuffle(made[at], 2)[:, ::4]
        return F.pixel_shuffle(made[at].repeat(1, 4, 1, 1), 2)

    return same(run), None


def _partner(draw: Any, at: int, shapes: Any, fits: Callable[[Any, Any], bool]) -> int | None:
    others = [i for i, shape in enumerate(shapes) if fits(shape, shapes[at])]
    return draw(st.sampled_from(others)) if others else None


def added(draw: Any, net: Graph, at: int, shapes: Any) -> Any:
    other = _partner(draw, at, shapes, lambda a, b: a == b)
    kind = draw(st.sampled_from(["add", "multiply", "subtract", "in place"]))

    def run(made: list[Tensor]) -> Tensor:
        x, y = made[at], made[other]
        if kind == "in place":
            return x.clone().add_(y)
        return x + y if kind == "add" else x * y if kind == "multiply" else x - y

    return (run, lambda made: made[at] + made[other]), None


def cropped_sum(draw: Any, net: Graph, at: int, shapes: Any) -> Any:
    other = _partner(draw, at, shapes, lambda a, b: a != b)
    if other is None:
        return None

    def run(made: list[Tensor]) -> Tensor:
        x, y = made[at], made[other]
        room = tuple(slice(0, min(a, b)) for a, b in zip(x.shape, y.shape, strict=True))
        return x[room] + y[room]

    return same(run), None


def side_by_side(draw: Any, net: Graph, at: int, shapes: Any) -> Any:
    other = _partner(draw, at, shapes, lambda a, b: a[2:] == b[2:])
    odd = draw(st.booleans())

    def run(made: list[Tensor]) -> Tensor:
        both = torch.cat([made[at], made[other]], dim=1)
        return both[:, ::2] if odd else both[:, 2:6]

    return same(run), None


def end_to_end(draw: Any, net: Graph, at: int, shapes: Any) -> Any:
    dim = draw(st.integers(2, net.axes + 1))
    rest = [d for d in range(net.axes + 2) if d != dim]
    other = _partner(draw, at, shapes, lambda a, b: all(a[d] == b[d] for d in rest))
    zeros = draw(st.booleans())

    def run(made: list[Tensor]) -> Tensor:
        y = torch.zeros_like(made[other]) if zeros else made[other]
        return torch.cat([y, made[at]], dim=dim)

    return same(run), None


def written(draw: Any, net: Graph, at: int, shapes: Any) -> Any:
    dim = draw(st.integers(2, net.axes + 1))
    kind = draw(st.sampled_from(["zeros", "interleaved", "shifted", "through a view"]))
    index: list[Any] = [slice(None)] * (net.axes + 2)

    def part(*bounds: Any) -> tuple[Any, ...]:
        index[dim] = slice(*bounds)
        return tuple(index)

    def run(made: list[Tensor]) -> Tensor:
        x = made[at]
        if kind == "zeros":
            out = torch.zeros_like(x)
            out[part(None, None, 2)] = x[part(None, None, 2)]
        elif kind == "interleaved":
            out = x.new_empty([2 * n if d == dim else n for d, n in enumerate(x.shape)])
            out[part(0, None, 2)] = x
            out[part(1, None, 2)] = x.flip(dim)
        elif kind == "shifted":
            out = x.clone()
            out[part(1, None)] = x[part(None, -1)]
        else:
            out = x.clone()
            out[:, 1:3][part(1, None)].add_(x[:, 2:4][part(None, -1)])
        return out

    return same(run), None


def gated(draw: Any, net: Graph, at: int, shapes: Any) -> Any:
    dims = tuple(range(2, net.axes + 2))
    kind = draw(st.sampled_from(["gate", "group norm", "softmax"]))

    def real(made: list[Tensor]) -> Tensor:
        x = made[at]
        if kind == "gate":
            return x * x.mean(dims, keepdim=True).sigmoid()
        return F.group_norm(x, 2) if kind == "group norm" else x.softmax(net.axes + 1)

    def twin(made: list[Tensor]) -> Tensor:
        x = made[at]
        if kind == "gate":
            return x + x.mean(dims, keepdim=True)
        if kind == "softmax":
            return x + x.mean(net.axes + 1, keepdim=True)
        halves = x.reshape(x.shape[0], 2, -1).mean(-1)
        return x + halves.repeat_interleave(2, 1).reshape(*x.shape[:2], *[1] * net.axes)

    return (real, twin), None


def summed(draw: Any, net: Graph, at: int, shapes: Any) -> Any:
    dim = draw(st.integers(2, net.axes + 1))
    return same(lambda made: made[at].cumsum(dim)), None


STEPS: dict[str, Callable[..., Any]] = {
    step.__name__: step
    for step in (
        convolution,
        transposed,
        max_pool,
        average_pool,
        adaptive,
        pointwise,
        padded,
        cut,
        moved,
        enlarged,
        shuffled,
        added,
        cropped_sum,
        side_by_side,
        end_to_end,
        written,
        gated,
        summed,
    )
}
