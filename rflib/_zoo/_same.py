"""The padding that TensorFlow calls "SAME": as much as ceil(size / stride) outputs need.

It depends on the size of the map.  Where it is odd in all, the last side gets the more: on an even
map a 3x3 at stride 2 gets none before the first pixel and one after the last.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


class SamePad(nn.Module):
    """Pad rows and columns for a window that follows, with zeros or another value."""

    def __init__(self, kernel: int, stride: int = 1, value: float = 0.0) -> None:
        super().__init__()
        self.kernel, self.stride, self.value = kernel, stride, value

    def extra_repr(self) -> str:
        return f"kernel={self.kernel}, stride={self.stride}"

    def forward(self, x: Tensor) -> Tensor:
        sides = []
        for size in (x.shape[-1], x.shape[-2]):  # F.pad begins with the last axis
            outputs = -(-size // self.stride)
            padding = max(0, (outputs - 1) * self.stride + self.kernel - size)
            sides += [padding // 2, padding - padding // 2]
        return F.pad(x, sides, value=self.value)
