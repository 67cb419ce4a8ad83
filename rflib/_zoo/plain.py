"""AlexNet, VGG, SqueezeNet: one stack of convolutions and pools."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from rflib._zoo._parts import classifier, named


def alexnet(classes: int = 1000) -> nn.Sequential:
    """The version with one tower (Krizhevsky 2014); the field of the last pool is 195."""
    features = nn.Sequential(
        nn.Conv2d(3, 64, 11, stride=4, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(3, 2),
        nn.Conv2d(64, 192, 5, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(3, 2),
        nn.Conv2d(192, 384, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(384, 256, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(256, 256, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(3, 2),
    )
    head = nn.Sequential(
        nn.Dropout(),
        nn.Linear(256 * 6**2, 4096),
        nn.ReLU(),
        nn.Dropout(),
        nn.Linear(4096, 4096),
        nn.ReLU(),
        nn.Linear(4096, classes),
    )
    return classifier(features, head, side=6)


VGG = {  # convolutions before each of the five pools, by depth
    11: (1, 1, 2, 2, 2),
    13: (2, 2, 2, 2, 2),
    16: (2, 2, 3, 3, 3),
    19: (2, 2, 4, 4, 4),
}


def vgg(depth: int, classes: int = 1000) -> nn.Sequential:
    """Nothing but 3x3 and pools of 2; the field of VGG-16's last pool is 212."""
    made: list[nn.Module] = []
    before = 3
    for count, after in zip(VGG[depth], (64, 128, 256, 512, 512), strict=True):
        for _ in range(count):
            made += [nn.Conv2d(before, after, 3, padding=1), nn.ReLU()]
            before = after
        made.append(nn.MaxPool2d(2))
    head = nn.Sequential(  # most of the parameters are here
        nn.Linear(512 * 7**2, 4096),
        nn.ReLU(),
        nn.Dropout(),
        nn.Linear(4096, 4096),
        nn.ReLU(),
        nn.Dropout(),
        nn.Linear(4096, classes),
    )
    return classifier(nn.Sequential(*made), head, side=7)


class Fire(nn.Module):
    """A 1x1 that squeezes the channels, then a 1x1 and a 3x3 side by side that widen them."""

    def __init__(self, before: int, squeezed: int, after: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(before, squeezed, 1)
        self.expand1x1 = nn.Conv2d(squeezed, after // 2, 1)
        self.expand3x3 = nn.Conv2d(squeezed, after // 2, 3, padding=1)
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(self.squeeze(x))
        out: Tensor = self.relu(torch.cat([self.expand1x1(x), self.expand3x3(x)], dim=1))
        return out


def squeezenet1_1(classes: int = 1000) -> nn.Sequential:
    """SqueezeNet 1.1 (Iandola et al. 2016)."""

    def pool() -> nn.MaxPool2d:
        return nn.MaxPool2d(3, 2, ceil_mode=True)

    features = nn.Sequential(
        nn.Conv2d(3, 64, 3, stride=2),
        nn.ReLU(),
        pool(),
        Fire(64, 16, 128),
        Fire(128, 16, 128),
        pool(),
        Fire(128, 32, 256),
        Fire(256, 32, 256),
        pool(),
        Fire(256, 48, 384),
        Fire(384, 48, 384),
        Fire(384, 64, 512),
        Fire(512, 64, 512),
    )
    head = nn.Sequential(
        nn.Dropout(), nn.Conv2d(512, classes, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(1)
    )
    return named(features=features, classifier=head)
