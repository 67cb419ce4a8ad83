"""The probe on strips: the same extents as on the square and as trace says, or refused in words."""

from __future__ import annotations

from typing import Any

import pytest
import strategies
import torch
from hypothesis import assume, given, reject, settings
from hypothesis import strategies as st
from strategies import BASE, Net
from torch import nn

import rflib
from rflib import networks


def check_square(net: Net, n: int, at: float) -> None:
    shape = (1, strategies.CHANNELS, *[n] * net.axes)
    try:
        field = rflib.trace(net.model, shape).output
    except ValueError:
        reject()
    assume(all(field.units))
    unit = tuple(int(at * units) for units in field.units)
    square = rflib.probe(net.model, shape, unit=unit)
    try:
        strips = rflib.probe(net.model, shape, unit=unit, strips=True)
    except rflib.ProbeError:
        reject()  # no strip is proven to do
    if not square.region[0].empty:
        assert strips.region == square.region == field.region(unit)
        assert strips.clipped == square.clipped
        for axis, mask in enumerate(strips.masks):
            assert tuple(mask.nonzero().flatten().tolist()) == field.reads(unit)[axis]


@pytest.mark.parametrize("examples", [15, pytest.param(200, marks=pytest.mark.slow)])
def test_strips_say_what_the_square_says(examples: int) -> None:
    drawn = given(strategies.torch_net(modes=True), st.integers(6, 14), st.floats(0, 0.999))
    settings(BASE, max_examples=examples)(drawn(check_square))()


def test_a_resnet_on_strips_of_one_pixel() -> None:
    r = rflib.probe(networks.resnet(18), layer="layer3", strips=True)
    assert r.size == (211, 211)
    assert not r.clipped
    assert [min(strip[2:]) for strip in r.strips] == [1, 1]
    assert "211 pixels" in str(r)
    assert r._repr_html_().count("scope='row'") == 2


@pytest.mark.slow
def test_the_deepest_resnet() -> None:
    r = rflib.probe(networks.resnet(152), (1, 3, 1760, 1760), layer="layer4", strips=True)
    assert r.size == (1451, 1451)


class Turned(nn.Module):
    """Rows become columns: a strip of one pixel would not do."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + x.transpose(2, 3)


@pytest.mark.parametrize(
    ("model", "arguments", "words"),
    [
        (nn.Sequential(nn.Conv2d(3, 4, 3), nn.GroupNorm(2, 4)), {}, "a whole map is read"),
        (nn.Sequential(nn.Conv2d(3, 3, 3, 1, 1), nn.Flatten(2)), {}, "units do not lie"),
        (nn.Conv2d(3, 4, 3), {"strips": 1}, "strips must be True or False; got 1"),
        (nn.Conv2d(3, 4, 3), {"unit": (99, 0)}, "axis 0 has units"),
    ],
)
def test_what_is_not_proven_is_refused(model: Any, arguments: Any, words: str) -> None:
    given_ = {"input_size": (1, 3, 16, 16), "strips": True} | arguments
    with pytest.raises((rflib.ProbeError, ValueError, TypeError), match=words):
        rflib.probe(model, **given_)


def test_a_model_that_turns_its_axes_takes_a_strip_that_is_wide_enough() -> None:
    r = rflib.probe(Turned(), (1, 1, 12, 12), unit=(3, 7), strips=True)
    square = rflib.probe(Turned(), (1, 1, 12, 12), unit=(3, 7))
    assert r.region == square.region
    assert min(r.strips[0][2:]) == 12
