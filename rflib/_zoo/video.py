"""R3D-18: a ResNet-18 whose every kernel also looks along time."""

from __future__ import annotations

from torch import Tensor, nn

from rflib._zoo._parts import named


def _conv3d(before: int, after: int, kernel: int, stride: int) -> nn.Conv3d:
    return nn.Conv3d(before, after, kernel, stride, (kernel - 1) // 2, bias=False)


class Residual3d(nn.Module):
    """Two 3x3x3 around a shortcut."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        first, second = _conv3d(before, after, 3, stride), _conv3d(after, after, 3, 1)
        self.conv1 = nn.Sequential(first, nn.BatchNorm3d(after), nn.ReLU())
        self.conv2 = nn.Sequential(second, nn.BatchNorm3d(after))
        self.relu = nn.ReLU()
        self.downsample = (
            nn.Sequential(_conv3d(before, after, 1, stride), nn.BatchNorm3d(after))
            if before != after
            else None
        )

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        out: Tensor = self.relu(self.conv2(self.conv1(x)) + shortcut)
        return out


def r3d_18(classes: int = 400) -> nn.Sequential:
    """R3D-18 (Tran et al. 2018) on clips (batch, 3, frames, rows, columns)."""
    stages: dict[str, nn.Module] = {}
    before = 64
    for index, after in enumerate((64, 128, 256, 512), start=1):
        stride = 1 if index == 1 else 2
        stages[f"layer{index}"] = nn.Sequential(
            Residual3d(before, after, stride), Residual3d(after, after, 1)
        )
        before = after
    stem = nn.Sequential(
        nn.Conv3d(3, 64, (3, 7, 7), (1, 2, 2), (1, 3, 3), bias=False),
        nn.BatchNorm3d(64),
        nn.ReLU(),
    )
    return named(
        stem=stem,
        **stages,
        avgpool=nn.AdaptiveAvgPool3d(1),
        flatten=nn.Flatten(1),
        fc=nn.Linear(before, classes),
    )
