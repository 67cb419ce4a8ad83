"""ShuffleNet-v2, RegNet, ConvNeXt."""

from __future__ import annotations

from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rflib._zoo._parts import SqueezeExcitation, conv, conv_norm, named

# --- ShuffleNet-v2 --------------------------------------------------------------------------------


class Shuffled(nn.Module):
    """Two halves of the channels, each through its branch, then interleaved."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        half = after // 2
        self.split = stride == 1  # at stride 2 both branches read all channels
        inside = before // 2 if self.split else before
        self.branch1 = nn.Sequential()
        if not self.split:
            self.branch1 = nn.Sequential(
                *conv_norm(before, before, 3, stride, groups=before, act=None),
                *conv_norm(before, half),
            )
        self.branch2 = nn.Sequential(
            *conv_norm(inside, half),
            *conv_norm(half, half, 3, stride, groups=half, act=None),
            *conv_norm(half, half),
        )

    def forward(self, x: Tensor) -> Tensor:
        first, second = x.chunk(2, dim=1) if self.split else (x, x)
        out = torch.stack([self.branch1(first), self.branch2(second)], dim=2)
        return out.flatten(1, 2)


def shufflenet_v2_x1_0(classes: int = 1000) -> nn.Sequential:
    """ShuffleNet-v2 (Ma et al. 2018)."""
    made: dict[str, nn.Module] = {
        "conv1": conv_norm(3, 24, 3, 2),
        "maxpool": nn.MaxPool2d(3, 2, 1),
    }
    before = 24
    for index, (after, count) in enumerate(((116, 4), (232, 8), (464, 4)), start=2):
        made[f"stage{index}"] = nn.Sequential(
            Shuffled(before, after, 2), *(Shuffled(after, after, 1) for _ in range(count - 1))
        )
        before = after
    return named(
        **made,
        conv5=conv_norm(before, 1024),
        avgpool=nn.AdaptiveAvgPool2d(1),
        flatten=nn.Flatten(1),
        fc=nn.Linear(1024, classes),
    )


# --- RegNet ---------------------------------------------------------------------------------------

REGNET = {  # blocks and width of each stage, channels in a group, squeeze-and-excitation
    "x_400mf": ((1, 2, 7, 12), (32, 64, 160, 400), 16, False),
    "y_400mf": ((1, 3, 6, 6), (48, 104, 208, 440), 8, True),
}


class RegNetBlock(nn.Module):
    """1x1, grouped 3x3, (squeeze-and-excitation,) 1x1 around a shortcut."""

    def __init__(self, before: int, after: int, stride: int, group: int, squeeze: bool) -> None:
        super().__init__()
        same = before == after and stride == 1
        self.proj = None if same else conv_norm(before, after, 1, stride, act=None)
        gate = {"se": SqueezeExcitation(after, round(before / 4))} if squeeze else {}
        self.f = named(
            a=conv_norm(before, after),
            b=conv_norm(after, after, 3, stride, groups=after // group),
            **gate,
            c=conv_norm(after, after, act=None),
        )
        self.activation = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.proj is None else self.proj(x)
        out: Tensor = self.activation(shortcut + self.f(x))
        return out


def _regnet(kind: str, classes: int) -> nn.Sequential:
    counts, widths, group, squeeze = REGNET[kind]
    stages: dict[str, nn.Module] = {}
    before = 32
    for index, (count, after) in enumerate(zip(counts, widths, strict=True), start=1):
        blocks: dict[str, nn.Module] = {}
        for position in range(count):
            stride = 1 if position else 2
            blocks[f"block{index}-{position}"] = RegNetBlock(before, after, stride, group, squeeze)
            before = after
        stages[f"block{index}"] = named(**blocks)
    return named(
        stem=conv_norm(3, 32, 3, 2),
        trunk_output=named(**stages),
        avgpool=nn.AdaptiveAvgPool2d(1),
        flatten=nn.Flatten(1),
        fc=nn.Linear(before, classes),
    )


def regnet_x_400mf(classes: int = 1000) -> nn.Sequential:
    """RegNet (Radosavovic et al. 2020) without squeeze-and-excitation."""
    return _regnet("x_400mf", classes)


def regnet_y_400mf(classes: int = 1000) -> nn.Sequential:
    """RegNet (Radosavovic et al. 2020) with squeeze-and-excitation."""
    return _regnet("y_400mf", classes)


# --- ConvNeXt -------------------------------------------------------------------------------------


class Permute(nn.Module):
    """Another order of the axes."""

    def __init__(self, *axes: int) -> None:
        super().__init__()
        self.axes = axes

    def extra_repr(self) -> str:
        return str(self.axes)

    def forward(self, x: Tensor) -> Tensor:
        return x.permute(self.axes)


class LayerNorm2d(nn.LayerNorm):
    """Layer norm over the channels of each position alone."""

    def forward(self, x: Tensor) -> Tensor:
        x = x.permute(0, 2, 3, 1)
        x = F.layer_norm(x, self.normalized_shape, self.weight, self.bias, self.eps)
        return x.permute(0, 3, 1, 2)


class ConvNeXtBlock(nn.Module):
    """A depthwise 7x7, then a two-layer perceptron on each position, around a shortcut."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.block = nn.Sequential(
            conv(channels, channels, 7, groups=channels, bias=True),
            Permute(0, 2, 3, 1),
            nn.LayerNorm(channels, eps=1e-6),
            nn.Linear(channels, 4 * channels),
            nn.GELU(),
            nn.Linear(4 * channels, channels),
            Permute(0, 3, 1, 2),
        )
        self.layer_scale = nn.Parameter(torch.full((channels, 1, 1), 1e-6))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = x + self.layer_scale * self.block(x)
        return out


def convnext_tiny(classes: int = 1000) -> nn.Sequential:
    """ConvNeXt (Liu et al. 2022): patches of 4 side by side, then depthwise 7x7."""
    norm = partial(LayerNorm2d, eps=1e-6)
    made: list[nn.Module] = [nn.Sequential(nn.Conv2d(3, 96, 4, stride=4), norm(96))]
    channels = 96
    for index, count in enumerate((3, 3, 9, 3)):
        if index:
            down = nn.Conv2d(channels, 2 * channels, 2, stride=2)
            made.append(nn.Sequential(norm(channels), down))
            channels *= 2
        made.append(nn.Sequential(*(ConvNeXtBlock(channels) for _ in range(count))))
    head = nn.Sequential(norm(channels), nn.Flatten(1), nn.Linear(channels, classes))
    return named(features=nn.Sequential(*made), avgpool=nn.AdaptiveAvgPool2d(1), classifier=head)
