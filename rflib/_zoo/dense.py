"""Networks that answer for every pixel or patch: U-Net, PatchGAN, ESPCN, FCN, DeepLab."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rflib._torchnets import ResNet
from rflib._zoo._parts import conv_norm, named
from rflib.layers import switch, whole
from rflib.networks import STEMS, Block, blocks

# --- U-Net ----------------------------------------------------------------------------------------


def _two_convs(before: int, after: int, padding: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(before, after, 3, padding=padding),
        nn.ReLU(),
        nn.Conv2d(after, after, 3, padding=padding),
        nn.ReLU(),
    )


def _upsampled(before: int, after: int, how: str) -> nn.Module:
    if how == "transposed":
        return nn.ConvTranspose2d(before, after, 2, stride=2)
    return nn.Sequential(nn.Upsample(scale_factor=2, mode=how), nn.Conv2d(before, after, 1))


class UNet(nn.Module):
    """Down by pools of 2, up again, and at each level what the way down saw there."""

    def __init__(
        self, channels: int, classes: int, width: int, levels: int, padded: bool, up: str
    ) -> None:
        super().__init__()
        widths = [width * 2**level for level in range(levels + 1)]
        padding = 1 if padded else 0
        self.pool = nn.MaxPool2d(2)
        self.levels = levels
        for level, after in enumerate(widths, start=1):
            self.add_module(f"down{level}", _two_convs(channels, after, padding))
            channels = after
        for level in range(levels, 0, -1):
            after = widths[level - 1]
            self.add_module(f"upsample{level}", _upsampled(2 * after, after, up))
            self.add_module(f"up{level}", _two_convs(2 * after, after, padding))
        self.head = nn.Conv2d(width, classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        seen: list[Tensor] = []
        for level in range(1, self.levels + 1):
            seen.append(self.get_submodule(f"down{level}")(x))
            if any(side % 2 for side in seen[-1].shape[2:]):
                raise ValueError(
                    f"x is of a size that makes a map of {tuple(seen[-1].shape[2:])} before pool "
                    f"{level}; allowed: sizes for which all of these are even"
                )
            x = self.pool(seen[-1])
        x = self.get_submodule(f"down{self.levels + 1}")(x)
        for level in range(self.levels, 0, -1):
            x = self.get_submodule(f"upsample{level}")(x)
            x = torch.cat([_cropped(seen.pop(), x), x], dim=1)
            x = self.get_submodule(f"up{level}")(x)
        out: Tensor = self.head(x)
        return out


def _cropped(wide: Tensor, like: Tensor) -> Tensor:
    """The middle of a map, as large as another map."""
    rows, columns = like.shape[2:]
    top, left = (wide.shape[2] - rows) // 2, (wide.shape[3] - columns) // 2
    return wide[:, :, top : top + rows, left : left + columns]


UP = ("transposed", "bilinear", "nearest")


def unet(
    classes: int = 2,
    channels: int = 1,
    width: int = 64,
    levels: int = 4,
    padded: bool = True,
    up: str = "transposed",
) -> UNet:
    """U-Net (Ronneberger et al. 2015): two 3x3 at every level, a pool of 2 between two of them.

    padded: as most use it today; False gives the paper's, which makes 388 pixels of 572.  up: the
    paper's 2x2 transposed convolution at stride 2, or an interpolation with a 1x1 behind it.
    """
    for name, value in (("channels", channels), ("width", width), ("levels", levels)):
        whole(name, value, 1)
    switch("padded", padded)
    if up not in UP:
        raise ValueError(f"up is {up!r}; allowed: {', '.join(map(repr, UP))}")
    return UNet(channels, classes, width, levels, padded, up)


# --- PatchGAN, ESPCN ------------------------------------------------------------------------------


def patchgan(strided: int = 3, channels: int = 6, width: int = 64) -> nn.Sequential:
    """The discriminator of pix2pix (Isola et al. 2017): every output judges one patch.

    4x4 throughout: `strided` of them at stride 2, then two at stride 1.  1, 2, 3, 5 strided ones
    see patches of 16, 34, 70, 286 pixels.  6 channels: the image and what it was made from.
    """
    for name, value in (("strided", strided), ("channels", channels), ("width", width)):
        whole(name, value, 1)
    made: dict[str, nn.Module] = {
        "conv1": nn.Sequential(nn.Conv2d(channels, width, 4, 2, 1), nn.LeakyReLU(0.2))
    }
    before = width
    for index in range(2, strided + 2):
        after = width * min(2 ** (index - 1), 8)
        made[f"conv{index}"] = conv_norm(
            before,
            after,
            4,
            2 if index <= strided else 1,
            padding=1,
            act=lambda: nn.LeakyReLU(0.2),
        )
        before = after
    made[f"conv{strided + 2}"] = nn.Conv2d(before, 1, 4, 1, 1)
    return named(**made)


def espcn(scale: int = 3, channels: int = 1) -> nn.Sequential:
    """Super-resolution (Shi et al. 2016): all at low resolution, channels to pixels at the end."""
    whole("scale", scale, 1)
    whole("channels", channels, 1)
    return named(
        conv1=nn.Conv2d(channels, 64, 5, padding=2),
        tanh1=nn.Tanh(),
        conv2=nn.Conv2d(64, 32, 3, padding=1),
        tanh2=nn.Tanh(),
        conv3=nn.Conv2d(32, channels * scale**2, 3, padding=1),
        shuffle=nn.PixelShuffle(scale),
    )


# --- dilated ResNet-50 with a head ----------------------------------------------------------------


def dilated(stage: Sequence[Block], first: int, rest: int) -> tuple[Block, ...]:
    """A stage of bottlenecks whose stride is replaced by dilation, so that the map keeps its size.

    first, rest: dilation of the 3x3 in its first block and in all others.
    """

    def block(old: Block, dilation: int) -> Block:
        main = tuple(
            replace(conv, stride=1)
            if conv.kernel == 1
            else replace(conv, stride=1, padding=dilation, dilation=dilation)
            for conv in old.main
        )
        return Block(main, None if old.shortcut is None else replace(old.shortcut, stride=1))

    return tuple(block(old, rest if index else first) for index, old in enumerate(stage))


class Backbone(ResNet):
    """ResNet-50 at an output stride of 8, without mean and linear layer."""

    def __init__(self) -> None:
        stages = blocks(50)
        stages["layer3"] = dilated(stages["layer3"], 1, 2)
        stages["layer4"] = dilated(stages["layer4"], 2, 4)
        super().__init__(STEMS["resnet"], stages, classes=1)
        del self.avgpool, self.fc

    def forward(self, x: Tensor) -> Tensor:
        return self.features(x)


class Segmenter(nn.Module):
    """Backbone, head, and bilinear interpolation back to the size of the input."""

    def __init__(self, head: nn.Module) -> None:
        super().__init__()
        self.backbone = Backbone()
        self.classifier = head

    def forward(self, x: Tensor) -> Tensor:
        out = self.classifier(self.backbone(x))
        return F.interpolate(out, size=x.shape[2:], mode="bilinear", align_corners=False)


def fcn_resnet50(classes: int = 21) -> Segmenter:
    """A dilated ResNet-50 and one 3x3 (Long et al. 2015; without an auxiliary head)."""
    return Segmenter(
        nn.Sequential(*conv_norm(2048, 512, 3), nn.Dropout(0.1), nn.Conv2d(512, classes, 1))
    )


class ImagePool(nn.Sequential):
    """The mean over the map, a 1x1, and that value everywhere: this makes the field global."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__(nn.AdaptiveAvgPool2d(1), *conv_norm(before, after))

    def forward(self, x: Tensor) -> Tensor:
        mean: Tensor = super().forward(x)  # type: ignore[no-untyped-call]
        return F.interpolate(mean, size=x.shape[2:], mode="bilinear")


class SpatialPyramid(nn.Module):
    """Atrous spatial pyramid pooling: 1x1, dilated 3x3, and the image's mean, side by side."""

    def __init__(self, before: int, rates: Sequence[int], after: int = 256) -> None:
        super().__init__()
        self.convs = nn.ModuleList(
            [
                conv_norm(before, after),
                *(conv_norm(before, after, 3, dilation=rate) for rate in rates),
                ImagePool(before, after),
            ]
        )
        self.project = nn.Sequential(*conv_norm(after * len(self.convs), after), nn.Dropout(0.5))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.project(torch.cat([branch(x) for branch in self.convs], dim=1))
        return out


def deeplabv3_resnet50(classes: int = 21) -> Segmenter:
    """A dilated ResNet-50 and a pyramid of dilated 3x3 (Chen et al. 2017; no auxiliary head)."""
    return Segmenter(
        nn.Sequential(
            SpatialPyramid(2048, (12, 24, 36)), *conv_norm(256, 256, 3), nn.Conv2d(256, classes, 1)
        )
    )
