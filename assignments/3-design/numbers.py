"""The numbers of assignment 3: a target that many networks meet, and obvious ones do not."""

from __future__ import annotations

import random as randomness
from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import product

import rflib
from rflib.networks import Conv

Design = list[tuple[int, int, int]]  # kernel, stride, channels
LAST, NARROWEST = 64, 16


def draw(random: randomness.Random) -> dict[str, object]:
    """Return a value for each placeholder of the source notebook."""
    return target(random) | stems(random)


def target(random: randomness.Random) -> dict[str, object]:
    """Field, jump and budgets for Question 2, from a network that meets them."""
    while True:
        jump, image = random.choice((4, 8)), random.choice((160, 192, 224, 256))
        early = [(random.choice((3, 5, 7)), 2, NARROWEST), (random.choice((3, 5)), 2, 32)]
        early += [(3, 2, 32)] * (jump == 8)
        depth = random.randint(3, 5)
        known = [*early, *[(3, 1, 32)] * (depth - 1), (3, 1, LAST)]
        size = field(known)
        weights, work = costs(known, image)
        budget = -(-weights * 3 // 2 // 1000) * 1000, -(-work * 3 // 2 // 10**6) * 10**6
        wrong = (
            [(size, jump, LAST)],  # one giant kernel
            [(k, s, LAST) for k, s, _ in known],  # wide from the start
            # all at the image's own resolution, and the strides at the end
            [(3, 1, NARROWEST)] * (size // 2) + [(1, 2, NARROWEST)] * (jump // 4) + [(1, 2, LAST)],
        )
        if any(fits(design, image, budget) for design in wrong):
            continue
        designs = (d for d in family(jump) if field(d) == size and fits(d, image, budget))
        if len(list(zip(range(10), designs, strict=False))) == 10:
            return {
                "field": size,
                "jump": jump,
                "image": image,
                "known": [("conv", *layer) for layer in known],
                "max_weights": budget[0],
                "max_weights_words": f"{budget[0]:,}",
                "max_work": budget[1],
                "max_work_words": f"{budget[1]:,}",
            }


def field(design: Design) -> int:
    """The size of its field."""
    size: int = rflib.receptive_field([layer[:2] for layer in design])
    return size


def costs(design: Design, image: int) -> tuple[int, int]:
    """Weights and multiply-adds; each layer has the padding that keeps ceil(n / stride)."""
    channels, weights, work = 3, 0, 0
    for kernel, stride, made in design:
        image = -(-image // stride)
        own = Conv(kernel, channels, made, stride).weights
        channels, weights, work = made, weights + own, work + own * image**2
    return weights, work


def fits(design: Design, image: int, budget: Sequence[int]) -> bool:
    """Whether it keeps to both budgets."""
    return all(spent <= most for spent, most in zip(costs(design, image), budget, strict=True))


def family(jump: int) -> Iterator[Design]:
    """Some plausible designs of this jump."""
    for first, second, channels in product((3, 5, 7, 9), (3, 5, 7), (16, 24, 32)):
        early = [(first, 2, NARROWEST), (second, 2, channels)] + [(3, 2, channels)] * (jump == 8)
        for kernel, depth, last in product((3, 5), range(5), (1, 3, 5)):
            yield [*early, *[(kernel, 1, channels)] * depth, (last, 1, LAST)]


def stems(random: randomness.Random) -> dict[str, object]:
    """Three stems, an image, and a body for Questions 3 and 4."""
    channels = random.choice((48, 64, 80, 96))
    entering = random.choice((4, 5, 6, 8, 10, 12))
    crossover = next(
        c
        for c in range(1, 99)
        if Conv(3, entering, c).weights + 2 * Conv(3, c, c).weights > Conv(7, entering, c).weights
    )
    assert crossover != 7, "that is the chapter's number, for three channels"
    half = channels // 2
    three = Conv(3, 3, half).weights + Conv(3, half, half).weights + Conv(3, half, channels).weights
    ratio = Fraction(three, Conv(7, 3, channels).weights)  # on maps of one size: behind one stride
    assert ratio > 2
    return {
        "stem_image": random.choice((192, 224, 256, 320)),
        "stem_channels": channels,
        "stem_half": half,
        "ratio_top": ratio.numerator,
        "ratio_bottom": ratio.denominator,
        "body": random.randint(30, 60) * 2 + 1,
        "entering": entering,
        "crossover": crossover,
        "object": random.choice((40, 50, 60, 70)),
        "animal": random.choice(("gulls", "seals", "geese", "goats")),
    }
