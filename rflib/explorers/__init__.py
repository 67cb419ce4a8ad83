"""The live figures of the book: ipywidgets controls joined to one drawing each.

>>> from IPython.display import display
>>> import rflib
>>> display(rflib.explorers.cone(kernel=5))  # doctest: +SKIP

Each name in FIGURES is a function of this package that returns one box with the controls and the
drawing. With a kernel `box.drawing.numbers` holds what the figure shows. The figure NAME is made of
`_NAME.py` (the truth: `state`, computed by rflib) and `NAME.js` (the picture, and the same
arithmetic for pages without a kernel). They load when first asked for.
"""

from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rflib.explorers.base import Figure

FIGURES = (
    "cone",
    "planes",
    "ledger",
    "wayback",
    "coverage",
    "probelab",
    "stembench",
    "photograph",
    "branches",
    "networks",
    "effective",
)

__all__ = ["FIGURES"]


def __getattr__(name: str) -> "Callable[..., Figure]":
    if name not in FIGURES:
        raise AttributeError(f"rflib.explorers has no figure {name!r}; it has {', '.join(FIGURES)}")
    factory: Callable[..., Figure] = getattr(import_module(f"rflib.explorers._{name}"), name)
    return factory


def __dir__() -> list[str]:
    return sorted((*globals(), *FIGURES))
