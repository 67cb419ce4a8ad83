"""The effective field's numbers against exact fractions, and against networks of random signs."""

from fractions import Fraction
from itertools import product
from math import sqrt

import pytest
import torch

from rflib.explorers._effective import CONTROLS, state

START = {control.name: control.value for control in CONTROLS}


def exact(layers, kernel, dilation, shortcut):
    """The mass along the field in fractions, from the definition: one box per layer."""
    reach = dilation * (kernel - 1)
    box = [Fraction(0)] * (reach + 1)
    for tap in range(kernel):
        box[tap * dilation] += Fraction(1, 2 * kernel if shortcut else kernel)
    if shortcut:
        box[reach // 2] += Fraction(1, 2)
    mass = [Fraction(1)]
    for _ in range(layers):
        wider = [Fraction(0)] * (len(mass) + reach)
        for a, b in product(range(len(mass)), range(reach + 1)):
            wider[a + b] += mass[a] * box[b]
        mass = wider
    return mass


@pytest.mark.parametrize("shortcut", [False, True])
@pytest.mark.parametrize(
    ("layers", "kernel", "dilation"), [(1, 3, 1), (4, 3, 2), (9, 5, 1), (6, 7, 3)]
)
def test_the_middle_is_the_shortest_that_holds_the_share(layers, kernel, dilation, shortcut):
    mass = exact(layers, kernel, dilation, shortcut)
    centre = (len(mass) - 1) // 2
    assert sum(mass) == 1
    for share in range(50, 100, 5):
        found = state(layers, kernel, dilation, share, shortcut)
        assert found["size"] == len(mass) == 1 + layers * dilation * (kernel - 1)
        half = (found["width"] - 1) // 2
        assert sum(mass[centre - half : centre + half + 1]) >= Fraction(share, 100)
        if half:
            assert sum(mass[centre - half + 1 : centre + half]) < Fraction(share, 100)
    variance = sum(each * (place - centre) ** 2 for place, each in enumerate(mass))
    assert abs(float(found["sigma"]) - sqrt(variance)) <= 0.05 + 1e-9
    assert found["profile"] == [int(1000 * each / max(mass) + Fraction(1, 2)) for each in mass]


def test_it_is_the_mean_of_the_squared_gradient_over_random_weights():
    """With weights of 1 or -1, over all of them: nothing is left to chance."""
    total = torch.zeros(7, dtype=torch.float64)
    for signs in product((1.0, -1.0), repeat=9):
        signal = torch.zeros(1, 1, 7, dtype=torch.float64, requires_grad=True)
        out = signal
        for layer in range(3):
            weight = torch.tensor(signs[3 * layer : 3 * layer + 3], dtype=torch.float64)
            out = torch.nn.functional.conv1d(out, weight.view(1, 1, 3))
        (slope,) = torch.autograd.grad(out[0, 0, 0], signal)
        total += slope[0, 0] ** 2
    mass = total / total.sum()
    assert mass.tolist() == pytest.approx([float(each) for each in exact(3, 3, 1, False)])
    found = state(3, 3, 1, 95, False)
    assert found["profile"] == [round(1000 * float(each / mass.max())) for each in mass]


def test_four_times_the_layers_make_the_field_four_times_and_the_middle_twice_as_wide():
    few, many = (state(**(START | {"layers": layers})) for layers in (6, 24))
    assert (many["size"] - 1) == 4 * (few["size"] - 1)
    assert float(many["sigma"]) == pytest.approx(2 * float(few["sigma"]))
    assert many["widths"][5] == few["width"]


def test_a_shortcut_narrows_the_middle_and_not_the_field():
    chain, around = (state(**(START | {"shortcut": on})) for on in (False, True))
    assert chain["size"] == around["size"] == 21
    assert around["width"] < chain["width"]
