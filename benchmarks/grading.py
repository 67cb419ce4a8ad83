"""How long a class takes to grade: `python benchmarks/grading.py` prints a line per released
assignment.

A class is made out of each assignment's solution: most students have it right, some left questions
empty, some have cells that raise or do not parse, one in a hundred has a loop without an end.
`SECRET=... make assignments` comes first.
"""

from __future__ import annotations

import argparse
import csv
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
RELEASED = ROOT / "_build" / "assignments"


def student(number: int, solution: dict[str, Any], empty: dict[str, Any]) -> dict[str, Any]:
    """The notebook that this student hands in."""
    own = {
        cell["source"] if isinstance(cell["source"], str) else "".join(cell["source"])
        for cell in empty["cells"]
    }
    cells = [dict(cell) for cell in solution["cells"]]
    answers = [
        cell
        for cell in cells
        if cell["cell_type"] == "code" and text(cell) not in own and "def " in text(cell)
    ]
    if answers:
        chosen = answers[number % len(answers)]
        if number % 10 == 3:
            chosen["source"] = "pass"
        elif number % 10 == 6:
            chosen["source"] = text(chosen).replace("):", ")", 1)
        elif number % 10 == 8:
            chosen["source"] = "1 / 0\n" + text(chosen)
        elif number % 100 == 50:
            chosen["source"] = "while True:\n    pass\n" + text(chosen)
    last = {"cell_type": "code", "metadata": {}, "outputs": [], "execution_count": None}
    return {
        **solution,
        "cells": [*cells, {**last, "source": f"# student {number}\nprint({number})"}],
    }


def text(cell: dict[str, Any]) -> str:
    """A cell's source as one string."""
    source: str | list[str] = cell["source"]
    return source if isinstance(source, str) else "".join(source)


def measure(bundle: Path, count: int, jobs: int) -> str:
    """Grade a class of this size; a line about it."""
    solution, empty = (
        json.loads((bundle / f"{name}.ipynb").read_text("utf-8"))
        for name in ("solution", "student")
    )
    with tempfile.TemporaryDirectory(prefix="class-") as folder:
        submissions = Path(folder) / "submissions"
        submissions.mkdir()
        for number in range(count):
            notebook = student(number, solution, empty)
            (submissions / f"student{number:04d}.ipynb").write_text(json.dumps(notebook), "utf-8")
        out = Path(folder) / "grades"
        began = time.perf_counter()
        command = [
            sys.executable,
            "-m",
            "grading",
            bundle,
            submissions,
            "--out",
            out,
            "-j",
            str(jobs),
        ]
        subprocess.run(command, cwd=ROOT, check=True)
        seconds = time.perf_counter() - began
        with (out / "scores.csv").open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
    names = [name for name in rows[0] if name not in ("student", "total", "status")]
    sums: dict[str, int] = {}
    for row in rows:
        key = "/".join(row[name] or "-" for name in names)
        sums[key] = sums.get(key, 0) + 1
    most = max(sums, key=lambda key: sums[key])
    return (
        f"{bundle.parent.name}: {count} submissions, {jobs} at a time, {seconds:.0f} s; "
        f"{sums[most]} with the scores {most}, {len(sums)} different rows of scores"
    )


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundles", nargs="*", type=Path, help="default: all that are released")
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("-j", "--jobs", type=int, default=2)
    args = parser.parse_args()
    bundles = args.bundles or sorted(RELEASED.glob("*/autograder"))
    if not bundles:
        sys.exit(f"{RELEASED} holds no bundle: SECRET=demo make assignments")
    for line in [measure(bundle.resolve(), args.count, args.jobs) for bundle in bundles]:
        print(line)


if __name__ == "__main__":
    main()
