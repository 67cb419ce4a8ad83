"""The numbers of assignment 1, drawn so that each well-known mistake gives another answer."""

from __future__ import annotations

import random as randomness
from fractions import Fraction

import rflib

STRIDES = ((2, 1, 2, 1), (1, 2, 1, 2), (2, 1, 1, 2), (1, 2, 2, 1))


def draw(random: randomness.Random) -> dict[str, object]:
    """Return a value for each placeholder of the source notebook."""
    numbers: dict[str, object] = {}
    for part in (recurrence, backward, mistake, regions, patches, phases):
        numbers |= part(random)
    return numbers


def recurrence(random: randomness.Random) -> dict[str, object]:
    """A network for Question 1: four layers, two of which move by 2."""
    while True:
        net = list(zip(random.choices((3, 5, 7), k=4), random.choice(STRIDES), strict=True))
        right = rflib.receptive_field(net)
        without_jump = 1 + sum(k - 1 for k, _ in net)
        early = 1 + sum((k - 1) * jump for (k, _), jump in zip(net, jumps(net)[1:], strict=True))
        backwards = rflib.receptive_field(net[::-1])
        if len({right, without_jump, early, backwards}) == 4:
            return {
                "net": net,
                "net_words": words(net),
                "net_size": right,
                "net_jump": jumps(net)[-1],
                "net_without_jump": without_jump,
                "net_early": early,
                "net_backwards": backwards,
            }


def backward(random: randomness.Random) -> dict[str, object]:
    """A tile for Question 2."""
    while True:
        net = list(zip(random.choices((3, 5), k=4), random.choice(STRIDES), strict=True))
        tile = random.randint(8, 20)
        right = rflib.input_size(net, tile)
        size, jump = rflib.receptive_field(net), jumps(net)[-1]
        wrong = (rflib.input_size(net[::-1], tile), tile * jump, tile * size, size + tile * jump)
        if len({right, *wrong}) == 5:
            return {
                "tile": tile,
                "tile_words": words(net),
                "tile_size": right,
                "tile_forwards": wrong[0],
                "tile_jumps": wrong[1],
                "tile_fields": wrong[2],
                "tile_one_more": wrong[3],
            }


def mistake(random: randomness.Random) -> dict[str, object]:
    """How wrong the calculator of Question 3 is to be, and a layer that hides its fault."""
    kernel, stride = random.choice(((3, 2), (5, 2), (3, 3), (5, 3), (7, 3), (7, 2)))
    gap = random.choice((6, 8, 12, 16, 18))
    # (gap + 1)/1 and then 2/2: too large by gap. kernel 2k - 1, stride 2s - 1: right all the same.
    witness, hiding = [(gap + 1, 1), (2, 2)], [(kernel, stride), (2 * kernel - 1, 2 * stride - 1)]
    assert rflib.receptive_field(witness[::-1]) - rflib.receptive_field(witness) == gap
    assert rflib.receptive_field(hiding[::-1]) == rflib.receptive_field(hiding)
    return {
        "gap": gap,
        "hide_kernel": kernel,
        "hide_stride": stride,
        "witness_kernel": gap + 1,
        "partner": hiding[1],
    }


def regions(random: randomness.Random) -> dict[str, object]:
    """A network, an image and a unit for Question 4: the last unit, with a pixel nobody reads."""
    while True:
        net = [
            (random.choice((3, 5)), 2, random.choice((0, 1))),
            (random.choice((3, 5)), random.choice((1, 2)), 1),
            (3, 1, 1),
        ]
        image = random.randint(40, 70)
        unit = rflib.output_size(net, image) - 1
        first, last = rflib.region(net, unit)
        seen = rflib.region(net, unit, input_size=image, clip=True)
        without_padding = rflib.region([layer[:2] for layer in net], unit)
        answers = {(first, last), tuple(seen), (first, image - 1), tuple(without_padding)}
        if len(answers) == 4 and last > image - 1:
            return {
                "image": image,
                "unit": unit,
                "region_words": ", ".join(f"{k}/{s} with padding {p}" for k, s, p in net),
                "region": (first, last),
                "seen": tuple(seen),
                "seen_leftover": (first, image - 1),
                "region_bare": tuple(without_padding),
            }


def patches(random: randomness.Random) -> dict[str, object]:
    """A variant of PatchGAN for Question 5, and an image for the known one."""
    known = [(4, 2, 1)] * 3 + [(4, 1, 1)] * 2
    assert rflib.receptive_field(known) == 70
    while True:
        kernel, twos = random.choice((3, 5, 6, 7)), random.choice((1, 2, 4, 5))
        variant = [(kernel, 2)] * twos + [(kernel, 1)] * 2
        image = random.randint(200, 320)
        verdicts = rflib.output_size(known, image)
        bare = rflib.output_size([layer[:2] for layer in known], image)
        size = rflib.receptive_field(variant)
        if len({verdicts, bare, image // 8, image // 70, size, 70}) == 6:
            return {
                "patch_kernel": kernel,
                "patch_twos": twos,
                "patch_size": size,
                "patch_image": image,
                "verdicts": verdicts,
                "verdicts_bare": bare,
                "verdicts_eighth": image // 8,
                "verdicts_apart": image // 70,
            }


def phases(random: randomness.Random) -> dict[str, object]:
    """A layer that multiplies the jump and one that divides it, for Question 6."""
    down, up = random.choice(((2, 3), (3, 2), (2, 5), (4, 3), (3, 5)))
    kernel = random.choice((5, 7, 9, 11))
    writes = random.choice([k for k in range(up + 1, 3 * up) if k % up])
    net = [(kernel, down), rflib.Layer(writes, up, 1, transposed=True)]
    sizes = [phase.size for phase in rflib.phases(net)]
    assert len(sizes) == 2
    assert rflib.recurrence(net)[-1].jump == Fraction(down, up)
    return {
        "up_first": kernel,
        "up_down": down,
        "up_kernel": writes,
        "up_stride": up,
        "up_sizes": tuple(sorted(sizes)),
        "up_as_conv": kernel + down * (writes - 1),
    }


def jumps(net: list[tuple[int, int]]) -> list[int]:
    """The jumps before the first layer and behind each."""
    found = [1]
    for _, stride in net:
        found.append(found[-1] * stride)
    return found


def words(net: list[tuple[int, int]]) -> str:
    """The layers as the book writes them: kernel/stride."""
    return ", ".join(f"{k}/{s}" for k, s in net)
