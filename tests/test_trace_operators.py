"""Every rule of `rflib.trace` against the operator itself, unit by unit.

The oracle sends numbers through the real operator in float64 and looks which outputs move when one
input position is changed, up or down, on several random inputs.  It shares no code with rflib.
Some operators hide an influence from it (an argmax, a median); there a rule may say more than the
oracle sees, and only that must hold which the oracle does see.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import rflib
from rflib import _shortcuts  # noqa: F401 (registers all rules)

C = 4  # channels
Function = Callable[[Tensor], Tensor]


class Model(nn.Module):
    def __init__(self, function: Function) -> None:
        super().__init__()
        self.function = function
        self.double_ = nn.Parameter(torch.zeros(1, dtype=torch.float64))  # says the type of numbers

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


def moved(function: Function, size: tuple[int, ...]) -> Tensor:
    """Booleans [pixel..., entry of the output...]: which entries move with which position."""
    torch.manual_seed(0)
    seen: Any = False
    for _ in range(3):
        x = torch.rand(1, C, *size, dtype=torch.float64) + 0.1
        calm = function(x.clone())
        rows = []
        for place in product(*map(range, size)):
            hit = torch.zeros(calm.shape, dtype=torch.bool)
            for change in (3.7, -2.9):
                other = x.clone()
                step = torch.tensor([1.0, 0.7, 1.3, 0.9], dtype=torch.float64)
                other[(0, slice(None), *place)] += change * step
                hit |= (function(other) - calm).abs() > 1e-9
            rows.append(hit)
        seen = torch.stack(rows).reshape(*size, *calm.shape) | seen
    assert isinstance(seen, Tensor)
    return seen


def weight(*shape: int) -> Tensor:
    return torch.rand(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1)) + 0.1


K3, K4 = weight(C, C, 3), weight(C, C, 4)
K33, K23 = weight(C, C, 3, 3), weight(C, C, 2, 3)
LINE, PLANE, BLOCK = (7,), (6, 5), (3, 4, 2)


def written(x: Tensor) -> Tensor:
    out = torch.zeros_like(x)
    out[:, :, 1::2] = x[:, :, ::2][:, :, : out[:, :, 1::2].shape[2]]
    out[:, 1:3, :2] += x[:, :2, -2:]
    return out


def put(x: Tensor) -> Tensor:
    out = x.clone()
    out[:, :, torch.tensor([0, 2])] = x[:, :, torch.tensor([4, 5])]
    return out


PLACES = torch.tensor([4, 0, 4])  # one of them twice
SPREAD = torch.tensor([[[4, 0, 4], [1, 1, 6], [0, 5, 2], [3, 3, 3]]])


def accumulated(x: Tensor) -> Tensor:
    out = x + 0
    out.index_put_((torch.tensor([0]), torch.tensor([1]), PLACES), x[0, 0, :3], accumulate=True)
    return out


def written_where_large(x: Tensor) -> Tensor:
    out = x.flip(2)
    out[x > 1.5] = 0.25
    return out


FAR = (torch.arange(7)[:, None] - torch.arange(7)).abs() > 1  # positions apart from neighbours
MINUS = torch.zeros(7, 7, dtype=torch.float64).masked_fill(FAR, -torch.inf)


def masked(x: Tensor, fill: Callable[[Tensor], Tensor]) -> Tensor:
    """Attention of each position to its neighbours alone."""
    rows = tokens(x)
    scores = fill(rows @ rows.transpose(1, 2) * 0.5)
    return scores.unsqueeze(1).softmax(-1).squeeze(1) @ rows


def tokens(x: Tensor) -> Tensor:
    return x.flatten(2).transpose(1, 2)


torch.manual_seed(3)
ATTENTION = nn.MultiheadAttention(C, 2, batch_first=True).double().eval()
ENCODER = nn.TransformerEncoderLayer(C, 2, 8, batch_first=True).double().eval()


class Recurrent(nn.Module):
    def __init__(self, kind: Any) -> None:
        super().__init__()
        self.cells = kind(C, 3, batch_first=True).double()

    def forward(self, x: Tensor) -> Tensor:
        return self.cells(tokens(x))[0]


MASK = torch.tensor([True, False, True, True, False, True, True])


def nothing_written(x: Tensor) -> Tensor:
    """Of a map of one unit, an empty part is overwritten by the mean of the whole."""
    one = x[:, :, 2:3].clone()
    one[:, :, :0] = x.mean(2, keepdim=True)
    return one


def nothing_put(x: Tensor) -> Tensor:
    y = x + 0
    y[:, :2, torch.arange(8)[:0]] = x[:, :2, :0]
    return y


def turned_in_place(x: Tensor) -> Tensor:
    """A view from before the turn still writes to the same memory."""
    y = x + 0
    odd = y[:, :, 1::2]
    y.unsqueeze_(0).transpose_(1, 2)
    odd.zero_()
    return y.transpose(1, 2).squeeze(0)


def put_by_lists(x: Tensor) -> Tensor:
    y = x + 0
    y[:, :, [0, -1]] = x[:, :, [3, -3]]
    return y


ON_A_LINE: dict[str, Function] = {
    "nothing written": nothing_written,
    "nothing put": nothing_put,
    "turned in place": turned_in_place,
    "put by lists": put_by_lists,
    "twice to one place": lambda x: x.index_add(2, torch.tensor([1, 1]), x[:, :, 5:7]),
    "the least but one of a pair": lambda x: torch.stack([x, x.roll(1, 2)], -1).kthvalue(2)[0],
    "the commonest of a pair": lambda x: torch.stack([x, x.roll(1, 2)], -1).mode()[0],
    "a list with negative places": lambda x: x[:, :, [-1, 0, -3]],
    "a mask of a dim": lambda x: x[:, :, torch.arange(x.shape[2]) % 3 == 1],
    "convolution": lambda x: F.conv1d(x, K3, stride=2, padding=2, dilation=2),
    "grouped": lambda x: F.conv1d(x, weight(C, 1, 3), padding=1, groups=C),
    "around, and cut": lambda x: F.pad(x, (2, -1), mode="circular"),
    "cut, and around": lambda x: F.pad(x, (-2, 3), mode="circular"),
    "linear, as long as before": lambda x: F.interpolate(x, scale_factor=1.1, mode="linear"),
    "kernel of one in padding": lambda x: F.conv1d(x, weight(C, C, 1), padding=2),
    "stride above kernel": lambda x: F.conv1d(x, weight(C, C, 2), stride=3),
    "same": lambda x: F.conv1d(x, K4, padding="same"),
    "computed weight": lambda x: F.conv1d(x, K3 * x.mean(), padding=1),
    "transposed": lambda x: F.conv_transpose1d(x, K4, stride=3, padding=1, output_padding=2),
    "transposed, holes": lambda x: F.conv_transpose1d(x, weight(C, C, 1), stride=2),
    "transposed, dilated": lambda x: F.conv_transpose1d(x, K3, stride=2, dilation=2),
    "max pool": lambda x: F.max_pool1d(x, 3, 2, 1),
    "max pool, ceil": lambda x: F.max_pool1d(x, 3, 2, 1, 2, ceil_mode=True),
    "average pool": lambda x: F.avg_pool1d(x, 3, 2, 1),
    "average pool, ceil": lambda x: F.avg_pool1d(x, 4, 2, 1, ceil_mode=True),
    "power pool": lambda x: F.lp_pool1d(x, 2, 3, 2),
    "adaptive": lambda x: F.adaptive_avg_pool1d(x, 3),
    "adaptive, more": lambda x: F.adaptive_avg_pool1d(x, 10),
    "adaptive max": lambda x: F.adaptive_max_pool1d(x, 4),
    "adaptive to one": lambda x: F.adaptive_max_pool1d(x, 1),
    "cumulative sum": lambda x: x.cumsum(2),
    "cumulative maximum": lambda x: x.cummax(2).values,
    "softmax": lambda x: x.softmax(2),
    "softmax of channels": lambda x: x.softmax(1),
    "log softmax": lambda x: x.log_softmax(2),
    "sort": lambda x: x.sort(2).values,
    "top": lambda x: x.topk(3, 2).values,
    "unfold": lambda x: x.unfold(2, 3, 2).sum(-1),
    "repeat": lambda x: x.repeat(1, 1, 2),
    "tile": lambda x: x.tile(1, 1, 2),
    "interleave": lambda x: x.repeat_interleave(2, 2),
    "roll": lambda x: x.roll(2, 2),
    "roll everything": lambda x: x.roll(3),
    "flip": lambda x: x.flip(2),
    "index": lambda x: x[:, :, torch.tensor([0, -1, 2, 2])],
    "mask": lambda x: x[:, :, MASK],
    "select": lambda x: x.index_select(2, torch.tensor([5, 1, 0])),
    "gather": lambda x: x.gather(2, torch.tensor([[[4, 1]] * C])),
    "put": put,
    "written": written,
    "scattered": lambda x: torch.slice_scatter(x * 2, x[:, :, :3], 2, 1, 7, 2),
    "copied to places": lambda x: (x * 1).index_copy(2, PLACES[:2], x[:, :, 5:]),
    "filled at places": lambda x: x.flip(2).index_fill(2, PLACES, 0.5),
    "added at places": lambda x: x.index_add(2, PLACES, x[:, :, :3]),
    "accumulated": accumulated,
    "written where large": written_where_large,
    "scatter": lambda x: x.flip(2).scatter(2, SPREAD[:, :2, :2], x),
    "scatter a number": lambda x: x.flip(2).scatter(2, SPREAD[:, :2], 0.5),
    "scatter and add": lambda x: x.flip(2).scatter_add(2, SPREAD, x),
    "scatter and reduce": lambda x: x.scatter_reduce(2, SPREAD, x.flip(2), "amax"),
    "take": lambda x: x.take(torch.tensor([[[-1, 0, 3], [8, 8, 1]]])),
    "take along": lambda x: x.take_along_dim(torch.tensor([[[5, 0, 5]]]), 2),
    "mask added": lambda x: masked(x, lambda scores: scores + MINUS),
    "mask added before": lambda x: masked(x, lambda scores: MINUS + 2 * (MINUS + scores)),
    "mask filled": lambda x: masked(x, lambda scores: scores.masked_fill(FAR, -torch.inf)),
    "mask chosen": lambda x: masked(
        x, lambda scores: torch.where(~FAR, scores, scores.new_tensor(-torch.inf))
    ),
    "mask of lowest numbers": lambda x: masked(
        x, lambda scores: scores.masked_fill(FAR, torch.finfo(scores.dtype).min)
    ),
    "mask too small to close": lambda x: masked(x, lambda scores: scores + FAR * -3.0),
    "mask of truths": lambda x: F.scaled_dot_product_attention(*[tokens(x)] * 3, attn_mask=~FAR),
    "mask of numbers": lambda x: F.scaled_dot_product_attention(*[tokens(x)] * 3, attn_mask=MINUS),
    "attention, masked": lambda x: ATTENTION(*[tokens(x)] * 3, attn_mask=FAR)[0],
    "attention alone, masked": lambda x: ATTENTION(
        *[tokens(x)] * 3, attn_mask=MINUS, need_weights=False
    )[0],
    "where": lambda x: torch.where(MASK, x, x.flip(2)),
    "filled": lambda x: x.masked_fill(MASK, 0.0) + x.flip(2),
    "layer norm": lambda x: F.layer_norm(x, (7,)),
    "instance norm": lambda x: F.instance_norm(x),
    "batch norm, training": lambda x: F.batch_norm(x, None, None, training=True),
    "batch norm": lambda x: F.batch_norm(x, weight(C), weight(C)),
    "group norm": lambda x: F.group_norm(x, 2),
    "attention": lambda x: ATTENTION(tokens(x), tokens(x), tokens(x))[0],
    "attention alone": lambda x: ATTENTION(*[tokens(x)] * 3, need_weights=False)[0],
    "encoder": lambda x: ENCODER(tokens(x)),
    "causal": lambda x: F.scaled_dot_product_attention(*[tokens(x)] * 3, is_causal=True),
    "dot product": lambda x: F.scaled_dot_product_attention(*[tokens(x)] * 3),
    "lstm": Recurrent(nn.LSTM),
    "gru": Recurrent(nn.GRU),
    "linear over channels": lambda x: F.linear(tokens(x), weight(3, C), weight(3)),
    "linear over positions": lambda x: F.linear(x, weight(5, 7)),
    "product": lambda x: tokens(x) @ x,
    "einsum": lambda x: torch.einsum("bcl,bcm->blm", x, x),
    "linear1d": lambda x: F.interpolate(x, scale_factor=2, mode="linear"),
    "nearest 3": lambda x: F.interpolate(x, scale_factor=3),
    "nearest 1.5": lambda x: F.interpolate(x, scale_factor=1.5),
    "nearest to 4": lambda x: F.interpolate(x, size=4),
    "exact to 11": lambda x: F.interpolate(x, size=11, mode="nearest-exact"),
    "linear to 10": lambda x: F.interpolate(x, size=10, mode="linear"),
    "linear to 3": lambda x: F.interpolate(x, size=3, mode="linear"),
    "corners to 13": lambda x: F.interpolate(x, size=13, mode="linear", align_corners=True),
    "glu": lambda x: F.glu(torch.cat([x, x.flip(2)], 1), 1),
    "gated halves": lambda x: F.glu(torch.cat([x, x], 2), 2),
    "variance": lambda x: x - x.var(2, keepdim=True),
    "normalised": lambda x: F.normalize(x, dim=2),
    "normalised channels": lambda x: F.normalize(x, dim=1),
    "local response": lambda x: F.local_response_norm(x, 3),
    "complex": lambda x: torch.fft.rfft(x).abs(),
    "triangle": lambda x: x[:, :, :4].tril() + 0 * x[:, :, :4],
    "diagonal": lambda x: x.diagonal(1, 1, 2)[:, None].expand(1, C, -1),
    "maximum of two": lambda x: torch.max(x, x.flip(2)),
    "stacked": lambda x: torch.stack([x, x.flip(2)], 3).flatten(2),
    "split": lambda x: torch.cat(x.split([2, 5], 2)[::-1], 2),
    "unbound": lambda x: torch.stack(x.unbind(2)[::-2], 2),
    "computed fill": lambda x: x.clone().fill_(x.sum()),
    "prelu": lambda x: F.prelu(x, weight(C)),
    "hardswish": F.hardswish,
    "log sigmoid": F.logsigmoid,
    "squared": lambda x: x.square_() + 1,
    "mean of all": lambda x: x * x.mean(),
    "log of sums": lambda x: x + x.logsumexp(2, keepdim=True),
    "largest": lambda x: x + x.amax(2, keepdim=True),
    "product of all": lambda x: x * x.prod(2, keepdim=True),
    "standard deviation": lambda x: x / x.std(2, keepdim=True),
    "both statistics": lambda x: (x - torch.var_mean(x, 2, keepdim=True)[1]).abs(),
    "both deviations": lambda x: x / torch.std_mean(x, 2, keepdim=True)[0],
    "smallest": lambda x: x + x.amin(2, keepdim=True),
    "largest, with place": lambda x: x + x.max(2, keepdim=True).values,
    "smallest, with place": lambda x: x + x.min(2, keepdim=True).values,
    "both ends": lambda x: x + torch.aminmax(x, dim=2, keepdim=True).max,
    "place of the largest": lambda x: x + x.argmax(2, keepdim=True),
    "place of the smallest": lambda x: x + x.argmin(2, keepdim=True),
    "ranks": lambda x: x + x.argsort(2),
    "median": lambda x: x + x.median(2, keepdim=True).values,
    "any": lambda x: x * (x > 1.5).any(2, keepdim=True),
    "all": lambda x: x * (x > 1.5).all(2, keepdim=True),
    "how many": lambda x: x + torch.count_nonzero(x > 1.5, 2)[:, :, None],
    "sum without NaN": lambda x: x + x.nansum(2, keepdim=True),
    "norm": lambda x: x / x.norm(dim=2, keepdim=True),
    "cumulative product": lambda x: x.cumprod(2),
    "cumulative minimum": lambda x: x.cummin(2).values,
    "cumulative log": lambda x: x.logcumsumexp(2),
    "six": F.relu6,
    "halved": lambda x: x.detach().to(torch.float32).to(torch.float64),
    "from nothing": lambda x: x.new_zeros(x.shape) + torch.zeros_like(x) + x,
    "reset": lambda x: x.clone().zero_() + x.flip(2),
    "no NaN": torch.nan_to_num,
    "matrix and vector": lambda x: (x[0] @ weight(7))[None, :, None] + x,
    "vectors": lambda x: x + x[0, 0].dot(weight(7)),
    "added products": lambda x: torch.baddbmm(x[:, :, :4], x, x.transpose(1, 2)),
    "reflect": lambda x: F.pad(x, (2, 1), mode="reflect"),
    "replicate": lambda x: F.pad(x, (2, 1), mode="replicate"),
    "equal parts": lambda x: torch.cat(x.chunk(2, 1)[::-1], 1),
    "of a table": lambda x: F.embedding((x[:, 0] > 1.5).long(), weight(2, 3)),
    "as it lies": lambda x: torch.view_as_real(torch.complex(x, x.flip(2))).sum(-1),
}

ON_A_PLANE: dict[str, Function] = {
    "convolution": lambda x: F.conv2d(x, K23, stride=(2, 1), padding=(1, 2), dilation=(1, 2)),
    "transposed": lambda x: F.conv_transpose2d(x, K33, stride=(2, 1), padding=1),
    "max pool": lambda x: F.max_pool2d(x, (2, 3), (2, 1), (1, 1), ceil_mode=True),
    "average pool": lambda x: F.avg_pool2d(x, 3, 2, 1),
    "adaptive": lambda x: F.adaptive_avg_pool2d(x, (4, 2)),
    "adaptive max": lambda x: F.adaptive_max_pool2d(x, (2, 4)),
    "reflect": lambda x: F.pad(x, (1, 2, 2, 0), mode="reflect"),
    "replicate": lambda x: F.pad(x, (1, 2, 2, 0), mode="replicate"),
    "circular": lambda x: F.pad(x, (1, 2, 2, 0), mode="circular"),
    "zeros and cuts": lambda x: F.pad(x, (1, -2, -1, 2)),
    "shuffle": lambda x: F.pixel_shuffle(x, 2),
    "unshuffle": lambda x: F.pixel_unshuffle(x[:, :, :, :4], 2),
    "shuffled channels": lambda x: F.channel_shuffle(F.conv2d(x, K33), 2),
    "columns": lambda x: F.unfold(x, (2, 3), (1, 2), (1, 0), (2, 1)),
    "columns and back": lambda x: F.fold(F.unfold(x, 3, 1, 1, 2), (6, 5), 3, padding=1, stride=2),
    "turned": lambda x: x.rot90(1, (2, 3)),
    "transpose": lambda x: x.transpose(2, 3) + 1,
    "bilinear": lambda x: F.interpolate(x, scale_factor=2, mode="bilinear"),
    "bilinear to 7, 3": lambda x: F.interpolate(x, size=(7, 3), mode="bilinear"),
    "nearest": lambda x: F.interpolate(x, scale_factor=2),
    "exact": lambda x: F.interpolate(x, size=(7, 4), mode="nearest-exact"),
    "bicubic": lambda x: F.interpolate(x, scale_factor=2, mode="bicubic"),
    "indices apart": lambda x: x[:, torch.tensor([1, 2]), :, torch.tensor([0, 3])][:, 0, :, None],
    "antialiased": lambda x: F.interpolate(x, size=(3, 2), mode="bilinear", antialias=True),
    "antialiased cubic": lambda x: F.interpolate(x, size=(4, 3), mode="bicubic", antialias=True),
    "mean of rows": lambda x: x + x.mean(2, keepdim=True),
    "channels last": lambda x: F.layer_norm(x.permute(0, 2, 3, 1), (C,)),
    "channels last, mixed": lambda x: F.linear(x.permute(0, 2, 3, 1), weight(3, C)),
    "layer norm of all": lambda x: F.layer_norm(x, (C, 6, 5)),
    "rms norm": lambda x: F.rms_norm(x, (5,)),
    "triangles": lambda x: x[:, :, :5].triu(1) * 1.0,
    "area": lambda x: F.interpolate(x, size=(3, 3), mode="area"),
    "bilinear, as wide as before": lambda x: F.interpolate(
        x, scale_factor=(1.5, 1.1), mode="bilinear"
    ),
    "smooth, as wide as before": lambda x: F.interpolate(
        x, scale_factor=(1.5, 1.1), mode="bicubic", antialias=True
    ),
}

ON_A_BLOCK: dict[str, Function] = {
    "convolution": lambda x: F.conv3d(x, weight(C, C, 2, 3, 2), padding=(0, 1, 1)),
    "max pool": lambda x: F.max_pool3d(x, 2, 1, 1),
    "average pool": lambda x: F.avg_pool3d(x, (2, 3, 1), 1),
    "adaptive": lambda x: F.adaptive_avg_pool3d(x, (2, 3, 1)),
    "adaptive max": lambda x: F.adaptive_max_pool3d(x, (2, 3, 2)),
    "nearest": lambda x: F.interpolate(x, scale_factor=2),
    "exact": lambda x: F.interpolate(x, size=(4, 4, 2), mode="nearest-exact"),
    "trilinear": lambda x: F.interpolate(x, scale_factor=2, mode="trilinear"),
    "reflect": lambda x: F.pad(x, (1, 0, 2, 1, 1, 0), mode="reflect"),
    "replicate": lambda x: F.pad(x, (1, 0, 2, 1, 1, 0), mode="replicate"),
    "transposed": lambda x: F.conv_transpose3d(x, weight(C, C, 2, 1, 2), stride=(2, 1, 1)),
}

HIDING = {
    "median",
    "top",
    "sort",
    "ranks",
    "any",
    "all",
    "how many",
    "of a table",
    "scatter and reduce",
}  # operators that hide an influence from the oracle

CASES = [(f"line, {k}", f, LINE) for k, f in ON_A_LINE.items()]
CASES += [(f"plane, {k}", f, PLANE) for k, f in ON_A_PLANE.items()]
CASES += [(f"block, {k}", f, BLOCK) for k, f in ON_A_BLOCK.items()]


@pytest.mark.parametrize(
    ("name", "function", "size"),
    [
        # Planes and blocks have so many units that comparing them takes up to two seconds each.
        pytest.param(*case, id=case[0], marks=[] if case[2] == LINE else [pytest.mark.slow])
        for case in CASES
    ],
)
def test_a_rule_says_what_the_operator_does(
    name: str, function: Function, size: tuple[int, ...]
) -> None:
    seen = moved(function, size)
    field = rflib.trace(Model(function), (1, C, *size)).output
    rest = tuple(len(size) + d for d in range(len(field.shape)) if d not in field._dims)
    units = seen.any(dim=rest) if rest else seen
    assert field.units == tuple(units.shape[len(size) :])
    hides = name.split(", ")[1] in HIDING
    for unit in product(*map(range, field.units)):
        mask = units[(..., *unit)]
        truth = [
            mask.movedim(axis, 0).flatten(1).any(1).nonzero().flatten().tolist()
            if mask.dim() > 1
            else mask.nonzero().flatten().tolist()
            for axis in range(mask.dim())
        ]
        told = [list(reads) for reads in field.reads(unit)]
        if hides:
            for mine, theirs in zip(told, truth, strict=True):
                assert set(theirs) <= set(mine), unit
            continue
        assert told == truth, unit
        ends = [(r[0], r[-1]) if r else (0, -1) for r in truth]
        assert [tuple(region) for region in field.region(unit)] == ends
        if not field.hull:
            box = 1
            for first, last in ends:
                box *= last - first + 1
            assert int(mask.sum()) == box, unit
