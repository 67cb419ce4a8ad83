"""The sheets of Canvas and Moodle, filled in and otherwise left alone."""

from __future__ import annotations

import csv
import io
import sys
from pathlib import Path

import pytest
from grading_kit import answers, bundle, grade, hand_in, rows

CANVAS = """\
Student,ID,SIS User ID,SIS Login ID,Section,Other (7),Assignment 9: Trial (4711),Current Score
Points Possible,,,,,5,9,(read only)
"Doe, Jane",11,s11,jane,A,3,,60
"Roe, =Rick",12,s12,rick,A,,2,10
"Poe, Pia",13,s13,pia,B,1,,0
"Nobody, N.",14,s14,nn,B,1,5,0
"Student, Test",15,,x1,B,,,0
"""
MOODLE = """\
Identifier,Full name,Email address,Status,Grade,Maximum Grade,Grade can be changed,Modified,Comments
Participant 21,Jane Doe,jane@example.com,Submitted,,9.00,Yes,-,
Participant 22,Rick Roe,rick@example.com,Submitted,1.00,9.00,Yes,-,kept
Participant 23,Nobody,n@example.com,No submission,,9.00,Yes,-,
"""


def table(path: Path) -> list[list[str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


def sheet(path: Path, text: str) -> Path:
    path.write_text(text, "utf-8-sig")  # as Canvas writes it
    return path


def test_canvas(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    submissions = hand_in(
        tmp_path / "in",
        {
            "doejane_11_100_9-trial": answers(),
            "roerick_LATE_12_101_9-trial": answers(first="import os\nos._exit(0)"),
            "pia": answers(q3="answer = 0"),  # found by her login
            "stranger_99_102_9-trial": answers(last="# 99"),
        },
    )
    where, out = bundle(tmp_path / "bundle"), tmp_path / "out"
    export = sheet(tmp_path / "export.csv", CANVAS)
    assert grade(where, submissions, out, "--canvas-gradebook", str(export)) == 0
    head = ["Student", "ID", "SIS User ID", "SIS Login ID", "Section", "Assignment 9: Trial (4711)"]
    found = table(out / "canvas.csv")
    assert found[0] == head
    assert {row[1]: row[5] for row in found[1:]} == {
        "": "9",  # Points Possible
        "11": "9",
        "12": "2",  # status check: as it was
        "13": "7",
        "14": "5",
        "15": "",
    }
    said = capsys.readouterr().out
    assert "roerick_12: check: cell 4" in said
    assert "stranger_99: not in the sheet" in said
    options = ("--canvas-gradebook", str(export), "--accept-checks")
    assert grade(where, submissions, out, *options) == 0
    assert {row[1]: row[5] for row in table(out / "canvas.csv")[1:]}["12"] == "9"


def test_moodle(tmp_path: Path) -> None:
    submissions = hand_in(
        tmp_path / "in",
        {
            "Jane Doe_21_assignsubmission_file_9-trial": answers(),
            "Rick Roe_22_assignsubmission_file_9-trial": b"nothing",
        },
    )
    out = tmp_path / "out"
    export = sheet(tmp_path / "export.csv", MOODLE)
    options = ("--moodle-worksheet", str(export), "--accept-checks")
    assert grade(bundle(tmp_path / "bundle"), submissions, out, *options) == 0
    found = table(out / "moodle.csv")
    before = table(export)
    assert found[1][4] == "9"
    assert found[2] == before[2]  # no total: nothing is overwritten, accepted or not
    assert found[3] == before[3]
    assert rows(out)["Rick Roe_22"]["total"] == ""


def test_names_that_are_formulas(tmp_path: Path) -> None:
    names = ("doejane_11_100_x", "Jane Doe_21_assignsubmission_file_x")
    submissions = hand_in(tmp_path / "in", {n: answers(last=f"# {n}") for n in names})
    out = tmp_path / "out"
    canvas = sheet(tmp_path / "c.csv", CANVAS.replace("Doe, Jane", "=1+1"))
    moodle = sheet(tmp_path / "m.csv", MOODLE.replace("Jane Doe", "=1+1"))
    options = ("--canvas-gradebook", str(canvas), "--moodle-worksheet", str(moodle))
    assert grade(bundle(tmp_path / "bundle"), submissions, out, *options) == 0
    for name in ("canvas.csv", "moodle.csv"):
        cells = [cell for row in table(out / name) for cell in row]
        assert "'=1+1" in cells
        assert "=1+1" not in cells


def test_a_name_that_the_terminal_cannot_show(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    submissions = hand_in(tmp_path / "in", {"\N{CJK UNIFIED IDEOGRAPH-4E00}_99_100_x": answers()})
    options = ("--canvas-gradebook", str(sheet(tmp_path / "export.csv", CANVAS)))
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), "latin-1"))
    assert grade(bundle(tmp_path / "b"), submissions, tmp_path / "out", *options) == 0


def test_two_rows_for_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Neither is written, accepted or not: whoever comes last would win."""
    submissions = hand_in(
        tmp_path / "in",
        {"doejane_11_100_9-trial": answers(q1=""), "x_11_1_200_9-trial": answers()},
    )
    out = tmp_path / "out"
    options = ("--canvas-gradebook", str(sheet(tmp_path / "export.csv", CANVAS)))
    assert grade(bundle(tmp_path / "b"), submissions, out, *options, "--accept-checks") == 0
    assert {row[1]: row[5] for row in table(out / "canvas.csv")[1:]}["11"] == ""
    assert capsys.readouterr().out.count("another row has the same line") == 2


@pytest.mark.parametrize(
    ("option", "text", "words"),
    [
        (
            "--canvas-gradebook",
            CANVAS.replace("Assignment 9: Trial", "Homework"),
            "0 columns named",
        ),
        ("--canvas-gradebook", CANVAS.replace(",9,(", ",100,("), "gives 100 points"),
        ("--canvas-gradebook", "Student\n", "no students"),
        ("--moodle-worksheet", MOODLE.replace("9.00", "100.00"), "gives 100.00 points"),
        (
            "--moodle-worksheet",
            MOODLE.replace("Identifier", "Bezeichner"),
            "no column 'Identifier'",
        ),
    ],
)
def test_sheets_that_do_not_fit(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], option: str, text: str, words: str
) -> None:
    submissions = hand_in(tmp_path / "in", {"alice": answers()})
    export = sheet(tmp_path / "export.csv", text)
    out = tmp_path / "out"
    assert grade(bundle(tmp_path / "bundle"), submissions, out, option, str(export)) == 4
    assert words in capsys.readouterr().err
    assert rows(out)["alice"]["total"] == "9"  # the scores are there all the same
