"""Examine one submission: run it in a session, run the tests outside, and say what came of it.

The rule that scores hang on: AssertionError and StudentError mean that the test failed, and their
words are feedback. Anything else that a test raises is the grader's own fault: the question gets no
score, and a person must look.
"""

from __future__ import annotations

import contextlib
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from types import FrameType
from typing import Any

from grading.bundle import Bundle, Case, Question
from grading.limits import Limits
from grading.notebook import Cell
from grading.sandbox import Sandbox, SandboxError
from grading.session import BudgetError, Function, HangError, Session, UndefinedError
from grading.values import StudentError

PASSED, FAILED, NOT_RUN, GRADER = "passed", "failed", "not run", "grader"
_PRINTED, _WRITTEN = 100_000, 30_000  # characters that are kept
_CELLS = 200  # whose errors are
_PLACEHOLDER = "_Type your answer here, replacing this text._"


@dataclass
class Outcome:
    """What became of one test. `detail` is for the instructor; students see `message`."""

    title: str
    points: float
    hidden: bool
    state: str
    message: str = ""
    detail: str = ""
    printed: str = ""


@dataclass
class Result:
    """What became of one submission, as plain as JSON, so that the journal can hold it."""

    scores: dict[str, float | None] = field(default_factory=dict)
    outcomes: dict[str, list[Outcome]] = field(default_factory=dict)
    checks: list[str] = field(default_factory=list)  # why a person must look
    cells: list[dict[str, Any]] = field(default_factory=list)
    written: dict[str, str] = field(default_factory=dict)
    kinds: dict[str, str] = field(default_factory=dict)
    log: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Result:
        outcomes = {
            name: [Outcome(**outcome) for outcome in found]
            for name, found in data["outcomes"].items()
        }
        return cls(**{**data, "outcomes": outcomes})


class TestTooLong(BaseException):
    """A test computed for too long on the trusted side.

    No `except Exception` of a test holds it up.
    """


def examine(
    bundle: Bundle,
    cells: list[Cell],
    limits: Limits,
    start: Callable[[], Sandbox],
    kinds: dict[str, str],
) -> Result:
    """Grade the cells of one notebook.

    `kinds` says what the reference solution defines under each name.
    """
    result = Result(kinds=dict(kinds))
    session = Session(bundle.to_run(cells), limits, start)
    marked = []
    for question in bundle.questions:
        if question.manual:
            result.scores[question.name] = None
            result.written[question.name] = _written(question, bundle, cells, result)
        else:
            marked.append(_Marked(question, limits))
            result.outcomes[question.name] = marked[-1].outcomes
    try:
        # The hidden tests last: else a function could print, when a visible test calls it, what
        # a hidden one has asked before.
        for hidden in (False, True):
            for one in marked:
                one.run(hidden, session, result)
    finally:
        session.close()
    for one in marked:
        result.scores[one.question.name] = one.score(result)
    result.scores = {question.name: result.scores[question.name] for question in bundle.questions}
    result.checks += session.suspicions
    _note_cells(session, result)
    _recognise(bundle, cells, result)
    return result


class _Marked:
    """One question on its way to a score."""

    def __init__(self, question: Question, limits: Limits) -> None:
        self.question, self._limits = question, limits
        self.outcomes = [
            Outcome(case.title, case.points or 0, case.hidden, NOT_RUN) for case in question.cases
        ]
        self._missing: dict[str, None] = {}
        self._hangs, self._spent = 0, ""

    def run(self, hidden: bool, session: Session, result: Result) -> None:
        """Run the visible tests or the hidden ones."""
        for case, outcome in zip(self.question.cases, self.outcomes, strict=True):
            if case.hidden == hidden:
                self._run(case, outcome, session, result)

    def _run(self, case: Case, outcome: Outcome, session: Session, result: Result) -> None:
        if self._hangs >= self._limits.hangs:
            outcome.message = "not run: two tests before it had ended the notebook's process"
            return
        try:
            session.ready()  # what its cells answer is read on the student's time
            with _cpu_limit(self._limits.test_cpu_s):
                arguments = {
                    name: _argument(name, session, result.kinds) for name in case.parameters
                }
                case.function(**arguments)
            outcome.state, outcome.message = PASSED, case.success_message or ""
        except SandboxError:
            raise  # nobody's answer is judged on a machine that fails
        except BudgetError as error:
            outcome.message = self._spent = str(error)
        except (AssertionError, StudentError) as error:
            outcome.state = FAILED
            _say(outcome, case, error)
            self._hangs += isinstance(error, HangError)
            if isinstance(error, UndefinedError):
                self._missing[error.name] = None
        except (Exception, TestTooLong) as error:
            outcome.state = GRADER
            outcome.message = "this test could not judge the answer; your instructor will look"
            outcome.detail = "".join(traceback.format_exception(error))[-4000:]
            result.log.append(f"{self.question.name}, test {case.title!r}: {outcome.detail}")
            session.close()  # it may have been stopped in the middle of an answer
        printed = session.take_printed()
        outcome.printed = "" if case.hidden else printed

    def score(self, result: Result) -> float | None:
        """The points; None where no score can be given. Says what a person must look at."""
        name, states = self.question.name, {outcome.state for outcome in self.outcomes}
        result.checks += [f"{name}: `{missing}` is not defined" for missing in self._missing]
        if self._spent:
            result.checks.append(f"{name}: {self._spent}")
        if self._hangs >= self._limits.hangs and NOT_RUN in states:
            result.checks.append(f"{name}: its last tests were not run")
        if GRADER in states:
            result.checks.append(f"{name}: a test of the grader failed, see the log")
        if GRADER in states or self._spent:
            return None
        return sum(outcome.points for outcome in self.outcomes if outcome.state == PASSED)


def _say(outcome: Outcome, case: Case, error: BaseException) -> None:
    words = str(error)
    if isinstance(error, StudentError):
        outcome.detail = words
        words = error.public if case.hidden else words
    if isinstance(error, AssertionError) and not words:
        words = "" if case.failure_message else "the answer is not the expected one"
    outcome.message = _clip("\n".join(filter(None, (words, case.failure_message))))
    outcome.detail = _clip(outcome.detail)


def _clip(text: str, longest: int = 3000) -> str:
    text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text if len(text) <= longest else text[:longest] + " ..."


def _argument(name: str, session: Session, kinds: dict[str, str]) -> object:
    """What a test gets for one of its parameters."""
    value = session.get(name)
    if value is ...:
        raise StudentError(f"`{name}` is still the three dots of the empty notebook")
    kind = "function" if isinstance(value, Function) else "value"
    wanted = kinds.setdefault(name, kind)  # the reference solution is examined first, and says
    if wanted == "function" and kind != "function":
        raise StudentError(f"`{name}` is not a function in your notebook")
    if wanted == "value" and isinstance(value, Function):
        raise StudentError(f"`{name}` is a function in your notebook, not its result")
    return value


@contextlib.contextmanager
def _cpu_limit(seconds: float) -> Iterator[None]:
    """TestTooLong when the trusted side has computed this long.

    The wait for a worker does not count.
    """

    def stop(number: int, frame: FrameType | None) -> None:
        raise TestTooLong(f"the test computed for more than {seconds:g} seconds")

    before = signal.signal(signal.SIGVTALRM, stop)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def _note_cells(session: Session, result: Result) -> None:
    """What the feedback says about cells.

    All errors, and of what was printed as much as is read.
    """
    room = _PRINTED
    for number, note in sorted(session.notes.items()):
        if note.error or note.printed or note.left_out:
            if len(result.cells) == _CELLS:
                result.checks.append(f"only the first {_CELLS} cells with something to say show")
                break
            printed = _clip(note.printed, room)
            room -= min(len(printed), room)
            result.cells.append(asdict(note) | {"number": number, "printed": printed})


def _written(question: Question, bundle: Bundle, cells: list[Cell], result: Result) -> str:
    """What the student wrote below the heading of a question that a person grades."""
    heading = f"## {question.title}"
    released = {cell.key for cell in bundle.student}
    headings = {_first_line(cell) for cell in bundle.student if cell.source.startswith("## ")}
    begin = [i for i, cell in enumerate(cells) if _first_line(cell) == heading]
    if not begin:
        result.checks.append(f"{question.name}: its heading is gone, so no answer was found")
        return ""
    own = []
    for i, cell in enumerate(cells[begin[0] :]):
        if i and _first_line(cell) in headings:
            break
        if cell.key not in released:
            own.append(cell.source.replace(_PLACEHOLDER, "").strip())
    text = "\n\n".join(filter(None, own))
    if not text:
        result.checks.append(f"{question.name}: no answer was written")
    if len(text) > _WRITTEN:
        result.checks.append(f"{question.name}: only the answer's first {_WRITTEN} characters show")
    return _clip(text, _WRITTEN)


def _first_line(cell: Cell) -> str:
    return cell.source.strip().partition("\n")[0].strip() if cell.kind == "markdown" else ""


def _recognise(bundle: Bundle, cells: list[Cell], result: Result) -> None:
    """Another notebook earns no zero: it gets no score, and a person looks."""
    known = {cell.key for cell in bundle.student if cell.kind == "markdown"}
    here = {cell.key for cell in cells}
    if len(known & here) * 5 >= len(known):
        return
    result.checks.insert(0, f"this does not look like the notebook of {bundle.name}")
    if not any(result.scores.values()):
        result.scores = dict.fromkeys(result.scores)


def preload(bundle: Bundle) -> None:
    """Import on the trusted side what the tests need, once, before the examiners are forked."""
    for name in bundle.needs:
        if name in sys.modules:
            continue
        __import__(name)
