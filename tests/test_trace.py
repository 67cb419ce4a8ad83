"""What `rflib.trace` promises beside its rules: published fields, an untouched model, words."""

from __future__ import annotations

from collections import namedtuple
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import rflib
from rflib import networks

Pair = namedtuple("Pair", "near far")


@dataclass
class Record:
    first: Any
    rest: Any


def conv(k: int = 3, **more: Any) -> nn.Conv2d:
    return nn.Conv2d(4, 4, k, padding=more.pop("padding", k // 2), **more)


class Call(nn.Module):
    """A model whose forward is a function of itself and its inputs; `parts` are its submodules."""

    def __init__(self, function: Any, **parts: nn.Module) -> None:
        super().__init__()
        for name, part in parts.items():
            self.add_module(name, part)
        self.function = function

    def forward(self, *inputs: Any, **named: Any) -> Any:
        return self.function(self, *inputs, **named)


SIZE = (1, 4, 32, 32)

# Published fields.

PUBLISHED = {
    "alexnet": ("features", 195, 32),  # Araujo et al. 2019
    "vgg16": ("features", 212, 32),
    "googlenet": ("inception5b", 379, 32),
    "inception_v2": (None, 699, 32),
    "inception_v3": ("Mixed_7c", 1311, 32),
    "inception_v4": (None, 2071, 32),
    "inception_resnet_v2": (None, 3039, 32),
    "mobilenet_v1": (None, 315, 32),
    "resnet18": ("layer4", 435, 32),
    "resnet34": ("layer4", 899, 32),
    "resnet50": ("layer4", 427, 32),
    "resnet101": ("layer4", 971, 32),
    "resnet152": ("layer4", 1451, 32),
    "densenet121": ("features", 2071, 32),
    "patchgan": ("", 70, 8),  # Isola et al. 2017
}


def on_meta(name: str, **options: Any) -> nn.Module:
    """A network without numbers, which trace does not ask for."""
    with torch.device("meta"):
        return networks.build(name, **options)


LARGE = ("inception_v4", "inception_resnet_v2", "densenet121")


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[pytest.mark.slow] * (n in LARGE)) for n in PUBLISHED]
)
def test_published_fields(name: str) -> None:
    path, size, jump = PUBLISHED[name]
    t = rflib.trace(on_meta(name), networks.NAMES[name].input_size)
    if path is None:  # the last map before the global pool
        path = [p for p in t if t[p].jump == (jump, jump) and not t[p].global_][-1]
    assert t[path].size == (size, size)
    assert t[path].jump == (jump, jump)
    assert not any(t[path].clipped)


@pytest.mark.slow
@pytest.mark.parametrize(("depth", "size"), [(50, 483), (101, 1027), (152, 1507)])
def test_fields_with_the_stride_on_the_first_1x1(depth: int, size: int) -> None:
    t = rflib.trace(networks.resnet(depth, stride_on="1x1"), (1, 3, 224, 224))
    assert t["layer4"].size == (size, size)


def test_execution_counts_and_not_definition() -> None:
    model = networks.simple_cnn()
    assert rflib.trace(model, (1, 1, 32, 32)).output.size == (8, 8)
    with pytest.warns(rflib.DefinitionOrderWarning):
        assert rflib.receptive_field(rflib.read(model, order="definition")) == (6, 6)


def test_units_of_a_u_net_differ() -> None:
    field = rflib.trace(networks.build("unet", width=4), (1, 1, 256, 256)).output
    assert [size for size, _ in field.sizes[0]] == [204, 188]
    assert field.size == (204, 204)
    assert field.varies
    seen = {field.region((unit, 128))[0].size for unit in range(120, 136)}
    assert seen == {188, 204}


# The model.


def test_the_model_is_left_as_it_was() -> None:
    model = nn.Sequential(conv(), nn.BatchNorm2d(4), nn.Dropout(), nn.Sequential(conv()))
    called = []
    model[0].register_forward_hook(lambda *_: called.append("hook"))
    model(torch.rand(2, 4, 8, 8)).sum().backward()
    called.clear()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    grads = {k: p.grad.clone() for k, p in model.named_parameters()}  # type: ignore[union-attr]
    state = torch.get_rng_state()
    rflib.trace(model, (1, 4, 9, 9)).output.size  # noqa: B018 (it is measured on a larger input)
    assert torch.equal(torch.get_rng_state(), state)
    assert not called
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    for name, parameter in model.named_parameters():
        assert torch.equal(parameter.grad, grads[name])  # type: ignore[arg-type]
        assert not parameter.is_meta
    assert all(module.training for module in model.modules())
    assert len(model[0]._forward_hooks) == 1
    assert not hasattr(model[0].weight, "_rflib")


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_any_type_of_numbers(dtype: torch.dtype) -> None:
    assert rflib.trace(conv().to(dtype), SIZE).output.size == (3, 3)


def test_a_model_without_numbers_and_one_from_torch_compile() -> None:
    with torch.device("meta"):
        bare = conv()
    assert rflib.trace(bare, SIZE).output.size == (3, 3)
    wrapped = Call(lambda m, x: x, _orig_mod=conv(5))
    assert rflib.trace(wrapped, SIZE).output.size == (5, 5)


def test_weights_that_are_computed() -> None:
    model = nn.Sequential(
        torch.nn.utils.parametrizations.weight_norm(conv()),
        torch.nn.utils.parametrizations.spectral_norm(conv()),
    )
    assert rflib.trace(model, SIZE).output.size == (5, 5)


def test_without_gradients_and_in_inference_mode() -> None:
    def forward(m: Any, x: Tensor) -> Tensor:
        with torch.inference_mode():
            x = F.dropout(F.max_pool2d(m.a(x), 1).reshape(x.shape), 0.5, False)
            x = F.linear(x.permute(0, 2, 3, 1), torch.ones(4, 4)).permute(0, 3, 1, 2).softmax(1)
        with torch.no_grad():
            return m.a(x)

    with torch.inference_mode():
        assert rflib.trace(Call(forward, a=conv()), SIZE).output.size == (5, 5)


# Inputs and outputs.


def two(m: Any, image: Tensor, depth: Tensor) -> Any:
    near, far = m.a(image), m.b(depth)
    return {"sum": near + far, "pair": Pair(near, far), "record": Record(near, [far])}


def test_several_inputs_and_nested_outputs() -> None:
    model = Call(two, a=conv(), b=conv(5))
    t = rflib.trace(model, [SIZE, SIZE])
    named = rflib.trace(model, {"image": SIZE, "depth": SIZE})
    assert set(t.outputs) == {"sum", "pair.near", "pair.far", "record.first", "record.rest.0"}
    assert t.of(":sum", 0).size == (3, 3)
    assert t.of(":sum", 1).size == named.of(":sum", "depth").size == (5, 5)
    assert t.of(":pair.far", 0).empty
    assert t.of("b", 1).region((9, 9)) == ((7, 11), (7, 11))
    with pytest.raises(KeyError, match="several tensors"):
        t.output  # noqa: B018


def test_modules_called_twice_or_never() -> None:
    model = Call(lambda m, x: m.a(m.a(x)), a=conv(), idle=conv())
    t = rflib.trace(model, SIZE)
    assert (t["a@1"].size, t["a@2"].size, t["a"].size) == ((3, 3), (5, 5), (5, 5))
    assert t.calls("a") == 2
    assert t.never_called == ("idle",)
    with pytest.raises(KeyError, match="never called"):
        t["idle"]


class Keeps(nn.Module):
    """Writes what it saw into a part of a buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("seen", torch.zeros(1, 4, 5))

    def forward(self, x: Tensor) -> Tensor:
        self.seen[:, :, :3] = x[:, :, :3]
        return self.seen * 1


def test_nothing_is_left_of_an_earlier_run() -> None:
    field = rflib.trace(Keeps(), (1, 4, 8)).output
    assert field.size == (1,)  # measured on a larger input, by a second run
    assert [field.reads(unit)[0] for unit in range(5)] == [(0,), (1,), (2,), (), ()]  # by a third


def test_control_flow_on_shapes() -> None:
    def forward(m: Any, x: Tensor) -> Tensor:
        while x.shape[-1] > 8:
            x = F.max_pool2d(m.a(x), 2)
        return x

    assert rflib.trace(Call(forward, a=conv()), SIZE).output.units == (8, 8)


# Through a whole map or not.


def gate(m: Any, x: Tensor) -> Tensor:
    x = m.a(x)
    return x * m.b(x.mean((2, 3), keepdim=True)).sigmoid()


GLOBAL = {
    "gate": (Call(gate, a=conv(), b=conv(1)), "mean", (3, 3)),
    "group norm": (nn.Sequential(conv(), nn.GroupNorm(2, 4)), "native_group_norm", (3, 3)),
    "instance norm": (nn.Sequential(conv(), nn.InstanceNorm2d(4)), "native_batch_norm", (3, 3)),
    "gate of branches": (
        Call(
            lambda m, x: (
                (y := torch.cat([m.a(x), m.b(x)], 1)) * y.mean((2, 3), keepdim=True).sigmoid()
            ),
            a=conv(3),
            b=conv(5),
        ),
        "mean",
        (5, 5),
    ),
}


@pytest.mark.parametrize("name", GLOBAL)
def test_operators_that_read_a_whole_map(name: str) -> None:
    model, operator, local = GLOBAL[name]
    field = rflib.trace(model, SIZE).output
    assert field.size == (32, 32)
    assert field.global_[0].startswith(operator)
    assert field.local.size == local
    assert field.local.global_ == ()


def test_a_norm_over_channels_reads_no_map() -> None:
    def forward(m: Any, x: Tensor) -> Tensor:
        return F.layer_norm(m.a(x).permute(0, 2, 3, 1), (4,)).permute(0, 3, 1, 2)

    field = rflib.trace(Call(forward, a=conv()), SIZE).output
    assert field.size == (3, 3)
    assert field.global_ == ()


def test_attention_is_global_and_patches_are_local() -> None:
    t = rflib.trace(on_meta("vit_b_16"), (1, 3, 224, 224))
    assert t["conv_proj"].size == (16, 16)
    assert t["encoder"].size == (224, 224)
    assert t["encoder"].local.size == (16, 16)
    assert t.output.global_


@pytest.mark.slow
@pytest.mark.parametrize("side", [224, 448])
def test_windows_of_attention_are_not_global(side: int) -> None:
    """By hand: a window has seven units; those that shift span two that did not."""
    t = rflib.trace(on_meta("swin_t"), (1, 3, side, side))
    sizes = {
        "features.1.0": 28,  # seven patches of four pixels
        "features.1.1": 56,
        "features.2": 84,  # four neighbours merged, some of them across two windows
        "features.3.0": 112,  # seven units of 8 pixels, and what is around them of 1.1's windows
        "features.3.1": 168,
        "features.5.0": 280,
        "features.5.1": 392,
    }
    for path, size in sizes.items():
        assert t[path].size == (size, size), path
        assert t[path].global_ == ()
    assert t["features.7"].global_ == ()
    assert t.output.global_ == ("mean in avgpool",)
    # The mask lets no unit see across the border around which the roll went.
    assert t["features.1.1"].region((0, 55)) == ((0, 27), (196, 223 if side == 224 else 251))


def test_attention_over_a_fixed_number_of_places_is_global() -> None:
    attend = nn.MultiheadAttention(4, 1, batch_first=True)

    def forward(m: Any, x: Tensor) -> Tensor:
        places = F.adaptive_avg_pool2d(x, 4).flatten(2).transpose(1, 2)
        return m.attend(places, places, places)[0]

    field = rflib.trace(Call(forward, attend=attend), (1, 4, 32, 32)).output
    assert field.size == (32, 32)
    assert field.global_
    assert all(region.empty for region in field.local.region(0))  # there is no other path


# Inputs on which the border clips everything.


def test_adaptive_pools_are_not_measured_on_larger_inputs() -> None:
    model = nn.Sequential(conv(), nn.AdaptiveAvgPool2d(8), conv(9))
    field = rflib.trace(model, (1, 4, 16, 16)).output
    assert field.measured_at == (1, 4, 16, 16)
    assert all(field.clipped)


def test_a_model_of_one_size_says_that_it_is_clipped() -> None:
    class Fixed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = conv(9), conv(9)
            self.place = nn.Parameter(torch.zeros(1, 4, 8, 8))

        def forward(self, x: Tensor) -> Tensor:
            return self.b(self.a(x + self.place))

    t = rflib.trace(Fixed(), (1, 4, 8, 8))
    assert t.output.clipped == (True, True)
    assert ">= 8" in str(t)


# Tiles.

TILED = {
    "u-net": (networks.build("unet", width=2, levels=2), 1),
    "u-net, bilinear": (networks.build("unet", width=2, levels=2, up="bilinear"), 1),
    "strided": (nn.Sequential(nn.Conv2d(1, 2, 5, 2, 2), nn.Conv2d(2, 2, 3, 2, 1)), 4),
    "dilated": (
        nn.Sequential(
            nn.Conv2d(1, 2, 3, padding=2, dilation=2), conv_ := nn.Conv2d(2, 1, 3, padding=1)
        ),
        1,
    ),
}


def tiled(model: nn.Module, image: Tensor, tile: int, around: int, jump: int) -> Tensor:
    """The model run on tiles with their surroundings, along both axes."""
    n = image.shape[-1]
    cuts = [(at, max(0, at - around), min(n, at + tile + around)) for at in range(0, n, tile)]
    rows = []
    for top, r0, r1 in cuts:
        row = []
        for left, c0, c1 in cuts:
            made = model(image[..., r0:r1, c0:c1])
            keep = [
                slice((a - b) // jump, (a - b + tile) // jump) for a, b in ((top, r0), (left, c0))
            ]
            row.append(made[..., keep[0], keep[1]])
        rows.append(torch.cat(row, -1))
    return torch.cat(rows, -2)


@pytest.mark.parametrize("name", TILED)
def test_tiles_with_a_halo_are_exact_and_with_less_are_not(name: str) -> None:
    model, jump = TILED[name]
    model = model.double().eval()
    torch.manual_seed(0)
    for parameter in model.parameters():
        nn.init.uniform_(parameter, -0.5, 0.5)
    halo = rflib.trace(model, (1, 1, 128, 128)).halo()[0]
    assert halo.jump == jump
    image = torch.randn(1, 1, 128, 128, dtype=torch.float64)
    tile = 32
    assert tile % halo.step == 0
    with torch.no_grad():
        whole = model(image)
        for around in (max(halo.before, halo.after), max(halo.before, halo.after) - halo.step):
            same = torch.allclose(
                tiled(model, image, tile, around, jump), whole, rtol=0, atol=1e-12
            )
            assert same == (around >= max(halo.before, halo.after)), around


class ToInput(nn.Module):
    """Resampled to the size of the input, as the heads of segmentation networks do."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(*[nn.Conv1d(1, 1, 3, 2, 1) for _ in range(3)])

    def forward(self, x: Tensor) -> Tensor:
        return F.interpolate(self.body(x), size=x.shape[-1], mode="linear")


def resampled(scale: float, mode: str = "linear", **options: Any) -> nn.Module:
    return nn.Sequential(
        nn.Conv1d(1, 1, 3, 2, 1), nn.Upsample(scale_factor=scale, mode=mode, **options)
    )


@pytest.mark.parametrize(
    ("model", "n", "jump"),
    [
        (resampled(1.1), 400, Fraction(20, 11)),
        (resampled(0.9), 400, Fraction(20, 9)),
        (resampled(1.5), 96, Fraction(4, 3)),
        (resampled(1.3, "nearest"), 400, Fraction(20, 13)),
        (ToInput(), 96, 1),
        (nn.Conv1d(1, 1, 3, padding=1, padding_mode="reflect"), 64, 1),
    ],
    ids=["1.1", "0.9", "1.5", "1.3 nearest", "to the input's size", "reflect"],
)
def test_tiles_of_a_line(model: nn.Module, n: int, jump: Fraction) -> None:
    model = model.double().eval()
    torch.manual_seed(0)
    for parameter in model.parameters():
        nn.init.uniform_(parameter, -0.5, 0.5)
    (halo,) = rflib.trace(model, (1, 1, n)).halo()
    assert halo.jump == jump
    assert n % halo.step == 0
    image = torch.randn(1, 1, n, dtype=torch.float64)
    tile = 2 * halo.step if halo.step > 1 else 16
    with torch.no_grad():
        whole, parts = model(image), []
        for at in range(0, n, tile):
            begin, end = max(0, at - halo.before), min(n, at + tile + halo.after)
            units = [(at - begin) / jump, (min(at + tile, n) - begin) / jump]
            assert [u.denominator for u in map(Fraction, units)] == [1, 1]
            parts.append(model(image[..., begin:end])[..., slice(*map(int, units))])
    assert torch.allclose(torch.cat(parts, -1), whole, rtol=0, atol=1e-6)


def test_an_axis_that_would_fill_the_memory_is_refused() -> None:
    with pytest.raises(ValueError, match=r"an axis of 999,999,999 positions.*smaller input_size"):
        rflib.trace(nn.Conv2d(1, 1, 3), (1, 1, 999_999_999, 8))


class Cropped(nn.Module):
    """Doubles and leaves out the first, so that a tile lacks what the image has there."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv1d(1, 1, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(F.interpolate(x, scale_factor=2)[..., 1:])


def cropped(kernel: int, stride: int, padding: int, then: int = 3) -> nn.Module:
    up = nn.ConvTranspose1d(1, 1, kernel, stride, padding)
    return nn.Sequential(up, nn.Conv1d(1, 1, then, padding=then // 2))


@pytest.mark.parametrize(
    ("model", "before", "after"),
    [
        (cropped(3, 3, 1), 1, 1),
        (cropped(4, 4, 1), 1, 1),
        (cropped(8, 8, 2), 1, 1),
        (cropped(2, 2, 1), 1, 2),
        (cropped(1, 2, 0), 1, 1),
        (cropped(4, 2, 1), 1, 1),
        (cropped(2, 1, 2, then=1), 0, 3),
        (Cropped(), 1, 1),
        (
            nn.Sequential(
                nn.Conv1d(1, 1, 3, padding=1),
                nn.Conv1d(1, 1, 3, stride=3, padding=2, padding_mode="reflect"),
            ),
            3,
            3,
        ),
    ],
    ids=["3/3", "4/4", "8/8", "2/2", "gaps", "4/2", "short", "sliced", "reflected"],
)
def test_tiles_where_maps_are_cropped(model: nn.Module, before: int, after: int) -> None:
    """Found by an attacker: the fields fit into the tile, but its map ends too early."""
    torch.manual_seed(0)
    model = model.double().eval()
    (halo,) = rflib.trace(model, (1, 1, 48)).halo()
    assert (halo.before, halo.after) == (before, after)
    n, tile = 96, 24
    image = torch.randn(1, 1, n, dtype=torch.float64)
    with torch.no_grad():
        whole, parts = model(image), []
        for at in range(0, n, tile):
            begin, end = max(0, at - halo.before), min(n, at + tile + halo.after)
            stop = None if at + tile == n else int((at + tile - begin) / halo.jump)
            parts.append(model(image[..., begin:end])[..., int((at - begin) / halo.jump) : stop])
    assert torch.allclose(torch.cat(parts, -1), whole, rtol=0, atol=1e-9)


class Turned(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv1d(1, 1, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x).flip(-1)


def circular(layers: int = 1) -> nn.Module:
    return nn.Sequential(
        *[nn.Conv1d(1, 1, 3, padding=1, padding_mode="circular") for _ in range(layers)]
    )


def circles() -> nn.Module:
    first = nn.Conv1d(1, 1, 3, 2, 1, padding_mode="circular")
    return nn.Sequential(first, nn.AvgPool1d(4, 3, 1), nn.Conv1d(1, 1, 5, 2, 1))


@pytest.mark.parametrize(
    ("model", "n", "words"),
    [
        (resampled(2, align_corners=True), 64, "aligned corners"),
        (nn.Upsample(scale_factor=4, mode="linear", align_corners=True), 64, "aligned corners"),
        (ToInput(), 100, "an input of another size"),
        (nn.Upsample(size=64), 64, "an input of another size"),
        (circular(), 8, "circular padding"),
        (circular(), 64, "circular padding"),
        (circular(5), 64, "circular padding"),
        (circular(), 20_000, "circular padding"),
        (circles(), 24, "circular padding"),
        (circles(), 48, "circular padding"),
        (Turned(), 64, "regular distances"),
    ],
    ids=[
        *("corners", "4", "100 of 13", "to 64", "circle 8", "circle 64"),
        *("five circles", "circle 20000", "circles 24", "circles 48", "turned"),
    ],
)
def test_no_halo_where_tiles_cannot_be_exact(model: nn.Module, n: int, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        rflib.trace(model, (1, 1, n)).halo()


@pytest.mark.parametrize("n", [16, 20, 50, 64, 100])
@pytest.mark.parametrize("scale", [0.7, 0.9, 1.1, 1.3, 1.5])
@pytest.mark.parametrize("mode", ["linear", "nearest", "nearest-exact"])
def test_a_jump_at_any_scale(n: int, scale: float, mode: str) -> None:
    """What seems to repeat after a few units may not: 11/10 takes eleven to repeat."""
    (jump,) = rflib.trace(resampled(scale, mode), (1, 1, n)).output.jump
    right = Fraction(20, round(10 * scale))
    assert jump == right


@pytest.mark.parametrize("n", [50, 100, 200, 300])
def test_a_jump_to_the_input_s_size(n: int) -> None:
    (jump,) = rflib.trace(ToInput(), (1, 1, n)).output.jump
    assert jump in (None, Fraction(-(-n // 8) * 8, n))


def test_a_decimal_scale_is_its_decimals() -> None:
    model = nn.Upsample(scale_factor=0.6, mode="linear")
    output = rflib.trace(model, (1, 1, 31)).output
    for unit in range(output.units[0]):
        assert output.region(unit) == rflib.probe(model, (1, 1, 31), unit=unit).region


def test_no_halo_where_the_whole_map_is_read() -> None:
    with pytest.raises(ValueError, match="reads the whole map"):
        rflib.trace(GLOBAL["gate"][0], SIZE).halo()


def test_a_hidden_stride_shows_in_the_step_of_tiles() -> None:
    def forward(m: Any, x: Tensor) -> Tensor:
        return m.a(x) + F.interpolate(F.max_pool2d(x, 4), scale_factor=4)

    halo = rflib.trace(Call(forward, a=conv(15)), (1, 4, 64, 64)).halo()[0]
    assert halo.step == 4


# Words.

REFUSED = {
    "item": (lambda m, x: x * x.max().item(), "hands numbers"),
    "branch": (lambda m, x: x if x.sum() > 0 else -x, "hands numbers"),
    "masked index": (lambda m, x: x[x > 0], "decides by values"),
    "nonzero": (lambda m, x: x.nonzero(), "decides by values"),
    "computed places": (
        lambda m, x: x.scatter(2, x.long(), x),
        "decides by values",
    ),
    "computed copy": (
        lambda m, x: x.index_copy(2, x[0, 0, 0, :1].long(), x[:, :, :1]),
        "decides by values",
    ),
    "array": (lambda m, x: torch.as_tensor(x.detach().numpy()), "hands numbers"),
    "list": (lambda m, x: torch.tensor(x.tolist()), "hands numbers"),
    "computed index": (lambda m, x: x[:, :, x[0, 0, 0].long()], "decides by values"),
    "grid": (
        lambda m, x: F.grid_sample(x, x[:, :2].permute(0, 2, 3, 1), align_corners=False),
        "decides by values",
    ),
    "as strided": (
        lambda m, x: x.as_strided((1, 4, 2, 2), (1, 1, 1, 1)),
        "views, slices or unfold",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_values_decide_is_refused_and_placed(name: str) -> None:
    function, words = REFUSED[name]
    inner = Call(function)
    with pytest.raises(rflib.TraceError, match=words) as error:
        rflib.trace(nn.Sequential(conv(), inner), SIZE)
    assert "submodule '1'" in str(error.value)


@torch.library.custom_op("rflib_test::blur", mutates_args=())
def blur(x: Tensor) -> Tensor:
    return F.avg_pool2d(x, 3, 1, 1)


@blur.register_fake
def _(x: Tensor) -> Tensor:
    return torch.empty_like(x)


def test_an_unknown_operator_is_named_and_can_be_taught(monkeypatch: pytest.MonkeyPatch) -> None:
    from rflib import _tracer

    monkeypatch.setattr(_tracer, "RULES", _tracer.RULES.copy())
    model = nn.Sequential(conv(), Call(lambda m, x: blur(x)))
    with pytest.raises(rflib.TraceError, match=r"rflib_test::blur \(in submodule '1'\)") as error:
        rflib.trace(model, SIZE)
    assert "@rflib.rule('rflib_test::blur')" in str(error.value)
    t = rflib.trace(model, SIZE, unknown="everything")
    assert t.everything == ("rflib_test::blur in 1",)
    assert t.output.size == (32, 32)
    assert "let see everything" in str(t)

    @rflib.rule("rflib_test::blur")
    def taught(x: rflib.Map) -> rflib.Map:
        return x.window(-1, 3, padding=1).window(-2, 3, padding=1)

    assert rflib.trace(model, SIZE).output.size == (5, 5)
    with pytest.raises(ValueError, match="has a rule already"):
        rflib.rule("rflib_test::blur")(taught)
    _tracer.RULES["rflib_test::blur"] = (lambda x: x.slice(2, 0, 3), False)
    with pytest.raises(rflib.TraceError, match=r"its rule gives the shape \(1, 4, 3, 32\)"):
        rflib.trace(model, SIZE)
    _tracer.RULES["rflib_test::blur"] = (lambda x: 3, False)
    with pytest.raises(rflib.TraceError, match="must return a Map; got 3"):
        rflib.trace(model, SIZE)


def test_it_prints_as_a_table() -> None:
    model = nn.Sequential(nn.Conv2d(4, 4, 3, dilation=2), nn.ConvTranspose2d(4, 4, 3, 2))
    t = rflib.trace(model, SIZE)
    assert str(t).splitlines() == [
        "submodule  units    size  jump  start",
        "0             28       5     1      2  a hull",
        "1             57  6 or 5   1/2    3/2  a hull",
        "output        57  6 or 5   1/2    3/2  a hull",
    ]
    assert t._repr_html_().count('scope="row"') == 3
    assert repr(t["0"]) == "'0': 5; 1; 2; a hull"


def test_units_that_see_padding_only() -> None:
    field = rflib.trace(nn.Conv2d(4, 4, 1, padding=2), SIZE).output
    assert field.region((0, 9)) == ((0, -1), (0, -1))
    assert field.reads((0, 9)) == ((), ())
    assert field.blind == 36 * 36 - 32 * 32
    assert f"{field.blind} units see padding only" in repr(field)


def test_reaches_is_the_inverse_of_reads() -> None:
    field = rflib.trace(nn.Sequential(conv(3, stride=2), conv(3, dilation=2)), SIZE).output
    for pixel in range(32):
        units = [u for u in range(field.units[0]) if pixel in field.reads((u, 0))[0]]
        first, last = field.reaches((pixel, 0))[0]
        assert (first, last) == ((units[0], units[-1]) if units else (0, -1))


# Nonsense is answered in words that name the argument, the value and what is allowed.

FIELD = rflib.trace(conv(), SIZE).output
T = rflib.trace(nn.Sequential(conv(), conv()), SIZE)

NONSENSE = {
    **{
        f"model {value!r:.30}": (lambda value=value: rflib.trace(value, SIZE), "model must")
        for value in (None, 3, "resnet", [conv()], (conv(),), nn.Conv2d, {}, torch.zeros(1), print)
    },
    "model without forward": (lambda: rflib.trace(nn.Module(), SIZE), "model must have a forward"),
    "list of modules": (lambda: rflib.trace(nn.ModuleList([conv()]), SIZE), "model must"),
    "lazy model": (lambda: rflib.trace(nn.LazyConv2d(4, 3), SIZE), "model must be initialised"),
    **{
        f"input_size {value!r}": (lambda value=value: rflib.trace(conv(), value), "input_size")
        for value in (
            3,
            "1,4,32,32",
            (1, 4),
            (1, 4, 0, 32),
            (1, 4, -3, 32),
            (2, 4, 32, 32),
            (1, 4, 32.0, 32),
            (1, 4, float("nan"), 32),
            (1, 4, "32", 32),
            (1, True, 32, 32),
            (1, 4, 5, 5, 5, 5),
            (),
            [],
            [(1, 4)],
            [SIZE, "x"],
            {"x": 3},
            (1, 3, 32, 32),
            (1, 4, None, 32),
            torch.Size([1, 4]),
        )
    },
    **{
        f"unknown {value!r}": (
            lambda value=value: rflib.trace(conv(), SIZE, unknown=value),
            "unknown must be 'error' or 'everything'",
        )
        for value in (None, True, "all", 1)
    },
    **{
        f"unit {value!r}": (lambda value=value: FIELD.region(value), "unit must")
        for value in (-1, 32, (0,), (0, 0, 0), 1.0, "a", None, True, (0, 32), (0, -1), [[0], 0])
    },
    **{
        f"reads {value!r}": (lambda value=value: FIELD.reads(value), "unit must")
        for value in (-1, (0, 0, 0), 1.5)
    },
    **{
        f"pixel {value!r}": (lambda value=value: FIELD.reaches(value), "pixel must")
        for value in (-1, 32, (0, 0, 0), "x")
    },
    **{
        f"path {value!r}": (lambda value=value: T[value], words)
        for value, words in (
            ("2", "not a submodule"),
            ("0@2", "called 1 times"),
            ("0:x", "gives no tensor|not"),
            (0, "path must"),
            (None, "path must"),
        )
    },
    **{
        f"input {value!r}": (lambda value=value: T.of("0", value), "input must be")
        for value in (1, -1, "x", None, True)
    },
    **{
        f"rule {value!r}": (lambda value=value: rflib.rule(value), "names must")
        for value in (None, "", " ", "relu", "aten::", "::relu", 3, "a b")
    },
}


@pytest.mark.parametrize("name", NONSENSE)
def test_nonsense_is_answered_in_words(name: str) -> None:
    call, words = NONSENSE[name]
    with pytest.raises((TypeError, ValueError, KeyError), match=words):
        call()


def test_of_two_that_are_written_to_one_place_the_last_counts() -> None:
    def forward(m: Any, x: Tensor) -> Tensor:
        y = m.a(x)
        z = y.clone()
        z[:, :, torch.tensor([0, 0])] = y[:, :, 5:7]
        return z

    output = rflib.trace(Call(forward, a=nn.Conv1d(4, 4, 3)), (1, 4, 16)).output
    assert list(output.reads(0)[0]) == [6, 7, 8]
    assert list(output.reads(1)[0]) == [1, 2, 3]


def test_a_module_that_was_compiled_in_place_is_followed() -> None:
    net = nn.Sequential(nn.Conv2d(3, 3, 3), nn.Conv2d(3, 3, 3))
    net.compile()
    net[1].compile()
    t = rflib.trace(net, (1, 3, 9, 9))
    assert (t["0"].size, t.output.size, t.never_called) == ((3, 3), (5, 5), ())


def test_an_output_that_is_empty_along_one_axis_is_refused_as_torch_does() -> None:
    net = nn.ConvTranspose2d(1, 1, (2, 3), padding=(1, 0))
    with pytest.raises(RuntimeError, match="Output size is too small"):
        net(torch.zeros(1, 1, 1, 3))
    with pytest.raises(ValueError, match="Output size is too small"):
        rflib.trace(net, (1, 1, 1, 3))
