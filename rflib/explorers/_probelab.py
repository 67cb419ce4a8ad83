"""The probe lab: a gradient probe with a switch for each thing that can go wrong with it.

A small net of one channel (kernel x kernel convolutions; the first has the stride) looks at a
picture: one random 8 x 8 tile, repeated. The gradient of one unit with respect to that picture is
what a probe takes for its receptive field. The figure draws its magnitude, the box that it
measures, and the box of the formula.

The page has no torch, so the numbers of every state that can be chosen were measured beforehand:
`probelab.bin` holds torch's own, in thirds of a decade (`_probelab_torch` measures them, and says
how to do it again). With a kernel and torch, each moved control measures anew and the figure shows
that.

The file is raw deflate. Inside, all numbers are unsigned and little-endian, a 16-bit array stored
as its low bytes, then its high bytes (they compress better apart):

    n, m           two 16-bit numbers: how many maps, how many records
    maps           n heights, n widths, then the maps' codes, row by row
    records        m each of: map, count (16 bit), top, left, height, width (8 bit),
                   largest (16 bit)
    far profiles   64 x 256 codes in twelfths of a decade (16 bit, differences along a profile)
    far largest    128 (16 bit)
    far rows       128 x 8 x 256 (8 bit, differences along the picture's rows): of the even
                   columns the first and the last that is not zero in float32, the first and
                   the last that is inf; the same of the odd columns (a stride of 2 tells them
                   apart); first > last where there is none

A code is 0 for a gradient of zero, else 1 for the largest of the map and 1 more for every step
below it; 255 is inf. `largest` is the decimal logarithm of the largest magnitude in twelfths, plus
OFFSET.
"""

from __future__ import annotations

import zlib
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.resources import files
from itertools import accumulate, product
from typing import Any

import ipywidgets
import traitlets

from rflib.explorers.base import Choice, Control, Figure, Slider, State, Switch, build, pixels
from rflib.inputsize import output_size
from rflib.recurrence import receptive_field
from rflib.regions import Region, reads, region

KERNELS = (1, 3, 5, 7)
STRIDES = (1, 2)
LAYERS = (1, 2, 3, 4)
# Far out. Not 96 at the end: there the border pixels' gradient is half the smallest number that
# float32 holds, and processors would differ. At 94 it is a twentieth of it, and the neighbour's is
# five times as large.
DEPTHS = (22, 46, 70, 94)
IMAGES = (16, 32, 48)
FAR_IMAGE = 256
UNITS = ("centre", "corner")
WEIGHTS = ("random", "ones", "normalised")
ACTIVATIONS = ("identity", "relu")
POOLS = ("none", "average first", "max first", "average last", "max last")
NUMBERS = ("float32", "float64")

OFFSET = 20_000
INF = 255
OVERFLOWN = -1
# A picture in which every pixel counts costs most to store, so it is stored as 16 x 16 blocks,
# each with its largest value.
BLOCKS = 16
TWELFTHS = 12


class _OddSlider(Slider):
    """A slider over the odd numbers from `low` to `high`."""

    step = 2

    def values(self) -> tuple[int, ...]:
        return tuple(range(self.low, self.high + 1, self.step))

    def widget(self, value: int, **style: Any) -> ipywidgets.Widget:
        return ipywidgets.IntSlider(
            value=value, min=self.low, max=self.high, step=self.step, **style
        )


class _ImageSlider(_OddSlider):
    """A slider over the multiples of 16."""

    step = 16


_NET, _POOL = "left in the network", "2×2 pool"
CONTROLS: tuple[Control, ...] = (
    _OddSlider("kernel", 1, 7, 3),
    Slider("stride", 1, 2, 1, label="stride of the first"),
    Slider("layers", 1, 4, 2),
    Choice("unit", (("centre", "centre"), ("corner", "corner")), "centre"),
    Choice(
        "number",
        (("float32", "float32"), ("float64", "float64")),
        "float32",
        label="numbers in",
    ),
    Switch("far", False, label="far out: 1, 2, 3, 4 layers stand for 22, 46, 70, 94"),
    _ImageSlider("image", 16, 48, 16, label="image size", group=_NET),
    Choice("weights", (("random", "random"), ("positive", "positive")), "positive", group=_NET),
    Choice("activation", (("ReLU", "relu"), ("identity", "identity")), "relu", group=_NET),
    Choice(
        "batchnorm",
        (("none", "none"), ("eval", "eval"), ("training", "train")),
        "none",
        label="batch-norm",
        group=_NET,
    ),
    Choice(
        "pool",
        (
            ("none", "none"),
            ("average, after the first layer", "average first"),
            ("max, after the first layer", "max first"),
            ("average, after the last layer", "average last"),
            ("max, after the last layer", "max last"),
        ),
        "max last",
        label="kind and place",
        group=_POOL,
        menu=True,
    ),
    Choice(
        "magnitude",
        (("all ones", "ones"), ("normalised", "normalised")),
        "ones",
        label="each weight",
        group="positive weights",
    ),
)


@dataclass(frozen=True)
class Net:
    """What is measured: a net of one channel, a square picture, a unit, a number format.

    `norm` is none, eval or train; the other words are those of the controls.
    """

    kernel: int
    stride: int
    depth: int
    image: int
    unit: str
    number: str
    weights: str
    activation: str = "identity"
    norm: str = "none"
    pool: str = "none"

    @property
    def far(self) -> bool:
        return self.image == FAR_IMAGE

    @property
    def layers(self) -> tuple[tuple[int, int, int], ...]:
        """The layers that have an extent, as rflib reads them: (kernel, stride, padding)."""
        around = (self.kernel - 1) // 2
        convolutions = [(self.kernel, self.stride, around)]
        convolutions += [(self.kernel, 1, around)] * (self.depth - 1)
        if self.pool != "none":
            place = 1 if self.pool.endswith("first") else self.depth
            convolutions.insert(place, (2, 2, 0))
        return tuple(convolutions)


@dataclass(frozen=True)
class Reading:
    """What a probe reads off the gradient.

    box : first and last row, first and last column that is not zero; None if all is zero.
    count : how many pixels are not zero.
    infinite : how many are inf.
    largest, smallest : decimal logarithms in twelfths, zeros left out; None where there is none,
        `largest` where some are inf, `smallest` where only the largest of each block is known.
    """

    box: tuple[int, int, int, int] | None
    count: int
    infinite: int
    largest: int | None
    smallest: int | None


@dataclass(frozen=True)
class Picture:
    """The map of magnitudes: `cells` x `cells` codes, `steps` of them to a factor of ten."""

    cells: int
    steps: int
    codes: bytes


def net_of(
    kernel: int,
    stride: int,
    layers: int,
    unit: str,
    number: str,
    far: bool,
    image: int,
    weights: str,
    activation: str,
    batchnorm: str,
    pool: str,
    magnitude: str,
) -> Net:
    """The net that these controls choose.

    Far out the net is bare; batch statistics come without a pool.
    """
    if far:
        return Net(kernel, stride, DEPTHS[layers - 1], FAR_IMAGE, unit, number, magnitude)
    chosen = magnitude if weights == "positive" else weights
    left = "none" if batchnorm == "train" else pool
    return Net(kernel, stride, layers, image, unit, number, chosen, activation, batchnorm, left)


def nets() -> Iterator[Net]:
    """The shallow nets in the order of the file's records.

    float64 and eval are not stored: they read as these do.
    """
    for kernel, stride, depth, image, unit, weights, activation in product(
        KERNELS, STRIDES, LAYERS, IMAGES, UNITS, WEIGHTS, ACTIVATIONS
    ):
        for pool in POOLS:
            yield Net(
                kernel, stride, depth, image, unit, "float32", weights, activation, "none", pool
            )
        yield Net(kernel, stride, depth, image, unit, "float32", weights, activation, "train")


def far_nets(number: str = "float32") -> Iterator[Net]:
    """The nets far out, in the order of the file."""
    for kernel, stride, depth, unit, weights in product(
        KERNELS, STRIDES, DEPTHS, UNITS, WEIGHTS[1:]
    ):
        yield Net(kernel, stride, depth, FAR_IMAGE, unit, number, weights)


class Store:
    """The numbers of `probelab.bin`."""

    def __init__(self, raw: bytes) -> None:
        self._raw = raw
        self._at = 0
        count, records = self._wide(2)
        self.heights, self.widths = self._bytes(count), self._bytes(count)
        sizes = [h * w for h, w in zip(self.heights, self.widths, strict=True)]
        self._starts = [0, *accumulate(sizes)]
        self._codes = self._bytes(self._starts[-1])
        self._map, self._count = self._wide(records), self._wide(records)
        self._top, self._left = self._bytes(records), self._bytes(records)
        self._height, self._width = self._bytes(records), self._bytes(records)
        self._largest = self._wide(records)
        far = len(KERNELS) * len(STRIDES) * len(DEPTHS) * len(UNITS)
        self._profiles = _undone(self._wide(far * FAR_IMAGE), FAR_IMAGE, 1 << 16)
        self._far_largest = self._wide(2 * far)
        self._rows = _undone(self._bytes(2 * far * 8 * FAR_IMAGE), FAR_IMAGE, 1 << 8)
        if self._at != len(raw):
            raise ValueError(f"probelab.bin has {len(raw)} bytes, and {self._at} were expected")

    def _bytes(self, count: int) -> bytes:
        self._at += count
        return self._raw[self._at - count : self._at]

    def _wide(self, count: int) -> list[int]:
        low, high = self._bytes(count), self._bytes(count)
        return [a + 256 * b for a, b in zip(low, high, strict=True)]

    def map(self, index: int) -> bytes:
        """The codes of a map, row by row."""
        return self._codes[self._starts[index] : self._starts[index + 1]]

    def record(self, net: Net) -> int:
        """Where a shallow net's record stands."""
        variant = len(POOLS) if net.norm == "train" else POOLS.index(net.pool)
        digits = (
            (KERNELS.index(net.kernel), len(KERNELS)),
            (STRIDES.index(net.stride), len(STRIDES)),
            (LAYERS.index(net.depth), len(LAYERS)),
            (IMAGES.index(net.image), len(IMAGES)),
            (UNITS.index(net.unit), len(UNITS)),
            (WEIGHTS.index(net.weights), len(WEIGHTS)),
            (ACTIVATIONS.index(net.activation), len(ACTIVATIONS)),
            (variant, len(POOLS) + 1),
        )
        return _mixed(digits)

    def far_record(self, net: Net) -> int:
        """Where a far net's record stands; its profile is the one at half of that."""
        digits = (
            (KERNELS.index(net.kernel), len(KERNELS)),
            (STRIDES.index(net.stride), len(STRIDES)),
            (DEPTHS.index(net.depth), len(DEPTHS)),
            (UNITS.index(net.unit), len(UNITS)),
            (WEIGHTS.index(net.weights) - 1, 2),
        )
        return _mixed(digits)

    def reading(self, net: Net) -> Reading:
        """What was measured of this net."""
        return self._far_reading(net) if net.far else self._near_reading(net)

    def picture(self, net: Net) -> Picture:
        """The map that was measured of this net."""
        return self._far_picture(net) if net.far else self._near_picture(net)

    def _near_reading(self, net: Net) -> Reading:
        i = self.record(net)
        codes = self.map(self._map[i])
        if not codes:
            return Reading(None, 0, 0, None, None)
        box = _box(self._top[i], self._left[i], self._height[i], self._width[i])
        largest = self._largest[i] - OFFSET
        # Of a block only the largest value is stored.
        smallest = None if net.norm == "train" else largest - (max(codes) - 1) * TWELFTHS // 3
        return Reading(box, self._count[i], 0, largest, smallest)

    def _near_picture(self, net: Net) -> Picture:
        i = self.record(net)
        index = self._map[i]
        height, width, codes = self.heights[index], self.widths[index], self.map(index)
        if net.norm == "train":
            return Picture(BLOCKS, 3, codes or bytes(BLOCKS * BLOCKS))
        canvas = bytearray(net.image * net.image)
        for y in range(height):
            start = (self._top[i] + y) * net.image + self._left[i]
            canvas[start : start + width] = codes[y * width : (y + 1) * width]
        return Picture(net.image, 3, bytes(canvas))

    def profile(self, net: Net) -> list[int]:
        """The row of a far map through its largest value, in twelfths of a decade.

        The map is the product of this profile along rows and along columns.
        """
        start = self.far_record(net) // 2 * FAR_IMAGE
        return self._profiles[start : start + FAR_IMAGE]

    def _far_codes(self, net: Net) -> list[int]:
        """The map's codes in twelfths of a decade, row by row; OVERFLOWN for inf."""
        profile = self.profile(net)
        codes = [a + b - 1 if a and b else 0 for a in profile for b in profile]
        if net.number == "float64":
            return codes
        start = self.far_record(net) * 8 * FAR_IMAGE
        parts = [
            self._rows[start + part * FAR_IMAGE : start + (part + 1) * FAR_IMAGE]
            for part in range(8)
        ]
        for y in range(FAR_IMAGE):
            for parity in (0, 1):
                first, last, inf_first, inf_last = (
                    part[y] for part in parts[4 * parity : 4 * parity + 4]
                )
                for x in range(parity, FAR_IMAGE, 2):
                    if not first <= x <= last:
                        codes[y * FAR_IMAGE + x] = 0
                    elif inf_first <= x <= inf_last:
                        codes[y * FAR_IMAGE + x] = OVERFLOWN
        return codes

    def _far_reading(self, net: Net) -> Reading:
        codes = self._far_codes(net)
        lit = [i for i, code in enumerate(codes) if code]
        rows, columns = {i // FAR_IMAGE for i in lit}, {i % FAR_IMAGE for i in lit}
        infinite = codes.count(OVERFLOWN)
        largest = self._far_largest[self.far_record(net)] - OFFSET
        return Reading(
            (min(rows), max(rows), min(columns), max(columns)),
            len(lit),
            infinite,
            None if infinite else largest,
            None if infinite == len(lit) else largest - (max(codes) - 1),
        )

    def _far_picture(self, net: Net) -> Picture:
        codes = self._far_codes(net)
        return Picture(
            FAR_IMAGE,
            1,
            bytes(INF if c == OVERFLOWN else c and 1 + (c + 5) // TWELFTHS for c in codes),
        )


@cache
def packed() -> bytes:
    """The file as it is stored."""
    return (files("rflib.explorers") / "probelab.bin").read_bytes()


@cache
def store() -> Store:
    """The file's numbers."""
    return Store(zlib.decompress(packed(), wbits=-zlib.MAX_WBITS))


@dataclass(frozen=True)
class Truth:
    """What arithmetic says, along one axis (rows and columns are alike).

    size : the receptive field.
    field : where it lies, were there no border.
    clipped : the part of it within the picture.
    read : how many of the picture's pixels (of one row) the unit reads.
    """

    size: int
    field: Region
    clipped: Region
    read: int


@lru_cache(maxsize=1024)
def _truth(layers: tuple[tuple[int, int, int], ...], image: int, unit: str) -> Truth:
    index = 0 if unit == "corner" else output_size(layers, image) // 2
    return Truth(
        receptive_field(layers),
        region(layers, index, image),
        region(layers, index, image, clip=True),
        len(reads(layers, index, image)),
    )


def truth(net: Net) -> Truth:
    """What the formulas say of the net's unit."""
    return _truth(net.layers, net.image, net.unit)


@lru_cache(maxsize=8192)
def _stored(net: Net) -> Reading:
    return store().reading(net)


def state(**controls: Any) -> State:
    """What torch measured of the chosen net, what the formula says, what went wrong, in words."""
    net = net_of(**controls)
    expected, reading = truth(net), _stored(net)
    return {
        "sentence": " ".join((_verdict(expected, reading), *_reasons(net, expected, reading))),
        "shown": {
            _NET: not net.far,
            _POOL: not net.far and net.norm != "train",
            "positive weights": net.weights != "random",
        },
        "source": "stored",
        "depth": net.depth,
        "image": net.image,
        "size": expected.size,
        "field": list(expected.field),
        "clipped": list(expected.clipped),
        "expected": expected.read**2,
        "box": list(reading.box) if reading.box else None,
        "count": reading.count,
        "infinite": reading.infinite,
        "largest": reading.largest,
        "smallest": reading.smallest,
    }


def _verdict(expected: Truth, reading: Reading) -> str:
    formula = f"{expected.size} × {expected.size}"
    if reading.box is None:
        return f"Torch measures nothing: every gradient is 0. The formula says {formula}."
    top, bottom, left, right = reading.box
    measured = f"{bottom - top + 1} × {right - left + 1}"
    if measured == formula:
        return f"Torch measures {measured}, and the formula agrees."
    return f"Torch measures {measured}, the formula says {formula}."


def _reasons(net: Net, expected: Truth, reading: Reading) -> list[str]:
    """What went wrong, a sentence each."""
    first, last = expected.clipped
    whole = reading.box == (first, last, first, last)
    lost = expected.read**2 - reading.count
    reasons = []
    if net.norm == "train" and reading.box:
        return [
            "Batch-norm in training mode takes mean and variance over the whole picture:"
            " every pixel that the first layer reads changes every unit."
        ]
    if reading.box is None:
        return ["A ReLU that is off stands in every path: a dead gradient is not an empty field."]
    if reading.infinite:
        reasons.append(
            f"{pixels(reading.infinite)} overflowed to inf in float32: inf is not 0,"
            " so the box survives, and the magnitudes do not."
        )
    if net.far and lost:
        fate = "the set loses its corners, the box survives" if whole else "the box shrinks"
        reasons.append(f"{pixels(lost)} of the field underflowed to 0 in float32: {fate}.")
    blocked = []
    if net.pool.startswith("max"):
        blocked.append("Max-pool passes the gradient to the winner of each window alone")
    if lost and net.activation == "relu" and net.weights == "random":
        blocked.append("ReLUs that are off pass nothing")
    if blocked:
        together = "together " if len(blocked) > 1 else ""
        survives = ", though the box survives" if whole else ""
        fate = f": {together}{pixels(lost)} of the field lost{survives}" if lost else ""
        reasons.append(f"{', and '.join(blocked)}{fate}.")
    if expected.clipped != expected.field:
        place = "The unit stands in the corner, and the" if net.unit == "corner" else "The"
        part = f"{expected.clipped.size} × {expected.clipped.size}"
        top, bottom, left, right = reading.box
        touches = min(top, left) == 0 or max(bottom, right) == net.image - 1
        sign = (
            "the only sign of it is that the box touches the border"
            if touches
            else "nothing in the gradient says so"
        )
        reasons.append(f"{place} picture's border cuts the field to {part}: {sign}.")
    if expected.read < expected.clipped.size:
        reasons.append("The stride steps over pixels inside the box.")
    return reasons or ["Nothing is switched off, cut or lost."]


def probelab(**initial: Any) -> Figure:
    """The probe lab: what a gradient probe measures of small nets, and how it goes wrong.

    With a kernel and torch each moved control measures anew, and `drawing.live` holds what came
    out. What is shown at first and without a kernel, and what `drawing.numbers` holds, are torch's
    numbers as they were stored: the same on every processor.

    Parameters
    ----------
    initial : the values that the controls start with, all with a default: kernel (1, 3, 5, 7),
        stride (1, 2; of the first layer), layers (1 to 4), unit ("centre", "corner"),
        number ("float32", "float64"), far (True: 22, 46, 70 or 94 layers on 256 pixels),
        image (16, 32, 48), weights ("random", "positive"), activation ("relu", "identity"),
        batchnorm ("none", "eval", "train"), pool ("none", "average first", "max first",
        "average last", "max last"), magnitude ("ones", "normalised"; of positive weights).

    Raises
    ------
    ValueError : a control, or a value of one, that there is not.

    Examples
    --------
    >>> box = probelab(kernel=3, layers=2, pool="max last", image=32)
    >>> box.drawing.numbers["size"], box.drawing.numbers["box"]
    (6, [14, 18, 14, 18])
    """
    figure = build("probelab", CONTROLS, state, initial, data=b64encode(packed()).decode("ascii"))
    drawing = figure.drawing
    # The browser treats `live` as one more control: when it changes, the state is told anew.
    drawing.add_traits(live=traitlets.Dict().tag(sync=True))
    drawing._controls = [*drawing._controls, "live"]

    def measure_now(_change: object) -> None:
        drawing.live = _measured(drawing.controls)

    drawing.observe(measure_now, names=[control.name for control in CONTROLS])
    return figure


def _measured(controls: dict[str, Any]) -> dict[str, Any]:
    """What torch measures here and now of the chosen net, for the drawing; empty without torch."""
    try:
        from rflib.explorers import _probelab_torch as bench
    except ModuleNotFoundError as missing:
        if missing.name != "torch":
            raise
        return {}
    net = net_of(**controls)
    gradient = bench.measure(net)
    reading, picture = bench.read_off(gradient, net), bench.drawn(gradient, net)
    return {
        "controls": controls,
        "source": f"torch {bench.VERSION}, measured by your kernel just now",
        "box": list(reading.box) if reading.box else None,
        "count": reading.count,
        "infinite": reading.infinite,
        "largest": reading.largest,
        "smallest": reading.smallest,
        "cells": picture.cells,
        "steps": picture.steps,
        "codes": b64encode(picture.codes).decode("ascii"),
    }


def _mixed(digits: tuple[tuple[int, int], ...]) -> int:
    """A number from its digits, each with its base, the leading one first."""
    value = 0
    for digit, base in digits:
        value = value * base + digit
    return value


def _undone(values: list[int] | bytes, length: int, modulus: int) -> list[int]:
    """Running sums of each `length` differences."""
    return [
        total % modulus
        for start in range(0, len(values), length)
        for total in accumulate(values[start : start + length])
    ]


def _box(top: int, left: int, height: int, width: int) -> tuple[int, int, int, int]:
    return top, top + height - 1, left, left + width - 1
