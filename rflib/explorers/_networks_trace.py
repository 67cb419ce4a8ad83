"""The table behind the figure of the networks, made by tracing them.

    python -m rflib.explorers._networks_trace

traces each network on an image of the photograph's size and rewrites `networks.json`: a few numbers
per stage, from which the fields of all its units follow. That they do is checked here, unit by
unit, before anything is written.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from rflib import networks
from rflib.explorers.stages import IMAGE, STAGES
from rflib.regions import Region
from rflib.trace import Field, trace

FILE = Path(__file__).with_name("networks.json")


@dataclass(frozen=True)
class Shown:
    """A network of the figure: what to build, and the submodules that it shows, by their labels.

    through : what lets the units of some of them depend on the whole image, in words.
    """

    title: str
    code: str
    build: Callable[[], nn.Module]
    stages: Mapping[str, str]
    through: str = ""


def _named(title: str, name: str, stages: Mapping[str, str], through: str = "") -> Shown:
    code = f'rflib.networks.build("{name}")'
    return Shown(title, code, lambda: networks.build(name), stages, through)


_RESNET = dict(zip(STAGES, ("maxpool", *STAGES[1:]), strict=True))

NETWORKS: Mapping[str, Shown] = {
    "alexnet": _named(
        "AlexNet",
        "alexnet",
        {
            "conv 1": "features.0",
            "pool 1": "features.2",
            "conv 2": "features.3",
            "pool 2": "features.5",
            "conv 5": "features.10",
            "pool 5": "features.12",
        },
    ),
    "vgg16": _named(
        "VGG-16",
        "vgg16",
        {f"pool {n}": f"features.{at}" for n, at in enumerate((4, 9, 16, 23, 30), start=1)},
    ),
    "inception_v3": _named(
        "Inception-v3",
        "inception_v3",
        {
            "stem": "maxpool2",
            **{f"mixed {n}": f"Mixed_{n}" for n in ("5d", "6a", "6c", "6e", "7a", "7c")},
        },
    ),
    "resnet18": _named("ResNet-18", "resnet18", _RESNET),
    "resnet50": _named("ResNet-50", "resnet50", _RESNET),
    "resnet50_1x1": Shown(
        "ResNet-50, stride on the 1×1",
        'rflib.networks.resnet(50, stride_on="1x1")',
        lambda: networks.resnet(50, stride_on="1x1"),
        _RESNET,
    ),
    "resnet152": _named("ResNet-152", "resnet152", _RESNET),
    "mobilenet_v1": _named(
        "MobileNet",
        "mobilenet_v1",
        {f"block {n}": f"features.Conv2d_{n}_pointwise" for n in (1, 3, 5, 7, 9, 11, 13)},
    ),
    "efficientnet_b0": _named(
        "EfficientNet-B0",
        "efficientnet_b0",
        {"stem": "features.0", **{f"blocks {n}": f"features.{n}" for n in range(1, 8)}},
        through="squeeze-and-excitation gates",
    ),
    "convnext_tiny": _named(
        "ConvNeXt-T",
        "convnext_tiny",
        {"patches": "features.0", **{f"blocks {n}": f"features.{2 * n - 1}" for n in range(1, 5)}},
    ),
    "deeplabv3_resnet50": _named(
        "DeepLabv3, dilated ResNet-50",
        "deeplabv3_resnet50",
        {
            **{label: f"backbone.{path}" for label, path in _RESNET.items()},
            "pyramid": "classifier.0",
        },
        through="the pyramid's branch that pools the whole map",
    ),
    "vit_b_16": _named(
        "ViT-B/16",
        "vit_b_16",
        {
            "patches": "conv_proj",
            "block 1": "encoder.layers.encoder_layer_0",
            "block 12": "encoder.layers.encoder_layer_11",
        },
        through="attention",
    ),
}


def table() -> dict[str, dict[str, object]]:
    """What `networks.json` holds: per network its title, code, gate and stages.

    A stage: label, path, size, jump, first pixel of unit 0, units along an axis, the last pixel
    that any unit reads, and whether the strict field is the whole image (1) or not (0).
    """
    return {name: _entry(shown) for name, shown in NETWORKS.items()}


def _entry(shown: Shown) -> dict[str, object]:
    with torch.device("meta"):
        model = shown.build()
    traced = trace(model, (1, 3, IMAGE, IMAGE))
    stages = [[label, path, *_stage(traced[path])] for label, path in shown.stages.items()]
    return {
        "title": shown.title,
        "code": f"rflib.trace({shown.code}, (1, 3, {IMAGE}, {IMAGE}))",
        "through": shown.through,
        "stages": stages,
    }


def _stage(field: Field) -> tuple[int, int, int, int, int, int]:
    regions = list(_regions(field))
    units = len(regions)
    # Next to the border a unit's ends are cut, so what repeats is read off a field without a cut.
    size, jump, first = _measures(field, regions)
    end = max(region.last for region in regions)
    for unit, region in enumerate(regions):
        start = first + unit * jump
        wanted = (max(0, start), min(end, start + size - 1))
        assert (region.first, region.last) == wanted, (field, unit, region, wanted)
    whole = bool(field.global_)
    assert not whole or field.region([0] * len(field.units))[0] == (0, IMAGE - 1)
    return size, jump, first, units, end, int(whole)


def _measures(field: Field, regions: list[Region]) -> tuple[int, int, int]:
    if len(field.units) == 1:  # tokens of attention: their own patches, whole
        return regions[0].size, regions[1].first - regions[0].first, regions[0].first
    inner = field.local
    size, jump, start = inner.size[0], inner.jump[0], inner.start[0]
    assert not inner.clipped[0]
    assert jump is not None
    assert start is not None
    first = start - (size - 1) / 2
    assert jump == int(jump)
    assert first == int(first)
    return size, int(jump), int(first)


def _regions(field: Field) -> Iterator[Region]:
    """The local region of each unit along the rows, other axes in the middle; both are alike."""
    inner = field.local
    if len(field.units) == 1:  # a class token, then the patches row by row
        side = int((field.units[0] - 1) ** 0.5)
        yield from (inner.region(1 + side * row)[0] for row in range(side))
        return
    assert field.units[0] == field.units[1]
    for unit in range(field.units[0]):
        rows, columns = inner.region((unit, unit))
        assert rows == columns
        yield rows


def text() -> str:
    """The table as it is stored, one stage a line."""
    lines = json.dumps(table(), ensure_ascii=False)
    return (
        lines.replace('{"title', '\n {"title').replace('[["', '[\n  ["').replace(', ["', ',\n  ["')
        + "\n"
    )


def main() -> None:
    """Traces everything and writes the file."""
    FILE.write_text(text(), encoding="utf-8")
    print(f"{FILE.name}: {FILE.stat().st_size:,} bytes", file=sys.stderr)


if __name__ == "__main__":
    main()
