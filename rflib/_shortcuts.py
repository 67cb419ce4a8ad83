"""The most frequent functions, met before torch takes them apart into operators.

Convolution, batch-norm and ReLU make up nearly all of a ResNet.  Where they are called as usual,
their rules are asked at once, and torch's dispatch and its checks of shapes are spared.  In any
other case a shortcut steps aside (None), and the operators come by themselves.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

from rflib._operators import _convolution, _convolution_shape, per_axis
from rflib._tracer import FUNCTIONS, Map, Run, blank


def _followed(run: Run, x: Any) -> Map | None:
    return run.map_of(x) if isinstance(x, Tensor) else None


def _convolved(
    run: Run,
    x: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Tensor | None:
    found = _followed(run, x)
    if found is None or isinstance(padding, str) or not isinstance(weight, Tensor):
        return None
    if run.trail(weight) is not None or (bias is not None and run.trail(bias) is not None):
        return None
    axes = weight.dim() - 2
    steps, pads, spread = (per_axis(v, axes) for v in (stride, padding, dilation))
    geometry = (steps, pads, spread, False, (), groups)
    output = _convolution_shape(x, weight, bias, *geometry)
    if output is None:
        return None
    run.operator = "aten::convolution"
    made = _convolution(found, weight, None, *geometry, output=output)
    run.follow(output, made)
    run.note(found, made)
    return output


def _normed(
    run: Run,
    x: Any,
    mean: Any,
    variance: Any,
    weight: Any = None,
    bias: Any = None,
    training: bool = False,
    *_: Any,
    **__: Any,
) -> Tensor | None:
    found = _followed(run, x)
    if found is None or training or mean is None or mean.numel() != x.shape[1]:
        return None
    if any(t is not None and run.trail(t) is not None for t in (weight, bias)):
        return None
    output = blank(x.shape, x)
    run.follow(output, found)
    return output


def _rectified(run: Run, x: Any, inplace: bool = False) -> Tensor | None:
    found = _followed(run, x)
    if found is None:
        return None
    if inplace:
        return x  # type: ignore[no-any-return]  # its map stays what it is
    output = blank(x.shape, x)
    run.follow(output, found)
    return output


for _name in ("conv1d", "conv2d", "conv3d"):
    FUNCTIONS[_name] = _convolved
FUNCTIONS["batch_norm"] = _normed
FUNCTIONS["relu"] = _rectified
