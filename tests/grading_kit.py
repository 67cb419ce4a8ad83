"""A small assignment of its own and the notebooks that answer it: what the tests of the grader
share.

The bundle is written by code, in the form that `make assignments` writes, so that no test here
waits for otter.
"""

from __future__ import annotations

import csv
import json
import shutil
import stat
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from grading.__main__ import main
from grading.limits import MIB, Limits

ROOT = Path(__file__).resolve().parent.parent

# Short, so that what hangs costs a second; the defaults differ in nothing else.
FAST = Limits(
    start_s=60,
    call_s=1.5,
    student_s=9,
    test_cpu_s=3,
    examiner_s=90,
    memory=400 * MIB,
    address_space=1024 * MIB,
    processes=24,
    printed_bytes=1 * MIB,
    tmp_bytes=8 * MIB,
    tmp_files=500,
    file_bytes=4 * MIB,
)

TITLE = "# Assignment 9: Trial\n\n**9 points, about 5 minutes.**"
SET_UP = "# Set-up: silent where all is there.\nraise RuntimeError('the grader leaves this out')"
CHECKER = (
    "#@title Checker: run this cell once.\nraise RuntimeError('the grader must leave this out')"
)
HEAD1 = "## Question 1: Size\n\n*4 points, 2 minutes*\n\nWrite `size_of(layers)`."
HEAD2 = "## Question 2: Jump\n\n*3 points, 2 minutes*\n\nWrite `jump_of(layers)`."
HEAD3 = "## Question 3: Answer\n\n*2 points, 1 minute*\n\nPut the number into `answer`."
HEAD4 = "## Question 4: Words\n\n*2 points, 1 minute*\n\nExplain."
PLACEHOLDER = "_Type your answer here, replacing this text._"

GOOD1 = """\
def size_of(layers):
    size, jump = 1, 1
    for kernel, stride in layers:
        size += (kernel - 1) * jump
        jump *= stride
    return size
"""
GOOD2 = """\
def jump_of(layers):
    jump = 1
    for _, stride in layers:
        jump *= stride
    return jump
"""
GOOD3 = "answer = 427\n"
STUB1, STUB2, STUB3 = (
    "def size_of(layers):\n    ...\n",
    "def jump_of(layers):\n    ...\n",
    "answer = ...\n",
)

_HEAD = """\
from otter.test_files import test_case

OK_FORMAT = False

name = {name!r}
points = None

"""
TESTS = {
    "q1": """\
@test_case(points=1, hidden=False)
def test_two_layers(size_of):
    got = size_of([(3, 1), (3, 2)])
    assert type(got) is int and got == 5, f"two layers of 3: it gives {got!r}, 5 is right"


@test_case(points=3, hidden=True, failure_message="Try other networks.")
def test_many_networks(size_of):
    import random

    import rflib

    numbers = random.Random(4)
    for _ in range(20):
        depth = numbers.randint(2, 6)
        layers = [(numbers.randint(1, 9), numbers.randint(1, 3)) for _ in range(depth)]
        got, size = size_of(layers), rflib.receptive_field(layers)
        assert type(got) is int and got == size, "a drawn network comes out wrong"
""",
    "q2": """\
@test_case(points=1, hidden=False, success_message="That is it.")
def test_one_stride(jump_of):
    got = jump_of([(3, 2)])
    assert type(got) is int and got == 2, f"a stride of 2 gives {got!r}"


@test_case(points=2, hidden=True)
def test_strides(jump_of):
    for layers, jump in (([(3, 2), (5, 3)], 6), ([(1, 1)], 1), ([(9, 7)] * 3, 343)):
        got = jump_of(layers)
        assert type(got) is int and got == jump, "a drawn network comes out wrong"
""",
    "q3": """\
@test_case(points=2, hidden=True)
def test_answer(answer):
    assert type(answer) is int and answer == 427, "that is not the number"
""",
}
FULL = (4.0, 3.0, 2.0)


def notebook(*cells: tuple[str, str] | str) -> bytes:
    """A notebook of these cells: text is code, ("markdown", text) is not."""
    made = [cell if isinstance(cell, tuple) else ("code", cell) for cell in cells]
    return json.dumps(
        {
            "cells": [
                {"cell_type": kind, "metadata": {}, "source": source}
                | ({"outputs": [], "execution_count": None} if kind == "code" else {})
                for kind, source in made
            ],
            "metadata": {},
            "nbformat": 4,
            "nbformat_minor": 5,
        }
    ).encode()


def answers(
    q1: str = GOOD1,
    q2: str = GOOD2,
    q3: str = GOOD3,
    first: str = "",
    last: str = "",
    written: str = "",
    manual: bool = False,
) -> bytes:
    """The student's notebook with these answers, and code of their own before and after."""
    cells: list[tuple[str, str] | str] = [("markdown", TITLE), SET_UP, CHECKER]
    cells += [first] if first else []
    cells += [("markdown", HEAD1), q1, 'grader.check("q1")']
    cells += [("markdown", HEAD2), q2, 'grader.check("q2")']
    cells += [("markdown", HEAD3), q3, 'grader.check("q3")']
    if manual:
        cells += [("markdown", HEAD4), ("markdown", written or PLACEHOLDER)]
    cells += [last] if last else []
    return notebook(*cells, "grader.hand_in()")


def bundle(
    folder: Path,
    tests: Mapping[str, str] = TESTS,
    manual: bool = False,
    solution: bytes | None = None,
    student: bytes | None = None,
    needs: tuple[str, ...] = (),
) -> Path:
    """Write the bundle of the trial assignment; returns its folder."""
    (folder / "tests").mkdir(parents=True)
    for name, source in tests.items():
        (folder / "tests" / f"{name}.py").write_text(_HEAD.format(name=name) + source, "utf-8")
    questions = [
        {
            "name": "q1",
            "title": "Question 1: Size",
            "points": 4,
            "manual": False,
            "defines": ["size_of"],
        },
        {
            "name": "q2",
            "title": "Question 2: Jump",
            "points": 3,
            "manual": False,
            "defines": ["jump_of"],
        },
        {
            "name": "q3",
            "title": "Question 3: Answer",
            "points": 2,
            "manual": False,
            "defines": ["answer"],
        },
    ]
    if manual:
        questions.append(
            {"name": "q4", "title": "Question 4: Words", "points": 2, "manual": True, "defines": []}
        )
        (folder / "rubric.md").write_text("## q4: 2 points\n\n1 for <each> reason.\n", "utf-8")
    about = {
        "format": 1,
        "name": "9-trial",
        "title": "Assignment 9: Trial",
        "notebook": "9-trial.ipynb",
        "seed": "00" * 32,
        "needs": list(needs),
        "questions": questions,
    }
    (folder / "assignment.json").write_text(json.dumps(about), "utf-8")
    (folder / "solution.ipynb").write_bytes(solution or answers(manual=manual, written="It grows."))
    (folder / "student.ipynb").write_bytes(student or answers(STUB1, STUB2, STUB3, manual=manual))
    return folder


def hand_in(folder: Path, notebooks: Mapping[str, bytes]) -> Path:
    """A folder with one file a student."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in notebooks.items():
        (folder / f"{name}.ipynb").write_bytes(data)
    return folder


def grade(where: Path, submissions: Path, out: Path, *options: str, limits: Limits = FAST) -> int:
    """`python -m grading`, here, with short limits; returns the exit status."""
    return main([str(where), str(submissions), "--out", str(out), *options], limits)


def rows(out: Path) -> dict[str, dict[str, str]]:
    """scores.csv by student."""
    with (out / "scores.csv").open(encoding="utf-8", newline="") as file:
        return {row["student"]: row for row in csv.DictReader(file)}


def scores(row: Mapping[str, str]) -> tuple[float | None, ...]:
    """The scores of q1, q2, q3; None where there is none."""
    return tuple(float(row[q]) if row[q] else None for q in ("q1", "q2", "q3"))


PYTHON = sys.executable


def readable_python() -> str:
    """A Python that an ordinary user can start: this one, or the system's."""
    for name in (sys.executable, shutil.which("python3", path="/usr/local/bin:/usr/bin:/bin")):
        if name is None:
            continue
        path = Path(name).resolve()
        new = subprocess.run(
            [path, "-c", "import sys; sys.exit(sys.version_info < (3, 11))"], check=False
        )
        if not new.returncode and all(
            p.stat().st_mode & stat.S_IXOTH for p in (path, *path.parents)
        ):
            return str(path)
    pytest.fail(
        "Graders are to run as an ordinary user, and no Python 3.11 here can be started by one: "
        "install the system's python3, or make .venv with a Python outside of root's home"
    )
