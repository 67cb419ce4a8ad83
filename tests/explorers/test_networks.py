"""The networks: the stored table is what a trace finds, and the page agrees on every unit."""

import json

import pytest
import torch

import rflib
from explorers import harness
from rflib.explorers import _networks as figure
from rflib.explorers import _networks_trace as bench

START = {"network": "resnet50", "stage": 5, "row": 3, "column": 3}


def state(**changes):
    return figure.state(**{**START, **changes})


def stages(network):
    return {stage["label"]: stage for stage in state(network=network)["stages"]}


@pytest.mark.slow
def test_the_stored_table_is_today_s():
    assert bench.FILE.read_text(encoding="utf-8") == bench.text(), (
        "run python -m rflib.explorers._networks_trace"
    )


def test_published_fields():
    """Araujo et al. 2019, and for strides on the 3x3 the recurrence."""
    last = {name: list(stages(name).values())[-1] for name in figure.networks_data()}
    sizes = {name: stage["size"] for name, stage in last.items()}
    assert sizes["alexnet"] == 195
    assert sizes["vgg16"] == 212
    assert sizes["inception_v3"] == 1311
    assert sizes["mobilenet_v1"] == 315
    assert sizes["resnet50_1x1"] == 483
    for name, depth in (("resnet18", 18), ("resnet50", 50), ("resnet152", 152)):
        assert sizes[name] == rflib.networks.stages(depth)[-1].size


@pytest.mark.slow
@pytest.mark.parametrize("name", bench.NETWORKS)
@pytest.mark.parametrize("place", [0.0, 0.4, 1.0])
def test_a_unit_s_field_is_the_one_that_the_network_has(name, place):
    """Rows and columns apart: the table is made from units on the diagonal."""
    shown = bench.NETWORKS[name]
    with torch.device("meta"):
        traced = rflib.trace(shown.build(), (1, 3, 224, 224))
    for at, path in enumerate(shown.stages.values(), start=1):
        units = state(network=name, stage=at)["stages"][at - 1]["units"]
        row, column = round(place * (units - 1)), units // 3
        found = state(network=name, stage=at, row=row, column=column)
        field = traced[path].local
        unit = (row, column) if len(field.units) == 2 else (1 + row * units + column,)
        rows, columns = field.region(unit)
        assert found["insideRows"] == [rows.first, rows.last]
        assert found["insideColumns"] == [columns.first, columns.last]
        assert bool(found["through"]) == bool(traced[path].global_)


def test_words():
    assert state()["sentence"] == (
        "Unit 3, 3 of layer4 has a field of 427×427 pixels. It covers the whole image and hangs "
        "over it, by 117 pixels above, 86 below, 117 on the left and 86 on the right: "
        "72.5 % of it is not in the image."
    )
    assert state(network="vgg16", stage=5, row=2, column=3)["sentence"] == (
        "Unit 2, 3 of pool 5 has a field of 212×212 pixels. It covers 78.6 % of the image and "
        "hangs over it, by 26 pixels above: 12.3 % of it is not in the image."
    )
    assert state(network="alexnet", stage=2)["sentence"].endswith("and hangs over no border.")
    assert state(network="vit_b_16", stage=2)["sentence"].endswith(
        "Strictly it depends on every pixel, through attention."
    )


def test_shares_are_those_of_the_pixels():
    for name in figure.networks_data():
        found = state(network=name, stage=8, row=0, column=111)
        read, within = 1, 1
        for side in ("rows", "columns"):
            first, last = found[f"inside{side.title()}"]
            read *= last - first + 1
            field = range(found[side][0], found[side][1] + 1)
            within *= sum(0 <= pixel < 224 for pixel in field)
        size = found["stages"][-1]["size"]
        assert float(found["share"]) == pytest.approx(100 * read / 224**2, abs=0.0501)
        assert float(found["beyond"]) == pytest.approx(100 - 100 * within / size**2, abs=0.0501)


def test_a_rim_that_no_unit_reads_is_in_the_image():
    """Inception-v3 does not pad its first windows: on 224 pixels the last three are left out."""
    found = state(network="inception_v3", stage=7, row=2, column=2)
    assert found["insideRows"] == [0, 220]
    assert found["share"] == "97.3"
    assert found["over"][:2] == [618 - 2 * 32, -618 + 2 * 32 + 1311 - 224]
    assert sum(found["over"][:2]) + 224 == 1311
    assert float(found["beyond"]) == pytest.approx(100 - 100 * 224**2 / 1311**2, abs=0.0501)


def test_beyond_the_last_stage_and_unit_are_the_last_ones():
    found = state(stage=8, row=111, column=50)
    assert (found["stage"], found["row"], found["column"]) == (5, 6, 6)
    assert found["bounds"] == {"stage": 5, "row": 6, "column": 6}


def test_the_sliders_reach_every_stage_and_unit_there_can_be():
    highs = {c.name: c.high for c in figure.CONTROLS if c.name != "network"}
    all_stages = [entry["stages"] for entry in figure.networks_data().values()]
    most = max(stage[5] for each in all_stages for stage in each)
    assert highs == {"stage": max(map(len, all_stages)), "row": most - 1, "column": most - 1}


@pytest.mark.slow
def test_the_page_agrees_on_every_unit():
    """Rows and columns do not meet: each unit of every stage as row, another one as column."""
    settings = [
        {"network": name, "stage": at, "row": row, "column": (5 * row + 1) % stage[5]}
        for name, entry in figure.networks_data().items()
        for at, stage in enumerate(entry["stages"], start=1)
        for row in range(stage[5])
    ]
    with harness.chromium() as browser:
        page = browser.new_page()
        harness.load(page, "networks")
        shown = harness.states(page, settings)
    for setting, found in zip(settings, shown, strict=True):
        assert found == json.loads(json.dumps(figure.state(**setting))), setting


@pytest.mark.slow
def test_clicks_choose_a_stage_and_the_unit_nearest():
    with harness.chromium() as browser:
        page = browser.new_page(viewport={"width": 760, "height": 700})
        harness.load(page, "networks")
        harness.show(page, "networks")
        page.locator("[data-stage='4']").click()
        assert page.evaluate("window.model.get('stage')") == 4
        page.wait_for_function("document.querySelector('.rf-sentence').textContent.includes('r3')")
        box = page.locator("[data-scene] image").bounding_box()
        scale = box["width"] / 224
        page.mouse.click(box["x"] + 150.5 * scale, box["y"] + 40.5 * scale)
        row, column = page.evaluate("[window.model.get('row'), window.model.get('column')]")
    assert (row, column) == (round(40 / 16), round(150 / 16))
