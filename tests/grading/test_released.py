"""What `make assignments` releases is what the grader grades.

The three assignments, from source to scores.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from grading_kit import grade, hand_in, rows

from grading import release
from grading.limits import Limits


@pytest.mark.slow
@pytest.mark.parametrize("name", release.available())
def test_from_source_to_scores(name: str, tmp_path: Path) -> None:
    release.release(name, "a secret of the tests", tmp_path / "released")
    where = tmp_path / "released" / "autograder"
    about = json.loads((where / "assignment.json").read_text("utf-8"))
    solution, empty = (
        json.loads((where / f"{kind}.ipynb").read_text("utf-8")) for kind in ("solution", "student")
    )
    handed_in = json.loads((tmp_path / "released" / f"{name}.ipynb").read_text("utf-8"))
    assert handed_in == empty
    # As students do it: their answers in the released file, checker and hand-in cell included.
    answered = {**empty, "cells": [*empty["cells"][:-1], *solution["cells"], empty["cells"][-1]]}
    broken = json.loads(json.dumps(solution))
    first = about["questions"][0]
    for cell in broken["cells"]:
        if cell["cell_type"] == "code":
            cell["source"] = "".join(cell["source"])
            for wanted in first["defines"]:
                pattern = rf"\b{re.escape(wanted)}\b"
                cell["source"] = re.sub(pattern, f"my_{wanted}", cell["source"])
    notebooks = {"right": solution, "answered": answered, "empty": empty, "renamed": broken}
    data = {student: json.dumps(found).encode() for student, found in notebooks.items()}
    submissions, out = hand_in(tmp_path / "in", data), tmp_path / "out"
    assert grade(where, submissions, out, limits=Limits()) == 0
    found = rows(out)
    points = {q["name"]: q["points"] for q in about["questions"] if not q["manual"]}
    by_hand = [q["name"] for q in about["questions"] if q["manual"]]
    for student in ("right", "answered"):
        assert {q: float(found[student][q]) for q in points} == points
    got = {q: float(found["empty"][q]) for q in points}
    assert sum(got.values()) <= 0.1 * sum(points.values()), got
    assert float(found["renamed"][first["name"]]) == 0
    assert f"`{first['defines'][0]}` is not defined" in found["renamed"]["status"]
    assert found["right"]["status"] == (
        f"check: {', '.join(by_hand)}: not yet graded by hand" if by_hand else "ok"
    )
