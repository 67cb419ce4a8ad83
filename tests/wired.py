"""A network whose forward is a function: for tests of what forward may do."""

from __future__ import annotations

from typing import Any

from torch import nn


class Net(nn.Module):
    """A forward given as a function of (self, x), and its parts."""

    def __init__(self, run: Any, **parts: Any) -> None:
        super().__init__()
        self.run = run
        for name, part in parts.items():
            setattr(self, name, part)

    def forward(self, x: Any) -> Any:
        return self.run(self, x)
