"""Inception-v2, Inception-v4 and Inception-ResNet-v2 as TensorFlow slim defines them.

Their published fields (699, 2071, 3039: Araujo et al. 2019) are those of slim's definitions.  Names
are slim's; batch-norm has a scale here, which slim leaves out.
"""

from __future__ import annotations

from torch import Tensor, nn

from rflib._zoo._parts import Concat, Kernel, conv, named
from rflib._zoo._same import SamePad
from rflib._zoo.inception import BatchNorm, branch, head, unit

Step = tuple[int, Kernel] | tuple[int, Kernel, int]


def mixed(*branches: nn.Module) -> Concat:
    """Branches side by side, named Branch_0, Branch_1, ..."""
    return Concat(**{f"Branch_{index}": made for index, made in enumerate(branches)})


def _mean_then(before: int, after: int) -> nn.Sequential:
    return nn.Sequential(nn.AvgPool2d(3, 1, 1, count_include_pad=False), unit(before, after))


# --- Inception-v2 ---------------------------------------------------------------------------------

V2 = {  # 1x1 | 1x1, 3x3 | 1x1, 3x3, 3x3 | 1x1 behind the pool; at stride 2 the first and last lack
    "Mixed_3b": (64, (64, 64), (64, 96), 32),
    "Mixed_3c": (64, (64, 96), (64, 96), 64),
    "Mixed_4a": (None, (128, 160), (64, 96), None),
    "Mixed_4b": (224, (64, 96), (96, 128), 128),
    "Mixed_4c": (192, (96, 128), (96, 128), 128),
    "Mixed_4d": (160, (128, 160), (128, 160), 96),
    "Mixed_4e": (96, (128, 192), (160, 192), 96),
    "Mixed_5a": (None, (128, 192), (192, 256), None),
    "Mixed_5b": (352, (192, 320), (160, 224), 128),
    "Mixed_5c": (352, (192, 320), (192, 224), 128),
}


def _halved(before: int, after: int) -> nn.Sequential:
    return nn.Sequential(SamePad(3, 2), unit(before, after, 3, 2, 0))


def _pool_halved() -> nn.Sequential:
    return nn.Sequential(SamePad(3, 2, value=float("-inf")), nn.MaxPool2d(3, 2))


def inception_v2(classes: int = 1000) -> nn.Sequential:
    """Inception with batch-norm (Ioffe and Szegedy 2015), two 3x3 in place of a 5x5.

    The field of Mixed_5c is 699.  At stride 2 the padding is TensorFlow's "SAME".
    """
    first = named(
        pad=SamePad(7, 2),
        depthwise=conv(3, 24, 7, 2, padding=0, groups=3),
        pointwise=conv(24, 64),
        bn=BatchNorm(64),
        relu=nn.ReLU(),
    )
    made: dict[str, nn.Module] = {
        "Conv2d_1a_7x7": first,
        "MaxPool_2a_3x3": _pool_halved(),
        "Conv2d_2b_1x1": unit(64, 64),
        "Conv2d_2c_3x3": unit(64, 192, 3),
        "MaxPool_3a_3x3": _pool_halved(),
    }
    before = 192
    for name, (one, (squeeze, single), (squeeze2, double), pooled) in V2.items():
        twice = branch(before, (squeeze2, 1), (double, 3))
        if one is None or pooled is None:
            made[name] = mixed(
                nn.Sequential(unit(before, squeeze), _halved(squeeze, single)),
                nn.Sequential(*twice, _halved(double, double)),
                _pool_halved(),
            )
            before += single + double
        else:
            last = nn.Sequential(nn.MaxPool2d(3, 1, 1), unit(before, pooled))
            made[name] = mixed(
                unit(before, one),
                branch(before, (squeeze, 1), (single, 3)),
                nn.Sequential(*twice, unit(double, double, 3)),
                last if name == "Mixed_5c" else _mean_then(before, pooled),
            )
            before = one + single + double + pooled
    return named(**made, **head(before, classes, dropout=0.2))


# --- Inception-v4 ---------------------------------------------------------------------------------


def _a() -> Concat:
    return mixed(
        unit(384, 96),
        branch(384, (64, 1), (96, 3)),
        branch(384, (64, 1), (96, 3), (96, 3)),
        _mean_then(384, 96),
    )


def _b() -> Concat:
    long: tuple[Step, ...] = ((192, (7, 1)), (224, (1, 7)), (224, (7, 1)), (256, (1, 7)))
    return mixed(
        unit(1024, 384),
        branch(1024, (192, 1), (224, (1, 7)), (256, (7, 1))),
        branch(1024, (192, 1), *long),
        _mean_then(1024, 128),
    )


def _c() -> Concat:
    def split(before: int) -> Concat:
        return Concat(a=unit(before, 256, (1, 3)), b=unit(before, 256, (3, 1)))

    return mixed(
        unit(1536, 256),
        nn.Sequential(unit(1536, 384), split(384)),
        nn.Sequential(*branch(1536, (384, 1), (448, (3, 1)), (512, (1, 3))), split(512)),
        _mean_then(1536, 256),
    )


def inception_v4(classes: int = 1000) -> nn.Sequential:
    """Inception-v4 (Szegedy et al. 2017) without its auxiliary head; Mixed_7d sees 2071 pixels."""
    return named(
        Conv2d_1a_3x3=unit(3, 32, 3, 2, 0),
        Conv2d_2a_3x3=unit(32, 32, 3, 1, 0),
        Conv2d_2b_3x3=unit(32, 64, 3),
        Mixed_3a=mixed(nn.MaxPool2d(3, 2), unit(64, 96, 3, 2, 0)),
        Mixed_4a=mixed(
            branch(160, (64, 1), (96, 3, 1)),
            branch(160, (64, 1), (64, (1, 7)), (64, (7, 1)), (96, 3, 1)),
        ),
        Mixed_5a=mixed(unit(192, 192, 3, 2, 0), nn.MaxPool2d(3, 2)),
        **{f"Mixed_5{letter}": _a() for letter in "bcde"},
        Mixed_6a=mixed(
            unit(384, 384, 3, 2, 0),
            branch(384, (192, 1), (224, 3), (256, 3, 2)),
            nn.MaxPool2d(3, 2),
        ),
        **{f"Mixed_6{letter}": _b() for letter in "bcdefgh"},
        Mixed_7a=mixed(
            branch(1024, (192, 1), (192, 3, 2)),
            branch(1024, (256, 1), (256, (1, 7)), (320, (7, 1)), (320, 3, 2)),
            nn.MaxPool2d(3, 2),
        ),
        **{f"Mixed_7{letter}": _c() for letter in "bcd"},
        **head(1536, classes, dropout=0.2),
    )


# --- Inception-ResNet-v2 --------------------------------------------------------------------------


class ResidualInception(nn.Module):
    """x + scale * (a linear 1x1 on the branches), then ReLU unless it is the last block."""

    def __init__(
        self, channels: int, scale: float, *branches: tuple[Step, ...], relu: bool = True
    ) -> None:
        super().__init__()
        self.scale = scale
        self.branches = mixed(*(branch(channels, *steps) for steps in branches))
        self.up = nn.Conv2d(sum(steps[-1][0] for steps in branches), channels, 1)
        self.relu = nn.ReLU() if relu else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.relu(x + self.scale * self.up(self.branches(x)))
        return out


def _block35() -> ResidualInception:
    return ResidualInception(320, 0.17, ((32, 1),), ((32, 1), (32, 3)), ((32, 1), (48, 3), (64, 3)))


def _block17() -> ResidualInception:
    return ResidualInception(1088, 0.1, ((192, 1),), ((128, 1), (160, (1, 7)), (192, (7, 1))))


def _block8(last: bool) -> ResidualInception:
    steps: tuple[Step, ...] = ((192, 1), (224, (1, 3)), (256, (3, 1)))
    return ResidualInception(2080, 1.0 if last else 0.2, ((192, 1),), steps, relu=not last)


def inception_resnet_v2(classes: int = 1000) -> nn.Sequential:
    """Inception-ResNet-v2 (Szegedy et al. 2017) without its auxiliary head.

    The field of Conv2d_7b_1x1 is 3039: forty residual blocks, each of them widens it.
    """
    return named(
        Conv2d_1a_3x3=unit(3, 32, 3, 2, 0),
        Conv2d_2a_3x3=unit(32, 32, 3, 1, 0),
        Conv2d_2b_3x3=unit(32, 64, 3),
        MaxPool_3a_3x3=nn.MaxPool2d(3, 2),
        Conv2d_3b_1x1=unit(64, 80),
        Conv2d_4a_3x3=unit(80, 192, 3, 1, 0),
        MaxPool_5a_3x3=nn.MaxPool2d(3, 2),
        Mixed_5b=mixed(
            unit(192, 96),
            branch(192, (48, 1), (64, 5)),
            branch(192, (64, 1), (96, 3), (96, 3)),
            _mean_then(192, 64),
        ),
        Block35=nn.Sequential(*(_block35() for _ in range(10))),
        Mixed_6a=mixed(
            unit(320, 384, 3, 2, 0),
            branch(320, (256, 1), (256, 3), (384, 3, 2)),
            nn.MaxPool2d(3, 2),
        ),
        Block17=nn.Sequential(*(_block17() for _ in range(20))),
        Mixed_7a=mixed(
            branch(1088, (256, 1), (384, 3, 2)),
            branch(1088, (256, 1), (288, 3, 2)),
            branch(1088, (256, 1), (288, 3), (320, 3, 2)),
            nn.MaxPool2d(3, 2),
        ),
        Block8=nn.Sequential(*(_block8(last=index == 9) for index in range(10))),
        Conv2d_7b_1x1=unit(2080, 1536),
        **head(1536, classes, dropout=0.2),
    )
