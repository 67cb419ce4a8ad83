"""The effective field against its theory, in exact fractions, and against a plain loop of autograd.

`boxes` convolves boxes in Python's fractions and knows nothing of torch.  `by_hand` goes backward
from one channel at a time with `torch.autograd.functional.jacobian`.
"""

from __future__ import annotations

import copy
import dataclasses
import itertools
import re
import sys
from collections.abc import Iterator, Sequence
from fractions import Fraction
from math import pi, sqrt
from typing import Any

import numpy as np
import oracle
import pytest
import torch
import torch.nn.functional as F
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from strategies import FEW, SLOW_FEW, torch_net
from torch import nn
from wired import Net

import rflib
from rflib.effective import Effective, effective
from rflib.probe import ProbeError, probe


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Tiny tensors: threads that wait for one another cost more than they bring."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def equal(module: nn.Module) -> nn.Module:
    """All weights the same, no bias."""
    for name, value in module.named_parameters():
        nn.init.constant_(value, 0.0 if name.endswith("bias") else 1.0 / value[0].numel())
    return module


def line(k: int, stride: int = 1, dilation: int = 1, c: int = 1) -> nn.Conv1d:
    return nn.Conv1d(c, c, k, stride, dilation * (k // 2), dilation)


def stack(*layers: nn.Module) -> nn.Sequential:
    return nn.Sequential(*layers)


# Oracles.


def boxes(kernels: Sequence[Sequence[Any]]) -> list[Fraction]:
    """The convolution of lists of weights, divided by its sum."""
    total = [Fraction(1)]
    for kernel in kernels:
        longer = [Fraction(0)] * (len(total) + len(kernel) - 1)
        for (i, a), (j, b) in itertools.product(enumerate(total), enumerate(kernel)):
            longer[i + j] += a * b
        total = longer
    return [value / sum(total) for value in total]


def spaced(kernel: Sequence[int], step: int) -> list[int]:
    """With zeros between the weights."""
    wide = [0] * (step * (len(kernel) - 1) + 1)
    wide[::step] = kernel
    return wide


def deviation(values: Sequence[Any]) -> float:
    mean = sum(i * value for i, value in enumerate(values))
    return sqrt(sum((i - mean) ** 2 * value for i, value in enumerate(values)))


def by_hand(
    model: nn.Module, inputs: torch.Tensor, unit: tuple[int, ...], channel: int | None, power: int
) -> np.ndarray[Any, Any]:
    """Sum over inputs, unit's channels and input's channels; the power of each entry of the
    Jacobian for one channel, for all of them the power of its length over the unit's channels."""
    model = copy.deepcopy(model).double().eval()
    total = 0.0
    for image in inputs:
        full = torch.autograd.functional.jacobian(
            lambda x: model(x[None])[(0, slice(None), *unit)], image.double()
        ).numpy()
        if channel is not None:
            full = full[channel : channel + 1]
        total = total + (np.linalg.norm(full, axis=0) ** power).sum(axis=0)
    return np.asarray(total)


def inner(found: Effective, axis: int = 0) -> list[float]:
    """The profile without the zeros around it."""
    values = found.profile(axis)
    places = values.nonzero()
    return values[int(places[0]) : int(places[-1]) + 1].tolist()


# Theory: stacks whose mass is known in fractions.


@pytest.mark.parametrize("n", [1, 2, 5, 12])
def test_n_layers_of_three_equal_weights(n: int) -> None:
    found = effective(equal(stack(*(line(3) for _ in range(n)))), power="absolute", samples=1)
    assert inner(found) == pytest.approx([float(v) for v in boxes([[1, 1, 1]] * n)], abs=1e-12)
    assert found.sigma == pytest.approx((sqrt(2 * n / 3),))
    assert found.radius == pytest.approx(sqrt(2 * n / 3))
    assert found.theoretical == (2 * n + 1,)
    assert found.centre == pytest.approx(found.unit)


def test_two_axes_are_two_times_one() -> None:
    net = equal(stack(nn.Conv2d(1, 1, (3, 5)), nn.Conv2d(1, 1, (3, 5))))
    found = effective(net, power="absolute", samples=1)
    assert inner(found, 0) == pytest.approx([float(v) for v in boxes([[1] * 3] * 2)])
    assert inner(found, 1) == pytest.approx([float(v) for v in boxes([[1] * 5] * 2)])
    assert torch.allclose(found.mass, torch.outer(found.profile(0), found.profile(1)))
    assert found.sigma == pytest.approx((sqrt(2 * 2 / 3), sqrt(2 * 24 / 12)))
    assert found.radius == pytest.approx(sqrt(4 / 3 + 4))


def test_three_axes() -> None:
    net = equal(stack(nn.Conv3d(1, 1, (3, 1, 2)), nn.Conv3d(1, 1, (3, 1, 1))))
    found = effective(net, (1, 1, 7, 3, 4), power="absolute", samples=1)
    assert found.sigma == pytest.approx((sqrt(4 / 3), 0, 0.5))
    assert inner(found, 0) == pytest.approx([float(v) for v in boxes([[1] * 3] * 2)])
    assert found.area(1) == 10
    assert found.gaussian().sigma[1] == 0.25


def test_squared_gradients_are_the_squares() -> None:
    n = 12
    found = effective(equal(stack(*(line(3) for _ in range(n)))), samples=1)
    squares = [v**2 for v in boxes([[1, 1, 1]] * n)]
    assert inner(found) == pytest.approx([float(v / sum(squares)) for v in squares])
    assert found.sigma[0] == pytest.approx(deviation([v / sum(squares) for v in squares]))
    # Of a Gaussian it would be the root of 2 exactly.
    assert found.sigma[0] == pytest.approx(sqrt(2 * n / 3) / sqrt(2), rel=0.02)


@pytest.mark.parametrize("dilations", [(2, 2, 2), (1, 2, 4), (3,)])
def test_dilation_spreads(dilations: tuple[int, ...]) -> None:
    net = equal(stack(*(line(3, dilation=d) for d in dilations)))
    found = effective(net, power="absolute", samples=1)
    law = boxes([spaced([1, 1, 1], d) for d in dilations])
    assert inner(found) == pytest.approx([float(v) for v in law])
    assert found.sigma == pytest.approx((sqrt(sum(d * d * 2 / 3 for d in dilations)),))


def test_strides_count_by_their_jumps() -> None:
    layers = [(3, 2), (5, 1), (2, 2), (3, 1)]
    net = equal(stack(*(line(k, s) for k, s in layers)))
    found = effective(net, power="absolute", samples=1)
    jumps = [1, 2, 2, 4]
    law = boxes([spaced([1] * k, j) for (k, _), j in zip(layers, jumps, strict=True)])
    assert inner(found) == pytest.approx([float(v) for v in law])
    parts = (j * j * (k * k - 1) / 12 for (k, _), j in zip(layers, jumps, strict=True))
    assert found.sigma == pytest.approx((sqrt(sum(parts)),))


def test_skip_connections_shrink_it() -> None:
    def block() -> nn.Module:
        return Net(lambda s, x: x + s.conv(x), conv=equal(line(3)))

    n = 8
    found = effective(stack(*(block() for _ in range(n))), power="absolute", samples=1)
    assert inner(found) == pytest.approx([float(v) for v in boxes([[1, 4, 1]] * n)])
    assert found.sigma == pytest.approx((sqrt(n / 3),))  # and sqrt(2n/3) without them
    assert found.theoretical == (2 * n + 1,)


def test_few_large_kernels_reach_further_than_many_small_ones() -> None:
    """Of one theoretical field: sigma goes as the root of the depth, and as the kernel itself."""
    one, many = (equal(stack(*layers)) for layers in ([line(31)], [line(3) for _ in range(15)]))
    large, small = (effective(net, power="absolute", samples=1) for net in (one, many))
    assert large.theoretical == small.theoretical == (31,)
    assert large.sigma == pytest.approx((sqrt((31**2 - 1) / 12),))
    assert small.sigma == pytest.approx((sqrt(15 * 2 / 3),))
    assert large.side(0.95)[0] > 2 * small.side(0.95)[0]


def test_the_square_of_random_weights_is_one_box_per_layer() -> None:
    """E w w' = 0 for two weights, so E g**2 is the sum over paths. Over all signs, it is exact.

    The weights are 1 or -1: the model takes the next of the 512 ways to choose them, each time.
    """

    def run(s: Any, x: Any) -> Any:
        signs = next(s.ways)
        for layer in range(3):
            weight = torch.tensor(signs[3 * layer : 3 * layer + 3]).view(1, 1, 3)
            x = F.conv1d(x, weight)
        return x

    class Ways:
        """An iterator that can be copied."""

        def __init__(self) -> None:
            self.count = -1

        def __next__(self) -> list[float]:
            self.count += 1
            return [1.0 if self.count >> bit & 1 else -1.0 for bit in range(9)]

    found = effective(
        Net(run, ways=Ways()), (1, 1, 7), samples=512, theoretical=False, progress=False
    )
    law = boxes([[1, 1, 1]] * 3)
    assert found.mass.tolist() == pytest.approx([float(v) for v in law], abs=1e-12)
    assert found.sigma == pytest.approx((sqrt(2),))


def test_wide_random_nets_come_near_the_same_law() -> None:
    torch.manual_seed(0)
    n, wide = 6, 64
    net = stack(*(nn.Conv1d(wide, wide, 3, bias=False) for _ in range(n)))
    squared = effective(net, samples=50)
    absolute = effective(net, samples=50, power="absolute")
    assert squared.sigma[0] == pytest.approx(sqrt(2 * n / 3), rel=0.05)
    roots = [sqrt(v) for v in boxes([[1, 1, 1]] * n)]  # E abs(g) of a normal g goes as its spread
    assert absolute.sigma[0] == pytest.approx(deviation([v / sum(roots) for v in roots]), rel=0.05)


def test_a_max_pool_lets_its_winner_through() -> None:
    images = torch.tensor([[[5.0, 1, 2]], [[0, 9, 1]], [[1, 2, 3]], [[7, 1, 0]]])
    found = effective(nn.MaxPool1d(3), inputs=images)
    assert found.mass.tolist() == [0.5, 0.25, 0.25]
    assert found.theoretical == (3,)


# Against a plain loop.


def convs(c: int = 2) -> nn.Sequential:
    torch.manual_seed(1)
    return stack(nn.Conv2d(2, c, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(c, 3, 3), nn.Tanh())


@pytest.mark.parametrize("power", ["squared", "absolute"])
@pytest.mark.parametrize("channel", [0, 2])
def test_one_channel_is_what_a_loop_gives(power: str, channel: int) -> None:
    images = torch.randn(7, 2, 11, 12, generator=torch.Generator().manual_seed(3))
    found = effective(convs(), inputs=images, unit=(1, 2), channel=channel, power=power)
    hand = by_hand(convs(), images, (1, 2), channel, {"squared": 2, "absolute": 1}[power])
    assert np.allclose(found.mass.numpy(), hand / hand.sum(), rtol=1e-12, atol=1e-15)
    assert (found.samples, found.silent, found.channel) == (7, 0, channel)


@pytest.mark.parametrize("power", ["squared", "absolute"])
def test_all_channels_are_the_length_over_channels_in_the_mean(power: str) -> None:
    """One input, many directions: the mean tends to the length of the Jacobian's columns."""
    image = torch.randn(1, 2, 8, 8, generator=torch.Generator().manual_seed(4))
    found = effective(convs(), inputs=[image] * 600, power=power, progress=False)
    hand = by_hand(convs(), image, found.unit, None, {"squared": 2, "absolute": 1}[power])
    assert np.abs(found.mass.numpy() - hand / hand.sum()).sum() < 0.05
    one = by_hand(convs(), image, found.unit, 0, {"squared": 2, "absolute": 1}[power])
    assert np.abs(one / one.sum() - hand / hand.sum()).sum() > 0.2  # what one channel would say


def test_channels_do_not_cancel() -> None:
    """Opposite channels: their sum has no gradient, and each of them has."""
    both = Net(lambda s, x: torch.cat([s.a(x), -s.a(x)], 1), a=line(3))
    assert effective(both, samples=4).theoretical == (3,)


def check_random(net: Any, extents: list[int], data: st.DataObject) -> None:
    model, channels = net.model, oracle.channels(net.model)
    draw = torch.Generator().manual_seed(data.draw(st.integers(0, 99)))
    images = torch.randn(3, channels, *extents, generator=draw)
    try:
        with torch.no_grad():
            shape = copy.deepcopy(model).eval()(images[:1]).shape
    except RuntimeError:
        assume(False)
    assume(all(shape))
    unit = tuple(data.draw(st.integers(0, n - 1)) for n in shape[2:])
    channel = data.draw(st.integers(0, shape[1] - 1))
    power = data.draw(st.sampled_from(["squared", "absolute"]))
    hand = by_hand(model, images, unit, channel, {"squared": 2, "absolute": 1}[power])

    def measure() -> Effective:
        return effective(model, inputs=images, unit=unit, channel=channel, power=power)

    if not hand.any():
        with pytest.raises(ProbeError, match="zero everywhere"):
            measure()
        return
    found = measure()
    assert np.allclose(found.mass.numpy(), hand / hand.sum(), rtol=1e-9, atol=1e-12)
    assert float(found.mass.sum()) == pytest.approx(1)
    assert not found.mass[~probe(model, found.input_size, unit).mask].any()
    assert found.area(1) <= found.probe.mask.sum()
    assert all(side <= size for side, size in zip(found.side(1), found.theoretical, strict=True))
    assert found.share(found.probe.region) == pytest.approx(1)


@FEW
@given(net=torch_net(modes=True), data=st.data())
def test_random_nets(net: Any, data: st.DataObject) -> None:
    check_random(
        net, data.draw(st.lists(st.integers(4, 12), min_size=net.axes, max_size=net.axes)), data
    )


@pytest.mark.slow
@settings(SLOW_FEW, max_examples=400)
@given(net=st.one_of(torch_net(modes=True), torch_net(axes=3, max_layers=3)), data=st.data())
def test_many_random_nets(net: Any, data: st.DataObject) -> None:
    largest = 8 if net.axes == 3 else 20
    check_random(
        net,
        data.draw(st.lists(st.integers(4, largest), min_size=net.axes, max_size=net.axes)),
        data,
    )


# What the result says of a mass.

MASS = torch.tensor([[0.0, 0.1, 0.0], [0.2, 0.4, 0.1], [0.0, 0.2, 0.0]], dtype=torch.float64)


def result(mass: torch.Tensor) -> Effective:
    """A measurement with that mass: a linear unit that reads all of the input once."""
    mass = mass.double()
    conv = getattr(nn, f"Conv{mass.dim()}d")(1, 1, tuple(mass.shape), bias=False)
    conv.weight = nn.Parameter(mass[None, None])
    found = effective(conv, (1, 1, *mass.shape), samples=1, power="absolute")
    assert torch.allclose(found.mass, mass / mass.sum())
    return found


def test_moments() -> None:
    found = result(MASS)
    assert found.centre == pytest.approx((1.1, 0.9))
    assert found.sigma == pytest.approx((sqrt(0.3 - 0.01), sqrt(0.3 - 0.01)))
    assert found.profile(0).tolist() == pytest.approx([0.1, 0.7, 0.2])
    assert found.profile(1).tolist() == pytest.approx([0.2, 0.7, 0.1])
    assert found.radius == pytest.approx(sqrt(0.58))


def test_shares_areas_and_sides() -> None:
    found = result(MASS)
    assert [found.area(share) for share in (0.4, 0.41, 0.6, 0.8, 0.81, 0.9, 1)] == [
        *(1, 2, 2, 3, 4, 4, 5)
    ]
    assert found.side(0.7) == (1, 1)
    assert found.side(0.71) == (2, 2)
    assert found.side(0.95) == (3, 3)
    assert found.share(0.5) == pytest.approx(0.4)  # the middle is 0.14 off the centre
    assert found.share(0) == 0
    assert found.share(9) == pytest.approx(1)
    assert found.share(((1, 2), (-5, 1))) == pytest.approx(0.8)
    assert found.share(((-3, -1), (0, 2))) == 0
    assert found.share(((3, 9), (0, 2))) == 0
    assert found.fraction(0.8) == pytest.approx(3 / 9)
    assert found.radius_of(0.4) == pytest.approx(sqrt(0.02))
    for share in (0.1, 0.5, 0.77, 0.95, 1):
        radius = found.radius_of(share)
        assert found.share(radius) >= share - 1e-9
        assert found.share(radius - 1e-6) < share


def test_equal_pixels_are_counted_without_rounding() -> None:
    """A third of nine equal pixels is three, whatever a sum of ninths says."""
    found = result(torch.ones(3, 3))
    assert [found.area(Fraction(n, 9).__float__()) for n in range(1, 10)] == list(range(1, 10))
    assert found.side(1 / 3) == (1, 1)
    assert found.side(2 / 3) == (2, 2)


@FEW
@given(weights=st.lists(st.integers(0, 9), min_size=1, max_size=9), share=st.integers(1, 100))
def test_areas_and_sides_against_all_choices(weights: list[int], share: int) -> None:
    assume(any(weights))
    found = result(torch.tensor(weights, dtype=torch.float64))
    wanted = Fraction(share, 100) * sum(weights)
    enough = (
        n
        for n in range(1, len(weights) + 1)
        if any(sum(chosen) >= wanted for chosen in itertools.combinations(weights, n))
    )
    assert found.area(share / 100) == next(enough)
    runs = (
        last - first
        for first, last in itertools.combinations(range(len(weights) + 1), 2)
        if sum(weights[first:last]) >= wanted
    )
    assert found.side(share / 100) == (min(runs),)


def bell(n: int, centre: Sequence[float], sigma: Sequence[float]) -> torch.Tensor:
    shape = torch.ones([], dtype=torch.float64)
    for c, s in zip(centre, sigma, strict=True):
        line = torch.exp(-((torch.arange(n, dtype=torch.float64) - c) ** 2) / (2 * s * s))
        shape = shape[..., None] * line
    return shape


@pytest.mark.parametrize(
    ("centre", "sigma"),
    [((10.3,), (2.5,)), ((9.0, 11.25), (1.2, 4.0)), ((10, 8.5, 9), (1.0, 2.0, 0.8)), ((3,), (40,))],
)
def test_the_fit_finds_a_gaussian(centre: Any, sigma: Any) -> None:
    fit = result(bell(20, centre, sigma)).gaussian()
    assert fit.centre == pytest.approx(centre, abs=1e-4)
    assert fit.sigma == pytest.approx(sigma, rel=1e-4)
    assert fit.explained == pytest.approx(1, abs=1e-4)
    assert str(fit).startswith("Gaussian(centre=")


def test_the_fit_is_the_best_near_by() -> None:
    """No step in any direction makes it better, at any height."""
    found = result(MASS)
    fit = found.gaussian()
    error = float(((fit.values - found.mass) ** 2).sum())
    for step in itertools.product((-1e-3, 0, 1e-3), repeat=4):
        centre = [c + d for c, d in zip(fit.centre, step[:2], strict=True)]
        sigma = [s + d for s, d in zip(fit.sigma, step[2:], strict=True)]
        shape = bell(3, centre, sigma)
        for height in np.linspace(0.9, 1.1, 21) * float(fit.values.max() / shape.max()):
            assert float(((height * shape - found.mass) ** 2).sum()) >= error - 1e-9


def test_the_fit_of_a_peak_on_a_broad_floor() -> None:
    mass = bell(101, [50], [1.5]) + 0.05 * bell(101, [50], [20])
    found = result(mass)
    fit = found.gaussian()
    assert fit.sigma[0] == pytest.approx(1.5, rel=0.1)
    assert found.sigma[0] > 8
    assert 0.5 < fit.explained < 0.8


def test_the_fit_of_one_pixel_and_of_a_box() -> None:
    one = result(torch.tensor([0.0, 0, 1, 0]))
    assert one.sigma == (0,)
    assert one.gaussian().sigma == (0.25,)
    assert one.gaussian().explained == pytest.approx(1, abs=1e-3)
    assert result(torch.ones(9)).gaussian().explained > 0.8


def test_many_equal_weights_tend_to_the_gaussian_with_their_variance() -> None:
    fits = {}
    for n in (2, 30):
        fits[n] = effective(
            equal(stack(*(line(3) for _ in range(n)))), power="absolute", samples=1
        ).gaussian()
    assert fits[30].sigma[0] == pytest.approx(sqrt(20), rel=0.01)
    assert fits[30].explained > fits[2].explained > 0.9
    assert fits[30].values.max() == pytest.approx(1 / sqrt(2 * pi * 20), rel=0.01)


def test_the_standard_error_is_that_of_a_mean() -> None:
    """Two kinds of input, whose masses are a pixel apart: sigma squared is p (1 - p)."""
    kinds = torch.tensor([[[1.0, 0]], [[0, 1.0]]])
    p, n = 0.3, 40
    found = effective(nn.MaxPool1d(2), inputs=kinds[[1] * 12 + [0] * 28])
    assert found.sigma == pytest.approx((sqrt(p * (1 - p)),))
    slope = (1 - 2 * p) / (2 * sqrt(p * (1 - p)))  # of sigma by p
    assert found.standard_error == pytest.approx((slope * sqrt(p * (1 - p) / n),), rel=0.1)
    assert effective(nn.MaxPool1d(2), inputs=kinds[:1]).standard_error is None
    assert effective(line(3), samples=5).standard_error == pytest.approx((0,), abs=1e-9)


def test_the_standard_error_foretells_the_spread_over_seeds() -> None:
    net = convs()
    runs = [effective(net, (1, 2, 12, 12), seed=seed, theoretical=False) for seed in range(20)]
    spread = np.std([run.sigma for run in runs], axis=0, ddof=1)
    errors = np.mean([run.standard_error for run in runs], axis=0)
    assert ((spread / errors > 0.5) & (spread / errors < 2)).all()


# Inputs, samples, layers, units.


def test_inputs_in_any_batches_are_the_same() -> None:
    images = torch.randn(6, 2, 9, 9, generator=torch.Generator().manual_seed(0))
    before = images.clone()
    whole = effective(convs(), inputs=images)
    for given_ in (images.split(4), iter(images.split(1)), (b for b in images.split(2)), [images]):
        assert torch.equal(effective(convs(), inputs=given_).mass, whole.mass)
    few = effective(convs(), inputs=itertools.cycle([images]), samples=6, progress=False)
    assert torch.equal(few.mass, whole.mass)
    assert torch.equal(images, before)
    assert not images.requires_grad
    assert effective(convs(), inputs=images, samples=2).samples == 2


def test_random_inputs_are_standard_normal_and_those_of_the_seed() -> None:
    seen: list[torch.Tensor] = []

    def run(s: Any, x: Any) -> Any:
        seen.append(x.detach())
        return s.a(x)

    net = Net(run, a=line(3))
    first, again, other = (
        effective(net, (1, 1, 500), seed=seed, theoretical=False) for seed in (0, 0, 1)
    )
    assert first.samples == 32
    pixels = torch.cat(seen[:32]).flatten()
    assert float(pixels.mean()) == pytest.approx(0, abs=0.03)
    assert float(pixels.std()) == pytest.approx(1, abs=0.03)
    assert all(torch.equal(a, b) for a, b in zip(seen[:32], seen[32:64], strict=True))
    assert not torch.equal(seen[0], seen[64])
    assert torch.equal(first.mass, again.mass)
    assert torch.allclose(first.mass, other.mass)  # a linear net does not mind


def test_what_is_random_in_the_model_follows_the_seed() -> None:
    net = Net(lambda s, x: F.dropout(s.a(x), 0.5, True), a=convs())
    found = [effective(net, (1, 2, 9, 9), samples=9, seed=seed) for seed in (0, 0, 1)]
    assert torch.equal(found[0].mass, found[1].mass)
    assert not torch.equal(found[0].mass, found[2].mass)


def test_layers_and_units_as_in_the_probe() -> None:
    conv = equal(line(3))
    net = stack(conv, conv, conv)
    for layer, size in (("0@1", 3), ("1@2", 5), ("0", 7), (None, 7)):
        found = effective(net, layer=layer, power="absolute", samples=1)
        assert found.theoretical == (size,)
        assert found.sigma == pytest.approx((sqrt((size - 1) / 3),))
    assert effective(net, layer="1@2").calls == (2, 3)
    corner = effective(net, (1, 1, 20), unit=0, samples=1)
    assert corner.unit == (0,)
    assert inner(corner) == corner.mass[:4].tolist()
    assert corner.theoretical == (4,)
    assert "clips" in str(corner)
    head = stack(line(3), nn.AdaptiveAvgPool1d(1), nn.Flatten())
    assert effective(head, (1, 1, 9)).unit == ()


def test_without_the_theoretical_field() -> None:
    sorted_ = Net(lambda s, x: s.a(x).sort(dim=2).values, a=line(3))
    with pytest.raises(ProbeError, match=r"no rule for sort.*theoretical=False leaves out"):
        effective(sorted_, (1, 1, 9))
    with pytest.raises(ProbeError, match=r"no rule for sort.*Give an input_size, and theoretical"):
        effective(sorted_, theoretical=False)
    found = effective(sorted_, (1, 1, 9), theoretical=False)
    assert found.theoretical is None
    assert "theoretical" not in str(found)
    with pytest.raises(ValueError, match="theoretical=False was given"):
        found.fraction()


def test_a_field_that_would_fill_the_memory_is_asked_about() -> None:
    net = stack(*(nn.Conv2d(1, 1, 3, 2, 1) for _ in range(9)))
    with pytest.raises(ValueError, match=r"input_size=None: the field is 1023 x 1023 pixels"):
        effective(net)


# Magnitudes.


@pytest.mark.parametrize("power", ["squared", "absolute"])
@pytest.mark.parametrize("factor", [1e-150, 1e150])
def test_tiny_and_huge_gradients(power: str, factor: float) -> None:
    net = stack(*(line(3) for _ in range(2)))
    plain = effective(net, power=power)
    scaled = effective(Net(lambda s, x: s.net(x) * factor * factor, net=net), power=power)
    assert torch.allclose(scaled.mass, plain.mass, rtol=1e-12)


def test_samples_of_very_different_strength_keep_their_weights() -> None:
    """The gradient of x**3 / 3 is x**2: squares and fourth powers of what was put in."""
    images = torch.tensor([[[1e-3, 0.0]], [[0, 1e3]], [[0, 2e3]], [[1e3, 0]]]).double()
    cube = Net(lambda s, x: (x**3 / 3).sum(dim=2))
    found = effective(cube, inputs=images, power="absolute")
    assert found.mass.tolist() == pytest.approx([1e6 / 6e6, 5e6 / 6e6])
    found = effective(cube, inputs=images)
    assert found.mass.tolist() == pytest.approx([1 / 18, 17 / 18])


def test_silent_samples_are_counted() -> None:
    images = torch.tensor([1.0, -1, -2, 3]).view(4, 1, 1)
    found = effective(nn.ReLU(), inputs=images)
    assert (found.samples, found.silent) == (4, 2)
    assert "2 of them have a gradient of zero everywhere" in str(found)
    assert "gradient of zero" not in str(effective(nn.ReLU(), inputs=images[:1]))


@pytest.mark.parametrize(
    ("model", "arguments", "message"),
    [
        (nn.ReLU(), {"inputs": -torch.ones(3, 1, 5)}, r"unit \(2,\).*each of 3 inputs: ReLUs"),
        (Net(lambda s, x: x.round() + 0 * x), {"input_size": (1, 1, 5)}, "zero everywhere.*round"),
        (nn.Conv1d(1, 1, 1, padding=1), {"input_size": (1, 1, 5), "unit": 0}, "reads no pixel"),
        (Net(lambda s, x: x.detach()), {"input_size": (1, 1, 5)}, "no gradient.*detach"),
        (Net(lambda s, x: x.argmax(1, True)), {"input_size": (1, 1, 5)}, "no gradient.*argmax"),
        (Net(lambda s, x: x.sqrt()), {"inputs": torch.zeros(1, 1, 5)}, "sample 0.*NaN or infinity"),
        (Net(lambda s, x: x * float("nan")), {"input_size": (1, 1, 5)}, "sample 0.*NaN"),
    ],
)
def test_no_gradient_is_said_in_words(
    model: nn.Module, arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(ProbeError, match=message):
        effective(model, **arguments)


def test_deep_averages_leave_float32_and_not_float64() -> None:
    net = stack(*(Net(lambda s, x: 1e-9 * s.a(x), a=equal(line(3))) for _ in range(6)))
    with pytest.raises(ProbeError, match=r"too small for torch\.float32"):
        effective(net, dtype=torch.float32, samples=2)
    assert effective(net, samples=2).sigma[0] < sqrt(2 * 6 / 3)


def test_single_precision_is_near() -> None:
    half = effective(convs(), (1, 2, 12, 12), dtype=torch.float32)
    full = effective(convs(), (1, 2, 12, 12))
    assert half.mass.dtype == full.mass.dtype == torch.float64
    assert torch.allclose(half.mass, full.mass, atol=1e-5)


# The reader's model stays as it is.


def fingerprint(model: nn.Module) -> list[Any]:
    def of(tensor: torch.Tensor | None) -> Any:
        if tensor is None:
            return None
        return tensor.detach().numpy().tobytes(), tensor.dtype, tensor.requires_grad, id(tensor)

    seen: list[Any] = [torch.get_rng_state().numpy().tobytes(), torch.get_default_dtype()]
    seen += [torch.is_grad_enabled(), torch.is_inference_mode_enabled()]
    for name, module in model.named_modules():
        hooks = [(k, list(v.items())) for k, v in vars(module).items() if k.endswith("hooks")]
        seen.append((name, id(module), module.training, sorted(vars(module)), hooks))
    for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
        seen.append((name, of(tensor), of(tensor.grad), tensor._version))
    return seen


@pytest.mark.parametrize("around", [torch.enable_grad, torch.no_grad, torch.inference_mode])
def test_the_model_is_untouched(around: Any) -> None:
    def run(s: Any, x: Any) -> Any:
        s.runs += 1
        s.count.add_(1)
        return F.dropout(
            s.norm(s.first(x + torch.rand(1, dtype=torch.float32))).relu_(), 0.5, s.training
        )

    torch.manual_seed(0)
    normed = nn.utils.parametrizations.weight_norm(nn.Conv2d(2, 2, 3))
    model = Net(run, first=normed, norm=nn.BatchNorm2d(2))
    model.runs = 0
    model.register_buffer("count", torch.zeros(1))
    model(torch.ones(2, 2, 8, 8)).sum().backward()
    calls: list[str] = []
    model.register_forward_hook(lambda *_: calls.append("called"))
    before = fingerprint(model)
    with around(), torch.autocast("cpu"):
        found = effective(model, (1, 2, 9, 9), samples=3)
        single = effective(model, (1, 2, 9, 9), samples=3, dtype=torch.float32)
    assert torch.allclose(found.mass, single.mass, atol=1e-4)
    assert not calls
    assert model.runs == 1
    assert fingerprint(model) == before
    with pytest.raises(ProbeError):
        effective(stack(model, Net(lambda s, x: x * 0)), (1, 2, 9, 9), samples=3)
    assert fingerprint(model) == before


def test_eval_mode_and_own_statistics() -> None:
    """A batch-norm in training mode would read every pixel; in eval mode it reads one."""
    net = stack(line(3), nn.BatchNorm1d(1)).train()
    assert effective(net, (1, 1, 15)).area(1) == 3
    assert net.training


def test_samples_do_not_mix() -> None:
    """A norm over the batch sees one sample at a time, as each input is run alone."""
    mixing = Net(lambda s, x: x - x.mean(dim=0, keepdim=True) + s.a(x), a=equal(line(3)))
    found = effective(mixing, inputs=torch.randn(8, 1, 9), power="absolute")
    assert inner(found) == pytest.approx([1 / 3] * 3)


# How it looks.


def test_how_a_result_reads() -> None:
    found = effective(equal(nn.Conv2d(1, 1, (3, 5))), (1, 1, 9, 9), samples=2)
    assert str(found) == repr(found)
    assert str(found) == (
        "Effective receptive field of unit (3, 2) of 7 x 5, input 1 x 9 x 9\n"
        "  axis 0: sigma 0.816 (error 0), 95% of the mass in 3 of 3 pixels\n"
        "  axis 1: sigma 1.41 (error 0), 95% of the mass in 5 of 5 pixels\n"
        "  radius 1.63; 95% of the mass on 15 pixels, 1 of the field\n"
        "  squared gradient of all channels, mean over 2 inputs"
    )
    html = found._repr_html_()
    assert "<caption>Effective receptive field of unit (3, 2) of 7 x 5, input 1 x 9 x 9" in html
    assert re.findall(r"<td>(.*?)</td>", html)[:5] == ["4.0", "0.816", "0", "3", "3"]
    with pytest.raises(dataclasses.FrozenInstanceError):
        found.unit = (0, 0)  # type: ignore[misc]
    one = effective(equal(line(3)), (1, 1, 9), samples=1, channel=0, theoretical=False)
    assert str(one) == (
        "Effective receptive field of unit 4 of 9, input 1 x 9\n"
        "  axis 0: sigma 0.816, 95% of the mass in 3 pixels\n"
        "  radius 0.816; 95% of the mass on 3 pixels\n"
        "  squared gradient of channel 0, mean over 1 input"
    )


def test_progress(capsys: Any, monkeypatch: Any) -> None:
    net, quiet = line(3), {"input_size": (1, 1, 5), "theoretical": False}
    effective(net, samples=199, **quiet)
    effective(net, samples=200, progress=False, **quiet)
    assert capsys.readouterr() == ("", "")
    effective(net, samples=3, progress=True, **quiet)
    assert "3/3" in capsys.readouterr().err
    effective(net, samples=200, **quiet)
    assert "200/200" in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    effective(net, samples=200, **quiet)
    assert capsys.readouterr() == ("", "")
    with pytest.raises(ImportError, match="progress=True needs tqdm"):
        effective(net, samples=3, progress=True, **quiet)


# What is refused.


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        ({"samples": 0}, ValueError, "samples=0: must be at least 1"),
        ({"samples": 2.0}, TypeError, "samples=2.0: 2.0 is not a whole number"),
        ({"samples": True}, TypeError, "samples=True"),
        ({"channel": 1}, ValueError, "channel=1: the model's output has 0 to 0"),
        ({"channel": -1}, ValueError, "channel=-1"),
        ({"channel": "all"}, TypeError, "channel='all'"),
        ({"channel": True}, TypeError, "channel=True"),
        ({"power": 2}, ValueError, "power=2: must be 'squared' or 'absolute'"),
        ({"power": "square"}, ValueError, "power='square'"),
        ({"power": None}, ValueError, "power=None"),
        ({"power": ["squared"]}, ValueError, "power="),
        ({"dtype": torch.float16}, ValueError, "dtype=torch.float16: must be torch.float64 or"),
        ({"dtype": "float64"}, ValueError, "dtype='float64'"),
        ({"theoretical": None}, TypeError, "theoretical=None: must be True or False"),
        ({"progress": 1}, TypeError, "progress=1: must be True, False or None"),
        ({"seed": -1}, ValueError, "seed=-1"),
        ({"seed": 0.5}, TypeError, "seed=0.5"),
        ({"unit": 9}, ValueError, "unit=9: axis 0 has units 0 to 8"),
        ({"unit": (0, 0)}, ValueError, "one index per axis of the output"),
        ({"layer": "conv"}, ValueError, "layer='conv' is not a submodule"),
        ({"layer": 3}, TypeError, "layer=3"),
        ({"input_size": (9,)}, ValueError, r"input_size=\(9,\)"),
        (
            {"input_size": (1, 2, 9)},
            ValueError,
            r"input_size=\(1, 2, 9\): the model's forward fail",
        ),
        (
            {"inputs": torch.ones(2, 2, 9), "input_size": None, "theoretical": False},
            ValueError,
            r"inputs, of which one has the shape \(1, 2, 9\): the model's forward fails",
        ),
        ({"inputs": torch.ones(2, 1, 8)}, ValueError, r"\(1, 1, 9\).*each of inputs.*\(1, 1, 8\)"),
        ({"inputs": torch.ones(1, 9)}, ValueError, r"shape \(1, 9\).*one to three axes"),
        ({"inputs": torch.ones(0, 1, 9)}, ValueError, r"inputs.*shape \(0, 1, 9\)"),
        ({"inputs": []}, ValueError, "inputs is empty"),
        ({"inputs": 3}, TypeError, "inputs=3: must be a tensor"),
        ({"inputs": "noise"}, TypeError, "inputs='noise'"),
        ({"inputs": np.ones((2, 1, 9))}, TypeError, "inputs: one is a ndarray"),
        ({"inputs": [(torch.ones(1, 1, 9), 0)]}, TypeError, r"\(x for x, _ in loader\)"),
        ({"inputs": torch.ones(2, 1, 9, dtype=torch.uint8)}, TypeError, "type torch.uint8"),
        ({"inputs": torch.full((2, 1, 9), float("inf"))}, ValueError, "NaN or infinity"),
        ({"inputs": [torch.ones(1, 1, 9), torch.ones(1, 1, 7)]}, ValueError, "size.*the first"),
        ({"inputs": torch.ones(2, 1, 9), "samples": 3}, ValueError, "samples=3: inputs has 2"),
    ],
)
def test_bad_arguments(arguments: dict[str, Any], kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        effective(line(3), **{"input_size": (1, 1, 9), **arguments})


@pytest.mark.parametrize(
    ("model", "kind", "message"),
    [
        ([line(3)], TypeError, "nn.Sequential"),
        (None, TypeError, "model=None"),
        (line(3).to("meta"), TypeError, "meta device"),
        (Net(lambda s, x: (x, x)), TypeError, "output is a tuple of 2"),
        (Net(lambda s, x: x.sum()), ValueError, r"shape \(\)"),
    ],
)
def test_bad_models(model: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        effective(model, (1, 1, 9), theoretical=False)
    with pytest.raises(kind, match=message):
        effective(model, (1, 1, 9))


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda r: r.area(0), ValueError, "share=0: must be above 0 and at most 1"),
        (lambda r: r.area(1.01), ValueError, "share=1.01"),
        (lambda r: r.side(float("nan")), ValueError, "share=nan"),
        (lambda r: r.radius_of("half"), TypeError, "share='half'"),
        (lambda r: r.fraction(True), TypeError, "share=True"),
        (lambda r: r.share(-1), ValueError, "within=-1"),
        (lambda r: r.share(float("nan")), ValueError, "within=nan"),
        (lambda r: r.share(True), TypeError, "within=True"),
        (lambda r: r.share("all"), TypeError, "within='all'"),
        (lambda r: r.share((1, 2)), TypeError, r"within=\(1, 2\): must be a distance, or"),
        (lambda r: r.share(((0, 1),)), ValueError, "1 axes; must be.*2 axes"),
        (lambda r: r.share(((0, 1), (2, 1))), ValueError, "first is after its last"),
        (lambda r: r.share(((0, 1), (0.5, 1))), TypeError, "0.5 is not a whole number"),
        (lambda r: r.profile(2), ValueError, "axis=2: must be 0 to 1"),
        (lambda r: r.profile(-1), ValueError, "axis=-1"),
        (lambda r: r.profile("row"), TypeError, "axis='row'"),
    ],
)
def test_bad_questions(call: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        call(result(MASS))


def test_it_is_a_public_name() -> None:
    assert rflib.effective is effective
    assert rflib.Effective is Effective
