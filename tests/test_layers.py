"""The vocabulary: layers from numbers, dicts and torch modules, and what cannot be placed."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
import warnings
from collections import OrderedDict
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import rflib
from rflib import Layer


def numbers(layer: Layer, axis: int = 0) -> tuple[Any, ...]:
    """kernel, stride, padding before and after, dilation of one axis."""
    one = layer.axis(axis)
    return one.kernel, one.stride, (one.before, one.after), one.dilation


def only(layers: object) -> Layer:
    (layer,) = rflib.read(layers)
    return layer


# Layers.


def test_defaults() -> None:
    layer = Layer(3)
    assert numbers(layer) == (3, 1, (0, 0), 1)
    assert layer.axes is None
    assert (layer.transposed, layer.output_padding, layer.ceil_mode) == (False, 0, False)
    assert (layer.padding_mode, layer.name) == ("zeros", "")


def test_a_layer_is_frozen_equal_by_value_and_hashable() -> None:
    layer = Layer(kernel=3, stride=2, padding=1, dilation=1)
    assert layer == Layer(3, 2, 1, 1)
    assert len({layer, Layer(3, 2, 1, 1), Layer(3)}) == 2
    with pytest.raises(dataclasses.FrozenInstanceError):
        layer.kernel = 5  # type: ignore[misc]


def test_repr_makes_the_same_layer() -> None:
    for layer in (
        Layer(3),
        Layer(7, stride=2, padding=3, name="conv1"),
        Layer((3, 5), padding=((1, 2), (0, 1)), dilation=(1, 2)),
        Layer(4, 2, 1, transposed=True, output_padding=1),
        Layer(3, padding="same"),
    ):
        assert eval(repr(layer), {"Layer": Layer}) == layer


def test_str_is_short() -> None:
    assert str(Layer(7, 2, name="conv1")) == "conv1 7/2"
    assert "d2" in str(Layer(3, dilation=2))
    assert "transposed" in str(Layer(3, transposed=True))


@pytest.mark.parametrize(
    ("layer", "axes"),
    [
        (Layer(3), None),
        (Layer((3,)), 1),
        (Layer(3, stride=(1, 2)), 2),
        (Layer(3, padding=(1, 2)), 2),
        (Layer(3, padding=((1, 2),)), 1),
        (Layer(3, padding=((1, 2), 0)), 2),
        (Layer(3, dilation=(1, 1, 1)), 3),
        (Layer(3, padding="same"), None),
        (Layer(3, (1, 1), "same"), 2),
    ],
)
def test_axes(layer: Layer, axes: int | None) -> None:
    assert layer.axes == axes


def test_padding_of_one_axis() -> None:
    assert numbers(Layer(3, padding=2))[2] == (2, 2)
    layer = Layer(3, padding=((1, 2), 4))
    assert numbers(layer, 0)[2] == (1, 2)
    assert numbers(layer, 1)[2] == (4, 4)
    assert numbers(Layer(3, padding="valid"))[2] == (0, 0)


@pytest.mark.parametrize(
    ("kernel", "dilation", "pads"),
    [(3, 1, (1, 1)), (2, 1, (0, 1)), (4, 1, (1, 2)), (4, 3, (4, 5)), (1, 1, (0, 0))],
)
def test_same_padding_as_torch(kernel: int, dilation: int, pads: tuple[int, int]) -> None:
    assert numbers(Layer(kernel, padding="same", dilation=dilation))[2] == pads
    conv = nn.Conv1d(1, 1, kernel, padding="same", dilation=dilation)
    assert tuple(reversed(conv._reversed_padding_repeated_twice)) == pads[::-1]
    assert numbers(only(conv))[2] == pads


# Reading numbers.


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ((3,), (3, 1, (0, 0), 1)),
        ((3, 2), (3, 2, (0, 0), 1)),
        ((3, 2, 1), (3, 2, (1, 1), 1)),
        ((3, 2, 1, 4), (3, 2, (1, 1), 4)),
        ([3, 2], (3, 2, (0, 0), 1)),
        ((3, 1, "same"), (3, 1, (1, 1), 1)),
        ({"kernel": 5}, (5, 1, (0, 0), 1)),
        ({"kernel": 5, "stride": 2, "padding": 1, "dilation": 3}, (5, 2, (1, 1), 3)),
        (Layer(9, 3), (9, 3, (0, 0), 1)),
    ],
)
def test_one_entry(entry: object, expected: tuple[Any, ...]) -> None:
    assert numbers(only([entry])) == expected


def test_entries_of_all_kinds_in_one_list() -> None:
    layers = rflib.read([(3,), {"kernel": 2, "stride": 2}, Layer(5), nn.Conv2d(1, 1, 7)])
    assert [numbers(layer)[0] for layer in layers] == [3, 2, 5, 7]


def test_any_sequence_will_do() -> None:
    assert rflib.read((Layer(3), Layer(5))) == rflib.read([(3,), (5,)])
    assert rflib.read(entry for entry in [(3,), (5,)]) == rflib.read([(3,), (5,)])
    assert rflib.read(Layer(3)) == (Layer(3),)
    assert rflib.read(rflib.read([(3,), (5,)])) == rflib.read([(3,), (5,)])


def test_per_axis_entries() -> None:
    layer = only([((3, 5), (1, 2), ((0, 1), 2))])
    assert numbers(layer, 0) == (3, 1, (0, 1), 1)
    assert numbers(layer, 1) == (5, 2, (2, 2), 1)


def test_numpy_integers_are_integers() -> None:
    np = pytest.importorskip("numpy")
    layer = Layer(np.int64(3), stride=np.int32(2))
    assert layer == Layer(3, 2)
    assert type(layer.kernel) is int


# Reading torch modules.

MODULES = {
    "Conv1d": (nn.Conv1d(1, 1, 3, 2, 1, 2), [(3, 2, (1, 1), 2)]),
    "Conv2d": (
        nn.Conv2d(1, 1, (3, 5), (1, 2), (0, 2), (2, 1)),
        [(3, 1, (0, 0), 2), (5, 2, (2, 2), 1)],
    ),
    "Conv3d": (
        nn.Conv3d(1, 1, (1, 3, 5), padding=(0, 1, 2)),
        [(1, 1, (0, 0), 1), (3, 1, (1, 1), 1), (5, 1, (2, 2), 1)],
    ),
    "Conv2d same": (nn.Conv2d(1, 1, 4, padding="same"), [(4, 1, (1, 2), 1)] * 2),
    "Conv2d valid": (nn.Conv2d(1, 1, 4, padding="valid"), [(4, 1, (0, 0), 1)] * 2),
    "Conv2d depthwise": (nn.Conv2d(4, 4, 3, groups=4), [(3, 1, (0, 0), 1)] * 2),
    "MaxPool1d": (nn.MaxPool1d(2), [(2, 2, (0, 0), 1)]),  # the stride is the kernel
    "MaxPool2d": (nn.MaxPool2d(3, 2, 1, 2), [(3, 2, (1, 1), 2)] * 2),
    "MaxPool3d": (nn.MaxPool3d((1, 2, 2)), [(1, 1, (0, 0), 1), *[(2, 2, (0, 0), 1)] * 2]),
    "AvgPool1d": (nn.AvgPool1d(3, 1, 1), [(3, 1, (1, 1), 1)]),
    "AvgPool2d": (nn.AvgPool2d((2, 3)), [(2, 2, (0, 0), 1), (3, 3, (0, 0), 1)]),
    "AvgPool3d": (nn.AvgPool3d(2), [(2, 2, (0, 0), 1)] * 3),
    "LPPool1d": (nn.LPPool1d(2, 3, 2), [(3, 2, (0, 0), 1)]),
    "LPPool2d": (nn.LPPool2d(2, (3, 2)), [(3, 3, (0, 0), 1), (2, 2, (0, 0), 1)]),
    "LPPool3d": (nn.LPPool3d(2, 3), [(3, 3, (0, 0), 1)] * 3),
    "ZeroPad1d": (nn.ZeroPad1d((1, 2)), [(1, 1, (1, 2), 1)]),
    "ZeroPad2d": (nn.ZeroPad2d((1, 2, 3, 4)), [(1, 1, (3, 4), 1), (1, 1, (1, 2), 1)]),
    "ZeroPad3d": (
        nn.ZeroPad3d((1, 2, 3, 4, 5, 6)),
        [(1, 1, (5, 6), 1), (1, 1, (3, 4), 1), (1, 1, (1, 2), 1)],
    ),
    "ConstantPad2d": (nn.ConstantPad2d(2, 1.5), [(1, 1, (2, 2), 1)] * 2),
    "ReflectionPad2d": (nn.ReflectionPad2d(1), [(1, 1, (1, 1), 1)] * 2),
    "ReplicationPad1d": (nn.ReplicationPad1d(1), [(1, 1, (1, 1), 1)]),
}


@pytest.mark.parametrize(("module", "expected"), MODULES.values(), ids=MODULES.keys())
def test_module_that_reads(module: nn.Module, expected: list[tuple[Any, ...]]) -> None:
    layer = only(module)
    assert layer.axes == len(expected)
    assert not layer.transposed
    assert [numbers(layer, axis) for axis in range(len(expected))] == expected


WRITERS = {
    "ConvTranspose1d": (nn.ConvTranspose1d(1, 1, 3, 2, 1, 1), [(3, 2, (1, 1), 1)]),
    "ConvTranspose2d": (
        nn.ConvTranspose2d(1, 1, (3, 4), (2, 3), (1, 0), 1, dilation=2),
        [(3, 2, (1, 1), 2), (4, 3, (0, 0), 2)],
    ),
    "ConvTranspose3d": (nn.ConvTranspose3d(1, 1, 2, 2), [(2, 2, (0, 0), 1)] * 3),
    "PixelShuffle": (nn.PixelShuffle(2), [(2, 2, (0, 0), 1)] * 2),
    "linear": (nn.Upsample(scale_factor=2, mode="linear"), [(4, 2, (1, 1), 1)]),
    "bilinear 2": (nn.Upsample(scale_factor=2, mode="bilinear"), [(4, 2, (1, 1), 1)] * 2),
    "bilinear 3": (nn.Upsample(scale_factor=3, mode="bilinear"), [(5, 3, (1, 1), 1)] * 2),
    "trilinear": (nn.Upsample(scale_factor=4, mode="trilinear"), [(8, 4, (2, 2), 1)] * 3),
    "nearest per axis": (
        nn.Upsample(scale_factor=(2, 3)),
        [(2, 2, (0, 0), 1), (3, 3, (0, 0), 1)],
    ),
    "UpsamplingNearest2d": (nn.UpsamplingNearest2d(scale_factor=2), [(2, 2, (0, 0), 1)] * 2),
}


@pytest.mark.parametrize(("module", "expected"), WRITERS.values(), ids=WRITERS.keys())
def test_module_that_writes(module: nn.Module, expected: list[tuple[Any, ...]]) -> None:
    layer = only(module)
    assert layer.transposed
    assert [numbers(layer, axis) for axis in range(len(expected))] == expected


def test_what_else_a_module_says() -> None:
    assert only(nn.ConvTranspose1d(1, 1, 3, 2, 1, 1)).axis(0).output_padding == 1
    assert only(nn.MaxPool2d(2, ceil_mode=True)).ceil_mode
    assert only(nn.AvgPool1d(2, ceil_mode=True)).ceil_mode
    assert only(nn.LPPool1d(2, 2, ceil_mode=True)).ceil_mode
    assert only(nn.Conv1d(1, 1, 3, padding=1, padding_mode="circular")).padding_mode == "circular"
    assert only(nn.ReflectionPad1d(1)).padding_mode == "reflect"
    assert only(nn.CircularPad3d(1)).padding_mode == "circular"


def test_nearest_upsampling_fits_any_number_of_axes() -> None:
    up = nn.Upsample(scale_factor=2)
    assert rflib.receptive_field([nn.Conv1d(1, 1, 3), up]) == (3,)
    assert rflib.receptive_field([nn.Conv3d(1, 1, 3), up]) == (3, 3, 3)
    assert rflib.receptive_field([nn.Conv2d(1, 1, 3), up, nn.Conv2d(1, 1, 3)]) == (4, 4)


@pytest.mark.parametrize(
    "module",
    [
        nn.Identity(),
        nn.ReLU(),
        nn.GELU(),
        nn.SiLU(),
        nn.PReLU(),
        nn.Sigmoid(),
        nn.LogSigmoid(),
        nn.Hardsigmoid(),
        nn.Hardswish(),
        nn.Threshold(0.1, 0.0),
        nn.Dropout(),
        nn.Dropout2d(),
        nn.BatchNorm1d(2),
        nn.BatchNorm2d(2),
        nn.BatchNorm3d(2),
        nn.LocalResponseNorm(2),
        nn.Softmax(dim=1),
        nn.ChannelShuffle(2),
    ],
    ids=lambda module: type(module).__name__,
)
def test_layers_without_extent_change_nothing(module: nn.Module) -> None:
    layers = [(3, 2, 1), module, (3, 1, 1)]
    plain = rflib.recurrence([(3, 2, 1), (3, 1, 1)])[-1]
    with_it = rflib.recurrence(layers)[-1]
    assert (with_it.jump, with_it.start) == (plain.jump, plain.start)
    assert with_it.size == plain.size


def test_sequential_nested() -> None:
    block = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU())
    model = nn.Sequential(
        OrderedDict(stem=block, pool=nn.MaxPool2d(2), body=nn.Sequential(nn.Conv2d(4, 4, 3)))
    )
    assert rflib.receptive_field(model) == (8, 8)
    assert [row.size for row in rflib.recurrence(model)] == [(3, 3)] * 3 + [(4, 4), (8, 8)]


def test_names_come_from_the_module() -> None:
    model = nn.Sequential(OrderedDict(stem=nn.Sequential(nn.Conv2d(1, 4, 3)), pool=nn.MaxPool2d(2)))
    assert [layer.name for layer in rflib.read(model)] == ["stem.0", "pool"]


def test_reading_leaves_the_module_alone() -> None:
    model = nn.Sequential(nn.Conv2d(1, 1, 3), nn.ReLU()).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    rflib.recurrence(model)
    assert model.training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_lazy_modules_know_their_geometry() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert rflib.receptive_field(nn.LazyConv2d(8, 5)) == (5, 5)


def test_subclass_that_keeps_its_forward_is_read() -> None:
    class Named(nn.Conv2d):
        pass

    class Stack(nn.Sequential):
        pass

    assert rflib.receptive_field(Stack(Named(1, 1, 3), nn.Conv2d(1, 1, 3))) == (5, 5)


# Modules that cannot be placed.


class Custom(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x


class TwiceConv(nn.Conv2d):
    """A convolution by name that reads 5 and not 3."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(super().forward(x))


class BackToFront(nn.Sequential):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for module in reversed(self):
            x = module(x)
        return x


class TracedConv(nn.Module):
    """Not torch's Conv2d: another library's class of the same name."""


TracedConv.__name__ = "Conv2d"


UNPLACEABLE = {
    "custom": (Custom(), "Custom"),
    "own forward": (TwiceConv(1, 1, 3), "TwiceConv"),
    "own order": (BackToFront(nn.Conv2d(1, 1, 3)), "BackToFront"),
    "same name, other class": (TracedConv(), "Conv2d"),
    "GroupNorm": (nn.GroupNorm(1, 2), "GroupNorm"),
    "LayerNorm": (nn.LayerNorm(4), "LayerNorm"),
    "InstanceNorm2d": (nn.InstanceNorm2d(2), "InstanceNorm2d"),
    "no running statistics": (nn.BatchNorm2d(2, track_running_stats=False), "BatchNorm2d"),
    "AdaptiveAvgPool2d": (nn.AdaptiveAvgPool2d(1), "AdaptiveAvgPool2d"),
    "AdaptiveMaxPool1d": (nn.AdaptiveMaxPool1d(3), "AdaptiveMaxPool1d"),
    "FractionalMaxPool2d": (nn.FractionalMaxPool2d(2, output_size=3), "FractionalMaxPool2d"),
    "Linear": (nn.Linear(4, 4), "Linear"),
    "Flatten": (nn.Flatten(), "Flatten"),
    "MultiheadAttention": (nn.MultiheadAttention(4, 1), "MultiheadAttention"),
    "LSTM": (nn.LSTM(4, 4), "LSTM"),
    "MaxUnpool2d": (nn.MaxUnpool2d(2), "MaxUnpool2d"),
    "Softmax over positions": (nn.Softmax(dim=-1), "Softmax"),
    "Upsample to a size": (nn.Upsample(size=7), "Upsample"),
    "Upsample by a fraction": (nn.Upsample(scale_factor=1.5), "Upsample"),
    "Upsample align_corners": (
        nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True),
        "Upsample",
    ),
    "Upsample bicubic": (nn.Upsample(scale_factor=2, mode="bicubic"), "Upsample"),
    "cropping pad": (nn.ZeroPad2d(-1), "ZeroPad2d"),
    "ModuleList": (nn.ModuleList([nn.Conv2d(1, 1, 3)]), "ModuleList"),
    "ModuleDict": (nn.ModuleDict({"a": nn.Conv2d(1, 1, 3)}), "ModuleDict"),
}


@pytest.mark.parametrize(("module", "name"), UNPLACEABLE.values(), ids=UNPLACEABLE.keys())
def test_module_that_cannot_be_placed_is_named(module: nn.Module, name: str) -> None:
    model = nn.Sequential(nn.ReLU(), nn.Sequential(nn.ReLU(), module))
    for layers, place in ((model, "1.1"), ([(3,), model], "layers[1].1.1")):
        with pytest.raises(TypeError) as caught:
            rflib.recurrence(layers)
        assert name in str(caught.value)
        assert place in str(caught.value)
        assert "cannot be placed" in str(caught.value)


def test_reason_is_said() -> None:
    with pytest.raises(TypeError, match="normalises over the whole map"):
        rflib.read(nn.GroupNorm(1, 2))
    with pytest.raises(TypeError, match="size of the input"):
        rflib.read(nn.AdaptiveAvgPool2d(1))
    with pytest.raises(TypeError, match="align_corners"):
        rflib.read(nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True))


def test_modules_of_different_axes_do_not_go_together() -> None:
    with pytest.raises(ValueError, match=r"axes.*2.*layers\[0\].*1.*layers\[1\]"):
        rflib.read(nn.Sequential(nn.Conv2d(1, 1, 3), nn.Conv1d(1, 1, 3)))


# Modules that are not what they seem.


def test_a_module_that_stands_twice_is_read_twice() -> None:
    """As U-Nets and VGGs share one pool; named_children() tells of each module once."""
    pool = nn.MaxPool2d(2)
    block = nn.Sequential(nn.Conv2d(8, 8, 3), pool)
    net = nn.Sequential(nn.Conv2d(3, 8, 3), pool, block, block)
    assert [layer.name for layer in rflib.read(net)] == ["0", "1", "2.0", "2.1", "3.0", "3.1"]
    flat = [*net[:2], *block, *block]
    assert rflib.receptive_field(net) == rflib.receptive_field(flat) == (22, 22)
    with torch.no_grad():
        assert rflib.output_size(net, (64, 50)) == tuple(net(torch.zeros(1, 3, 64, 50)).shape[2:])


class PoolsFirst(nn.Conv2d):
    def _conv_forward(self, x: torch.Tensor, *rest: Any) -> torch.Tensor:
        return super()._conv_forward(F.avg_pool2d(x, 2), *rest)


def test_a_convolution_with_another_inside_is_refused() -> None:
    with pytest.raises(TypeError, match=r"layers\.0 \(PoolsFirst\) cannot be placed"):
        rflib.receptive_field(nn.Sequential(PoolsFirst(3, 3, 3)))


def test_a_forward_that_was_replaced_on_one_module_is_refused() -> None:
    conv = nn.Conv2d(3, 3, 3)
    conv.forward = lambda x: nn.Conv2d.forward(conv, F.avg_pool2d(x, 2))  # type: ignore[method-assign]
    with pytest.raises(TypeError, match=r"layers\.0 \(Conv2d\) cannot be placed"):
        rflib.receptive_field(nn.Sequential(conv))


# Order of definition and order of execution.


class SimpleCNN(nn.Module):
    """The first source's network: defined conv, conv, pool; run conv, pool, conv."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, kernel_size=3, padding=1)
        self.conv2 = nn.Conv2d(16, 32, kernel_size=3, padding=1)
        self.pool = nn.MaxPool2d(2, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.relu(self.conv2(self.pool(F.relu(self.conv1(x)))))


def test_forward_of_its_own_is_refused_with_the_reason() -> None:
    with pytest.raises(TypeError, match=r"SimpleCNN.*forward of its own.*order"):
        rflib.receptive_field(SimpleCNN())


def test_order_of_definition_warns_and_is_wrong_here() -> None:
    model = SimpleCNN()
    with pytest.warns(rflib.DefinitionOrderWarning, match="SimpleCNN"):
        layers = rflib.read(model, order="definition")
    assert rflib.receptive_field(layers) == (6, 6)
    in_forward = [model.conv1, model.pool, model.conv2]
    assert [row.size[0] for row in rflib.recurrence(in_forward)] == [3, 4, 8]
    x = torch.full((1, 3, 32, 32), 0.0)
    x[..., 16, 16] = float("nan")
    hit = model.eval()(x).isnan().any(dim=1)[0]
    units = rflib.reached(in_forward, (16, 16), input_size=32)
    assert torch.nonzero(hit.any(dim=1)).flatten().tolist() == list(units[0])


def test_warning_is_a_user_warning_and_points_at_the_caller() -> None:
    assert issubclass(rflib.DefinitionOrderWarning, UserWarning)
    with pytest.warns(rflib.DefinitionOrderWarning) as caught:
        rflib.read(SimpleCNN(), order="definition")
    assert len(caught) == 1
    assert caught[0].filename == __file__


def test_order_of_definition_still_refuses_what_has_no_place() -> None:
    class Classifier(SimpleCNN):
        def __init__(self) -> None:
            super().__init__()
            self.head = nn.Linear(4, 4)

    with (
        pytest.warns(rflib.DefinitionOrderWarning),
        pytest.raises(TypeError, match=r"head.*Linear"),
    ):
        rflib.read(Classifier(), order="definition")


def test_order_of_definition_of_a_sequential_needs_no_warning() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        rflib.read(nn.Sequential(nn.Conv2d(1, 1, 3)), order="definition")


# Importing.


def loaded_by(statement: str) -> set[str]:
    """Top-level modules that a fresh interpreter loads for this statement and not without it."""

    def loaded(code: str) -> set[str]:
        code = f"import sys; {code}; print(*(name.split('.')[0] for name in sys.modules))"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return set(done.stdout.split())

    return loaded(statement) - loaded("pass")


HEAVY = {"torch", "numpy", "matplotlib", "ipywidgets", "anywidget", "IPython", "traitlets"}


@pytest.mark.parametrize(
    "statement",
    [
        "import rflib",
        "import rflib; rflib.recurrence([(3,), (3, 2)]).__str__()",
        "import rflib; rflib.input_size([(3,)]); rflib.phases([(3,)]); rflib.inputs_for([(3,)], 1)",
        "import rflib; rflib.region([(3,)], 0); rflib.reaches([(3,)], 0)",
        "import rflib; dir(rflib); rflib.__version__",
        "from rflib import Layer, Region, receptive_field",
    ],
)
def test_arithmetic_imports_the_standard_library_alone(statement: str) -> None:
    loaded = loaded_by(statement)
    assert "rflib" in loaded
    assert not loaded & HEAVY
    assert loaded - {"rflib"} <= sys.stdlib_module_names


def test_import_alone_loads_no_module_of_rflib() -> None:
    code = "import sys, rflib; print(*(n for n in sys.modules if n.startswith('rflib')))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["rflib"]


def test_public_names_are_all_there() -> None:
    for name in ("Layer", "recurrence", "receptive_field", "input_size", "output_size", "region"):
        assert name in rflib.__all__
        assert name in dir(rflib)
        assert callable(getattr(rflib, name))
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = rflib.no_such_name


def test_functions_named_like_their_modules_stay_functions() -> None:
    import rflib.effective
    import rflib.probe
    import rflib.recurrence

    assert callable(rflib.recurrence)
    assert rflib.recurrence([(3,)])[-1].size == 3
    assert callable(rflib.probe)
    assert callable(rflib.effective)


def test_version_is_the_package_s() -> None:
    assert rflib.__version__.count(".") == 2
