"""Forward: how the receptive field grows, layer by layer.

Neighbouring units of a map stand j input pixels apart (the jump; others say effective or
cumulative stride).  A window of k taps spans d(k - 1) of those steps, so

    r <- r + d(k - 1)*j,    then    j <- j*s,    from r = j = 1 at the input.

Unrolled: r = 1 + the sum over the layers of d(k - 1) times the product of the strides before.
Padding is in neither; it only moves the field, and `start` says where to.  A transposed layer
divides the jump, and the field depends on the unit's phase (see `rflib.inputsize`).
Source: Araujo, Norris and Sim, "Computing Receptive Fields of Convolutional Neural Networks", 2019.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from html import escape
from typing import Any

from rflib.inputsize import axis_phases, sizes_and_start
from rflib.layers import Layer, LayerAxis, Stack, told


@dataclass(frozen=True)
class Row:
    """What one unit of a layer's output sees, in input pixels; per axis where layers are.

    Parameters
    ----------
    index : the layer's place, from 0.
    layer : the layer.
    size : the receptive field of a unit that no border clips; where units differ, the largest.
    jump : the distance between the fields of neighbouring units.
    start : where unit 0 looks; pixel i has its centre at i.  The centre of unit 0's field, as if no
        border clipped it; behind a transposed layer, where units differ, the mean over all units i
        of (the centre of unit i's field - i times the jump); 0 where units read nothing at all.
    sizes : every size that occurs, with its share of the units, largest first.
    """

    index: int
    layer: Layer
    size: Any
    jump: Any
    start: Any
    sizes: Any

    @property
    def varies(self) -> bool:
        """Whether units of this layer differ in size (behind a transposed layer)."""
        return any(len(sizes) > 1 for sizes in self._axes(self.sizes))

    def _axes(self, value: Any) -> Sequence[Any]:
        per_axis = isinstance(self.size, tuple)
        return value if per_axis else (value,)

    def _cells(self) -> tuple[str, ...]:
        size = _told(self.size)
        if self.varies:
            size = " x ".join(
                " or ".join(told(one) for one, _ in sizes) for sizes in self._axes(self.sizes)
            )
        return str(self.index), str(self.layer), size, _told(self.jump), _told(self.start)


class Table(tuple[Row, ...]):
    """The rows of the recurrence, one per layer; prints as a table."""

    _HEAD = ("layer", "kernel/stride", "size", "jump", "start")

    def __str__(self) -> str:
        cells = [self._HEAD, *(row._cells() for row in self)]
        widths = [max(len(line[i]) for line in cells) for i in range(len(self._HEAD))]
        lines = [
            "  ".join(
                cell.ljust(width) if i == 1 else cell.rjust(width)
                for i, (cell, width) in enumerate(zip(line, widths, strict=True))
            ).rstrip()
            for line in cells
        ]
        return "\n".join(lines)

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        head = "".join(f'<th scope="col">{cell}</th>' for cell in self._HEAD)
        body = "".join(
            f'<tr><th scope="row">{first}</th>{"".join(f"<td>{escape(c)}</td>" for c in rest)}</tr>'
            for first, *rest in (row._cells() for row in self)
        )
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def recurrence(layers: object) -> Table:
    """Return one row per layer: what a unit of its output sees of the input.

    Parameters
    ----------
    layers : see `rflib.read`.

    Returns
    -------
    Table of `Row`: size, jump and start in input pixels, exact (int or Fraction); numbers for
    layers given by numbers, else tuples with one entry per axis.

    Raises
    ------
    TypeError, ValueError : naming the entry, its value and what is allowed.

    Behind a transposed layer each row follows the phases anew, so that the time grows with the
    square of the depth; `receptive_field` follows them once.

    Source: Araujo, Norris and Sim 2019.

    Examples
    --------
    >>> rows = recurrence([(3,), (3,), (2, 2)])
    >>> print(rows)
    layer  kernel/stride  size  jump  start
        0  3/1               3     1      1
        1  3/1               5     1      2
        2  2/2               6     2    5/2
    >>> rows[-1].size
    6
    """
    stack = Stack(layers)
    columns = [_grow(axis) for axis in stack.axes]
    return Table(
        Row(i, layer, *(stack.join(column[i][field] for column in columns) for field in range(4)))
        for i, layer in enumerate(stack.layers)
    )


def receptive_field(layers: object) -> Any:
    """Return the receptive field of the last layer's unit: ``recurrence(layers)[-1].size``.

    Input pixels; a number, or a tuple with one entry per axis.  Errors are those of `recurrence`.

    >>> receptive_field([(9,), (3,), (3,), (3,), (9,), (3,), (3,), (7,), (3,)])
    35
    """
    stack = Stack(layers)
    return stack.join(_size(axis) for axis in stack.axes)


def _size(layers: Sequence[LayerAxis]) -> int:
    if any(layer.transposed for layer in layers):
        return axis_phases(layers)[0].size
    return closed_form(layers)


def closed_form(layers: Sequence[LayerAxis]) -> int:
    """Return 1 + the sum of d(k - 1) times the strides before, for layers that are not transposed.

    >>> closed_form([Layer(3, 2).axis(0), Layer(3).axis(0)])
    7
    """
    size, strides = 1, 1
    for layer in layers:
        size += layer.reach * strides
        strides *= layer.stride
    return size


_Line = tuple[int, int | Fraction, int | Fraction, tuple[tuple[int, Fraction], ...]]


def _grow(layers: Sequence[LayerAxis]) -> list[_Line]:
    """Return (size, jump, start, sizes) after each layer along one axis."""
    lines: list[_Line] = []
    size = 1
    jump, start = Fraction(1), Fraction(0)
    sizes: tuple[tuple[int, Fraction], ...] = ((1, Fraction(1)),)
    transposed = False
    for i, layer in enumerate(layers):
        transposed = transposed or layer.transposed
        before = jump
        jump = jump / layer.stride if layer.transposed else jump * layer.stride
        if transposed:
            sizes, start = sizes_and_start(layers[: i + 1], jump)
            size = sizes[0][0]
        else:
            size += layer.reach * int(before)
            sizes = ((size, Fraction(1)),)
            start += (Fraction(layer.reach, 2) - layer.before) * before
        lines.append((size, _tidy(jump), _tidy(start), sizes))
    return lines


def _tidy(value: Fraction) -> int | Fraction:
    return value.numerator if value.denominator == 1 else value


def _told(value: Any) -> str:
    if isinstance(value, tuple):
        return _told(value[0]) if len(set(value)) == 1 else " x ".join(map(_told, value))
    if isinstance(value, Fraction):
        return f"{told(value.numerator)}/{told(value.denominator)}"
    return told(value)
