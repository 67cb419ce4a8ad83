"""Hypothesis strategies for random layers, stacks and small torch networks, in one place.

A layer is drawn as a dict of `rflib.Layer`'s arguments, which rflib reads as it is and which
`oracle.along` turns into plain numbers along one axis. So this file needs no rflib, and torch only
where a network is built.

    layer()                 one layer given by numbers
    layer(axes=2)           one layer with some arguments per axis, asymmetric padding among them
    stack()                 a list of layers, first to last, whose strides stay within a budget
    stack(transposed=False) the same without transposed layers
    torch_net()             a `Net`: .model (nn.Sequential), .layers (dicts that describe it), .axes
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

# Derandomised: the same nets on every machine. FEW where torch runs, MANY where only integers do.
QUIET = (HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much)
BASE = settings(derandomize=True, deadline=None, database=None, suppress_health_check=QUIET)
FEW = settings(BASE, max_examples=30)
MANY = settings(BASE, max_examples=60)
SLOW_FEW = settings(BASE, max_examples=150)
SLOW_MANY = settings(BASE, max_examples=600)

LayerDict = dict[str, Any]


def layer(
    axes: int | None = None,
    *,
    transposed: bool | None = None,
    max_stride: int = 4,
    modes: bool = False,
) -> st.SearchStrategy[LayerDict]:
    """One layer: kernel 1-5, stride 1-4 (also above the kernel), dilation 1-3, padding of any kind.

    axes: None for plain numbers; else some arguments are tuples with that many entries.
    transposed: None for either kind.
    modes: also padding that repeats the input (reflect, replicate, circular).
    """
    kind = st.sampled_from([False, False, True]) if transposed is None else st.just(transposed)
    return kind.flatmap(
        lambda t: _transposed(axes, max_stride) if t else _plain(axes, max_stride, modes)
    )


def _spread(draw: st.DrawFn, axes: int | None, value: st.SearchStrategy[Any]) -> Any:
    """A number, or where axes are given perhaps one per axis."""
    if axes is None or draw(st.booleans()):
        return draw(value)
    return tuple(draw(value) for _ in range(axes))


def _strides(max_stride: int) -> st.SearchStrategy[int]:
    return st.sampled_from([s for s in (1, 1, 2, 2, 3, 4) if s <= max_stride])


def _most(value: Any) -> int:
    return max(value) if isinstance(value, tuple) else value


@st.composite
def _plain(draw: st.DrawFn, axes: int | None, max_stride: int, modes: bool) -> LayerDict:
    drawn: LayerDict = {
        "kernel": _spread(draw, axes, st.integers(1, 5)),
        "stride": _spread(draw, axes, _strides(max_stride)),
        "dilation": _spread(draw, axes, st.sampled_from([1, 1, 1, 2, 3])),
    }
    if _most(drawn["stride"]) == 1 and draw(st.booleans()):
        drawn["padding"] = draw(st.sampled_from(["same", "valid"]))
    elif draw(st.booleans()):  # a pool's rounding, which allows half the kernel as padding
        least = min(_per_axis(drawn["kernel"]))
        drawn["padding"] = _spread(draw, axes, st.integers(0, min(3, least // 2)))
        drawn["ceil_mode"] = True
    elif axes is not None and draw(st.booleans()):
        pair = st.tuples(st.integers(0, 3), st.integers(0, 3))
        drawn["padding"] = tuple(draw(pair) for _ in range(axes))
    else:
        drawn["padding"] = _spread(draw, axes, st.integers(0, 3))
    if modes and "ceil_mode" not in drawn:
        drawn["padding_mode"] = draw(st.sampled_from(["zeros", "reflect", "replicate", "circular"]))
    return drawn


@st.composite
def _transposed(draw: st.DrawFn, axes: int | None, max_stride: int) -> LayerDict:
    stride = _spread(draw, axes, _strides(max_stride))
    dilation = _spread(draw, axes, st.sampled_from([1, 1, 2, 3]))
    least = min(max(s, d) for s in _per_axis(stride) for d in _per_axis(dilation))
    return {
        "kernel": _spread(draw, axes, st.integers(1, 5)),
        "stride": stride,
        "dilation": dilation,
        "padding": _spread(draw, axes, st.integers(0, 3)),
        "output_padding": _spread(draw, axes, st.integers(0, least - 1)),
        "transposed": True,
    }


def _per_axis(value: Any) -> tuple[int, ...]:
    return value if isinstance(value, tuple) else (value,)


@st.composite
def stack(
    draw: st.DrawFn,
    axes: int | None = None,
    *,
    transposed: bool | None = None,
    min_layers: int = 1,
    max_layers: int = 5,
    budget: int = 36,
    modes: bool = False,
) -> list[LayerDict]:
    """Layers, first to last. The strides multiply to no more than the budget, up and down."""
    left = {False: budget, True: budget}
    drawn = []
    for _ in range(draw(st.integers(min_layers, max_layers))):
        kind = draw(st.sampled_from([False, False, True])) if transposed is None else transposed
        one = draw(layer(axes, transposed=kind, max_stride=min(4, left[kind]), modes=modes))
        left[kind] //= _most(one["stride"])
        drawn.append(one)
    return drawn


@dataclass(frozen=True)
class Net:
    """A torch network and the layers that describe it, in the order of execution."""

    model: Any
    layers: list[LayerDict]
    axes: int

    def __repr__(self) -> str:
        return f"Net({self.model!r})"


CHANNELS = 2  # inside the network; the input has as many


@st.composite
def torch_net(
    draw: st.DrawFn,
    axes: int | None = None,
    *,
    max_layers: int = 4,
    transposed: bool = True,
    linear: bool = True,
    budget: int = 12,
    modes: bool = False,
) -> Net:
    """A small nn.Sequential: convolutions, pools, upsampling, layers without extent in between.

    linear: also linear interpolation, whose weights of zero a NaN does not respect.
    modes: also padding that repeats the input, which torch refuses on inputs that are too small.
    """
    from torch import nn

    if axes is None:
        axes = draw(st.integers(1, 2))
    kinds = ["conv", "conv", "max", "avg"]
    if transposed:
        kinds += ["convt", "linear", "nearest"] if linear else ["convt", "nearest"]
    modules: list[Any] = []
    layers: list[LayerDict] = []
    left = {False: budget, True: budget}
    for _ in range(draw(st.integers(1, max_layers))):
        kind = draw(st.sampled_from(kinds))
        up = kind in ("convt", "linear", "nearest")
        made, described = _MAKERS[kind](draw, axes, min(4, left[up]), modes)
        left[up] //= max(_most(one.get("stride", 1)) for one in described)
        modules += made
        layers += described
        if draw(st.booleans()):
            modules.append(draw(st.sampled_from([nn.ReLU, nn.Identity, nn.Dropout]))())
    if draw(st.booleans()):
        modules = [nn.Sequential(*modules[:1]), *modules[1:]]
    return Net(nn.Sequential(*modules), layers, axes)


Made = tuple[list[Any], list[LayerDict]]


def _torch(name: str, axes: int) -> Any:
    from torch import nn

    return getattr(nn, f"{name}{axes}d")


def _conv(draw: st.DrawFn, axes: int, max_stride: int, modes: bool) -> Made:
    one = draw(_plain(axes, max_stride, modes).filter(lambda drawn: "ceil_mode" not in drawn))
    padding, before = one["padding"], []
    mode = one.get("padding_mode", "zeros")
    if isinstance(padding, tuple) and isinstance(padding[0], tuple):
        # torch pads so by a layer of its own
        flat = tuple(n for pair in reversed(padding) for n in pair)
        before, padding, mode = [_torch(_PADS[mode], axes)(flat)], 0, "zeros"
    conv = _torch("Conv", axes)(
        CHANNELS,
        CHANNELS,
        one["kernel"],
        one["stride"],
        padding,
        dilation=one["dilation"],
        padding_mode=mode,
    )
    return [*before, conv], [one]


def _convt(draw: st.DrawFn, axes: int, max_stride: int, _modes: bool) -> Made:
    one = draw(_transposed(axes, max_stride))
    return [
        _torch("ConvTranspose", axes)(
            CHANNELS,
            CHANNELS,
            one["kernel"],
            one["stride"],
            one["padding"],
            one["output_padding"],
            dilation=one["dilation"],
        )
    ], [one]


def _pool(draw: st.DrawFn, axes: int, max_stride: int, dilations: list[int]) -> LayerDict:
    kernel = _spread(draw, axes, st.integers(1, 4))
    return {
        "kernel": kernel,
        "stride": _spread(draw, axes, _strides(max_stride)),
        "padding": _spread(draw, axes, st.integers(0, min(_per_axis(kernel)) // 2)),
        "dilation": _spread(draw, axes, st.sampled_from(dilations)),
        "ceil_mode": draw(st.booleans()),
    }


def _max(draw: st.DrawFn, axes: int, max_stride: int, _modes: bool) -> Made:
    one = _pool(draw, axes, max_stride, [1, 1, 2])
    pool = _torch("MaxPool", axes)(
        one["kernel"], one["stride"], one["padding"], one["dilation"], ceil_mode=one["ceil_mode"]
    )
    return [pool], [one]


def _avg(draw: st.DrawFn, axes: int, max_stride: int, _modes: bool) -> Made:
    one = _pool(draw, axes, max_stride, [1])
    pool = _torch("AvgPool", axes)(one["kernel"], one["stride"], one["padding"], one["ceil_mode"])
    return [pool], [one]


def _nearest(draw: st.DrawFn, axes: int, max_stride: int, _modes: bool) -> Made:
    from torch import nn

    factor = draw(_strides(max_stride))
    one = {"kernel": factor, "stride": factor, "transposed": True}
    return [nn.Upsample(scale_factor=factor, mode="nearest")], [one]


def _linear(draw: st.DrawFn, axes: int, max_stride: int, _modes: bool) -> Made:
    """Each input writes a triangle of weights: 2s - 1 positions, 2s where s is even."""
    from torch import nn

    factor = draw(_strides(max_stride))
    one = {
        "kernel": 2 * factor - factor % 2,
        "stride": factor,
        "padding": factor // 2,
        "transposed": True,
    }
    mode = {1: "linear", 2: "bilinear", 3: "trilinear"}[axes]
    return [nn.Upsample(scale_factor=factor, mode=mode)], [one]


_PADS = {
    "zeros": "ZeroPad",
    "reflect": "ReflectionPad",
    "replicate": "ReplicationPad",
    "circular": "CircularPad",
}
_MAKERS = {
    "conv": _conv,
    "convt": _convt,
    "max": _max,
    "avg": _avg,
    "nearest": _nearest,
    "linear": _linear,
}
