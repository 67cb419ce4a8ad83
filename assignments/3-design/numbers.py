"""The numbers of assignment 3: a target that many networks meet, and obvious ones do not."""

from __future__ import annotations

import random as randomness
from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import product

import rflib
from rflib import networks
from rflib.networks import Conv, Pool, Stem

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
    half, image = channels // 2, random.choice((192, 224, 256, 320))
    # All three fields, 4, 11 and 15 + 4(body - 1), are larger than the image, or all are smaller.
    body = random.choice([n for n in range(61, 122, 2) if not 4 * n <= image <= 4 * n + 11])
    convs = {
        "seven": (Conv(7, 3, channels, 2, 3),),
        "three": (Conv(3, 3, half, 2, 1), Conv(3, half, half, 1, 1), Conv(3, half, channels, 1, 1)),
        "patches": (Conv(4, 3, channels, 4),),
    }
    made = {
        name: networks.costs(Stem(name, layers, None if name == "patches" else Pool()), image)
        for name, layers in convs.items()
    }
    ratio = Fraction(made["three"].multiply_adds, made["seven"].multiply_adds)
    cheapest = made["patches"]
    assert ratio > 2, "more than twice, as the solution says"
    for cost in (made["seven"], made["three"]):
        assert cost.jump == cheapest.jump == 4
        assert cost.weights > cheapest.weights
        assert cost.multiply_adds > cheapest.multiply_adds
        assert cost.activation_bytes > cheapest.activation_bytes
    assert len({cost.size + cost.jump * (body - 1) > image for cost in made.values()}) == 1
    told: dict[str, object] = {}
    for name, cost in made.items():
        told[f"last_{name}"] = cost.size + cost.jump * (body - 1)
        told[f"weights_{name}"] = f"{cost.weights:,}"
        told[f"work_{name}"] = f"{cost.multiply_adds / 1e6:.0f}"
        told[f"memory_{name}"] = f"{cost.activation_bytes / 1e6:.1f}"
    return told | {
        "stem_image": image,
        "stem_channels": channels,
        "stem_half": half,
        "ratio_top": ratio.numerator,
        "ratio_bottom": ratio.denominator,
        "body": body,
        "entering": entering,
        "crossover": crossover,
        "object": random.choice((40, 50, 60, 70)),
        "animal": random.choice(("gulls", "seals", "geese", "goats")),
    }
