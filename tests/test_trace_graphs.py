"""`rflib.trace` on random graphs, unit by unit, against brute force that shares no code with it."""

from itertools import product

import pytest
import strategies
from graphs import CHANNELS, Graph, graph
from hypothesis import assume, given, reject, settings
from hypothesis import strategies as st
from strategies import BASE, Net
from torch import Tensor

import rflib

FEW = settings(BASE, max_examples=60)
MANY = settings(BASE, max_examples=1000)


def ends(indices: list[int]) -> tuple[int, int]:
    return (indices[0], indices[-1]) if indices else (0, -1)


def projections(mask: Tensor) -> list[list[int]]:
    """Along each axis, the indices with anything lit."""
    axes = mask.dim()
    return [
        (mask if axes == 1 else mask.any(dim=1 - axis)).nonzero().flatten().tolist()
        for axis in range(axes)
    ]


def check_units(net: Graph, size: int) -> None:
    """Regions, sets, holes, blind units and what is said of boxes, for every unit."""
    lit = net.lit(size)
    field = rflib.trace(net, (1, CHANNELS, *[size] * net.axes)).output
    assert field.units == tuple(lit.shape[net.axes :]), net.names
    blind = 0
    for unit in product(*map(range, field.units)):
        mask = lit[(..., *unit)]
        truth = projections(mask)
        assert [tuple(r) for r in field.region(unit)] == [*map(ends, truth)], (net.names, unit)
        assert [list(r) for r in field.reads(unit)] == truth, (net.names, unit)
        local = field.local.region(unit)
        for inner, outer in zip(local, field.region(unit), strict=True):
            assert inner.empty or (outer.first <= inner.first <= inner.last <= outer.last)
        box = 1
        for indices in truth:
            box *= indices[-1] - indices[0] + 1 if indices else 0
        blind += not box
        if not field.hull:
            assert int(mask.sum()) == box, (net.names, unit)
    assert field.blind == blind, net.names


flat = st.integers(5, 14).flatmap(lambda n: st.tuples(graph(1, n), st.just(n)))
plane = st.integers(4, 9).flatmap(lambda n: st.tuples(graph(2, n), st.just(n)))


def test_hundreds_of_graphs_in_one_dimension() -> None:
    FEW(given(flat)(lambda drawn: check_units(*drawn)))()


def test_some_graphs_in_two_dimensions() -> None:
    settings(BASE, max_examples=20)(given(plane)(lambda drawn: check_units(*drawn)))()


@pytest.mark.slow
def test_thousands_of_graphs_in_one_dimension() -> None:
    MANY(given(flat)(lambda drawn: check_units(*drawn)))()


@pytest.mark.slow
def test_hundreds_of_graphs_in_two_dimensions() -> None:
    settings(BASE, max_examples=300)(given(plane)(lambda drawn: check_units(*drawn)))()


# Against the recurrence and the probe.


def check_recurrence(net: Net, n: int) -> None:
    """Size, its shares, jump and start of a chain are those of the recurrence, exactly."""
    shape = (1, strategies.CHANNELS, *[n] * net.axes)
    try:
        field = rflib.trace(net.model, shape).output
    except ValueError:
        reject()  # torch refuses so small an input
    assume(all(field.units))
    rows = rflib.recurrence(net.model)
    row = rows[-1]
    given = isinstance(row.size, tuple)
    for axis in range(net.axes):
        size, sizes, jump, start = (
            value[axis] if given else value for value in (row.size, row.sizes, row.jump, row.start)
        )
        if not size:
            continue  # units that read nothing
        assert not field.clipped[axis]
        assert field.size[axis] == size
        assert field.sizes[axis] == sizes
        assert field.jump[axis] == jump
        assert field.start[axis] == start


def check_probe(net: Net, n: int, at: float) -> None:
    """A unit's region and set are those that the probe measures."""
    shape = (1, strategies.CHANNELS, *[n] * net.axes)
    try:
        field = rflib.trace(net.model, shape).output
    except ValueError:
        reject()
    assume(all(field.units))
    unit = tuple(int(at * units) for units in field.units)
    measured = rflib.probe(net.model, shape, unit=unit)
    assert field.region(unit) == measured.region
    assert [list(r) for r in field.reads(unit)] == projections(measured.mask)


nets = strategies.torch_net(modes=True)


@pytest.mark.parametrize("examples", [30, pytest.param(1000, marks=pytest.mark.slow)])
def test_chains_are_those_of_the_recurrence(examples: int) -> None:
    drawn = given(nets, st.integers(8, 40))
    settings(BASE, max_examples=examples)(drawn(check_recurrence))()


@pytest.mark.parametrize("examples", [20, pytest.param(300, marks=pytest.mark.slow)])
def test_regions_are_those_that_the_probe_measures(examples: int) -> None:
    drawn = given(nets, st.integers(6, 16), st.floats(0, 0.999))
    settings(BASE, max_examples=examples)(drawn(check_probe))()
