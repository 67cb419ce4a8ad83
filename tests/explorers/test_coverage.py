"""The coverage against sets of indices, against gradients, and the cases that people know."""

import itertools
import random

import pytest
import torch

from rflib.explorers._coverage import CONTROLS, state

START = {control.name: control.value for control in CONTROLS}


def net(*dilations, kernels=(3, 3, 3, 3)):
    sizes = {}
    for n, (k, d) in enumerate(zip(kernels, dilations, strict=False), 1):
        sizes |= {f"k{n}": k, f"d{n}": d}
    return state(**(START | {"layers": len(dilations)} | sizes))


@pytest.mark.parametrize(
    ("dilations", "size", "read", "shared", "most"),
    [
        ((1,), 3, 3, 2, 1),
        ((2, 2, 2), 13, 7, 0, 7),
        ((1, 2, 4), 15, 15, 14, 3),
        ((1, 3, 9), 27, 27, 26, 1),
        ((2, 3), 11, 9, 6, 1),
        ((1, 2, 5), 17, 17, 16, 2),
    ],
)
def test_known_stacks(dilations, size, read, shared, most):
    found = net(*dilations)
    assert (found["size"], found["read"], found["shared"]) == (size, read, shared)
    assert max(found["paths"]) == most


def test_every_number_is_that_of_all_choices_of_taps():
    rng = random.Random(6)
    for _ in range(200):
        many = rng.randint(1, 4)
        kernels = [rng.randint(2, 5) for _ in range(many)]
        dilations = [rng.randint(1, 9) for _ in range(many)]
        found = net(*dilations, kernels=kernels)
        steps = [[d * tap for tap in range(k)] for k, d in zip(kernels, dilations, strict=True)]
        ends = [sum(taps) for taps in itertools.product(*steps)]
        assert found["paths"] == [ends.count(place) for place in range(max(ends) + 1)]
        assert found["total"] == len(ends)
        assert found["read"] == len(set(ends))
        assert found["shared"] == len(set(ends) & {end + 1 for end in ends})
        missing = set(range(max(ends))) - set(ends)
        assert found["hole"] == min(missing, default=-1)
        assert all(end % found["apart"] == 0 for end in ends)


def test_the_paths_are_the_gradient_of_a_net_of_ones():
    for dilations in ((2, 2, 2), (1, 2, 4), (2, 3), (1, 2, 5)):
        found = net(*dilations)
        layers = [torch.nn.Conv1d(1, 1, 3, dilation=d, bias=False).double() for d in dilations]
        for layer in layers:
            torch.nn.init.ones_(layer.weight)
        signal = torch.zeros(1, 1, 40, dtype=torch.float64, requires_grad=True)
        (slope,) = torch.autograd.grad(torch.nn.Sequential(*layers)(signal)[0, 0, 0], signal)
        assert [int(value) for value in slope[0, 0, : found["size"]]] == found["paths"]
        assert not slope[0, 0, found["size"] :].any()


def test_it_says_when_the_network_falls_apart():
    assert "The next unit reads none of these." in net(2, 4)["sentence"]
    assert "falls apart into 2" in net(2, 4)["sentence"]
    assert "falls apart" not in net(2, 3)["sentence"]
    assert "The first hole is at 1." in net(2, 3)["sentence"]
    assert net(1, 3, 9)["sentence"].startswith("All 27 positions of the hull are read.")
