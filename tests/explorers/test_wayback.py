"""The way back's numbers against sets of indices, and the cases that people know."""

import random
from fractions import Fraction
from math import prod

import pytest

from rflib.explorers._wayback import CONTROLS, state

START = {control.name: control.value for control in CONTROLS}


def net(*layers, **others):
    """The state for layers (k, s) or (k, s, transposed), walked all the way."""
    sizes = {}
    for n, (k, s, *up) in enumerate(layers, 1):
        sizes |= {f"k{n}": k, f"s{n}": s, f"t{n}": bool(up and up[0])}
    return state(**(START | {"layers": len(layers), "step": len(layers)} | sizes | others))


def read(layers, units):
    """What `units` of the last layer read of each map, input first, by brute force."""
    maps = [set(units)]
    for k, s, up in reversed(layers):
        if up:  # position i writes s*i ... s*i + k - 1
            near = range(min(maps[0], default=0) // s - k, max(maps[0], default=0) // s + 1)
            maps.insert(0, {i for i in near if any(s * i + tap in maps[0] for tap in range(k))})
        else:
            maps.insert(0, {s * unit + tap for unit in maps[0] for tap in range(k)})
    return maps


def width(units):
    return max(units) - min(units) + 1 if units else 0


@pytest.mark.parametrize(
    ("layers", "output", "widths"),
    [
        (((3, 1), (3, 1), (2, 2)), 1, [6, 4, 2, 1]),
        (((3, 2), (3, 1)), 1, [7, 3, 1]),
        (((3, 2), (3, 1)), 3, [11, 5, 3]),
        (((3, 1), (2, 2), (3, 1)), 1, [8, 6, 3, 1]),
    ],
)
def test_known_walks(layers, output, widths):
    assert net(*layers, output=output)["widths"] == widths


def test_the_wrong_way_round_gives_ten_and_says_where_it_departs():
    numbers = net((3, 1), (3, 1), (2, 2), output=1, wrong=True)
    assert numbers["astray"] == [3, 5, 10]
    assert numbers["needs"] == [3, 5, 6]
    assert numbers["departs"] == 3
    assert numbers["sentence"].endswith("The wrong way round departs at layer 3 (10, not 6).")


def test_forwards_and_backwards_meet_at_the_input():
    rng = random.Random(3)
    for _ in range(300):
        layers = [(rng.randint(1, 7), rng.randint(1, 4)) for _ in range(rng.randint(1, 4))]
        numbers = net(*layers, output=rng.randint(1, 6))
        last = numbers["forward"][-1]
        met = last["size"] + (numbers["output"] - 1) * int(last["jump"])
        assert numbers["widths"][0] == met == numbers["needs"][-1]
        assert f"{met:,}" in numbers["sentence"]


def test_every_width_and_phase_is_that_of_sets_of_indices():
    rng = random.Random(5)
    for _ in range(300):
        layers = [
            (rng.randint(1, 7), rng.randint(1, 4), rng.random() < 0.4)
            for _ in range(rng.randint(1, 4))
        ]
        first, output = rng.randint(0, 7), rng.randint(1, 6)
        numbers = net(*layers, first=first, output=output)
        maps = read(layers, range(first, first + output))
        assert numbers["widths"] == [width(units) for units in maps]
        assert numbers["reads"] == [len(units) for units in maps]
        assert numbers["spans"] == [[min(units), max(units)] if units else [] for units in maps]
        period = prod(s for _, s, up in layers if up)
        sizes = [width(read(layers, range(a, a + output))[0]) for a in range(period)]
        assert numbers["phases"] == [
            {
                "size": size,
                "share": str(Fraction(sizes.count(size), period)),
                "first": sizes.index(size),
            }
            for size in sorted(set(sizes), reverse=True)
        ]
        assert numbers["needs"][-1] == max(sizes)


def test_a_width_with_holes_says_so():
    numbers = net((2, 4), (3, 1), output=4)
    assert (numbers["widths"], numbers["reads"]) == ([22, 6, 4], [12, 6, 4])
    assert "= 22. It has holes: 12 of these 22 are read." in numbers["sentence"]
    assert "holes" not in net((3, 2), (3, 1), output=4)["sentence"]


def test_an_output_that_nobody_writes_needs_nothing():
    numbers = net((3, 1), (2, 3, True), first=2, output=1)
    assert numbers["widths"] == [0, 0, 1]
    assert numbers["sentence"].startswith(
        "Nothing of layer 1 is needed, and so nothing of the input."
    )


def test_a_step_beyond_the_last_layer_is_the_last_step():
    numbers = state(**(START | {"layers": 2, "step": 4}))
    assert numbers["step"] == numbers["bounds"]["step"] == 2


def test_positions_before_the_map_are_said_in_words():
    words = "Positions below 0 lie before the map"
    assert words in net((3, 2, True), output=1, first=0)["sentence"]
    assert words not in net((3, 2), output=1, first=0)["sentence"]
