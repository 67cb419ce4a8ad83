"""Sets of positions on one axis, as runs: sorted, disjoint intervals (first, last), never touching.

A window without holes is one run, however long, so that exact sets stay cheap where they are
simple.  Two moves carry every layer: `windows` (a unit reads a window) and `multiples` (a window
writes, so a unit reads those that wrote it).  Forwards and backwards they are each other's inverse.
"""

from __future__ import annotations

from collections.abc import Iterable

from rflib.layers import LayerAxis

Runs = tuple[tuple[int, int], ...]

MOST_RUNS = 1_000_000  # beyond this a set with holes is refused in words instead of filling memory


def merged(intervals: Iterable[tuple[int, int]]) -> Runs:
    """Return the union of `intervals` as runs.

    >>> merged([(4, 6), (0, 2), (3, 3), (9, 9)])
    ((0, 6), (9, 9))
    """
    runs: list[tuple[int, int]] = []
    for first, last in sorted(intervals):
        if runs and first <= runs[-1][1] + 1:
            runs[-1] = (runs[-1][0], max(runs[-1][1], last))
        else:
            runs.append((first, last))
    return tuple(runs)


def clipped(runs: Runs, first: int, last: int) -> Runs:
    """Return the part of `runs` between `first` and `last`."""
    cut = ((max(a, first), min(b, last)) for a, b in runs)
    return tuple((a, b) for a, b in cut if a <= b)


def count(runs: Runs) -> int:
    """Return how many positions the runs hold."""
    return sum(last - first + 1 for first, last in runs)


def hull_size(runs: Runs) -> int:
    """Return the length of the shortest interval that holds the runs; 0 when there are none."""
    return runs[-1][1] - runs[0][0] + 1 if runs else 0


def read_by(layer: LayerAxis, units: Runs) -> Runs:
    """Return the positions of the layer's input that the `units` of its output read."""
    return _multiples(layer, units) if layer.transposed else _windows(layer, units)


def reached_from(layer: LayerAxis, positions: Runs) -> Runs:
    """Return the units of the layer's output that read any of the `positions` of its input."""
    return _windows(layer, positions) if layer.transposed else _multiples(layer, positions)


def _windows(layer: LayerAxis, units: Runs) -> Runs:
    k, s, d, p = layer.kernel, layer.stride, layer.dilation, layer.before
    found: list[tuple[int, int]] = []
    for a, b in units:
        _guard(len(found) + _pieces(layer, a, b))
        if d == 1 and (s <= k or a == b):  # the windows of neighbours touch or overlap
            found.append((s * a - p, s * b - p + k - 1))
        elif d == 1:
            found.extend((s * o - p, s * o - p + k - 1) for o in range(a, b + 1))
        elif s == 1:
            found.extend((a - p + d * t, b - p + d * t) for t in range(k))
        else:
            points = {s * o - p + d * t for o in range(a, b + 1) for t in range(k)}
            found.extend((point, point) for point in points)
    return merged(found)


def _guard(pieces: int) -> None:
    if pieces > MOST_RUNS:
        raise ValueError(
            f"the exact set must have at most {MOST_RUNS:,} pieces; this one has more. Where no "
            f"layer is transposed, rflib.receptive_field gives its size without the set"
        )


def _pieces(layer: LayerAxis, a: int, b: int) -> int:
    if layer.dilation == 1:
        return 1 if layer.stride <= layer.kernel else b - a + 1
    return layer.kernel * (1 if layer.stride == 1 else b - a + 1)


def _multiples(layer: LayerAxis, units: Runs) -> Runs:
    """Return all i with s*i = o + p - d*t for a unit o and a tap t of the window."""
    s, d, p = layer.stride, layer.dilation, layer.before
    found: list[tuple[int, int]] = []
    for a, b in units:
        _guard(len(found) + (1 if d == 1 else layer.kernel))
        # With d = 1 the taps of a run leave no gap between them: one interval holds them all.
        taps = [(0, layer.kernel - 1)] if d == 1 else [(d * t, d * t) for t in range(layer.kernel)]
        for least, most in taps:
            first, last = -((most - a - p) // s), (b + p - least) // s
            if first <= last:
                found.append((first, last))
    return merged(found)


def folded(layer: LayerAxis, positions: Runs, size: int) -> Runs:
    """Return which of the `size` true positions stand behind `positions`, padding included.

    Zero padding reads nothing; "reflect", "replicate" and "circular" padding repeat true positions.
    """
    inside = clipped(positions, 0, size - 1)
    if layer.padding_mode == "zeros":
        return inside
    below = clipped(positions, -layer.before, -1)
    above = clipped(positions, size, size - 1 + layer.after)
    found = list(inside)
    for a, b in below:
        found.append(
            {"reflect": (-b, -a), "replicate": (0, 0)}.get(layer.padding_mode, (a + size, b + size))
        )
    for a, b in above:
        far = 2 * (size - 1)
        found.append(
            {"reflect": (far - b, far - a), "replicate": (size - 1, size - 1)}.get(
                layer.padding_mode, (a - size, b - size)
            )
        )
    return merged(found)


def unfolded(layer: LayerAxis, positions: Runs, size: int) -> Runs:
    """Return `positions` together with the padding that repeats them: the inverse of `folded`."""
    mode, far = layer.padding_mode, 2 * (size - 1)
    found = list(positions)
    if mode == "zeros":
        return positions
    for a, b in positions:
        if mode == "reflect":
            found += clipped(((-b, -a),), -layer.before, -1)
            found += clipped(((far - b, far - a),), size, size - 1 + layer.after)
        elif mode == "circular":
            found += clipped(((a - size, b - size),), -layer.before, -1)
            found += clipped(((a + size, b + size),), size, size - 1 + layer.after)
        else:
            found += [(-layer.before, -1)] * (a == 0 and layer.before > 0)
            found += [(size, size - 1 + layer.after)] * (b == size - 1 and layer.after > 0)
    return merged(found)
