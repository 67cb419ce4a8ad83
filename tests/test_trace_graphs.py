"""`rflib.trace` on random graphs, unit by unit, against brute force that shares no code with it."""

from itertools import product

import pytest
from graphs import CHANNELS, Graph, graph
from hypothesis import given
from hypothesis import strategies as st
from strategies import BASE, settings
from torch import Tensor

import rflib

FEW = settings(BASE, max_examples=60)
MANY = settings(BASE, max_examples=1500)


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
