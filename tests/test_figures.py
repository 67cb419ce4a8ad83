"""The static pictures: same bytes, labelled, legible, and where they should be."""

import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from functools import cache
from itertools import pairwise

import numpy as np
import pytest
import torch

import rflib
from rflib import figures, networks

SVG = "{http://www.w3.org/2000/svg}"


def fields(depth, stem="resnet"):
    return {stage.name: stage.size for stage in networks.stages(depth, stem)}


def bump(side=21, low=5, high=14):
    gradient = np.zeros((side, side))
    gradient[low : high + 1, low : high + 1] = 10.0 ** -np.arange(high - low + 1)
    return gradient


@cache
def measured(axes=2):
    torch.manual_seed(0)
    conv = getattr(torch.nn, f"Conv{axes}d")
    net = torch.nn.Sequential(*(conv(1, 1, 3, padding=1) for _ in range(6)))
    return rflib.effective(net, (1, 1, *[25] * axes), samples=2)


PICTURES = {
    "cone": lambda: figures.cone([(3, 2), (3, 1, 0, 2), (3,)], 1, 20),
    "effective_map": lambda: figures.effective_map(measured()),
    "effective_profile": lambda: figures.effective_profile(measured(), axis=1),
    "effective_profile 1-D": lambda: figures.effective_profile(measured(1)),
    "gradient_map": lambda: figures.gradient_map(bump(), truth=((4, 15), (5, 14))),
    "gradient_profile": lambda: figures.gradient_profile(bump(), truth=(4, 15)),
    "gradient_profile 1-D": lambda: figures.gradient_profile([0.0, 1.0, 0.0]),
    "on_photograph": lambda: figures.on_photograph(
        {"one": ((-9, 20), (4, 33)), "two": ((90, 120), (200, 230))}
    ),
    "stages_on_photograph 18": lambda: figures.stages_on_photograph(18),
    "stages_on_photograph 50": lambda: figures.stages_on_photograph(50),
    "staircase": lambda: figures.staircase(
        {"ResNet-18": fields(18), "ResNet-50": fields(50), "patches": fields(18, "patchify")}
    ),
    "bars": lambda: figures.bars({"VGG-16": 212, "ResNet-50": 427, "image": 224}),
    "unit_regions": lambda: figures.unit_regions(upsampled(), range(20, 28)),
}


@cache
def upsampled():
    """Units that read 3 and 4 inputs by turns."""
    from torch import nn

    return rflib.trace(
        nn.Sequential(nn.Conv1d(1, 1, 3), nn.ConvTranspose1d(1, 1, 3, 2)), (1, 1, 32)
    ).output


@pytest.fixture(scope="module")
def drawn():
    """Every picture and its SVG."""
    return {name: (made := make(), made.svg()) for name, make in PICTURES.items()}


def test_importing_needs_the_standard_library_alone():
    code = (
        "import sys, rflib.figures as f; f.photograph_data(); "
        "assert not {'matplotlib', 'numpy', 'torch', 'PIL'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.slow
@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_is_the_same_bytes_each_time(drawn, name):
    once, again = drawn[name][1], PICTURES[name]().svg()
    assert once == again


def test_drawing_a_picture_does_not_move_it():
    picture = PICTURES["gradient_map"]()
    assert picture.svg() == picture.svg()


@pytest.mark.slow
@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_is_fit_for_a_page(drawn, name):
    picture, svg = drawn[name]
    root = ElementTree.fromstring(svg)  # well-formed
    assert root.get("role") == "img"
    assert root.get("aria-label") == picture.alt
    assert len(svg.encode()) < 120_000
    assert "<style" not in svg
    assert "DejaVu" not in svg
    assert "<metadata" not in svg
    assert all(f"#{identity}" in svg for identity in re.findall(r' id="([^"]*)"', svg))


@pytest.mark.parametrize("name", ["cone", "on_photograph"])
def test_a_picture_as_a_file_is_alike_in_any_viewer(tmp_path, drawn, name):
    picture = drawn[name][0]
    picture.save(tmp_path / "a.svg")
    text = (tmp_path / "a.svg").read_text(encoding="utf-8")
    root = ElementTree.fromstring(text)
    assert root.get("role") == "img"
    assert root.get("aria-label") == picture.alt
    assert "var(" not in text  # which viewers other than browsers do not know
    paper, *_ = root
    assert (paper.tag, paper.get("width"), paper.get("height")) == (f"{SVG}rect", "100%", "100%")


def test_png_and_pdf_carry_the_words_too(tmp_path):
    from PIL import Image

    picture = PICTURES["cone"]()
    picture.save(tmp_path / "a.PNG")
    picture.save(str(tmp_path / "a.pdf"))
    with Image.open(tmp_path / "a.PNG") as image:
        assert image.text["Description"] == picture.alt
        assert min(image.convert("L").getpixel((0, 0)), 250) == 250  # paper, not transparent
    assert picture.alt[:20].encode() in (tmp_path / "a.pdf").read_bytes()
    with pytest.raises(ValueError, match=r"'b\.gif'; allowed: names that end in \.svg, \.png or"):
        picture.save("b.gif")


def test_a_notebook_gets_html_and_words():
    bundle = PICTURES["gradient_profile"]()._repr_mimebundle_()
    assert set(bundle) == {"text/html", "text/plain"}
    assert bundle["text/plain"].startswith("Picture: Profile of a gradient")
    assert bundle["text/html"].startswith('<div class="rflib-picture"><style>')
    # Rules that name our own class only: a style in an output holds for the whole page.
    style = re.search(r"<style>(.*?)</style>", bundle["text/html"])[1]
    selectors = re.findall(r"(?:^|[{},])([^{}@,;]+)(?=[,{])", style)
    assert selectors
    assert all(".rflib-picture" in selector for selector in selectors)


@pytest.mark.parametrize("name", PICTURES)
def test_text_is_text_of_nine_points_or_more(drawn, name):
    root = ElementTree.fromstring(drawn[name][1])
    texts = [node for node in root.iter() if node.tag in (f"{SVG}text", f"{SVG}tspan")]
    sizes = [
        re.search(r"font(?:-size)?: [^;]*?([\d.]+)px", node.get("style", "")) for node in texts
    ]
    assert min(float(size[1]) for size in sizes if size) >= 9


@pytest.mark.parametrize("name", PICTURES)
def test_every_colour_follows_the_page(drawn, name):
    svg = re.sub(r"var\([^)]*\)|base64,[^\"]*", "", drawn[name][1])
    fixed = set(re.findall(r"#[0-9a-f]{6}\b", svg)) - {"#ffffff", "#1c2129"}
    # Only what stands on a photograph (white, its label) or in a colour bar keeps its colour.
    assert not fixed or name == "gradient_map"


def luminance(colour):
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return float(np.dot(linear, [0.2126, 0.7152, 0.0722]))


def contrast(one, two):
    light, dark = sorted((luminance(one), luminance(two)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("colour", ["INK", "MUTED", "BLUE", "WARM", "GREEN", "PURPLE"])
def test_colours_are_legible_on_light_and_dark(colour):
    light = getattr(figures, colour)
    assert contrast(light, figures.PAPER) >= 4.5
    assert contrast(figures._ON_DARK[light], figures._ON_DARK[figures.PAPER]) >= 4.5


def test_show_displays_a_figure_of_ones_own(monkeypatch):
    import IPython.display
    from matplotlib.figure import Figure

    seen = []
    monkeypatch.setattr(IPython.display, "display", seen.append)
    figure = Figure()
    figure.subplots().plot([1, 2])
    figures.show(figure, "A line that rises & falls.")
    assert 'aria-label="A line that rises &amp; falls."' in seen[0].svg()
    with pytest.raises(ValueError, match="alt is ' '"):
        figures.show(figure, " ")


# --- the photograph -------------------------------------------------------------------------------


def test_the_photograph_is_what_its_function_makes(tmp_path):
    figures.make_photograph(tmp_path / "p.b64")
    assert (tmp_path / "p.b64").read_text() == figures.photograph_data()
    assert figures.photograph().shape == (224, 224, 3)
    assert len(figures.photograph_data()) < 25_000


def path_boxes(svg, start):
    """The corners of the closed rectangles among the paths, in drawing units."""
    found = []
    for d, style in re.findall(r'<path d="([^"]*)"[^>]*style="([^"]*)"', svg):
        if start in style:
            numbers = np.array(re.findall(r"-?[\d.]+", d), dtype=float).reshape(-1, 2)
            found.append((*numbers.min(axis=0), *numbers.max(axis=0)))
    return found


def test_boxes_stand_on_the_photograph_where_the_region_is():
    """The drawing is read back: pixel i of the image covers i - 0.5 to i + 0.5."""
    rows, columns = (-9, 20), (204, 233)
    svg = figures.on_photograph({"unit": (rows, columns)}).svg()
    a, _, _, d, e, f = map(float, re.search(r"<image.*?matrix\(([^)]*)\)", svg)[1].split())
    assert a == pytest.approx(d)

    def pixels(box):
        x0, y0, x1, y1 = box
        return [round((x - e) / a, 2) for x in (x0, x1)], [round((y - f) / a, 2) for y in (y0, y1)]

    white, blue = path_boxes(svg, "stroke-width: 4") + path_boxes(svg, "stroke-width: 2")
    assert pixels(blue) == pixels(white) == ([204, 234], [-9, 21])
    hatched = [pixels(box) for box in path_boxes(svg, "fill: url(#")]
    assert sorted(hatched) == sorted([([204, 234], [-9, 0]), ([224, 234], [0, 21])])


def test_the_photograph_stands_for_images_of_any_shape():
    svg = figures.on_photograph({"unit": ((10, 49), (-20, 99))}, shape=(60, 480)).svg()
    a, _, _, d, e, f = map(float, re.search(r"<image.*?matrix\(([^)]*)\)", svg)[1].split())

    def pixels(box):
        x0, y0, x1, y1 = box
        across = [round((x - e) / a / 224 * 480, 1) for x in (x0, x1)]
        return across, [round((y - f) / d / 224 * 60, 1) for y in (y0, y1)]

    assert a / d == pytest.approx(480 / 60, rel=1e-3)
    (box,) = path_boxes(svg, "stroke-width: 2")
    (outside,) = path_boxes(svg, "fill: url(#")
    assert pixels(box) == ([-20, 100], [10, 50])
    assert pixels(outside) == ([-20, 0], [10, 50])


@pytest.mark.parametrize("stages", [8, 9, 30])
def test_names_of_many_stages_do_not_collide(stages):
    picture = figures.staircase({"net": {f"layer {i}": 3 + 2 * i for i in range(stages)}})
    picture.figure.canvas.draw()
    boxes = [label.get_window_extent() for label in picture.figure.axes[0].get_xticklabels()]
    assert len(boxes) == stages
    assert all(one.x1 <= other.x0 for one, other in pairwise(boxes))


@pytest.mark.parametrize("shape", [(224, 224), (50, 300)])
@pytest.mark.parametrize(
    "box",
    [((0, 5), (0, 5)), ((-9, 400), (-3, 400)), ((-9, -2), (3, 4)), ((230, 300), (-20, 10))],
)
def test_outside_is_the_box_without_the_photograph(box, shape):
    def cells(rectangle):
        (top, bottom), (left, right) = rectangle
        return [(y, x) for y in range(top, bottom + 1) for x in range(left, right + 1)]

    parts = [cell for part in figures._outside(box, shape) for cell in cells(part)]
    assert len(parts) == len(set(parts))
    rows, columns = shape
    assert set(parts) == {c for c in cells(box) if not (0 <= c[0] < rows and 0 <= c[1] < columns)}


def test_bars_are_hatched_from_the_image_on():
    solid, hatched = figures.bars({"a": 212, "b": 427}).figure.axes[0].containers
    assert [bar.get_width() for bar in solid] == [212, 224]
    assert [(bar.get_x(), bar.get_width()) for bar in hatched] == [(224, 0), (224, 203)]


def test_stages_show_the_unit_nearest_to_the_place():
    boxes = figures._stage_boxes(networks.resnet_path(18), (0, 120))
    layers = []
    for name, stage in networks.resnet_path(18).items():
        layers += stage
        units = [rflib.region(layers, u) for u in range(rflib.output_size(layers, 224))]
        rows, columns = boxes[name]
        assert rows == units[0]
        off = [abs((first + last) / 2 - 120) for first, last in units]
        assert abs(sum(columns) / 2 - 120) == min(off)


# --- gradients ------------------------------------------------------------------------------------


def test_map_and_profile_take_a_probe():
    found = rflib.probe(networks.cnn(), input_size=(1, 1, 60, 60))
    picture = figures.gradient_map(found, truth=found.region)
    assert "35 by 35 pixels" in picture.alt
    assert "35 pixels" in figures.gradient_profile(found, truth=found.region[0]).alt


def test_gradients_that_broke_are_drawn_and_told():
    zeros = np.zeros((6, 6))
    assert figures.gradient_map(zeros).alt == "Heat map of a gradient. It is zero everywhere."
    assert "zero everywhere" in figures.gradient_profile(zeros).alt
    figures.gradient_map(zeros).svg()
    figures.gradient_profile(zeros).svg()
    broken = zeros.copy()
    broken[1, 1], broken[2, 3], broken[4, 4] = np.inf, 1.0, np.nan
    picture = figures.gradient_map(broken)
    assert "rows 1 to 4 and columns 1 to 4" in picture.alt
    picture.svg()


# --- the effective field --------------------------------------------------------------------------


def test_the_words_of_an_effective_field_are_its_numbers():
    found = measured()
    alt = figures.effective_map(found, shares=(0.3, 0.95)).alt
    assert f"30% of the mass: {found.area(0.3)} pixels" in alt
    assert f"95% of the mass: {found.area(0.95)} pixels" in alt
    assert "rows 6 to 18, columns 6 to 18: 13 by 13 pixels" in alt
    alt = figures.effective_profile(found, axis=1).alt
    assert f"sigma {found.sigma[1]:.1f}, 95% of it in {found.side()[1]} pixels" in alt
    assert f"Gaussian has sigma {found.gaussian().sigma[1]:.1f}" in alt
    bare = rflib.effective(torch.nn.Conv2d(1, 1, 3), (1, 1, 9, 9), samples=1, theoretical=False)
    assert "theoretical" not in figures.effective_map(bare).alt
    assert "theoretical" not in figures.effective_profile(bare).alt
    figures.effective_map(bare, shares=()).svg()


def inside(loops, x, y):
    """Even-odd: how many edges of the loops stand to the right of a point."""
    crossed = 0
    for loop in loops:
        for (x0, y0), (x1, y1) in pairwise(loop):
            crossed += x0 == x1 and x0 > x and min(y0, y1) < y < max(y0, y1)
    return crossed % 2 == 1


@pytest.mark.parametrize("seed", range(8))
def test_an_outline_goes_around_what_is_held(seed):
    held = np.random.default_rng(seed).random((7, 9)) < 0.15 + seed / 10
    loops = figures._loops(held)
    found = [[inside(loops, x, y) for x in range(9)] for y in range(7)]
    assert np.array_equal(found, held)
    for loop in loops:
        assert loop[0] == loop[-1]
        steps = [(x0 == x1, y0 == y1) for (x0, y0), (x1, y1) in pairwise(loop)]
        assert all(a != b for a, b in zip(steps, [*steps[1:], steps[0]], strict=True))  # corners
    assert figures._loops(np.zeros((3, 3), dtype=bool)) == []


def test_pixels_that_tie_are_outlined_together():
    mass = np.array([[1.0, 2, 2 + 1e-12], [2 - 1e-12, 3, 1]])
    assert np.array_equal(figures._holding(mass, 2), [[0, 1, 1], [1, 1, 0]])
    assert figures._holding(mass, 1).sum() == 1
    assert figures._holding(mass, 6).all()


# --- bad input ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: figures.on_photograph({}), ValueError, "fields is empty"),
        (lambda: figures.on_photograph({"a": (1, 2)}), TypeError, "fields['a'] is (1, 2)"),
        (lambda: figures.on_photograph({"a": ((0, -1), (0, 3))}), ValueError, "which is empty"),
        (lambda: figures.stages_on_photograph(19), ValueError, "depth is 19"),
        (lambda: figures.stages_on_photograph(18, place=(0, 224)), ValueError, "place holds 224"),
        (lambda: figures.stages_on_photograph(18, place=(0, 0.5)), TypeError, "place must be"),
        (lambda: figures.effective_map(measured(1)), ValueError, "result has 1 axes"),
        (lambda: figures.effective_map(measured(), [0.1] * 4), ValueError, "shares has 4"),
        (lambda: figures.effective_map(measured(), [0]), ValueError, "share=0: must be above 0"),
        (lambda: figures.effective_map(bump()), TypeError, "allowed: what rflib.effective"),
        (lambda: figures.effective_profile(None), TypeError, "result is None; allowed"),
        (lambda: figures.effective_profile(measured(), 2), ValueError, "axis is 2"),
        (lambda: figures.gradient_map([1.0]), ValueError, "gradient has 1 axes"),
        (lambda: figures.gradient_map(bump(), truth=(1, 2)), TypeError, "truth is (1, 2)"),
        (lambda: figures.gradient_profile([1.0], axis=1), ValueError, "axis is 1"),
        (lambda: figures.staircase(dict.fromkeys("abcdefg", fields(18))), ValueError, "has 7"),
        (lambda: figures.unit_regions(upsampled(), [3]), TypeError, "units is [3]"),
        (lambda: figures.unit_regions(upsampled(), range(0)), TypeError, "units is range(0, 0)"),
        (lambda: figures.unit_regions(upsampled(), range(99, 101)), ValueError, "from 0 to 60"),
        (lambda: figures.unit_regions(upsampled(), range(3), 1), ValueError, "axis is 1"),
        (lambda: figures.bars({}), ValueError, "fields is empty"),
        (lambda: figures.bars({"a": 0}), ValueError, "fields['a']"),
        (lambda: figures.staircase({}), ValueError, "networks have the stages []"),
        (lambda: figures.staircase({"a": {"x": 1}, "b": {"y": 1}}), ValueError, "same stages"),
    ],
)
def test_bad_input_is_named(call, error, words):
    with pytest.raises(error) as caught:
        call()
    assert words in str(caught.value)
