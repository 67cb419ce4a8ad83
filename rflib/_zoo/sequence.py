"""Networks on time: WaveNet and the temporal convolutional network.  Nothing looks ahead."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from rflib._zoo._parts import named
from rflib.layers import whole


class CausalConv1d(nn.Conv1d):
    """A convolution that reads the present and the past: all padding stands before the start."""

    def __init__(self, before: int, after: int, kernel: int, dilation: int = 1) -> None:
        super().__init__(before, after, kernel, dilation=dilation)
        self.past = dilation * (kernel - 1)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(F.pad(x, (self.past, 0)))


def _check(**counts: int) -> None:
    for name, value in counts.items():
        whole(name, value, 1)


# --- WaveNet --------------------------------------------------------------------------------------


class GatedLayer(nn.Module):
    """tanh times sigmoid of one dilated convolution each; a residual goes on, a skip goes out."""

    def __init__(self, width: int, skip: int, kernel: int, dilation: int) -> None:
        super().__init__()
        self.filter = CausalConv1d(width, width, kernel, dilation)
        self.gate = CausalConv1d(width, width, kernel, dilation)
        self.residual = nn.Conv1d(width, width, 1)
        self.skip = nn.Conv1d(width, skip, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        out = self.filter(x).tanh() * self.gate(x).sigmoid()
        return x + self.residual(out), self.skip(out)


class WaveNet(nn.Module):
    """A causal convolution, gated layers, and two 1x1 on the sum of their skips."""

    def __init__(
        self, levels: int, width: int, skip: int, kernel: int, layers: int, stacks: int
    ) -> None:
        super().__init__()
        self.first = CausalConv1d(levels, width, kernel)
        self.stacks = nn.ModuleList(
            nn.ModuleList(GatedLayer(width, skip, kernel, 2**layer) for layer in range(layers))
            for _ in range(stacks)
        )
        self.head = nn.Sequential(
            nn.ReLU(), nn.Conv1d(skip, skip, 1), nn.ReLU(), nn.Conv1d(skip, levels, 1)
        )

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        skips = []
        for stack in self.stacks:
            for layer in stack:  # type: ignore[attr-defined]  # a ModuleList
                x, skip = layer(x)
                skips.append(skip)
        out: Tensor = self.head(sum(skips[1:], skips[0]))
        return out


def wavenet(
    levels: int = 256,
    width: int = 32,
    skip: int = 256,
    kernel: int = 2,
    layers: int = 10,
    stacks: int = 3,
) -> WaveNet:
    """WaveNet (van den Oord et al. 2016) on one-hot samples, without conditioning.

    In each stack the dilation doubles from 1 to 2^(layers - 1).  The field is
    1 + (kernel - 1) * (1 + stacks * (2^layers - 1)) samples, all in the past: 3071 by default.
    levels: values of a sample, channels in and out.  The paper does not tell its widths; these are
    ours.
    """
    _check(levels=levels, width=width, skip=skip, kernel=kernel, layers=layers, stacks=stacks)
    return WaveNet(levels, width, skip, kernel, layers, stacks)


# --- temporal convolutional network ---------------------------------------------------------------


class TemporalBlock(nn.Module):
    """Two causal convolutions of the same dilation around a shortcut."""

    def __init__(self, before: int, after: int, kernel: int, dilation: int) -> None:
        super().__init__()
        self.main = named(
            conv1=CausalConv1d(before, after, kernel, dilation),
            relu1=nn.ReLU(),
            dropout1=nn.Dropout(0.05),
            conv2=CausalConv1d(after, after, kernel, dilation),
            relu2=nn.ReLU(),
            dropout2=nn.Dropout(0.05),
        )
        self.downsample = nn.Conv1d(before, after, 1) if before != after else None
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        out: Tensor = self.relu(self.main(x) + shortcut)
        return out


def tcn(
    channels: int = 1, width: int = 25, kernel: int = 7, blocks: int = 8, classes: int = 10
) -> nn.Sequential:
    """A temporal convolutional network (Bai et al. 2018); one answer per time step.

    The dilation doubles from block to block.  The field is
    1 + 2 * (kernel - 1) * (2^blocks - 1) steps, all in the past: 3061 by default, the paper's for
    the 784 pixels of an image.  Weight-norm is left out: it changes weights, not who reads what.
    """
    _check(channels=channels, width=width, kernel=kernel, blocks=blocks)
    made: dict[str, nn.Module] = {}
    for index in range(blocks):
        before = width if index else channels
        made[f"block{index + 1}"] = TemporalBlock(before, width, kernel, 2**index)
    return named(**made, head=nn.Conv1d(width, classes, 1))
