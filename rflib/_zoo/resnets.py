"""ResNeXt and Wide ResNet: the blocks of a plain ResNet with other widths and groups."""

from __future__ import annotations

from dataclasses import replace

from torch import nn

from rflib import networks
from rflib._torchnets import ResNet
from rflib.networks import STEMS, Block


def resnet(depth: int, classes: int = 1000) -> nn.Module:
    """A plain ResNet (He et al. 2016); `networks.resnet` has more to choose from."""
    return networks.resnet(depth, classes=classes)


def widened(block: Block, factor: int, groups: int = 1) -> Block:
    """A bottleneck with `factor` times the channels inside, its 3x3 in groups."""
    reduce, look, expand = block.main
    inside = factor * reduce.channels_out
    main = (
        replace(reduce, channels_out=inside),
        replace(look, channels_in=inside, channels_out=inside, groups=groups),
        replace(expand, channels_in=inside),
    )
    return Block(main, block.shortcut)


def _resnet50_of(factor: int, groups: int, classes: int) -> ResNet:
    stages = {
        name: [widened(block, factor, groups) for block in stage]
        for name, stage in networks.blocks(50).items()
    }
    return ResNet(STEMS["resnet"], stages, classes)


def resnext50_32x4d(classes: int = 1000) -> ResNet:
    """32 groups of 4 channels in the first 3x3, twice that in each stage (Xie et al. 2017)."""
    return _resnet50_of(2, 32, classes)


def wide_resnet50_2(classes: int = 1000) -> ResNet:
    """Twice the channels in every 3x3 (Zagoruyko and Komodakis 2016)."""
    return _resnet50_of(2, 1, classes)
