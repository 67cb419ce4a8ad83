"""The checker that each student's notebook carries: it runs the visible tests on the notebook.

The release step puts this file's text into one cell; so it needs the standard library alone.
`grader.check("q1")` calls the tests of a question with the notebook's own names and says what
passed, with points, and what is wrong with what did not.
"""

from __future__ import annotations

import html
import inspect
import json
import textwrap
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple


class test_case:  # noqa: N801  otter-grader's name for it
    """Marks a test, with its points; takes what otter-grader's own decorator takes."""

    def __init__(
        self,
        points: float = 0,
        hidden: bool = False,
        success_message: str | None = None,
        failure_message: str | None = None,
    ) -> None:
        self.points = points
        self.hidden = hidden
        self.success_message = success_message
        self.failure_message = failure_message

    def __call__(self, function: Callable[..., None]) -> test_case:
        """Keep the test's function."""
        self.function = function
        return self

    @property
    def title(self) -> str:
        """What the test looks at, from its function's name."""
        return self.function.__name__.removeprefix("test_").replace("_", " ")


def parameters(case: test_case) -> list[str]:
    """The names that a test takes from the notebook."""
    return list(inspect.signature(case.function).parameters)


class Result(NamedTuple):
    """What became of one test; `problem` is empty where it passed."""

    title: str
    points: float
    problem: str


def amount(points: float) -> str:
    """Points in words: 1 point, 2 points, 0.5 points."""
    return f"{points:g} point{'' if points == 1 else 's'}"


def worth(points: float) -> str:
    """What stands behind a test's title; nothing where the test is only there to help."""
    return f" ({amount(points)})" if points else ""


class Report:
    """The results of one question; prints as text, and as HTML in a notebook."""

    def __init__(self, question: str, results: list[Result], possible: float) -> None:
        self.question, self.results, self.possible = question, results, possible

    @property
    def earned(self) -> float:
        """The points of the tests that passed."""
        return sum(result.points for result in self.results if not result.problem)

    @property
    def passed(self) -> bool:
        """Whether every test passed."""
        return not any(result.problem for result in self.results)

    @property
    def headline(self) -> str:
        """The question's result in one line."""
        count, right = len(self.results), sum(not result.problem for result in self.results)
        checks = "the check" if count == 1 else f"{right} of {count} checks"
        verb = "failed" if count == 1 and not right else "passed"
        unseen = self.possible - sum(result.points for result in self.results)
        line = f"{self.question}: {checks} {verb}, {self.earned:g} of {amount(self.possible)}."
        return line + (f" Tests that you do not see give {unseen:g} more." if unseen else "")

    def __repr__(self) -> str:
        lines = [self.headline]
        for title, points, problem in self.results:
            lines.append(f"  {'FAILED' if problem else 'passed'}  {title}{worth(points)}")
            for paragraph in problem.splitlines():
                lines += textwrap.indent(textwrap.fill(paragraph, 78), " " * 10).splitlines()
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        items = []
        for title, points, problem in self.results:
            mark = "✘ failed" if problem else "✔ passed"
            text = html.escape(problem).replace("\n", "<br>")
            more = f"<div style='margin-left: 1.5em'>{text}</div>" if problem else ""
            items.append(f"<div>{mark}: {html.escape(title)}{worth(points)}</div>{more}")
        return f"<div><strong>{html.escape(self.headline)}</strong></div>{''.join(items)}"


class Checker:
    """Runs the tests of the questions on the names of a notebook.

    names : the notebook's globals.
    tests : the source of each question's tests; a question without is read by a person.
    points : what each question gives in all.
    helpers : the source of the functions that the tests compare with.
    """

    def __init__(
        self,
        names: Mapping[str, Any],
        tests: Mapping[str, str],
        points: Mapping[str, float],
        helpers: str,
        notebook: str,
    ) -> None:
        self.names, self.points, self.notebook = names, points, notebook
        self.tests = {question: loaded(text, helpers) for question, text in tests.items()}

    def check(self, question: str) -> Report:
        """Run the tests of one question."""
        if question not in self.tests:
            raise ValueError(f"question is {question!r}; there are {', '.join(self.tests)}")
        results = [
            Result(case.title, case.points, self._problem(case)) for case in self.tests[question]
        ]
        return Report(question, results, self.points[question])

    def _problem(self, case: test_case) -> str:
        wanted = parameters(case)
        for name in wanted:
            if name not in self.names:
                return f"There is no {name} yet: run the cell that defines it, and all above."
            if self.names[name] is ...:
                return f"{name} is still the three dots: put your answer there and run the cell."
        try:
            case.function(**{name: self.names[name] for name in wanted})
        except Exception as error:
            return "\n".join(filter(None, (explained(error, self.names), case.failure_message)))
        return ""

    def _missing(self, question: str) -> list[str]:
        wanted = (name for case in self.tests[question] for name in parameters(case))
        return [name for name in dict.fromkeys(wanted) if self.names.get(name, ...) is ...]

    def hand_in(self) -> None:
        """Say how each question stands, then download the notebook, or say how to save it."""
        for question in self.points:
            if question in self.tests:
                print(self.check(question).headline)
                if missing := self._missing(question):
                    print(f"    Not answered, or its cell was not run: {', '.join(missing)}.")
            else:
                points = amount(self.points[question])
                print(f"{question}: a person reads your answer ({points}). Is it complete?")
        print()
        try:
            from google.colab import _message, files

            answer = _message.blocking_request("get_ipynb", request="", timeout_sec=60)
            with open(self.notebook, "w", encoding="utf-8") as file:
                json.dump(answer["ipynb"], file)
            files.download(self.notebook)
            print(f"{self.notebook} is in your browser's downloads. Hand in that file.")
        except ImportError:  # not in Colab
            print(
                f"Save this notebook (File > Save) and hand in the file {self.notebook} as it is:\n"
                "not its text, not a PDF, not in an archive."
            )
        except Exception as error:  # Colab's own interface: what it raises is not documented
            print(
                f"Colab did not hand out the notebook ({type(error).__name__}). Choose\n"
                f"File > Download > Download .ipynb, and hand in that file."
            )


def loaded(text: str, helpers: str) -> list[test_case]:
    """Return the tests in a test file, in order."""
    space: dict[str, Any] = {"__name__": "checks", "test_case": test_case}
    exec(compile(helpers, "<helpers>", "exec"), space)
    exec(compile(text, "<tests>", "exec"), space)
    return [value for value in space.values() if isinstance(value, test_case)]


def explained(error: Exception, names: Mapping[str, Any]) -> str:
    """Say what went wrong: the test's own words, or where the student's code stopped."""
    words = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    own, trace = None, error.__traceback__
    while trace is not None:
        own = trace if trace.tb_frame.f_globals is names else own
        trace = trace.tb_next
    if own is not None:  # the last step within the notebook; what lies deeper is a library's
        place = f"line {own.tb_lineno} of {own.tb_frame.f_code.co_name}"
        return f"Your code stopped in {place} with {words}"
    if isinstance(error, AssertionError) and str(error):
        return str(error)
    return f"The check stopped with {words}. Is your answer of the kind that the text asks for?"
