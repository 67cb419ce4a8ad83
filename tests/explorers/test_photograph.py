"""The photograph: padding moves a field and never resizes it; a click chooses the nearest unit."""

import pytest

from explorers import harness
from rflib import networks
from rflib.explorers import _photograph as figure

START = {"network": 18, "stage": 2, "row": 9, "column": 14, "padding": 3}


def state(**changes):
    return figure.state(**{**START, **changes})


@pytest.mark.parametrize("network", [18, 50])
@pytest.mark.parametrize("stage", range(5))
def test_padding_moves_the_field_by_a_pixel_a_step_and_never_its_size(network, stage):
    fields = [
        state(network=network, stage=stage, row=2, column=3, padding=padding)
        for padding in range(7)
    ]
    size = networks.stages(network)[stage].size
    for padding, found in enumerate(fields):
        for side in ("rows", "columns"):
            first, last = found[side]
            assert last - first + 1 == found["size"] == size
            assert first == fields[3][side][0] + 3 - padding


def test_a_unit_at_the_border_says_what_it_misses():
    assert state(stage=4, row=0, column=3)["sentence"] == (
        "The field of unit 0, 3 of layer4 has rows −217 to 217 and columns −121 to 313: 435×435 "
        "pixels, whatever the padding. Of these it reads 218×224, 25.8 %; the rest lies "
        "outside the image."
    )
    assert state()["sentence"].endswith("All of them lie inside the image.")


def test_a_row_that_no_window_reaches_is_not_called_padding():
    # (224 - 7) // 2 + 1 = 109 windows without padding: the last one ends at pixel 2*108 + 6 = 222.
    found = state(network=50, stage=4, row=6, column=3, padding=0)
    assert (found["readRows"], found["readColumns"]) == ([0, 222], [0, 222])
    assert found["rows"][1] > 223
    assert found["sentence"].endswith(
        "Of these it reads 223×223, 27.3 %; the rest lies outside the image or in "
        "row 223 and column 223, which no window reaches."
    )


def test_it_says_where_units_look():
    found = state(stage=4, row=3, column=0)
    assert (found["looks"], found["centre"]) == ([0, 192], [96, 0])
    for network, stage, padding in ((18, 0, 0), (50, 2, 5), (18, 3, 6)):
        found = state(network=network, stage=stage, row=1, column=2, padding=padding)
        for at, side in zip(found["centre"], ("rows", "columns"), strict=True):
            assert 2 * at == sum(found[side])
        assert found["looks"][1] - found["looks"][0] == (found["units"] - 1) * found["jump"]


def test_a_unit_beyond_the_map_is_the_last_one():
    found = state(stage=4, row=57, column=30)
    assert (found["row"], found["column"]) == (6, 6)
    assert found["bounds"] == {"row": 6, "column": 6}


def test_the_sliders_reach_every_unit_there_can_be():
    most = max(
        state(network=n, stage=stage, padding=padding)["units"]
        for n in (18, 50)
        for stage in range(5)
        for padding in range(7)
    )
    bounds = {c.name: c.high for c in figure.CONTROLS if c.name in ("row", "column")}
    assert bounds == {"row": most - 1, "column": most - 1}


@pytest.mark.slow
@pytest.mark.parametrize("stage", [2, 4])
def test_a_click_chooses_the_unit_nearest_to_it(stage):
    with harness.chromium() as browser:
        page = browser.new_page(viewport={"width": 760, "height": 700})
        harness.load(page, "photograph")
        harness.show(page, "photograph", stage=stage)
        box = page.locator("[data-scene] image").bounding_box()
        pixel_row, pixel_column = 40, 150
        scale = box["width"] / 224
        page.mouse.click(
            box["x"] + (pixel_column + 0.5) * scale, box["y"] + (pixel_row + 0.5) * scale
        )
        row, column = page.evaluate("[window.model.get('row'), window.model.get('column')]")
    units = state(stage=stage)["units"]
    for pixel, side, chosen in ((pixel_row, "row", row), (pixel_column, "column", column)):
        ends = [state(stage=stage, **{side: unit})[f"{side}s"] for unit in range(units)]
        off = [abs((first + last) / 2 - pixel) for first, last in ends]
        assert off[chosen] == min(off)
