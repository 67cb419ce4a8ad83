"""An assignment as the grader needs it: the folder `autograder` of a release, read and checked."""

from __future__ import annotations

import builtins
import hashlib
import inspect
import json
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from grading.limits import Limits
from grading.notebook import Cell, NotebookError, read

# The cells of the released notebook that are the checker's: set-up, checker, checks, hand-in.
_MECHANICAL = re.compile(r"# Set-up|#@title Checker|grader\.(check|hand_in)\(")


class BundleError(Exception):
    """The bundle cannot be graded with; the message says what is wrong with it."""


@dataclass
class Case:
    """One test: a decorated function in a test file of otter-grader's exception-based form."""

    points: float | None = None
    hidden: bool = False
    success_message: str | None = None
    failure_message: str | None = None
    name: str | None = None
    function: Callable[..., object] = field(default=lambda: None)

    def __call__(self, function: Callable[..., object]) -> Case:
        self.function = function
        return self

    @property
    def title(self) -> str:
        """What the test looks at, from its function's name."""
        return self.name or self.function.__name__.removeprefix("test_").replace("_", " ")

    @property
    def parameters(self) -> list[str]:
        return list(inspect.signature(self.function).parameters)


@dataclass(frozen=True)
class Question:
    name: str
    title: str
    points: float
    manual: bool
    defines: tuple[str, ...]
    cases: tuple[Case, ...] = ()


@dataclass(frozen=True)
class Bundle:
    name: str
    title: str
    notebook: str
    seed: str
    needs: tuple[str, ...]
    questions: tuple[Question, ...]
    solution: list[Cell]
    student: list[Cell]
    rubric: str
    digest: str  # of everything that scores hang on: the bundle, the grader, rflib, Python

    @property
    def mechanical(self) -> frozenset[str]:
        """The text of the released cells that belong to the checker."""
        return frozenset(
            c.key for c in self.student if c.kind == "code" and _MECHANICAL.match(c.source.lstrip())
        )

    def to_run(self, cells: list[Cell]) -> list[Cell]:
        """The cells with the checker's own emptied; the others keep their numbers."""
        left_out = self.mechanical
        return [Cell("raw", "") if cell.key in left_out else cell for cell in cells]


def load(folder: Path) -> Bundle:
    """The bundle in this folder.

    BundleError where something is missing or does not fit together.
    """
    limits = Limits()
    try:
        about = json.loads((folder / "assignment.json").read_text("utf-8"))
        solution, student = (
            read((folder / f"{name}.ipynb").read_bytes(), limits)
            for name in ("solution", "student")
        )
    except OSError as error:
        raise BundleError(
            f"{error.filename} cannot be read ({error.strerror}): make assignments writes it"
        ) from error
    except (ValueError, NotebookError) as error:
        raise BundleError(f"{folder} holds a file that cannot be read: {error}") from error
    if about.get("format") != 1:
        raise BundleError(
            f"{folder}/assignment.json has format {about.get('format')!r}; known is 1"
        )
    try:
        questions = tuple(_question(entry, folder, about["seed"]) for entry in about["questions"])
        rubric = folder / "rubric.md"
        return Bundle(
            about["name"],
            about["title"],
            about["notebook"],
            about["seed"],
            tuple(about["needs"]),
            questions,
            solution,
            student,
            rubric.read_text("utf-8") if rubric.exists() else "",
            _digest(folder),
        )
    except KeyError as error:
        raise BundleError(f"{folder}/assignment.json has no {error}") from error


def _question(entry: Mapping[str, Any], folder: Path, seed: str) -> Question:
    name = entry["name"]
    cases: tuple[Case, ...] = ()
    if not entry["manual"]:
        path = folder / "tests" / f"{name}.py"
        try:
            cases = load_cases(path.read_text("utf-8"), str(path), seed)
        except OSError as error:
            raise BundleError(f"{path} cannot be read: {error.strerror}") from error
        given = sum(case.points or 0 for case in cases)
        if given != entry["points"]:
            raise BundleError(f"{name} has {entry['points']} points, its tests give {given:g}")
    return Question(
        name, entry["title"], entry["points"], entry["manual"], tuple(entry["defines"]), cases
    )


def load_cases(source: str, path: str, seed: str) -> tuple[Case, ...]:
    """The tests of a test file. `otter` is not needed: its decorator is replaced by `Case`."""

    def test_case(
        name: str | None = None,
        points: float | None = None,
        hidden: bool = False,
        success_message: str | None = None,
        failure_message: str | None = None,
    ) -> Case:
        return Case(points, hidden, success_message, failure_message, name)

    def importer(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "otter.test_files":
            return SimpleNamespace(test_case=test_case)
        module = __import__(name, *args, **kwargs)
        if name == "grading.asserts":
            sys.modules[name].SEED = seed  # type: ignore[attr-defined]
        return module

    space: dict[str, Any] = {
        "__name__": "tests",
        "__builtins__": {**vars(builtins), "__import__": importer},
    }
    try:
        exec(compile(source, path, "exec"), space)
    except Exception as error:
        raise BundleError(f"{path} does not load: {type(error).__name__}: {error}") from error
    if space.get("OK_FORMAT") is not False or "name" not in space:
        raise BundleError(f"{path} is no test file of otter-grader's exception-based form")
    cases = [value for value in space.values() if isinstance(value, Case)]
    if not cases:
        raise BundleError(f"{path} has no test")
    if space.get("all_or_nothing"):
        raise BundleError(f"{path} is all_or_nothing, which this grader does not know")
    _share_points(cases, space.get("points"), path)
    return tuple(cases)


def _share_points(cases: list[Case], total: object, path: str) -> None:
    """otter's rule: what is not given to a test is split evenly among those without points."""
    if isinstance(total, list):
        if len(total) != len(cases):
            raise BundleError(f"{path} has {len(total)} points for {len(cases)} tests")
        for case, points in zip(cases, total, strict=True):
            case.points = points
    without = [case for case in cases if case.points is None]
    if not without:
        return
    given = sum(case.points or 0 for case in cases)
    whole = total if isinstance(total, int | float) else 1 if given == 0 else given
    for case in without:
        case.points = (whole - given) / len(without)


def _digest(folder: Path) -> str:
    found = hashlib.sha256(sys.version.encode())
    here = Path(__file__).resolve().parent
    bundle = [p for p in folder.rglob("*") if p.is_file() and "__pycache__" not in p.parts]
    for root, paths in (
        (folder, bundle),
        (here, list(here.glob("*.py"))),
        (here.parent, list((here.parent / "rflib").glob("**/*.py"))),
    ):
        for path in sorted(paths):
            data = path.read_bytes()
            found.update(f"{path.relative_to(root)} {len(data)}\n".encode() + data)
    return found.hexdigest()
