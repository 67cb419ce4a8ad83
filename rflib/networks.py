"""The networks that the chapters study, each from one description.

A stem is what stands before the first residual block of a ResNet. It fixes how coarsely all later
layers look (the jump) and how much every one of them costs, and it adds a little to the field. A
`Stem` and each `Block` of a plain ResNet (He et al. 2016) are descriptions: a few numbers, from
which come the layers for the recurrence, the costs, and the torch module. Nothing here needs torch
until a module is built.

`NAMES` lists the networks whose fields people ask for, and `build` makes one of them.

Costs are counted, not measured: a weight is one number of a kernel (no bias, no batch-norm), a
multiply-add is one product with its sum, an activation is one output value of a convolution or a
pool. Batch size 1.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from html import escape
from itertools import pairwise
from types import MappingProxyType
from typing import TYPE_CHECKING

from rflib import _zoo
from rflib._zoo import Network, build
from rflib.inputsize import output_size
from rflib.layers import Layer, switch, whole
from rflib.recurrence import recurrence

if TYPE_CHECKING:
    from torch import nn

__all__ = [
    "CNN_LAYERS",
    "DEPTHS",
    "NAMES",
    "STEMS",
    "Block",
    "Conv",
    "Costs",
    "LayerCost",
    "Network",
    "Pool",
    "Stage",
    "Stem",
    "blocks",
    "build",
    "cnn",
    "costs",
    "padding_for",
    "resnet",
    "resnet_path",
    "simple_cnn",
    "stages",
    "stem",
]

FLOAT32_BYTES = 4
DEPTHS: Mapping[int, tuple[int, ...]] = MappingProxyType(
    {
        18: (2, 2, 2, 2),
        34: (3, 4, 6, 3),
        50: (3, 4, 6, 3),
        101: (3, 4, 23, 3),
        152: (3, 8, 36, 3),
    }
)
"""Blocks in layer1 to layer4 of a plain ResNet, by its depth (He et al. 2016, table 1)."""

NAMES: Mapping[str, Network] = _zoo.NAMES
"""The networks that `build` makes, by name, families together; print an entry for its line."""

CNN_LAYERS = ((9, 1), (3, 1), (3, 1), (3, 1), (9, 1), (3, 1), (3, 1), (7, 1), (3, 1))
"""Kernel and stride of the nine layers whose field is 35."""


def padding_for(kernel: int, stride: int) -> int:
    """The least padding on each side with which n inputs, a multiple of stride, make n / stride.

    It is (kernel - stride) / 2, rounded up and never below 0: the padding of every layer of a plain
    ResNet, and no padding for patches side by side. With an even kernel at stride 1 the map grows
    by one. TypeError or ValueError where kernel or stride is no integer of at least 1.

    >>> padding_for(7, 2), padding_for(3, 2), padding_for(3, 1), padding_for(4, 4)
    (3, 1, 1, 0)
    """
    return max(0, -((whole("stride", stride, 1) - whole("kernel", kernel, 1)) // 2))


@dataclass(frozen=True)
class Conv:
    """A square convolution with its channels; no bias.

    >>> Conv(7, 3, 64, stride=2, padding=3).weights
    9408
    >>> print(Conv(3, 128, 128, padding=2, dilation=2, groups=32))
    3×3 128→128, dilation 2, groups 32
    """

    kernel: int
    channels_in: int
    channels_out: int
    stride: int = 1
    padding: int = 0
    dilation: int = 1
    groups: int = 1

    def __post_init__(self) -> None:
        _check_window(self)
        whole("channels_in", self.channels_in, 1)
        whole("channels_out", self.channels_out, 1)
        whole("dilation", self.dilation, 1)
        whole("groups", self.groups, 1)
        if self.channels_in % self.groups or self.channels_out % self.groups:
            raise ValueError(
                f"groups is {self.groups}; allowed: a divisor of both channels_in "
                f"({self.channels_in}) and channels_out ({self.channels_out})"
            )

    @cached_property
    def layer(self) -> Layer:
        """The layer for the recurrence, without the channels."""
        return Layer(self.kernel, self.stride, self.padding, self.dilation, name=str(self))

    @property
    def weights(self) -> int:
        """kernel * kernel * channels in * channels out / groups."""
        return self.kernel**2 * self.channels_in * self.channels_out // self.groups

    def __str__(self) -> str:
        more = (("dilation", self.dilation), ("groups", self.groups))
        rest = "".join(f", {name} {value}" for name, value in more if value != 1)
        return f"{_window(self)} {self.channels_in}→{self.channels_out}{rest}"


@dataclass(frozen=True)
class Pool:
    """A square max-pool: no weights and, as we count, no multiply-adds."""

    kernel: int = 3
    stride: int = 2
    padding: int = 1

    def __post_init__(self) -> None:
        _check_window(self)

    @cached_property
    def layer(self) -> Layer:
        """The layer for the recurrence."""
        return Layer(self.kernel, self.stride, self.padding, name=str(self))

    def __str__(self) -> str:
        return f"pool {_window(self)}"


@dataclass(frozen=True)
class Stem:
    """Convolutions and at most one pool, in the order in which they run.

    >>> print(stem("deep"))
    deep: 3×3/2 3→32, 3×3 32→32, 3×3 32→64, pool 3×3/2
    """

    name: str
    convs: tuple[Conv, ...]
    pool: Pool | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.name, str):
            raise TypeError(f"name is {self.name!r}; allowed: a string")
        if not isinstance(self.convs, tuple) or not all(isinstance(c, Conv) for c in self.convs):
            raise TypeError(f"convs is {self.convs!r}; allowed: a tuple of Conv")
        if not self.convs:
            raise ValueError("convs is empty; allowed: at least one Conv")
        if self.pool is not None and not isinstance(self.pool, Pool):
            raise TypeError(f"pool is {self.pool!r}; allowed: a Pool or None")
        for before, after in pairwise(self.convs):
            if before.channels_out != after.channels_in:
                raise ValueError(
                    f"convs holds {before}, then {after}; the channels that one hands on must be "
                    "those that the next takes"
                )

    @property
    def parts(self) -> tuple[Conv | Pool, ...]:
        """The convolutions, then the pool if there is one."""
        return self.convs if self.pool is None else (*self.convs, self.pool)

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The layers for the recurrence."""
        return tuple(part.layer for part in self.parts)

    @property
    def channels(self) -> int:
        """Channels that the stem hands on."""
        return self.convs[-1].channels_out

    def __str__(self) -> str:
        return f"{self.name}: {', '.join(map(str, self.parts))}"


def _window(part: Conv | Pool) -> str:
    return f"{part.kernel}×{part.kernel}" + (f"/{part.stride}" if part.stride != 1 else "")


def _check_window(part: Conv | Pool) -> None:
    whole("kernel", part.kernel, 1)
    whole("stride", part.stride, 1)
    whole("padding", part.padding, 0)


def _conv(kernel: int, channels_in: int, channels_out: int, stride: int = 1) -> Conv:
    return Conv(kernel, channels_in, channels_out, stride, padding_for(kernel, stride))


STEMS: Mapping[str, Stem] = MappingProxyType(
    {
        made.name: made
        for made in (
            Stem("resnet", (_conv(7, 3, 64, 2),), Pool()),
            Stem("deep", (_conv(3, 3, 32, 2), _conv(3, 32, 32), _conv(3, 32, 64)), Pool()),
            Stem("three", (_conv(3, 3, 64), _conv(3, 64, 64), _conv(3, 64, 64))),
            Stem("three-narrow", (_conv(3, 3, 32), _conv(3, 32, 32), _conv(3, 32, 64))),
            Stem("three-first", (_conv(3, 3, 64, 2), _conv(3, 64, 64), _conv(3, 64, 64)), Pool()),
            Stem("three-last", (_conv(3, 3, 64), _conv(3, 64, 64), _conv(3, 64, 64, 2)), Pool()),
            Stem("patchify", (_conv(4, 3, 64, 4),)),
            Stem("cifar", (_conv(3, 3, 64),)),
            Stem("mobile", (_conv(3, 3, 32, 2),)),
        )
    }
)
"""The stems by name.

resnet: one 7x7/2 and the pool (He et al. 2016). deep: 3x3/2, 3x3, 3x3 and the pool (ResNet-C of He
et al. 2019). three, three-narrow: three 3x3 at stride 1, with 64 channels throughout or 32, 32, 64.
three-first, three-last: three 3x3 in place of the 7x7/2, the stride on the first or on the last.
patchify: one 4x4/4, patches side by side. cifar: one 3x3 for images of 32 pixels. mobile: one 3x3/2
to 32 channels (MobileNet, EfficientNet).
"""


def stem(
    name: str, kernel: int | None = None, stride: int | None = None, pool: bool | None = None
) -> Stem:
    """The named stem, if asked with another first kernel or stride, with or without the pool.

    The first layer's padding follows from its kernel and stride (`padding_for`). `None` leaves a
    part as it is. Raises ValueError for an unknown name, TypeError or ValueError for a kernel or
    stride that is no whole number from 1 up.

    >>> print(stem("resnet", kernel=5, pool=False))
    resnet: 5×5/2 3→64
    >>> [row.size for row in recurrence(stem("three-first").layers)]
    [3, 7, 11, 15]
    """
    if not isinstance(name, str) or name not in STEMS:
        raise ValueError(f"name is {name!r}; allowed: {', '.join(STEMS)}")
    if pool is not None:
        switch("pool", pool)
    own = STEMS[name]
    first, *rest = own.convs
    k, s = first.kernel if kernel is None else kernel, first.stride if stride is None else stride
    whole("kernel", k, 1)
    whole("stride", s, 1)
    first = replace(first, kernel=k, stride=s, padding=padding_for(k, s))
    wanted = own.pool is not None if pool is None else pool
    return replace(own, convs=(first, *rest), pool=(own.pool or Pool()) if wanted else None)


def _as_stem(given: Stem | str) -> Stem:
    if isinstance(given, Stem):
        return given
    if isinstance(given, str):
        return stem(given)
    raise TypeError(f"stem is {given!r}; allowed: a Stem, or one of the names {', '.join(STEMS)}")


# --- what it costs --------------------------------------------------------------------------------


@dataclass(frozen=True)
class LayerCost:
    """One layer of a stem: what its units see (input pixels), what it makes, what it costs."""

    name: str
    size: int
    jump: int
    output: int
    channels: int
    weights: int
    multiply_adds: int

    @property
    def activations(self) -> int:
        """Values that the layer hands on, channels * output * output."""
        return self.channels * self.output**2


@dataclass(frozen=True)
class Costs:
    """The costs of a stem, layer by layer and in all; prints as a table."""

    stem: Stem
    image: int
    layers: tuple[LayerCost, ...]

    @property
    def weights(self) -> int:
        """Numbers in all kernels; bias and batch-norm not counted."""
        return sum(layer.weights for layer in self.layers)

    @property
    def multiply_adds(self) -> int:
        """Products (each with its sum) for one image; a pool's comparisons are not counted."""
        return sum(layer.multiply_adds for layer in self.layers)

    @property
    def activations(self) -> int:
        """Values of the outputs of all convolutions and the pool, for one image.

        Training keeps about these; batch-norm and activation may keep copies, which are not
        counted.
        """
        return sum(layer.activations for layer in self.layers)

    @property
    def activation_bytes(self) -> int:
        """The activations in float32, 4 bytes a value."""
        return FLOAT32_BYTES * self.activations

    @property
    def size(self) -> int:
        """Field of a unit of the stem's output, in input pixels."""
        return self.layers[-1].size

    @property
    def jump(self) -> int:
        """Input pixels between neighbouring units of the stem's output."""
        return self.layers[-1].jump

    @property
    def output(self) -> int:
        """Height and width of the stem's output."""
        return self.layers[-1].output

    def _cells(self) -> list[tuple[str, ...]]:
        head = ("layer", "r", "j", "map", "weights", "multiply-adds", "activations")
        rows = [
            (
                layer.name,
                str(layer.size),
                str(layer.jump),
                f"{layer.channels}×{layer.output}×{layer.output}",
                *(f"{n:,}" for n in (layer.weights, layer.multiply_adds, layer.activations)),
            )
            for layer in self.layers
        ]
        totals = (f"{n:,}" for n in (self.weights, self.multiply_adds, self.activations))
        return [head, *rows, ("in all", "", "", "", *totals)]

    def __str__(self) -> str:
        cells = self._cells()
        widths = [max(len(row[i]) for row in cells) for i in range(len(cells[0]))]
        lines = (
            "  ".join(
                cell.rjust(width) if i else cell.ljust(width)
                for i, (cell, width) in enumerate(zip(row, widths, strict=True))
            )
            for row in cells
        )
        return "\n".join(line.rstrip() for line in lines)

    def _repr_html_(self) -> str:
        head, *rows = self._cells()
        caption = f"<caption>{escape(str(self.stem))}; image {self.image}×{self.image}</caption>"
        top = "".join(f'<th scope="col">{cell}</th>' for cell in head)
        body = "".join(
            f'<tr><th scope="row">{row[0]}</th>{"".join(f"<td>{c}</td>" for c in row[1:])}</tr>'
            for row in rows
        )
        return f"<table>{caption}<thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>"


def costs(stem: Stem | str, image: int = 224) -> Costs:
    """What a stem costs on a square image of `image` pixels a side, layer by layer.

    weights: kernel^2 * channels in * channels out; bias excluded. multiply_adds: weights * outputs
    per channel, one for each product with its sum. activations: output values of every convolution
    and of the pool; `activation_bytes` takes 4 bytes for each. Batch size 1. Raises ValueError
    where the image is smaller than a kernel.

    >>> spent = costs("resnet")
    >>> spent.weights, spent.multiply_adds, spent.activations, spent.output
    (9408, 118013952, 1003520, 56)
    >>> print(costs("three", image=32))
    layer       r  j       map  weights  multiply-adds  activations
    3×3 3→64    3  1  64×32×32    1,728      1,769,472       65,536
    3×3 64→64   5  1  64×32×32   36,864     37,748,736       65,536
    3×3 64→64   7  1  64×32×32   36,864     37,748,736       65,536
    in all                       75,456     77,266,944      196,608
    """
    made = _as_stem(stem)
    whole("image", image, 1)
    rows = recurrence(made.layers)
    outputs = output_size(made.layers, image, steps=True)
    layers, channels = [], made.convs[0].channels_in
    for part, row, output in zip(made.parts, rows, outputs[1:], strict=True):
        channels = part.channels_out if isinstance(part, Conv) else channels
        weights = part.weights if isinstance(part, Conv) else 0
        name = str(part)
        layers.append(
            LayerCost(name, row.size, row.jump, output, channels, weights, weights * output**2)
        )
    return Costs(made, image, tuple(layers))


# --- plain ResNets --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Block:
    """A residual block: its main path, and the 1x1 on its shortcut where one is needed."""

    main: tuple[Conv, ...]
    shortcut: Conv | None


def blocks(
    depth: int, channels_in: int = 64, stride_on: str = "3x3"
) -> dict[str, tuple[Block, ...]]:
    """The residual blocks of layer1 to layer4 of a plain ResNet (He et al. 2016, table 1).

    depth: 18, 34 (two 3x3 a block), 50, 101, 152 (1x1, 3x3, 1x1 a block). `stride_on` tells which
    convolution of a block of the second kind carries the stride: "3x3" as today's common
    implementations have it, "1x1" as the paper's. Raises ValueError for other values.

    >>> first, second = blocks(18)["layer2"]
    >>> print(*first.main, first.shortcut, sep=", ")
    3×3/2 64→128, 3×3 128→128, 1×1/2 64→128
    >>> second.shortcut is None
    True
    """
    whole("depth", depth, 1)
    whole("channels_in", channels_in, 1)
    if depth not in DEPTHS:
        raise ValueError(f"depth is {depth!r}; allowed: {', '.join(map(str, DEPTHS))}")
    if stride_on not in ("3x3", "1x1"):
        raise ValueError(f"stride_on is {stride_on!r}; allowed: '3x3', '1x1'")
    if stride_on == "1x1" and depth < 50:
        raise ValueError(
            f"stride_on is '1x1', but the blocks of depth {depth} have no 1x1 on their main path; "
            "use '3x3', or a depth of 50, 101 or 152"
        )
    made: dict[str, tuple[Block, ...]] = {}
    channels = channels_in
    for index, count in enumerate(DEPTHS[depth]):
        stage = []
        for position in range(count):
            stride = 2 if index and not position else 1
            stage.append(_block(depth, channels, 64 * 2**index, stride, stride_on))
            channels = stage[-1].main[-1].channels_out
        made[f"layer{index + 1}"] = tuple(stage)
    return made


@cache  # the same few blocks, over and over
def _block(depth: int, channels: int, width: int, stride: int, stride_on: str) -> Block:
    if depth < 50:
        main: tuple[Conv, ...] = (_conv(3, channels, width, stride), _conv(3, width, width))
    else:
        outer, inner = (stride, 1) if stride_on == "1x1" else (1, stride)
        reduce, look = _conv(1, channels, width, outer), _conv(3, width, width, inner)
        main = (reduce, look, _conv(1, width, 4 * width))
    out = main[-1].channels_out
    same = stride == 1 and channels == out
    return Block(main, None if same else _conv(1, channels, out, stride))


def resnet_path(
    depth: int, stem: Stem | str = "resnet", stride_on: str = "3x3"
) -> dict[str, tuple[Layer, ...]]:
    """The layers along the longest way through a plain ResNet: "stem", "layer1" to "layer4".

    The longest way goes through every block's main path. A shortcut reads one pixel in the midst of
    what the main path reads, so it adds nothing to the field.

    >>> path = resnet_path(50)
    >>> layers = []
    >>> for stage in path.values():
    ...     layers.extend(stage)
    ...     print(recurrence(layers)[-1].size)
    11
    35
    91
    267
    427
    """
    made = _as_stem(stem)
    path = {"stem": made.layers}
    for name, stage in blocks(depth, made.channels, stride_on).items():
        path[name] = tuple(conv.layer for block in stage for conv in block.main)
    return path


@dataclass(frozen=True)
class Stage:
    """The end of one stage of a network: what its units see, and what this stage alone costs.

    `size` and `jump` are in input pixels; `output` is the height and width of the stage's map.
    Costs are counted as in `costs`, shortcuts included.
    """

    name: str
    size: int
    jump: int
    output: int
    channels: int
    weights: int
    multiply_adds: int
    activations: int


def stages(
    depth: int, stem: Stem | str = "resnet", stride_on: str = "3x3", image: int = 224
) -> tuple[Stage, ...]:
    """Field, jump and costs at the end of every stage of a plain ResNet, the stem first.

    >>> for stage in stages(18):
    ...     print(stage.name, stage.size, stage.jump, stage.output)
    stem 11 4 56
    layer1 43 4 56
    layer2 99 8 28
    layer3 211 16 14
    layer4 435 32 7
    """
    made = _as_stem(stem)
    spent = costs(made, image)
    path = resnet_path(depth, made, stride_on)
    rows = iter(recurrence([layer for stage in path.values() for layer in stage]))
    fields = {name: [next(rows) for _ in stage][-1] for name, stage in path.items()}
    found = [
        Stage(
            "stem",
            spent.size,
            spent.jump,
            spent.output,
            made.channels,
            spent.weights,
            spent.multiply_adds,
            spent.activations,
        )
    ]
    for name, stage in blocks(depth, made.channels, stride_on).items():
        counted = list(_counted(stage, found[-1].output))
        output, channels = counted[-1][1], counted[-1][0].channels_out
        found.append(
            Stage(
                name,
                fields[name].size,
                fields[name].jump,
                output,
                channels,
                sum(conv.weights for conv, _ in counted),
                sum(conv.weights * out**2 for conv, out in counted),
                sum(conv.channels_out * out**2 for conv, out in counted),
            )
        )
    return tuple(found)


def _counted(stage: Iterable[Block], size: int) -> Iterator[tuple[Conv, int]]:
    """Every convolution of a stage with the width of its output; a block's main path comes last."""
    for block in stage:
        if block.shortcut is not None:
            yield block.shortcut, output_size([block.shortcut.layer], size)
        for conv in block.main:
            size = output_size([conv.layer], size)
            yield conv, size


# --- torch modules --------------------------------------------------------------------------------


def simple_cnn() -> nn.Module:
    """The first source's network: its forward runs convolution, pool, convolution; the field is 8.

    The modules are defined in another order (convolution, convolution, pool), which would make 6.
    Input (batch, 1, rows, columns), output (batch, 16, rows / 2, columns / 2). Needs torch.
    """
    from rflib._torchnets import SimpleCNN

    return SimpleCNN()


def cnn(layer_list: Sequence[tuple[int, int]] = CNN_LAYERS, channels: int = 16) -> nn.Sequential:
    """The third source's network: a chain of convolutions from (kernel, stride) pairs.

    One nn.Sequential with a ReLU between any two convolutions. One channel in, one out, `channels`
    in between; padding (kernel - 1) // 2. The default list's field is 35. Needs torch. Raises
    ValueError for an empty list or a pair that is not (kernel, stride).
    """
    from rflib._torchnets import chain

    if not isinstance(layer_list, tuple | list):
        raise TypeError(f"layer_list is {layer_list!r}; allowed: a list of (kernel, stride) pairs")
    if not layer_list:
        raise ValueError("layer_list is empty; allowed: at least one (kernel, stride) pair")
    for pair in layer_list:
        if not isinstance(pair, tuple | list) or len(pair) != 2:
            raise ValueError(f"layer_list holds {pair!r}; allowed: pairs (kernel, stride)")
        whole("kernel", pair[0], 1)
        whole("stride", pair[1], 1)
    whole("channels", channels, 1)
    return chain(layer_list, channels)


def resnet(
    depth: int, stem: Stem | str = "resnet", stride_on: str = "3x3", classes: int = 1000
) -> nn.Module:
    """A plain ResNet as a torch module: conv1, bn1, relu, maxpool, layer1 to layer4, avgpool, fc.

    With the default stem its parameters bear the names and shapes of the common implementation, so
    that its published weights fit. A stem without a pool has the identity as `maxpool`; one with
    several convolutions has them (with batch-norm and ReLU between) in `conv1`. Weights are torch's
    own random ones. Needs torch. Raises ValueError as `blocks` does.
    """
    from rflib._torchnets import ResNet

    made = _as_stem(stem)
    whole("classes", classes, 1)
    return ResNet(made, blocks(depth, made.channels, stride_on), classes)
