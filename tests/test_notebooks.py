"""The book's notebooks keep the rules, and each rule fails on one that breaks it."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from pathlib import Path

import execute
import notebook_rules
import pytest
from nbformat import NotebookNode, from_dict, v4
from notebook_rules import RULES, dead_links, load, problems

import rflib

ROOT = Path(__file__).resolve().parent.parent
BOOK = execute.notebooks(ROOT)


@pytest.mark.parametrize("path", BOOK, ids=lambda path: path.stem)
@pytest.mark.parametrize("name", RULES)
def test_the_book_keeps_the_rule(name: str, path: Path) -> None:
    found = list(RULES[name](load(path, ROOT)))
    assert not found, "\n".join([f"{path.name}, rule {name!r}:", *found])


@pytest.mark.parametrize("path", BOOK, ids=lambda path: path.stem)
def test_the_live_figures_are_today_s(path: Path) -> None:
    """nbval does not look into the state of widgets, where each figure's script is stored."""
    state = execute.read(path).metadata.widgets[execute.STATE]["state"]
    drawings = [m["state"] for m in state.values() if "_figure" in m["state"]]
    assert drawings
    for stored in drawings:
        drawing = getattr(rflib.explorers, stored["_figure"])().drawing
        for trait in ("_esm", "_css", "_data"):
            same = getattr(drawing, trait) == stored[trait]  # too long to be shown
            assert same, f"{stored['_figure']}.{trait} has changed: make execute"


def test_there_is_a_book() -> None:
    """An empty list of notebooks would pass all of the above."""
    assert ROOT / "intro.ipynb" in BOOK
    assert len(BOOK) >= 6


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "THIRD-PARTY.md"])
def test_links_of_the_files_beside_the_book(name: str) -> None:
    path = ROOT / name
    assert not list(dead_links(path.read_text(encoding="utf-8"), path, ROOT))


# --- a notebook that keeps all rules, and one way to break each ----------------------------------

TITLE = """\
# Sample

![a box](box.svg) and [a section](#check), [the other](two.md#there), {cite}`luo2016`"""
CHECK = "## Check\n\nOf 1,024 units the field is 8, in `Conv2d(3, 16)` of ResNet-18.\n\n1. so be it"
EXERCISE = """\
```{exercise}
:label: ex-NUMBER
What is it?
```

````{solution} ex-NUMBER
:class: dropdown
It is this:
```python
print(99)
```
````"""
CODE = "print(1024)\nassert 2 + 6 == 8"


def slider() -> dict[str, object]:
    """The stored state of one slider, as few keys as matter here."""
    names = {"model_module": "@jupyter-widgets/controls", "model_module_version": "2.0.0"}
    state = {"layout": f"IPY_MODEL_{2:032x}", "value": 3}
    return {
        f"{1:032x}": {"model_name": "IntSliderModel", "state": state, **names},
        f"{2:032x}": {"model_name": "LayoutModel", "state": {}, **names},
    }


def sample() -> NotebookNode:
    """A chapter that breaks no rule."""
    stream = v4.new_output("stream", text="1024\n")
    view = {"model_id": f"{1:032x}", "version_major": 2, "version_minor": 0}
    widget = v4.new_output("display_data", {execute.VIEW: view, "text/plain": "IntSlider(value=3)"})
    picture = v4.new_output("display_data", {"text/html": '<img alt="a box" src="data:,">'})
    cells = [
        v4.new_markdown_cell(TITLE, id="title"),
        v4.new_markdown_cell(CHECK, id="check"),
        v4.new_code_cell(CODE, id="code", execution_count=2, outputs=[stream]),
        v4.new_code_cell("display(w)", id="widget", execution_count=3, outputs=[widget, picture]),
    ]
    for number in "123":
        exercise = EXERCISE.replace("NUMBER", number)
        cells.append(v4.new_markdown_cell(exercise, id=f"exercise-{number}"))
    nb = v4.new_notebook(cells=cells)
    nb.metadata.widgets = {
        execute.STATE: {"state": slider(), "version_major": 2, "version_minor": 0}
    }
    execute.renew_head(nb, "chapters/sample.ipynb", execute.book(ROOT))
    cell(nb, execute.SETUP_ID).execution_count = 1
    nb = from_dict(nb)
    execute.normalise(nb)
    return nb


def cell(nb: NotebookNode, name: str) -> NotebookNode:
    return next(c for c in nb.cells if c.id == name)


@pytest.fixture
def found(tmp_path: Path) -> Callable[[NotebookNode], list[str]]:
    """Puts a notebook into a small book of its own and returns what the rules say of it."""
    (tmp_path / "pyproject.toml").write_bytes((ROOT / "pyproject.toml").read_bytes())
    folder = tmp_path / "chapters"
    folder.mkdir()
    (folder / "references.bib").write_text("@article{luo2016,\n title = {t}\n}\n")
    (folder / "box.svg").write_text("<svg/>")
    (folder / "two.md").write_text("# Two\n\n(label-there)=\n## There\n")

    def run(nb: NotebookNode) -> list[str]:
        path = folder / "sample.ipynb"
        path.write_bytes(execute.to_bytes(nb))
        return problems(load(path, tmp_path))

    return run


def test_the_sample_keeps_all_rules(found: Callable[[NotebookNode], list[str]]) -> None:
    assert found(sample()) == []


def set_source(name: str, source: str) -> Callable[[NotebookNode], None]:
    def change(nb: NotebookNode) -> None:
        cell(nb, name).source = source

    return change


def add_text(text: str, to: str = "title") -> Callable[[NotebookNode], None]:
    def change(nb: NotebookNode) -> None:
        cell(nb, to).source += f"\n\n{text}"

    return change


def set_output(data: dict[str, str]) -> Callable[[NotebookNode], None]:
    def change(nb: NotebookNode) -> None:
        cell(nb, "widget").outputs[1] = v4.new_output("display_data", data)

    return change


def forget_to_run(nb: NotebookNode) -> None:
    cell(nb, "code").execution_count = None


def run_out_of_order(nb: NotebookNode) -> None:
    cell(nb, "code").execution_count = 7


def look_away(nb: NotebookNode) -> None:
    cell(nb, "code").metadata.tags = ["nbval-ignore-output"]


def fail(nb: NotebookNode) -> None:
    error = v4.new_output("error", ename="ValueError", evalue="no", traceback=[])
    cell(nb, "widget").outputs.append(error)


def lose_model(nb: NotebookNode) -> None:
    del nb.metadata.widgets[execute.STATE]["state"][f"{1:032x}"]


def lose_layout(nb: NotebookNode) -> None:
    del nb.metadata.widgets[execute.STATE]["state"][f"{2:032x}"]


def keep_times(nb: NotebookNode) -> None:
    cell(nb, "code").metadata.execution = {"iopub.status.busy": "2026-01-01"}


def keep_what_nobody_needs(nb: NotebookNode) -> None:
    state = nb.metadata.widgets[execute.STATE]["state"]
    state[f"{3:032x}"] = copy.deepcopy(state[f"{2:032x}"])


def lose_badge(nb: NotebookNode) -> None:
    nb.cells.remove(cell(nb, execute.BADGE_ID))


def lose_setup(nb: NotebookNode) -> None:
    nb.cells.remove(cell(nb, execute.SETUP_ID))


def lose_exercise(nb: NotebookNode) -> None:
    nb.cells.remove(cell(nb, "exercise-3"))


def no_check(nb: NotebookNode) -> None:
    nb.cells.remove(cell(nb, "check"))
    cell(nb, "title").source = "# Sample"


def grow(nb: NotebookNode) -> None:
    for number in range(6):
        words = v4.new_markdown_cell("x" * 290_000, id=f"long-{number}")
        nb.cells.append(words)


BROKEN = [
    ("executed", "has execution count None, not 2", forget_to_run),
    ("executed", "has execution count 7, not 2", run_out_of_order),
    ("executed", "nbval-ignore-output", look_away),
    ("executed", "is empty", set_source("widget", " ")),
    ("no_error", "ValueError: no", fail),
    ("normal_form", "metadata", keep_times),
    ("normal_form", "metadata.widgets", keep_what_nobody_needs),
    ("head", "must follow the title", lose_badge),
    ("head", "must follow the title", lose_setup),
    ("head", "is not the one that", add_text("and more", to=execute.BADGE_ID)),
    ("head", "is not the one that", add_text("import os", to=execute.SETUP_ID)),
    ("widget_models", "metadata.widgets does not hold", lose_model),
    ("widget_models", "metadata.widgets does not hold", lose_layout),
    ("alternative_text", "a picture without words", add_text("![](box.svg)")),
    ("alternative_text", "without :alt:", add_text("```{figure} box.svg\nSee\n```")),
    ("alternative_text", "<img>", add_text('<img src="box.svg" alt="">')),
    ("alternative_text", "<svg>", set_output({"text/html": "<svg><path/></svg>"})),
    ("alternative_text", "image/png without", set_output({"image/png": "AAAA", "text/plain": "f"})),
    ("short_cells", "has 26 lines; 25", set_source("code", CODE + "\npass" * 24)),
    ("sizes", "bytes; 1500000 are allowed", grow),
    ("sizes", "bytes; 300000 are allowed", set_output({"text/plain": "x" * 300_001})),
    ("no_absolute_path", "/home/me/x.py", add_text("see /home/me/x.py")),
    ("no_absolute_path", "/root/book", set_output({"text/plain": "in /root/book"})),
    ("links", "(gone.ipynb)", add_text("[x](gone.ipynb)")),
    ("links", "(two.md#gone)", add_text("[x](two.md#gone)")),
    ("links", "(#gone)", add_text("[x](#gone)")),
    ("links", "nowhere: gone.html", add_text('<a href="gone.html">x</a>')),
    ("links", "a citation of 'gone2020'", add_text("{cite:p}`luo2016,gone2020`")),
    ("links", "a reference to 'gone'", add_text("{ref}`this <gone>`")),
    ("links", "{doc}`gone`", add_text("{doc}`gone`")),
    ("exercises", "2 exercises; a chapter has 3 to 6", lose_exercise),
    (
        "exercises",
        "'ex-9' has 1 exercises and 0 sol",
        add_text("```{exercise}\n:label: ex-9\n?\n```"),
    ),
    (
        "exercises",
        "not folded",
        set_source("exercise-3", EXERCISE.replace(":class: dropdown\n", "")),
    ),
    ("checks", "says 9, which", add_text("and 9", to="check")),
    ("checks", "says 9, which", add_text("**Check.** It is 9.")),
    ("checks", "says 1024, which", set_source("widget", "display(w)")),
    ("checks", "a chapter has a check", no_check),
]


def test_every_rule_is_seen_to_fail() -> None:
    assert {name for name, _, _ in BROKEN} == set(RULES)


@pytest.mark.parametrize(("name", "words", "break_it"), BROKEN)
def test_a_broken_notebook_is_found(
    name: str,
    words: str,
    break_it: Callable[[NotebookNode], None],
    found: Callable[[NotebookNode], list[str]],
) -> None:
    nb = sample()
    break_it(nb)
    if words.startswith("says 1024"):
        cell(nb, "code").outputs = []
    assert any(re.match(f"{name}: .*{re.escape(words)}", p) for p in found(nb)), found(nb)


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("6 and not 10, 0.1 % of 50,176.", "6 10 0.1 50176"),
        ("ResNet-18, 2-D, 3x3, v2, conv1, 3-wide", ""),
        ("7×7, [4, 5], $r = 11$, (−3), 1.5.", "7 4 5 11 3 1.5"),
    ],
)
def test_numbers_of_a_text(text: str, numbers: str) -> None:
    assert notebook_rules.numbers(text) == set(map(notebook_rules.Decimal, numbers.split()))
