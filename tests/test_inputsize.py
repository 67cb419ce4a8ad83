"""The way back: how much input an output needs, phases, and the sizes of maps."""

from __future__ import annotations

import time
from contextlib import suppress
from fractions import Fraction

import pytest

import rflib
from rflib import Layer
from rflib.inputsize import Phase, inputs_for, phases

POOL = (2, 2)
UP = Layer(3, 2, padding=1, transposed=True)


def test_the_way_back_step_by_step() -> None:
    layers = [(3,), (3,), POOL]
    assert rflib.input_size(layers) == 6
    assert rflib.input_size(layers, steps=True) == (6, 4, 2, 1)


def test_the_backward_formula_run_forwards_gives_ten() -> None:
    """The second source's mistake, s*(r - 1) + k from the first layer on; at stride 1 it fits."""
    wrong = 1
    for kernel, stride in ((3, 1), (3, 1), (2, 2)):
        wrong = stride * (wrong - 1) + kernel
    assert wrong == 10
    assert rflib.input_size([(3,), (3,), POOL]) == 6


@pytest.mark.parametrize(
    ("layers", "output", "size"),
    [
        ([(3,)], 5, 7),
        ([(3, 2)], 3, 7),
        ([(3, 2), (3,)], 1, 7),
        ([(3,), (3, 2)], 1, 5),
        ([(3, 1, 7)], 1, 3),  # padding is not counted
        ([(3, 1, "same")], 4, 6),
        ([(2, 3)], 3, 8),  # stride above kernel: what is skipped lies within
        ([(3, 1, 0, 2)] * 3, 1, 13),
        ([(4, 2)] * 3 + [(4, 1)] * 2, 1, 70),
        ([(7, 2, 3), (3, 2, 1)], 56, 227 + 4),
        ([(3, 2), UP], 1, 5),
        ([UP], 1, 2),
        ([UP], 2, 2),
        ([UP], 3, 3),
        ([Layer(1, 3, transposed=True)], 1, 1),
        ([Layer(1, 3, transposed=True)], 3, 1),
        ([Layer(1, 3, transposed=True)], 4, 2),
    ],
)
def test_input_size(layers: list[object], output: int, size: int) -> None:
    assert rflib.input_size(layers, output=output) == size


def test_steps_are_the_sizes_that_the_rest_needs() -> None:
    layers = [(5, 2), (3,), UP, (3, 1, 0, 2), POOL]
    steps = rflib.input_size(layers, output=3, steps=True)
    rest = [rflib.input_size(layers[i:], output=3) for i in range(len(layers))]
    assert steps == (*rest, 3)


def test_per_axis() -> None:
    layers = [Layer((3, 5), stride=(1, 2)), (3,)]
    assert rflib.input_size(layers) == (5, 9)
    assert rflib.input_size(layers, output=2) == (6, 11)
    assert rflib.input_size(layers, output=(1, 2), steps=True) == ((5, 11), (3, 4), (1, 2))


def test_deep_and_large() -> None:
    began = time.process_time()
    assert rflib.input_size([(3,)] * 20_000) == 40_001
    assert time.process_time() - began < 10
    assert rflib.input_size([(3, 2)] * 200) == 2**201 - 1
    assert rflib.input_size([(3,)], output=10**40) == 10**40 + 2


# Phases.


def test_no_upsampling_is_one_phase() -> None:
    assert phases([(3,), POOL]) == (Phase(4, Fraction(1), 0),)


def test_phases_of_the_known_case() -> None:
    """Even units of k3 s2 p1 read one unit of the map before (10 pixels), odd ones two (12)."""
    half = Fraction(1, 2)
    assert phases([(3,), (3,), POOL, (3,), UP]) == (Phase(12, half, 1), Phase(10, half, 0))
    five = Layer(5, 2, padding=2, transposed=True)
    assert phases([(3,), (3,), POOL, (3,), five]) == (Phase(14, half, 0), Phase(12, half, 1))


def test_units_that_read_nothing_are_a_phase() -> None:
    """Kernel 2 at stride 5: three of five units lie between what is written."""
    found = phases([(3,), Layer(2, 5, transposed=True)])
    assert found == (Phase(3, Fraction(2, 5), 0), Phase(0, Fraction(3, 5), 2))


def test_phases_of_several_outputs() -> None:
    assert phases([UP], output=2) == (Phase(2, Fraction(1), 0),)
    assert phases([UP], output=3) == (
        Phase(3, Fraction(1, 2), 1),
        Phase(2, Fraction(1, 2), 0),
    )


def test_odd_strides_multiply_the_phases() -> None:
    three = Layer(3, 3, transposed=True)
    found = phases([(3,), three, (2,), UP])
    assert sum(phase.share for phase in found) == 1
    assert {phase.share.denominator for phase in found} <= {1, 2, 3, 6}


def test_downsampling_may_choose_one_phase() -> None:
    """What is upsampled by 2 and sampled every second unit differs no more."""
    assert phases([(3,), UP, (1, 2)]) == (Phase(3, Fraction(1), 0),)
    assert phases([(3,), UP, Layer(1, 2, padding=1)]) == (Phase(4, Fraction(1), 0),)


@pytest.mark.parametrize("padding", range(6))
def test_first_unit_is_never_negative(padding: int) -> None:
    for phase in phases([(3,), Layer(4, 3, padding, transposed=True)]):
        assert phase.first in range(3)


def test_phases_per_axis() -> None:
    first, second = phases([(3,), Layer((3, 2), 2, (1, 0), transposed=True)])
    assert [phase.size for phase in first] == [4, 3]
    assert [phase.size for phase in second] == [3]


# Sizes of maps.


@pytest.mark.parametrize(
    ("layers", "inputs", "output"),
    [
        ([(7, 2, 3)], 224, 112),
        ([(7, 2)], 224, 109),
        ([(7, 2, 3), (3, 2, 1)], 224, 56),
        ([(3, 2)], 7, 3),
        ([(3, 2)], 8, 3),
        ([(3, 1, "same")], 9, 9),
        ([(4, 1, "same", 3)], 9, 9),
        ([(3, 1, "valid")], 9, 7),
        ([Layer(3, 2, 1, ceil_mode=True)], 6, 4),
        ([Layer(3, 2, 1)], 6, 3),
        ([Layer(2, 2, 1, ceil_mode=True)], 3, 2),  # a third window would begin in the padding
        ([UP], 7, 13),
        ([Layer(3, 2, 1, transposed=True, output_padding=1)], 7, 14),
        ([Layer(1, padding=((2, 3),))], 4, (9,)),
    ],
)
def test_output_size(layers: list[object], inputs: int, output: object) -> None:
    assert rflib.output_size(layers, inputs) == output


def test_output_size_step_by_step() -> None:
    assert rflib.output_size([(7, 2, 3), (3, 2, 1)], 224, steps=True) == (224, 112, 56)
    assert rflib.output_size([Layer((3, 5), 2)], (9, 11), steps=True) == ((9, 11), (4, 4))


def test_too_small_an_input_is_said_in_words() -> None:
    with pytest.raises(ValueError, match=r"input_size .*got 4.*layers\[1\].*receives 2"):
        rflib.output_size([(3,), (3,)], 4)


@pytest.mark.parametrize(
    ("layers", "output", "smallest_and_largest"),
    [
        ([(3, 2)], 3, (7, 8)),  # the floor: the inverse is not unique
        ([(3, 2)], 1, (3, 4)),
        ([(3, 2, 1)], 3, (5, 6)),
        ([(7, 2, 3), (3, 2, 1)], 56, (221, 224)),
        ([Layer(3, 2, ceil_mode=True)], 3, (6, 7)),
        ([UP], 13, (7, 7)),
        ([(3, 2), UP], 13, (15, 16)),
        ([(3, 1, 2)], 3, (1, 1)),
    ],
)
def test_inputs_for(
    layers: list[object], output: int, smallest_and_largest: tuple[int, int]
) -> None:
    assert inputs_for(layers, output) == smallest_and_largest


def test_the_field_is_the_smallest_input_without_padding() -> None:
    layers = [(3,), (3, 2), (2, 2), (5, 3)]
    assert inputs_for(layers, 1)[0] == rflib.receptive_field(layers)


@pytest.mark.parametrize("output", [2, 4, 12])
def test_an_output_that_no_input_gives(output: int) -> None:
    """Stride 2 transposed gives odd sizes only."""
    with pytest.raises(ValueError, match=f"output .*got {output}"):
        inputs_for([UP], output)


def test_inputs_for_per_axis() -> None:
    assert inputs_for([Layer((3, 3), (1, 2))], 3) == ((5, 5), (7, 8))


@pytest.mark.parametrize("kernel", [1, 2, 3, 5])
@pytest.mark.parametrize("stride", [1, 2, 3, 4])
@pytest.mark.parametrize("padding", [0, 1, 2, 4])
def test_inputs_for_a_layer_that_rounds_up(kernel: int, stride: int, padding: int) -> None:
    """Also with more padding than torch allows a pool: the two functions must agree."""
    layer = Layer(kernel, stride, padding, ceil_mode=True)
    made: dict[int, list[int]] = {}
    for n in range(1, 40):
        with suppress(ValueError):  # too small for the layer
            made.setdefault(rflib.output_size([layer], n), []).append(n)
    for output, inputs in sorted(made.items())[:-2]:
        assert rflib.inputs_for([layer], output) == (inputs[0], inputs[-1])


def test_inputs_for_a_wide_layer_that_rounds_up() -> None:
    wide = 10**9
    layer = Layer(wide, wide, ceil_mode=True)
    assert rflib.inputs_for([layer], 2) == (wide + 1, 2 * wide)


def test_phases_that_would_fill_the_memory_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    layers = [Layer(20, dilation=2), Layer(101, 101, transposed=True), Layer(1, 99)]
    assert rflib.phases(layers)[0].share == 1
    monkeypatch.setattr("rflib.inputsize.MOST_PIECES", 1000)
    with pytest.raises(ValueError, match=r"at most 1,000 pieces.*rflib\.region"):
        rflib.phases(layers)
