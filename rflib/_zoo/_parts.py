"""What several networks are made of: a convolution with its norm, branches, residuals, gates."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

import torch
from torch import Tensor, nn

Make = Callable[[], nn.Module]
Norm = Callable[[int], nn.Module]
Kernel = int | tuple[int, ...]


def named(**parts: nn.Module) -> nn.Sequential:
    """A chain whose parts have names: it runs in the order in which it is written."""
    return nn.Sequential(OrderedDict(parts))


def same(kernel: Kernel, dilation: int = 1) -> Kernel:
    """The padding on each side that keeps the map's size at stride 1; odd kernels."""
    if isinstance(kernel, int):
        return dilation * (kernel - 1) // 2
    return tuple(dilation * (k - 1) // 2 for k in kernel)


def conv(
    before: int,
    after: int,
    kernel: Kernel = 1,
    stride: int = 1,
    *,
    padding: Kernel | None = None,
    dilation: int = 1,
    groups: int = 1,
    bias: bool = False,
) -> nn.Conv2d:
    """A convolution that keeps the size of the map at stride 1 unless `padding` says otherwise."""
    padding = same(kernel, dilation) if padding is None else padding
    # The types of torch want pairs; it takes any tuple of one entry per axis.
    return nn.Conv2d(before, after, kernel, stride, padding, dilation, groups, bias)  # type: ignore[arg-type]


def conv_norm(
    before: int,
    after: int,
    kernel: Kernel = 1,
    stride: int = 1,
    *,
    padding: Kernel | None = None,
    dilation: int = 1,
    groups: int = 1,
    act: Make | None = nn.ReLU,
    norm: Norm = nn.BatchNorm2d,
) -> nn.Sequential:
    """Convolution without bias, norm, and the activation if there is one."""
    made: list[nn.Module] = [
        conv(before, after, kernel, stride, padding=padding, dilation=dilation, groups=groups),
        norm(after),
    ]
    return nn.Sequential(*made, *([] if act is None else [act()]))


class Concat(nn.Module):
    """Branches side by side on one input; their outputs are stacked along the channels."""

    def __init__(self, **branches: nn.Module) -> None:
        super().__init__()
        for name, branch in branches.items():
            self.add_module(name, branch)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([branch(x) for branch in self.children()], dim=1)


class Residual(nn.Module):
    """x + body(x), or body(x) alone where the two differ in shape; the body bears its own name."""

    def __init__(self, skip: bool, **body: nn.Module) -> None:
        super().__init__()
        ((self.body, module),) = body.items()
        self.add_module(self.body, module)
        self.skip = skip

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.get_submodule(self.body)(x)
        return x + out if self.skip else out


class SqueezeExcitation(nn.Module):
    """Scale every channel by a number that depends on the whole map (Hu et al. 2018)."""

    def __init__(
        self, channels: int, squeezed: int, act: Make = nn.ReLU, gate: Make = nn.Sigmoid
    ) -> None:
        super().__init__()
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc1 = nn.Conv2d(channels, squeezed, 1)
        self.activation = act()
        self.fc2 = nn.Conv2d(squeezed, channels, 1)
        self.gate = gate()

    def forward(self, x: Tensor) -> Tensor:
        scale: Tensor = self.gate(self.fc2(self.activation(self.fc1(self.avgpool(x)))))
        return x * scale


def classifier(features: nn.Module, head: nn.Module, side: int = 1) -> nn.Sequential:
    """Features, means that make a map of side * side, and what makes class scores of it."""
    pool = nn.AdaptiveAvgPool2d(side)
    return named(features=features, avgpool=pool, flatten=nn.Flatten(1), classifier=head)
