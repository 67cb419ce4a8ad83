"""The command ``python -m rflib``, also installed as ``receptive-field``.

It reads a model or a spec of layers, asks `rflib.trace` or the arithmetic, and prints the answer as
a table, as the few lines of one field, or as JSON.  A spec needs the standard library alone; torch
is loaded for a model, matplotlib for a picture.
"""

from __future__ import annotations

import argparse
import os
import sys
import traceback
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rflib import __version__, figures
from rflib._given import UsageError, layers_of, made, numbers, ours
from rflib._told import aligned, answer, comma, lines, times
from rflib.inputsize import output_size
from rflib.recurrence import Row, Table, recurrence
from rflib.regions import Region, reads, region

if TYPE_CHECKING:
    from rflib.figures import Picture
    from rflib.layers import Layer
    from rflib.trace import Field, Trace

__all__ = ["main"]

CONE = 64  # cells of a map that a cone can show
STEPS = 60  # of a staircase that can be read

DESCRIPTION = """\
The receptive field of every submodule of a torch model, or of a list of layers:
its size, the jump from unit to unit, the start of unit 0, in input pixels.

A model is made by importing its module: that runs the code in it, with your
rights. Name only modules that you trust.
"""

EPILOG = """\
a model:
  PACKAGE.MODULE:FACTORY is an nn.Module, or what returns one: a function, a
  class, a dotted attribute. model.py:FACTORY takes it from a file. Arguments
  may follow as literals, FACTORY(18, stem="deep"); nothing else is evaluated.

a spec of layers:
  Layers with blanks or commas between, in the order in which they run, each
      [t]KERNEL[/STRIDE][pPADDING][dDILATION]
  3        kernel 3, stride 1      7/2p3    kernel 7, stride 2, padding 3
  3p2d2    dilation 2, padding 2   3psame   as much padding as keeps the length
  t4/2p1   transposed              3x5/1x2  one number for each axis

json:
  One object: rflib (version), model, layers, inputs (name and shape of each),
  of (the number of the input looked at), fields, everything, never_called.
  All fields have the same keys, null where nothing is known or asked for.
  Lists have one entry per axis; a number that is no integer is a string, "3/2".

pictures:
  Of a model on images: the box of the unit on a photograph, hatched where it
  reaches outside. Of any other model: the sizes of its submodules as a
  staircase. Of a spec: the cone of the unit where --input has at most 64
  pixels, otherwise the staircase of its layers.

exit codes:
  0 fine; 1 there is no answer (the model cannot be imported or traced, or has
  no such layer or unit); 2 the command line cannot be read.

examples:
  python -m rflib --layers "7/2 3/2 3 3"
  python -m rflib --layers "7/2p3, 3/2p1, 3p1" --input 224 --unit 3
  python -m rflib --layers "3 3 2/2 3" --input 24 --unit 4 --plot cone.svg
  python -m rflib "rflib.networks:resnet(50)"
  python -m rflib 'rflib.networks:build("vgg16")' --depth 2
  python -m rflib "rflib.networks:resnet(18)" --layer layer2 --unit 3,3
  python -m rflib "rflib.networks:resnet(18)" --layer layer4 --plot box.svg
  python -m rflib rflib.networks:simple_cnn --input 1,1,64,64 --json
  python -m rflib model.py:Net --input 1,3,64,64
"""


class NoAnswerError(Exception):
    """The command line can be read, but what it asks for is not there."""


def main(argv: Sequence[str] | None = None, prog: str = "receptive-field") -> int:
    """Run the command; return its exit code, 0 or 1.

    Raises SystemExit with 2 where the command line cannot be read, with 0 after --help.
    """
    parser = _parser(prog)
    given = parser.parse_args(argv)
    try:
        _check(given)
        _print(_answer(given))
    except UsageError as error:
        parser.error(str(error))
    except KeyboardInterrupt:
        return 130
    except Exception as error:
        if given.traceback:
            traceback.print_exc()
        print(f"{prog}: {_words(error)}", file=sys.stderr)
        return 1
    return 0


def _parser(prog: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=prog,
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("model", nargs="?", metavar="MODEL", help="PACKAGE.MODULE:FACTORY or model.py:FACTORY")
    add("--layers", metavar="SPEC", help='in place of a model, such as "7/2 3/2 3 3"')
    add(
        "--input",
        metavar="SIZES",
        action="append",
        help="of a model 1,channels,rows,columns (default: 224 pixels a side); once for each of "
        "several inputs, or NAME=SIZES for an argument of forward. Of a spec: pixels per axis",
    )
    add("--of", metavar="INPUT", help="the input that is looked at, by number or name (default: 0)")
    add("--layer", metavar="NAME", help="one submodule alone; of a spec the number of the layer")
    add("--unit", metavar="N,N", help="the unit, from 0, one number per axis (default: the middle)")
    add("--depth", metavar="N", type=int, help="how deeply nested submodules are shown")
    add(
        "--unknown",
        choices=("error", "everything"),
        default="error",
        help="what an operator without a rule does: end the run, or see everything",
    )
    add("--json", action="store_true", help="print one JSON object")
    add("--plot", metavar="FILE", help="also draw: .svg, .png or .pdf")
    add("--traceback", action="store_true", help="show where an error was raised")
    add("--version", action="version", version=f"rflib {__version__}")
    return parser


def _check(given: argparse.Namespace) -> None:
    """What argparse cannot tell: which options go together."""
    if given.model is None and given.layers is None:
        raise UsageError("name a model, PACKAGE.MODULE:FACTORY, or give --layers SPEC")
    if given.model is not None and given.layers is not None:
        raise UsageError(f"give {given.model!r} or --layers, not both")
    if given.layers is not None:
        for option, default in (("of", None), ("depth", None), ("unknown", "error")):
            if getattr(given, option) != default:
                raise UsageError(f"--{option} goes with a model, not with --layers")
    if given.depth is not None and given.depth < 1:
        raise UsageError(f"--depth: must be at least 1; got {given.depth}")
    if given.plot is not None and Path(given.plot).suffix.lower() not in figures.SUFFIXES:
        raise UsageError(f"--plot: the name must end in .svg, .png or .pdf; got {given.plot!r}")


def _words(error: Exception) -> str:
    if isinstance(error, ModuleNotFoundError):
        return f"this needs {error.name}, which is not installed: {error}"
    expected = isinstance(error, (NoAnswerError, KeyError, TypeError, ValueError))
    expected = expected or type(error).__module__.startswith("rflib.")
    text = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
    text = text.replace("rflib.trace(..., unknown='everything')", "--unknown everything")
    return text if expected and text else f"{type(error).__name__}: {text}"


def _print(text: str) -> None:
    try:
        print(text, flush=True)
    except BrokenPipeError:  # the reader, `head` say, has had enough; Python would flush once more
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _answer(given: argparse.Namespace) -> str:
    if given.layers is not None:
        return _of_layers(given)
    with ours():
        return _of_model(given)


# A spec of layers -------------------------------------------------------------------------------


def _of_layers(given: argparse.Namespace) -> str:
    layers = _alike(layers_of(given.layers))
    rows = recurrence(layers)
    pixels = _pixels(given.input, rows)
    units = _unit_counts(layers, pixels)
    last = _layer_number(given.layer, len(rows))
    unit = _spec_unit(given.unit, rows, units[last + 1])
    if given.plot is not None:
        maps = units[: last + 2]
        _save(_spec_picture(layers[: last + 1], rows[: last + 1], maps, unit), given.plot)
    if given.layer is not None or given.unit is not None:
        fields = [_spec_field(layers[: last + 1], rows[last], pixels, units[last + 1], unit)]
        text = lines(fields[0])
    else:
        fields = [
            _spec_field(layers[: i + 1], row, pixels, units[i + 1]) for i, row in enumerate(rows)
        ]
        text = _spec_table(rows, units)
    if given.json:
        inputs = [] if pixels is None else [{"name": None, "shape": pixels}]
        return answer(None, given.layers, inputs, 0, fields)
    return "\n".join(text)


def _alike(layers: Sequence[Layer]) -> list[Layer]:
    """Per axis in every layer where one of them is, so that the first few answer alike."""
    axes = max(layer.axes or 0 for layer in layers)
    return [
        replace(layer, kernel=(layer.kernel,) * axes)
        if axes and isinstance(layer.kernel, int)
        else layer
        for layer in layers
    ]


def _pixels(given: Sequence[str] | None, rows: Table) -> tuple[int, ...] | None:
    if given is None:
        return None
    axes = len(_axes(rows[0], rows[0].size))
    found = numbers("--input", given[-1])
    if len(given) > 1 or len(found) != axes:
        raise UsageError(f"--input: this spec takes {_wanted(axes)}; got {' '.join(given)!r}")
    if min(found) < 1:
        raise UsageError(f"--input: must be at least 1 pixel; got {' '.join(given)!r}")
    return found


def _wanted(axes: int) -> str:
    return "one number" if axes == 1 else f"{axes} numbers, one per axis"


def _axes(row: Row, value: Any) -> tuple[Any, ...]:
    """One entry per axis, also for layers given by numbers."""
    return value if isinstance(row.size, tuple) else (value,)


def _joined(row: Row, values: tuple[int, ...]) -> Any:
    """The other way round, as the arithmetic wants it."""
    return values if isinstance(row.size, tuple) else values[0]


def _unit_counts(
    layers: Sequence[Layer], pixels: tuple[int, ...] | None
) -> list[tuple[int, ...] | None]:
    """How many units each map has, first the input; None without an input."""
    if pixels is None:
        return [None] * (len(layers) + 1)
    first = recurrence(layers)[0]
    counts = output_size(layers, _joined(first, pixels), steps=True)
    return [_axes(first, count) for count in counts]


def _layer_number(text: str | None, count: int) -> int:
    if text is None:
        return count - 1
    (number,) = found if len(found := numbers("--layer", text)) == 1 else (count,)
    if number >= count:
        raise NoAnswerError(f"--layer {text}: the layers of the spec are numbered 0 to {count - 1}")
    return number


def _spec_unit(
    text: str | None, rows: Table, units: tuple[int, ...] | None
) -> tuple[int, ...] | None:
    if text is None:
        return None if units is None else tuple(n // 2 for n in units)
    axes = len(_axes(rows[0], rows[0].size))
    unit = numbers("--unit", text)
    if len(unit) != axes:
        raise UsageError(f"--unit: this spec takes {_wanted(axes)}; got {text!r}")
    if units is not None and any(one >= n for one, n in zip(unit, units, strict=True)):
        raise NoAnswerError(f"--unit {text}: there are {times(units)} units, numbered from 0")
    return unit


def _spec_field(
    layers: Sequence[Layer],
    row: Row,
    pixels: tuple[int, ...] | None,
    units: tuple[int, ...] | None,
    unit: tuple[int, ...] | None = None,
) -> dict[str, Any]:
    found: Any = None
    holes: Any = None
    if unit is not None:
        place = _joined(row, unit)
        size = None if pixels is None else _joined(row, pixels)
        found = _axes(row, region(layers, place, size, clip=size is not None))
        holes = _spec_holes(layers, row, place, size, found)
        found = None if any(ends.empty for ends in found) else found
    return {
        "path": str(row.index),
        "layer": str(row.layer),
        "shape": None,
        "units": units,
        "size": _axes(row, row.size),
        "jump": _axes(row, row.jump),
        "start": _axes(row, row.start),
        "sizes": _axes(row, row.sizes),
        "clipped": [False for _ in _axes(row, row.size)],
        "measured_at": None,
        "empty": False,
        "hull": None,
        "padding_only": None,
        "unit": unit,
        "region": found,
        "holes": holes,
        "global": [],
        "local": None,
    }


def _spec_holes(
    layers: Sequence[Layer], row: Row, unit: Any, size: Any, found: Sequence[Region]
) -> list[bool] | None:
    """Per axis, or None where the set is too large to be listed."""
    try:
        listed = _axes(row, reads(layers, unit, size))
    except ValueError:
        return None
    return [len(each) < ends.size for each, ends in zip(listed, found, strict=True)]


def _spec_table(rows: Table, units: Sequence[tuple[int, ...] | None]) -> list[str]:
    """The table of the recurrence, with the number of units where an input tells it."""
    table = str(rows).splitlines()
    if units[0] is None:
        return table
    cells = ["units", *(times(each) for each in units[1:] if each is not None)]
    width, longest = max(map(len, cells)), max(map(len, table))
    return [f"{line:<{longest}}  {cell:>{width}}" for line, cell in zip(table, cells, strict=True)]


def _spec_picture(
    layers: Sequence[Layer],
    rows: Sequence[Row],
    maps: Sequence[tuple[int, ...] | None],
    unit: tuple[int, ...] | None,
) -> Picture:
    """The cone where all maps, the input first, are short lines; else the staircase."""
    pixels = maps[0]
    short = all(map_ is not None and len(map_) == 1 and map_[0] <= CONE for map_ in maps)
    if pixels is not None and unit is not None and short:
        return figures.cone(layers, unit[0], pixels[0])
    names = [f"layer {row.index}" for row in rows]
    return _staircase(names, [_axes(row, row.size) for row in rows], pixels)


# A model ----------------------------------------------------------------------------------------


def _of_model(given: argparse.Namespace) -> str:
    if given.plot is not None:
        import matplotlib  # noqa: F401 (what is not there should be said before the work)
    names, shapes = _names(given.input), _shapes(given.input)
    from rflib.trace import trace as traced  # before the model: it cannot do without torch

    model = made(given.model)
    try:
        trace = traced(model, shapes, unknown=given.unknown)
    except SystemExit as error:
        raise NoAnswerError(f"the model ended the program while it ran: {error!r}") from error
    which = _which(names, given.of)
    path = _path(trace, given.layer or "")
    if given.plot is not None:
        _save(_model_picture(trace, path, which, given), given.plot)
    found, text = [], []
    if given.layer is not None or given.unit is not None:
        field = trace.of(path, which)
        found = [_field(field, _unit(field, given.unit))]
        text = lines(found[0])
    elif given.json:
        found = [_field(trace.of(p, which), None) for p in _paths(trace, given.depth, every=True)]
    else:
        paths = _paths(trace, given.depth, every=False)
        text = aligned([trace.table(given.depth)[0], *(trace.of(p, which).cells() for p in paths)])
    sizes = [trace.shape(i) for i in range(len(names))]
    if given.json:
        inputs = [{"name": n, "shape": size} for n, size in zip(names, sizes, strict=True)]
        return answer(given.model, None, inputs, which, found, trace.everything, trace.never_called)
    head = f"{given.model}, input {' and '.join(times(shape) for shape in sizes)}"
    if trace.everything:
        text.append(f"let see everything, for want of a rule: {', '.join(trace.everything)}")
    if trace.never_called and not found:
        text.append(f"never called: {', '.join(trace.never_called)}")
    return "\n".join([head, *text])


def _shapes(given: Sequence[str] | None) -> Any:
    """What `rflib.trace` takes: a size, a list of them, or a dict by name."""
    if given is None:
        return None
    named = [text.partition("=") for text in given if "=" in text]
    if named and len(named) < len(given):
        raise UsageError(f"--input: give all inputs by name or none; got {' '.join(given)!r}")
    if named:
        sizes = {name.strip(): numbers("--input", text) for name, _, text in named}
        if len(sizes) < len(given) or not all(sizes):
            raise UsageError(f"--input: every input has a name of its own; got {' '.join(given)!r}")
        return sizes
    listed = [numbers("--input", text) for text in given]
    return listed if len(listed) > 1 else listed[0]


def _names(given: Sequence[str] | None) -> list[str | None]:
    """The inputs' names, None for those that have none."""
    return [text.partition("=")[0].strip() if "=" in text else None for text in given or [""]]


def _which(names: Sequence[str | None], text: str | None) -> int:
    if text is None:
        return 0
    if text in names:
        return names.index(text)
    if text.isdecimal() and int(text) < len(names):
        return int(text)
    allowed = [str(i) if name is None else name for i, name in enumerate(names)]
    raise NoAnswerError(f"--of: must be one of {', '.join(allowed)}; got {text!r}")


def _path(trace: Trace, name: str) -> str:
    """The path of a submodule; the table calls the model's own output "output"."""
    return "" if name == "output" and "output" not in trace else name


def _paths(trace: Trace, depth: int | None, every: bool) -> list[str]:
    """Those of the table; for JSON all of them unless a depth was asked for."""
    if every and depth is None:
        return list(trace)
    rows = [row[0] for row in trace.table(depth)[1:]]
    return [*rows[:-1], *("" if row == "output" else row for row in rows[-1:])]


def _unit(field: Field, text: str | None) -> tuple[int, ...]:
    if text is None:
        return tuple(n // 2 for n in field.units)
    unit = numbers("--unit", text)
    if len(unit) != len(field.units) or any(
        one >= n for one, n in zip(unit, field.units, strict=True)
    ):
        there = f"{times(field.units)} units, numbered from 0" if field.units else "one unit only"
        raise NoAnswerError(f"--unit {text}: {field.path or 'the output'!r} has {there}")
    return unit


def _field(field: Field, unit: tuple[int, ...] | None) -> dict[str, Any]:
    return {
        "path": field.path,
        "layer": None,
        "shape": field.shape,
        "units": field.units,
        **_measures(field, unit),
        "padding_only": field.blind,
        "unit": unit,
        "global": field.global_,
        "local": _measures(field.local, unit) if field.global_ else None,
    }


def _measures(field: Field, unit: tuple[int, ...] | None) -> dict[str, Any]:
    """What is different for the local field."""
    found: Any = None
    holes: Any = None
    if unit is not None:
        found = field.region(unit)
        found = None if any(ends.empty for ends in found) else found
        holes = field.holes(unit) if field.hull else [False for _ in field.size]
    return {
        "size": field.size,
        "jump": field.jump,
        "start": field.start,
        "sizes": field.sizes,
        "clipped": field.clipped,
        "measured_at": field.measured_at,
        "empty": field.empty,
        "hull": field.hull,
        "region": found,
        "holes": holes,
    }


def _model_picture(trace: Trace, path: str, which: int, given: argparse.Namespace) -> Picture:
    shape = trace.shape(which)[2:]
    if len(shape) == 2:
        field = trace.of(path, which)
        return _box_picture(field, _unit(field, given.unit), (shape[0], shape[1]))
    names, sizes = [], []
    for each in _paths(trace, given.depth, every=False):
        field = trace.of(each, which)
        if not field.global_ and not field.empty:
            names.append(each or "output")
            sizes.append(field.size)
        else:
            what = "depends on no input" if field.empty else "sees the whole map"
            print(f"--plot leaves out {each or 'output'}: it {what}", file=sys.stderr)
    return _staircase(names, sizes, shape)


def _box_picture(field: Field, unit: tuple[int, ...], shape: tuple[int, int]) -> Picture:
    name = f"{field.path or 'output'}, unit {comma(unit)}" if unit else field.path or "output"
    box = _box(field, unit, shape)
    if box is None:
        raise NoAnswerError(f"--plot: {name} depends on no pixel, so there is no box to draw")
    boxes = {name: box}
    if field.global_:
        local = _box(field.local, unit, shape)
        boxes = {"global": box} if local is None else {"global": box, "local": local}
    return figures.on_photograph(boxes, name, shape)


Box = tuple[tuple[int, int], tuple[int, int]]


def _box(field: Field, unit: tuple[int, ...], shape: Sequence[int]) -> Box | None:
    """Rows and columns of the unit's field, beyond the image where all units are alike."""
    found = field.region(unit)
    if any(ends.empty for ends in found):
        return None
    across = len(field.units) == len(shape)
    rows, columns = (
        _unclipped(field, axis, unit[axis], ends, shape[axis]) if across else (*ends,)
        for axis, ends in enumerate(found)
    )
    return (rows[0], rows[1]), (columns[0], columns[1])


def _unclipped(field: Field, axis: int, unit: int, ends: Region, pixels: int) -> tuple[int, int]:
    """From size, jump and start, if that clipped to the image is what the unit reads."""
    jump, start, size = field.jump[axis], field.start[axis], field.size[axis]
    if jump is not None and start is not None and len(field.sizes[axis]) == 1:
        first = start + unit * jump - Fraction(size - 1, 2)
        last = first + size - 1
        if first.denominator == 1 and (max(first, 0), min(last, pixels - 1)) == ends:
            return int(first), int(last)
    return ends.first, ends.last


# Pictures and words -----------------------------------------------------------------------------


def _staircase(
    names: Sequence[str], sizes: Sequence[Sequence[int]], pixels: Sequence[int] | None
) -> Picture:
    """One line for each axis; one line alone where all axes are alike."""
    if not 1 <= len(names) <= STEPS:
        raise NoAnswerError(
            f"--plot: a staircase has 1 to {STEPS} steps, and here are {len(names)}"
        )
    curves = [tuple(each) for each in zip(*sizes, strict=True)]
    alike = len(set(curves)) == 1
    labels = (
        ["all axes" if len(curves) > 1 else "field"]
        if alike
        else [f"axis {i}" for i in range(len(curves))]
    )
    networks = {
        label: dict(zip(names, line, strict=True))
        for label, line in zip(labels, curves, strict=False)
    }
    one = None if pixels is None or len(set(pixels)) > 1 else pixels[0]
    return figures.staircase(networks, one)


def _save(picture: Picture, path: str) -> None:
    try:
        picture.save(path)
    except OSError as error:
        raise NoAnswerError(f"--plot: {error.strerror}: {path!r}") from error
    print(f"{path}: {picture.alt}", file=sys.stderr)
