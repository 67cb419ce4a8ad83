"""Take the stills of the live figures: python web/stills.py

A still is the picture with which a figure starts, as one self-contained SVG file: it stands in the
book where no script runs, and in print. Its colours are CSS variables with values for white paper.
NAME.svg is the figure's own start; where a page starts it otherwise, NAME@PAGE.svg is that.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from playwright.sync_api import Page

ROOT = Path(__file__).parent.parent
WIDTH = 720
sys.path.insert(0, str(ROOT / "tests"))

from explorers import harness  # noqa: E402


def path(name: str, page: str = "") -> Path:
    return ROOT / "web" / "stills" / (f"{name}@{page}.svg" if page else f"{name}.svg")


def starts() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Figures, the pages that start them otherwise than they do alone, and with which controls."""
    for name in harness.built():
        yield name, "", {control.name: control.value for control in harness.part(name).CONTROLS}
    for notebook in [ROOT / "intro.ipynb", *sorted((ROOT / "chapters").glob("*.ipynb"))]:
        stored = json.loads(notebook.read_text("utf-8"))["metadata"].get("widgets", {})
        models = stored.get("application/vnd.jupyter.widget-state+json", {}).get("state", {})
        for state in (model["state"] for model in models.values()):
            if "_figure" in state:
                controls = harness.part(state["_figure"]).CONTROLS
                values = {c.name: c.from_wire(state[c.name]) for c in controls}
                if values != {c.name: c.value for c in controls}:
                    yield state["_figure"], notebook.stem, values


def take(page: Page, name: str, controls: dict[str, Any]) -> str:
    """The still of figure `name` with these controls, one element a line."""
    harness.load(page, name)
    markup: str = page.evaluate(
        "([controls, width]) => new XMLSerializer().serializeToString("
        "window.module.default.still({ ...controls, data: window.data }, width))",
        [controls, WIDTH],
    )
    return markup.replace("><", ">\n<") + "\n"


def main() -> None:
    folder = ROOT / "web" / "stills"
    folder.mkdir(exist_ok=True)
    old = {*folder.iterdir()}
    with harness.chromium() as browser:
        page = browser.new_page()
        for name, where, controls in starts():
            target = path(name, where)
            target.write_text(take(page, name, controls), encoding="utf-8")
            old.discard(target)
            print(target.relative_to(ROOT))
    for left in old:
        left.unlink()


if __name__ == "__main__":
    main()
