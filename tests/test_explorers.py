"""The live figures: the page's arithmetic is Python's, and Python's is the definition's."""

import json
import os
from collections.abc import Iterator
from itertools import islice, product
from pathlib import Path
from typing import Any

import ipywidgets
import pytest
import stills
from explorers import harness
from ipywidgets.widgets import widget_link
from playwright.sync_api import Browser, Page

import rflib.explorers
from rflib.explorers import base

FIGURES = harness.built()
BATCH = 500


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with harness.chromium() as chromium:
        yield chromium


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    page = browser.new_page(viewport={"width": 760, "height": 600})
    page.on("pageerror", lambda error: pytest.fail(f"the page raised {error}"))
    yield page
    page.close()


# The page against Python.


@pytest.mark.slow
@pytest.mark.parametrize("name", FIGURES)
def test_page_and_python_have_the_same_state_everywhere(page: Page, name: str) -> None:
    figure = harness.part(name)
    harness.load(page, name)
    truths = ((each, figure.state(**each)) for each in harness.settings(figure.CONTROLS))
    while batch := list(islice((pair for pair in truths if not far_out(*pair)), BATCH)):
        shown = harness.states(page, [setting for setting, _ in batch])
        for (setting, truth), state in zip(batch, shown, strict=True):
            assert state == json.loads(json.dumps(truth)), setting


def far_out(setting: dict[str, Any], state: dict[str, Any]) -> bool:
    """More than one step beyond a bound: one step shows how a state is taken back to its bound."""
    return any(setting[name] > bound + 1 for name, bound in state.get("bounds", {}).items())


@pytest.mark.slow
@pytest.mark.parametrize("name", FIGURES)
@pytest.mark.parametrize("width", [320, 760] if os.environ.get("EVERY") else [320])
def test_every_control_changes_the_figure_and_fits(page: Page, name: str, width: int) -> None:
    """From the start, or with all controls at their ends: some have no say at the start.

    From the start every value of each control is drawn; from the ends every fourth, and the last.
    """
    controls = harness.part(name).CONTROLS
    page.set_viewport_size({"width": width, "height": 600})
    harness.load(page, name)
    drawn: dict[str, set[str]] = {control.name: set() for control in controls}
    ends = {control.name: control.values()[-1] for control in controls}
    for rest, step in (({}, 1), (ends, 1 if os.environ.get("EVERY") else 4)):
        harness.show(page, name, **rest)
        for control in controls:
            values = [*control.values()[:-1:step], control.values()[-1]]
            seen = harness.walk(page, control.name, [control.to_wire(value) for value in values])
            for value, (_, overflow) in zip(values, seen, strict=True):
                assert overflow <= 0, f"{control.name}={value}: {overflow} px too wide"
            looks = {look for look, _ in seen}
            drawn[control.name] |= looks if len(looks) > 1 else set()
    assert [control for control, seen in drawn.items() if not seen] == []


@pytest.mark.slow
@pytest.mark.parametrize("name", FIGURES)
def test_no_text_of_a_picture_is_below_12_pixels(page: Page, name: str) -> None:
    page.set_viewport_size({"width": 390, "height": 600})
    harness.load(page, name)
    harness.show(page, name)
    sizes = page.eval_on_selector_all(
        ".rflib *:not(script)",
        "all => all.filter(e => e.children.length === 0 && e.textContent.trim())"
        ".map(e => parseFloat(getComputedStyle(e).fontSize)"
        " * (e.ownerSVGElement ? e.ownerSVGElement.getScreenCTM().a : 1))",
    )
    assert sizes
    assert min(sizes) >= 12


@pytest.mark.slow
def test_a_bound_follows_and_takes_its_slider_along(page: Page) -> None:
    harness.load(page, "cone")
    harness.show(page, "cone", stride=1, unit=20)
    harness.change(page, stride=3)
    bound = harness.part("cone").state(3, 3, 3, 1, 0)["bounds"]["unit"]
    traits = page.evaluate("[window.model.get('unit_max'), window.model.get('unit')]")
    assert traits == [bound, bound]


@pytest.mark.slow
def test_cone_lights_what_a_cell_reads_and_reaches(page: Page) -> None:
    harness.load(page, "cone")
    for layers, kernel, stride, dilation in [
        (3, 3, 2, 1),
        (2, 3, 1, 2),
        (3, 2, 3, 3),
        (2, 1, 2, 1),
    ]:
        setting = {"layers": layers, "kernel": kernel, "stride": stride, "dilation": dilation}
        net = [rflib.Layer(kernel, stride, 0, dilation)] * layers
        cells = rflib.output_size(
            net, harness.part("cone").state(**setting, unit=0)["rows"][0]["cells"], steps=True
        )
        for row in range(layers + 1):
            for index in range(cells[row]):
                lit = page.evaluate(
                    "([s, r, i]) => window.module.lights(window.module.state(s), r, i)",
                    [setting | {"unit": 0}, row, index],
                )
                below = [rflib.reads(net[low:row], index) for low in range(row)]
                above = [
                    rflib.reached(net[row:high], index, cells[row])
                    for high in range(row + 1, layers + 1)
                ]
                assert lit == [*map(list, below), [index], *map(list, above)]


@pytest.mark.slow
def test_cone_is_one_stop_of_the_tab_key_and_arrows_walk_in_it(page: Page) -> None:
    harness.load(page, "cone")
    harness.show(page, "cone")
    sentence = page.locator(".rf-sentence")
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowDown")
    assert (
        sentence.inner_text()
        == "Unit 3 of layer 2 reads inputs 12 to 18 and reaches unit 1 of layer 3."
    )
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    assert page.evaluate("window.model.get('unit')") == 2
    page.wait_for_function(
        "document.querySelector('.rf-sentence').textContent.startsWith('Unit 2')"
    )
    assert page.evaluate("document.activeElement.tagName") == "svg"
    page.keyboard.press("Tab")
    assert (
        sentence.inner_text()
        == "Unit 2 of layer 3 reads inputs 16 to 30: receptive field 15, jump 8."
    )


@pytest.mark.slow
def test_planes_take_a_click_on_a_unit_of_c(page: Page) -> None:
    harness.load(page, "planes")
    harness.show(page, "planes", stride=2)
    box = page.locator(".rf-picture svg").bounding_box()
    assert box
    page.mouse.click(box["x"] + box["width"] - 120, box["y"] + 40)
    assert page.evaluate("[window.model.get('row'), window.model.get('column')]") == [0, 0]


STARTS = {stills.path(name, where).name: (name, values) for name, where, values in stills.starts()}


@pytest.mark.slow
@pytest.mark.parametrize("file", STARTS)
def test_the_committed_still_is_what_the_page_starts_with(page: Page, file: str) -> None:
    path = stills.ROOT / "web" / "stills" / file
    assert path.is_file(), f"no still {file}: run python web/stills.py"
    assert stills.take(page, *STARTS[file]) == path.read_text("utf-8"), "run python web/stills.py"


def test_no_still_is_left_over() -> None:
    assert {path.name for path in (stills.ROOT / "web" / "stills").iterdir()} == {*STARTS}


# Python against the definition.


def brute_force(layers: int, kernel: int, stride: int, dilation: int, unit: int) -> list[set[int]]:
    """Rows of cells from the input up, by nothing but the definition of a layer."""
    rows = [{unit}]
    for _ in range(layers):
        rows.append({stride * i + dilation * t for i in rows[-1] for t in range(kernel)})
    return rows[::-1]


def test_cone_lights_the_sets_of_the_definition() -> None:
    for setting in product((1, 2, 4), (1, 2, 3, 7), (1, 2, 3), (1, 3), (0, 2)):
        state = harness.part("cone").state(*setting)
        rows = state["rows"]
        assert [set(row["lit"]) for row in rows] == brute_force(*setting[:4], state["unit"])
        assert all(min(row["lit"]) >= 0 and max(row["lit"]) < row["cells"] for row in rows)


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        ((3, 3, 2, 1, 1), "Unit 1 of layer 3 reads inputs 8 to 22: receptive field 15, jump 8."),
        ((3, 3, 1, 1, 0), "Unit 0 of layer 3 reads inputs 0 to 6: receptive field 7, jump 1."),
        (
            (3, 3, 1, 2, 1),
            "Unit 1 of layer 3 reads 7 of the 13 inputs 1 to 13: "
            "receptive field 13 with holes, jump 1.",
        ),
        ((2, 1, 2, 3, 5), "Unit 5 of layer 2 reads input 20 alone: receptive field 1, jump 4."),
    ],
)
def test_cone_says(setting: tuple[int, ...], sentence: str) -> None:
    assert harness.part("cone").state(*setting)["sentence"] == sentence


def read_by(kernel: int, stride: int, size: int, units: set[int]) -> set[int]:
    before = (kernel - 1) // 2
    return {
        i
        for u in units
        for i in range(u * stride - before, u * stride - before + kernel)
        if 0 <= i < size
    }


def test_planes_read_the_sets_of_the_definition() -> None:
    for kernel, stride, unit in product(range(1, 6), (1, 2), range(16)):
        state = harness.part("planes").state(unit, 15 - unit, kernel, stride)
        for axis, first in (("rows", state["row"]), ("columns", state["column"])):
            units = {first}
            for plane in reversed(state["maps"][:-1]):
                units = read_by(kernel, stride, plane["size"], units)
                assert plane[axis] == [min(units), max(units)]
                assert len(units) == max(units) - min(units) + 1


def test_planes_have_the_source_s_numbers_right() -> None:
    """C(3, 3) reads B(2:4, 2:4), A(1:5, 1:5) and the image's (0:6, 0:6)."""
    maps = harness.part("planes").state(3, 3, 3, 1)["maps"]
    assert [plane["rows"] for plane in maps] == [[0, 6], [1, 5], [2, 4], [3, 3]]


# The widgets.


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_is_one_box_of_linked_and_named_controls(name: str) -> None:
    ipywidgets.Widget.close_all()
    box = getattr(rflib.explorers, name)()
    assert box.drawing in box.children
    assert box.drawing._figure == name
    models = ipywidgets.widgets.widget._instances.values()
    linked = {link.target for link in models if isinstance(link, widget_link.Link)}
    for control in harness.part(name).CONTROLS:
        assert (box.drawing, control.name) in linked
    for widget in models:
        if isinstance(widget, ipywidgets.IntSlider | ipywidgets.Dropdown | ipywidgets.Checkbox):
            assert widget.description


@pytest.mark.parametrize("name", FIGURES)
def test_python_s_numbers_follow_every_control(name: str) -> None:
    figure = harness.part(name)
    drawing = getattr(rflib.explorers, name)().drawing
    for control in figure.CONTROLS:
        value = control.values()[-1]
        setattr(drawing, control.name, control.to_wire(value))
        assert drawing.numbers == figure.state(**drawing.controls)


@pytest.mark.parametrize("name", FIGURES)
def test_the_front_end_is_small_and_imports_nothing(name: str) -> None:
    assert len(base.source(name).removeprefix(base._read("base.js"))) < 24_576
    assert not [line for line in base.source(name).splitlines() if line.startswith("import")]


@pytest.mark.parametrize(
    ("initial", "words"),
    [
        ({"kernel": 8}, "kernel is 8; it can be one of 1, 2, 3, 4, 5, 6, 7"),
        ({"width": 3}, "no control 'width'; it has layers, kernel, stride, dilation, unit"),
        ({"kernel": "3"}, "kernel is '3'"),
        ({"kernel": True}, "kernel is True"),
        ({"kernel": 3.0}, "kernel is 3.0"),
    ],
)
def test_a_wrong_start_is_refused_in_words(initial: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match="cone") as error:
        rflib.explorers.cone(**initial)
    assert words in str(error.value)


def test_a_start_beyond_its_bound_is_taken_to_the_bound() -> None:
    box = rflib.explorers.cone(layers=5, kernel=7, stride=3, unit=40)
    assert box.drawing.unit == 2
    box.drawing.layers = 1
    assert box.drawing.unit_max == box.drawing.numbers["bounds"]["unit"] == 11


def test_an_unknown_figure_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no figure 'cones'; it has cone, planes"):
        rflib.explorers.cones  # noqa: B018


@pytest.mark.parametrize("name", FIGURES)
def test_the_reference_tells_readers_of_every_figure(name: str) -> None:
    page = Path(__file__).parents[1] / "chapters" / "api.md"
    assert f".. autofunction:: rflib.explorers.{name}\n" in page.read_text(encoding="utf-8")
    words = getattr(rflib.explorers, name).__doc__ or ""
    assert ">>> " in words
    assert "ValueError" in words
    for control in harness.part(name).CONTROLS:
        start = control.name.rstrip("0123456789")
        assert start in words or (control.label or control.name) in words, control.name
