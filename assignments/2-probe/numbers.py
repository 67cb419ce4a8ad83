"""The numbers of assignment 2."""

from __future__ import annotations

import random as randomness
from fractions import Fraction
from itertools import combinations

import rflib


def draw(random: randomness.Random) -> dict[str, object]:
    """Return a value for each placeholder of the source notebook."""
    image = random.randint(45, 60)
    relu_size, norm_size = random.sample((7, 9, 11, 13), 2)
    loss = random.choice((4, 6, 8, 10))
    # Each has a solution: pairs of 3/1 layers; a 1/j layer and a pool of 3 behind it.
    assert rflib.receptive_field([(3, 1)] * (relu_size // 2)) == relu_size
    assert rflib.receptive_field([(1, loss // 2), (3, 3)]) == 1 + loss
    first, second = random.choice([(2, 4), (2, 5), (3, 4), (3, 5), (4, 6), (2, 6)])
    pair = [(3, 1, 0, first), (3, 1, 0, second)]
    density = Fraction(len(rflib.reads(pair, 0)), rflib.receptive_field(pair))
    assert density < 1
    hull = random.choice((15, 17, 19, 21, 23, 25))
    return {
        "image": image,
        "relu_size": relu_size,
        "relu_layers": relu_size // 2 - 1,
        "norm_size": norm_size,
        "norm_layers": norm_size // 2,
        "loss": loss,
        "loss_stride": loss // 2,
        "first_dilation": first,
        "second_dilation": second,
        "density_top": density.numerator,
        "density_bottom": density.denominator,
        "hull": hull,
        "dilations": without_holes(hull)[0],
    }


def without_holes(hull: int) -> list[tuple[int, int, int]]:
    """Three different dilations of kernels of 3 that read each of `hull` positions."""
    found = []
    for dilations in combinations(range(1, hull), 3):
        net = [(3, 1, 0, dilation) for dilation in dilations]
        if 2 * sum(dilations) + 1 == hull == len(rflib.reads(net, 0)):
            found.append(dilations)
    return found
