"""The stem bench: the networks' numbers, true words, and a chosen stem that brings its own."""

import pytest

import rflib
from explorers import harness
from rflib import networks
from rflib.explorers import _stembench as bench

OWN = {"stem": "resnet", "body": 18, "kernel": 7, "stride": 2, "stage": 4, "pool": True}


def state(**changes):
    return bench.state(**{**OWN, **changes})


def test_the_menu_has_every_stem():
    assert set(bench.STEMS) == set(networks.STEMS)


def test_resnet_says():
    assert state(stage=3)["sentence"] == (
        "The field of a unit of layer3 is 211 pixels a side; "
        "the next unit's field lies 16 pixels further on. "
        "It spans 88.7 % of the image. "
        "The stem takes 118.0 million multiply-adds of 1,402.5 million up to here."
    )
    assert "reaches beyond the border and spans the whole image" in state()["sentence"]
    assert "up to here" not in state(stage=0)["sentence"]


def test_a_stride_beyond_the_kernel_and_a_map_that_collapses_are_said_in_words():
    far = state(stem="three-last", kernel=3, stride=8)
    assert "5 of every 8 rows and columns are read by no unit" in far["sentence"]
    assert "The map has shrunk to 1×1 units" in far["sentence"]
    layers = list(networks.stem("three-last", 3, 8).layers)
    unread = [pixel for pixel in range(32) if not rflib.reached(layers, pixel, 64)]
    assert [pixel % 8 for pixel in unread[:5]] == [3, 4, 5, 6, 7]


@pytest.mark.parametrize(("stage", "share", "ratio"), [(0, "0.2", "0.2"), (4, "100.0", "377.1")])
def test_shares(stage, share, ratio):
    found = state(stage=stage)
    assert (found["share"], found["ratio"]) == (share, ratio)
    first, last = found["inside"]
    assert float(share) == round(100 * (last - first + 1) ** 2 / 224**2, 1)
    assert float(ratio) == round(100 * found["stages"][stage]["size"] ** 2 / 224**2, 1)


def test_the_others_are_the_other_stems_as_they_are():
    names = [other["stem"] for other in state()["others"]]
    assert names == [name for name in networks.STEMS if name != "resnet"]
    changed = state(kernel=5)
    assert changed["changed"]
    assert [other["stem"] for other in changed["others"]] == list(networks.STEMS)
    assert changed["others"][0]["sizes"] == [11, 43, 99, 211, 435]


def test_a_named_stem_starts_as_it_is():
    drawing = rflib.explorers.stembench(stem="patchify", stride=2).drawing
    assert drawing.controls == {**OWN, "stem": "patchify", "kernel": 4, "stride": 2, "pool": False}
    with pytest.raises(ValueError, match="stem is 'vgg'"):
        rflib.explorers.stembench(stem="vgg")


@pytest.mark.slow
def test_a_chosen_stem_brings_its_own_kernel_stride_and_pool():
    with harness.chromium() as browser:
        page = browser.new_page(viewport={"width": 760, "height": 600})
        harness.load(page, "stembench")
        harness.show(page, "stembench", kernel=5)
        read = "['kernel', 'stride', 'pool'].map((name) => window.model.get(name))"
        assert page.evaluate(read) == [5, 2, True]  # a start of one's own is left alone
        names = list(bench.STEMS)
        for name in ("patchify", "three", "resnet"):
            harness.change(page, stem=names.index(name))
            harness.change(page)
            own = networks.STEMS[name]
            expected = [own.convs[0].kernel, own.convs[0].stride, own.pool is not None]
            assert page.evaluate(read) == expected
        harness.change(page, kernel=9)
        assert page.evaluate(read) == [9, 2, True]
        assert page.locator(".rf-picture").get_by_text("9×9/2 …").count() == 1


def test_gaps_are_told_where_there_are_any():
    assert "spans 93.8 % of the image, gaps included." in state(kernel=1, stride=8)["sentence"]
    assert "gaps" not in state(kernel=1, stride=8, pool=False, stage=0)["sentence"]


def test_little_is_not_called_nothing():
    assert (
        "It spans less than 0.1 % of the image." in state(kernel=1, pool=False, stage=0)["sentence"]
    )
