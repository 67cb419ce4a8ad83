"""Grade a class: `python -m grading 1 submissions/` (make grade A=1 SUBMISSIONS=submissions).

SUBMISSIONS is a folder of notebooks, a folder with one folder a student, or the zip file that
Canvas, Moodle or Gradescope gives out. Scores, feedback and a log go to _build/grades/NAME. The
same command again goes on where an interrupted run stopped.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import io
import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from grading import lms, report
from grading.batch import Examiner, Graded, Journal, grade_all, nursery_for, prove
from grading.bundle import Bundle, BundleError, load
from grading.collect import CollectError, collect, readable
from grading.examine import preload
from grading.limits import Limits
from grading.sandbox import REMEDY, Nursery, SandboxError, shown, try_sandbox

ROOT = Path(__file__).resolve().parent.parent
BROKEN, NO_SANDBOX, BAD_INPUT, INTERRUPTED = 2, 3, 4, 130


class CommandError(Exception):
    """The command cannot be carried out; the message says what to do."""


def parser() -> argparse.ArgumentParser:
    found = argparse.ArgumentParser(
        prog="python -m grading",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="Exit status: 0 graded, 2 the grader is not to be trusted (its own solution fails), "
        "3 no sandbox, 4 wrong input, 130 interrupted.",
    )
    found.add_argument("assignment", help="its number or name, or the folder of its bundle")
    found.add_argument("submissions", help="folder or zip file")
    found.add_argument("-j", "--jobs", type=int, default=2, help="at a time (default: 2)")
    found.add_argument("--out", type=Path, help="default: _build/grades/NAME")
    found.add_argument("--again", action="store_true", help="grade all anew: forget the journal")
    found.add_argument(
        "--canvas-gradebook", type=Path, metavar="EXPORT.csv", help="fill in: canvas.csv"
    )
    found.add_argument(
        "--moodle-worksheet", type=Path, metavar="EXPORT.csv", help="fill in: moodle.csv"
    )
    found.add_argument(
        "--accept-checks",
        action="store_true",
        help="write rows of status check into canvas.csv and moodle.csv as well: after you have "
        "looked",
    )
    found.add_argument(
        "--without-sandbox-i-trust-every-student",
        action="store_true",
        dest="bare",
        help="run their code with limits only: it can read what you can, and each other's work",
    )
    return found


def find_bundle(name: str) -> Path:
    """The bundle's folder, from a number, a name or a path."""
    if (Path(name) / "assignment.json").exists():
        return Path(name)
    folder = ROOT / "_build" / "assignments"
    there = sorted(path.parent.parent for path in folder.glob("*/autograder/assignment.json"))
    for path in there:
        if name in (path.name, path.name.partition("-")[0]):
            return path / "autograder"
    names = ", ".join(path.name for path in there) or "none"
    raise CommandError(
        f"There is no assignment {name!r}; released are: {names}. SECRET=... make assignments"
    )


class Log:
    """Lines on the terminal, and with the time in a file."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("a", encoding="utf-8")

    def __call__(self, text: str, terminal: bool = True) -> None:
        now = datetime.now().isoformat(sep=" ", timespec="seconds")
        for line in text.splitlines():
            # A traceback may hold a student's text, and that what turns a terminal upside down.
            line = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in line)
            self._file.write(f"{now}  {line}\n")
        self._file.flush()
        if terminal:
            print(text, flush=True)


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Two runs into one folder would write over each other."""
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CommandError(
                f"another run is writing into {folder}: wait for it, or name another --out"
            ) from None
        yield


def grade(args: argparse.Namespace, limits: Limits) -> int:
    if args.jobs < 1:
        raise CommandError(f"-j is {args.jobs}; 1 or more are allowed")
    if sys.platform != "linux":
        raise SandboxError(f"Grading needs Linux; this is {sys.platform}.\n{REMEDY}")
    if not args.submissions:
        raise CommandError("Whose? make grade A=1 SUBMISSIONS=folder-or-zip")
    folder = find_bundle(args.assignment)
    bundle = load(folder)
    for path in (args.canvas_gradebook, args.moodle_worksheet):
        if path is not None and not path.is_file():
            raise CommandError(f"{path} does not exist")
    if not args.bare:
        _hidden([folder, Path(args.submissions)])
    nursery = None if args.bare else nursery_for(bundle, limits)
    try:
        if nursery is not None:
            try_sandbox(nursery, limits)
        return _grade(args, limits, bundle, nursery)
    finally:
        if nursery is not None:
            nursery.end()


def _hidden(paths: list[Path]) -> None:
    """The sandbox shows the system's programs; what it must not show cannot lie among them."""
    for path in paths:
        for place in shown():
            if path.resolve().is_relative_to(place):
                raise CommandError(
                    f"{path} lies in {place}, which students' code can read: move it elsewhere"
                )


def _grade(
    args: argparse.Namespace, limits: Limits, bundle: Bundle, nursery: Nursery | None
) -> int:
    out = args.out or ROOT / "_build" / "grades" / bundle.name
    out.mkdir(parents=True, exist_ok=True)
    out.chmod(0o700)  # classmates may have an account on this machine
    with _alone(out):
        return _into(out, args, limits, bundle, nursery)


def _into(
    out: Path, args: argparse.Namespace, limits: Limits, bundle: Bundle, nursery: Nursery | None
) -> int:
    log = Log(out / "log.txt")
    if args.bare:
        log(
            "WITHOUT A SANDBOX, as you asked: students' code can read this user's files, the "
            "hidden tests and their\n"
            "classmates' work among them, and change or delete what this user can. Every row says "
            "so."
        )
    preload(bundle)
    log(f"{bundle.title}: the reference solution first")
    try:
        examiner = prove(Examiner(bundle, limits, nursery))
    except BundleError as error:
        with contextlib.suppress(FileNotFoundError):
            (
                out / "scores.csv"
            ).unlink()  # old scores beside a broken grader would be taken for its own
        log(str(error))
        return BROKEN
    submissions = collect(Path(args.submissions), limits)
    if args.again:
        (out / "journal.jsonl").unlink(missing_ok=True)
    journal = Journal(out / "journal.jsonl")
    log(
        f"{len(submissions)} submissions, {args.jobs} at a time; {len(journal.done)} results in "
        f"the journal"
    )
    with _progress(len(submissions)) as bar:

        def done(student: str) -> None:
            log(f"done: {student}", terminal=False)
            bar.update()

        try:
            graded = grade_all(examiner, submissions, journal, args.jobs, done)
        except KeyboardInterrupt:
            bar.close()
            log(
                f"Interrupted. {len(journal.done)} results are kept; the same command goes on "
                f"from there."
            )
            return INTERRUPTED
        finally:
            journal.close()
    return _write(args, limits, bundle, out, graded, log)


def _progress(total: int) -> Any:
    from tqdm import tqdm  # type: ignore[import-untyped]

    tqdm.monitor_interval = 0  # its thread would be forked along with the examiners
    return tqdm(total=total, unit="submission", disable=None)


def _write(
    args: argparse.Namespace,
    limits: Limits,
    bundle: Bundle,
    out: Path,
    graded: list[Graded],
    log: Log,
) -> int:
    for one in graded:
        for line in one.result.log:
            log(f"{one.submission.student}: {line}", terminal=False)
    students = [one.submission.student for one in graded]
    try:
        manual = report.read_manual(out / "manual.csv", bundle, students)
    except report.ManualError as error:
        log(f"{error}\nNothing was written; mend the line and run the same command again.")
        return BAD_INPUT
    rows = report.rows_of(bundle, graded, manual, args.bare)
    report.write_manual(out / "manual.csv", bundle, graded)
    report.write_scores(out / "scores.csv", bundle, rows)
    report.write_pages(out / "feedback", bundle, rows, limits)
    report.write_written(out / "written.html", bundle, rows)
    for sheet, write, name in (
        (args.canvas_gradebook, lms.canvas, "canvas.csv"),
        (args.moodle_worksheet, lms.moodle, "moodle.csv"),
    ):
        if sheet is not None:
            left_out = write(sheet, out / name, bundle, rows, args.accept_checks)
            log(
                "\n".join(
                    [f"{name}: {len(left_out)} rows left out", *(f"  {who}" for who in left_out)]
                )
            )
    good = sum(row.good for row in rows)
    log(
        f"{len(rows)} rows in {readable(str(out / 'scores.csv'))}: {good} ok, {len(rows) - good} "
        f"to check"
    )
    return 0


def main(words: list[str] | None = None, limits: Limits | None = None) -> int:
    args = parser().parse_args(words)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a name that a terminal cannot show stops nothing
            stream.reconfigure(errors="backslashreplace")
    try:
        return grade(args, limits or Limits())
    except SandboxError as error:
        print(error, file=sys.stderr)
        return NO_SANDBOX
    except BundleError as error:
        print(error, file=sys.stderr)
        return BROKEN
    except (CommandError, CollectError, lms.SheetError) as error:
        print(error, file=sys.stderr)
        return BAD_INPUT
    except KeyboardInterrupt:
        print("Interrupted; the same command goes on from there.", file=sys.stderr)
        return INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
