"""Where a unit looks: intervals and exact sets, clipping, and which units a pixel reaches."""

from __future__ import annotations

import time

import pytest

import rflib
from rflib import Layer, Region

NOTHING = Region(0, -1)


def test_region_is_a_small_tuple() -> None:
    first, last = Region(-1, 5)
    assert (first, last) == (-1, 5)
    assert Region(-1, 5).size == 7
    assert not Region(3, 3).empty
    assert NOTHING.empty
    assert NOTHING.size == 0


# The first source's example: B reads A by 3x3, C reads B by 3x3; numbered from 1 there.


def test_unit_of_b_reads_3x3_of_a() -> None:
    square = [Layer((3, 3), padding=1)]
    assert rflib.region(square, (2, 4)) == (Region(1, 3), Region(3, 5))
    assert rflib.region(square, (4, 4)) == (Region(3, 5), Region(3, 5))


@pytest.mark.parametrize(
    ("layers", "unit", "region"),
    [
        ([(3,)], 0, (0, 2)),
        ([(3,)], 7, (7, 9)),
        ([(3, 2)], 7, (14, 16)),
        ([(3, 2, 1)], 0, (-1, 1)),
        ([(3,), (3,), (2, 2)], 0, (0, 5)),
        ([(3,), (3,), (2, 2)], 4, (8, 13)),
        ([(3, 1, 1), (2, 2), (3, 1, 1)], 0, (-3, 4)),
        ([(3, 1, 0, 2)] * 3, 5, (5, 17)),
        ([(4, 1, "same")], 0, (-1, 2)),  # torch puts the odd padding behind
        ([(4, 2, 1)] * 2, 8, (29, 38)),
        ([(2, 5)], 3, (15, 16)),
        ([(7, 2, 3), (3, 2, 1)], 28, (107, 117)),
    ],
)
def test_region(layers: list[object], unit: int, region: tuple[int, int]) -> None:
    found = rflib.region(layers, unit)
    assert found == region
    assert isinstance(found, Region)


def test_asymmetric_padding_moves_by_what_stands_before() -> None:
    assert rflib.region([Layer(3, padding=((2, 0),))], 0) == (Region(-2, 0),)
    assert rflib.region([Layer(3, padding=((0, 2),))], 0) == (Region(0, 2),)


@pytest.mark.parametrize("padding", range(4))
def test_padding_never_changes_the_size(padding: int) -> None:
    assert rflib.region([(5, 2, padding)] * 2, 3).size == 13


# Holes.


def test_three_of_dilation_two_reach_13_and_read_7() -> None:
    read = rflib.reads([(3, 1, 0, 2)] * 3, 0)
    assert read == (0, 2, 4, 6, 8, 10, 12)
    assert rflib.region([(3, 1, 0, 2)] * 3, 0).size == 13


def test_three_of_dilation_two_read_49_of_169_pixels() -> None:
    rows, columns = rflib.reads([Layer((3, 3), dilation=2)] * 3, 0)
    assert len(rows) * len(columns) == 49


def test_dilation_1_2_3_has_no_holes() -> None:
    assert rflib.reads([(3, 1, 0, d) for d in (1, 2, 3)], 0) == tuple(range(13))


def test_stride_above_kernel_skips_pixels() -> None:
    assert rflib.reads([(2, 4), (2,)], 0) == (0, 1, 4, 5)


# Transposed.


def test_transposed_units_by_phase() -> None:
    up = Layer(3, 2, 1, transposed=True)
    assert [rflib.reads([up], unit) for unit in range(4)] == [(0,), (0, 1), (1,), (1, 2)]


def test_kernel_below_stride_leaves_units_without_input() -> None:
    gaps = Layer(1, 3, transposed=True)
    assert rflib.reads([gaps], 0) == (0,)
    assert rflib.reads([gaps], 1) == ()
    assert rflib.region([gaps], 1) == NOTHING
    assert rflib.region([gaps, (3,)], 1) == (1, 1)


def test_hull_ends_at_units_that_read_something() -> None:
    """The window of unit 1 is 1, 2, 3 of a map on which only every third unit reads."""
    gaps = Layer(1, 3, transposed=True)
    assert rflib.region([(5,), gaps, (3,)], 1) == (1, 5)
    assert rflib.reads([(3, 1, 0, 2), gaps, (4,)], 0) == (0, 1, 2, 3, 4, 5)


def test_dilated_transposed() -> None:
    """Input i writes 4i, 4i + 3, 4i + 6: which of them hit unit 6 is i = 0 by its last tap."""
    layer = Layer(3, 4, dilation=3, transposed=True)
    assert [rflib.reads([layer], unit) for unit in range(8)] == [
        (0,),
        (),
        (-1,),
        (0,),
        (1,),
        (),
        (0,),
        (1,),
    ]


# Clipping.


def test_clip_cuts_at_the_border() -> None:
    layers = [(3, 1, 1), (3, 1, 1)]
    assert rflib.region(layers, 0, input_size=8) == (-2, 2)
    assert rflib.region(layers, 0, input_size=8, clip=True) == (0, 2)
    assert rflib.region(layers, 7, input_size=8, clip=True) == (5, 7)


def test_padding_of_a_map_in_between_reads_nothing() -> None:
    """Unit 0 of the last layer reads unit 0 and padding; the padding would have read 0 to 4."""
    layers = [(3, 3), (2, 1, 1)]
    assert rflib.region(layers, 0, input_size=9) == (-3, 2)
    assert rflib.region(layers, 0, input_size=9, clip=True) == (0, 2)
    wide = [(5,), (2, 1, 1)]
    assert rflib.region(wide, 0, input_size=9) == (-1, 4)
    assert rflib.region(wide, 0, input_size=9, clip=True) == (0, 4)


def test_clipping_the_interval_alone_would_be_wrong() -> None:
    """Padded by 1, taps 2 apart: unit 0 reads -1, 1, 3 of the map, so nothing of what 0 reads."""
    layers = [(3, 3), (3, 1, 1, 2)]
    assert rflib.reads(layers, 0, input_size=20) == (3, 4, 5, 9, 10, 11)
    assert rflib.region(layers, 0, input_size=20, clip=True) == (3, 11)


def test_units_that_see_padding_only() -> None:
    layer = [(1, 1, 2)]
    assert rflib.region(layer, 0) == (-2, -2)
    assert rflib.region(layer, 0, input_size=5, clip=True) == NOTHING
    assert rflib.region(layer, 8, input_size=5, clip=True) == NOTHING
    assert rflib.region(layer, 2, input_size=5, clip=True) == (0, 0)
    assert rflib.reads(layer, 1, input_size=5) == ()


def test_ceil_mode_lets_the_last_window_hang_over() -> None:
    pool = [Layer(3, 2, ceil_mode=True)]
    assert rflib.region(pool, 2, input_size=6) == (4, 6)
    assert rflib.region(pool, 2, input_size=6, clip=True) == (4, 5)


def test_repeating_padding_reads_true_pixels() -> None:
    def border(mode: str) -> tuple[int, ...]:
        return rflib.reads([Layer(3, padding=1, dilation=1, padding_mode=mode)], 0, input_size=6)

    assert border("zeros") == (0, 1)
    assert border("reflect") == (0, 1)
    assert border("replicate") == (0, 1)
    assert border("circular") == (0, 1, 5)
    wide = Layer(2, padding=3, dilation=5, padding_mode="reflect")  # taps at -3 and 2
    assert rflib.reads([wide], 0, input_size=6) == (2, 3)


def test_axes_and_their_sizes() -> None:
    layers = [Layer((3, 5), stride=(1, 2), padding=(1, 0))]
    assert rflib.region(layers, (0, 1)) == (Region(-1, 1), Region(2, 6))
    assert rflib.region(layers, (0, 1), input_size=(4, 9), clip=True) == (
        Region(0, 1),
        Region(2, 6),
    )
    assert rflib.region(layers, 1) == (Region(0, 2), Region(2, 6))


def test_unit_outside_of_the_map_is_refused() -> None:
    rflib.region([(3, 2)], 2, input_size=7)
    with pytest.raises(ValueError, match=r"unit .*0 to 2.*got 3"):
        rflib.region([(3, 2)], 3, input_size=7)


# From pixels to units.


def test_a_pixel_reaches_the_units_that_read_it() -> None:
    layers = [(3,), (3, 2)]
    assert rflib.reaches(layers, 6) == (1, 3)
    assert rflib.reached([(3, 1, 0, 2)], 4) == (0, 2, 4)
    assert rflib.reaches(layers, 6, input_size=9) == (1, 2)


def test_a_pixel_between_the_windows_reaches_nobody() -> None:
    assert rflib.reaches([(2, 4)], 3) == NOTHING
    assert rflib.reached([(2, 4)], 3) == ()
    assert rflib.reached([(2, 4)], 5) == (1,)


def test_a_pixel_reaches_through_a_transposed_layer() -> None:
    assert rflib.reached([Layer(3, 2, 1, transposed=True)], 2) == (3, 4, 5)
    assert rflib.reached([Layer(3, 2, 1, transposed=True)], 0) == (0, 1)


def test_without_a_size_reached_is_the_inverse_of_reads() -> None:
    """Unit 0 reads -1, 1 and 3 by way of a position that would be padding on a finite map."""
    layers = [(3, 1, 0, 2), (1, 1, 1)]
    assert rflib.reads(layers, 0) == (-1, 1, 3)
    assert rflib.reached(layers, 3) == (0, 2, 4)


def test_circular_padding_reaches_the_other_end() -> None:
    layer = [Layer(3, padding=1, padding_mode="circular")]
    assert rflib.reached(layer, 0, input_size=6) == (0, 1, 5)


def test_pixel_outside_of_the_input_is_refused() -> None:
    with pytest.raises(ValueError, match=r"pixel .*0 to 8.*got 9"):
        rflib.reaches([(3,)], 9, input_size=9)


# Scale.


def test_deep_and_large() -> None:
    began = time.process_time()
    assert rflib.region([(3, 1, 1)] * 20_000, 7) == (7 - 20_000, 7 + 20_000)
    clipped = rflib.region([(3, 1, 1)] * 20_000, 7, input_size=10**6, clip=True)
    assert clipped == (0, 7 + 20_000)
    assert time.process_time() - began < 10
    assert rflib.region([(3, 2)] * 100, 5) == (5 * 2**100, 5 * 2**100 + 2**101 - 2)
    assert rflib.region([(3,)], 10**30) == (10**30, 10**30 + 2)


def test_circular_padding_does_not_repeat_what_lies_behind_it() -> None:
    """With ceil_mode a window may end beyond the padding: that reads nothing, not position 0."""
    rounded = Layer(7, 3, padding_mode="circular", ceil_mode=True)
    assert rflib.reads([rounded], 1, 9) == (3, 4, 5, 6, 7, 8)
    assert rflib.region([rounded], 1, 9, clip=True) == (3, 8)
