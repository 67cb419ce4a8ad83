"""The probe lab's nets, measured by torch.

    python -m rflib.explorers._probelab_torch

measures every state that the figure's controls can choose and rewrites `probelab.bin` (two
minutes). Weights and picture come from fixed seeds, chosen among some thousand pairs because with
them random weights fail in many ways and max-pool hides a border. float32 and float64, and
batch-norm in eval mode and none, read the same in every shallow state
(tests/explorers/test_probelab.py measures them): they are stored once.

Far out float32 underflows gradually here: numbers below 1.2e-38 are kept in steps of 1.4e-45. A
processor that flushes them to zero (torch.set_flush_denormal) loses more pixels, and so do other
orders of summation, by a pixel or two along the rim of the set; the box stays, DEPTHS were chosen
so.
"""

from __future__ import annotations

import math
import sys
import zlib
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn

from rflib.explorers._probelab import (
    BLOCKS,
    FAR_IMAGE,
    INF,
    OFFSET,
    TWELFTHS,
    Net,
    Picture,
    Reading,
    far_nets,
    nets,
)

WEIGHTS_SEED = 18
TILE_SEED = 12
TILE = 8
VERSION = torch.__version__
FILE = Path(__file__).with_name("probelab.bin")


def model_of(net: Net) -> nn.Sequential:
    """The net as a torch module, in its mode and number format; weights from WEIGHTS_SEED alone."""
    first = _convolution(net.kernel, net.stride, net.weights, net.number, 0)
    rest = [
        # The layers of a net of positive weights are alike: one stands for all of them.
        _convolution(net.kernel, 1, net.weights, net.number, at if net.weights == "random" else 1)
        for at in range(1, net.depth)
    ]
    kind = nn.MaxPool2d if net.pool.startswith("max") else nn.AvgPool2d
    modules: list[nn.Module] = []
    for index, convolution in enumerate((first, *rest)):
        modules.append(convolution)
        if net.norm != "none":
            modules.append(nn.BatchNorm2d(1, dtype=getattr(torch, net.number)))
        if net.activation == "relu":
            modules.append(nn.ReLU())
        if index == (net.depth - 1 if net.pool.endswith("last") else 0) and net.pool != "none":
            modules.append(kind(2))
    return nn.Sequential(*modules).train(net.norm == "train")


@cache
def _convolution(kernel: int, stride: int, weights: str, number: str, index: int) -> nn.Conv2d:
    """Layer `index` of the nets; torch's own random numbers go on as if nothing had been drawn."""
    around = (kernel - 1) // 2
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(WEIGHTS_SEED)
        for _ in range(index + 1):
            layer = nn.Conv2d(1, 1, kernel, stride, around)
    if weights != "random":
        nn.init.constant_(layer.weight, 1.0 if weights == "ones" else 1 / kernel**2)
        nn.init.constant_(cast(Tensor, layer.bias), 0.0)
    return layer.to(getattr(torch, number)).requires_grad_(False)


def picture_of(net: Net) -> Tensor:
    """The picture:

    a random tile in [0, 1), repeated outwards from the middle, so that all sizes show the same
    there.
    """
    seeded = torch.Generator().manual_seed(TILE_SEED)
    tile = torch.rand(TILE, TILE, generator=seeded, dtype=torch.float64)
    index = (torch.arange(net.image) - net.image // 2) % TILE
    return tile[index][:, index][None, None].to(getattr(torch, net.number))


def measure(net: Net) -> Tensor:
    """The magnitude of the gradient of the net's unit by each pixel: image x image, float64."""
    picture = picture_of(net).requires_grad_()
    output = model_of(net)(picture)[0, 0]
    index = 0 if net.unit == "corner" else len(output) // 2
    (gradient,) = torch.autograd.grad(output[index, index], picture)
    magnitude: Tensor = gradient[0, 0].abs().double()
    if magnitude.isnan().any():
        raise ArithmeticError(f"the gradient of {net} holds NaN, which the lab has no code for")
    return magnitude


def read_off(gradient: Tensor, net: Net) -> Reading:
    """Box, count and magnitudes of a measured gradient."""
    lit = gradient != 0
    if not lit.any():
        return Reading(None, 0, 0, None, None)
    overflown = int(gradient.isinf().sum())
    finite = gradient[lit & gradient.isfinite()]
    return Reading(
        (*_hull(lit.any(1)), *_hull(lit.any(0))),
        int(lit.sum()),
        overflown,
        None if overflown else _twelfths(finite.max()),
        None if not len(finite) or net.norm == "train" else _twelfths(finite.min()),
    )


def drawn(gradient: Tensor, net: Net) -> Picture:
    """The measured map in codes, as `Store.picture` gives the stored one."""
    if net.norm == "train":
        side = net.image // BLOCKS
        gradient = gradient.reshape(BLOCKS, side, BLOCKS, side).amax((1, 3))
    steps = 1 if net.far else 3
    codes = coded(gradient, steps)
    return Picture(len(gradient), steps, bytes(codes.flatten().tolist()))


def coded(gradient: Tensor, steps: int, most: int = INF - 1) -> Tensor:
    """0 for zero;

    1 for the largest finite magnitude, one more for each 1/`steps` of a decade below it; INF for
    inf.
    """
    codes = torch.zeros(gradient.shape, dtype=torch.int64)
    lit = (gradient != 0) & gradient.isfinite()
    if lit.any():
        logs = gradient[lit].log10()
        codes[lit] = (1 + (steps * (logs.max() - logs)).round().long()).clamp(max=most)
    codes[gradient.isinf()] = INF
    return codes


def measured_store(progress: bool = False) -> bytes:
    """Every state measured, in the layout that `_probelab` describes, not yet compressed."""
    maps: dict[tuple[int, int, bytes], int] = {(0, 0, b""): 0}
    records = []
    for index, net in enumerate(nets()):
        records.append(_record(net, maps))
        if progress and index % 100 == 0:
            print(f"\r{index} shallow nets", end="", file=sys.stderr, flush=True)
    profiles, largest, rows = _far(progress)
    columns = list(zip(*records, strict=True))
    return b"".join(
        (
            _wide([len(maps), len(records)]),
            bytes(height for height, _, _ in maps),
            bytes(width for _, width, _ in maps),
            *(codes for _, _, codes in maps),
            _wide(columns[0]),
            _wide(columns[1]),
            *(bytes(column) for column in columns[2:6]),
            _wide(columns[6]),
            _wide(profiles),
            _wide(largest),
            bytes(rows),
        )
    )


def _record(net: Net, maps: dict[tuple[int, int, bytes], int]) -> tuple[int, ...]:
    """map, count, top, left, height, width, largest; a map that is new goes to `maps`."""
    gradient = measure(net)
    reading = read_off(gradient, net)
    if reading.box is None or reading.largest is None:
        return (0, 0, 0, 0, 0, 0, 0)
    top, bottom, left, right = reading.box
    picture = drawn(gradient, net)
    codes = torch.tensor(list(picture.codes)).reshape(picture.cells, picture.cells)
    if net.norm != "train":
        codes = codes[top : bottom + 1, left : right + 1]
    height, width = codes.shape
    index = maps.setdefault((height, width, bytes(codes.flatten().tolist())), len(maps))
    size = (top, left, bottom - top + 1, right - left + 1)
    return (index, reading.count, *size, reading.largest + OFFSET)


def twins(net: Net) -> tuple[Net, ...]:
    """The nets that are not stored because they read as this one does."""
    wide = _with(net, number="float64")
    if net.norm == "train":
        return (wide,)
    return wide, _with(net, norm="eval"), _with(wide, norm="eval")


def _far(progress: bool) -> tuple[list[int], list[int], list[int]]:
    """Profiles, largest magnitudes and rows far out; see `_probelab`."""
    profiles: list[int] = []
    largest: list[int] = []
    rows: list[int] = []
    for index, net in enumerate(far_nets()):
        if progress:
            print(f"\r{index} nets far out  ", end="", file=sys.stderr, flush=True)
        exact = measure(_with(net, number="float64"))
        single = measure(net)
        profile = far_profile(exact)
        if net.weights == "ones":
            profiles += _differences(profile, 1 << 16)
        largest.append(_twelfths(exact.max()) + OFFSET)
        for part in _edges(single):
            rows += _differences(part, 1 << 8)
    return profiles, largest, rows


def far_profile(exact: Tensor) -> list[int]:
    """The row through the largest magnitude in twelfths of a decade;

    the map is its product with itself, which is checked.
    """
    peak = int(exact.argmax()) // FAR_IMAGE
    profile = coded(exact[peak], TWELFTHS, most=(1 << 16) - 1)
    codes = coded(exact, TWELFTHS, most=(1 << 16) - 1)
    product = (profile[:, None] + profile[None, :] - 1) * (profile[:, None] * profile[None, :] > 0)
    if (product - codes).abs().max() > 2:
        raise ArithmeticError("a map far out is not the product of its rows and columns")
    return [int(code) for code in profile]


def _edges(single: Tensor) -> list[list[int]]:
    """The eight far rows of `_probelab`: among even columns, then among odd ones."""
    parts: list[list[int]] = [[] for _ in range(8)]
    for row in single:
        for parity in (0, 1):
            columns = row[parity::2]
            for place, where in ((0, columns != 0), (2, columns.isinf())):
                first, last = (1, 0)
                if where.any():
                    first, last = (parity + 2 * end for end in _hull(where))
                    if last - first != 2 * (int(where.sum()) - 1):
                        raise ArithmeticError("a row far out has holes that a run cannot tell")
                parts[4 * parity + place].append(first)
                parts[4 * parity + place + 1].append(last)
    return parts


def _with(net: Net, **changes: str) -> Net:
    return Net(**{**vars(net), **changes})


def _hull(where: Tensor) -> tuple[int, int]:
    found = where.nonzero().flatten()
    return int(found[0]), int(found[-1])


def _twelfths(value: Tensor) -> int:
    return round(TWELFTHS * math.log10(float(value)))


def _differences(values: Sequence[int], modulus: int) -> list[int]:
    return [(b - a) % modulus for a, b in zip([0, *values], values, strict=False)]


def _wide(values: Iterable[int]) -> bytes:
    """16-bit numbers: all low bytes, then all high bytes."""
    listed = list(values)
    return bytes(v & 255 for v in listed) + bytes(v >> 8 for v in listed)


def main() -> None:
    """Measures everything and writes the file."""
    torch.set_num_threads(1)  # the nets are small: a second thread costs more than it brings
    raw = measured_store(progress=True)
    squeezed = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    packed = squeezed.compress(raw) + squeezed.flush()
    FILE.write_bytes(packed)
    print(f"\n{FILE.name}: {len(raw):,} bytes, {len(packed):,} compressed", file=sys.stderr)


if __name__ == "__main__":
    main()
