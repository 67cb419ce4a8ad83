"""What each torch operator becomes in the positive linear twin: one rule per operator.

A rule gets the twin, torch's function and that function's own arguments by torch's own names.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import ceil, prod
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from rflib._linear import Rule, Twin, in_place, on_gradient, operator_name, rule, tensors


def replaced(value: Any, stand_ins: Iterator[Tensor]) -> Any:
    """The same nest with other tensors, in the order of `tensors`."""
    if isinstance(value, Tensor):
        return next(stand_ins)
    if isinstance(value, (list, tuple)):
        return [replaced(item, stand_ins) for item in value]
    if isinstance(value, dict):
        return {key: replaced(item, stand_ins) for key, item in value.items()}
    return value


def mean(terms: Sequence[Tensor]) -> Tensor:
    total = terms[0].clone()
    for term in terms[1:]:
        total = total + term
    return total / len(terms) if len(terms) > 1 else total


def each(value: Any, axes: int) -> list[int]:
    """One number per axis from torch's int, 1-tuple or tuple."""
    listed = list(value) if isinstance(value, (list, tuple)) else [value]
    return [int(n) for n in (listed * axes if len(listed) == 1 else listed)]


def axes_of(func: Any) -> int:
    """2 from max_pool2d."""
    return int(func.__name__.split("pool")[1][0])


# Single positions


@rule(
    """relu relu6 leaky_relu prelu rrelu elu selu celu gelu silu mish softplus softsign tanhshrink
    hardtanh hardsigmoid hardswish hardshrink softshrink logsigmoid log_sigmoid threshold sigmoid
    tanh dropout dropout1d dropout2d dropout3d alpha_dropout feature_alpha_dropout feature_dropout
    clone to float double half bfloat16 int long short char byte bool type_as cpu cuda
    abs absolute neg negative positive sign sgn exp exp2 expm1 log log2 log10 log1p sqrt rsqrt
    square reciprocal sin cos tan asin acos atan sinh cosh asinh acosh atanh erf erfc erfinv logit
    round floor ceil trunc fix frac nan_to_num isnan isinf isfinite logical_not bitwise_not invert
    sinc lgamma digamma"""
)
def unary(twin: Twin, func: Any, input: Tensor, *_: Any, **__: Any) -> Any:
    """A function of one position depends on that position, even where its derivative is zero."""
    return input if in_place(func) else input.clone()


@rule("detach .data requires_grad")
def alias(twin: Twin, func: Any, input: Tensor, *_: Any) -> Any:
    return input


@rule("type")
def cast(twin: Twin, func: Any, input: Tensor, *kind: Any, **_: Any) -> Any:
    return input.clone() if kind else func(input)


@rule(
    """add radd sub rsub subtract floor_divide floordiv rfloordiv remainder fmod pow rpow
    float_power maximum minimum fmax fmin gt lt ge le eq ne greater less greater_equal less_equal
    not_equal logical_and logical_or logical_xor bitwise_and bitwise_or bitwise_xor and or xor rand
    ror atan2 arctan2 hypot lerp addcmul addcdiv clamp clamp_min clamp_max clip copysign heaviside
    logaddexp xlogy isclose"""
)
def elementwise(twin: Twin, func: Any, *args: Any, **kwargs: Any) -> Any:
    """A function of several maps at one position: their mean, so a(x) - b(x) cannot cancel."""
    found = list(tensors((args, kwargs)))
    same = torch.broadcast_tensors(*found)  # type: ignore[no-untyped-call]
    out = mean([wide for wide, t in zip(same, found, strict=True) if t.requires_grad])
    for constant in found:
        if not constant.requires_grad and constant.isneginf().any():  # a mask for a softmax
            twin.zeros = True
            out = out + torch.where(constant.isneginf(), constant, 0.0)
    return out


@rule("where masked_fill")
def choose(twin: Twin, func: Any, *args: Any, **kwargs: Any) -> Any:
    """A constant condition chooses; one that depends on the image is read like the rest."""
    if len(args) + len(kwargs) == 1:
        twin.refuse(func, "positions")
    if any(t.dtype == torch.bool for t in tensors((args, kwargs))):
        twin.zeros = True
        return func(*args, **kwargs)
    return elementwise(twin, func, *args, **kwargs)


# Products


@rule("mul multiply rmul matmul rmatmul bmm mm mv dot inner outer einsum tensordot bilinear")
def multilinear(twin: Twin, func: Any, *args: Any, **kwargs: Any) -> Any:
    """The mean over the factors that depend on the image; of the others, only zeros count.

    Each term is func with 1 in place of the other such factors (0 where they are 0) and with the
    magnitudes of constants, divided by the same product of ones alone.
    """
    func = torch.mul if in_place(func) else func
    found = list(tensors((args, kwargs)))
    ones = [(t != 0 if t.requires_grad else t).to(torch.float64).abs() for t in found]

    def product(factors: list[Tensor]) -> Any:
        new_args, new_kwargs = replaced((args, kwargs), iter(factors))
        return func(*new_args, **new_kwargs)

    reads = [i for i, t in enumerate(found) if t.requires_grad]
    twin.zeros |= any(not t.requires_grad and bool((t == 0).any()) for t in found)
    out = mean([product([*ones[:i], found[i], *ones[i + 1 :]]) for i in reads])
    weight = product(ones)
    if len(reads) > 1 and weight.numel():
        out = twin.whole(func, out, round(float(weight.abs().max())))
    return out / torch.where(weight == 0, 1.0, weight)


@rule("div divide true_divide")
def quotient(twin: Twin, func: Any, input: Any, other: Any, **_: Any) -> Any:
    """A product, so that zeros of the numerator stay zeros; a constant divisor changes nothing."""
    both = isinstance(other, Tensor) and other.requires_grad
    return (multilinear if both else elementwise)(twin, torch.mul, input, other)


@rule("rdiv rtruediv")
def reversed_quotient(twin: Twin, func: Any, input: Tensor, other: Any) -> Any:
    return multilinear(twin, torch.mul, input, other)


@rule("addmm baddbmm")
def add_product(twin: Twin, func: Any, input: Tensor, a: Tensor, b: Tensor, **_: Any) -> Any:
    with twin:
        return input + torch.matmul(a, b)


def weighted(
    twin: Twin, func: Any, input: Tensor, weight: Tensor, fan_in: float, bias: Any, *geometry: Any
) -> Any:
    """A layer without bias, its weights positive and so scaled that a unit is a mean of inputs."""
    if bias is not None and bias.requires_grad:
        twin.refuse(func, "biases")
    if weight.requires_grad:
        return multilinear(twin, func, input, weight, None, *geometry)
    even = input.dim() == weight.dim() > 2 and not any(weight.stride())  # one number in memory
    if even and float(weight[(0,) * weight.dim()]) > 0:
        return one_number(func, input, weight, fan_in, *geometry)
    positive = weight.to(torch.float64)
    if positive.numel() and not float(positive.min()) > 0:
        positive = positive.abs()
        twin.zeros |= bool((positive == 0).any())
    # The result is scaled and not the weights, which would be kept a second time for the way back.
    return func(input, positive, None, *geometry) / ((float(positive.mean()) or 1.0) * fan_in)


def one_number(func: Any, input: Tensor, weight: Tensor, fan_in: float, *geometry: Any) -> Tensor:
    """A convolution by one number everywhere: of the sum of channels, the same for each output."""
    groups = geometry[3]
    outputs = weight.shape[1] if "transpose" in func.__name__ else weight.shape[0] // groups
    merged = input.reshape(len(input), groups, -1, *input.shape[2:]).sum(2) / fan_in
    out: Tensor = func(merged, input.new_ones(groups, 1, *weight.shape[2:]), None, *geometry)
    return out.repeat_interleave(outputs, 1)


@rule("linear")
def linear(twin: Twin, func: Any, input: Tensor, weight: Tensor, bias: Any = None) -> Any:
    return weighted(twin, func, input, weight, weight.shape[-1], bias)


@rule("conv1d conv2d conv3d")
def convolution(
    twin: Twin,
    func: Any,
    input: Tensor,
    weight: Tensor,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Any:
    geometry = (stride, padding, dilation, groups)
    out = weighted(twin, func, input, weight, prod(weight.shape[1:]), bias, *geometry)
    axes = weight.dim() - 2
    reach = [d * (k - 1) for d, k in zip(each(dilation, axes), weight.shape[2:], strict=True)]
    if isinstance(padding, str):
        before = [n // 2 if padding == "same" else 0 for n in reach]
    else:
        before = each(padding, axes)
    return twin.border(out, input.shape[-axes:], reach, each(stride, axes), before)


@rule("conv_transpose1d conv_transpose2d conv_transpose3d")
def transposed(
    twin: Twin,
    func: Any,
    input: Tensor,
    weight: Tensor,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> Any:
    taps = zip(weight.shape[2:], each(stride, weight.dim() - 2), strict=True)
    fan_in = weight.shape[0] / groups * prod(ceil(k / s) for k, s in taps)
    geometry = (stride, padding, output_padding, groups, dilation)
    return weighted(twin, func, input, weight, fan_in, bias, *geometry)


# Windows


@rule("max_pool1d max_pool2d max_pool3d")
@rule("max_pool1d_with_indices max_pool2d_with_indices max_pool3d_with_indices")
def max_pool(
    twin: Twin,
    func: Any,
    input: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """The mean of the same windows, one axis after the other; where it is largest is read too."""
    axes = axes_of(func)
    kernels, pads, gaps = each(kernel_size, axes), each(padding, axes), each(dilation, axes)
    steps = each(stride, axes) if stride or stride == 0 else kernels
    out = input
    for axis, (k, s, p, d) in enumerate(zip(kernels, steps, pads, gaps, strict=True)):
        dim = input.dim() - axes + axis
        n, span = input.shape[dim], d * (k - 1) + 1
        count = (n + 2 * p - span + (s - 1 if ceil_mode else 0)) // s + 1
        if ceil_mode and (count - 1) * s >= n + p:  # a window must not begin behind the map
            count -= 1
        missing = (count - 1) * s + span - n - p
        out = F.pad(out, [0, 0] * (axes - 1 - axis) + [p, missing])
        out = out.unfold(dim, span, s)[..., ::d].mean(-1)
    reach = [d * (k - 1) for d, k in zip(gaps, kernels, strict=True)]
    out = twin.border(out, input.shape[-axes:], reach, steps, pads)
    return (out, out.clone()) if return_indices or "indices" in func.__name__ else out


@rule("avg_pool1d avg_pool2d avg_pool3d")
def avg_pool(
    twin: Twin,
    func: Any,
    input: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    *_: Any,
    **__: Any,
) -> Any:
    return max_pool(twin, func, input, kernel_size, stride, padding, 1, ceil_mode)


@rule("lp_pool1d lp_pool2d lp_pool3d")
def lp_pool(
    twin: Twin,
    func: Any,
    input: Tensor,
    norm_type: float,
    kernel_size: Any,
    stride: Any = None,
    ceil_mode: bool = False,
) -> Any:
    return max_pool(twin, func, input, kernel_size, stride, 0, 1, ceil_mode)


@rule("max_unpool1d max_unpool2d max_unpool3d")
def max_unpool(
    twin: Twin,
    func: Any,
    input: Tensor,
    indices: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    output_size: Any = None,
) -> Any:
    """A position may receive the value of each window that holds it: the pool's transpose."""
    axes, channels = axes_of(func), input.shape[1]
    ones = input.new_ones(channels, 1, *each(kernel_size, axes)) / prod(each(kernel_size, axes))
    spread = getattr(F, f"conv_transpose{axes}d")
    steps = each(stride or kernel_size, axes)
    out = spread(input, ones, None, steps, each(padding, axes), groups=channels)
    wanted = out.shape[-axes:] if output_size is None else output_size[-axes:]
    more = [want - has for want, has in zip(wanted, out.shape[-axes:], strict=True)]
    return F.pad(out, [n for m in reversed(more) for n in (0, m)])


@rule("adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d")
@rule("adaptive_max_pool1d adaptive_max_pool2d adaptive_max_pool3d")
@rule("adaptive_max_pool1d_with_indices adaptive_max_pool2d_with_indices")
@rule("adaptive_max_pool3d_with_indices")
def adaptive_pool(
    twin: Twin, func: Any, input: Tensor, output_size: Any, return_indices: bool = False
) -> Any:
    axes = axes_of(func)
    out = getattr(F, f"adaptive_avg_pool{axes}d")(input, output_size)
    out = twin.whole(func, out, prod(input.shape[-axes:]) // max(1, prod(out.shape[-axes:])))
    return (out, out.clone()) if return_indices or "indices" in func.__name__ else out


@rule("pad constant_pad_nd")
def pad(
    twin: Twin, func: Any, input: Tensor, pad: Any, mode: Any = "constant", value: Any = None
) -> Any:
    out = F.pad(input, pad, mode if isinstance(mode, str) else "constant")
    before = ([0] * twin.axes + list(reversed(pad[::2])))[-twin.axes :]
    return twin.border(out, input.shape[2:], [0] * twin.axes, [1] * twin.axes, before)


@rule("interpolate upsample upsample_nearest upsample_bilinear")
def interpolate(twin: Twin, func: Any, input: Tensor, *args: Any, **kwargs: Any) -> Any:
    source = input.clone()
    on_gradient(source, lambda g: g * (g.abs() > 1e-9 * g.abs().max()) if twin.binary else None)
    out = func(source, *args, **kwargs)  # positions are rounded: a weight of 1e-16 is none
    mode = "bilinear" if "bilinear" in func.__name__ else str(kwargs.get("mode", args[2:3]))
    step = [n / m for n, m in zip(input.shape[2:], out.shape[2:], strict=True)]
    if "cubic" in mode:  # its weights have both signs: unequal factors, so that they cannot cancel
        out = out * torch.linspace(0.5, 1.5, out.numel()).square().view(out.shape)
    if "linear" in mode or "cubic" in mode:
        out = twin.border(out, input.shape[2:], [1] * len(step), step, [(1 - s) / 2 for s in step])
    return out


# All of an axis


def merge(twin: Twin, func: Any, input: Tensor, dim: Any, keepdim: bool = False) -> Tensor:
    """The mean over these axes (None: all), noted as an operator that may read a whole map."""
    dims = list(range(input.dim())) if dim is None else dim
    dims = list(dims) if isinstance(dims, (list, tuple)) else [dims]
    out = input.mean(dims, keepdim=keepdim)
    return twin.whole(func, out, prod(input.shape[d] for d in dims) if input.dim() else 1)


def spread(twin: Twin, func: Any, input: Tensor, dim: Any) -> Tensor:
    """Each position reads itself and all others along these axes."""
    return (input + merge(twin, func, input, dim, keepdim=True)) / 2


@rule(
    """sum nansum mean nanmean amax amin prod logsumexp any all count_nonzero argmax argmin max min
    median nanmedian"""
)
def reduce(
    twin: Twin, func: Any, input: Tensor, dim: Any = None, keepdim: bool = False, **kwargs: Any
) -> Any:
    if isinstance(dim, Tensor) or "other" in kwargs:
        return elementwise(twin, func, input, dim, **kwargs)
    dim = kwargs.get("axis") if dim is None else dim
    out = merge(twin, func, input, dim, keepdim)
    pair = getattr(torch.return_types, operator_name(func), None) if dim is not None else None
    return pair((out, out.clone())) if pair else out


@rule("mode")
def mode(twin: Twin, func: Any, input: Tensor, dim: int = -1, keepdim: bool = False) -> Any:
    return reduce(twin, func, input, dim, keepdim)


@rule("kthvalue")
def kth_value(
    twin: Twin, func: Any, input: Tensor, k: int, dim: int = -1, keepdim: bool = False
) -> Any:
    return reduce(twin, func, input, dim, keepdim)


@rule("std var std_mean var_mean")
def deviation(
    twin: Twin, func: Any, input: Tensor, dim: Any = None, *args: Any, **kwargs: Any
) -> Any:
    keepdim = kwargs.get("keepdim", args[1] if len(args) > 1 else False)
    out = merge(twin, func, input, None if isinstance(dim, bool) else dim, keepdim)
    return (out, out.clone()) if "mean" in func.__name__ else out


@rule("norm linalg_norm linalg_vector_norm")
def norm(
    twin: Twin,
    func: Any,
    input: Tensor,
    p: Any = 2,
    dim: Any = None,
    keepdim: bool = False,
    **_: Any,
) -> Any:
    return merge(twin, func, input, dim, keepdim)


@rule("softmax log_softmax softmin")
def softmax(twin: Twin, func: Any, input: Tensor, dim: Any = None, *_: Any, **__: Any) -> Any:
    blocked = input.isneginf()
    return spread(twin, func, input.masked_fill(blocked, 0.0), dim).masked_fill(blocked, 0.0)


@rule("normalize")
def normalize(
    twin: Twin, func: Any, input: Tensor, p: float = 2.0, dim: Any = 1, *_: Any, **__: Any
) -> Any:
    return spread(twin, func, input, dim)


@rule("layer_norm rms_norm")
def layer_norm(
    twin: Twin, func: Any, input: Tensor, normalized_shape: Any, *_: Any, **__: Any
) -> Any:
    return spread(twin, func, input, list(range(-len(normalized_shape), 0)))


@rule("group_norm")
def group_norm(twin: Twin, func: Any, input: Tensor, num_groups: int, *_: Any, **__: Any) -> Any:
    groups = input.reshape(len(input), num_groups, -1, *input.shape[2:])
    return spread(twin, func, groups, list(range(2, groups.dim()))).flatten(1, 2)


@rule("instance_norm")
def instance_norm(
    twin: Twin, func: Any, input: Tensor, *_: Any, use_input_stats: bool = True, **__: Any
) -> Any:
    """Statistics of this image are global; running statistics are constants."""
    return (
        spread(twin, func, input, list(range(2, input.dim()))) if use_input_stats else input.clone()
    )


@rule("batch_norm")
def batch_norm(
    twin: Twin, func: Any, input: Tensor, running_mean: Any = None, *_: Any, **__: Any
) -> Any:
    """As at inference; without running statistics it takes the image's own, and is global."""
    return instance_norm(twin, func, input, use_input_stats=running_mean is None)


@rule("local_response_norm")
def local_response_norm(twin: Twin, func: Any, input: Tensor, size: int, *_: Any, **__: Any) -> Any:
    ends = [0, 0] * (input.dim() - 2) + [size // 2, (size - 1) // 2]
    return (input + F.pad(input, ends).unfold(1, size, 1).mean(-1)) / 2


@rule("glu")
def glu(twin: Twin, func: Any, input: Tensor, dim: int = -1) -> Any:
    return mean(input.chunk(2, dim))


@rule("scaled_dot_product_attention")
def attention(
    twin: Twin,
    func: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    **kwargs: Any,
) -> Any:
    """Written out, so that the rules of its parts apply."""
    if kwargs.get("enable_gqa"):
        key, value = (t.repeat_interleave(query.shape[-3] // t.shape[-3], -3) for t in (key, value))
    with twin:
        scores = query @ key.transpose(-2, -1)
        if is_causal:
            attn_mask = torch.ones(scores.shape[-2:], dtype=torch.bool).tril()
        if attn_mask is not None and attn_mask.dtype == torch.bool:
            scores = scores.masked_fill(~attn_mask, float("-inf"))
        elif attn_mask is not None:
            scores = scores + attn_mask
        return scores.softmax(-1) @ value


@rule("multi_head_attention_forward")
def multi_head(
    twin: Twin, func: Any, query: Tensor, key: Tensor, value: Tensor, *_: Any, **kwargs: Any
) -> Any:
    """Its projections mix all channels: only tokens count.  Shapes (length, batch, channels)."""
    mask = kwargs.get("attn_mask")
    if mask is not None:
        blocked = mask if mask.dtype == torch.bool else mask.isneginf()
        mask = ~blocked.view(-1, *blocked.shape[-2:]).all(0)
    ignored = kwargs.get("key_padding_mask")
    if ignored is not None:
        seen = ~(ignored if ignored.dtype == torch.bool else ignored.isneginf())[:, None, :]
        mask = seen if mask is None else mask & seen
    q, k, v = (t.transpose(0, 1).mean(-1, keepdim=True) for t in (query, key, value))
    out = attention(twin, func, q, k, v, mask)
    weights = out.expand(-1, -1, key.shape[0]) if kwargs.get("need_weights", True) else None
    return out.transpose(0, 1).expand_as(query).clone(), weights


# Positions move, are summed or repeated: linear already, with weights of one


@rule(
    """view view_as reshape reshape_as flatten ravel unflatten permute transpose swapaxes swapdims t
    .T .mT .H .mH adjoint movedim moveaxis squeeze unsqueeze expand expand_as repeat tile
    repeat_interleave broadcast_to broadcast_tensors atleast_1d atleast_2d atleast_3d contiguous
    flip fliplr flipud roll rot90 cat concat concatenate stack hstack vstack dstack column_stack
    chunk split split_with_sizes tensor_split hsplit vsplit dsplit unsafe_chunk unbind narrow
    select as_strided diagonal diag diag_embed tril triu unfold fold pixel_shuffle pixel_unshuffle
    channel_shuffle native_channel_shuffle cumsum trace meshgrid copy zero fill fill_diagonal"""
)
def moves(twin: Twin, func: Any, *args: Any, **kwargs: Any) -> Any:
    twin.zeros |= operator_name(func) in ("tril", "triu", "fill_diagonal")
    return func(*args, **kwargs)


def by_table(place: int) -> Rule:
    """Moves by a table, which must not depend on the image; the table is argument `place`."""

    def apply(twin: Twin, func: Any, *args: Any, **kwargs: Any) -> Any:
        named = [kwargs[key] for key in ("index", "indices", "mask", "grid") if key in kwargs]
        if any(t.requires_grad for t in tensors([args[place : place + 1], named])):
            twin.refuse(func, "positions")
        return func(*args, **kwargs)

    return apply


rule("getitem setitem take take_along_dim masked_select index_put grid_sample")(by_table(1))
rule("index_select gather scatter scatter_add index_add index_copy index_fill")(by_table(2))
