"""DenseNet: every layer hands on what it was given, and adds a few channels of its own."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from rflib._zoo._parts import classifier, named

BLOCKS = {121: (6, 12, 24, 16)}  # layers in each of the four blocks
GROWTH = 32  # channels that one layer adds
SQUEEZED = 4 * GROWTH  # channels between its 1x1 and its 3x3


class DenseLayer(nn.Sequential):
    """Norm, ReLU, 1x1, norm, ReLU, 3x3; the new channels stand behind the old ones."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(channels)
        self.relu1 = nn.ReLU()
        self.conv1 = nn.Conv2d(channels, SQUEEZED, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(SQUEEZED)
        self.relu2 = nn.ReLU()
        self.conv2 = nn.Conv2d(SQUEEZED, GROWTH, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        new: Tensor = super().forward(x)  # type: ignore[no-untyped-call]
        return torch.cat([x, new], dim=1)


def densenet(depth: int, classes: int = 1000) -> nn.Sequential:
    """Four dense blocks; between two of them a 1x1 halves the channels and a pool the map."""
    channels = 64
    made: dict[str, nn.Module] = {
        "conv0": nn.Conv2d(3, channels, 7, stride=2, padding=3, bias=False),
        "norm0": nn.BatchNorm2d(channels),
        "relu0": nn.ReLU(),
        "pool0": nn.MaxPool2d(3, 2, 1),
    }
    for index, count in enumerate(BLOCKS[depth], start=1):
        layers: dict[str, nn.Module] = {}
        for position in range(1, count + 1):
            layers[f"denselayer{position}"] = DenseLayer(channels)
            channels += GROWTH
        made[f"denseblock{index}"] = named(**layers)
        if index < len(BLOCKS[depth]):
            made[f"transition{index}"] = named(
                norm=nn.BatchNorm2d(channels),
                relu=nn.ReLU(),
                conv=nn.Conv2d(channels, channels // 2, 1, bias=False),
                pool=nn.AvgPool2d(2),
            )
            channels //= 2
    made |= {"norm5": nn.BatchNorm2d(channels), "relu5": nn.ReLU()}
    return classifier(named(**made), nn.Linear(channels, classes))
