"""The probe against oracles that share no code with it, and every way in which probes are known to
go wrong.

`nan_mask` puts a NaN into each pixel of the unchanged network in turn and looks whether the unit
turns NaN (0 * NaN is NaN, so no weight can hide it); `oracle.fields` builds sets of integers.
"""

from __future__ import annotations

import copy
import dataclasses
import random
import re
from collections import Counter
from collections.abc import Callable, Iterator
from fractions import Fraction
from math import ceil, floor, prod
from typing import Any

import oracle
import pytest
import torch
import torch.nn.functional as F
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from strategies import FEW, SLOW_FEW, torch_net
from torch import Tensor, nn
from wired import Net

import rflib
from rflib.probe import Probe, ProbeError, probe
from rflib.regions import Region


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Tiny tensors: threads that wait for one another cost more than they bring."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def conv(k: int, stride: int = 1, padding: int | None = None, c: int = 2, **more: Any) -> nn.Conv2d:
    return nn.Conv2d(c, c, k, stride, k // 2 if padding is None else padding, **more)


def line(k: int, stride: int = 1, padding: int | None = None, c: int = 2, **more: Any) -> nn.Conv1d:
    return nn.Conv1d(c, c, k, stride, k // 2 if padding is None else padding, **more)


def nan_mask(model: nn.Module, shape: tuple[int, ...], unit: tuple[int, ...]) -> torch.Tensor:
    """Which pixels turn the unit into NaN: one image per pixel, in one batch."""
    double = copy.deepcopy(model).double().eval()
    axes = shape[2:]
    images = torch.ones(prod(axes), *shape[1:]).double().flatten(2)
    for pixel, image in enumerate(images):
        image[:, pixel] = float("nan")
    with torch.no_grad():
        out = double(images.view(-1, *shape[1:]))
    return out[(slice(None), slice(None), *unit)].isnan().any(dim=1).view(axes)


def check_by_nan(model: nn.Module, shape: tuple[int, ...], *units: tuple[int, ...]) -> None:
    for unit in units:
        truth = nan_mask(model, shape, unit)
        found = probe(model, shape, unit)
        assert torch.equal(found.mask, truth), (unit, found)
        assert not found.underflow
        assert torch.equal(found.gradient > 0, truth)


def sizes(model: nn.Module, *args: Any, **kwargs: Any) -> tuple[int, ...]:
    return probe(model, *args, **kwargs).size


# The cases of a gradient probe that goes wrong, each with its truth.


def test_one_channel_is_not_the_unit() -> None:
    branches = Net(lambda s, x: torch.cat([s.a(x), s.b(x)], 1), a=conv(1), b=conv(5))
    assert sizes(branches) == (5, 5)


def test_a_depthwise_net_with_swapped_channels() -> None:
    net = Net(lambda s, x: s.b(s.a(x).flip(1)), a=conv(3, groups=2), b=conv(3, groups=2))
    assert sizes(net) == (5, 5)


def test_differences_do_not_cancel() -> None:
    twins = Net(lambda s, x: s.a(x) - s.b(x), a=conv(3), b=conv(3))
    assert sizes(twins) == (3, 3)
    same = conv(3)
    assert sizes(Net(lambda s, x: s.a(x) - s.a(x), a=same)) == (3, 3)
    assert sizes(Net(lambda s, x: torch.sub(s.a(x), x, alpha=2), a=same)) == (3, 3)


@pytest.mark.parametrize(
    "activation", [nn.ReLU6(), nn.Hardsigmoid(), nn.Sigmoid(), nn.Hardtanh(), nn.Softshrink(9.0)]
)
def test_activations_do_not_switch_off(activation: nn.Module) -> None:
    assert sizes(nn.Sequential(conv(3), activation, conv(3), activation)) == (5, 5)


@pytest.mark.parametrize("activation", [nn.ReLU(), nn.SiLU(), nn.GELU()])
def test_no_overflow_in_a_deep_wide_net(activation: nn.Module) -> None:
    layers = [layer for _ in range(15) for layer in (line(3, c=64), activation)]
    found = probe(nn.Sequential(*layers))
    assert found.size == (31,)
    assert found.gradient.isfinite().all()
    assert not found.underflow


def test_layer_norm_over_channels_is_local() -> None:
    def norm(s: Any, x: Any) -> Any:
        return s.norm(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)

    block = [conv(3), Net(norm, norm=nn.LayerNorm(2))]
    assert sizes(nn.Sequential(*block, *block)) == (5, 5)


@pytest.mark.parametrize(("k", "depth"), [(3, 91), (5, 62), (7, 51), (11, 41), (7, 152), (3, 600)])
def test_no_underflow_however_deep(k: int, depth: int) -> None:
    net = nn.Sequential(*(line(k, c=1) for _ in range(depth)))
    found = probe(net, None if depth < 100 else (1, 1, depth * k))
    assert found.size == (1 + depth * (k - 1),)
    assert found.mask[found.region[0].first : found.region[0].last + 1].all()
    assert not found.clipped
    assert not found.underflow


DEEPEST = pytest.param(3, 600, marks=pytest.mark.slow)


@pytest.mark.parametrize(("k", "depth"), [(7, 152), DEEPEST])
@pytest.mark.parametrize("unit", [0, 20])
def test_edge_units_of_deep_nets(k: int, depth: int, unit: int) -> None:
    net = nn.Sequential(*(line(k) for _ in range(depth)))
    found = probe(net, (1, 2, 40), unit)
    assert found.mask.all()
    assert found.clipped == ((True, True),)
    short = probe(net[:3], (1, 2, 40), unit)
    reach = 3 * (k // 2)
    assert short.region == (Region(max(0, unit - reach), min(39, unit + reach)),)


def test_a_corner_unit_of_a_deep_net_in_two_dimensions() -> None:
    found = probe(nn.Sequential(*(conv(3) for _ in range(100))), (1, 2, 12, 30), unit=(0, 29))
    assert found.mask.all()
    assert found.clipped == ((True, True), (True, True))
    assert not found.underflow


def test_corner_pixels_beyond_float64_are_in_the_mask_and_said_to_be_lost() -> None:
    net = nn.Sequential(*(line(3, c=1) for _ in range(720)))  # 3 ** -720 is below 5e-324
    found = probe(net, (1, 1, 1600))
    assert found.size == (1441,)
    assert found.underflow
    assert "too small" in str(found)


def test_clipping_is_said() -> None:
    convs = [conv(11, 4, 2), nn.MaxPool2d(3, 2), conv(5), nn.MaxPool2d(3, 2)]
    alexnet = nn.Sequential(*convs, conv(3), conv(3), conv(3), nn.MaxPool2d(3, 2))
    small = probe(alexnet, (1, 2, 224, 224))
    assert small.size == (194, 194)
    assert small.clipped
    assert "CLIPPED" in str(small)
    grown = probe(alexnet)
    assert grown.size == (195, 195)
    assert not grown.clipped
    assert "CLIPPED" not in str(grown)


def test_batch_norm_in_training_mode_is_off_and_the_model_still_trains() -> None:
    net = nn.Sequential(conv(3), nn.BatchNorm2d(2), nn.Dropout2d(), conv(3), nn.BatchNorm2d(2))
    assert net.train().training
    assert sizes(net, (1, 2, 32, 32)) == (5, 5)
    assert all(module.training for module in net.modules())


@pytest.mark.parametrize(
    "norm",
    [
        nn.InstanceNorm2d(2),
        nn.GroupNorm(1, 2),
        nn.GroupNorm(2, 2),
        nn.LayerNorm([2, 12, 9]),
        nn.BatchNorm2d(2, track_running_stats=False),
    ],
)
def test_norms_with_statistics_of_the_image_are_global(norm: nn.Module) -> None:
    found = probe(nn.Sequential(conv(3), norm), (1, 2, 12, 9))
    assert found.mask.all()
    assert found.global_
    assert "global" in str(found)


def test_running_statistics_are_constants() -> None:
    found = probe(nn.Sequential(conv(3), nn.InstanceNorm2d(2, track_running_stats=True)))
    assert found.size == (3, 3)
    assert found.global_ == ()


def test_max_pool_reads_its_whole_window() -> None:
    assert sizes(nn.Sequential(line(3), nn.MaxPool1d(2), line(3))) == (8,)
    assert sizes(nn.MaxPool2d(3, 2, 1), (1, 2, 20, 20)) == (3, 3)


def test_biases_and_containers_called_conv() -> None:
    class ConvBlock(nn.Sequential):
        pass

    assert sizes(ConvBlock(conv(3, bias=True), ConvBlock(conv(3), conv(1)))) == (5, 5)


@pytest.mark.parametrize(("k", "p", "alternating"), [(3, 1, {12, 10}), (5, 2, {12, 14})])
def test_the_phase_of_a_transposed_convolution(k: int, p: int, alternating: set[int]) -> None:
    up = nn.ConvTranspose1d(2, 2, k, 2, p)
    net = nn.Sequential(line(3), line(3), nn.MaxPool1d(2), line(3), up)
    layers = [{"kernel": 3, "padding": 1}] * 2 + [{"kernel": 2, "stride": 2}]
    layers += [layers[0], {"kernel": k, "stride": 2, "padding": p, "transposed": True}]
    truth = oracle.fields(oracle.along(layers), 64)
    found = {u: sizes(net, (1, 2, 64), u)[0] for u in range(30, 36)}
    assert set(found.values()) == alternating
    assert len({found[u] for u in (30, 32, 34)}) == len({found[u] for u in (31, 33, 35)}) == 1
    for unit, size in found.items():
        assert size == oracle.extent(oracle.positions(truth[unit]))


class UNet(nn.Module):
    """Two 3-wide convolutions at each of five levels, pools of 2, transposed convolutions of 2."""

    def __init__(self) -> None:
        super().__init__()
        double = [nn.Sequential(line(3), nn.ReLU(), line(3), nn.ReLU()) for _ in range(5)]
        self.down = nn.ModuleList(double)
        self.up = nn.ModuleList(nn.ConvTranspose1d(2, 2, 2, 2) for _ in range(4))
        self.join = nn.ModuleList(nn.Sequential(line(1, c=4), line(3, c=4)) for _ in range(4))
        self.thin = nn.ModuleList(nn.Conv1d(4, 2, 3, padding=1) for _ in range(4))

    def forward(self, x: Any) -> Any:
        kept = []
        for level in self.down[:4]:
            x = level(x)
            kept.append(x)
            x = F.max_pool1d(x, 2)
        x = self.down[4](x)
        for up, join, thin in zip(self.up, self.join, self.thin, strict=True):
            x = thin(join(torch.cat([kept.pop(), up(x)], dim=1)))
        return x


def test_the_phases_of_a_u_net() -> None:
    net = UNet()
    found = Counter(sizes(net, (1, 2, 512), unit)[0] for unit in range(240, 256))
    assert set(found) == {188, 204}
    for unit in (245, 248):
        assert torch.equal(probe(net, (1, 2, 512), unit).mask, nan_mask(net, (1, 2, 512), (unit,)))


def test_the_centre_unit_does_not_look_at_the_centre_and_is_named() -> None:
    net = nn.Sequential(line(4, 2, 1), line(4, 2, 1))
    found = probe(net, (1, 2, 64))
    assert found.unit == (8,)
    assert sum(found.region[0]) / 2 == 33.5  # the image's centre is 31.5
    assert "unit 8 of 16" in str(found)
    assert "no middle" in str(found)
    assert "no middle" not in str(probe(line(3), (1, 2, 9)))


def test_holes_of_dilation() -> None:
    net = nn.Sequential(*(conv(3, padding=2, dilation=2) for _ in range(3)))
    found = probe(net)
    assert found.size == (13, 13)
    assert int(found.mask.sum()) == 49
    assert torch.equal(found.mask, found.gradient > 0)


def test_taps_that_fall_outside_count_as_clipped() -> None:
    found = probe(conv(3, padding=32, dilation=32), (1, 2, 32, 32))
    assert found.size == (1, 1)  # the border is not touched, and yet clips
    assert found.clipped
    assert sizes(conv(3, padding=32, dilation=32)) == (65, 65)


def test_the_input_does_not_matter() -> None:
    net = Net(lambda s, x: s.b(F.relu(s.a(x) - 5)) * 0.5, a=conv(3), b=conv(3))
    assert sizes(net) == (5, 5)


def test_no_activation_is_kept() -> None:
    """The cost: a linear network goes backward without what its layers put out."""
    kept: list[int] = []

    def pack(saved: torch.Tensor) -> torch.Tensor:
        kept.append(saved.numel())
        return saved

    deep = nn.Sequential(*[nn.Conv2d(1, 1, 1), nn.ReLU(), nn.BatchNorm2d(1)] * 20)
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda saved: saved):
        deep(torch.ones(1, 1, 256, 256, requires_grad=True))
        assert max(kept) >= 256**2  # what a plain pass keeps
        kept.clear()
        found = probe(deep, (1, 1, 256, 256))
    assert found.size == (1, 1)
    assert max(kept, default=0) < 256


def test_units_that_see_nothing() -> None:
    found = probe(conv(1, padding=1), (1, 2, 5, 5), unit=(0, 3))
    assert found.size == (0, 0)
    assert found.region == (Region(0, -1), Region(0, -1))
    assert not found.mask.any()
    assert found.clipped == ((True, False), (False, False))
    assert "reads no pixel" in str(found)


# Random networks against sets of integers and against NaN.


def check_random(net: Any, extents: list[int], data: st.DataObject) -> None:
    truth = []
    for axis, n in enumerate(extents):
        try:
            truth.append(oracle.fields(oracle.along(net.layers, axis), n))
        except oracle.TooSmallError:
            assume(False)
    assume(all(truth))
    unit = tuple(data.draw(st.integers(0, len(fields) - 1)) for fields in truth)
    found = probe(net.model, (1, oracle.channels(net.model), *extents), unit)
    assert found.units == tuple(len(fields) for fields in truth)
    read = [oracle.positions(fields[u]) for fields, u in zip(truth, unit, strict=True)]
    expected = torch.zeros(extents, dtype=torch.bool)
    expected[torch.meshgrid(*(torch.tensor(r, dtype=torch.long) for r in read), indexing="ij")] = (
        all(read)
    )
    assert torch.equal(found.mask, expected)
    assert torch.equal(found.gradient > 0, expected)
    for axis, (region, n) in enumerate(zip(found.region, extents, strict=True)):
        assert tuple(region) == (oracle.hull(read[axis]) if all(read) else (0, -1))
        if all(read):
            assert found.clipped[axis].before or read[axis][0] > 0
            assert found.clipped[axis].after or read[axis][-1] < n - 1


@FEW
@given(net=torch_net(modes=True), data=st.data())
def test_random_nets(net: Any, data: st.DataObject) -> None:
    check_random(
        net, data.draw(st.lists(st.integers(4, 20), min_size=net.axes, max_size=net.axes)), data
    )


@pytest.mark.slow
@settings(SLOW_FEW, max_examples=700)
@given(net=st.one_of(torch_net(modes=True), torch_net(axes=3, max_layers=3)), data=st.data())
def test_many_random_nets(net: Any, data: st.DataObject) -> None:
    largest = 10 if net.axes == 3 else 40
    axes = net.axes
    check_random(
        net, data.draw(st.lists(st.integers(4, largest), min_size=axes, max_size=axes)), data
    )


@FEW
@given(net=torch_net(axes=1, transposed=False))
def test_grown_inputs_give_the_size_of_the_recurrence(net: Any) -> None:
    assume(any(isinstance(m, nn.Conv1d) for m in net.model.modules()))
    found = probe(net.model)
    assert not found.clipped
    assert found.size == (oracle.size(oracle.along(net.layers)),)
    assert found.size == rflib.receptive_field(net.model)


def residual(s: Any, x: Any) -> Any:
    x = F.relu(s.a(x), inplace=True)
    y = s.b(F.relu(s.b(x)))
    y += x
    return F.relu_(y)


def two_rates(s: Any, x: Any) -> Any:
    small = F.avg_pool2d(x, 2)
    return s.a(x) + F.interpolate(s.b(small), size=x.shape[2:], mode="nearest")


def shuffled(s: Any, x: Any) -> Any:
    return s.b(F.channel_shuffle(s.a(x), 2)) + s.c(x)[:, :, :]


def in_place(s: Any, x: Any) -> Any:
    out = torch.zeros_like(x)
    out[..., 1:] = s.a(x)[..., :-1]
    out[:, :1].mul_(2).add_(s.a(x)[:, 1:])
    return out


def sampled(s: Any, x: Any) -> Any:
    return s.a(F.pixel_unshuffle(F.pixel_shuffle(x.repeat(1, 2, 1, 1), 2), 2))


BRANCHED = {
    "residual": (residual, {"a": conv(3), "b": conv(3, dilation=2, padding=2)}),
    "two rates": (two_rates, {"a": conv(3), "b": conv(3)}),
    "shuffled": (
        shuffled,
        {"a": conv(3, c=4, groups=2), "b": conv(3, c=4, groups=4), "c": conv(1, c=4)},
    ),
    "in place": (in_place, {"a": conv(3)}),
    "sampled": (sampled, {"a": nn.Conv2d(4, 2, 3)}),
    "unfolded": (lambda s, x: s.a(x.unfold(3, 3, 2).mean(-1)), {"a": conv(3)}),
    "rolled": (lambda s, x: s.a(x).roll(3, 2) + x, {"a": conv(3)}),
    "transposed": (lambda s, x: s.a(x.mT).permute(0, 1, 3, 2), {"a": nn.Conv2d(2, 2, (1, 5))}),
    "gated by a neighbour": (lambda s, x: s.a(x) * s.b(x).sigmoid(), {"a": conv(1), "b": conv(3)}),
    "gated in place": (
        lambda s, x: s.a(x).mul_(s.b(x).sigmoid_()).add_(1).div_(2),
        {"a": conv(1), "b": conv(3)},
    ),
    "asks for attributes": (
        lambda s, x: s.a(x) if x.requires_grad is not None and "Tensor" in s.a(x).type() else 0 * x,
        {"a": conv(3)},
    ),
    "divided": (lambda s, x: s.a(x) / (1 + s.b(x).abs()), {"a": conv(1), "b": conv(3)}),
    "squeeze and excitation": (
        lambda s, x: x * torch.sigmoid(s.a(F.adaptive_avg_pool2d(x, 1))),
        {"a": conv(1)},
    ),
    "unpooled": (
        lambda s, x: F.max_unpool2d(*F.max_pool2d(s.a(x), 2, return_indices=True), 2),
        {"a": conv(3)},
    ),
    "strip pooled": (lambda s, x: s.a(x + x.mean(dim=3, keepdim=True)), {"a": conv(3)}),
    "hand-made norm": (lambda s, x: (x - x.mean()) / x.std(), {}),
    "normalised channels": (lambda s, x: s.a(F.normalize(s.a(x), dim=1)), {"a": conv(3)}),
    "lrn": (lambda s, x: F.local_response_norm(s.a(x), 2), {"a": conv(3)}),
    "softmax over channels": (lambda s, x: s.a(x).softmax(dim=1), {"a": conv(3)}),
    "gated": (lambda s, x: F.glu(s.a(x), dim=1), {"a": conv(3)}),
    "largest channel": (lambda s, x: s.a(x).max(dim=1, keepdim=True).values, {"a": conv(3)}),
    "weights from a parameter": (
        lambda s, x: F.conv2d(x, s.w * 2) * s.scale + s.place,
        {
            "w": nn.Parameter(torch.zeros(2, 2, 3, 3)),
            "scale": nn.Parameter(torch.zeros(2, 1, 1)),
            "place": nn.Parameter(torch.zeros(1, 2, 8, 7)),
        },
    ),
}


@pytest.mark.parametrize("name", BRANCHED)
def test_any_forward_against_nan(name: str) -> None:
    run, parts = BRANCHED[name]
    model = Net(run, **parts)
    channels = 4 if name == "shuffled" else 2
    shape = (1, channels, 10, 9)
    if name in ("two rates", "unpooled", "sampled"):
        shape = (1, channels, 10, 8)
    with torch.no_grad():
        rows, columns = model(torch.ones(shape)).shape[2:]
    units = [(0, 0), (rows // 2, columns // 2), (rows - 1, 2)]
    if name == "unpooled":  # NaN is never the largest of two, so torch's own indices decide
        assert sizes(model, shape, (4, 4)) == (4, 4)
    elif name == "weights from a parameter":
        assert sizes(model, shape, (4, 4)) == (3, 3)
    else:
        check_by_nan(model, shape, *units)


def attention(s: Any, x: Any) -> Any:
    q, k, v = (part(x).mT for part in (s.q, s.k, s.v))
    return s.how(q, k, v).mT


def causal(n: int) -> torch.Tensor:
    return torch.ones(n, n, dtype=torch.bool).tril()


CAUSAL = {
    "sdpa": lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=True),
    "mask": lambda q, k, v: F.scaled_dot_product_attention(q, k, v, attn_mask=causal(len(q[0]))),
    "filled": lambda q, k, v: (
        (q @ k.mT).masked_fill(~causal(len(q[0])), float("-inf")).softmax(-1) @ v
    ),
    "added": lambda q, k, v: torch.bmm(
        F.softmax(torch.bmm(q, k.mT) / 2 + torch.full((9, 9), float("-inf")).triu(1), dim=-1), v
    ),
    "linear": lambda q, k, v: torch.einsum(
        "bij,bjd->bid", torch.einsum("bic,bjc->bij", q, k) * causal(9), v
    ),
    "divided": lambda q, k, v: ((a := (q @ k.mT).exp().tril()) / a.sum(dim=-1, keepdim=True)) @ v,
}


@pytest.mark.parametrize("how", CAUSAL)
def test_causal_attention_reads_the_past(how: str) -> None:
    parts = {name: nn.Conv1d(2, 4, 1) for name in "qkv"}
    model = Net(attention, how=CAUSAL[how], **parts)
    for unit in (0, 4, 8):
        assert probe(model, (1, 2, 9), unit).region == (Region(0, unit),)


@pytest.mark.parametrize("encoder", [False, True])
def test_attention_is_global(encoder: bool) -> None:
    if encoder:
        layer = nn.TransformerEncoderLayer(4, 2, 8, batch_first=True)
        model = Net(lambda s, x: s.part(x.mT).mT, part=layer)
    else:
        part = nn.MultiheadAttention(4, 2, batch_first=True)
        model = Net(lambda s, x: s.part(*[x.mT] * 3)[0].mT, part=part)
    found = probe(model, (1, 4, 9), 2)
    assert found.mask.all()
    assert any("softmax (in submodule 'part" in name for name in found.global_)


def test_a_mask_of_multi_head_attention_blocks() -> None:
    def banded(s: Any, x: Any) -> Any:
        band = (torch.arange(9)[:, None] - torch.arange(9)).abs() > 1
        return s.part(*[x.mT] * 3, attn_mask=band)[0].mT

    model = Net(banded, part=nn.MultiheadAttention(4, 2, batch_first=True))
    assert probe(model, (1, 4, 9), 4).region == (Region(3, 5),)


def test_an_index_of_the_largest_is_read_but_does_not_choose() -> None:
    labels = Net(lambda s, x: s.a(x).argmax(dim=1, keepdim=True), a=conv(3))
    assert sizes(labels) == (3, 3)


def test_attention_with_a_window_is_local() -> None:
    def windows(s: Any, x: Any) -> Any:
        tokens = x.mT.reshape(3, 4, 2)  # three windows of four tokens
        return s.part(tokens, tokens, tokens)[0].reshape(1, 12, 2).mT

    model = Net(windows, part=nn.MultiheadAttention(2, 1, batch_first=True))
    found = probe(model, (1, 2, 12), 5)
    assert found.region == (Region(4, 7),)
    assert not found.global_


# The same step as a module, as a function, as a method, in place.

FORMS: dict[str, list[Any]] = {
    "relu": [nn.ReLU(), nn.ReLU(True), F.relu, torch.relu, F.relu_, lambda x: x.relu_()],
    "clamp": [nn.Hardtanh(), lambda x: x.clamp(0, 1), lambda x: torch.clamp_(x, max=0), F.relu6],
    "smooth": [nn.Hardswish(), F.silu, F.gelu, nn.Softplus(), torch.sigmoid, torch.tanh, F.mish],
    "odd": [torch.abs, torch.sin, torch.sign, torch.round, torch.floor, lambda x: x**2, torch.exp],
    "types": [lambda x: x.half(), lambda x: x.to(torch.float32), lambda x: x.long().float()],
    "cut": [lambda x: x.detach(), lambda x: x.data, lambda x: (x > 0) * x, lambda x: x.bool()],
    "off": [nn.Dropout(), lambda x: F.dropout(x, 0.5, True), F.dropout2d, nn.AlphaDropout()],
    "choice": [lambda x: torch.where(x > 0, x, 0), lambda x: x.masked_fill(x < 0, 0), nn.PReLU(2)],
    "norm": [
        nn.BatchNorm2d(2),
        lambda x: F.batch_norm(x, torch.zeros(2), torch.ones(2), training=True),
    ],
    "scale": [lambda x: 0.1 * x, lambda x: -x, lambda x: 1 - x, lambda x: 1 / x, lambda x: x / -3],
    "max pool": [
        nn.MaxPool2d(2),
        lambda x: F.max_pool2d(x, 2),
        lambda x: torch.max_pool2d(x, (2, 2)),
        lambda x: F.max_pool2d(x, 2, return_indices=True)[0],
        nn.LPPool2d(2, 2),
        nn.AvgPool2d(2),
    ],
    "up": [
        nn.Upsample(scale_factor=2),
        lambda x: F.interpolate(x, scale_factor=2),
        lambda x: x.repeat_interleave(2, 2).repeat_interleave(2, 3),
    ],
}


@pytest.mark.parametrize("step", FORMS)
def test_every_form_of_a_step_gives_the_same_field(step: str) -> None:
    masks = []
    for form in FORMS[step]:
        middle = form if isinstance(form, nn.Module) else Net(lambda s, x, f=form: f(x))
        masks.append(probe(nn.Sequential(conv(3), middle, conv(3)), (1, 2, 16, 16)).mask)
    width = {"max pool": 8, "up": 4}.get(step, 5)
    assert masks[0].sum() == width**2
    assert all(torch.equal(mask, masks[0]) for mask in masks)


@pytest.mark.parametrize("axes", [1, 2, 3])
@pytest.mark.parametrize(
    "window", [(2, 2, 0, 1), (3, 2, 1, 1), (3, 1, 1, 2), (2, 3, 1, 1), (5, 3, 2, 1), (2, 2, 0, 3)]
)
@pytest.mark.parametrize("ceil_mode", [False, True])
def test_the_geometry_of_max_pools(axes: int, window: tuple[int, ...], ceil_mode: bool) -> None:
    pool = getattr(nn, f"MaxPool{axes}d")(*window, ceil_mode=ceil_mode)
    shape = (1, 1, *(7, 8, 9)[:axes])
    units = pool(torch.zeros(shape)).shape[2:]
    check_by_nan(pool, shape, *({(0,) * axes, tuple(n - 1 for n in units)}))


@pytest.mark.parametrize("factor", [2, 3, 5])
@pytest.mark.parametrize("mode", ["nearest", "nearest-exact", "area"])
def test_upsampling_by_copies(mode: str, factor: int) -> None:
    net = nn.Upsample(scale_factor=factor, mode=mode)
    check_by_nan(net, (1, 1, 8), *((unit,) for unit in range(8 * factor)))


@pytest.mark.parametrize("factor", [2, 3, 4, 5])
@pytest.mark.parametrize("align", [False, True])
def test_linear_upsampling(align: bool, factor: int) -> None:
    """Two neighbours, or one where a unit stands on it, however torch rounds its place."""
    net = nn.Upsample(scale_factor=factor, mode="linear", align_corners=align)
    units = 8 * factor
    for unit in range(units):
        twice = 2 * factor  # places in exact halves
        place = Fraction(7 * unit, units - 1) if align else Fraction(2 * unit + 1 - factor, twice)
        place = min(max(place, Fraction(0)), Fraction(7))
        found = probe(net, (1, 1, 8), unit)
        assert found.region == (Region(floor(place), ceil(place)),)
        assert torch.equal(found.gradient > 0, found.mask)
    assert not probe(net, (1, 1, 8), units // 2).clipped
    assert probe(net, (1, 1, 8), 0).clipped


def test_bicubic_weights_of_both_signs_do_not_cancel() -> None:
    net = nn.Upsample(scale_factor=2, mode="bicubic")
    assert sizes(net, (1, 1, 12, 12), (13, 12)) == (4, 4)
    found = probe(nn.Sequential(net, conv(5, c=1), conv(5, c=1)), (1, 1, 20, 20), (20, 20))
    assert found.size == (8, 8)
    assert found.mask.sum() == 64
    assert not found.underflow


# The reader's model stays as it is.


def fingerprint(model: nn.Module) -> list[Any]:
    """Everything that a probe could have changed, byte for byte."""

    def of(tensor: torch.Tensor | None) -> Any:
        if tensor is None:
            return None
        raw = tensor.detach().contiguous().view(-1).view(torch.uint8).numpy().tobytes()
        return raw, tensor.dtype, tensor.device, tensor.requires_grad, id(tensor), tensor.is_leaf

    seen: list[Any] = [model.training, torch.get_rng_state().numpy().tobytes(), random.getstate()]
    seen += [torch.get_default_dtype(), torch.is_grad_enabled(), torch.is_inference_mode_enabled()]
    for name, module in model.named_modules():
        seen.append((name, id(module), module.training, sorted(vars(module))))
        seen += [
            (key, list(value.items()))
            for key, value in vars(module).items()
            if key.endswith("hooks")
        ]
        seen += [(key, repr(v)) for key, v in vars(module).items() if isinstance(v, (int, list))]
    for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
        seen.append((name, of(tensor), of(tensor.grad), tensor._version, tensor._backward_hooks))
    return seen


def touchy() -> nn.Module:
    """A model that keeps accounts of its own runs, in every way that a forward can."""

    def run(s: Any, x: Any) -> Any:
        s.runs += 1
        s.seen.append(x)
        s.count.add_(1)
        noise = torch.rand(1)
        x = s.norm(s.normed(s.first(x + noise)))
        s.last = x
        return F.dropout(x.relu_(), 0.5)

    normed = nn.utils.parametrizations.weight_norm(conv(3))
    model = Net(run, first=conv(3), normed=normed, norm=nn.BatchNorm2d(2))
    model.runs, model.seen = 0, []
    model.register_buffer("count", torch.zeros(1))
    model.first.weight.requires_grad_(False)
    model(torch.ones(2, 2, 8, 8)).sum().backward()
    model.last, model.seen = None, []
    model.norm.eval()
    model.first.weight.register_hook(print) if model.first.weight.requires_grad else None
    return model


@pytest.mark.parametrize("around", ["nothing", "no_grad", "inference_mode", "autocast"])
def test_the_model_is_untouched(around: str) -> None:
    model = touchy()
    calls: list[Any] = []
    model.register_forward_hook(lambda *_: calls.append("after"))
    model.norm.register_forward_pre_hook(lambda *_: calls.append("before"))
    before = fingerprint(model)
    surroundings = {
        "nothing": torch.enable_grad(),
        "no_grad": torch.no_grad(),
        "inference_mode": torch.inference_mode(),
        "autocast": torch.autocast("cpu"),
    }
    with surroundings[around]:
        found = probe(model, (1, 2, 20, 20))
        grown = probe(model, layer="norm")
    assert found.size == grown.size == (5, 5)
    assert found.gradient.dtype == torch.float64
    assert fingerprint(model) == before
    assert calls == []


def test_the_model_is_untouched_when_the_probe_fails() -> None:
    model = nn.Sequential(conv(3), Net(lambda s, x: x * x.sum().item()))
    before = fingerprint(model)
    with pytest.raises(ProbeError):
        probe(model)
    assert fingerprint(model) == before


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_models_of_any_float_type(kind: torch.dtype) -> None:
    assert sizes(nn.Sequential(conv(3), nn.GELU(), conv(3)).to(kind)) == (5, 5)


def test_models_made_in_inference_mode_or_with_weights_that_are_computed() -> None:
    with torch.inference_mode():
        made = nn.Sequential(conv(3), conv(3))
    assert sizes(made) == (5, 5)
    with pytest.warns(FutureWarning, match="weight_norm"):
        old = nn.utils.weight_norm(conv(3))
    old(torch.ones(1, 2, 8, 8))  # now its weight is the result of a computation
    assert sizes(nn.Sequential(old, nn.utils.spectral_norm(conv(3)))) == (5, 5)


def test_zero_weights_count_and_masked_weights_do_not() -> None:
    zero = conv(3)
    nn.init.zeros_(zero.weight)
    assert sizes(zero) == (3, 3)

    def masked(s: Any, x: Any) -> Any:  # the mask of a PixelCNN
        return F.conv2d(x, s.inner.weight * s.mask, padding=1)

    model = Net(masked, inner=conv(3))
    model.register_buffer("mask", torch.tensor([[1.0, 1, 1], [1, 0, 0], [0, 0, 0]]))
    found = probe(model, (1, 2, 7, 7))
    assert found.mask[2:5, 2:5].tolist() == [[True] * 3, [True, False, False], [False] * 3]


def test_the_same_seed_gives_the_same_gradient() -> None:
    net = nn.Sequential(conv(3), nn.ReLU(), conv(3))
    first, again, other = (probe(net, (1, 2, 9, 9), seed=seed) for seed in (0, 0, 1))
    assert torch.equal(first.gradient, again.gradient)
    assert not torch.equal(first.gradient, other.gradient)
    assert torch.equal(first.mask, other.mask)


# Axes, units, layers, results.


def test_axes_differ() -> None:
    net = nn.Sequential(nn.Conv2d(1, 2, (1, 7)), nn.Conv2d(2, 2, (5, 3), stride=(2, 1)))
    found = probe(net, unit=(3, 4))
    assert found.region == (Region(6, 10), Region(4, 12))
    assert found.size == (5, 9)
    volume = probe(nn.Sequential(nn.Conv3d(1, 2, (3, 1, 5)), nn.MaxPool3d((1, 2, 1))))
    assert volume.size == (3, 2, 5)
    assert volume.mask.shape == volume.input_size[2:]


def test_grown_inputs_are_as_large_as_needed_per_axis() -> None:
    found = probe(nn.Conv2d(1, 1, (3, 101), padding=(1, 50)))
    assert found.size == (3, 101)
    assert found.input_size == (1, 1, 32, 128)


def test_inputs_that_are_too_small_for_the_model_are_grown() -> None:
    assert sizes(line(99, padding=0)) == (99,)


def test_a_unit_at_the_corner_stays_clipped() -> None:
    found = probe(conv(5), unit=(0, 0))
    assert found.region == (Region(0, 2), Region(0, 2))
    assert found.clipped == ((True, False), (True, False))
    assert found.clipped[0].before
    assert not found.clipped[0].after
    assert probe(conv(5), unit=(100, 3)).size == (5, 5)


def test_submodules_and_calls() -> None:
    net = nn.Sequential(conv(3), nn.Sequential(conv(3), nn.ReLU(inplace=True)), conv(3))
    assert [sizes(net, layer=name) for name in ("0", "1.0", "1", "2", None)] == [
        (3, 3),
        (5, 5),
        (5, 5),
        (7, 7),
        (7, 7),
    ]
    shared = conv(3)
    thrice = nn.Sequential(shared, shared, shared)
    last = probe(thrice, layer="0")
    assert last.size == (7, 7)
    assert last.calls == (3, 3)
    assert "call 3 of 3" in str(last)
    assert probe(thrice, layer="0@1").size == probe(thrice, layer="1@1").size == (3, 3)
    assert probe(thrice, layer="2@2").calls == (2, 3)


def test_a_layer_is_what_it_was_before_others_wrote_into_it() -> None:
    def run(s: Any, x: Any) -> Any:
        y = s.a(x)
        y += s.b(x)
        return y

    net = Net(run, a=conv(1), b=conv(5))
    assert sizes(net, layer="a") == (1, 1)
    assert sizes(net) == (5, 5)


def test_a_classifier_has_one_unit() -> None:
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2, 3)]
    found = probe(nn.Sequential(conv(3), *head), (1, 2, 9, 9))
    assert found.unit == ()
    assert found.mask.all()
    assert found.global_ == ("adaptive_avg_pool2d (in submodule '1')",)


def test_a_squeeze_and_excitation_gate_is_global_and_named() -> None:
    gate = Net(lambda s, x: x * s.a(x.mean((2, 3), keepdim=True)).sigmoid(), a=conv(1))
    net = nn.Sequential(conv(3), gate)
    found = probe(net, (1, 2, 16, 16))
    assert found.mask.all()
    assert found.global_ == ("mean (in submodule '1')",)
    with pytest.raises(ValueError, match=r"mean \(in submodule '1'\)"):
        probe(net)
    assert probe(net, layer="0").size == (3, 3)


def test_a_large_field_is_not_called_global() -> None:
    net = nn.Sequential(conv(9), Net(lambda s, x: x.softmax(dim=1)), conv(9))
    found = probe(net, (1, 2, 8, 8))
    assert found.mask.all()
    assert found.clipped
    assert found.global_ == ()


def test_no_grad_in_forward_hides_nothing() -> None:
    def run(s: Any, x: Any) -> Any:
        with torch.no_grad():
            y = s.a(x)
        return s.a(y.detach())

    assert sizes(Net(run, a=conv(3))) == (5, 5)


def test_the_result() -> None:
    found = probe(nn.Sequential(conv(3), conv(3)), (1, 2, 9, 9))
    assert isinstance(found, Probe)
    assert (found.size, found.unit, found.units) == ((5, 5), (4, 4), (9, 9))
    assert (found.input_size, found.layer, found.calls) == ((1, 2, 9, 9), "", (1, 1))
    assert found.mask.dtype == torch.bool
    assert torch.equal(found.mask.nonzero()[0], torch.tensor([2, 2]))
    assert not found.gradient.requires_grad
    assert str(found) == (
        "Receptive field of unit (4, 4) of 9 x 9, input 2 x 9 x 9\n"
        "  axis 0: 5 pixels, 2 to 6\n"
        "  axis 1: 5 pixels, 2 to 6"
    )
    assert repr(found) == str(found)
    with pytest.raises(dataclasses.FrozenInstanceError):
        found.unit = (0, 0)  # type: ignore[misc]


def test_the_result_as_a_table() -> None:
    html = probe(conv(5), (1, 2, 9, 9), (0, 4))._repr_html_()
    assert "<caption>Receptive field of unit (0, 4) of 9 x 9, input 2 x 9 x 9</caption>" in html
    rows = re.findall(r"<td>(.*?)</td>", html)
    assert rows == ["3", "0", "2", "before", "5", "2", "6", "no"]
    assert "CLIPPED" in html


# What cannot be probed says why.


def forward(run: Any) -> nn.Module:
    return Net(run, a=conv(3))


class Doubled(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        return x * 2

    @staticmethod
    def backward(ctx: Any, gradient: Any) -> Any:
        return gradient * 2


def inference(s: Any, x: Any) -> Any:
    with torch.inference_mode():
        return s.a(x)


REFUSED = {
    "item": (lambda s, x: x * s.a(x).sum().item(), r"item \(in forward\).*Python"),
    "if": (lambda s, x: x if s.a(x).mean() > 0 else -x, "Python"),
    "numpy": (lambda s, x: torch.from_numpy(s.a(x).detach().numpy()), "numpy"),
    "index": (lambda s, x: x[:, :, s.a(x).argmax(2)[0, 0]], r"getitem \(in forward\).*positions"),
    "mask": (lambda s, x: x[x > 0].view(1, 2, -1), "positions"),
    "gather": (lambda s, x: x.gather(2, s.a(x).long()), r"gather.*positions"),
    "topk": (lambda s, x: x.topk(2, dim=2)[0], r"no rule for topk \(in forward\)"),
    "sort": (lambda s, x: s.a(x.sort(2).values), "no rule for sort"),
    "fft": (lambda s, x: torch.fft.fft2(s.a(x)).real, "no rule for fft_fft2"),
    "nonzero": (lambda s, x: torch.nonzero(s.a(x)), "no rule for nonzero"),
    "where": (lambda s, x: torch.where(x > 0)[0], "positions"),
    "inference_mode": (inference, r"conv2d \(in submodule 'a'\).*without gradient"),
    "custom function": (lambda s, x: Doubled.apply(s.a(x)), "mul.*autograd.Function"),
    "warped": (
        lambda s, x: F.grid_sample(x, s.a(x).permute(0, 2, 3, 1), align_corners=False),
        "grid_sampler?.*positions",
    ),
    "constant": (lambda s, x: torch.ones(1, 2, 3, 3), "does not depend on the input"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_a_gradient_cannot_show_is_refused(name: str) -> None:
    run, message = REFUSED[name]
    with pytest.raises(ProbeError, match=message):
        probe(forward(run), (1, 2, 8, 8))


def test_an_unknown_operator_names_its_submodule() -> None:
    net = nn.Sequential(conv(3), nn.Sequential(forward(lambda s, x: x.cummax(2)[0])))
    with pytest.raises(ProbeError, match=r"no rule for cummax \(in submodule '1.0'\)"):
        probe(net)


GOOD, SHAPE = conv(3), (1, 2, 8, 8)
BAD_MODELS: list[tuple[Any, type[Exception], str]] = [
    ([conv(3)], TypeError, r"model=.*nn.Sequential\(\*model\)"),
    ((3, 1, 1), TypeError, "model=.*rflib.recurrence"),
    (None, TypeError, "model=None"),
    ("resnet18", TypeError, "model='resnet18'"),
    (nn.Conv2d, TypeError, r"Conv2d\(\.\.\.\)"),
    (torch.relu, TypeError, "must be a torch.nn.Module"),
    (nn.ModuleList([conv(3)]), TypeError, "ModuleList has no forward"),
    (nn.Bilinear(2, 2, 2), TypeError, r"needs 2 inputs \(input1, input2\)"),
    (nn.LazyConv2d(2, 3), TypeError, "'weight' is not initialised"),
    (conv(3).to("meta"), TypeError, "'weight' lies on the meta device"),
    (nn.Conv2d(2, 2, 3, dtype=torch.complex64), TypeError, "'weight' has the type torch.complex64"),
    (Net(lambda s, x: (x, x)), TypeError, "output is a tuple of 2"),
    (Net(lambda s, x: {"out": x}), TypeError, "output is a dict with 'out'"),
    (Net(lambda s, x: None), TypeError, "output is a NoneType"),
    (Net(lambda s, x: x.sum()), ValueError, r"output has the shape \(\)"),
    (Net(lambda s, x: x.repeat(3, 1, 1, 1)), ValueError, r"output has the shape \(3, 2, 8, 8\)"),
    (Net(lambda s, x: x[:, :, 8:]), ValueError, r"output has the shape \(1, 2, 0, 8\)"),
    (Net(lambda s, x: s.missing(x)), ValueError, "forward fails: AttributeError"),
    (nn.Conv2d(3, 2, 3), ValueError, "forward fails.*3 channels"),
    (nn.Conv2d(2, 2, 9), ValueError, "forward fails.*[Kk]ernel size"),
]


@pytest.mark.parametrize(("model", "kind", "message"), BAD_MODELS)
def test_bad_models(model: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        probe(model, SHAPE)


@pytest.mark.filterwarnings("ignore:.*torch.jit.trace:DeprecationWarning")
def test_scripted_and_uncopiable_models() -> None:
    scripted = torch.jit.trace(conv(3), torch.ones(SHAPE))
    with pytest.raises(TypeError, match="ScriptModule"):
        probe(nn.Sequential(scripted), SHAPE)
    stuck = conv(3)
    stuck.stream = (n for n in range(3))
    with pytest.raises(TypeError, match="cannot be copied"):
        probe(stuck, SHAPE)


BAD_ARGUMENTS: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"input_size": 32}, TypeError, "input_size=32"),
    ({"input_size": "1,2,8,8"}, TypeError, "input_size='1,2,8,8'"),
    ({"input_size": (8, 8)}, ValueError, r"input_size=\(8, 8\).*\(1, channels, \*axes\)"),
    ({"input_size": (1, 2)}, ValueError, "one to three axes"),
    ({"input_size": ()}, ValueError, r"input_size=\(\)"),
    ({"input_size": (1, 2, 3, 4, 5, 6)}, ValueError, "one to three axes"),
    ({"input_size": (2, 2, 8, 8)}, ValueError, "batch is 2"),
    ({"input_size": (0, 2, 8, 8)}, ValueError, "batch is 0"),
    ({"input_size": (1, 0, 8, 8)}, ValueError, "at least 1"),
    ({"input_size": (1, 2, -8, 8)}, ValueError, "at least 1"),
    ({"input_size": (1, 2, 8.0, 8)}, TypeError, "8.0 is not a whole number"),
    ({"input_size": (1, 2, float("nan"), 8)}, TypeError, "nan is not a whole number"),
    ({"input_size": (1, 2, True, 8)}, TypeError, "True is not a whole number"),
    ({"input_size": (1, 2, (8, 8))}, TypeError, "is not a whole number"),
    ({"input_size": (1, 2, None, 8)}, TypeError, "None is not a whole number"),
    ({"unit": (0,)}, ValueError, r"unit=\(0,\): give one index per axis .*\(8 x 8\)"),
    ({"unit": 8}, ValueError, "unit=8: axis 0 has units 0 to 7"),
    ({"unit": (0, 0, 0)}, ValueError, "one index per axis"),
    ({"unit": ()}, ValueError, "one index per axis"),
    ({"unit": (-1, 0)}, ValueError, "axis 0 has units 0 to 7"),
    ({"unit": (0, 8)}, ValueError, "axis 1 has units 0 to 7"),
    ({"unit": (0.5, 0)}, TypeError, "0.5 is not a whole number"),
    ({"unit": (True, 0)}, TypeError, "True is not a whole number"),
    ({"unit": "centre"}, TypeError, "unit='centre'"),
    ({"unit": ("1", 2)}, TypeError, "'1' is not a whole number"),
    ({"unit": (float("nan"), 0)}, TypeError, "nan is not a whole number"),
    ({"layer": "wait"}, ValueError, "layer='wait' is not a submodule.*'weight_net'"),
    ({"layer": "weight_net.0"}, ValueError, "not a submodule"),
    ({"layer": "a@0"}, ValueError, "number of the call, from 1"),
    ({"layer": "a@last"}, ValueError, "number of the call, from 1"),
    ({"layer": "a@2"}, ValueError, "called 1 times"),
    ({"layer": "weight_net"}, ValueError, "never called"),
    ({"layer": 3}, TypeError, "layer=3"),
    ({"layer": GOOD}, TypeError, "layer=Conv2d"),
    ({"seed": -1}, ValueError, "seed=-1"),
    ({"seed": 0.5}, TypeError, "seed=0.5"),
    ({"seed": None}, TypeError, "seed=None"),
    ({"seed": True}, TypeError, "seed=True"),
]


@pytest.mark.parametrize(("arguments", "kind", "message"), BAD_ARGUMENTS)
def test_bad_arguments(arguments: dict[str, Any], kind: type[Exception], message: str) -> None:
    model = Net(lambda s, x: s.a(x), a=GOOD, weight_net=nn.Identity())
    with pytest.raises(kind, match=message):
        probe(model, **{"input_size": SHAPE, **arguments})


def test_inputs_that_cannot_be_found() -> None:
    with pytest.raises(ValueError, match=r"input_size=None.*no convolution"):
        probe(nn.MaxPool2d(2))
    with pytest.raises(ValueError, match=r"forward fails.*in submodule '1'.*give input_size"):
        probe(nn.Sequential(conv(3), nn.Conv2d(3, 3, 1)))
    with pytest.raises(ValueError, match="exceeds"):
        probe(nn.Sequential(*(nn.Conv3d(1, 1, 1, 4) for _ in range(5)), nn.Conv3d(1, 1, 2)))


@pytest.mark.slow
def test_a_resnet_152_with_few_channels() -> None:
    class Bottleneck(nn.Module):
        def __init__(self, stride: int) -> None:
            super().__init__()
            self.main = nn.Sequential(conv(1), nn.BatchNorm2d(2), nn.ReLU(True), conv(3, stride))
            self.short = conv(1, stride) if stride > 1 else nn.Identity()

        def forward(self, x: Any) -> Any:
            return F.relu(self.main(x) + self.short(x), inplace=True)

    depths = [3, 8, 36, 3]
    blocks = [
        Bottleneck(2 if stage and not block else 1)
        for stage, depth in enumerate(depths)
        for block in range(depth)
    ]
    found = probe(nn.Sequential(conv(7, 2), nn.MaxPool2d(3, 2, 1), *blocks))
    assert found.size == (1451, 1451)
    assert not found.clipped
    assert not found.underflow


@pytest.mark.slow
def test_152_convolutions_of_7_in_two_dimensions() -> None:
    """Wide enough along one axis; along the other, the border clips."""
    found = probe(nn.Sequential(*(conv(7, c=1) for _ in range(152))), (1, 1, 920, 16), (460, 3))
    assert found.size == (913, 16)
    assert found.clipped == ((False, False), (True, True))
    assert int(found.mask.sum()) == 913 * 16
    assert not found.underflow


ONE = torch.ones(1, 3, 1)
LENT: dict[str, Callable[[Tensor], Tensor]] = {
    "to": lambda x: x * ONE.to(x),
    "type_as": lambda x: x * ONE.type_as(x),
    "expand_as": lambda x: x * ONE.expand_as(x),
    "view_as": lambda x: x * torch.ones(1, 3, 16).view_as(x),
    "broadcast_tensors": lambda x: torch.broadcast_tensors(ONE, x)[0] * x,
    "the image broadcast": lambda x: torch.broadcast_tensors(x, ONE)[0],
    "where": lambda x: torch.where(torch.ones(16, dtype=torch.bool), x, torch.zeros(()).to(x)),
    "a fixed kernel of one": lambda x: F.conv1d(x, torch.ones(3, 1, 1).to(x), groups=3),
    "new_tensor": lambda x: x * x.new_tensor([1.0, 2.0, 3.0]).view(1, 3, 1),
    "the image viewed": lambda x: x.view_as(torch.ones(1, 3, 16)),
}


@pytest.mark.parametrize("name", LENT)
def test_a_constant_to_which_the_image_lends_its_shape_stays_one(name: str) -> None:
    net = Net(lambda m, x: m.conv(LENT[name](x)), conv=nn.Conv1d(3, 3, 3))
    assert rflib.probe(net, (1, 3, 16), unit=3).region == ((3, 5),)
    assert rflib.trace(net, (1, 3, 16)).output.region(3) == ((3, 5),)


@pytest.mark.filterwarnings("ignore:To copy construct from a tensor")
@pytest.mark.parametrize(
    "copied", [lambda x: x.new_tensor(x), lambda x: x.new_tensor(data=x)], ids=["first", "by name"]
)
def test_numbers_that_new_tensor_takes_from_the_image_are_not_lost(
    copied: Callable[[Tensor], Tensor],
) -> None:
    net = Net(lambda m, x: x + copied(m.conv(x)), conv=nn.Conv1d(3, 3, 3, padding=1))
    with pytest.raises(rflib.ProbeError, match="no rule for new_tensor"):
        rflib.probe(net, (1, 3, 16), unit=3)


@pytest.mark.parametrize("choice", ["mode", "kthvalue", "median"])
def test_one_of_a_pair(choice: str) -> None:
    """The default dim of mode and kthvalue is the last, not all of them."""
    arguments = {"mode": (), "kthvalue": (2,), "median": (-1,)}[choice]

    def forward(m: Net, x: Tensor) -> Tensor:
        pairs = torch.stack([m.conv(x), m.conv(x).roll(1, 2)], -1)
        return getattr(pairs, choice)(*arguments)[0]

    net = Net(forward, conv=nn.Conv1d(3, 3, 3))
    assert rflib.probe(net, (1, 3, 16), unit=3).region == ((2, 5),)
    assert rflib.trace(net, (1, 3, 16)).output.region(3) == ((2, 5),)


class HoldsOn(nn.Module):
    """A function that is stored, and that copy.deepcopy leaves as it is."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(3)
        self.stored = lambda x: self.norm(x)

    def forward(self, x: Tensor) -> Tensor:
        return self.stored(x)


@pytest.mark.parametrize(
    "measure",
    [
        rflib.probe,
        rflib.trace,
        lambda model, size: rflib.effective(model, size, theoretical=False),
    ],
    ids=["probe", "trace", "effective"],
)
def test_a_forward_that_reaches_the_readers_own_module_is_refused(measure: Any) -> None:
    model = HoldsOn().train()
    with pytest.raises((RuntimeError, ValueError), match=r"own submodule 'norm'.*Make .* a method"):
        measure(model, (1, 3, 16, 16))
    assert model.norm.num_batches_tracked == 0
    assert not torch.nn.modules.module._global_forward_pre_hooks
    assert rflib.trace(model.eval(), (1, 3, 16, 16)).output.size == (1, 1)
