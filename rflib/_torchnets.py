"""The torch modules behind `rflib.networks`: imported when a module is built, never before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

from torch import Tensor, nn

from rflib.networks import Block, Conv, Stem


class SimpleCNN(nn.Module):
    """Defined as convolution, convolution, pool; run as convolution, pool, convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 8, kernel_size=3, padding=1)
        self.conv2 = nn.Conv2d(8, 16, kernel_size=3, padding=1)
        self.pool = nn.MaxPool2d(kernel_size=2, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool(self.conv1(x).relu())
        return self.conv2(x).relu()  # type: ignore[no-any-return]


def chain(layer_list: Sequence[tuple[int, int]], channels: int) -> nn.Sequential:
    """Convolutions with a ReLU between any two; one channel at either end."""
    widths = [1, *[channels] * (len(layer_list) - 1), 1]
    made: list[nn.Module] = []
    for (kernel, stride), (before, after) in zip(layer_list, pairwise(widths), strict=True):
        made += [nn.Conv2d(before, after, kernel, stride, (kernel - 1) // 2), nn.ReLU()]
    return nn.Sequential(*made[:-1])


def convolution(conv: Conv) -> nn.Conv2d:
    return nn.Conv2d(
        conv.channels_in,
        conv.channels_out,
        conv.kernel,
        conv.stride,
        conv.padding,
        conv.dilation,
        conv.groups,
        bias=False,
    )


class Residual(nn.Module):
    """Main path of two or three convolutions, plus the shortcut; ReLU last."""

    def __init__(self, block: Block) -> None:
        super().__init__()
        self.relu = nn.ReLU()
        self.length = len(block.main)
        for index, conv in enumerate(block.main, start=1):
            self.add_module(f"conv{index}", convolution(conv))
            self.add_module(f"bn{index}", nn.BatchNorm2d(conv.channels_out))
        self.downsample = (
            None
            if block.shortcut is None
            else nn.Sequential(
                convolution(block.shortcut), nn.BatchNorm2d(block.shortcut.channels_out)
            )
        )

    def forward(self, x: Tensor) -> Tensor:
        out = x
        for index in range(1, self.length + 1):
            out = self.get_submodule(f"bn{index}")(self.get_submodule(f"conv{index}")(out))
            out = self.relu(out) if index < self.length else out
        return self.relu(out + (x if self.downsample is None else self.downsample(x)))  # type: ignore[no-any-return]


class ResNet(nn.Module):
    """A plain ResNet, its parts named as in the common implementation."""

    def __init__(self, stem: Stem, stages: Mapping[str, Sequence[Block]], classes: int) -> None:
        super().__init__()
        self.conv1 = stem_convolutions(stem)
        self.bn1 = nn.BatchNorm2d(stem.channels)
        self.relu = nn.ReLU()
        pool = stem.pool
        self.maxpool: nn.Module = (
            nn.Identity() if pool is None else nn.MaxPool2d(pool.kernel, pool.stride, pool.padding)
        )
        self.layer1, self.layer2, self.layer3, self.layer4 = (
            nn.Sequential(*map(Residual, stage)) for stage in stages.values()
        )
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(stages["layer4"][-1].main[-1].channels_out, classes)

    def features(self, x: Tensor) -> Tensor:
        """Everything before the mean over the map."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        return self.layer4(self.layer3(self.layer2(self.layer1(x))))  # type: ignore[no-any-return]

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.avgpool(self.features(x)).flatten(1))  # type: ignore[no-any-return]


def stem_convolutions(stem: Stem) -> nn.Module:
    """One convolution, or several with batch-norm and ReLU between."""
    *before, last = stem.convs
    if not before:
        return convolution(last)
    made: list[nn.Module] = []
    for conv in before:
        made += [convolution(conv), nn.BatchNorm2d(conv.channels_out), nn.ReLU()]
    return nn.Sequential(*made, convolution(last))
