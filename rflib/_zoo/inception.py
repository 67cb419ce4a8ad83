"""GoogLeNet and Inception-v3, as the common implementation defines them, without auxiliary heads.

An inception module reads its input through several branches of different kernels, and stacks what
they find.  Its field is that of its widest branch.
"""

from __future__ import annotations

from functools import partial

from torch import nn

from rflib._zoo._parts import Concat, Kernel, conv, named

BatchNorm = partial(nn.BatchNorm2d, eps=0.001)


def unit(
    before: int, after: int, kernel: Kernel = 1, stride: int = 1, padding: Kernel | None = None
) -> nn.Sequential:
    """Convolution, batch-norm, ReLU."""
    return named(
        conv=conv(before, after, kernel, stride, padding=padding),
        bn=BatchNorm(after),
        relu=nn.ReLU(),
    )


def branch(before: int, *steps: tuple[int, Kernel] | tuple[int, Kernel, int]) -> nn.Sequential:
    """Units in a chain, each (channels, kernel) or, without padding, (channels, kernel, stride)."""
    made = []
    for after, kernel, *stride in steps:
        made.append(unit(before, after, kernel, *stride, *([0] if stride else [])))
        before = after
    return nn.Sequential(*made)


def head(channels: int, classes: int, dropout: float) -> dict[str, nn.Module]:
    """The mean over the map and one linear layer."""
    return {
        "avgpool": nn.AdaptiveAvgPool2d(1),
        "flatten": nn.Flatten(1),
        "dropout": nn.Dropout(dropout),
        "fc": nn.Linear(channels, classes),
    }


# --- GoogLeNet ------------------------------------------------------------------------------------

GOOGLENET = {  # channels of: 1x1 | 1x1, 3x3 | 1x1, 5x5 | 1x1 behind the pool
    "3a": (64, 96, 128, 16, 32, 32),
    "3b": (128, 128, 192, 32, 96, 64),
    "4a": (192, 96, 208, 16, 48, 64),
    "4b": (160, 112, 224, 24, 64, 64),
    "4c": (128, 128, 256, 24, 64, 64),
    "4d": (112, 144, 288, 32, 64, 64),
    "4e": (256, 160, 320, 32, 128, 128),
    "5a": (256, 160, 320, 32, 128, 128),
    "5b": (384, 192, 384, 48, 128, 128),
}


def googlenet(classes: int = 1000, widest: int = 3) -> nn.Sequential:
    """GoogLeNet with batch-norm; `widest` is the kernel of the third branch.

    The paper has 5 there.  The common implementation has 3, which published weights need.
    """
    if widest not in (3, 5):
        raise ValueError(f"widest is {widest!r}; allowed: 3, 5")
    made: dict[str, nn.Module] = {
        "conv1": unit(3, 64, 7, 2, 3),
        "maxpool1": nn.MaxPool2d(3, 2, ceil_mode=True),
        "conv2": unit(64, 64),
        "conv3": unit(64, 192, 3),
        "maxpool2": nn.MaxPool2d(3, 2, ceil_mode=True),
    }
    before = 192
    for name, (one, squeeze3, three, squeeze5, five, pooled) in GOOGLENET.items():
        made[f"inception{name}"] = Concat(
            branch1=unit(before, one),
            branch2=branch(before, (squeeze3, 1), (three, 3)),
            branch3=branch(before, (squeeze5, 1), (five, widest)),
            branch4=nn.Sequential(nn.MaxPool2d(3, 1, 1), unit(before, pooled)),
        )
        before = one + three + five + pooled
        if name == "3b":
            made["maxpool3"] = nn.MaxPool2d(3, 2, ceil_mode=True)
        if name == "4e":
            made["maxpool4"] = nn.MaxPool2d(2, 2, ceil_mode=True)
    return named(**made, **head(before, classes, dropout=0.2))


# --- Inception-v3 ---------------------------------------------------------------------------------


def _pooled(before: int, after: int) -> nn.Sequential:
    return nn.Sequential(nn.AvgPool2d(3, 1, 1), unit(before, after))


def _grid35(before: int, pooled: int) -> Concat:
    """1x1; 5x5; two 3x3; pool."""
    return Concat(
        branch1x1=unit(before, 64),
        branch5x5=branch(before, (48, 1), (64, 5)),
        branch3x3dbl=branch(before, (64, 1), (96, 3), (96, 3)),
        branch_pool=_pooled(before, pooled),
    )


def _grid17(c: int) -> Concat:
    """1x1; 7x7 as 1x7 and 7x1; the same twice; pool.  c: channels between them."""
    return Concat(
        branch1x1=unit(768, 192),
        branch7x7=branch(768, (c, 1), (c, (1, 7)), (192, (7, 1))),
        branch7x7dbl=branch(768, (c, 1), (c, (7, 1)), (c, (1, 7)), (c, (7, 1)), (192, (1, 7))),
        branch_pool=_pooled(768, 192),
    )


def _split(before: int) -> Concat:
    return Concat(a=unit(before, 384, (1, 3)), b=unit(before, 384, (3, 1)))


def _grid8(before: int) -> Concat:
    """1x1; 1x3 beside 3x1; 3x3, then 1x3 beside 3x1; pool."""
    return Concat(
        branch1x1=unit(before, 320),
        branch3x3=nn.Sequential(unit(before, 384), _split(384)),
        branch3x3dbl=nn.Sequential(*branch(before, (448, 1), (384, 3)), _split(384)),
        branch_pool=_pooled(before, 192),
    )


def inception_v3(classes: int = 1000) -> nn.Sequential:
    """Inception-v3 (Szegedy et al. 2016) without its auxiliary head; the field of Mixed_7c is 1311.

    The common implementation's parameters come in the same order, under other names.
    """
    return named(
        Conv2d_1a_3x3=unit(3, 32, 3, 2, 0),
        Conv2d_2a_3x3=unit(32, 32, 3, 1, 0),
        Conv2d_2b_3x3=unit(32, 64, 3),
        maxpool1=nn.MaxPool2d(3, 2),
        Conv2d_3b_1x1=unit(64, 80),
        Conv2d_4a_3x3=unit(80, 192, 3, 1, 0),
        maxpool2=nn.MaxPool2d(3, 2),
        Mixed_5b=_grid35(192, 32),
        Mixed_5c=_grid35(256, 64),
        Mixed_5d=_grid35(288, 64),
        Mixed_6a=Concat(
            branch3x3=unit(288, 384, 3, 2, 0),
            branch3x3dbl=branch(288, (64, 1), (96, 3), (96, 3, 2)),
            branch_pool=nn.MaxPool2d(3, 2),
        ),
        Mixed_6b=_grid17(128),
        Mixed_6c=_grid17(160),
        Mixed_6d=_grid17(160),
        Mixed_6e=_grid17(192),
        Mixed_7a=Concat(
            branch3x3=branch(768, (192, 1), (320, 3, 2)),
            branch7x7x3=branch(768, (192, 1), (192, (1, 7)), (192, (7, 1)), (192, 3, 2)),
            branch_pool=nn.MaxPool2d(3, 2),
        ),
        Mixed_7b=_grid8(1280),
        Mixed_7c=_grid8(2048),
        **head(2048, classes, dropout=0.5),
    )
