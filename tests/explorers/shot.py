"""Takes a picture of a figure's drawing.

python -m tests.explorers.shot cone out.png kernel=5 --width 390 --dark
"""

import argparse
import json

from . import harness


def _value(words: str) -> object:
    try:
        return json.loads(words)
    except json.JSONDecodeError:
        return words


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("figure", choices=harness.built())
    parser.add_argument("out")
    parser.add_argument("settings", nargs="*", help="controls, as name=value")
    parser.add_argument("--width", type=int, default=760)
    parser.add_argument("--dark", action="store_true")
    parser.add_argument("--hover", help="CSS selector of what to hover")
    parser.add_argument(
        "--keys", default="", help="keys to press after Tab, e.g. 'ArrowUp ArrowLeft'"
    )
    parser.add_argument(
        "--run", help="JavaScript to run before the picture (window.model is there)"
    )
    options = parser.parse_intermixed_args()
    values = {name: _value(v) for name, v in (each.split("=", 1) for each in options.settings)}
    with harness.chromium() as browser:
        page = browser.new_page(viewport={"width": options.width, "height": 200})
        page.on("console", lambda message: print("console:", message.text))
        page.on("pageerror", lambda error: print("error:", error))
        harness.load(page, options.figure, "dark" if options.dark else "light", margin=15)
        harness.show(page, options.figure, **values)
        if options.hover:
            page.locator(options.hover).first.hover()
        if options.keys:
            page.keyboard.press("Tab")
            for key in options.keys.split():
                page.keyboard.press(key)
        if options.run:
            page.evaluate(options.run)
        page.wait_for_timeout(50)
        print(page.locator(".rf-sentence").inner_text())
        overflow = page.evaluate("document.documentElement.scrollWidth - innerWidth")
        if overflow > 0:
            print(f"wider than the page by {overflow} px")
        page.screenshot(path=options.out, full_page=True)


if __name__ == "__main__":
    main()
