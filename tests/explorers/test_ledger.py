"""The ledger's numbers against sets of indices, and the cases that people know."""

import random

import pytest

from rflib.explorers._ledger import CONTROLS, state

START = {control.name: control.value for control in CONTROLS}


def net(*layers, **others):
    """The state for layers (k, s) or (k, s, d); the other sliders stay where they are."""
    sizes = {}
    for n, (k, s, *d) in enumerate(layers, 1):
        sizes |= {f"k{n}": k, f"s{n}": s, f"d{n}": d[0] if d else 1}
    return state(**(START | {"layers": len(layers)} | sizes | others))


def read(layers):
    """What unit 0 of the last layer reads: the units of each map, input first, by brute force."""
    maps = [{0}]
    for k, s, d in reversed(layers):
        maps.insert(0, {s * unit + d * tap for unit in maps[0] for tap in range(k)})
    return maps


@pytest.mark.parametrize(
    ("layers", "sizes", "wrong"),
    [
        (((3, 2), (3, 1)), [3, 7], 5),
        (((3, 1), (3, 2)), [3, 5], 7),
        (((3, 1), (3, 1), (2, 2)), [3, 5, 6], 10),
        (((3, 1), (2, 2), (3, 1)), [3, 4, 8], 8),
        (((11, 4), (3, 2), (5, 1), (3, 2), (3, 1)), [11, 19, 51, 67, 99], None),
    ],
)
def test_the_presets_have_the_sizes_that_people_know(layers, sizes, wrong):
    numbers = net(*layers)
    assert [row["size"] for row in numbers["rows"]] == sizes
    if wrong is not None:
        assert numbers["rows"][-1]["wrong"] == wrong


def test_the_sentence_tells_the_wrong_ten_from_the_true_six():
    words = net((3, 1), (3, 1), (2, 2), misuse=True)["sentence"]
    assert words == (
        "Receptive field 1 + 2·1 + 2·1 + 1·1 = 6; jump 2. "
        "The backward formula run forwards gives 10: 4 too many."
    )


def test_a_stride_stretches_the_segments_after_it_and_not_its_own():
    plain = net((3, 1), (3, 1), (3, 1))["rows"]
    strided = net((3, 1), (3, 2), (3, 1))["rows"]
    assert [row["adds"] for row in plain] == [2, 2, 2]
    assert [row["adds"] for row in strided] == [2, 2, 4]


def test_numbers_are_those_of_sets_of_indices():
    rng = random.Random(7)
    for _ in range(300):
        layers = [
            (rng.randint(1, 11), rng.randint(1, 4), rng.randint(1, 3))
            for _ in range(rng.randint(1, 4))
        ]
        numbers = net(*layers)
        for depth in range(1, len(layers) + 1):
            field = read(layers[:depth])[0]
            assert numbers["rows"][depth - 1]["size"] == max(field) - min(field) + 1
        assert numbers["units"] == [len(units) for units in read(layers)]
        assert numbers["rows"][-1]["size"] == 1 + sum(row["adds"] for row in numbers["rows"])


def test_holes_are_told_in_words():
    assert "It has holes: 3 of these 5 pixels are read." in net((3, 1, 2))["sentence"]
    assert "holes" not in net((3, 2), (3, 1))["sentence"]


def test_every_number_is_exact_in_a_browser():
    widest = net(*[(11, 4, 3)] * 5)["rows"][-1]
    assert max(widest.values()) < 2**53
