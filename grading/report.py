"""What comes out.

Scores.csv, a page per student, the written answers for the person who grades them.
"""

from __future__ import annotations

import csv
import hashlib
import html
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from grading.batch import Graded
from grading.bundle import Bundle, Question
from grading.examine import Outcome
from grading.limits import Limits

MANUAL_HEADER = ["student", "question", "points", "comment"]


class ManualError(Exception):
    """manual.csv cannot be used; the message names the line and what is allowed."""


def number(value: float) -> str:
    """3, 2.5: as short as it is exact."""
    return f"{value:.10g}"


# --- csv ------------------------------------------------------------------------------------------


def harmless(text: str) -> str:
    """A field that no spreadsheet takes for a formula, on one line."""
    text = re.sub(r"[\r\n\t]+", " ", text)
    text = re.sub(r"(;\s*)(?=[=+@-])", r"\1'", text)  # it parts fields in some countries
    return f"'{text}" if text.lstrip().startswith(("=", "+", "-", "@")) else text


def write_csv(path: Path, rows: Iterable[Sequence[str]]) -> None:
    """Written beside and moved: a reader sees the old file or the new one."""
    beside = path.with_name(path.name + ".new")
    with beside.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)
    os.replace(beside, path)


def write_text(path: Path, text: str) -> None:
    beside = path.with_name(path.name + ".new")
    beside.write_text(text, encoding="utf-8")
    os.replace(beside, path)


# --- what a person graded -------------------------------------------------------------------------


@dataclass(frozen=True)
class ByHand:
    """What manual.csv says about one student's answer to one question."""

    points: float
    comment: str


def read_manual(
    path: Path, bundle: Bundle, students: Iterable[str]
) -> dict[tuple[str, str], ByHand]:
    """The filled lines of manual.csv by student and question.

    Any question may be overruled in it.
    """
    if not path.exists():
        return {}
    most = {question.name: question.points for question in bundle.questions}
    known = {harmless(student): student for student in students}
    found: dict[tuple[str, str], ByHand] = {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            lines = list(csv.reader(file))
    except (UnicodeDecodeError, csv.Error) as error:
        raise ManualError(f"{path} is no CSV file in UTF-8: {error}") from error
    if not lines or [field.strip().lower() for field in lines[0]] != MANUAL_HEADER:
        raise ManualError(f"{path} must begin with the line {','.join(MANUAL_HEADER)}")
    for line, fields in enumerate(lines[1:], 2):
        if not any(fields):
            continue
        if len(fields) != 4:
            raise ManualError(f"{path}, line {line}: it has {len(fields)} fields, 4 are allowed")
        name, question, points, comment = fields
        if not points.strip():
            continue
        if name not in known:
            raise ManualError(f"{path}, line {line}: nobody handed in as {name!r}")
        if question not in most:
            raise ManualError(
                f"{path}, line {line}: there is no question {question!r}, only {', '.join(most)}"
            )
        try:
            given = float(points.replace(",", "."))
        except ValueError:
            given = -1.0
        if not 0 <= given <= most[question]:
            raise ManualError(
                f"{path}, line {line}: {points!r} points for {question}; "
                f"0 to {number(most[question])} are allowed"
            )
        if (known[name], question) in found:
            raise ManualError(f"{path}, line {line}: {name} and {question} stand in it twice")
        found[known[name], question] = ByHand(given, comment)
    return found


def write_manual(path: Path, bundle: Bundle, graded: Sequence[Graded]) -> None:
    """A line for each written answer.

    Lines that are there stay as they are; missing ones are added.
    """
    questions = [q.name for q in bundle.questions if q.manual]
    if not questions:
        return
    rows: list[list[str]] = []
    if path.exists():
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = [row for row in list(csv.reader(file))[1:] if any(row)]
    there = {(row[0], row[1]) for row in rows}
    for row in graded:
        for question in questions:
            key = (harmless(row.submission.student), question)
            if question in row.result.written and key not in there:
                rows.append([*key, "", ""])
    write_csv(path, [MANUAL_HEADER, *rows])


# --- rows -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Row:
    """A student's line of scores.csv."""

    graded: Graded
    scores: Mapping[str, float | None]
    by_hand: Mapping[str, ByHand]
    status: str

    @property
    def student(self) -> str:
        return self.graded.submission.student

    @property
    def total(self) -> float | None:
        """None while a question has no score: half a sum is none."""
        known = [score for score in self.scores.values() if score is not None]
        return sum(known) if len(known) == len(self.scores) else None

    @property
    def good(self) -> bool:
        return self.status.startswith("ok")


def rows_of(
    bundle: Bundle, graded: Sequence[Graded], manual: Mapping[tuple[str, str], ByHand], bare: bool
) -> list[Row]:
    """The rows, by student."""
    same: dict[str, list[str]] = {}
    for one in graded:
        if one.submission.data:
            digest = hashlib.sha256(one.submission.data).hexdigest()
            same.setdefault(digest, []).append(one.submission.student)
    twins = {name: names for names in same.values() for name in names if len(names) > 1}
    rows = []
    for one in graded:
        name = one.submission.student
        hands = {q.name: manual[name, q.name] for q in bundle.questions if (name, q.name) in manual}
        scores = {
            q.name: hands[q.name].points if q.name in hands else one.result.scores.get(q.name)
            for q in bundle.questions
        }
        checks = list(one.checks)
        if name in twins:
            others = [other for other in twins[name] if other != name]
            checks.append(
                f"the same file as {', '.join(others[:3])}{' and more' * (len(others) > 3)}"
            )
        open_ = [q.name for q in bundle.questions if q.manual and q.name not in hands]
        if open_ and one.result.scores:
            checks.append(f"{', '.join(open_)}: not yet graded by hand")
        status = f"check: {'; '.join(checks)}" if checks else "ok"
        if bare:
            status += " (GRADED WITHOUT A SANDBOX)"
        rows.append(Row(one, scores, hands, status))
    return sorted(rows, key=lambda row: row.student)


def write_scores(path: Path, bundle: Bundle, rows: Sequence[Row]) -> None:
    names = [q.name for q in bundle.questions]
    table = [["student", *names, "total", "status"]]
    for row in rows:
        scores = [row.scores[name] for name in names]
        cells = ["" if score is None else number(score) for score in [*scores, row.total]]
        table.append([harmless(row.student), *cells, harmless(row.status)])
    write_csv(path, table)


# --- pages ----------------------------------------------------------------------------------------

_PAGE = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark; }}
body {{ font: 1rem/1.5 system-ui, sans-serif; max-width: 46rem; margin: 2rem auto; padding: 1rem; }}
pre {{ white-space: pre-wrap; overflow-wrap: anywhere; margin: .5rem 0; }}
pre {{ border-left: .25rem solid; padding-left: .75rem; }}
li {{ margin: .5rem 0; }}
</style>
</head>
<body>
<main>
{body}
</main>
</body>
</html>
"""


def page(title: str, parts: Iterable[str]) -> str:
    return _PAGE.format(title=_safe(title), body="\n".join(parts))


def _safe(text: str) -> str:
    """Text for a page: escaped, without what cannot be shown or turns the direction of reading."""
    shown = "".join(
        c if c.isprintable() or c in "\n\t" else "\N{REPLACEMENT CHARACTER}" for c in text
    )
    return html.escape(shown)


def _pre(text: str) -> str:
    return f"<pre>{_safe(text)}</pre>" if text.strip() else ""


def _points(score: float | None, most: float) -> str:
    if score is None:
        return f"Not graded yet ({number(most)} points)"
    return f"{number(score)} of {number(most)} points"


def feedback(bundle: Bundle, row: Row, limits: Limits) -> str:
    """A student's page."""
    result = row.graded.result
    possible = sum(q.points for q in bundle.questions)
    parts = [f"<h1>{_safe(bundle.title)}</h1>", f"<p>{_safe(row.student)}</p>"]
    total = "not complete yet" if row.total is None else _points(row.total, possible)
    parts.append(f"<p><strong>Total: {total}</strong></p>")
    if row.graded.checks:
        parts.append("<p>Your instructor looks at this submission, too. The points may change.</p>")
    if row.graded.submission.problem:
        parts.append(f"<p>It could not be graded: {_safe(row.graded.submission.problem)}.</p>")
    if row.graded.submission.notes:
        parts += [f"<p>{_safe(note)}.</p>" for note in row.graded.submission.notes]
    for question in bundle.questions:
        parts += _question(question, row, result.outcomes.get(question.name, []))
    if result.cells:
        parts.append("<h2>While your notebook ran</h2>")
        for cell in result.cells:
            begins = f"<code>{_safe(cell['begins'])}</code>"
            parts.append(f"<h3>Cell {cell['number']}, which begins with {begins}</h3>")
            if cell["error"]:
                parts.append(f"<p>It stopped:</p>{_pre(cell['error'])}")
            if cell["left_out"]:
                parts.append(
                    f"<p>Left out, because it is not "
                    f"Python:</p>{_pre(chr(10).join(cell['left_out']))}"
                )
            if cell["printed"].strip():
                parts.append(f"<p>It printed:</p>{_pre(cell['printed'])}")
    return page(f"{bundle.title}: {row.student}", parts)


def _question(question: Question, row: Row, outcomes: list[Outcome]) -> list[str]:
    parts = [
        f"<h2>{_safe(question.title)}</h2>",
        f"<p>{_points(row.scores[question.name], question.points)}</p>",
    ]
    if question.name in row.by_hand:
        words = row.by_hand[question.name].comment
        parts.append(
            f"<p>A person gave these points.{' They say:' if words else ''}</p>{_pre(words)}"
        )
    if outcomes:
        parts.append("<ul>")
        for outcome in outcomes:
            mark = "✔" if outcome.state == "passed" else "✘"
            state = {"grader": "could not be judged"}.get(outcome.state, outcome.state)
            earned = outcome.points if outcome.state == "passed" else 0
            points = f" ({number(earned)} of {number(outcome.points)})" if outcome.points else ""
            said = _pre(outcome.message)
            parts.append(f"<li>{mark} {_safe(outcome.title)}: {state}{points}{said}")
            if outcome.printed.strip():
                parts.append(f"<p>It printed:</p>{_pre(outcome.printed)}")
            parts.append("</li>")
        parts.append("</ul>")
    return parts


def write_pages(folder: Path, bundle: Bundle, rows: Sequence[Row], limits: Limits) -> None:
    """feedback/STUDENT.html for each; pages of an earlier run that are nobody's now are removed."""
    folder.mkdir(exist_ok=True)
    taken: set[str] = set()
    for row in rows:
        name = file_name(row.student)
        while name.lower() in taken:
            name = f"{name}-{hashlib.sha256(row.student.encode()).hexdigest()[:8]}"
        taken.add(name.lower())
        write_text(folder / f"{name}.html", feedback(bundle, row, limits))
    for path in folder.glob("*.html"):
        if path.stem.lower() not in taken:
            path.unlink()


def file_name(student: str) -> str:
    """A student's name as that of a file, on every system."""
    name = re.sub(r"[^\w@+ .-]", "_", student).strip(" .")[:100]
    name = name.encode()[:180].decode("utf-8", "ignore")  # systems count bytes, up to 255
    return name if name and not name.startswith("-") else f"student{name}"


def write_written(path: Path, bundle: Bundle, rows: Sequence[Row]) -> None:
    """All written answers, question by question, under the rubric."""
    questions = [question for question in bundle.questions if question.manual]
    if not questions:
        return
    parts = [
        f"<h1>{_safe(bundle.title)}: written answers</h1>",
        "<p>Points go into <code>manual.csv</code>; then grade again.</p>",
        f"<h2>Rubric</h2>{_pre(bundle.rubric)}",
    ]
    for question in questions:
        parts.append(
            f"<h2>{_safe(question.name)}: {_safe(question.title)}, {number(question.points)} "
            f"points</h2>"
        )
        for row in rows:
            answer = row.graded.result.written.get(question.name)
            if answer is not None:
                parts.append(
                    f"<h3>{_safe(row.student)}</h3>{_pre(answer) or '<p>(nothing written)</p>'}"
                )
    write_text(path, page(f"{bundle.title}: written answers", parts))
