"""Thin strips against the square that they stand for, and against `rflib.trace`."""

from __future__ import annotations

import copy
import pickle
import sys
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import assume, given
from hypothesis import strategies as st
from strategies import FEW, torch_net
from torch import nn
from wired import Net

import rflib
from rflib.probe import Probe, probe

STRIPS, SQUARE = 0, 2**60  # from how many positions on strips are tried


def measured(limit: int, *args: Any, **kwargs: Any) -> Probe:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys.modules["rflib.probe"], "PLAIN", limit)
        return probe(*args, **kwargs)


def told(found: Probe) -> Any:
    """All that strips must not change."""
    return (
        (found.region, found.size, found.clipped, found.unit, found.units, found.input_size),
        (found.layer, found.calls, found.global_, str(found)),
    )


def check(model: nn.Module, *args: Any, strips: bool | None = True, **kwargs: Any) -> Probe:
    thin, square = (measured(limit, model, *args, **kwargs) for limit in (STRIPS, SQUARE))
    assert told(thin) == told(square)
    assert not square.strips
    assert strips is None or bool(thin.strips) == strips
    for axis, size in enumerate(thin.strips):
        assert size[2 + axis] == thin.input_size[2 + axis]
        assert min(size[2:]) < thin.input_size[2 + axis]
    return thin


def conv(k: Any, padding: Any = 1, **more: Any) -> nn.Conv2d:
    return nn.Conv2d(2, 2, k, padding=padding, **more)


@FEW
@given(net=torch_net(axes=2, modes=True), data=st.data())
def test_random_nets(net: Any, data: st.DataObject) -> None:
    size = (1, 2, data.draw(st.integers(48, 90)), data.draw(st.integers(48, 90)))
    try:
        units = net.model(torch.zeros(size)).shape[2:]
    except RuntimeError:
        assume(False)
    unit = tuple(data.draw(st.integers(0, n - 1)) for n in units)
    thin = check(net.model, size, unit, strips=None)
    if thin.size[0]:
        assert thin.region == rflib.trace(net.model, size).output.region(unit)


@pytest.mark.parametrize("unit", [(0, 0), (20, 20), (21, 39), (0, 17), (13, 22)])
@pytest.mark.parametrize(
    "net",
    {
        "plain": nn.Sequential(conv(3), nn.MaxPool2d(2), conv(5, 2)),
        "unpadded": nn.Sequential(conv(3, 0), nn.AvgPool2d(2, 1), conv(3, 0)),
        "an axis each": nn.Sequential(conv((7, 1), (3, 0)), conv((1, 3), (0, 1))),
        "dilated": nn.Sequential(conv(3, 3, dilation=3), conv(3, (2, 5), dilation=(2, 5))),
        "a phase": nn.Sequential(nn.MaxPool2d(2), nn.ConvTranspose2d(2, 2, (3, 5), 2, (1, 2))),
        "up": nn.Sequential(conv(3), nn.MaxPool2d(4), nn.Upsample(scale_factor=4), conv(3)),
        "cross": Net(lambda s, x: s.a(x) + s.b(x), a=conv((1, 9), (0, 4)), b=conv((9, 1), (4, 0))),
        "shifted": Net(lambda s, x: s.a(x).roll(5, 3) + F.pad(x, (3, -3, 0, 0)), a=conv(3)),
        "reflected": conv(5, 2, padding_mode="reflect"),
    }.items(),
    ids=lambda item: item[0] if isinstance(item[0], str) else None,
)
def test_named_nets(net: tuple[str, nn.Module], unit: tuple[int, int]) -> None:
    check(net[1], (1, 2, 80, 88), unit)


def test_mask_and_gradient_are_those_of_the_square() -> None:
    cross = Net(lambda s, x: s.a(x) + s.b(x), a=conv((1, 9), (0, 4)), b=conv((9, 1), (4, 0)))
    thin, square = (measured(limit, cross, (1, 2, 64, 64)) for limit in (STRIPS, SQUARE))
    assert thin.strips
    assert int(thin.mask.sum()) == 17  # a cross, which no two strips could tell
    assert torch.equal(thin.mask, square.mask)
    assert torch.equal(thin.gradient, square.gradient)
    assert not thin.underflow


def test_the_plane_is_of_the_model_as_it_was() -> None:
    net = nn.Sequential(conv(3), conv(3))
    thin = measured(STRIPS, net, (1, 2, 64, 64))
    net.append(conv(7, 3))
    for other in (copy.deepcopy(thin), pickle.loads(pickle.dumps(thin)), thin):
        assert int(other.mask.sum()) == 25
        assert told(other) == told(thin)


def gate(s: Any, x: Any) -> Any:
    return s.a(x) * s.b(F.adaptive_avg_pool2d(x, 1)).sigmoid()


def masked(s: Any, x: Any) -> Any:
    return F.conv2d(x, s.a.weight * s.mask, padding=1)


REFUSED = {
    "squeeze and excitation": Net(gate, a=conv(3), b=conv(1, 0)),
    "a row's mean": Net(lambda s, x: x + x.mean(3, keepdim=True)),
    "instance norm": nn.Sequential(conv(3), nn.InstanceNorm2d(2)),
    "a masked convolution": Net(masked, a=conv(3), mask=nn.Buffer(torch.ones(3, 3).tril())),
    "zeros at places": Net(lambda s, x: s.a(x * (torch.arange(x.shape[3]) % 3)), a=conv(3)),
    "chosen places": Net(
        lambda s, x: s.a(x.masked_fill(torch.arange(x.shape[3]) % 3 == 0, 0)), a=conv(3)
    ),
    "turned": Net(lambda s, x: x + s.a(x).mT, a=conv(3)),
    "of one size": nn.Sequential(conv(3), nn.LayerNorm([64, 64])),
    "of one width": Net(lambda s, x: x + s.place, place=nn.Parameter(torch.ones(1, 1, 64, 64))),
}


@pytest.mark.parametrize("name", REFUSED)
def test_no_strips_without_proof(name: str) -> None:
    check(REFUSED[name], (1, 2, 64, 64), strips=False)


@pytest.mark.parametrize("unit", [None, (0, 5, 23), (23, 23, 11)])
def test_volumes(unit: Any) -> None:
    net = nn.Sequential(nn.Conv3d(1, 2, (3, 5, 1), padding=(1, 2, 0)), nn.Conv3d(2, 1, 3, 1, 1))
    thin = check(net, (1, 1, 24, 24, 24), unit)
    assert thin.strips == ((1, 1, 24, 2, 2), (1, 1, 2, 24, 2), (1, 1, 2, 2, 24))
    assert unit or thin.size == (5, 7, 3)


def test_windows_in_a_batch() -> None:
    """A convolution over several images inside forward, which no two weights of one may merge."""

    def run(s: Any, x: Any) -> Any:
        tiles = x.unflatten(3, (-1, 8)).permute(0, 3, 1, 2, 4).flatten(0, 1)
        return s.a(tiles).unflatten(0, (1, -1)).permute(0, 2, 3, 1, 4).flatten(3)

    check(Net(run, a=conv(3)), (1, 2, 64, 256), (20, 39), strips=None)


def test_one_axis_has_no_strips() -> None:
    check(nn.Conv1d(1, 1, 3), (1, 1, 100), strips=False)


def test_one_of_several_calls() -> None:
    net = Net(lambda s, x: s.a(s.a(s.a(x))), a=conv(3))
    for layer, size in (("a", 7), ("a@1", 3), ("a@2", 5)):
        assert check(net, (1, 2, 64, 64), layer=layer).size == (size, size)


def test_units_that_see_nothing_are_left_to_the_square() -> None:
    check(conv(1, 1), (1, 2, 50, 50), (0, 3), strips=False)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"unit": (0, 64)}, "axis 1 has units 0 to 63"),
        ({"unit": 64}, "axis 0 has units 0 to 63"),
        ({"unit": (5,)}, "one index per axis of the output"),
        ({"unit": (0.5, 1)}, "0.5 is not a whole number"),
        ({"layer": "1"}, "not a submodule"),
        ({"layer": "0@2"}, "called 1 times"),
        ({"input_size": (1, 3, 64, 64)}, "forward fails"),
    ],
)
def test_bad_arguments_have_the_same_words(arguments: dict[str, Any], message: str) -> None:
    told = []
    for limit in (STRIPS, SQUARE):
        with pytest.raises((TypeError, ValueError), match=message) as raised:
            measured(limit, nn.Sequential(conv(3)), **{"input_size": (1, 2, 64, 64), **arguments})
        told.append(str(raised.value))
    assert told[0] == told[1]


def test_growing_ends_at_the_same_input() -> None:
    net = nn.Sequential(*(conv(5, 2, dilation=1) for _ in range(12)), nn.MaxPool2d(3, 2))
    assert check(net).size == (51, 51)
    assert check(net, unit=(3, 3)).clipped


@pytest.mark.slow
@pytest.mark.parametrize(("depth", "size"), [(18, 435), (50, 427), (152, 1451)])
def test_residual_networks(depth: int, size: int) -> None:
    net = rflib.networks.resnet(depth)
    found = probe(net, layer="layer4")
    assert found.strips
    assert found.size == (size, size)
    assert not found.clipped
    there = rflib.trace(net, found.input_size)["layer4"]
    assert found.region == there.region(found.unit)
