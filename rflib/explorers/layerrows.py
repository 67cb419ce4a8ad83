"""One row of controls per layer, for the figures in which every layer has its own."""

import ipywidgets

from rflib.explorers.base import Figure

# Three to a line in the book's column, two on a phone: each name says which layer it belongs to.
COLUMNS = "repeat(auto-fit, minmax(min(100%, 9rem), 1fr))"


def numbered(letter: str, layer: int) -> str:
    """Return the letter with the layer's number below it.

    >>> numbered("k", 2)
    'k₂'
    """
    return letter + chr(ord("₀") + layer)


def in_rows(box: Figure, heading: str) -> Figure:
    """Return `box` with each group of controls in one line, and above the first one `heading`."""
    panels = [panel for panel in box.children if isinstance(panel, ipywidgets.VBox)]
    for index, panel in enumerate(panels):
        title, controls = panel.children
        title.value = heading
        title.layout.display = "none" if index else ""
        controls.layout.grid_template_columns = COLUMNS
        controls.layout.grid_gap = "0 12px"
    return box
