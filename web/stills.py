"""Take the stills of the live figures: python web/stills.py [NAME ...]

A still is the picture with which a figure starts, as one self-contained SVG file: it stands in the
book where no script runs, and in print. Its colours are CSS variables with values for white paper.
"""

import sys
from pathlib import Path

from playwright.sync_api import Page

ROOT = Path(__file__).parent.parent
WIDTH = 720
sys.path.insert(0, str(ROOT / "tests"))

from explorers import harness  # noqa: E402


def path(name: str) -> Path:
    return ROOT / "web" / "stills" / f"{name}.svg"


def take(page: Page, name: str) -> str:
    """The still of figure `name`, one element a line."""
    start = {control.name: control.value for control in harness.part(name).CONTROLS}
    harness.load(page, name)
    markup: str = page.evaluate(
        "([controls, width]) => new XMLSerializer().serializeToString("
        "window.module.default.still({ ...controls, data: window.data }, width))",
        [start, WIDTH],
    )
    return markup.replace("><", ">\n<") + "\n"


def main() -> None:
    names = sys.argv[1:] or harness.built()
    with harness.chromium() as browser:
        page = browser.new_page()
        for name in names:
            path(name).parent.mkdir(exist_ok=True)
            path(name).write_text(take(page, name), encoding="utf-8")
            print(path(name).relative_to(ROOT))


if __name__ == "__main__":
    main()
