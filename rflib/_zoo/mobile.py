"""MobileNet v1, v2, v3 and EfficientNet: depthwise convolutions look, 1x1 convolutions mix."""

from __future__ import annotations

from functools import partial

from torch import nn

from rflib._zoo._parts import Make, Norm, Residual, SqueezeExcitation, classifier, conv_norm, named
from rflib._zoo._same import SamePad

# --- v1 -------------------------------------------------------------------------------------------

V1 = (  # channels and stride of the thirteen depthwise-separable layers
    (64, 1),
    (128, 2),
    (128, 1),
    (256, 2),
    (256, 1),
    (512, 2),
    *[(512, 1)] * 5,
    (1024, 2),
    (1024, 1),
)


def mobilenet_v1(classes: int = 1000) -> nn.Sequential:
    """MobileNet (Howard et al. 2017) as TensorFlow slim pads it; the field of the last map is 315.

    The padding of a layer of stride 2 is TensorFlow's "SAME": on an even map nothing before the
    first pixel, one after the last.
    """

    def unit(before: int, after: int, kernel: int, stride: int, groups: int = 1) -> nn.Sequential:
        norm = partial(nn.BatchNorm2d, eps=0.001)
        pad = SamePad(kernel, stride)
        made = conv_norm(
            before, after, kernel, stride, padding=0, groups=groups, act=nn.ReLU6, norm=norm
        )
        return made if kernel == 1 else nn.Sequential(pad, *made)

    made: dict[str, nn.Module] = {"Conv2d_0": unit(3, 32, 3, 2)}
    before = 32
    for index, (after, stride) in enumerate(V1, start=1):
        made[f"Conv2d_{index}_depthwise"] = unit(before, before, 3, stride, groups=before)
        made[f"Conv2d_{index}_pointwise"] = unit(before, after, 1, 1)
        before = after
    return classifier(named(**made), nn.Sequential(nn.Dropout(0.001), nn.Linear(before, classes)))


# --- inverted residuals: widen by a 1x1, look by a depthwise kernel, narrow by a 1x1 --------------


def _widen_look(
    before: int, inside: int, kernel: int, stride: int, act: Make, norm: Norm
) -> list[nn.Module]:
    widen = [conv_norm(before, inside, act=act, norm=norm)] if inside != before else []
    return [*widen, conv_norm(inside, inside, kernel, stride, groups=inside, act=act, norm=norm)]


V2 = (  # widening, channels, blocks, stride of the first of them
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)


def mobilenet_v2(classes: int = 1000) -> nn.Sequential:
    """Inverted residuals with ReLU6 (Sandler et al. 2018)."""
    made: list[nn.Module] = [conv_norm(3, 32, 3, 2, act=nn.ReLU6)]
    before = 32
    for widening, after, count, first in V2:
        for stride in (first, *[1] * (count - 1)):
            parts = _widen_look(
                before, widening * before, 3, stride, act=nn.ReLU6, norm=nn.BatchNorm2d
            )
            narrow = conv_norm(widening * before, after, act=None)
            skip = stride == 1 and before == after
            made.append(Residual(skip, conv=nn.Sequential(*parts, *narrow)))
            before = after
    made.append(conv_norm(before, 1280, act=nn.ReLU6))
    return classifier(
        nn.Sequential(*made), nn.Sequential(nn.Dropout(0.2), nn.Linear(1280, classes))
    )


V3_LARGE = (  # kernel, channels inside, channels, squeeze-and-excitation, hard-swish, stride
    (3, 16, 16, False, False, 1),
    (3, 64, 24, False, False, 2),
    (3, 72, 24, False, False, 1),
    (5, 72, 40, True, False, 2),
    (5, 120, 40, True, False, 1),
    (5, 120, 40, True, False, 1),
    (3, 240, 80, False, True, 2),
    (3, 200, 80, False, True, 1),
    (3, 184, 80, False, True, 1),
    (3, 184, 80, False, True, 1),
    (3, 480, 112, True, True, 1),
    (3, 672, 112, True, True, 1),
    (5, 672, 160, True, True, 2),
    (5, 960, 160, True, True, 1),
    (5, 960, 160, True, True, 1),
)


def _multiple_of_8(channels: float) -> int:
    """The nearest multiple of 8 that is not below nine tenths of `channels`."""
    near = max(8, int(channels + 4) // 8 * 8)
    return near + 8 if near < 0.9 * channels else near


def mobilenet_v3_large(classes: int = 1000) -> nn.Sequential:
    """Inverted residuals, some with squeeze-and-excitation (Howard et al. 2019)."""
    norm = partial(nn.BatchNorm2d, eps=0.001)
    made: list[nn.Module] = [conv_norm(3, 16, 3, 2, act=nn.Hardswish, norm=norm)]
    before = 16
    for kernel, inside, after, squeeze, swish, stride in V3_LARGE:
        act = nn.Hardswish if swish else nn.ReLU
        parts = _widen_look(before, inside, kernel, stride, act, norm)
        if squeeze:
            parts.append(SqueezeExcitation(inside, _multiple_of_8(inside / 4), gate=nn.Hardsigmoid))
        parts.append(conv_norm(inside, after, act=None, norm=norm))
        made.append(Residual(stride == 1 and before == after, block=nn.Sequential(*parts)))
        before = after
    made.append(conv_norm(before, 960, act=nn.Hardswish, norm=norm))
    head = nn.Sequential(
        nn.Linear(960, 1280), nn.Hardswish(), nn.Dropout(0.2), nn.Linear(1280, classes)
    )
    return classifier(nn.Sequential(*made), head)


B0 = (  # widening, kernel, stride of the first block, channels, blocks
    (1, 3, 1, 16, 1),
    (6, 3, 2, 24, 2),
    (6, 5, 2, 40, 2),
    (6, 3, 2, 80, 3),
    (6, 5, 1, 112, 3),
    (6, 5, 2, 192, 4),
    (6, 3, 1, 320, 1),
)


def efficientnet_b0(classes: int = 1000) -> nn.Sequential:
    """Squeeze-and-excitation in every block (Tan and Le 2019).

    Training drops no blocks at random, as the paper's does.
    """
    made: list[nn.Module] = [conv_norm(3, 32, 3, 2, act=nn.SiLU)]
    before = 32
    for widening, kernel, first, after, count in B0:
        stage: list[nn.Module] = []
        for stride in (first, *[1] * (count - 1)):
            inside = widening * before
            parts = _widen_look(before, inside, kernel, stride, nn.SiLU, nn.BatchNorm2d)
            parts.append(SqueezeExcitation(inside, before // 4, act=nn.SiLU))
            parts.append(conv_norm(inside, after, act=None))
            stage.append(Residual(stride == 1 and before == after, block=nn.Sequential(*parts)))
            before = after
        made.append(nn.Sequential(*stage))
    made.append(conv_norm(before, 1280, act=nn.SiLU))
    return classifier(
        nn.Sequential(*made), nn.Sequential(nn.Dropout(0.2), nn.Linear(1280, classes))
    )
