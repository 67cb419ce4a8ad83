"""Sizes, jumps and starts that people know, and the table they are printed in."""

from __future__ import annotations

import time
from collections.abc import Callable
from fractions import Fraction

import pytest

import rflib
from rflib import Layer

# Networks as (kernel, stride) or (kernel, stride, padding), main path only.
POOL = (2, 2)
VGG16 = [(3,)] * 2 + [POOL] + [(3,)] * 2 + [POOL] + ([(3,)] * 3 + [POOL]) * 3
ALEXNET = [(11, 4, 2), (3, 2), (5, 1, 2), (3, 2), (3, 1, 1), (3, 1, 1), (3, 1, 1), (3, 2)]
PATCHGAN = [(4, 2)] * 3 + [(4, 1)] * 2
STEM = [(7, 2, 3), (3, 2, 1)]


def basic(strides: list[int]) -> list[tuple[int, ...]]:
    return [layer for s in strides for layer in ((3, s, 1), (3, 1, 1))]


def bottleneck(strides: list[int], *, stride_on_1x1: bool) -> list[tuple[int, ...]]:
    pairs = ((s, 1) if stride_on_1x1 else (1, s) for s in strides)
    return [layer for first, second in pairs for layer in ((1, first), (3, second, 1), (1,))]


RESNET18 = STEM + basic([1, 1, 2, 1, 2, 1, 2, 1])
BLOCKS = {
    50: (3, 4, 6, 3),
    101: (3, 4, 23, 3),
    152: (3, 8, 36, 3),
}


def resnet(depth: int, *, stride_on_1x1: bool) -> list[tuple[int, ...]]:
    counts = BLOCKS[depth]
    strides = [
        2 if stage and not block else 1 for stage in range(4) for block in range(counts[stage])
    ]
    return STEM + bottleneck(strides, stride_on_1x1=stride_on_1x1)


SIZES = {
    "one layer is its kernel": ([(5,)], 5),
    "1x1 adds nothing": ([(1,)] * 9, 1),
    "two 3 are 5": ([(3,)] * 2, 5),
    "three 3 are 7": ([(3,)] * 3, 7),
    "the third source's list": ([(k,) for k in (9, 3, 3, 3, 9, 3, 3, 7, 3)], 35),
    "conv conv pool is 6, not 10": ([(3,), (3,), POOL], 6),
    "conv pool conv is 8": ([(3,), POOL, (3,)], 8),
    "3/2 then 3": ([(3, 2), (3,)], 7),
    "3 then 3/2": ([(3,), (3, 2)], 5),
    "7/2 then 3/2": ([(7, 2), (3, 2)], 11),
    "deep stem 3/2 3 3": ([(3, 2), (3,), (3,)], 11),
    "patchify 4/4": ([(4, 4)], 4),
    "a strided 1x1 multiplies the jump all the same": ([(1, 2), (3,)], 5),
    "three of dilation 2": ([(3, 1, 0, 2)] * 3, 13),
    "dilations 1 2 4": ([(3, 1, 0, d) for d in (1, 2, 4)], 15),
    "stride above kernel": ([(2, 3), (2, 3)], 5),
    "PatchGAN": (PATCHGAN, 70),
    "VGG-16, pool5": (VGG16, 212),
    "AlexNet, pool5": (ALEXNET, 195),
    "ResNet-18": (RESNET18, 435),
    "ResNet-50, stride on the 3x3": (resnet(50, stride_on_1x1=False), 427),
    "ResNet-101, stride on the 3x3": (resnet(101, stride_on_1x1=False), 971),
    "ResNet-152, stride on the 3x3": (resnet(152, stride_on_1x1=False), 1451),
    "ResNet-50, stride on the 1x1": (resnet(50, stride_on_1x1=True), 483),
    "ResNet-101, stride on the 1x1": (resnet(101, stride_on_1x1=True), 1027),
    "ResNet-152, stride on the 1x1": (resnet(152, stride_on_1x1=True), 1507),
}


@pytest.mark.parametrize(("layers", "size"), SIZES.values(), ids=SIZES.keys())
def test_size(layers: list[tuple[int, ...]], size: int) -> None:
    assert rflib.receptive_field(layers) == size
    assert rflib.recurrence(layers)[-1].size == size


@pytest.mark.parametrize(
    ("layers", "jump"),
    [(VGG16, 32), (ALEXNET, 32), (RESNET18, 32), (PATCHGAN, 8), (STEM, 4)],
    ids=["VGG-16", "AlexNet", "ResNet-18", "PatchGAN", "stem"],
)
def test_jump_is_the_product_of_strides(layers: list[tuple[int, ...]], jump: int) -> None:
    assert rflib.recurrence(layers)[-1].jump == jump


def test_simple_cnn_row_by_row() -> None:
    rows = rflib.recurrence([(3, 1, 1), POOL, (3, 1, 1)])
    assert [row.size for row in rows] == [3, 4, 8]
    assert [row.jump for row in rows] == [1, 2, 2]
    assert [row.start for row in rows] == [0, Fraction(1, 2), Fraction(1, 2)]


def test_stem_row_by_row() -> None:
    rows = rflib.recurrence(STEM)
    assert [(row.size, row.jump) for row in rows] == [(7, 2), (11, 4)]


def test_a_row_knows_its_layer() -> None:
    rows = rflib.recurrence([(3,), Layer(5, stride=2, name="second")])
    assert [row.index for row in rows] == [0, 1]
    assert rows[1].layer == Layer(5, stride=2, name="second")


def test_padding_moves_the_field_and_never_changes_its_size() -> None:
    without, with_padding = rflib.recurrence([(3, 2)] * 3), rflib.recurrence([(3, 2, 1)] * 3)
    assert [row.size for row in without] == [row.size for row in with_padding]
    assert [row.start for row in without] == [1, 3, 7]
    assert [row.start for row in with_padding] == [0, 0, 0]


def test_even_kernel_looks_between_two_pixels() -> None:
    assert rflib.recurrence([(4, 2, 1)] * 2)[-1].start == Fraction(3, 2)
    # Probe's case: the middle unit of 16 looks at 33.5 where the middle of 64 pixels is 31.5.
    assert rflib.recurrence([(4, 2, 1)] * 2)[-1].start + 8 * 4 == Fraction(67, 2)


def test_published_starts() -> None:
    """Distill's table gives VGG-16 (to pool5) a padding of 90: unit 0's field begins at -90."""
    padded = [(3, 1, 1) if layer == (3,) else layer for layer in VGG16]
    last = rflib.recurrence(padded)[-1]
    assert last.start - Fraction(last.size - 1, 2) == -90


def test_swapping_layers_changes_the_size_but_not_the_jump() -> None:
    one, other = rflib.recurrence([(3, 2), (3,)])[-1], rflib.recurrence([(3,), (3, 2)])[-1]
    assert (one.size, one.jump) == (7, 2)
    assert (other.size, other.jump) == (5, 2)


# Behind upsampling, units differ.

TEN = [(3,), (3,), POOL, (3,)]  # size 10, jump 2


@pytest.mark.parametrize(
    ("kernel", "padding", "sizes"),
    [
        (1, 0, ((10, Fraction(1, 2)), (0, Fraction(1, 2)))),
        (2, 0, ((10, Fraction(1)),)),
        (3, 1, ((12, Fraction(1, 2)), (10, Fraction(1, 2)))),
        (4, 1, ((12, Fraction(1)),)),
        (5, 2, ((14, Fraction(1, 2)), (12, Fraction(1, 2)))),
    ],
)
def test_transposed_layer_of_stride_2(
    kernel: int, padding: int, sizes: tuple[tuple[int, Fraction], ...]
) -> None:
    last = rflib.recurrence([*TEN, Layer(kernel, 2, padding, transposed=True)])[-1]
    assert last.sizes == sizes
    assert last.size == sizes[0][0]
    assert last.jump == 1
    assert last.varies == (len(sizes) > 1)


def test_jump_behind_upsampling_is_a_fraction() -> None:
    rows = rflib.recurrence([Layer(3, 3, transposed=True), Layer(4, 2, 1, transposed=True), (3, 2)])
    assert [row.jump for row in rows] == [Fraction(1, 3), Fraction(1, 6), Fraction(1, 3)]
    assert rflib.recurrence([(3, 4), Layer(2, 2, transposed=True)])[-1].jump == 2


def test_start_behind_upsampling_is_where_the_unit_lies() -> None:
    """Torch puts unit o of an upsampling by s at (o + 1/2)/s - 1/2 of the map before."""
    for factor in (2, 3, 4):
        place = Fraction(1, 2 * factor) - Fraction(1, 2)
        nearest = Layer(factor, factor, transposed=True)
        width = 2 * factor - factor % 2
        linear = Layer(width, factor, factor // 2, transposed=True)
        assert rflib.recurrence([nearest])[-1].start == place
        assert rflib.recurrence([linear])[-1].start == place
        assert rflib.recurrence([(2, 2), nearest])[-1].start == Fraction(1, 2) + 2 * place


def test_down_and_up_again_returns_to_the_same_place() -> None:
    there_and_back = [(4, 2, 1), Layer(4, 2, 1, transposed=True)]
    row = rflib.recurrence(there_and_back * 5)[-1]
    assert (row.start, row.jump) == (0, 1)


def test_whole_jumps_and_starts_are_ints() -> None:
    row = rflib.recurrence([(3, 4), Layer(2, 2, transposed=True)])[-1]
    assert type(row.jump) is int
    assert type(rflib.recurrence([(4,), (2,)])[-1].start) is int


def test_u_net_has_two_sizes() -> None:
    """Four levels down and up, up-convolutions 2/2: most common output units see 188."""
    down = ([(3,), (3,), POOL] * 4) + [(3,), (3,)]
    up = [Layer(2, 2, transposed=True), (3,), (3,)] * 4
    sizes = dict(rflib.recurrence(down + up)[-1].sizes)
    assert set(sizes) == {188, 204}
    assert sum(sizes.values()) == 1


# Axes.


def test_axes_are_independent() -> None:
    row = rflib.recurrence([Layer((3, 5), stride=(1, 2)), Layer((2, 1), dilation=(3, 1))])[-1]
    assert row.size == (6, 5)
    assert row.jump == (1, 2)
    assert row.sizes == (((6, Fraction(1)),), ((5, Fraction(1)),))


def test_numbers_count_for_every_axis() -> None:
    rows = rflib.recurrence([(3,), Layer((1, 3, 5)), (3, 2)])
    assert [row.size for row in rows] == [(3, 3, 3), (3, 5, 7), (5, 7, 9)]
    assert rows[0].jump == (1, 1, 1)


def test_one_axis_given_per_axis_answers_in_tuples() -> None:
    layers = [Layer(3, padding=((2, 0),))]
    assert rflib.receptive_field(layers) == (3,)
    assert rflib.recurrence(layers)[-1].start == (-1,)


# Scale.


def test_twenty_thousand_layers_in_seconds() -> None:
    began = time.process_time()
    assert rflib.recurrence([(3,)] * 20_000)[-1].size == 40_001
    assert rflib.receptive_field([(3,)] * 20_000) == 40_001
    assert time.process_time() - began < 10


def test_sizes_beyond_64_bits_are_exact() -> None:
    row = rflib.recurrence([(3, 2)] * 200)[-1]
    assert row.size == 2 * (2**200 - 1) + 1
    assert row.jump == 2**200
    assert type(row.size) is int


def test_kernels_beyond_64_bits() -> None:
    assert rflib.receptive_field([(10**30,), (10**30, 10**20)]) == 2 * 10**30 - 1


# The table.


def test_table_prints_every_row() -> None:
    rows = rflib.recurrence([(3,), Layer(3, 2, name="conv2"), Layer(3, 2, 1, transposed=True)])
    text = str(rows).splitlines()
    assert len(text) == 4
    assert "size" in text[0]
    assert "jump" in text[0]
    assert "start" in text[0]
    assert "conv2" in text[2]
    assert repr(rows) == str(rows)


def test_table_says_where_units_differ() -> None:
    text = str(rflib.recurrence([*TEN, Layer(3, 2, 1, transposed=True)]))
    assert "12 or 10" in text


def test_table_of_numbers_too_long_to_print() -> None:
    """Python refuses to print more than 4300 digits; the numbers are exact all the same."""
    rows = rflib.recurrence([(3, 10**500)] * 10)
    assert rows[-1].jump == 10**5000
    assert len(str(rows).splitlines()) == 11
    assert "<table>" in rows._repr_html_()


def test_html_table_is_escaped() -> None:
    html = rflib.recurrence([Layer(3, name="<b>")])._repr_html_()
    assert "<b>" not in html
    assert "&lt;b&gt;" in html
    assert html.count("<tr>") == 2


def test_a_table_is_a_tuple_and_slices() -> None:
    rows = rflib.recurrence([(3,)] * 3)
    assert isinstance(rows, tuple)
    assert [row.size for row in rows[1:]] == [5, 7]


def test_a_stride_that_undoes_a_transposed_layer() -> None:
    """Every unit i reads pixel i alone, so unit 0 looks at pixel 0."""
    layers = [Layer(2, 2, transposed=True), (1, 2)]
    assert [rflib.region(layers, unit) for unit in range(3)] == [(0, 0), (1, 1), (2, 2)]
    before, row = rflib.recurrence(layers)
    assert (before.start, before.jump) == (Fraction(-1, 4), Fraction(1, 2))
    assert (row.size, row.jump, row.start) == (1, 1, 0)


@pytest.mark.parametrize(
    "ask",
    [
        lambda: rflib.receptive_field([Layer(10**9, 2, 0, 2, transposed=True), (3,)]),
        lambda: rflib.reached([(10**9, 2, 0, 2)], 10**9),
    ],
    ids=["receptive_field", "reached"],
)
def test_a_set_with_too_many_pieces_is_refused_in_words(ask: Callable[[], object]) -> None:
    with pytest.raises(ValueError, match="at most 1,000,000 pieces"):
        ask()
