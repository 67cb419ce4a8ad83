"""Every method gives the same field: recurrence, input size, regions, sets by brute force, torch.

Random networks come from `strategies`, the sets from `oracle`, which shares no code with rflib.
Each property runs on a few hundred networks here and, marked slow, on thousands.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import oracle
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from strategies import FEW, MANY, SLOW_FEW, SLOW_MANY, Net, stack, torch_net

import rflib
from rflib.inputsize import inputs_for, phases

Layers = list[dict[str, Any]]


def per_axis(layers: Layers, value: Any) -> tuple[Any, ...]:
    """An answer of rflib with one entry per axis, also where layers given by numbers give one."""
    given = oracle.given_axes(layers)
    if given is None:
        return (value,)
    assert len(value) == given
    return tuple(value)


def lines_of(layers: Layers) -> list[list[oracle.Line]]:
    return [oracle.along(layers, axis) for axis in range(oracle.given_axes(layers) or 1)]


def together(layers: Layers, entries: list[Any]) -> Any:
    """The inverse of per_axis: an argument for rflib."""
    return entries[0] if oracle.given_axes(layers) is None else tuple(entries)


def brute_force(lines: list[oracle.Line], n: int) -> list[int]:
    """Fields over n inputs; networks that cannot run on so few are left out."""
    try:
        fields = oracle.fields(lines, n)
    except oracle.TooSmallError:
        fields = []
    assume(fields)
    return fields


stacks = st.one_of(stack(), stack(axes=1), stack(axes=2), stack(transposed=True, max_layers=3))
plain_stacks = st.one_of(stack(transposed=False), stack(axes=2, transposed=False))
small_stacks = st.one_of(
    stack(max_layers=4, budget=12, modes=True), stack(axes=1, max_layers=4, budget=12, modes=True)
)


# Torch tells how it pads an even kernel; rflib's answer is what is tested.
pytestmark = pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """These nets are tiny: threads only get into each other's way."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


# The oracle itself: two ways to build sets, and torch.


def check_lattice_is_the_middle_of_a_long_row(layers: Layers) -> None:
    for lines in lines_of(layers):
        n = oracle.roomy(lines)
        fields = oracle.fields(lines, n)
        unit = len(fields) // 2
        assert oracle.positions(fields[unit]) == oracle.lattice(lines, [unit])


def check_brute_force_is_what_turns_nan(net: Net, n: int) -> None:
    fields = brute_force(oracle.along(net.layers), n)
    assert oracle.nan_fields(net.model, n) == [oracle.positions(field) for field in fields]


# Sizes.


def check_sizes_agree(layers: Layers) -> None:
    rows = rflib.recurrence(layers)
    assert len(rows) == len(layers)
    every = lines_of(layers)
    size = together(layers, [oracle.size(lines) for lines in every])
    assert rows[-1].size == rflib.receptive_field(layers) == rflib.input_size(layers) == size
    for axis, lines in enumerate(every):
        for depth, row in enumerate(rows, start=1):
            counted = oracle.phase_sizes(lines[:depth])
            assert per_axis(layers, row.size)[axis] == max(counted)
            told = per_axis(layers, row.sizes)[axis]
            assert told == tuple(sorted(counted.items(), reverse=True))
            if max(counted) > 0:
                assert per_axis(layers, row.jump)[axis] == oracle.jump(lines[:depth])


def check_start_is_the_mean_over_the_phases(layers: Layers) -> None:
    rows = rflib.recurrence(layers)
    for axis, lines in enumerate(lines_of(layers)):
        for depth, row in enumerate(rows, start=1):
            here = lines[:depth]
            fields = [oracle.lattice(here, [unit]) for unit in range(oracle.period(here))]
            hulls = [(i, *oracle.hull(field)) for i, field in enumerate(fields) if field]
            if not hulls:
                continue  # every unit reads nothing but the holes between the inputs
            jump = oracle.jump(here)
            mean = sum(Fraction(a + b, 2) - i * jump for i, a, b in hulls) / len(hulls)
            assert per_axis(layers, row.start)[axis] == mean


def check_start_is_the_centre_of_unit_zero(layers: Layers) -> None:
    rows = rflib.recurrence(layers)
    for axis, lines in enumerate(lines_of(layers)):
        for depth, row in enumerate(rows, start=1):
            first, last = oracle.hull(oracle.lattice(lines[:depth], [0]))
            assert per_axis(layers, row.start)[axis] == Fraction(first + last, 2)
            assert per_axis(layers, row.size)[axis] == last - first + 1


def check_input_size(layers: Layers, output: int) -> None:
    needed = rflib.input_size(layers, output=output, steps=True)
    assert len(needed) == len(layers) + 1
    assert needed[0] == rflib.input_size(layers, output=output)
    for axis, lines in enumerate(lines_of(layers)):
        for depth, size in enumerate(needed):
            assert per_axis(layers, size)[axis] == oracle.size(lines[depth:], output)


def check_phases(layers: Layers, output: int) -> None:
    lines = oracle.along(layers)
    found = phases(layers, output=output)
    assert {phase.size: phase.share for phase in found} == oracle.phase_sizes(lines, output)
    assert sum(phase.share for phase in found) == 1
    assert list(found) == sorted(found, key=lambda phase: -phase.size)
    for phase in found:
        has = (
            oracle.extent(oracle.lattice(lines, range(unit, unit + output))) == phase.size
            for unit in range(phase.first + 1)
        )
        assert list(has) == [False] * phase.first + [True]


def check_shares_by_counting(layers: Layers) -> None:
    """On a long input, count the sizes of whole periods away from both borders."""
    lines = oracle.along(layers)
    repeat = oracle.period(lines)
    n = oracle.roomy(lines)
    while (middle := oracle.sizes(lines, n)[-1] // 3) < 2 * repeat:
        n *= 2
    fields = oracle.fields(lines, 3 * n)
    chosen = [oracle.extent(oracle.positions(f)) for f in fields[3 * middle :][: 2 * repeat]]
    shares = {size: Fraction(times, 2 * repeat) for size, times in Counter(chosen).items()}
    assert {phase.size: phase.share for phase in phases(layers)} == shares


# Regions.


def check_regions_without_border(layers: Layers, unit: int) -> None:
    for axis, lines in enumerate(lines_of(layers)):
        exact = oracle.lattice(lines, [unit])
        assert per_axis(layers, rflib.reads(layers, unit))[axis] == exact
        region = per_axis(layers, rflib.region(layers, unit))[axis]
        assert (region.first, region.last) == oracle.hull(exact)
        assert region.size == oracle.extent(exact)
        assert region.empty == (not exact)


def check_regions_with_border(layers: Layers, n: int) -> None:
    (lines,) = lines_of(layers)
    for unit, field in enumerate(brute_force(lines, n)):
        exact = oracle.positions(field)
        assert per_axis(layers, rflib.reads(layers, unit, input_size=n)) == (exact,)
        (region,) = per_axis(layers, rflib.region(layers, unit, input_size=n, clip=True))
        assert (region.first, region.last) == oracle.hull(exact)
        (whole,) = per_axis(layers, rflib.region(layers, unit, input_size=n))
        assert (whole.first, whole.last) == oracle.hull(oracle.lattice(lines, [unit]))


def check_reaches_is_the_inverse(layers: Layers, n: int) -> None:
    (lines,) = lines_of(layers)
    fields = brute_force(lines, n)
    for pixel in range(n):
        units = tuple(unit for unit, field in enumerate(fields) if field >> pixel & 1)
        assert per_axis(layers, rflib.reached(layers, pixel, input_size=n)) == (units,)
        (region,) = per_axis(layers, rflib.reaches(layers, pixel, input_size=n))
        assert (region.first, region.last) == oracle.hull(units)


def check_reaches_without_border(layers: Layers, pixel: int) -> None:
    """The inverse of `reads` without an input size: units count from 0, and go on for ever."""
    (lines,) = lines_of(layers)
    (found,) = per_axis(layers, rflib.reached(layers, pixel))
    (region,) = per_axis(layers, rflib.reaches(layers, pixel))
    assert (region.first, region.last) == oracle.hull(found)
    far = max(found, default=0) + 2 * oracle.period(lines) + 40
    assert found == tuple(u for u in range(far) if pixel in oracle.lattice(lines, [u]))


# Sizes of maps.


def check_output_size(layers: Layers, n: int) -> None:
    (lines,) = lines_of(layers)
    try:
        maps = oracle.sizes(lines, n)
    except oracle.TooSmallError:
        maps = [0]
    if min(maps) < 1:
        with pytest.raises(ValueError, match="input_size"):
            rflib.output_size(layers, n)
        return
    assert per_axis(layers, rflib.output_size(layers, n)) == (maps[-1],)
    told = rflib.output_size(layers, n, steps=True)
    assert [per_axis(layers, size)[0] for size in told] == maps


def check_inputs_for(layers: Layers, n: int) -> None:
    (lines,) = lines_of(layers)
    maps = {}
    for inputs in range(1, 2 * n + 40):
        try:
            sizes = oracle.sizes(lines, inputs)
        except oracle.TooSmallError:
            continue
        if min(sizes) > 0:
            maps[inputs] = sizes[-1]
    assume(n in maps)
    fitting = [inputs for inputs, outputs in maps.items() if outputs == maps[n]]
    assume(max(fitting) < 2 * n + 39)  # or the largest may lie further out
    (found,) = per_axis(layers, inputs_for(layers, maps[n]))
    assert tuple(found) == (fitting[0], fitting[-1])
    assert fitting == list(range(fitting[0], fitting[-1] + 1))


# Torch.


def given_per_axis(net: Net) -> bool:
    """Modules give axes; an nn.Upsample of nearest neighbours alone fits any number of them."""
    return any(layer.axes is not None for layer in rflib.read(net.model))


def ask(net: Net, question: Any, *places: tuple[int, ...]) -> tuple[Any, ...]:
    """Ask rflib about a module, each place one entry per axis; answer one entry per axis."""
    if given_per_axis(net):
        answer = question(net.model, *places)
        assert len(answer) == net.axes
        return tuple(answer)
    alone = list(zip(*places, strict=True)) if places else [()] * net.axes
    return tuple(question(net.model, *on_axis) for on_axis in alone)


def check_gradients(net: Net, n: int) -> None:
    shape = (n,) * net.axes
    for axis in range(net.axes):
        lines = oracle.along(net.layers, axis)
        assume(any(brute_force(lines, n)))  # else the other axes come out empty as well
    for axis, units in enumerate(oracle.gradient_fields(net.model, shape)):
        for unit, exact in enumerate(units):
            at = tuple(unit if a == axis else 0 for a in range(net.axes))
            assert ask(net, rflib.reads, at, shape)[axis] == exact


def check_size_against_gradients(net: Net) -> None:
    """The largest extent of the middle units of an input that is long enough."""
    (size,) = ask(net, rflib.receptive_field)
    lines = oracle.along(net.layers)
    n, repeat = oracle.roomy(lines), oracle.period(lines)
    while (middle := oracle.sizes(lines, n)[-1] // 3) < repeat:
        n *= 2
    assume(n < 500)
    (units,) = oracle.gradient_fields(net.model, (3 * n,))
    assert size == max(map(oracle.extent, units[3 * middle :][:repeat]))


def check_shapes(drawn: tuple[Net, tuple[int, ...]]) -> None:
    net, shape = drawn
    for axis, n in enumerate(shape):
        brute_force(oracle.along(net.layers, axis), n)
    told = ask(net, rflib.output_size, shape)
    assert told == oracle.torch_shape(net.model, shape)


short = st.integers(3, 30)
nets = torch_net(modes=True)
flat_nets = torch_net(1, modes=True, linear=False)
shaped_nets = nets.flatmap(
    lambda net: st.tuples(st.just(net), st.tuples(*[st.integers(6, 40)] * net.axes))
)

PROPERTIES = [
    (check_lattice_is_the_middle_of_a_long_row, (stacks,), MANY, SLOW_MANY),
    (check_brute_force_is_what_turns_nan, (flat_nets, st.integers(6, 24)), FEW, SLOW_FEW),
    (check_sizes_agree, (stacks,), MANY, SLOW_MANY),
    (check_start_is_the_centre_of_unit_zero, (plain_stacks,), MANY, SLOW_MANY),
    (check_start_is_the_mean_over_the_phases, (stacks,), MANY, SLOW_MANY),
    (check_input_size, (stacks, st.integers(1, 7)), MANY, SLOW_MANY),
    (check_phases, (stack(), st.integers(1, 4)), MANY, SLOW_MANY),
    (check_shares_by_counting, (stack(max_layers=4, budget=12),), MANY, SLOW_MANY),
    (check_regions_without_border, (stacks, st.integers(0, 60)), MANY, SLOW_MANY),
    (check_regions_with_border, (small_stacks, short), MANY, SLOW_MANY),
    (check_reaches_is_the_inverse, (small_stacks, short), MANY, SLOW_MANY),
    (check_reaches_without_border, (small_stacks, short), MANY, SLOW_MANY),
    (check_output_size, (small_stacks, st.integers(1, 60)), MANY, SLOW_MANY),
    (check_inputs_for, (small_stacks, short), MANY, SLOW_MANY),
    (check_gradients, (nets, st.integers(6, 16)), FEW, SLOW_FEW),
    (check_size_against_gradients, (torch_net(1, max_layers=3, budget=6),), FEW, SLOW_FEW),
    (check_shapes, (shaped_nets,), FEW, SLOW_FEW),
]


def by_name(prop: tuple[Any, ...]) -> str:
    return str(prop[0].__name__).removeprefix("check_")


@pytest.mark.parametrize("prop", PROPERTIES, ids=by_name)
def test_on_hundreds(prop: tuple[Any, ...]) -> None:
    check, drawn, few, _ = prop
    few(given(*drawn)(check))()


@pytest.mark.slow
@pytest.mark.parametrize("prop", PROPERTIES, ids=by_name)
def test_on_thousands(prop: tuple[Any, ...]) -> None:
    check, drawn, _, many = prop
    many(given(*drawn)(check))()
