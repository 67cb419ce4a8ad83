"""One measurement in a process of its own: `python measured.py TOOL NETWORK` prints a line of JSON.

The tool gets the part of the network that a user would give it, and is asked for the field along
the last axis. Time is that of the first call in a fresh process, after the imports; memory is the
peak above what the process held then, the network included.
"""

from __future__ import annotations

import json
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

import rflib.networks

MOST_BYTES = 10 << 30  # a tool that wants more has crashed
MOST_PROBED = 20 << 30  # for the recipe on an image of 1760 × 1760


class Case:
    """A network, the last submodule of the part in question, and what is published on its field."""

    def __init__(self, name: str, last: str = "", published: int | None = None, **options: Any):
        self.name, self.last, self.published, self.options = name, last, published, options

    def part(self, **more: Any) -> nn.Module:
        net = rflib.networks.build(self.name, **{**self.options, **more}).eval()
        if not self.last:
            return net
        kept = []
        for name, module in net.named_children():
            kept.append(module)
            if name == self.last:
                return nn.Sequential(*kept)
        raise KeyError(self.last)

    @property
    def input_size(self) -> tuple[int, ...]:
        return rflib.networks.NAMES[self.name].input_size


CASES = {
    case.name: case
    for case in (
        Case("alexnet", "features", 195),
        Case("vgg16", "features", 212),
        Case("googlenet", "inception5b"),
        Case("inception_v3", "Mixed_7c", 1311),
        Case("resnet18", "layer4", 435),
        Case("resnet50", "layer4", 427),
        Case("resnet152", "layer4", 1451),
        Case("densenet121", "features"),
        Case("squeezenet1_1", "features"),
        Case("mobilenet_v1", "features", 315),
        Case("mobilenet_v2", "features"),
        Case("mobilenet_v3_large", "features"),
        Case("efficientnet_b0", "features"),
        Case("convnext_tiny", "features"),
        Case("shufflenet_v2_x1_0", "conv5"),
        Case("regnet_y_400mf", "trunk_output"),
        Case("fcn_resnet50", "backbone", 427),
        Case("deeplabv3_resnet50", "classifier"),
        Case("unet"),
        Case("wavenet"),
        Case("r3d_18", "layer4"),
        Case("patchgan", published=70),
    )
}


# --- the tools ------------------------------------------------------------------------------------


def by_trace(case: Case, part: nn.Module, truth: int) -> Any:
    field = rflib.trace(part, case.input_size)[""].local
    return [n for n, _ in field.sizes[-1]] if field.varies else field.size[-1]


def by_torchscan(case: Case, part: nn.Module, truth: int) -> Any:
    from torchscan import crawl_module

    return int(crawl_module(part, case.input_size[1:])["layers"][-1]["rf"])


def by_rfa(case: Case, part: nn.Module, truth: int) -> Any:
    from rfa_toolbox.encodings.pytorch.ingest_architecture import create_graph_from_model

    found = create_graph_from_model(part, input_res=case.input_size).receptive_field_max
    return int(found[-1] if isinstance(found, (list, tuple)) else found)


def by_recipe(case: Case, part: nn.Module, truth: int) -> Any:
    """The recipe on an image a fifth larger than the truth.

    The document's own 100 pixels would show no more than 100.
    """
    side = -(-truth * 6 // 5 // 32) * 32
    size = list(case.input_size)
    for axis in range(max(2, len(size) - 2), len(size)):
        size[axis] = side
    return recipe(part, size)


def recipe(part: nn.Module, size: Sequence[int]) -> int:
    """Weights 1, bias 0, pools of means, float32, gradient of channel 0 of the centre unit."""
    for module in list(part.modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.MaxPool2d):
                kept = (child.kernel_size, child.stride, child.padding, child.ceil_mode)
                setattr(module, name, nn.AvgPool2d(*kept))
        if isinstance(module, nn.modules.conv._ConvNd):
            nn.init.ones_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    x = torch.ones(size, requires_grad=True)
    out = part(x)
    grad = torch.zeros_like(out)
    grad[(0, 0, *(n // 2 for n in out.shape[2:]))] = 1
    out.backward(grad)
    (places,) = (x.grad != 0).flatten(0, -2).any(0).nonzero(as_tuple=True)
    return int(places[-1] - places[0] + 1) if len(places) else 0


def by_nan(case: Case, part: nn.Module, truth: int) -> Any:
    """The truth where none is published: NaN in all positions up to p, and p by bisection.

    A mean over a whole map would spread it to all units: it is held constant, so that this is the
    field without those paths.
    """
    if case.name == "unet":
        part = case.part(width=1)  # the same windows
    for module in part.modules():
        if isinstance(module, nn.AdaptiveAvgPool2d):
            module.register_forward_hook(lambda m, i, out: torch.zeros_like(out))
    thin = ((), (32,), (4, 8))[len(case.input_size) - 3]
    count = 16 if case.name == "unet" else 1  # neighbours, as they differ
    length, sizes = 512, set()

    def reads(length: int, places: slice, unit: int) -> bool:
        x = torch.zeros(1, case.input_size[1], *thin, length)
        x[..., places] = torch.nan
        with torch.no_grad():
            return bool(part(x)[..., unit].isnan().any())

    def begins(length: int, unit: int, place: int) -> bool:
        return reads(length, slice(0, place + 1), unit)

    def ends(length: int, unit: int, place: int) -> bool:
        return reads(length, slice(length - 1 - place, None), unit)

    while not sizes:
        length *= 2
        with torch.no_grad():
            units = part(torch.zeros(1, case.input_size[1], *thin, length)).shape[-1]
        for unit in range(units // 2, units // 2 + count):
            if reads(length, slice(0, 1), unit) or reads(length, slice(length - 1, None), unit):
                sizes.clear()
                break
            first = bisect(length, partial(begins, length, unit))
            sizes.add(length - bisect(length, partial(ends, length, unit)) - first)
    return sorted(sizes, reverse=True) if len(sizes) > 1 else sizes.pop()


def bisect(length: int, holds: Any) -> int:
    low, high = 0, length - 1
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle + 1, high)
    return low


# --- the probe and the recipe on the same image ---------------------------------------------------


def chain(kernels: Sequence[int], channels: int, padding: int) -> nn.Module:
    convolutions = (
        nn.Conv2d(channels if i else 1, channels, k, padding=padding) for i, k in enumerate(kernels)
    )
    return nn.Sequential(*convolutions)


# The recipe's own network at its own 100 pixels, and images as large as deeper networks want.
PROBED: dict[str, tuple[Callable[[], nn.Module], int, int]] = {
    "the nine layers of the recipe": (partial(chain, (9, 3, 3, 3, 9, 3, 3, 7, 3), 1, 1), 100, 35),
    "16 layers of 3×3, 16 channels": (partial(chain, [3] * 16, 16, 1), 2048, 33),
    "ResNet-18": (CASES["resnet18"].part, 544, 435),
    "ResNet-50": (CASES["resnet50"].part, 544, 427),
    "ResNet-152": (CASES["resnet152"].part, 1760, 1451),
}


def probed(tool: str, name: str) -> Any:
    """The extent along the last axis, as the probe or the recipe measures it."""
    make, side, _ = PROBED[name]
    part = make().eval()
    size = (1, next(part.parameters()).shape[1], side, side)
    return measured(
        lambda: rflib.probe(part, size).size[-1] if tool == "probe" else recipe(part, size)
    )


# --- what stands on no line of the table ----------------------------------------------------------


def goals() -> dict[str, float]:
    """ResNet-152: its trace against its forward pass, its memory, and how it grows with pixels."""
    reset_peak()
    before = resident("VmRSS")  # torch is imported, and nothing else that is large
    with torch.device("meta"):
        net = rflib.networks.build("resnet152").eval()
    rflib.trace(net, (1, 3, 2048, 2048))
    peak = resident("VmHWM") - before
    sides = {n: best(lambda n=n: rflib.trace(net, (1, 3, n, n))) for n in (512, 1024, 2048, 4096)}
    net, image = rflib.networks.build("resnet152").eval(), torch.zeros(1, 3, 224, 224)
    with torch.no_grad():
        forward = best(lambda: net(image))
    growth = {str(n): seconds / sides[512] for n, seconds in sides.items()}
    return {"ratio": sides[2048] / forward, "peak": peak, **growth}


def basics() -> dict[str, float]:
    """Milliseconds for a chain of 20,000 layers."""
    layers = [(3, 1 + (n % 500 == 0)) for n in range(20_000)]
    return {
        "recurrence": 1000 * clocked(lambda: rflib.recurrence(layers)),
        "input_size": 1000 * clocked(lambda: rflib.input_size(layers)),
        "region": 1000 * clocked(lambda: rflib.region(layers, unit=7)),
    }


def cold() -> dict[str, float]:
    net = rflib.networks.build("resnet18").eval()
    first = clocked(lambda: rflib.trace(net, (1, 3, 224, 224)))
    return {"cold": first, "warm": best(lambda: rflib.trace(net, (1, 3, 224, 224)))}


def clocked(work: Any) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def best(work: Any) -> float:
    work()
    return min(clocked(work) for _ in range(5))


def resident(line: str) -> float:
    """Megabytes: VmRSS now, VmHWM at most since the last reset (Linux)."""
    text = Path("/proc/self/status").read_text()
    return int(text.split(f"{line}:")[1].split()[0]) / 1024


def reset_peak() -> bool:
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return False
    return True


TOOLS = {
    "rflib.trace": by_trace,
    "torchscan": by_torchscan,
    "rfa-toolbox": by_rfa,
    "recipe": by_recipe,
    "nan": by_nan,
}
ALONE = {"goals": goals, "cold": cold, "basics": basics}


def main(tool: str, name: str, truth: int) -> dict[str, Any]:
    if tool in ALONE:
        return ALONE[tool]()
    import resource

    most = MOST_PROBED if name in PROBED else MOST_BYTES
    resource.setrlimit(resource.RLIMIT_DATA, (most, most))
    warnings.simplefilter("ignore")
    torch.manual_seed(0)
    if name in PROBED:
        return probed(tool, name)
    case = CASES[name]
    part = case.part()
    return measured(lambda: TOOLS[tool](case, part, truth))


def measured(ask: Callable[[], Any]) -> dict[str, Any]:
    """What it says, its seconds, and the peak of its memory above what is held already."""
    before = resident("VmRSS") if reset_peak() else resident("VmHWM")
    start = time.perf_counter()
    try:
        said = ask()
    except Exception as error:
        return {"crashed": f"{type(error).__name__}: {error}".splitlines()[0]}
    seconds = time.perf_counter() - start
    return {"said": said, "seconds": seconds, "megabytes": resident("VmHWM") - before}


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], sys.argv[2], int(sys.argv[3]))))
