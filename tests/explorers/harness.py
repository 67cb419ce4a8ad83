"""A figure's drawing in headless Chromium, outside Jupyter: its real module, a stand-in model.

The stand-in for anywidget's model has get, set, on, off and save_changes and starts from the traits
of the real Explorer, so what is drawn here is what a notebook draws. `shot` takes pictures with it,
`web/stills.py` the stills, and test_explorers.py compares states.
"""

import json
import os
import random
from collections.abc import Iterator
from contextlib import contextmanager
from functools import reduce
from importlib import import_module
from importlib.resources import files
from itertools import combinations, product
from types import ModuleType
from typing import Any

from chromium import FLAGS, find
from playwright.sync_api import Browser, Page, sync_playwright

import rflib.explorers
from rflib.explorers.base import Control, source

# A grid up to this size is walked whole; of a larger one `settings` says what is walked, and of the
# nets with few layers, as many as stay below PART, all.
WHOLE = int(os.environ.get("WHOLE", "300000"))
PART = int(os.environ.get("PART", "15000"))
SAMPLE = int(os.environ.get("SAMPLE", "700"))

PAGE = """<!doctype html><html lang="en" data-theme="{theme}"><meta charset="utf-8">
<title>{name}</title>
<style>{css} body {{ margin: 0; padding: {margin}px; background: {paper}; }}</style>
<main id="here"></main></html>"""

MODEL = """
class Model {
  constructor(values) { this.values = values; this.calls = []; }
  get(name) { return this.values[name]; }
  set(name, value) {
    if (this.values[name] === value) return;
    this.values[name] = value;
    for (const [event, call] of [...this.calls]) if (event === "change:" + name) call();
  }
  on(event, call) { this.calls.push([event, call]); }
  off(event, call) { this.calls = this.calls.filter(([e, c]) => e !== event || c !== call); }
  save_changes() {}
}
window.load = async (source) => {
  const address = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
  window.module = await import(address);
};
window.show = (values) => {
  window.undraw?.();
  window.model = new Model(values);
  const el = document.getElementById("here");
  window.undraw = window.module.default.render({ model: window.model, el });
};
window.states = (settings) => {
  const { data, module } = window;
  return JSON.stringify(JSON.parse(settings).map((each) => module.state({ ...each, data })));
};
"""


def part(name: str) -> ModuleType:
    """The Python side of figure `name`: CONTROLS, state and the factory."""
    return import_module(f"rflib.explorers._{name}")


def built() -> tuple[str, ...]:
    """The figures of rflib.explorers.FIGURES that have both files."""
    folder = files("rflib.explorers")
    return tuple(
        name
        for name in rflib.explorers.FIGURES
        if (folder / f"_{name}.py").is_file() and (folder / f"{name}.js").is_file()
    )


@contextmanager
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find(), args=list(FLAGS))
        try:
            yield browser
        finally:
            browser.close()


def load(page: Page, name: str, theme: str = "light", margin: int = 0) -> None:
    """Opens the harness's page with the module of figure `name` in `window.module`."""
    css = (files("rflib.explorers") / "base.css").read_text(encoding="utf-8")
    paper = "#14181d" if theme == "dark" else "#ffffff"
    page.set_content(PAGE.format(theme=theme, name=name, css=css, paper=paper, margin=margin))
    page.add_script_tag(content=MODEL)
    page.evaluate("source => window.load(source)", source(name))
    data = getattr(rflib.explorers, name)().drawing._data
    page.evaluate("data => { window.data = data; }", data)


def show(page: Page, name: str, **values: Any) -> None:
    """Draws figure `name` with these controls, as the notebook would."""
    drawing = getattr(rflib.explorers, name)(**values).drawing
    names = [key for key in drawing.keys if key not in ("layout", "_esm", "_css")]
    page.evaluate("values => window.show(values)", {key: getattr(drawing, key) for key in names})
    page.wait_for_selector(".rf-picture svg")


def change(page: Page, **traits: Any) -> None:
    """Sets traits of the drawing as a moved slider does (a Choice by its index), and waits."""
    page.evaluate(
        "async values => { for (const [k, v] of Object.entries(values)) window.model.set(k, v);"
        " await new Promise(requestAnimationFrame); }",
        traits,
    )


def walk(page: Page, name: str, values: list[Any]) -> list[tuple[str, int]]:
    """Moves one trait through these values and back; what is drawn at each, and how much too wide.

    One call for all of them: a trip to the browser takes longer than a drawing.
    """
    result: list[tuple[str, int]] = page.evaluate(
        """async ([name, values]) => {
          const back = window.model.get(name);
          const seen = [];
          for (const value of [...values, back]) {
            window.model.set(name, value);
            await new Promise(requestAnimationFrame);
            const picture = document.querySelector(".rf-picture").innerHTML;
            const words = document.querySelector(".rf-sentence").innerText;
            seen.push([picture + words, document.documentElement.scrollWidth - innerWidth]);
          }
          return seen.slice(0, -1);
        }""",
        [name, values],
    )
    return result


def states(page: Page, settings: list[dict[str, Any]]) -> list[Any]:
    """What the module's `state` returns for each setting; one string each way is quickest."""
    result: list[Any] = json.loads(page.evaluate("window.states", json.dumps(settings)))
    return result


def settings(controls: tuple[Control, ...]) -> list[dict[str, Any]]:
    """The settings of the controls that are compared: the whole grid up to WHOLE points.

    Of a larger grid: the nets with few layers whole, as many as stay below PART; every
    pair of controls exhaustively, the others where they start; a sample of such pairs where they
    end; all corners, or a sample where they are more than SAMPLE; a sample from within.
    """
    names = [c.name for c in controls]
    values = [c.values() for c in controls]
    ends = [(v[0], v[-1]) for v in values]
    if _size(values) <= WHOLE:
        return [dict(zip(names, point, strict=True)) for point in product(*values)]
    chance = random.Random(0)
    points = set(_of_few_layers(controls))
    points |= {tuple(chance.choice(v) for v in values) for _ in range(SAMPLE)}
    if _size(ends) <= SAMPLE:
        points.update(product(*ends))
    else:
        points.update(tuple(chance.choice(v) for v in ends) for _ in range(SAMPLE))

    def pairs(rest: list[Any]) -> Iterator[tuple[Any, ...]]:
        for a, b in combinations(range(len(controls)), 2):
            for at_a, at_b in product(values[a], values[b]):
                yield tuple({a: at_a, b: at_b}.get(i, r) for i, r in enumerate(rest))

    points.update(pairs([c.value for c in controls]))
    at_ends = list(pairs([v[-1] for v in values]))
    points.update(chance.sample(at_ends, min(SAMPLE, len(at_ends))))
    return [dict(zip(names, point, strict=True)) for point in sorted(points, key=repr)]


def _of_few_layers(controls: tuple[Control, ...]) -> Iterator[tuple[Any, ...]]:
    """All settings of the nets with one layer, with two ...; the other layers' controls rest."""
    if not any(c.group == "layer 1" for c in controls):
        return
    depths = next(c for c in controls if c.name == "layers").values()
    for depth in depths:
        values = [
            [depth]
            if c.name == "layers"
            else [c.value]
            if c.group.startswith("layer ") and int(c.group[6:]) > depth
            else c.values()
            for c in controls
        ]
        if _size(values) > PART:
            return
        yield from product(*values)


def _size(values: list[Any]) -> int:
    return reduce(lambda total, v: total * len(v), values, 1)
