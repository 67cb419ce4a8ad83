"""The stem bench: what the first layers of a ResNet do to the field and to the bill.

Any stem under ResNet-18 or -50, its first kernel and stride free: field and jump at the end of each
stage, what each stage costs on a 224-pixel image, and the field of the unit in the middle of the
chosen stage's map, on the photograph. All of it is `rflib.networks` and `rflib.region`.
"""

from functools import cache
from typing import Any

from rflib import networks
from rflib.explorers.base import Choice, Control, Figure, Slider, State, Switch, build, pixels
from rflib.explorers.stages import IMAGE, STAGES, field_and_inside, length, part, tenths
from rflib.figures import photograph_data

STEMS = {  # under the names of rflib.networks, which the drawing uses as well
    "resnet": "7×7/2 to 64 channels, pool",
    "deep": "3×3/2, 3×3, 3×3 to 32, 32, 64 channels, pool",
    "three-first": "3×3/2, 3×3, 3×3 to 64 channels each, pool",
    "three-last": "3×3, 3×3, 3×3/2 to 64 channels each, pool",
    "three": "3×3, 3×3, 3×3 to 64 channels each",
    "three-narrow": "3×3, 3×3, 3×3 to 32, 32, 64 channels",
    "patchify": "4×4/4 to 64 channels",
    "cifar": "3×3 to 64 channels",
    "mobile": "3×3/2 to 32 channels",
}
CONTROLS: tuple[Control, ...] = (
    Choice(
        "stem",
        tuple((f"{name}: {layers}", name) for name, layers in STEMS.items()),
        "resnet",
        label="start from",
        menu=True,
    ),
    Choice("body", (("ResNet-18", 18), ("ResNet-50", 50)), 18),
    Slider("kernel", 1, 11, 7, label="first kernel"),
    Slider("stride", 1, 8, 2, label="first stride"),
    Switch("pool", True, label="max-pool 3×3/2 after the stem"),
    Choice("stage", tuple((name, index) for index, name in enumerate(STAGES)), 4),
)


def state(stem: str, body: int, kernel: int, stride: int, stage: int, pool: bool) -> State:
    """What the figure shows; stage: 0 is the stem, 4 is layer4.

    Lengths in input pixels. stages: field, jump, map and what this stage alone costs. unit: index,
    along either axis, of the unit in the middle of the map; field: first and last pixel that it
    reads; inside: the part of them in the image. share: of the image's pixels, those inside; ratio:
    the whole field's area to the image's.
    """
    made = networks.stem(stem, kernel, stride, pool)
    found = _stages(made, body)
    unit, field, inside = _middle(made, body, stage)
    own = networks.STEMS[stem]
    numbers = {
        "stem": stem,
        "own": {
            "kernel": own.convs[0].kernel,
            "stride": own.convs[0].stride,
            "pool": own.pool is not None,
        },
        "changed": made != own,
        "first": f"{kernel}×{kernel}" + (f"/{stride}" if stride > 1 else ""),
        "body": body,
        "stage": stage,
        "stages": found,
        "others": [
            {"stem": name, "sizes": [each["size"] for each in _stages(other, body)]}
            for name, other in networks.STEMS.items()
            if other != made
        ],
        "unit": unit,
        "field": field,
        "inside": inside,
        "share": tenths(100 * length(inside) ** 2, IMAGE**2),
        "ratio": tenths(100 * length(field) ** 2, IMAGE**2),
    }
    return {"sentence": _sentence(numbers, kernel, stride), **numbers}


@cache
def _stages(made: networks.Stem, body: int) -> list[dict[str, Any]]:
    return [
        {
            "size": each.size,
            "jump": each.jump,
            "map": each.output,
            "weights": each.weights,
            "products": each.multiply_adds,
            "values": each.activations,
        }
        for each in networks.stages(body, made, image=IMAGE)
    ]


@cache
def _middle(made: networks.Stem, body: int, stage: int) -> tuple[int, list[int], list[int]]:
    """The unit in the middle of a stage's map, its field, and the part of it in the image."""
    path = networks.resnet_path(body, made)
    layers = [layer for name in STAGES[: stage + 1] for layer in path[name]]
    unit = _stages(made, body)[stage]["map"] // 2
    return unit, *field_and_inside(layers, unit)


def _sentence(now: dict[str, Any], kernel: int, stride: int) -> str:
    at = now["stages"][now["stage"]]
    whose = STAGES[now["stage"]] if now["stage"] else "the stem"
    said = [
        f"The field of a unit of {whose} is {pixels(at['size'])} a side; "
        f"the next unit's field lies {pixels(at['jump'])} further on."
    ]
    inside = now["inside"] == now["field"]
    spans = "It spans" if inside else "It reaches beyond the border and spans"
    gaps = ", gaps included" if at["size"] > kernel < stride else ""
    said.append(f"{spans} {part(now['share'])}{gaps}.")
    spent = [each["products"] for each in now["stages"]]
    upto = sum(spent[: now["stage"] + 1])
    stem = f"The stem takes {tenths(spent[0], 10**6)} million multiply-adds"
    rest = f" of {tenths(upto, 10**6)} million up to here" if now["stage"] else ""
    said.append(f"{stem}{rest}.")
    if stride > kernel:
        skipped = stride - kernel
        said.append(
            f"With stride {stride} and kernel {kernel}, {skipped} of every {stride} "
            f"rows and columns {'is' if skipped == 1 else 'are'} read by no unit."
        )
    if at["map"] <= 3:
        said.append(f"The map has shrunk to {at['map']}×{at['map']} units.")
    return " ".join(said)


def stembench(**initial: Any) -> Figure:
    """The stem bench: a stem under a ResNet, field and costs by stage; `initial` sets the controls.

    Controls: stem (a name of `rflib.networks.STEMS`), body (18 or 50), kernel (1-11) and stride
    (1-8) of the first layer, pool (True or False), stage (0, the stem, to 4). A stem that is named
    without kernel, stride or pool starts with its own. ValueError for a value that a control cannot
    take.

    >>> [stage["size"] for stage in stembench(kernel=3).drawing.numbers["stages"]]
    [7, 39, 95, 207, 431]
    """
    given = networks.STEMS.get(initial.get("stem", "resnet"))
    if given is not None:
        first = given.convs[0]
        own = {"kernel": first.kernel, "stride": first.stride, "pool": given.pool is not None}
        initial = own | initial
    return build("stembench", CONTROLS, state, initial, data=photograph_data())
