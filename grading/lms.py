"""Scores for Canvas and Moodle: the sheet that the system gave out, with the scores filled in.

    Canvas   Grades > Export > Export Entire Gradebook. Students are found by the column ID (Canvas
             writes it into the names of the files that it gives out), else by SIS Login ID or SIS
             User ID; the assignment by its title.
    Moodle   the assignment > Download grading worksheet (turn on "Offline grading worksheet" in its
             settings). Students are found by Identifier ("Participant 123"; the number stands in
             the names of the files), else by Email address.

Only complete rows of status ok are filled in; the rest is left as it was and named in the log.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Sequence
from pathlib import Path

from grading.bundle import Bundle
from grading.report import Row, harmless, number, write_csv


class SheetError(Exception):
    """The sheet does not fit; the message says what was found and what to do."""


def _read(path: Path) -> tuple[list[str], list[list[str]]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            lines = list(csv.reader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise SheetError(f"{path} cannot be read as CSV in UTF-8: {error}") from error
    if len(lines) < 2:
        raise SheetError(f"{path} has no students in it")
    width = len(lines[0])
    return lines[0], [line + [""] * (width - len(line)) for line in lines[1:]]


def _column(header: Sequence[str], name: str, path: Path) -> int:
    for place, title in enumerate(header):
        if title.strip().lower() == name.lower():
            return place
    raise SheetError(
        f"{path} has no column {name!r}, only {', '.join(header)}; export it in English"
    )


def _check_maximum(text: str, bundle: Bundle, path: Path) -> None:
    possible = sum(question.points for question in bundle.questions)
    try:
        there = float(text.replace(",", "."))
    except ValueError:
        return  # Canvas writes (read only) for some columns
    if there != possible:
        raise SheetError(
            f"{path} gives {text} points for it, the assignment has {number(possible)}: "
            f"set the assignment's points to {number(possible)} in the system, export again"
        )


def _fill(
    lines: list[list[str]],
    column: int,
    rows: Sequence[Row],
    keys: Callable[[Row], list[str]],
    names: Callable[[list[str]], list[str]],
    accept: bool,
) -> list[str]:
    """Write the totals into their lines; returns what was left out, and why."""
    left_out = []
    by_name: dict[str, list[str] | None] = {}
    for line in lines:
        for name in names(line):
            by_name[name] = None if name in by_name else line  # two of one name: neither
    found = [
        next((there for key in keys(row) if (there := by_name.get(key)) is not None), None)
        for row in rows
    ]
    for row, place in zip(rows, found, strict=True):
        if place is None:
            left_out.append(f"{row.student}: not in the sheet")
        elif sum(there is place for there in found) > 1:
            left_out.append(f"{row.student}: another row has the same line of the sheet")
        elif row.total is None:
            left_out.append(f"{row.student}: no total yet ({row.status})")
        elif not row.good and not accept:
            left_out.append(f"{row.student}: {row.status}")
        else:
            place[column] = number(row.total)
    return left_out


def canvas(export: Path, out: Path, bundle: Bundle, rows: Sequence[Row], accept: bool) -> list[str]:
    """Fill the exported gradebook; returns who was left out, and why."""
    header, lines = _read(export)
    wanted = {bundle.title.lower(), bundle.name.lower()}
    titles = [re.sub(r"\s*\(\d+\)$", "", title).strip().lower() for title in header]
    found = [place for place, title in enumerate(titles) if title in wanted]
    if len(found) != 1:
        raise SheetError(
            f"{export} has {len(found)} columns named {bundle.title!r} or {bundle.name!r}: "
            f"name the assignment so in Canvas, export again"
        )
    ids = [_column(header, "ID", export)]
    ids += [i for i, title in enumerate(header) if title.strip() in ("SIS Login ID", "SIS User ID")]
    for line in lines[:2]:
        if line[0].strip().lower() == "points possible":
            _check_maximum(line[found[0]], bundle, export)
    left_out = _fill(
        lines,
        found[0],
        rows,
        lambda row: [row.graded.submission.ids.get("canvas", row.student), row.student],
        lambda line: sorted({line[i].strip() for i in ids if line[i].strip()}),
        accept,
    )
    for line in lines:
        line[0] = harmless(line[0])  # students choose it; Canvas goes by the numbers
    kept = [i for i, title in enumerate(header) if i < 5 and (i in ids or i in (0, 4))]
    kept = sorted({*kept, *ids, found[0]})
    write_csv(out, [[line[i] for i in kept] for line in [header, *lines]])
    return left_out


def moodle(export: Path, out: Path, bundle: Bundle, rows: Sequence[Row], accept: bool) -> list[str]:
    """Fill the grading worksheet; returns who was left out, and why."""
    header, lines = _read(export)
    identifier, grade = (_column(header, name, export) for name in ("Identifier", "Grade"))
    emails = [i for i, title in enumerate(header) if title.strip().lower() == "email address"]
    if "Maximum Grade" in header:
        _check_maximum(lines[0][header.index("Maximum Grade")], bundle, export)

    def names(line: list[str]) -> list[str]:
        numbers = re.findall(r"\d+$", line[identifier].strip())
        return [*numbers, *(line[i].strip() for i in emails if line[i].strip())]

    left_out = _fill(
        lines,
        grade,
        rows,
        lambda row: [row.graded.submission.ids.get("moodle", row.student), row.student],
        names,
        accept,
    )
    for i, title in enumerate(header):
        if title.strip().lower() in ("full name", "online text"):  # students choose them
            for line in lines:
                line[i] = harmless(line[i])
    write_csv(out, [header, *lines])
    return left_out
