"""A class from the command to the files.

Scores, feedback, what a person graded, interruptions, a broken grader.
"""

from __future__ import annotations

import csv
import html.parser
import json
import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest
from grading_kit import (
    FAST,
    FULL,
    GOOD1,
    HEAD4,
    PYTHON,
    ROOT,
    STUB1,
    TESTS,
    answers,
    bundle,
    grade,
    hand_in,
    notebook,
    rows,
    scores,
)

from grading import batch
from grading.__main__ import main
from grading.report import MANUAL_HEADER

pytestmark = pytest.mark.slow  # each starts sandboxes of its own

CLASS = {
    "alice": answers(),
    "bob": answers(q1=STUB1),
    "carl": answers(q3="answer = 7"),
    "dora": answers(q1="def size_of(x):\n    print('seen', x)\n    raise ValueError('<b>& no')\n"),
}


@pytest.fixture
def trial(tmp_path: Path) -> tuple[Path, Path, Path]:
    return bundle(tmp_path / "bundle"), hand_in(tmp_path / "in", CLASS), tmp_path / "out"


def test_a_class(trial: tuple[Path, Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    where, submissions, out = trial
    assert grade(where, submissions, out) == 0
    found = rows(out)
    assert list(found) == ["alice", "bob", "carl", "dora"]
    assert [scores(row) for row in found.values()] == [FULL, (0, 3, 2), (4, 3, 0), (0, 3, 2)]
    assert [row["total"] for row in found.values()] == ["9", "5", "7", "5"]
    assert {row["status"] for row in found.values()} == {"ok"}
    assert "4 rows" in capsys.readouterr().out
    assert "done: alice" in (out / "log.txt").read_text()
    assert out.stat().st_mode & 0o77 == 0


def test_a_second_run_gives_the_same_bytes_and_grades_nothing(
    trial: tuple[Path, Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    where, submissions, out = trial
    assert grade(where, submissions, out) == 0
    pages = {path: path.read_bytes() for path in out.rglob("*") if path.suffix in (".csv", ".html")}
    assert len(pages) == 5
    examined = []
    run = batch.run

    def counted(examiner, tasks, jobs):  # type: ignore[no-untyped-def]
        tasks = list(tasks)
        examined.extend(name for name, _ in tasks)
        return run(examiner, tasks, jobs)

    monkeypatch.setattr(batch, "run", counted)
    assert grade(where, submissions, out, "-j", "1") == 0
    assert examined == ["solution", "student"]
    assert {path: path.read_bytes() for path in pages} == pages
    assert grade(where, submissions, out, "--again") == 0
    assert len(examined) == 4 + len(CLASS)
    assert {path: path.read_bytes() for path in pages} == pages
    # Another bundle is another assignment: nothing of the journal holds.
    test = where / "tests" / "q3.py"
    test.write_text(test.read_text().replace("427", "427 ") + "\n")
    examined.clear()
    assert grade(where, submissions, out) == 0
    assert len(examined) == 2 + len(CLASS)


def test_feedback(trial: tuple[Path, Path, Path]) -> None:
    where, submissions, out = trial
    assert grade(where, submissions, out) == 0
    page = (out / "feedback" / "dora.html").read_text("utf-8")
    assert "5 of 9 points" in page
    assert "seen [(3, 1), (3, 2)]" in page  # by the visible test
    assert page.count("seen [") == 1  # and not by the hidden one, whose inputs it would tell
    assert "&lt;b&gt;&amp; no" in page
    assert "<b>" not in page
    assert page.count("no</pre>") <= 1  # the exception's words: only those of the visible test
    assert "your `size_of` raised ValueError" in page
    assert "Try other networks." in page
    assert "That is it." in page

    class Outline(html.parser.HTMLParser):
        tags: list[str] = []  # noqa: RUF012

        def handle_starttag(self, tag: str, attrs: object) -> None:
            self.tags.append(tag)

    outline = Outline()
    outline.feed(page)
    assert (
        outline.tags.count("h1") == outline.tags.count("main") == outline.tags.count("title") == 1
    )
    assert not {"script", "img", "link", "iframe"} & set(outline.tags)
    assert '<html lang="en">' in page


def test_hidden_inputs_do_not_come_out_through_visible_tests(tmp_path: Path) -> None:
    """A function that remembers what it was asked, and prints it the next time."""
    remember = (
        "asked = []\ndef {}(x):\n    asked.append(x)\n    print('asked', asked)\n    return 2\n"
    )
    sly = answers(remember.format("size_of"), remember.format("jump_of"), last="# sly")
    submissions = hand_in(tmp_path / "in", {"sly": sly})
    assert grade(bundle(tmp_path / "bundle"), submissions, tmp_path / "out") == 0
    page = (tmp_path / "out" / "feedback" / "sly.html").read_text("utf-8")
    assert "asked [[(3, 1), (3, 2)]]" in page
    assert "(5, 3)" not in page  # q2's hidden test
    assert set(re.findall(r"\(\d, \d\)", page)) == {"(3, 1)", "(3, 2)"}


def test_hidden_inputs_do_not_come_out_as_an_exit_status(tmp_path: Path) -> None:
    sly = answers("import os\ndef size_of(x):\n    os._exit(len(x) + 40)\n")
    submissions = hand_in(tmp_path / "in", {"sly": sly})
    assert grade(bundle(tmp_path / "bundle"), submissions, tmp_path / "out") == 0
    page = (tmp_path / "out" / "feedback" / "sly.html").read_text("utf-8")
    assert page.count("your `size_of` was ended") == 2
    assert re.findall(r"exit status \d+", page) == ["exit status 42"]  # of the visible test


def test_names_that_are_too_long_for_a_file(tmp_path: Path) -> None:
    names = ["\N{CJK UNIFIED IDEOGRAPH-4E00}" * 82 + end for end in "ab"]
    notebooks = {name: answers(last=f"# {name}") for name in names}
    out = tmp_path / "out"
    assert grade(bundle(tmp_path / "bundle"), hand_in(tmp_path / "in", notebooks), out) == 0
    assert len(list((out / "feedback").iterdir())) == 2


def test_a_semicolon_that_parts_fields(tmp_path: Path) -> None:
    """Where numbers have a comma, spreadsheets part fields by semicolons, inside of quotes too."""
    folder = tmp_path / "in" / "x;=1+1"
    folder.mkdir(parents=True)
    for name in ("a.ipynb", "b; @SUM(1).ipynb"):
        (folder / name).write_bytes(answers())
    out = tmp_path / "out"
    assert grade(bundle(tmp_path / "bundle"), tmp_path / "in", out) == 0
    text = (out / "scores.csv").read_text("utf-8")
    assert "SUM(1)" in text
    assert not re.search(r";\s*[=+@-]", text)


def test_pages_of_students_with_odd_names(tmp_path: Path) -> None:
    names = ["=1+1", "a*b", "a?b", "A_B", "..", "-x", "ü ß"]
    folder = tmp_path / "in"
    for i, name in enumerate(names):
        (folder / name).mkdir(parents=True) if name != ".." else None
        if name != "..":
            (folder / name / "x.ipynb").write_bytes(answers(last=f"# {i}"))
    out = tmp_path / "out"
    assert grade(bundle(tmp_path / "bundle"), folder, out) == 0
    with (out / "scores.csv").open(encoding="utf-8", newline="") as file:
        table = list(csv.reader(file))
    assert len(table) == len(names)  # the header for the one that is no name
    assert not any(cell.startswith(("=", "+", "-", "@")) for row in table for cell in row)
    pages = [path.name for path in (out / "feedback").iterdir()]
    assert len(pages) == len(set(map(str.lower, pages))) == len(names) - 1


def test_what_is_no_submission(tmp_path: Path) -> None:
    other = notebook(("markdown", "# Another assignment"), "def other():\n    return 1\n")
    cases = {
        "empty": (b"", "the file is empty"),
        "blank": (b" \n", "the file is empty"),
        "zip": (b"PK\x03\x04", "a zip or an office file"),
        "pdf": (b"%PDF-1.7", "a PDF"),
        "bytes": (b"\xff\xfe\x00", "not UTF-8"),
        "list": (b"[]", "it has no cells"),
        "text": (b"hello", "no JSON"),
        "deep": (b'{"cells": ' + b"[" * 10**6, "nested too deeply"),
        "old": (b'{"worksheets": []}', "older than 4"),
        "cells": (b'{"cells": [1]}', "cell 1 is not a cell"),
        "source": (b'{"cells": [{"cell_type": "code", "source": {}}]}', "not text"),
        "many": (b'{"cells": [' + b"0," * 2000 + b"0]}", "more than 1000 cells"),
        "huge": (b" " * (FAST.notebook_bytes + 2), "more than 16 MB"),
        "other": (other, "does not look like the notebook of 9-trial"),
        "nothing": (notebook(), "does not look like the notebook of 9-trial"),
    }
    submissions = hand_in(tmp_path / "in", {name: data for name, (data, _) in cases.items()})
    hand_in(submissions, {"alice": answers()})
    out = tmp_path / "out"
    assert grade(bundle(tmp_path / "bundle"), submissions, out) == 0
    found = rows(out)
    assert scores(found.pop("alice")) == FULL
    assert set(found) == set(cases)
    for name, (_, why) in cases.items():
        assert scores(found[name]) == (None, None, None)
        assert found[name]["total"] == ""
        assert re.match(f"check: .*{re.escape(why)}", found[name]["status"]), found[name]
        assert (out / "feedback" / f"{name}.html").exists()


def test_answers_in_a_notebook_of_their_own_are_worth_something(tmp_path: Path) -> None:
    submissions = hand_in(tmp_path / "in", {"alice": notebook(GOOD1)})
    assert grade(bundle(tmp_path / "bundle"), submissions, tmp_path / "out") == 0
    row = rows(tmp_path / "out")["alice"]
    assert scores(row) == (4, 0, 0)
    assert "does not look like" in row["status"]


def test_the_same_file_twice(tmp_path: Path) -> None:
    submissions = hand_in(tmp_path / "in", {"alice": answers(), "bob": answers()})
    assert grade(bundle(tmp_path / "bundle"), submissions, tmp_path / "out") == 0
    assert rows(tmp_path / "out")["bob"]["status"] == "check: the same file as alice"


# --- what a person grades -------------------------------------------------------------------------


def test_by_hand(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    where, out = bundle(tmp_path / "bundle", manual=True), tmp_path / "out"
    gone = answers(manual=True, last="# 4").replace(json.dumps(HEAD4).encode()[1:-1], b"## Mine")
    submissions = hand_in(
        tmp_path / "in",
        {
            "alice": answers(manual=True, written="Because <i>it</i> grows."),
            "bob": answers(manual=True),
            "carl": gone,
        },
    )
    assert grade(where, submissions, out) == 0
    found = rows(out)
    assert [row["q4"] + row["total"] for row in found.values()] == ["", "", ""]
    assert found["alice"]["status"] == "check: q4: not yet graded by hand"
    assert "q4: no answer was written" in found["bob"]["status"]
    assert "q4: its heading is gone" in found["carl"]["status"]
    written = (out / "written.html").read_text("utf-8")
    assert "Because &lt;i&gt;it&lt;/i&gt; grows." in written
    assert "1 for &lt;each&gt; reason." in written

    manual = out / "manual.csv"
    with manual.open(newline="") as file:
        assert list(csv.reader(file)) == [
            MANUAL_HEADER,
            ["alice", "q4", "", ""],
            ["bob", "q4", "", ""],
            ["carl", "q4", "", ""],
        ]
    manual.write_text(
        "student,question,points,comment\nalice,q4,1.5,Why <both>?\nbob,q4,0,\ncarl,q4,,\n"
        "alice,q1,3,late\n"
    )
    assert grade(where, submissions, out) == 0
    found = rows(out)
    assert [found["alice"][q] for q in ("q1", "q4", "total", "status")] == ["3", "1.5", "9.5", "ok"]
    assert [found["bob"][q] for q in ("q4", "total")] == ["0", "9"]
    assert found["carl"]["total"] == ""
    page = (out / "feedback" / "alice.html").read_text("utf-8")
    assert "Why &lt;both&gt;?" in page
    assert "alice,q4,1.5,Why <both>?" in manual.read_text()  # what a person wrote stays

    before = (out / "scores.csv").read_bytes()
    for line, problem in {
        "alice,q4,3,": "0 to 2 are allowed",
        "alice,q4,-1,": "0 to 2 are allowed",
        "alice,q4,nan,": "0 to 2 are allowed",
        "alice,q4,much,": "0 to 2 are allowed",
        "alicia,q4,1,": "nobody handed in",
        "alice,q9,1,": "no question 'q9'",
        "alice,q4,1": "3 fields",
    }.items():
        manual.write_text(f"student,question,points,comment\n{line}\n")
        capsys.readouterr()
        assert grade(where, submissions, out) == 4
        assert "line 2: " in (said := capsys.readouterr().out)
        assert problem in said
    manual.write_text("name;points\n")
    assert grade(where, submissions, out) == 4
    assert (out / "scores.csv").read_bytes() == before


# --- a broken grader ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"solution": answers(q2="def jump_of(x):\n    return 1\n")}, "q2: 0 of 3 (one stride:"),
        ({"solution": answers(first="while True:\n    pass")}, "took longer"),
        ({"student": answers()}, "The empty notebook gets full marks"),
        (
            {"tests": TESTS | {"q3": TESTS["q3"].replace("type(answer)", "typ(answer)")}},
            "NameError: name 'typ'",
        ),
        ({"tests": TESTS | {"q3": TESTS["q3"].replace("points=2", "points=1")}}, "q3 has 2 points"),
        ({"tests": TESTS | {"q3": "1 / 0"}}, "ZeroDivisionError"),
        ({"tests": TESTS | {"q3": ""}}, "has no test"),
    ],
)
def test_a_broken_grader_gives_no_scores(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], change: dict[str, bytes], words: str
) -> None:
    submissions, out = hand_in(tmp_path / "in", CLASS), tmp_path / "out"
    assert grade(bundle(tmp_path / "good"), submissions, out) == 0
    broken = bundle(tmp_path / "broken", **change)  # type: ignore[arg-type]
    journal = (out / "journal.jsonl").read_bytes()
    assert grade(broken, submissions, out) == 2
    captured = capsys.readouterr()
    assert words in captured.out + captured.err
    assert (out / "journal.jsonl").read_bytes() == journal
    if "tests" not in change or "typ" in words:
        assert not (out / "scores.csv").exists()


def test_a_test_that_fails_for_one_student_only(tmp_path: Path) -> None:
    """It is no zero: the question has no score, the row says check, the others are not touched."""
    tests = TESTS | {
        "q3": TESTS["q3"].replace("assert type", "1 // (answer - 13)\n    assert type")
    }
    submissions = hand_in(tmp_path / "in", CLASS | {"erik": answers(q3="answer = 13")})
    out = tmp_path / "out"
    assert grade(bundle(tmp_path / "bundle", tests), submissions, out) == 0
    erik = rows(out)["erik"]
    assert (erik["q3"], erik["total"]) == ("", "")
    assert erik["status"] == "check: q3: a test of the grader failed, see the log"
    assert "ZeroDivisionError" in (out / "log.txt").read_text()
    assert "ZeroDivisionError" not in (out / "feedback" / "erik.html").read_text()
    assert scores(rows(out)["alice"]) == FULL


def test_a_value_that_makes_a_test_run_for_ever(tmp_path: Path) -> None:
    """Tests are ended by the processor's clock, in Python.

    And by the parent, where they are deaf.
    """
    loop = (
        "n = answer if type(answer) is int else 0\n"
        "    while n > 427:\n        n += 1\n    assert type"
    )
    deaf = loop.replace("n += 1", "sum([n] * 10**7)").replace("n > 427", "n > 428")
    for name, words, limits in (
        (loop, "q3: a test of the grader failed", FAST),
        (
            "import time\n    time.sleep(99 * (answer == 429))\n    " + deaf,
            "could not finish",
            None,
        ),
    ):
        where = bundle(
            tmp_path / words[:5], TESTS | {"q3": TESTS["q3"].replace("assert type", name)}
        )
        submissions = hand_in(
            tmp_path / "in", {"alice": answers(), "x": answers(q3="answer = 429")}
        )
        import dataclasses

        used = limits or dataclasses.replace(FAST, examiner_s=4)
        assert grade(where, submissions, tmp_path / "out" / words[:5], limits=used) == 0
        found = rows(tmp_path / "out" / words[:5])
        assert scores(found["alice"]) == FULL
        assert found["x"]["q3"] == found["x"]["total"] == ""
        assert words in found["x"]["status"]


# --- interruptions --------------------------------------------------------------------------------


SLOW = "import time\ntime.sleep(0.4)\n"


def start(where: Path, submissions: Path, out: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [PYTHON, "-m", "grading", str(where), str(submissions), "--out", str(out)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def keys(journal: Path) -> list[str]:
    return [json.loads(line)["key"] for line in journal.read_text().splitlines()]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_batch_goes_on(tmp_path: Path, number: signal.Signals) -> None:
    where = bundle(tmp_path / "bundle")
    notebooks = {f"s{i:02d}": answers(first=SLOW, last=f"# {i}") for i in range(12)}
    submissions, out = hand_in(tmp_path / "in", notebooks), tmp_path / "out"
    first = start(where, submissions, out)
    journal = out / "journal.jsonl"
    end = time.monotonic() + 60
    while time.monotonic() < end and not (
        journal.exists() and journal.read_text().count("\n") >= 3
    ):
        time.sleep(0.02)
    os.killpg(first.pid, number) if number == signal.SIGINT else first.kill()
    said, _ = first.communicate(timeout=60)
    if number == signal.SIGINT:
        assert first.returncode == 130
        assert "the same command goes on" in said
    assert not (out / "scores.csv").exists()
    done = keys(journal)
    assert 3 <= len(done) < 12
    with journal.open("a") as file:
        file.write('{"key": "half a line')
    second = start(where, submissions, out)
    said, _ = second.communicate(timeout=120)
    assert second.returncode == 0, said
    assert f"{len(done)} results in the journal" in said
    after = keys(journal)
    assert after[: len(done)] == done  # nothing is lost
    assert len(after) == len(set(after)) == 12  # nor graded twice
    assert {scores(row) for row in rows(out).values()} == {FULL}


def test_two_runs_do_not_share_a_folder(
    trial: tuple[Path, Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    import fcntl

    where, submissions, out = trial
    out.mkdir()
    with (out / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert grade(where, submissions, out) == 4
    assert "another run" in capsys.readouterr().err


# --- the command ----------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [("-j", "0"), ("--canvas-gradebook", "/nowhere.csv")])
def test_wrong_options(trial: tuple[Path, Path, Path], options: tuple[str, ...]) -> None:
    assert grade(*trial, *options) == 4
    assert not trial[2].exists()


def test_make_without_submissions(capsys: pytest.CaptureFixture[str]) -> None:
    """`make grade A=1` must not take the whole project for a class."""
    assert main(["1", ""]) == 4
    assert "SUBMISSIONS=" in capsys.readouterr().err


def test_an_assignment_that_is_not_there(
    trial: tuple[Path, Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert grade(Path("no-such"), *trial[1:]) == 4
    assert "make assignments" in capsys.readouterr().err


def test_submissions_where_students_can_read(
    trial: tuple[Path, Path, Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("grading.__main__.shown", lambda: [trial[1].parent])
    assert grade(*trial) == 4
    assert "students' code can read" in capsys.readouterr().err


def test_without_bubblewrap(
    trial: tuple[Path, Path, Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("PATH", str(trial[0]))
    assert grade(*trial) == 3
    said = capsys.readouterr().err
    assert "no bubblewrap" in said
    assert "apt install bubblewrap" in said
    assert "--without-sandbox-i-trust-every-student" in said
    assert not trial[2].exists()


def test_bubblewrap_that_is_refused(
    trial: tuple[Path, Path, Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    fake = trial[0] / "bwrap"
    fake.write_text("#!/bin/sh\necho 'bwrap: No permissions to create new namespace' >&2\nexit 1\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{trial[0]}:/usr/bin:/bin")
    assert grade(*trial) == 3
    said = capsys.readouterr().err
    assert "No permissions to create new namespace" in said
    assert "user namespaces" in said


def test_without_a_sandbox_it_says_so_everywhere(
    trial: tuple[Path, Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    where, submissions, out = trial
    assert grade(where, submissions, out, "--without-sandbox-i-trust-every-student") == 0
    assert [scores(row) for row in rows(out).values()] == [FULL, (0, 3, 2), (4, 3, 0), (0, 3, 2)]
    assert {row["status"] for row in rows(out).values()} == {"ok (GRADED WITHOUT A SANDBOX)"}
    assert "WITHOUT A SANDBOX" in capsys.readouterr().out
    assert "WITHOUT A SANDBOX" in (out / "log.txt").read_text()
    # With a sandbox again, nothing of that is reused.
    assert grade(where, submissions, out) == 0
    assert {row["status"] for row in rows(out).values()} == {"ok"}
