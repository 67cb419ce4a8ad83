"""Make what students, instructors and the grader need out of each assignment's source notebook.

    SECRET=... python -m grading.release [NAME ...]        (make assignments)

assignments/NAME/source.ipynb is a source notebook of otter-grader with placeholders like {{gap}}.
assignments/NAME/numbers.py draws their values from a random generator that is seeded by SECRET and
NAME alone, so that the same secret gives the same bytes.  otter-grader parts solutions and hidden
tests from the rest; what follows it makes the student's notebook work alone, without otter.
"""

from __future__ import annotations

import argparse
import ast
import hmac
import importlib.util
import json
import os
import random
import re
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import nbformat
from nbformat import NotebookNode

from grading import asserts, checker

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "web"))
import execute  # noqa: E402  the book's own way to execute a notebook to the same bytes

SOURCES = ROOT / "assignments"
OUT = ROOT / "_build" / "assignments"
FORMAT = 1
PLACEHOLDER = re.compile(r"\{\{(\w+)\}\}")
CHECK_CELL = re.compile(r'grader\.check\("(\w+)"\)')
SET_UP = """\
# Set-up: silent where all is there.
try:
    import {module}
except ImportError:
    raise ModuleNotFoundError(
        "This notebook needs {module}. Colab has it; elsewhere: pip install {module}"
    ) from None"""
CHECKER = """\
#@title Checker: run this cell once. There is nothing in it to read or to change.
import types

_checker = types.ModuleType("checker")
exec({checker!r}, vars(_checker))
grader = _checker.Checker(
    globals(),
    {tests},
    {points},
    {helpers!r},
    {notebook!r},
)"""
HAND_IN = """\
## Hand in

What counts is what your notebook does from top to bottom in one go. So run it once more that way: \
*Runtime > Restart session and run all* in Colab, *Kernel > Restart Kernel and Run All Cells* in \
JupyterLab. The next cell says how each question stands; then it downloads your notebook, or says \
how to save it."""


class ReleaseError(Exception):
    """A source that cannot be released; the message says which, why, and what to do."""


@dataclass(frozen=True)
class Question:
    """One question, as assignment.json lists it."""

    name: str
    title: str
    points: float
    minutes: int
    manual: bool
    defines: tuple[str, ...]

    def entry(self) -> dict[str, object]:
        """Its entry in assignment.json."""
        points = int(self.points) if self.points == int(self.points) else self.points
        own = {"points": points, "defines": list(self.defines)}
        return {key: value for key, value in (vars(self) | own).items() if key != "minutes"}


# --- the numbers ----------------------------------------------------------------------------------


def digest(secret: str, purpose: str) -> bytes:
    """32 bytes that nobody can tell without the secret."""
    return hmac.digest(secret.encode(), purpose.encode(), "sha256")


def drawing(name: str) -> ModuleType:
    """The assignment's numbers.py."""
    path = SOURCES / name / "numbers.py"
    spec = importlib.util.spec_from_file_location(f"numbers_of_{name.replace('-', '_')}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def numbers(name: str, secret: str) -> dict[str, Any]:
    """Draw the numbers of an assignment."""
    drawn: dict[str, Any] = drawing(name).draw(random.Random(digest(secret, name)))
    return drawn


def fill(text: str, drawn: Mapping[str, object], used: set[str]) -> str:
    """Put the numbers in place of the placeholders; note in `used` which there were."""

    def value(match: re.Match[str]) -> str:
        if match[1] not in drawn:
            raise ReleaseError(f"{match[0]} has no number; numbers.py draws {', '.join(drawn)}")
        used.add(match[1])
        found = drawn[match[1]]
        return found if isinstance(found, str) else repr(found)

    return PLACEHOLDER.sub(value, text)


# --- tests and helpers ----------------------------------------------------------------------------


def embedded(source: str) -> str:
    """A test file of otter's without its imports: the checker has what they bring."""
    tree = ast.parse(source)

    def kept(body: Iterable[ast.stmt]) -> list[ast.stmt]:
        gone = ("otter.test_files", "grading.asserts")
        return [s for s in body if not (isinstance(s, ast.ImportFrom) and s.module in gone)]

    tree.body = kept(tree.body)
    for node in tree.body:
        if isinstance(node, ast.FunctionDef):
            node.body = kept(node.body)
    return ast.unparse(tree)


def helpers(sources: Iterable[str]) -> str:
    """The part of grading/asserts.py that the given tests use, as source."""
    wanted = {
        alias.name
        for source in sources
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.ImportFrom) and node.module == "grading.asserts"
        for alias in node.names
    }
    text = Path(asserts.__file__).read_text(encoding="utf-8")
    body = ast.parse(text).body
    functions = {node.name: node for node in body if isinstance(node, ast.FunctionDef)}
    if missing := wanted - set(functions):
        raise ReleaseError(f"grading/asserts.py has no {', '.join(sorted(missing))}")
    used: set[str] = set()
    while wanted:
        name = wanted.pop()
        used.add(name)
        wanted |= (names_in(functions[name]) & set(functions)) - used
    names = set().union(*(names_in(functions[name]) for name in used))
    parts = ["from __future__ import annotations"]
    for node in body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            brought = {alias.asname or alias.name for alias in node.names}
            if brought & names:
                parts.append(ast.unparse(node))
        elif isinstance(node, ast.Assign) and names_in(node) & names:
            parts.append(ast.unparse(node))
        elif isinstance(node, ast.FunctionDef) and node.name in used:
            parts.append(f"\n\n{ast.get_source_segment(text, node)}")
    return "\n".join(parts) + "\n"


def names_in(node: ast.AST) -> set[str]:
    """All names that a piece of code mentions."""
    return {one.id for one in ast.walk(node) if isinstance(one, ast.Name)}


def cases(source: str) -> list[checker.test_case]:
    """The tests in one of otter's test files."""
    return checker.loaded(embedded(source), helpers([source]))


# --- the notebooks --------------------------------------------------------------------------------


def split(name: str, drawn: Mapping[str, object], folder: Path) -> Path:
    """Fill the source and let otter part it; the result has folders `autograder` and `student`."""
    source = SOURCES / name / "source.ipynb"
    nb = nbformat.read(source, as_version=4)
    used: set[str] = set()
    for number, cell in enumerate(nb.cells, start=1):
        try:
            cell.source = fill(cell.source, drawn, used)
        except ReleaseError as error:
            raise ReleaseError(f"{source.name}, cell {number}: {error}") from None
    fill(rubric(name), drawn, used)
    if unused := sorted(set(drawn) - used):
        raise ReleaseError(f"numbers.py draws {', '.join(unused)}, which no cell uses")
    from otter.assign import main  # takes seconds to import

    filled, result = folder / f"{name}.ipynb", folder / "otter"
    nbformat.write(nb, filled)
    main(str(filled), str(result), no_pdfs=True, no_run_tests=True)
    return result


def rubric(name: str) -> str:
    """The rubric for what a person reads."""
    path = SOURCES / name / "rubric.md"
    return path.read_text(encoding="utf-8") if path.exists() else "No question is for a person.\n"


def questions(name: str, tests: Mapping[str, str]) -> list[Question]:
    """Read the questions from the source notebook; what it promises must be what the tests give."""
    found, begun = [], None
    for cell in nbformat.read(SOURCES / name / "source.ipynb", as_version=4).cells:
        if cell.cell_type == "raw" and cell.source.startswith("# BEGIN QUESTION"):
            begun = cell.source
        elif begun and cell.cell_type == "markdown":
            found.append(question(begun, cell.source, tests))
            begun = None
    if orphans := set(tests) - {q.name for q in found if not q.manual}:
        raise ReleaseError(
            f"there are tests for {', '.join(sorted(orphans))}, but no such question"
        )
    return found


def question(config: str, text: str, tests: Mapping[str, str]) -> Question:
    """One question, from the cell that begins it and the text that follows."""
    settings = dict(re.findall(r"(?m)^(\w+): *(\S+)$", config))
    heading = re.match(r"## (Question \d+: .+)\n+\*([\d.]+) points, (\d+) minutes", text)
    name, manual = settings["name"], settings.get("manual") == "true"
    if not heading:
        raise ReleaseError(
            f"{name} must begin with '## Question N: Title' and '*N points, N minutes'; it begins "
            f"with {text[:60]!r}"
        )
    if manual:
        points, defines = float(settings["points"]), []
    else:
        own = cases(tests[name])
        points = sum(case.points for case in own)
        defines = [parameter for case in own for parameter in checker.parameters(case)]
        if len({case.title for case in own}) != tests[name].count("@test_case("):
            raise ReleaseError(f"{name} has two tests of one name: only the last would run")
        if any(case.points * 2 != int(case.points * 2) for case in own):
            raise ReleaseError(f"{name} has a test whose points are neither whole nor halves")
    if points != float(heading[2]):
        raise ReleaseError(f"{name} promises {heading[2]} points, and its tests give {points:g}")
    names = tuple(dict.fromkeys(defines))
    return Question(name, heading[1], points, int(heading[3]), manual, names)


def own_cells(nb: NotebookNode) -> Iterator[NotebookNode]:
    """The notebook's cells without what otter alone needs: its comments, locks and tags."""
    for cell in nb.cells:
        source = re.sub(r"<!-- (BEGIN|END) QUESTION -->\n*", "", cell.source).strip("\n")
        if source.strip():
            make = getattr(nbformat.v4, f"new_{cell.cell_type}_cell")
            yield make(source, metadata={})


def assembled(cells: Iterable[NotebookNode]) -> NotebookNode:
    """A notebook of these cells, numbered, so that the same cells give the same bytes."""
    nb: NotebookNode = nbformat.v4.new_notebook(cells=list(cells), metadata=execute.KERNEL)
    for number, cell in enumerate(nb.cells, start=1):
        cell.id = f"cell-{number:02d}"
    nbformat.validate(nb)
    return nb


def equipped(
    nb: NotebookNode,
    name: str,
    needs: Iterable[str],
    tests: Mapping[str, str],
    found: Iterable[Question],
    seed: str = asserts.SEED,
) -> list[NotebookNode]:
    """The notebook's cells, with set-up and checker after the title."""
    title, *rest = own_cells(nb)
    text = CHECKER.format(
        checker=Path(checker.__file__).read_text(encoding="utf-8"),
        tests=literal({question: embedded(source) for question, source in tests.items()}),
        points=literal({question.name: question.points for question in found}),
        helpers=helpers(tests.values()).replace("SEED = ''", f"SEED = {seed!r}"),
        notebook=f"{name}.ipynb",
    )
    folded = {"cellView": "form", "jupyter": {"source_hidden": True}}
    set_up = [nbformat.v4.new_code_cell(SET_UP.format(module=module)) for module in needs]
    return [title, *set_up, nbformat.v4.new_code_cell(text, metadata=folded), *rest]


def literal(entries: Mapping[str, object]) -> str:
    """A dict as Python source, one entry a line."""
    lines = "".join(f"        {key!r}: {value!r},\n" for key, value in entries.items())
    return f"{{\n{lines}    }}"


def run(nb: NotebookNode, path: Path, tests: Mapping[str, str], found: list[Question]) -> None:
    """Execute the solutions; every test of every question must pass."""
    try:
        execute.execute(nb, path)
    except execute.ExecutionError as error:
        raise ReleaseError(f"the solution does not run through: {error}") from None
    execute.normalise(nb)
    answers = {
        match[1]: "".join(output.get("data", {}).get("text/plain", "") for output in cell.outputs)
        for cell in nb.cells
        if cell.cell_type == "code" and (match := CHECK_CELL.fullmatch(cell.source))
    }
    for one in found:
        if not one.manual:
            passed = [checker.Result(c.title, c.points, "") for c in cases(tests[one.name])]
            wanted = checker.Report(one.name, passed, one.points).headline
            if not answers.get(one.name, "").startswith(wanted):
                raise ReleaseError(
                    f"the solution of {one.name} does not pass: {answers.get(one.name, 'no check')}"
                )


# --- one assignment -------------------------------------------------------------------------------


def release(name: str, secret: str, folder: Path) -> str:
    """Write everything about one assignment into `folder`; return one line about it."""
    with tempfile.TemporaryDirectory() as scratch:
        parted = split(name, numbers(name, secret), Path(scratch))
        said = written(name, secret, parted, Path(scratch) / "made")
        shutil.rmtree(folder, ignore_errors=True)  # not before all of the new one is there
        shutil.copytree(Path(scratch) / "made", folder)
        folder.chmod(0o700)  # classmates may have an account on this machine
        return said


def written(name: str, secret: str, parted: Path, folder: Path) -> str:
    """Write what otter has parted as files that work without it."""
    full, visible = (tests_in(parted / side / "tests") for side in ("autograder", "student"))
    found = questions(name, full)
    source = nbformat.read(parted / "autograder" / f"{name}.ipynb", as_version=4)
    bare = nbformat.read(parted / "student" / f"{name}.ipynb", as_version=4)
    needs = needed(source)
    total = sum(question.points for question in found)
    promise = f"**{total:g} points, about {sum(question.minutes for question in found)} minutes.**"
    if promise not in source.cells[0].source:
        raise ReleaseError(f"the first cell must say {promise!r}, as the questions do")
    said = fill(rubric(name), numbers(name, secret), set())
    for question in found:
        if question.manual and f"## {question.name}: {question.points:g} points" not in said:
            raise ReleaseError(f"rubric.md needs '## {question.name}: {question.points:g} points'")

    bundle = folder / "autograder"
    (bundle / "tests").mkdir(parents=True)
    student = [
        *equipped(bare, name, needs, visible, found),
        nbformat.v4.new_markdown_cell(HAND_IN),
        nbformat.v4.new_code_cell("grader.hand_in()"),
    ]
    for path in (folder / f"{name}.ipynb", bundle / "student.ipynb"):
        path.write_bytes(execute.to_bytes(assembled(student)))
    reference = [cell for cell in own_cells(source) if not CHECK_CELL.fullmatch(cell.source)]
    (bundle / "solution.ipynb").write_bytes(execute.to_bytes(assembled(reference)))
    for of, text in full.items():
        (bundle / "tests" / f"{of}.py").write_text(text, encoding="utf-8")
    (bundle / "rubric.md").write_text(said, encoding="utf-8")
    seed = digest(secret, f"{name}: hidden tests").hex()
    about = {
        "format": FORMAT,
        "name": name,
        "title": source.cells[0].source.splitlines()[0].removeprefix("# "),
        "notebook": f"{name}.ipynb",
        "seed": seed,
        "needs": needs,
        "questions": [question.entry() for question in found],
    }
    text = json.dumps(about, indent=1, ensure_ascii=False) + "\n"
    (bundle / "assignment.json").write_text(text, encoding="utf-8")

    solutions = assembled(equipped(source, name, needs, full, found, seed))
    run(solutions, folder / "solutions.ipynb", full, found)
    (folder / "solutions.ipynb").write_bytes(execute.to_bytes(solutions))
    by_hand = sum(question.points for question in found if question.manual)
    return f"{name}: {len(found)} questions, {total:g} points, {by_hand:g} of them by a person"


def tests_in(folder: Path) -> dict[str, str]:
    """otter's test files by question, in order."""
    return {path.stem: path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.py"))}


def needed(nb: NotebookNode) -> list[str]:
    """The modules outside of the standard library that the solution imports."""
    imported = set()
    for cell in nb.cells:
        if cell.cell_type == "code":
            for node in ast.walk(ast.parse(cell.source)):
                if isinstance(node, ast.Import):
                    imported |= {alias.name.split(".")[0] for alias in node.names}
                elif isinstance(node, ast.ImportFrom) and node.module:
                    imported.add(node.module.split(".")[0])
    return sorted(imported - sys.stdlib_module_names)


def available() -> list[str]:
    """The names of all assignments."""
    return sorted(path.parent.name for path in SOURCES.glob("*/source.ipynb"))


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m grading.release", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="all, unless some are named")
    names = parser.parse_args().names or available()
    secret = os.environ.get("SECRET", "")
    if not secret:
        print(
            "There is no SECRET. The numbers of the assignments and of their hidden tests are "
            "drawn from it.\nType SECRET=... make assignments, with words that only you know, "
            "another one each year, and keep it.\nSECRET=demo is for looking: everybody knows "
            "its numbers.",
            file=sys.stderr,
        )
        return 2
    if unknown := [name for name in names if name not in available()]:
        print(f"There is no {unknown[0]}; there are {', '.join(available())}.", file=sys.stderr)
        return 2
    problems = []
    for name in names:
        try:
            print(release(name, secret, OUT / name), flush=True)
        except ReleaseError as error:
            problems.append(f"{name}: {error}")
    print(*problems, sep="\n", file=sys.stderr, end="\n" if problems else "")
    if not problems:
        print(f"The students' notebooks and all else are in {OUT.relative_to(ROOT)}.")
    return int(bool(problems))


if __name__ == "__main__":
    sys.exit(main())
