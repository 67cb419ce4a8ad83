"""The released assignments through the grader itself: what right and wrong answers are given there.

The checker of the students' notebooks and the grader read the same tests; here they must agree.
"""

from __future__ import annotations

import csv
import json
from pathlib import Path

import nbformat
import pytest
from test_assignments import NAMES, SECRET, WRONG, own, released  # noqa: F401  a fixture

from grading import release
from grading.__main__ import main

pytestmark = pytest.mark.slow
MECHANICAL = ("# Set-up", "#@title Checker", "grader.")


def filled(student: Path, answers: list[str], to: Path) -> None:
    """Write the student's file with these answers in place of its own code cells."""
    nb = nbformat.read(student, as_version=4)
    right = iter(answers)
    for cell in nb.cells:
        if cell.cell_type == "code" and not cell.source.startswith(MECHANICAL):
            cell.source = next(right)
    assert list(right) == []
    nbformat.write(nb, to)


@pytest.mark.parametrize("name", NAMES)
def test_the_grader_agrees(name: str, released: Path, tmp_path: Path) -> None:  # noqa: F811
    bundle = released / name / "autograder"
    about = json.loads((bundle / "assignment.json").read_text(encoding="utf-8"))
    solution = own(bundle / "solution.ipynb")
    handed_in = tmp_path / "submissions"
    handed_in.mkdir()
    (handed_in / "empty.ipynb").write_bytes((bundle / "student.ipynb").read_bytes())
    filled(bundle / "student.ipynb", solution, handed_in / "solved.ipynb")
    wanted: dict[str, dict[str, float]] = {}
    drawn = {key: repr(value) for key, value in release.numbers(name, SECRET).items()}
    for mistake, (of, question, changes, left, _) in WRONG.items():
        if of == name:
            answers = list(solution)
            for old, new in changes:
                for key, value in drawn.items():
                    old, new = old.replace(f"{{{key}}}", value), new.replace(f"{{{key}}}", value)
                place = next(i for i, source in enumerate(answers) if old in source)
                answers[place] = answers[place].replace(old, new, 1)
            filled(bundle / "student.ipynb", answers, handed_in / f"{mistake}.ipynb")
            wanted[mistake] = {question: left}
    machine = {q["name"]: q["points"] for q in about["questions"] if not q["manual"]}
    wanted["solved"] = machine
    wanted["empty"] = dict.fromkeys(machine, 0)

    assert main([str(bundle), str(handed_in), "--out", str(tmp_path / "out")]) == 0
    with (tmp_path / "out" / "scores.csv").open(encoding="utf-8", newline="") as file:
        rows = {row["student"]: row for row in csv.DictReader(file)}
    assert rows.keys() == wanted.keys()
    for student, scores in wanted.items():
        row = rows[student]
        assert {q: float(row[q]) for q in scores} == scores, row
        assert "grader" not in row["status"], row
    pages = (tmp_path / "out" / "feedback").glob("*.html")
    assert sorted(page.stem for page in pages) == sorted(wanted)
