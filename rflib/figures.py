"""Static pictures, in one style, that read the same on light and on dark pages.

Each function returns a `Picture`: a matplotlib figure together with its alternative text. At the
end of a notebook's cell it shows itself as SVG with that text; `show` does the same for a figure of
your own. The SVG is the same bytes every time, needs no font that is not there, and takes its
colours from the page's theme (`_repr_mimebundle_` says how). Matplotlib is loaded on call.

Colours follow Okabe and Ito (2008) and never speak alone: what is blue is also solid, what is
orange is also dashed or hatched.
"""

from __future__ import annotations

import io
import re
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cache
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rflib.inputsize import output_size
from rflib.layers import Layer, read, told, whole
from rflib.networks import Stem, resnet_path
from rflib.recurrence import recurrence
from rflib.regions import Region, reads, region

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy import ndarray

    from rflib.effective import Effective
    from rflib.trace import Field

__all__ = [
    "Picture",
    "bars",
    "cone",
    "effective_map",
    "effective_profile",
    "gradient_map",
    "gradient_profile",
    "make_photograph",
    "on_photograph",
    "photograph",
    "photograph_data",
    "show",
    "stages_on_photograph",
    "staircase",
    "unit_regions",
]

Box = tuple[tuple[int, int], tuple[int, int]]
"""(first, last) row and (first, last) column."""

WIDTH = 4.8  # inches; on a phone of 390 px a text of 11 pt then still has 11 px
PHOTOGRAPH_SIZE = 224
_SQUARE = (PHOTOGRAPH_SIZE, PHOTOGRAPH_SIZE)

# On a light page, on a dark page. The light ones are what matplotlib draws with.
INK, MUTED, LINE, FAINT = "#1c2128", "#57606a", "#c5ccd3", "#e4e8ec"
BLUE, SOFT, WARM, GREEN, PURPLE = "#0072b2", "#cfe5f3", "#b84a00", "#00745a", "#8f4a78"
PAPER = "#fefefe"
_ON_DARK = {
    INK: "#e6eaee",
    MUTED: "#a3adb8",
    LINE: "#4a535e",
    FAINT: "#2d343c",
    BLUE: "#56b4e9",
    SOFT: "#173a50",
    WARM: "#f0a35e",
    GREEN: "#3cc4a0",
    PURPLE: "#d99cc4",
    PAPER: "#14181d",
}
_DARK_PAGES = (
    'html[data-theme="dark"]',
    'html[theme="dark"]',
    'body[data-jp-theme-light="false"]',
    "body.vscode-dark",
)
SUFFIXES = (".svg", ".png", ".pdf")
_SUFFIXES_TOLD = ".svg, .png or .pdf"
_FONTS = "-apple-system,'Segoe UI',Roboto,'Helvetica Neue',Arial,sans-serif"


@dataclass(frozen=True)
class Picture:
    """A matplotlib figure and the text that says what it shows."""

    figure: Figure
    alt: str

    def __post_init__(self) -> None:
        if not isinstance(self.alt, str) or not self.alt.strip():
            raise ValueError(f"alt is {self.alt!r}; allowed: a text that says what one sees")

    def svg(self) -> str:
        """The picture as one `<svg role="img">`, labelled with the alternative text."""
        return _inline(_rendered(self.figure, self.alt), self.alt)

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        """SVG inside HTML: there a picture can have a label, and its colours follow the page.

        Colours are CSS variables with light values, which the known dark pages (the book,
        JupyterLab, Colab, VS Code) replace; on any other page, and in print, they are light.
        """
        light = "".join(f"{_variable(c)}:{c};" for c in _ON_DARK)
        dark = "".join(f"{_variable(c)}:{d};" for c, d in _ON_DARK.items())
        pages = ",".join(f"{page} .rflib-picture" for page in _DARK_PAGES)
        style = (
            f".rflib-picture{{{light}margin:8px 0}}"
            f".rflib-picture *{{stroke-linejoin:round;stroke-linecap:butt}}"
            f"@media not print{{{pages}{{{dark}}}}}"
        )
        html = f'<div class="rflib-picture"><style>{style}</style>{self.svg()}</div>'
        return {"text/plain": f"Picture: {self.alt}", "text/html": html}

    def save(self, path: str | Path) -> None:
        """Write the picture as a file, on white paper: SVG, PNG or PDF by the path's suffix.

        The SVG is labelled with the alternative text; PNG and PDF carry it in their metadata.
        Raises ValueError for other suffixes, OSError where the file cannot be written.
        """
        suffix = Path(path).suffix.lower()
        if suffix not in SUFFIXES:
            raise ValueError(f"path is {str(path)!r}; allowed: names that end in {_SUFFIXES_TOLD}")
        if suffix == ".svg":
            Path(path).write_text(_alone(self.svg()), encoding="utf-8")
            return
        metadata = {"Description" if suffix == ".png" else "Title": self.alt}
        with _style():
            self.figure.savefig(path, facecolor=PAPER, dpi=200, metadata=metadata)


def show(figure: Figure, alt: str) -> None:
    """Display a matplotlib figure of your own with its alternative text, as the book's pictures.

    Use light backgrounds or none. Raises ValueError for an empty text. Needs IPython.
    """
    from IPython.display import display

    display(Picture(figure, alt))  # type: ignore[no-untyped-call]


# --- matplotlib's SVG, made fit for a page --------------------------------------------------------


def _style() -> AbstractContextManager[None]:
    import matplotlib as mpl

    return mpl.rc_context(
        {
            "font.family": ["DejaVu Sans"],  # matplotlib's own, for the layout only: see _inline
            "font.size": 11,
            "text.parse_math": False,  # names are the reader's: a dollar sign is a dollar sign
            "axes.titlesize": 11,
            "axes.labelsize": 11,
            "xtick.labelsize": 10,
            "ytick.labelsize": 10,
            "legend.fontsize": 10,
            "text.color": INK,
            "axes.labelcolor": INK,
            "axes.edgecolor": MUTED,
            "xtick.color": MUTED,
            "ytick.color": MUTED,
            "xtick.labelcolor": INK,
            "ytick.labelcolor": INK,
            "axes.facecolor": "none",
            "figure.facecolor": "none",
            "savefig.facecolor": "none",
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.titlelocation": "left",
            "legend.frameon": False,
            "hatch.linewidth": 0.8,
            "svg.fonttype": "none",
        }
    )


def _figure(height: float, width: float = WIDTH) -> Figure:
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def _finished(figure: Figure, alt: str) -> Picture:
    """The picture with its layout settled: each drawing would move it by a hair otherwise."""
    with _style():
        figure.draw_without_rendering()
    figure.set_layout_engine("none")
    return Picture(figure, alt)


def _rendered(figure: Figure, salt: str) -> str:
    import matplotlib as mpl

    out = io.StringIO()
    with _style(), mpl.rc_context({"svg.hashsalt": salt}):
        figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None})
    return out.getvalue()


def _variable(colour: str) -> str:
    return f"--p{colour[1:]}"


def _inline(document: str, alt: str) -> str:
    """The document as an element of a page: labelled, without global styles or stray ids."""
    body = document[document.index("<svg") :]
    body = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>|<!--.*?-->", "", body, flags=re.S)
    view = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', body)
    assert view is not None  # matplotlib always writes it
    width, height = view.groups()
    shown = round(float(width) * 96 / 72 * 1.3)
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'viewBox="0 0 {width} {height}" role="img" aria-label="{escape(alt)}" '
        f'style="display:block;width:100%;max-width:{shown}px;height:auto;font-family:{_FONTS}">'
    )
    body = head + body[body.index(">") + 1 :]
    used = set(re.findall(r'(?:url\(|href=")#([\w-]+)', body))
    body = re.sub(r'<image [^>]*id="photograph"[^>]*>', _with_jpeg, body)
    body = re.sub(r' id="([\w.-]+)"', lambda m: m[0] if m[1] in used else "", body)
    body = re.sub(r"'DejaVu Sans'", _FONTS, body)
    for colour in _ON_DARK:
        body = body.replace(colour, f"var({_variable(colour)},{colour})")
    return re.sub(r"\s*\n\s*", "\n", body).strip()


def _alone(inline: str) -> str:
    """An element of a page as a file: programs that draw files know no CSS variables."""
    plain = re.sub(r"var\(--p\w+,(#\w+)\)", r"\1", inline)
    paper = f'<rect width="100%" height="100%" fill="{PAPER}"/>'
    return plain.replace(">", f">\n{paper}", 1) + "\n"


def _with_jpeg(match: re.Match[str]) -> str:
    """The committed JPEG in place of the PNG that matplotlib makes of it: a third of the bytes."""
    url = f"data:image/jpeg;base64,{photograph_data()}"
    smooth = re.sub(r' style="[^"]*"', "", match[0])
    return re.sub(r'data:image/png;base64,[^"]*', url, smooth)


# --- the photograph -------------------------------------------------------------------------------


def make_photograph(path: str | Path) -> None:
    """Write the book's photograph as base64 text: 224 x 224 pixels, JPEG.

    It is matplotlib's sample `grace_hopper.jpg` (Rear Admiral Grace M. Hopper, official U.S. Navy
    portrait, public domain): the upper square, made smaller. `rflib/photograph.b64` came from it.
    """
    from matplotlib.cbook import get_sample_data
    from PIL import Image

    with get_sample_data("grace_hopper.jpg") as file:  # type: ignore[union-attr]
        whole_picture = Image.open(file).convert("RGB")
    side = min(whole_picture.size)
    square = whole_picture.crop((0, 0, side, side))
    small = square.resize((PHOTOGRAPH_SIZE, PHOTOGRAPH_SIZE), Image.Resampling.LANCZOS)
    out = io.BytesIO()
    small.save(out, "JPEG", quality=80, optimize=True)
    Path(path).write_text(b64encode(out.getvalue()).decode("ascii"), encoding="ascii")


@cache
def photograph_data() -> str:
    """The photograph as base64 of a JPEG, for `data:image/jpeg;base64,...`."""
    return (files("rflib") / "photograph.b64").read_text(encoding="ascii")


def photograph() -> ndarray[Any, Any]:
    """The photograph as an array of bytes, shape (224, 224, 3)."""
    import numpy as np
    from PIL import Image

    return np.asarray(Image.open(io.BytesIO(b64decode(photograph_data()))))


def on_photograph(
    fields: Mapping[str, Box],
    title: str = "",
    shape: tuple[int, int] = _SQUARE,
) -> Picture:
    """Fields as boxes on the photograph; what lies outside the image is hatched.

    fields: a name for each, and its (first, last) row and (first, last) column as `rflib.region`
    gives them, unclipped, in pixels of the image. shape: rows and columns of the image for which
    the photograph stands; it is stretched to them. Raises TypeError or ValueError for no or empty
    fields, and for ends or a shape that are no integers.

    >>> on_photograph({"corner": ((-3, 7), (0, 10))}).alt
    'A photograph of a woman in uniform with boxes on it. corner: rows −3 to 7, columns 0 to 10.'
    """
    if not fields:
        raise ValueError("fields is empty; allowed: at least one name with its rows and columns")
    _check_looks("fields", fields)
    if not isinstance(title, str):
        raise TypeError(f"title is {title!r}; allowed: a string")
    if not isinstance(shape, tuple | list) or len(shape) != 2:
        raise TypeError(f"shape is {shape!r}; allowed: rows and columns")
    shape = (_checked_size("shape[0]", shape[0]), _checked_size("shape[1]", shape[1]))
    with _style():
        figure = _figure(WIDTH)
        axes = figure.subplots()
        boxes = [_checked_box(f"fields[{name!r}]", box) for name, box in fields.items()]
        _draw_photograph(axes, boxes, shape)
        for index, (name, box) in enumerate(zip(fields, boxes, strict=True)):
            _draw_field(axes, box, index, name if len(fields) > 1 else "", shape)
        axes.set_title(title or ("" if len(fields) > 1 else next(iter(fields))))
    told = ". ".join(
        f"{name}: rows {_range(rows)}, columns {_range(columns)}"
        for name, (rows, columns) in zip(fields, boxes, strict=True)
    )
    return _finished(figure, f"A photograph of a woman in uniform with boxes on it. {told}.")


def stages_on_photograph(
    depth: int = 18,
    stem: Stem | str = "resnet",
    stride_on: str = "3x3",
    place: tuple[int, int] = (112, 112),
) -> Picture:
    """The field of one unit at the end of every stage of a plain ResNet, one photograph a stage.

    place: row and column of a pixel; of every stage the unit is shown whose field's centre is
    nearest to it. The number above is the field's side in pixels. Raises ValueError as
    `rflib.networks.blocks` does, and for a place outside the photograph.

    >>> stages_on_photograph(18).alt
    'ResNet-18 on a photograph of 224 by 224 pixels, the field of one unit a stage: stem 11, \
layer1 43, layer2 99, layer3 211, layer4 435 pixels a side. layer4 reaches beyond it.'
    """
    boxes = _stage_boxes(resnet_path(depth, stem, stride_on), place)
    sizes = {name: _long(rows) for name, (rows, _) in boxes.items()}
    with _style():
        figure = _figure(WIDTH * 0.76)
        panels = list(figure.subplots(2, 3).flat)
        for panel, (name, box) in zip(panels, boxes.items(), strict=False):
            _draw_photograph(panel, [box])
            _draw_field(panel, box, 0)
            panel.set_title(f"{name}: {sizes[name]}")
        panels[-1].set_axis_off()
        words = "box: the field\nof one unit\n\nhatched: outside\nthe image"
        panels[-1].text(0, 0.98, words, va="top")
    outside = [name for name, box in boxes.items() if any(_beyond(ends) for ends in box)]
    alt = (
        f"ResNet-{depth} on a photograph of 224 by 224 pixels, the field of one unit a stage: "
        f"{', '.join(f'{name} {size}' for name, size in sizes.items())} pixels a side."
    )
    if outside:
        alt += f" {' and '.join(outside)} {'reaches' if len(outside) == 1 else 'reach'} beyond it."
    return _finished(figure, alt)


def _stage_boxes(path: Mapping[str, Sequence[Layer]], place: tuple[int, int]) -> dict[str, Box]:
    """For every stage the field of the unit whose centre is nearest to a pixel."""
    boxes: dict[str, Box] = {}
    layers: list[Layer] = []
    for name, stage in path.items():
        layers = [*layers, *stage]
        rows, columns = (_field_near(layers, pixel) for pixel in place)
        boxes[name] = (rows, columns)
    return boxes


def _field_near(layers: Sequence[Layer], pixel: int) -> Region:
    if not 0 <= whole("place", pixel, 0) < PHOTOGRAPH_SIZE:
        raise ValueError(f"place holds {pixel}; allowed: 0 to {PHOTOGRAPH_SIZE - 1}")
    last = recurrence(layers)[-1]
    nearest = round((pixel - last.start) / last.jump)
    most = output_size(layers, PHOTOGRAPH_SIZE) - 1
    found: Region = region(layers, max(0, min(most, nearest)))
    return found


def _checked_box(name: str, box: Any) -> Box:
    try:
        (top, bottom), (left, right) = box
    except (TypeError, ValueError):
        raise TypeError(
            f"{name} is {box!r}; allowed: (first, last) row and (first, last) column"
        ) from None
    for end in (top, bottom, left, right):
        whole(name, end, -(10**15))
        if end > 10**15:
            raise ValueError(f"{name} is {told(box)}; allowed: ends of up to 10**15 pixels")
    if bottom < top or right < left:
        raise ValueError(f"{name} is {box!r}, which is empty: a first is after its last")
    return (top, bottom), (left, right)


def _checked_size(name: str, size: object) -> int:
    """Return a length in pixels that can be drawn."""
    number = whole(name, size, 1)
    if number > 10**300:
        raise ValueError(f"{name} is {told(number)}; allowed: up to 10**300, more cannot be drawn")
    return number


def _checked_axis(axis: object, count: int) -> int:
    number = whole("axis", axis, 0)
    if number >= count:
        raise ValueError(f"axis is {number}; allowed: 0 to {count - 1}")
    return number


def _draw_photograph(axes: Axes, boxes: Sequence[Box], shape: tuple[int, int] = _SQUARE) -> None:
    """The photograph, with room around it for what the boxes have outside."""
    rows, columns = shape
    extent = (-0.5, columns - 0.5, rows - 0.5, -0.5)
    image = axes.imshow(photograph(), interpolation="none", zorder=0, extent=extent)
    image.set_gid("photograph")
    ends = [end for box in boxes for pair in box for end in pair]
    low, high = min(0, *ends), max(*(n - 1 for n in shape), *ends)
    room = 0.02 * (high - low)
    axes.set_xlim(low - 0.5 - room, high + 0.5 + room)
    axes.set_ylim(high + 0.5 + room, low - 0.5 - room)
    axes.set_axis_off()


_LOOKS: tuple[tuple[str, Any], ...] = (
    (BLUE, "-"),
    (WARM, "--"),
    (GREEN, "-."),
    (PURPLE, ":"),
    (INK, (0, (8, 2))),
    (MUTED, (0, (1, 4))),
)


def _check_looks(name: str, given: Mapping[str, Any]) -> None:
    if len(given) > len(_LOOKS):
        raise ValueError(f"{name} has {len(given)} entries; allowed: up to {len(_LOOKS)}")


def _draw_field(
    axes: Axes, box: Box, index: int, label: str = "", shape: tuple[int, int] = _SQUARE
) -> None:
    """The box, cased in white so that it stands out from any photograph; hatched where outside."""
    from matplotlib.patches import Rectangle

    (top, bottom), (left, right) = box
    colour, dashes = _LOOKS[index]
    for (y0, y1), (x0, x1) in _outside(box, shape):
        hatched = Rectangle((x0 - 0.5, y0 - 0.5), x1 - x0 + 1, y1 - y0 + 1)
        hatched.set(facecolor="none", edgecolor=colour, linewidth=0, hatch="////")
        axes.add_patch(hatched)
    for ink, width, style in (("white", 4, "-"), (colour, 2, dashes)):
        edge = Rectangle((left - 0.5, top - 0.5), right - left + 1, bottom - top + 1)
        edge.set(facecolor="none", edgecolor=ink, linewidth=width, linestyle=style)
        axes.add_patch(edge)
    if label:
        axes.annotate(
            label,
            (left - 0.5, top - 0.5),
            xytext=(3, -3),
            textcoords="offset points",
            va="top",
            color="white",
            fontsize=10,
            bbox={"facecolor": "#1c2129", "edgecolor": "none", "pad": 2},
        )


def _outside(box: Box, shape: tuple[int, int] = _SQUARE) -> list[Box]:
    """The parts of a box outside the photograph: above, below, left, right; they do not overlap."""
    (top, bottom), (left, right) = box
    rows, columns = shape
    inside = (max(top, 0), min(bottom, rows - 1))
    parts: list[Box] = [
        ((top, min(bottom, -1)), (left, right)),
        ((max(top, rows), bottom), (left, right)),
        (inside, (left, min(right, -1))),
        (inside, (max(left, columns), right)),
    ]
    return [part for part in parts if all(first <= last for first, last in part)]


def _beyond(ends: tuple[int, int]) -> bool:
    return ends[0] < 0 or ends[1] >= PHOTOGRAPH_SIZE


# --- gradients ------------------------------------------------------------------------------------


def gradient_map(gradient: Any, truth: Sequence[tuple[int, int]] | None = None) -> Picture:
    """A probe's gradient as a heat map on a log scale, with the measured box and the true one.

    gradient: a `Probe`, or a tensor or array of the gradient's magnitudes over rows and columns
    (input pixels). truth: (first, last) row and (first, last) column, drawn dashed. Positions of
    zero gradient stay empty. Raises ValueError unless there are two axes.

    >>> import numpy as np
    >>> gradient = np.zeros((9, 9))
    >>> gradient[2:5, 3:6] = 1.0
    >>> gradient_map(gradient, truth=((2, 4), (3, 6))).alt
    'Heat map of a gradient. It is not zero on rows 2 to 4 and columns 3 to 5: 3 by 3 pixels. \
The dashed box of the formula is rows 2 to 4, columns 3 to 6: 3 by 4 pixels.'
    """
    import numpy as np

    values = _magnitudes(gradient)
    if values.ndim != 2:
        raise ValueError(f"gradient has {values.ndim} axes; allowed: 2")
    rows, columns = _hull(values, 0), _hull(values, 1)
    box = None if rows is None or columns is None else (rows, columns)
    boxes = [None if truth is None else _checked_box("truth", truth), box]
    seen = [each for each in boxes if each is not None]
    y0, y1 = _view([each[0] for each in seen], values.shape[0])
    x0, x1 = _view([each[1] for each in seen], values.shape[1])
    with _style():
        figure = _figure(WIDTH)
        axes = figure.subplots()
        logs = _logs(values)[y0 : y1 + 1, x0 : x1 + 1]
        extent = (x0 - 0.5, x1 + 0.5, y1 + 0.5, y0 - 0.5)
        image = axes.imshow(logs, cmap="cividis", interpolation="none", extent=extent)
        _count_pixels(axes)
        axes.set_xlabel("input column")
        axes.set_title("input row")
        for each, (colour, dashes, name) in zip(boxes, _BOXES, strict=True):
            if each is not None:
                _outline(axes, each, colour, dashes, name)
        if np.isfinite(logs).any():
            bar = figure.colorbar(image, ax=axes, shrink=0.8)
            bar.ax.set_title("log₁₀", fontsize=10, loc="left")
        _legend(figure, 2)
    return _finished(figure, _told_map(box, truth))


_BOXES = ((WARM, "--", "formula"), (BLUE, "-", "measured"))


def gradient_profile(gradient: Any, truth: tuple[int, int] | None = None, axis: int = 0) -> Picture:
    """The gradient along one axis, summed over the others, on a log scale.

    gradient: as for `gradient_map`, with any number of axes. truth: (first, last) position along
    `axis`, drawn as dashed lines. Where the gradient is zero there is no dot.

    >>> gradient_profile([0.0, 1.0, 4.0, 1.0, 0.0], truth=(1, 3)).alt
    'Profile of a gradient along axis 0, on a log scale: not zero from 1 to 3, 3 pixels. \
Dashed lines: the formula, 1 to 3, 3 pixels.'
    """
    import numpy as np

    values = _magnitudes(gradient)
    axis = _checked_axis(axis, values.ndim)
    if truth is not None:
        truth = _checked_box("truth", (truth, (0, 0)))[0]
    line = values.sum(axis=tuple(a for a in range(values.ndim) if a != axis))
    ends = _hull(line, 0)
    first, last = _view([pair for pair in (ends, truth) if pair is not None], line.size)
    places = np.arange(first, last + 1)
    shown = line[first : last + 1]
    with _style():
        figure = _figure(WIDTH * 0.55)
        axes = figure.subplots()
        good = np.isfinite(shown) & (shown > 0)
        axes.plot(places[good], shown[good], "o", color=BLUE, markersize=3.5, label="gradient")
        if good.any():
            axes.set_yscale("log")
            _plain_log_ticks(axes, _power)
        if truth is not None:
            for place in (truth[0] - 0.5, truth[1] + 0.5):
                label = "formula" if place < truth[0] else None
                axes.axvline(place, color=WARM, linestyle="--", label=label)
        axes.set_xlim(first - 0.5, last + 0.5)
        flat = values.ndim == 2
        axes.set_xlabel(f"input {('row', 'column')[axis]}" if flat else "input position")
        axes.set_title("gradient, summed over the other axis" if flat else "gradient")
        _legend(figure, 2)
    told = "zero everywhere" if ends is None else f"not zero from {_pixels(ends)}"
    alt = f"Profile of a gradient along axis {axis}, on a log scale: {told}."
    if truth is not None:
        alt += f" Dashed lines: the formula, {_pixels(truth)}."
    return _finished(figure, alt)


def _magnitudes(gradient: Any) -> ndarray[Any, Any]:
    """The absolute values as a float64 array, from a Probe, a tensor, an array or nested lists."""
    import numpy as np

    inner = getattr(gradient, "gradient", gradient)
    if hasattr(inner, "detach"):
        inner = inner.detach().cpu().numpy()
    if np.iscomplexobj(inner):
        raise TypeError("gradient is complex; allowed: real numbers, as gradient.abs()")
    try:
        values = np.abs(np.asarray(inner, dtype=np.float64))
    except (TypeError, ValueError) as error:
        raise TypeError(
            f"gradient is {told(gradient)}; allowed: a Probe, a tensor or an array of numbers"
        ) from error
    if not values.size:
        raise ValueError(f"gradient has the shape {values.shape}; allowed: at least one position")
    return values


def _hull(values: ndarray[Any, Any], axis: int) -> tuple[int, int] | None:
    """First and last position along the axis that is not zero (not a number and infinity count)."""
    touched = (values != 0).any(axis=tuple(a for a in range(values.ndim) if a != axis))
    places = touched.nonzero()[0]
    return (int(places[0]), int(places[-1])) if places.size else None


def _view(ends: Sequence[tuple[int, int]], size: int) -> tuple[int, int]:
    """What to show of an axis: all of the ends, with a little room, within the input."""
    if not ends:
        return 0, size - 1
    low, high = min(first for first, _ in ends), max(last for _, last in ends)
    room = max(2, (high - low) // 8)
    return max(0, low - room), min(size - 1, high + room)


def _logs(values: ndarray[Any, Any]) -> ndarray[Any, Any]:
    """log10 of the values relative to the largest, to two decimals; not a number where zero.

    Two decimals, as the last digits of a float differ from one processor to another.
    """
    import numpy as np

    finite = values[np.isfinite(values) & (values > 0)]
    if not finite.size:
        return np.full(values.shape, np.nan)
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.round(np.log10(values) - np.log10(finite.max()), 2)
    return np.where(np.isfinite(logs), logs, np.nan)


def _legend(figure: Figure, columns: int) -> None:
    handles, labels = figure.axes[0].get_legend_handles_labels()
    if labels:
        columns = min(columns, len(labels))
        figure.legend(handles, labels, loc="outside lower center", ncols=columns)


def _count_pixels(axes: Axes, both: bool = True) -> None:
    from matplotlib.ticker import MaxNLocator

    for one in ("x", "y") if both else ("x",):
        getattr(axes, f"{one}axis").set_major_locator(MaxNLocator(6, integer=True))


def _outline(axes: Axes, box: Any, colour: str, dashes: str, name: str) -> None:
    from matplotlib.patches import Rectangle

    (top, bottom), (left, right) = box
    edge = Rectangle((left - 0.5, top - 0.5), right - left + 1, bottom - top + 1)
    edge.set(facecolor="none", edgecolor=colour, linestyle=dashes, linewidth=2)
    edge.set_label(f"{name}: {bottom - top + 1} × {right - left + 1}")
    axes.add_patch(edge)


def _told_map(box: Box | None, truth: Sequence[tuple[int, int]] | None) -> str:
    if box is None:
        alt = "Heat map of a gradient. It is zero everywhere."
    else:
        rows, columns = box
        alt = (
            f"Heat map of a gradient. It is not zero on rows {_range(rows)} and columns "
            f"{_range(columns)}: {_long(rows)} by {_long(columns)} pixels."
        )
    if truth is not None:
        rows, columns = truth
        alt += (
            f" The dashed box of the formula is rows {_range(rows)}, columns {_range(columns)}: "
            f"{_long(rows)} by {_long(columns)} pixels."
        )
    return alt


# --- the effective field --------------------------------------------------------------------------


def effective_map(result: Effective, shares: Sequence[float] = (0.5, 0.95)) -> Picture:
    """An effective field as a heat map, with the theoretical box and the pixels that hold the mass.

    result: from `rflib.effective`, with two axes. shares: of each, the fewest pixels that hold that
    share of the mass are outlined, the first thickest. The opacity is the root of mass over the
    largest mass. Raises ValueError unless there are two axes, and for shares outside 0 to 1.

    >>> from torch import nn
    >>> from rflib import effective
    >>> box = nn.Conv2d(1, 1, 5, bias=False)
    >>> _ = nn.init.constant_(box.weight, 1.0)
    >>> effective_map(effective(box, (1, 1, 9, 9)), shares=[1]).alt
    'Heat map of an effective receptive field, centred at row 4 and column 4. 100% of the mass: 25 \
pixels. The dashed theoretical field is rows 2 to 6, columns 2 to 6: 5 by 5 pixels.'
    """
    import numpy as np

    mass = _mass(result)
    if mass.ndim != 2:
        raise ValueError(f"result has {mass.ndim} axes; allowed: 2")
    if len(shares) > len(_WEIGHTS):
        raise ValueError(f"shares has {len(shares)} entries; allowed: up to {len(_WEIGHTS)}")
    field = _theoretical(result)
    ends = field or [(0, n - 1) for n in mass.shape]
    (y0, y1), (x0, x1) = (_view([pair], n) for pair, n in zip(ends, mass.shape, strict=True))
    with _style():
        figure = _figure(WIDTH)
        axes = figure.subplots()
        colours = np.empty((*mass.shape, 4))
        colours[...] = [0x2A / 255, 0x8A / 255, 0xC9 / 255, 0]  # seen on light and on dark
        # Two decimals, as the last digits of a float differ from one processor to another.
        colours[..., 3] = np.round(np.sqrt(mass / mass.max()), 2)
        extent = (x0 - 0.5, x1 + 0.5, y1 + 0.5, y0 - 0.5)
        axes.imshow(colours[y0 : y1 + 1, x0 : x1 + 1], interpolation="none", extent=extent)
        if field is not None:
            _outline(axes, field, WARM, "--", "theoretical")
        for share, weight in zip(shares, _WEIGHTS, strict=False):
            _outline_pixels(axes, _holding(mass, result.area(share)), weight, _percent(share))
        axes.set_xlim(x0 - 0.5, x1 + 0.5)
        axes.set_ylim(y1 + 0.5, y0 - 0.5)
        _count_pixels(axes)
        axes.set_xlabel("input column")
        axes.set_title("input row")
        _legend(figure, 2)
    row, column = (round(c) for c in result.centre)
    held = ", ".join(f"{_percent(share)}: {result.area(share)} pixels" for share in shares)
    alt = f"Heat map of an effective receptive field, centred at row {row} and column {column}."
    if shares:
        alt += f" {held}."
    if field is not None:
        rows, columns = field
        alt += (
            f" The dashed theoretical field is rows {_range(rows)}, columns {_range(columns)}: "
            f"{_long(rows)} by {_long(columns)} pixels."
        )
    return _finished(figure, alt)


_WEIGHTS = (2.4, 1.2, 0.6)


def effective_profile(result: Effective, axis: int = 0) -> Picture:
    """The mass of an effective field along one axis, its Gaussian, and the theoretical field.

    result: from `rflib.effective`, with any number of axes; mass and Gaussian are summed over the
    others. Raises ValueError for an axis that is not there.

    >>> from torch import nn
    >>> from rflib import effective
    >>> box = nn.Conv1d(1, 1, 5, bias=False)
    >>> _ = nn.init.constant_(box.weight, 1.0)
    >>> effective_profile(effective(box, (1, 1, 9))).alt
    'Mass of an effective receptive field along axis 0: centre 4.0, sigma 1.4, 95% of it in 5 \
pixels. The dashed Gaussian has sigma 1.8. Dotted lines: the theoretical field, 2 to 6, 5 pixels.'
    """
    import numpy as np

    mass = _mass(result)
    axis = _checked_axis(axis, mass.ndim)
    others = tuple(other for other in range(mass.ndim) if other != axis)
    field = _theoretical(result)
    fit = result.gaussian()
    first, last = _view(
        [(0, mass.shape[axis] - 1) if field is None else field[axis]], mass.shape[axis]
    )
    places = np.arange(first, last + 1)
    with _style():
        figure = _figure(WIDTH * 0.6)
        plot = figure.subplots()
        line, curve = (
            np.round(each.sum(axis=others)[first : last + 1], 5)
            for each in (mass, fit.values.numpy())
        )
        plot.stairs(line, np.arange(first - 0.5, last + 1), color=BLUE, fill=False, label="mass")
        plot.patches[-1].set_linewidth(1.8)
        label = f"Gaussian, sigma {fit.sigma[axis]:.1f}"
        plot.plot(places, curve, color=WARM, linestyle="--", label=label)
        if field is not None:
            for place in (field[axis][0] - 0.5, field[axis][1] + 0.5):
                label = f"theoretical: {_long(field[axis])}" if place < field[axis][0] else ""
                plot.axvline(place, color=GREEN, linestyle=":", label=label or None)
        plot.set_xlim(first - 0.5, last + 0.5)
        plot.set_ylim(0)
        _count_pixels(plot, both=False)
        flat = mass.ndim == 2
        plot.set_xlabel(f"input {('row', 'column')[axis]}" if flat else "input position")
        plot.set_title(
            "share of the mass" + (" in this " + ("row", "column")[axis] if flat else "")
        )
        _legend(figure, 3)
    alt = (
        f"Mass of an effective receptive field along axis {axis}: "
        f"centre {result.centre[axis]:.1f}, sigma {result.sigma[axis]:.1f}, "
        f"95% of it in {result.side()[axis]} pixels. "
        f"The dashed Gaussian has sigma {fit.sigma[axis]:.1f}."
    )
    if field is not None:
        alt += f" Dotted lines: the theoretical field, {_pixels(field[axis])}."
    return _finished(figure, alt)


def _mass(result: Any) -> ndarray[Any, Any]:
    from rflib.effective import Effective

    if not isinstance(result, Effective):
        raise TypeError(f"result is {result!r}; allowed: what rflib.effective returns")
    mass: ndarray[Any, Any] = result.mass.numpy()
    return mass


def _theoretical(result: Effective) -> Any:
    return None if result.probe is None else [tuple(ends) for ends in result.probe.region]


def _holding(mass: ndarray[Any, Any], count: int) -> ndarray[Any, Any]:
    """The pixels of the largest mass, so many, and those that tie with the last of them.

    Nearly so, since the last digits of a float differ from one processor to another.
    """
    least = mass.ravel()[mass.ravel().argsort()[-count]]
    held: ndarray[Any, Any] = mass >= least * (1 - 1e-6)
    return held


def _outline_pixels(axes: Axes, held: ndarray[Any, Any], weight: float, name: str) -> None:
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path

    parts = [Path(loop, closed=True) for loop in _loops(held)]
    edge = PathPatch(Path.make_compound_path(*parts), facecolor="none", edgecolor=INK)
    edge.set(linewidth=weight, label=name)
    axes.add_patch(edge)


def _loops(held: ndarray[Any, Any]) -> list[list[tuple[float, float]]]:
    """The outline along the edges of pixels, as closed loops of corners (x, y)."""
    import numpy as np

    padded = np.pad(held, 1)
    ahead: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for y, x in np.argwhere(padded).tolist():
        # What is held lies to the right of each edge, so each corner is left as often as entered.
        for beside, start, end in (
            ((y - 1, x), (x, y), (x + 1, y)),
            ((y, x + 1), (x + 1, y), (x + 1, y + 1)),
            ((y + 1, x), (x + 1, y + 1), (x, y + 1)),
            ((y, x - 1), (x, y + 1), (x, y)),
        ):
            if not padded[beside]:
                ahead.setdefault(start, []).append(end)
    loops = []
    while ahead:
        start = here = next(iter(ahead))
        walk: list[tuple[int, int]] = []
        while not walk or here != start:
            walk.append(here)
            following = ahead[here].pop()
            if not ahead[here]:
                del ahead[here]
            here = following
        turns = zip([walk[-1], *walk], walk, [*walk[1:], start], strict=False)
        corners = [b for a, b, c in turns if (a[0] == b[0]) != (b[0] == c[0])]
        loops.append([(x - 1.5, y - 1.5) for x, y in [*corners, corners[0]]])
    return loops


def _percent(share: float) -> str:
    return f"{100 * share:g}% of the mass"


# --- arithmetic -----------------------------------------------------------------------------------


def staircase(
    networks: Mapping[str, Mapping[str, int]], image: int | None = PHOTOGRAPH_SIZE
) -> Picture:
    """Receptive field, in input pixels, stage after stage, on a log axis; one line a network.

    networks: a name for each, and its field at the end of every stage, in order. image: the size
    of the image, drawn as a dashed line; None draws none. The first network is drawn thick.
    Raises ValueError unless all have the same stages, and for more than six networks, which nobody
    could tell apart.

    >>> staircase({"ResNet-18": {"stem": 11, "layer1": 43}}).alt
    'Receptive field by stage, on a log axis. ResNet-18: stem 11, layer1 43. \
A dashed line marks the image, 224 pixels.'
    """
    names = [tuple(fields) for fields in networks.values()]
    if not names or not names[0] or len(set(names)) != 1:
        raise ValueError(
            f"networks have the stages {names!r}; allowed: at least one network, and the same "
            "stages in the same order in each"
        )
    _check_looks("networks", networks)
    for name, fields in networks.items():
        for stage, size in fields.items():
            _checked_size(f"networks[{name!r}][{stage!r}]", size)
    if image is not None:
        _checked_size("image", image)
    with _style():
        figure = _figure(WIDTH * 0.72, WIDTH * max(1, len(names[0]) / 8))
        axes = figure.subplots()
        for index, (name, fields) in enumerate(networks.items()):
            colour, dashes = _LOOKS[index]
            sizes = [float(size) for size in fields.values()]
            axes.stairs(sizes, baseline=None, color=colour, linestyle=dashes, label=name)
            axes.patches[-1].set_linewidth(3 if not index else 1.8)
        _number_steps(axes, list(networks.values()), image)
        axes.set_yscale("log")
        if image is not None:
            axes.axhline(image, color=MUTED, linestyle=(0, (4, 3)), linewidth=1.2)
            words = f"image {image}"
            axes.annotate(words, (0, image), xytext=(0, 4), textcoords="offset points", color=MUTED)
        _plain_log_ticks(axes)
        axes.set_xticks([place + 0.5 for place in range(len(names[0]))], names[0])
        axes.tick_params(axis="x", length=0, rotation=90 if _crowded(names[0]) else 0)
        axes.set_title("receptive field, pixels")
        if len(networks) > 1:
            _legend(figure, 3)
    told = " ".join(
        f"{name}: {', '.join(f'{stage} {size}' for stage, size in fields.items())}."
        for name, fields in networks.items()
    )
    line = f" A dashed line marks the image, {image} pixels." if image is not None else ""
    return _finished(figure, f"Receptive field by stage, on a log axis. {told}{line}")


def bars(fields: Mapping[str, int], image: int = PHOTOGRAPH_SIZE) -> Picture:
    """Receptive fields, in input pixels, as bars below each other; hatched beyond the image.

    fields: a name for each, in the order in which they are to stand. image: the side of the image,
    drawn as a dashed line. Raises ValueError for no fields, and for a size below 1.

    >>> bars({"VGG-16": 212, "ResNet-50": 427}).alt
    'Receptive fields as bars: VGG-16 212, ResNet-50 427. \
A dashed line marks the image, 224 pixels.'
    """
    if not fields:
        raise ValueError("fields is empty; allowed: at least one name with its size")
    for name, size in fields.items():
        _checked_size(f"fields[{name!r}]", size)
    _checked_size("image", image)
    sizes = list(fields.values())
    with _style():
        figure = _figure(0.7 + 0.23 * len(fields))
        axes = figure.subplots()
        places = range(len(fields))
        axes.barh(places, [float(min(size, image)) for size in sizes], height=0.6, color=BLUE)
        axes.barh(
            places,
            [float(max(0, size - image)) for size in sizes],
            left=float(image),
            height=0.6,
            color="none",
            edgecolor=WARM,
            hatch="////",
            linewidth=1,
        )
        for place, size in enumerate(sizes):
            axes.annotate(
                f"{size:,}",
                (float(size), place),
                xytext=(4, 0),
                textcoords="offset points",
                va="center",
                bbox={"boxstyle": "square,pad=0.1", "facecolor": PAPER, "edgecolor": "none"},
            )
        axes.axvline(image, color=MUTED, linestyle=(0, (4, 3)), linewidth=1.2, zorder=0.5)
        axes.set_yticks(places, list(fields))
        axes.tick_params(axis="y", length=0)
        axes.set_ylim(len(fields) - 0.4, -0.6)
        axes.set_xlim(0, 1.14 * float(max(*sizes, image)))
        axes.set_xticks([image], [f"image {image}"])
        axes.set_title("receptive field, pixels")
    told = ", ".join(f"{name} {size}" for name, size in fields.items())
    line = f"A dashed line marks the image, {image} pixels."
    return _finished(figure, f"Receptive fields as bars: {told}. {line}")


def _crowded(names: Sequence[str]) -> bool:
    """Whether one of the names is wider than its step, so that names must stand upright."""
    most = 48 / min(len(names), 8)  # letters of 10 pt
    return max(map(len, names)) > most


def _number_steps(axes: Axes, fields: Sequence[Mapping[str, int]], image: int | None) -> None:
    """The first network's fields as numbers in its colour, where no line strikes them through."""
    for place, (stage, size) in enumerate(fields[0].items()):
        lines = [image or 0, *(other[stage] for other in fields[1:])]
        above, below = _free(size, lines)
        is_below = size / below < above / size
        axes.annotate(
            str(size),
            (place + 0.5, below if is_below else above),
            xytext=(0, -5 if is_below else 4),
            textcoords="offset points",
            ha="center",
            va="top" if is_below else "bottom",
            color=_LOOKS[0][0],
            bbox={"boxstyle": "square,pad=0.1", "facecolor": PAPER, "edgecolor": "none"},
        )


def _free(size: int, lines: Sequence[int], room: float = 1.75) -> tuple[int, int]:
    """The line above which, and the one below which, there is room for a number next to `size`."""
    above = below = size
    for line in sorted(line for line in lines if line > size):
        above = line if line < room * above else above
    for line in sorted((line for line in lines if 0 < line < size), reverse=True):
        below = line if line > below / room else below
    return above, below


def _power(value: float) -> str:
    """A power of ten as code writes it: 1e9, 1e-12."""
    digits, power = f"{value:.0e}".split("e")
    return f"{digits}e{int(power)}"


def _plain_log_ticks(axes: Axes, written: Callable[[float], str] = "{:,.0f}".format) -> None:
    """No powers in small raised figures: nobody reads those on a phone."""
    from matplotlib.ticker import FuncFormatter, NullFormatter

    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: written(value)))
    axes.yaxis.set_minor_formatter(NullFormatter())


def cone(layers: object, unit: int, input_size: int) -> Picture:
    """One unit's field as rows of cells, the input below, one row for each layer above it.

    layers: along one axis, as for `rflib.recurrence`. unit: of the last map. input_size: cells of
    the input. Lit cells are read, dark ones are not; a line joins a cell to what it reads. Raises
    TypeError or ValueError as `rflib.reads` does, and for layers of several axes or maps of more
    than a thousand cells.

    >>> cone([(3,), (3,)], unit=2, input_size=8).alt
    'Unit 2 of layer 2 and what it reads. Layer 1: 3 cells, 2 to 4. Input: 5 cells, 2 to 6.'
    """
    from matplotlib.patches import Rectangle

    stack = read(layers)
    if (most := max(layer.axes or 0 for layer in stack)) > 1:
        raise ValueError(f"layers have {most} axes; allowed: one")
    sizes = [_single(size) for size in output_size(stack, input_size, steps=True)]
    if max(sizes) > 1000:
        raise ValueError(f"a map has {max(sizes):,} cells; allowed: up to 1,000 in a picture")

    def sources(layers: Sequence[Layer], cell: int, size: int) -> tuple[int, ...]:
        found: tuple[Any, ...] = reads(layers, cell, size)
        return _single(found) if found and isinstance(found[0], tuple) else found

    lit = [sources(stack[level:], unit, sizes[level]) for level in range(len(stack))] + [(unit,)]
    rows = recurrence(stack)
    starts = [0, *(_single(row.start) for row in rows)]
    jumps = [1, *(_single(row.jump) for row in rows)]

    def place(level: int, cell: int) -> float:
        return float(starts[level] + cell * jumps[level])

    with _style():
        figure = _figure(0.55 * len(sizes) + 0.5)
        axes = figure.subplots()
        for level, size in enumerate(sizes):
            for cell in range(size):
                seen = cell in lit[level]
                square = Rectangle((place(level, cell) - 0.38, 2 * level - 0.38), 0.76, 0.76)
                square.set(facecolor=BLUE if seen else FAINT, edgecolor=BLUE if seen else LINE)
                axes.add_patch(square)
            name = "input" if not level else f"layer {level}"
            axes.text(-0.9, 2 * level, name, ha="right", va="center")
        for level in range(len(stack)):
            for cell in lit[level + 1]:
                for source in sources(stack[level : level + 1], cell, sizes[level]):
                    xs = [place(level, source), place(level + 1, cell)]
                    axes.plot(xs, [2 * level + 0.38, 2 * level + 1.62], color=BLUE, linewidth=0.8)
        axes.set_xlim(-0.9 - 0.16 * input_size, input_size)
        axes.set_ylim(-0.6, 2 * len(stack) + 0.6)
        axes.set_axis_off()
    levels = ["Input", *(f"Layer {level}" for level in range(1, len(sizes)))]
    told = " ".join(
        f"{levels[level]}: {len(lit[level])} cells, {_range((lit[level][0], lit[level][-1]))}."
        if lit[level]
        else f"{levels[level]}: none."
        for level in reversed(range(len(stack)))
    )
    return _finished(figure, f"Unit {unit} of layer {len(stack)} and what it reads. {told}")


def _single(value: Any) -> Any:
    """What belongs to the one axis, of layers that are given by numbers or per axis."""
    return value[0] if isinstance(value, tuple) else value


def unit_regions(field: Field, units: range, axis: int = 0) -> Picture:
    """What each of some neighbouring units reads along one axis: a bar from first to last pixel.

    field: of a trace, with units along the axes of its input. units: their indices along `axis`;
    along the others the middle one is taken. Units of the largest size are solid blue, all others
    orange with a darker rim.
    Raises TypeError or ValueError for units that the field does not have.

    >>> from torch import nn
    >>> from rflib import trace
    >>> up = nn.Sequential(nn.Conv1d(1, 1, 3), nn.ConvTranspose1d(1, 1, 3, 2))
    >>> unit_regions(trace(up, (1, 1, 32)).output, range(20, 24)).alt
    'What the units 20 to 23 read, one bar each. 4 pixels: units 20, 22. 3 pixels: units 21, 23.'
    """
    if not isinstance(units, range) or not units:
        raise TypeError(f"units is {units!r}; allowed: a range of at least one unit")
    if not field.units:
        raise ValueError("field has no axes: its one unit is the whole map")
    axis = _checked_axis(axis, len(field.units))
    middle = [n // 2 for n in field.units]
    found = {
        unit: field.region([*middle[:axis], unit, *middle[axis + 1 :]])[axis] for unit in units
    }
    sizes = sorted({region.size for region in found.values()}, reverse=True)
    with _style():
        figure = _figure(min(4.2, 1.0 + 0.075 * len(units)))
        axes = figure.subplots()
        for size in sizes:
            same = [unit for unit, region in found.items() if region.size == size]
            look = {"color": BLUE} if size == sizes[0] else {"color": WARM, "alpha": 0.75}
            axes.barh(
                same,
                size,
                left=[found[unit].first - 0.5 for unit in same],
                height=0.62,
                label=f"{size} pixels",
                **look,
            )
        axes.set_xlabel("input pixel")
        axes.set_ylabel("unit")
        axes.invert_yaxis()
        _count_pixels(axes)
        _legend(figure, 4)
    told = " ".join(
        f"{size} pixels: units {_listed([u for u, r in found.items() if r.size == size])}."
        for size in sizes
    )
    return _finished(figure, f"What the units {units[0]} to {units[-1]} read, one bar each. {told}")


# --- words ----------------------------------------------------------------------------------------


def _listed(numbers: Sequence[int]) -> str:
    """Numbers in words, neighbours as runs: 1, 3 to 5."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ", ".join(f"{a}" if a == b else f"{a} to {b}" for a, b in runs)


def _range(ends: tuple[int, int]) -> str:
    return f"{ends[0]} to {ends[1]}".replace("-", "−")


def _pixels(ends: tuple[int, int]) -> str:
    return f"{_range(ends)}, {_long(ends)} pixels"


def _long(ends: tuple[int, int]) -> int:
    return ends[1] - ends[0] + 1
