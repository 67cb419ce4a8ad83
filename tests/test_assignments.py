"""The assignments: their numbers, what is released, and what right and wrong answers are given.

Answers are marked here by the checker, in this process: these are the instructor's own notebooks.
How strangers' notebooks are graded is the matter of the tests of the grader.
"""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from fractions import Fraction
from itertools import combinations
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient
from shared import once
from test_colab import colab  # noqa: F401  a fixture

from grading import asserts, checker, release

SECRET, OTHER = "a secret of the tests", "the next year's"
NAMES = ("1-arithmetic", "2-probe", "3-design")
ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def released(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All assignments, released once; the step itself executes the solutions and checks them."""

    def make(folder: Path) -> None:
        for name in NAMES:
            release.release(name, SECRET, folder / name)

    return once(tmp_path_factory, "assignments-released", make)


# --- what the tests below do with notebooks -------------------------------------------------------


def cells(path: Path) -> list[tuple[str, str]]:
    """Kind and source of each cell."""
    return [(c.cell_type, c.source) for c in nbformat.read(path, as_version=4).cells]


def own(path: Path) -> list[str]:
    """The code cells that are the assignment's own: no set-up, no checker, no hand-in."""
    mechanical = ("# Set-up", "#@title Checker", "grader.")
    return [s for kind, s in cells(path) if kind == "code" and not s.startswith(mechanical)]


def shown(path: Path) -> tuple[str, dict[str, str]]:
    """All that stands in a student's file, strings of code unpacked; and its visible tests."""
    parts, visible = [source for _, source in cells(path)], {}
    for source in list(parts):
        if source.startswith("#@title Checker"):
            tree = ast.parse(source)
            constants = (node.value for node in ast.walk(tree) if isinstance(node, ast.Constant))
            parts += [value for value in constants if isinstance(value, str)]
            visible = ast.literal_eval(tree.body[-1].value.args[1])  # type: ignore[attr-defined]
    assert visible
    return "\n".join(parts), visible


def ran(sources: list[str], go_on: bool = False) -> dict[str, Any]:
    """The names that the cells define, run in this process; `go_on` after a cell that stops."""
    names: dict[str, Any] = {"__name__": "__main__"}
    for source in sources:
        try:
            exec(compile(source, "<cell>", "exec"), names)
        except Exception:
            if not go_on:
                raise
    return names


def suites(bundle: Path) -> dict[str, str]:
    """The bundle's test files by question."""
    return {p.stem: p.read_text(encoding="utf-8") for p in sorted((bundle / "tests").glob("*.py"))}


def examiner(bundle: Path, names: dict[str, Any]) -> checker.Checker:
    """The checker on all tests of the bundle, hidden ones too."""
    tests = suites(bundle)
    about = json.loads((bundle / "assignment.json").read_text(encoding="utf-8"))
    helpers = release.helpers(tests.values()).replace("SEED = ''", f"SEED = {about['seed']!r}")
    points = {question["name"]: question["points"] for question in about["questions"]}
    embedded = {question: release.embedded(text) for question, text in tests.items()}
    return checker.Checker(names, embedded, points, helpers, about["notebook"])


def marked(bundle: Path, names: dict[str, Any]) -> dict[str, checker.Report]:
    """The report of each question."""
    by = examiner(bundle, names)
    return {question: by.check(question) for question in by.tests}


# --- numbers --------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_any_secret_gives_a_well_posed_assignment(name: str) -> None:
    # Each `draw` asserts what makes its questions as hard as they should be.
    drawn = [release.numbers(name, f"secret {i}") for i in range(100)]
    assert len({frozenset(numbers) for numbers in drawn}) == 1
    assert drawn[:20] == [release.numbers(name, f"secret {i}") for i in range(20)]
    assert len({repr(numbers) for numbers in drawn}) > 95


def positions(layers: list[tuple[int, int, int, int]], unit: int) -> list[int]:
    """What a unit reads through layers (kernel, stride, padding, dilation), by counting."""
    found = {unit}
    for kernel, stride, padding, dilation in reversed(layers):
        found = {stride * o - padding + dilation * t for o in found for t in range(kernel)}
    return sorted(found)


def test_the_drawn_answers_are_right_by_counting() -> None:
    for i in range(20):
        one, two = (release.numbers(name, f"secret {i}") for name in NAMES[:2])
        read = positions([(k, s, 0, 1) for k, s in one["net"]], 0)
        assert len(read) == read[-1] + 1 == one["net_size"]
        wrong = (one["net_without_jump"], one["net_early"], one["net_backwards"])
        assert one["net_size"] not in wrong
        spread = positions([(3, 1, 0, two["first_dilation"]), (3, 1, 0, two["second_dilation"])], 0)
        assert Fraction(len(spread), spread[-1] + 1) == Fraction(
            two["density_top"], two["density_bottom"]
        )
        full = positions([(3, 1, 0, d) for d in two["dilations"]], 0)
        assert len(full) == full[-1] + 1 == two["hull"]
        assert len(set(two["dilations"])) == 3


def test_without_a_secret_it_stops_in_words() -> None:
    env = {k: v for k, v in os.environ.items() if k != "SECRET"} | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "grading.release"]
    done = subprocess.run(command, env=env, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "SECRET=... make assignments" in done.stderr
    assert not done.stdout


def test_an_unknown_name_is_answered_with_the_known_ones(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SECRET", SECRET)
    monkeypatch.setattr(sys, "argv", ["release", "9-nothing"])
    assert release.main() == 2
    assert f"There is no 9-nothing; there are {', '.join(NAMES)}." in capsys.readouterr().err


def test_a_source_that_fails_leaves_the_old_release_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sources, out = tmp_path / "assignments", tmp_path / "out"
    (sources / "8-trial").mkdir(parents=True)
    nb = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("# One {{apple}}")])
    nbformat.write(nb, sources / "8-trial" / "source.ipynb")
    drawing = "def draw(random):\n    return {'pear': random.randint(1, 9)}\n"
    (sources / "8-trial" / "numbers.py").write_text(drawing)
    (out / "8-trial").mkdir(parents=True)
    (out / "8-trial" / "old").write_text("as it was")
    monkeypatch.setenv("SECRET", SECRET)
    monkeypatch.setattr(sys, "argv", ["release"])
    monkeypatch.setattr(release, "SOURCES", sources)
    monkeypatch.setattr(release, "OUT", out)
    assert release.main() == 1
    said = capsys.readouterr().err
    assert "8-trial: source.ipynb, cell 1: {{apple}} has no number; numbers.py draws pear" in said
    assert [path.name for path in out.rglob("*")] == ["8-trial", "old"]


def test_the_set_up_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ModuleNotFoundError, match="elsewhere: pip install torch"):
        exec(release.SET_UP.format(module="torch"), {})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{{nothing}}", "{{nothing}} has no number"),
        ("{{gap}} and {{gop}}", "{{gop}} has no number"),
    ],
)
def test_a_placeholder_without_a_number_is_named(text: str, message: str) -> None:
    with pytest.raises(release.ReleaseError, match=re.escape(message)):
        release.fill(text, {"gap": 6}, set())


# --- what is released -----------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_twice_the_same_bytes(name: str, released: Path, tmp_path: Path) -> None:
    release.release(name, SECRET, tmp_path / name)
    first, second = (
        {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
        for folder in (released / name, tmp_path / name)
    )
    assert first == second
    assert Path(f"{name}.ipynb") in first
    assert Path("autograder/assignment.json") in first
    assert not any(SECRET.encode() in data for data in first.values())
    assert (tmp_path / name).stat().st_mode & 0o777 == 0o700


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_the_solution_gets_full_marks_and_the_empty_notebook_none(
    name: str, released: Path
) -> None:
    bundle = released / name / "autograder"
    about = json.loads((bundle / "assignment.json").read_text(encoding="utf-8"))
    assert 20 <= sum(question["points"] for question in about["questions"]) <= 30
    full = marked(bundle, ran(own(bundle / "solution.ipynb")))
    empty = marked(bundle, ran(own(bundle / "student.ipynb")))
    by_machine = [question for question in about["questions"] if not question["manual"]]
    assert list(full) == [question["name"] for question in by_machine]
    for question in by_machine:
        report = full[question["name"]]
        assert report.passed, report
        assert report.earned == question["points"]
        assert empty[question["name"]].earned == 0, empty[question["name"]]


def solution_lines(name: str, numbers: dict[str, object]) -> tuple[set[str], set[str]]:
    """The lines of the solutions, and the lines that students are given, of the source notebook."""
    solution, given, inside, block = set(), set(), False, ""
    for cell in nbformat.read(ROOT / "assignments" / name / "source.ipynb", as_version=4).cells:
        if cell.cell_type == "raw":
            block = cell.source.partition("\n")[0]
            continue
        for line in release.fill(cell.source, numbers, set()).splitlines():
            if "# BEGIN SOLUTION" in line or "# END SOLUTION" in line:
                inside = "BEGIN" in line
            elif (
                inside
                or "# SOLUTION" in line
                or (block == "# BEGIN SOLUTION" and cell.cell_type == "markdown")
            ):
                solution.add(line.replace("# SOLUTION", "").strip())
            elif block != "# BEGIN TESTS":
                given.add(line.strip())
    return solution, given


def functions(source: str) -> dict[str, str]:
    """The tests of a test file by name, as source."""
    tree = ast.parse(source)
    return {n.name: ast.unparse(n) for n in tree.body if isinstance(n, ast.FunctionDef)}


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_no_solution_and_no_hidden_test_is_in_the_students_file(name: str, released: Path) -> None:
    text, visible = shown(released / name / f"{name}.ipynb")
    for marker in ("SOLUTION", "BEGIN ", "hidden=True", "HIDDEN", "import otter", "grading"):
        assert marker not in text, marker

    solution, given = solution_lines(name, release.numbers(name, SECRET))
    assert len(solution) > 20
    for line in solution - given:
        if len(line) >= 12 and not line.startswith(("import ", "from ")):
            assert line not in text, line

    for question, source in suites(released / name / "autograder").items():
        seen = functions(visible[question])
        hidden = {k: v for k, v in functions(source).items() if k not in seen}
        assert hidden, f"{question} has no hidden test"
        everywhere = "\n".join(seen.values())
        for function, body in hidden.items():
            assert f"def {function}(" not in text
            for line in map(str.strip, body.splitlines()[2:]):
                assert len(line) < 40 or line in everywhere or line not in text, line


ANSWERS = {
    "1-arithmetic": ("SIZE", "TILE", "SEEN", "PATCH", "VERDICTS", "SIZES", "UP_JUMP", "LUCKY"),
    "2-probe": ("DENSITY", "DILATIONS", "SWITCHED_OFF", "WINNER", "EVERYTHING", "FADED"),
    "3-design": ("TABLE", "LAST", "RATIO", "CROSSOVER", "DESIGN"),
}


def leaves(value: object) -> Iterator[int]:
    """The numbers in an answer."""
    if isinstance(value, (list, tuple)):
        for entry in value:
            yield from leaves(entry)
    elif isinstance(value, dict):
        yield from leaves(list(value.values()))
    elif isinstance(value, Fraction):
        yield from (value.numerator, value.denominator)
    elif isinstance(value, int):
        yield value


def literals(source: str) -> Iterator[object]:
    """All values that stand in a piece of code."""
    for node in ast.walk(ast.parse(source)):
        try:
            yield ast.literal_eval(node)  # type: ignore[arg-type]
        except (ValueError, TypeError):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Fraction":
                yield Fraction(*map(ast.literal_eval, node.args))


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_no_expected_value_is_in_the_students_file(name: str, released: Path) -> None:
    names = ran(own(released / name / "autograder" / "solution.ipynb"))
    text, visible = shown(released / name / f"{name}.ipynb")
    for answer in ANSWERS[name]:
        assert f"{answer} = ..." in text
        (question,) = (
            q for q, source in visible.items() if re.search(rf"def .*\b{answer}\b", source)
        )
        told = [value for value in literals(visible[question]) if value == names[answer]]
        assert not told, f"{answer} = {told} in the visible tests of {question}"
        large = {number for number in leaves(names[answer]) if number > 999}  # no coincidence
        assert not {n for n in large if re.search(rf"\b{n}\b|\b{n:,}\b", text)}, answer


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_last_years_answers_do_not_fit(name: str, released: Path, tmp_path: Path) -> None:
    parted = release.split(name, release.numbers(name, OTHER), tmp_path)
    bundle = released / name / "autograder"
    old = ran(own(bundle / "solution.ipynb"))
    tests = release.tests_in(parted / "autograder" / "tests")
    points = dict.fromkeys(tests, 0.0)
    helpers = release.helpers(tests.values()).replace("SEED = ''", "SEED = '00'")
    embedded = {question: release.embedded(text) for question, text in tests.items()}
    by = checker.Checker(old, embedded, points, helpers, "")
    lost = {question for question in tests if not by.check(question).passed}
    drawn = {"1-arithmetic": tests.keys(), "2-probe": {"q2", "q5"}, "3-design": {"q2", "q3"}}
    assert lost == set(drawn[name])


@pytest.mark.slow
def test_the_page_for_instructors_says_what_is_released(released: Path) -> None:
    page = (ROOT / "chapters" / "for-instructors.md").read_text(encoding="utf-8")
    rows = re.findall(
        r"(?m)^\| (\d) \*(\w+)\*.*?\| (\d+) \| (\w+) \| (\d+) minutes \| (.+?) \|$", page
    )
    assert len(rows) == len(NAMES)
    for name, (number, title, points, by_hand, minutes, needs) in zip(NAMES, rows, strict=True):
        about = json.loads((released / name / "autograder" / "assignment.json").read_text())
        assert about["title"] == f"Assignment {number}: {title}"
        assert sum(question["points"] for question in about["questions"]) == int(points)
        manual = sum(question["points"] for question in about["questions"] if question["manual"])
        assert by_hand == (str(manual) if manual else "none")
        first = cells(released / name / f"{name}.ipynb")[0][1]
        assert f"**{points} points, about {minutes} minutes.**" in first
        assert needs == (", ".join(about["needs"]) or "plain Python")


TESTS = """
from otter.test_files import test_case
OK_FORMAT = False
name = "q1"
points = None

@test_case(points=1.5, hidden=False)
def test_one(a):
    from grading.asserts import expect
    expect("a", a, 1)

@test_case(points=0.5, hidden=True)
def test_two(a, b):
    assert a == b
"""


def test_a_question_must_be_what_it_promises() -> None:
    config = "# BEGIN QUESTION\nname: q1"
    text = "## Question 1: One\n\n*2 points, 5 minutes.*\n"
    question = release.question(config, text, {"q1": TESTS})
    assert question == release.Question("q1", "Question 1: One", 2, 5, False, ("a", "b"))
    assert question.entry()["defines"] == ["a", "b"]
    by_hand = release.question(f"{config}\nmanual: true\npoints: 2", text, {})
    assert by_hand.manual
    assert by_hand.points == 2
    for wrong, tests, message in (
        (text.replace("2 points", "3 points"), TESTS, "promises 3 points, and its tests give 2"),
        (text.replace("##", "#"), TESTS, "must begin with"),
        (text, TESTS.replace("test_two", "test_one"), "two tests of one name"),
        (text, TESTS.replace("0.5", "0.25"), "neither whole nor halves"),
        (text, TESTS.replace("import expect", "import expects"), "has no expects"),
    ):
        with pytest.raises(release.ReleaseError, match=message):
            release.question(config, wrong, {"q1": tests})


# --- right and wrong answers ----------------------------------------------------------------------

# assignment, question, what is changed in the solution, the points that are left, the message.
Change = tuple[str, str]
WRONG: dict[str, tuple[str, str, list[Change], float, str]] = {
    "no jump": (
        "1-arithmetic",
        "q1",
        [("size += (kernel - 1) * jump", "size += kernel - 1")],
        1.5,
        "without the jump",
    ),
    "the jump too early": (
        "1-arithmetic",
        "q1",
        [
            ("size += (kernel - 1) * jump\n        jump *= stride", "jump *= stride"),
            ("        rows.append", "        size += (kernel - 1) * jump\n        rows.append"),
        ],
        1,
        "multiplied the jump before you used it",
    ),
    "floats": (
        "1-arithmetic",
        "q1",
        [
            (
                "size = jump = 1\n    for kernel, stride in layers:\n        size +=",
                "size = jump = 1.0\n    for kernel, stride in layers:\n        size +=",
            )
        ],
        1,
        "whole numbers",
    ),
    "forwards": (
        "1-arithmetic",
        "q2",
        [("in reversed(layers):\n        output", "in layers:\n        output")],
        1,
        "from the first layer to the last",
    ),
    "a fence too many": (
        "1-arithmetic",
        "q2",
        [("size + (output - 1) * jump", "size + output * jump")],
        1.5,
        "there are 0 jumps",
    ),
    "one number for an answer": (
        "1-arithmetic",
        "q3",
        [("return list(reversed(layers))", "return [(calculator(layers), 1)]")],
        2,
        "of the same layers",
    ),
    "clipped at the image alone": (
        "1-arithmetic",
        "q4",
        [
            (
                "min(stride * last - padding + kernel - 1, below - 1)",
                "stride * last - padding + kernel - 1",
            ),
            (
                "    return first, last\n    # END SOLUTION\n\n\nSEEN",
                "    return first, min(last, size - 1)\n    # END SOLUTION\n\n\nSEEN",
            ),
        ],
        3.5,
        "Pixel 9 is left over",
    ),
    "no padding": (
        "1-arithmetic",
        "q4",
        [
            (
                "        first = stride * first - padding\n"
                "        last = stride * last - padding +",
                "        first = stride * first\n        last = stride * last +",
            )
        ],
        3,
        "You left the padding out",
    ),
    "read as a convolution": (
        "1-arithmetic",
        "q6",
        [
            (
                "range((unit + padding) // stride + 1)",
                "range(stride * unit - padding, stride * unit - padding + kernel)",
            ),
            ("        if stride * i - padding <= unit <= stride * i - padding + kernel - 1\n", ""),
        ],
        1.5,
        "what a convolution would read",
    ),
    "rows counted": (
        "2-probe",
        "q1",
        [
            (
                "return tuple((seen.max(dim=0).values - seen.min(dim=0).values + 1).tolist())",
                "return tuple(len(set(seen[:, axis].tolist())) for axis in (0, 1))",
            )
        ],
        0.5,
        "You counted the rows",
    ),
    "the recurrence for a measurement": (
        "2-probe",
        "q1",
        [
            ("return torch.nn.Sequential(*parts)", "return layers"),
            (
                "    image = torch.ones(1",
                "    return (true_size(net),) * 2\n    image = torch.ones(1",
            ),
        ],
        2.5,
        "The ReLU is off here",
    ),
    "the whole output": (
        "2-probe",
        "q1",
        [("grad(output[0, 0, row, column], image)", "grad(output.sum(), image)")],
        0.5,
        "one unit only",
    ),
    "another network for the ReLU": (
        "2-probe",
        "q2",
        [('("relu",)] + [("conv", 3)]', '("relu",)] + [("conv", 5)]')],
        6,
        "is asked for",
    ),
    "a batch-norm that is no batch-norm": (
        "2-probe",
        "q2",
        [('EVERYTHING = [("norm",)]', 'EVERYTHING = [("conv", 1)]')],
        6,
        "has no batch-norm",
    ),
    "the winner left in": (
        "2-probe",
        "q4",
        [("part = torch.nn.AvgPool2d(part.kernel_size, part.stride)", "pass")],
        2.5,
        "one winner through",
    ),
    "not a copy": (
        "2-probe",
        "q4",
        [("copy.deepcopy(net)", "net")],
        4.5,
        "work on a copy",
    ),
    "float32": (
        "2-probe",
        "q4",
        [(".double()", ""), (", torch.float64)", ")")],
        3.5,
        "float32 has none so small",
    ),
    "a mask for a count": (
        "2-probe",
        "q5",
        [("+= count", "= 1 if count else wider[position + dilation * tap]")],
        3.5,
        "Paths are asked for",
    ),
    "three channels throughout": (
        "3-design",
        "q1",
        [
            (
                "total += kernel * kernel * channels * made[0]\n            channels = made[0]",
                "total += kernel * kernel * channels * made[0]",
            )
        ],
        4,
        "every layer the image's 3 channels",
    ),
    "work at the input": (
        "3-design",
        "q1",
        [
            ("        image = -(-image // stride)\n        if name", "        if name"),
            (
                "made[0] * image * image\n            channels = made[0]",
                "made[0] * image * image\n            channels = made[0]\n"
                "        image = -(-image // stride)",
            ),
        ],
        4,
        "positions of the input",
    ),
    "numbers for bytes": (
        "3-design",
        "q1",
        [("total += 4 * channels", "total += channels")],
        4,
        "each takes 4 bytes",
    ),
    "one giant kernel": (
        "3-design",
        "q2",
        [("DESIGN = {known}", 'DESIGN = [("conv", {field}, {jump}, 64)]')],
        3,
        "the square of the kernel",
    ),
    "a cheap network that sees something else": (
        "3-design",
        "q2",
        [("DESIGN = {known}", 'DESIGN = [("conv", 3, 2, 64)]')],
        0,
        "is asked for",
    ),
    "a step too many": (
        "3-design",
        "q3",
        [("r[0] + r[1] * ({body} - 1)", "r[0] + r[1] * {body}")],
        4,
        "needs no step",
    ),
    "the wrong way round": (
        "3-design",
        "q3",
        [
            (
                'Fraction(TABLE["three"][3], TABLE["seven"][3])',
                'Fraction(TABLE["seven"][3], TABLE["three"][3])',
            )
        ],
        4,
        "Which of the two takes more",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("mistake", WRONG)
def test_a_mistake_gets_partial_marks_and_its_name(mistake: str, released: Path) -> None:
    name, question, changes, left, message = WRONG[mistake]
    drawn = {key: repr(value) for key, value in release.numbers(name, SECRET).items()}
    sources = own(released / name / "autograder" / "solution.ipynb")
    for old, new in changes:
        for key, value in drawn.items():
            old, new = old.replace(f"{{{key}}}", value), new.replace(f"{{{key}}}", value)
        place = next(i for i, source in enumerate(sources) if old in source)
        sources[place] = sources[place].replace(old, new, 1)
    report = marked(released / name / "autograder", ran(sources, go_on=True))[question]
    assert report.earned == left, report
    assert message in " ".join(result.problem for result in report.results), report


@pytest.mark.slow
def test_every_right_answer_is_right(released: Path) -> None:
    def marks(name: str, question: str, changed: dict[str, object]) -> float:
        bundle = released / name / "autograder"
        names = right[name] | changed
        report = examiner(bundle, names).check(question)
        assert report.passed, (changed, report)
        return report.earned

    right = {name: ran(own(released / name / "autograder" / "solution.ipynb")) for name in NAMES}
    one, two, three = (release.numbers(name, SECRET) for name in NAMES)

    gap = one["gap"]
    for stride in (2, 3, gap + 1):
        if gap % (stride - 1) == 0 and gap // (stride - 1) < 20:
            witness = [(gap // (stride - 1) + 1, 1), (5, stride), (1, 1)]
            assert marks("1-arithmetic", "q3", {"WITNESS": witness}) == 4
    kernel, stride = one["hide_kernel"], one["hide_stride"]
    for times in (3, 4):
        lucky = [[kernel, stride], [times * (kernel - 1) + 1, times * (stride - 1) + 1]]
        assert tuple(lucky[1]) != one["partner"]
        assert marks("1-arithmetic", "q3", {"LUCKY": lucky}) == 4

    loss = two["loss"]
    assert marks("2-probe", "q2", {"WINNER": [("conv", 5, loss), ("max", 2), ("conv", 2)]}) == 8
    small = two["norm_size"]
    assert marks("2-probe", "q2", {"EVERYTHING": [("conv", small), ("norm",)]}) == 8
    off = [("conv", 1, 1, -2), ("relu",), ("conv", two["relu_size"])]
    assert marks("2-probe", "q2", {"SWITCHED_OFF": off}) == 8
    faded = [("conv", 5, 1, 10.0**-e) for e in (2, 3, 4, 5, 6, 7, 8, 8, 9)]
    assert marks("2-probe", "q2", {"FADED": faded}) == 8
    found = [d for d in triples(two["hull"]) if d != two["dilations"]]
    for dilations in found:
        assert marks("2-probe", "q5", {"DILATIONS": dilations[::-1]}) == 5

    module = release.drawing("3-design")
    budget = three["max_weights"], three["max_work"]
    designs = [
        design
        for design in module.family(three["jump"])
        if module.field(design) == three["field"] and module.fits(design, three["image"], budget)
    ]
    assert len(designs) >= 10
    for design in designs[:10]:
        layers = [("conv", *layer) for layer in design]
        assert marks("3-design", "q2", {"DESIGN": layers}) == 7


def triples(hull: int) -> list[tuple[int, ...]]:
    """Three different dilations of kernels of 3 that leave no hole in so many positions."""
    return [
        dilations
        for dilations in combinations(range(1, hull), 3)
        if positions([(3, 1, 0, d) for d in dilations], 0) == list(range(hull))
    ]


def awkward() -> list[object]:
    """Plain values that no question asks for."""
    shallow: list[object] = [None, ..., True, 0, -1, 10**3999, 0.5, float("nan"), float("inf")]
    shallow += ["", "x" * 5000, "\x00\ud7ff", Fraction(1, 3), [], (), {}, [[]], [None], ["conv"]]
    shallow += [[1], (1, 2), [1, 2, 3], [(1,)], [(1, 1)], [(0, 0), (0, 0)], [[3, 1], [3, 1]]]
    shallow += [[("conv",)], [("conv", 3)], [("conv", -3)], [("conv", 3, 1, 64)], [("relu", 1)]]
    shallow += [[("conv", 3, 1, float("nan"))], [("conv", 10**9, 10**9, 64)], [("max", 3)] * 20]
    shallow += [[("norm",)], [("conv", 30, 30), ("norm",)], {"seven": None}, {"three": (1,) * 5}]
    shallow += [{"seven": {}, "three": [None] * 5, "patches": 1}, [(10**9, 10**9)] * 3]
    deep: object = 1
    for _ in range(49):
        deep = [deep]
    return [*shallow, deep, object()]


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_no_answer_breaks_a_test(name: str, released: Path) -> None:
    # In the grader any exception but AssertionError is the grader's own fault.
    bundle = released / name / "autograder"
    right = ran(own(bundle / "solution.ipynb"))
    by = examiner(bundle, right)
    tried = 0
    for cases in by.tests.values():
        for case in cases:
            for parameter in checker.parameters(case):
                for value in awkward():
                    arguments = {p: right[p] for p in checker.parameters(case)}
                    arguments[parameter] = answering(right[parameter], value)
                    tried += 1
                    try:
                        case.function(**arguments)
                    except AssertionError:
                        continue
                    except Exception as error:
                        if not in_the_notebook(error, right):
                            pytest.fail(f"{case.title}, {parameter} = {value!r:.80}: {error!r}")
    assert tried > 500


def answering(like: object, value: object) -> object:
    """The value itself, or a function that gives it, as the right answer is one."""
    if callable(like):
        return lambda *args, **kwargs: value
    return value


def in_the_notebook(error: Exception, names: dict[str, Any]) -> bool:
    """Whether the student's own code stopped, because a test gave it what another one returned."""
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_globals is names:
            return True
        trace = trace.tb_next
    return False


# --- the checker ----------------------------------------------------------------------------------


def check(text: str, names: dict[str, Any]) -> checker.Report:
    """Check one question whose test is `text`."""
    helpers = "from __future__ import annotations\nimport reprlib\n"
    return checker.Checker(names, {"q1": text}, {"q1": 3}, helpers, "n.ipynb").check("q1")


TEST = """
@test_case(points=1, failure_message="Look at chapter 2.")
def test_it_doubles(double):
    assert double(2) == 4, "double(2) is not 4."
"""


def test_the_checker_says_what_is_missing_and_what_stopped() -> None:
    assert "There is no double yet" in repr(check(TEST, {}))
    assert "still the three dots" in repr(check(TEST, {"double": ...}))
    assert "double(2) is not 4." in repr(check(TEST, {"double": lambda n: n}))
    assert "Look at chapter 2." in repr(check(TEST, {"double": lambda n: n}))
    names = ran(["def double(n):\n    return n / 0"])
    assert "line 2 of double with ZeroDivisionError" in repr(check(TEST, names))
    right = check(TEST, {"double": lambda n: 2 * n})
    assert repr(right).startswith("q1: the check passed, 1 of 3 points.")
    assert "Tests that you do not see give 2 more." in repr(right)


def test_the_checkers_html_is_escaped() -> None:
    text = TEST.replace("double(2) is not 4.", "<b>1 < 2</b>")
    html = check(text, {"double": lambda n: n})._repr_html_()
    assert "&lt;b&gt;1 &lt; 2&lt;/b&gt;" in html
    assert "<b>" not in html


@pytest.mark.parametrize(
    ("got", "wanted", "words"),
    [
        (None, 4, "return its result"),
        (..., 4, "three dots"),
        (4.0, 4, "use //"),
        (True, 1, "no numbers"),
        ("4", 4, "quotation marks"),
        (4, [4], "A list or a tuple with 1 entries"),
        ([1, 2], [1, 2, 3], "It has 2 entries"),
        ([1, 2.0], [1, 2], "use //"),
        (0.5, Fraction(1, 2), "is exact"),
        (5, 4, "It should be 4"),
        ([(1, 1)], [(1, 2)], "It should be [(1, 2)]"),
    ],
)
def test_a_wrong_type_is_answered_in_words(got: object, wanted: object, words: str) -> None:
    with pytest.raises(AssertionError, match=re.escape(words)):
        asserts.expect("size", got, wanted)


PAIR = ("kernel", "stride")


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: asserts.network("N", ..., 1, 2, PAIR), "N is still the three dots"),
        (lambda: asserts.network("N", 3, 1, 2, PAIR), "N is 3. A list of layers (kernel, stride)"),
        (lambda: asserts.network("N", [(3, 1)] * 3, 1, 2, PAIR), "3 layers; 1 to 2 are allowed"),
        (lambda: asserts.network("N", [(3, 1)], 2, 2, PAIR), "1 layers; 2 are allowed"),
        (lambda: asserts.network("N", [(3,)], 1, 2, PAIR), "N[0] is (3,). A layer is"),
        (lambda: asserts.network("N", [(3, 0)], 1, 2, PAIR), "Its stride must be a whole number"),
        (lambda: asserts.chain("N", [("conv", 3), "relu"], ("conv", "relu")), "N[1] is 'relu'"),
        (lambda: asserts.chain("N", [("max", 3)], ("conv",)), "Only conv are allowed here"),
        (lambda: asserts.chain("N", [("conv",)], ("conv",)), "too few or too many numbers"),
        (lambda: asserts.chain("N", [("conv", 3, 1, 0.0)], ("conv",)), "A weight from 1e-30"),
        (lambda: asserts.chain("N", [("conv", 3.0)], ("conv",)), "whole numbers from 1 to 30"),
        (lambda: asserts.chain("N", [], ("conv",)), "0 layers; 1 to 20 are allowed"),
        (lambda: asserts.design("N", [("conv", 4, 1, 64)]), "Kernels are odd"),
        (lambda: asserts.design("N", [("pool", 3, 2)]), 'A layer is ("conv", kernel'),
        (lambda: asserts.design("N", [("conv", 3, 1, 8)]), "At least 16 channels"),
        (lambda: asserts.design("N", [("conv", 3, 1, 32)]), "ends with 32 channels; 64"),
        (lambda: asserts.number("N", "4"), "leave out the quotation marks"),
    ],
)
def test_a_wrong_form_is_answered_in_words(call: Callable[[], object], words: str) -> None:
    with pytest.raises(AssertionError, match=re.escape(words)):
        call()


@pytest.mark.parametrize(
    ("got", "wanted"),
    [(4, 4), ([1, (2, 3)], ([1, 2][0], [2, 3])), (2, Fraction(2)), (Fraction(4, 2), 2), ("a", "a")],
)
def test_what_is_the_same(got: object, wanted: object) -> None:
    asserts.expect("it", got, wanted)


def test_hidden_draws_hang_on_the_seed_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RuntimeError, match="SEED is not set"):
        asserts.draw("a")
    monkeypatch.setattr(asserts, "SEED", "00ff")
    first = [asserts.draw(name).random() for name in ("a", "b", "a")]
    assert first[0] == first[2] != first[1]
    monkeypatch.setattr(asserts, "SEED", "00fe")
    assert asserts.draw("a").random() != first[0]


# --- the students' notebook alone -----------------------------------------------------------------


def executed(nb: Any, python: Path, folder: Path) -> str:
    """Run a notebook in a kernel of that Python in that folder, and return all that it printed."""
    client = NotebookClient(
        nb, timeout=120, kernel_name="python3", resources={"metadata": {"path": str(folder)}}
    )
    client.create_kernel_manager()
    client.km.kernel_spec.argv[0] = str(python)
    client.execute()
    outputs = [output for cell in nb.cells for output in cell.get("outputs", [])]
    return "\n".join(o.get("text") or o.get("data", {}).get("text/plain", "") for o in outputs)


LOADED = """\
import sys
sorted({"otter", "rflib", "grading", "nbformat"} & sys.modules.keys())"""


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_the_students_file_runs_alone(
    name: str,
    released: Path,
    colab: Path,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("PYTHONPATH", raising=False)
    monkeypatch.setenv("JUPYTER_PATH", "")
    nb = nbformat.read(released / name / f"{name}.ipynb", as_version=4)
    nb.cells.append(nbformat.v4.new_code_cell(LOADED))
    printed = executed(nb, colab, tmp_path)
    assert "0 of 4 points" in printed or "0 of 6 points" in printed
    assert "is still the three dots" in printed
    assert f"hand in the file {name}.ipynb" in printed
    assert printed.endswith("[]"), "the notebook must need nothing of the book's"
    assert list(tmp_path.iterdir()) == []

    # And with the right answers in it: cell by cell, the solution is the student's file filled in.
    right = iter(own(released / name / "autograder" / "solution.ipynb"))
    for cell in nb.cells[:-1]:
        mechanical = ("# Set-up", "#@title Checker", "grader.")
        if cell.cell_type == "code" and not cell.source.startswith(mechanical):
            cell.source = next(right)
    assert list(right) == []
    printed = executed(nb, colab, tmp_path)
    assert "FAILED" not in printed
    assert printed.count("passed  ") > 5
    assert printed.endswith("[]")


COLAB = """\
import sys, types
files = types.ModuleType("google.colab.files")
files.download = lambda path: print("downloaded", path)
message = types.ModuleType("google.colab._message")
message.blocking_request = lambda *a, **k: {answer}
package = types.ModuleType("google.colab")
package.files, package._message = files, message
sys.modules.update({{"google": types.ModuleType("google"), "google.colab": package}})
"""


def handed_in(answer: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> str:
    """What hand_in prints where Colab's interface gives `answer`."""
    monkeypatch.chdir(folder)
    for module in ("google", "google.colab"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    exec(COLAB.format(answer=answer), {})
    checker.Checker({}, {"q1": TEST}, {"q1": 1, "q2": 4}, "", "n.ipynb").hand_in()
    for module in ("google", "google.colab"):
        monkeypatch.delitem(sys.modules, module)
    return str(capsys.readouterr().out)


def test_in_colab_hand_in_downloads_the_notebook(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    said = handed_in("{'ipynb': {'cells': []}}", tmp_path, monkeypatch, capsys)
    assert "downloaded n.ipynb" in said
    assert "q2: a person reads your answer (4 points)" in said
    assert "Not answered, or its cell was not run: double." in said
    assert json.loads((tmp_path / "n.ipynb").read_text()) == {"cells": []}
    said = handed_in("None", tmp_path, monkeypatch, capsys)
    assert "File > Download > Download .ipynb" in said
    assert "downloaded" not in said
