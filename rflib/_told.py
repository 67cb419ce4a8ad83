"""How the command tells what it found: fields in a few lines, tables, JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from typing import Any

from rflib import __version__
from rflib.regions import Region

__all__ = ["aligned", "answer", "comma", "lines", "times"]


def answer(
    model: str | None,
    layers: str | None,
    inputs: Any,
    of: int,
    fields: Any,
    everything: Sequence[str] = (),
    never_called: Sequence[str] = (),
) -> str:
    """The one object that --json prints; chapters/api.md says what its keys hold."""
    found = {
        "rflib": __version__,
        "model": model,
        "layers": layers,
        "inputs": inputs,
        "of": of,
        "fields": fields,
        "everything": everything,
        "never_called": never_called,
    }
    rows = [f"  {json.dumps(key)}: {_dumped(value)}" for key, value in found.items()]
    return "{\n" + ",\n".join(rows) + "\n}"


def _dumped(value: Any) -> str:
    """JSON on one line, but one line for each of several objects."""
    if isinstance(value, list) and value and isinstance(value[0], Mapping):
        return "[\n    " + ",\n    ".join(map(_dumped, value)) + "\n  ]"
    return json.dumps(_plain(value), ensure_ascii=False)


def _plain(value: Any) -> Any:
    """Fractions as "3/2", tuples and regions as lists; a fraction that is whole as an integer."""
    if isinstance(value, Mapping):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, (tuple, list)):
        return [_plain(each) for each in value]
    if isinstance(value, Fraction):
        return value.numerator if value.denominator == 1 else str(value)
    return value


def lines(field: Mapping[str, Any]) -> list[str]:
    """One field in a few lines."""
    head = field["path"] or "output"
    head = f"layer {head}, {field['layer']}" if field["layer"] is not None else head
    if field["shape"] is not None:
        head += f", {times(field['shape'])}"
    rows = []
    if field["units"] is not None:
        rows.append(("units", times(field["units"]) or "1"))
    rows += _told(field, field["unit"])
    if field["global"]:
        rows.append(("global", "by " + ", ".join(field["global"])))
    if field["local"] is not None:
        inner = [(f"local {key}", words) for key, words in _told(field["local"], field["unit"])]
        rows += inner
    if field["padding_only"]:
        rows.append(("padding", f"is all that {field['padding_only']} units see"))
    return [head, *aligned(rows)]


def _told(field: Mapping[str, Any], unit: Sequence[int] | None) -> list[tuple[str, str]]:
    if field["empty"]:
        return [("field", "does not depend on this input")]
    least = "at least " if any(field["clipped"]) and not field.get("global") else ""
    rows = [("size", f"{least}{times(field['size'])} pixels")]
    if any(len(sizes) > 1 for sizes in field["sizes"]):
        alike = len(set(map(tuple, field["sizes"]))) == 1
        for axis, sizes in enumerate(field["sizes"][:1] if alike else field["sizes"]):
            rows.append(("sizes" if alike else f"sizes, axis {axis}", _shares(sizes)))
    rows += [("jump", times(field["jump"])), ("start", times(field["start"]))]
    if least:
        rows.append(("clipped", "no input that was tried shows a unit that no border clips"))
    if unit is not None:
        rows.append((f"unit {comma(unit)}".rstrip(), _told_region(field["region"])))
        if field["holes"] is None:
            rows.append(("holes", "not looked for: the set is too large to be listed"))
        elif any(field["holes"]):
            names = zip(_axis_names(len(field["holes"])), field["holes"], strict=True)
            rows.append(("holes", ", ".join(name for name, there in names if there)))
        elif field["hull"] and len(field["holes"]) > 1:
            rows.append(("holes", "along no axis; inside the box there may be some"))
    return rows


def _shares(sizes: Sequence[tuple[int, Fraction]]) -> str:
    shown = ", ".join(f"{size} for {share} of the units" for size, share in sizes[:4])
    return shown if len(sizes) <= 4 else f"{shown}, ... {len(sizes)} sizes, down to {sizes[-1][0]}"


def _told_region(found: Sequence[Region] | None) -> str:
    if found is None:
        return "reads nothing but padding"
    names = _axis_names(len(found))
    colon = ":" if len(found) > 2 else ""
    pairs = zip(names, found, strict=True)
    told = ", ".join(f"{name}{colon} {ends.first} to {ends.last}" for name, ends in pairs)
    return f"reads {told} ({times(ends.size for ends in found)})"


def _axis_names(axes: int) -> Sequence[str]:
    usual = {1: ("pixels",), 2: ("rows", "columns")}
    return usual.get(axes) or [f"axis {axis}" for axis in range(axes)]


def times(values: Iterable[Any]) -> str:
    values = tuple(values)
    if values and all(value is None for value in values):
        return "-"
    return " x ".join("-" if value is None else str(value) for value in values)


def comma(unit: Sequence[int]) -> str:
    return ",".join(map(str, unit))


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Columns: the first and the last of them to the left, numbers between to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    ends = (0, len(widths) - 1)
    return [
        "  ".join(
            cell.ljust(width) if i in ends else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
