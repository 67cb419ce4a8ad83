"""Grade a class: one examiner process a submission, a journal that survives every interruption.

An examiner is forked, so that neither a hostile value nor a test that never ends can touch another
student or the batch: it is ended by its parent's clock, and its row says so.
"""

from __future__ import annotations

import contextlib
import ctypes
import dataclasses
import hashlib
import json
import os
import resource
import select
import signal
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from grading.bundle import Bundle, BundleError
from grading.collect import Submission
from grading.examine import Result, examine
from grading.limits import GIB, Limits
from grading.notebook import Cell, NotebookError, read
from grading.sandbox import Nursery, Sandbox, SandboxError, become_subreaper


@dataclass(frozen=True)
class Examiner:
    """What all submissions of a batch are examined with."""

    bundle: Bundle
    limits: Limits
    nursery: Nursery | None  # None: without a sandbox
    kinds: dict[str, str] = field(default_factory=dict)
    slot: int = 0  # which of those at a time: each has a core of its own, if there are enough

    def start(self) -> Sandbox:
        return Sandbox(self.limits, self.nursery, self.slot)

    def examine(self, cells: list[Cell]) -> Result:
        return examine(self.bundle, cells, self.limits, self.start, self.kinds)

    def key(self, data: bytes) -> str:
        """Names a result: the same submission under the same conditions has the same."""
        conditions = f"{self.bundle.digest} {self.nursery is None} {self.limits}"
        return hashlib.sha256(conditions.encode() + b"\n" + data).hexdigest()


def nursery_for(bundle: Bundle, limits: Limits) -> Nursery:
    """With rflib where an assignment uses it: the sandbox shows nothing else of the project."""
    rflib = Path(__file__).resolve().parent.parent / "rflib"
    return Nursery(limits, bundle.needs, (rflib,) if "rflib" in bundle.needs else ())


def prove(examiner: Examiner) -> Examiner:
    """Grade the reference solution and the released notebook.

    BundleError unless the grader can be trusted.
    """
    done = dict(
        run(
            examiner,
            [("solution", examiner.bundle.solution), ("student", examiner.bundle.student)],
            1,
        )
    )
    solution, student = done["solution"], done["student"]
    questions = [q for q in examiner.bundle.questions if not q.manual]
    lost = [
        f"  {q.name}: {solution.scores.get(q.name)} of "
        f"{q.points:g}{_first_problem(solution, q.name)}"
        for q in questions
        if solution.scores.get(q.name) != q.points
    ]
    # Its written answers are not in the heading's place at times; machines do not grade them.
    manual = {q.name for q in examiner.bundle.questions if q.manual}
    doubts = [c for c in solution.checks if c.partition(":")[0] not in manual]
    if not student.scores:
        doubts += student.checks
    if lost or doubts or solution.log:
        raise BundleError(
            "The reference solution does not get full marks, so nothing was graded:\n"
            + "\n".join([*lost, *(f"  {doubt}" for doubt in doubts), *solution.log])
        )
    if all(student.scores.get(q.name) == q.points for q in questions):
        raise BundleError(
            "The empty notebook gets full marks, so nothing was graded: there are no tests"
        )
    return dataclasses.replace(examiner, kinds=solution.kinds)


def _first_problem(result: Result, question: str) -> str:
    for outcome in result.outcomes.get(question, []):
        if outcome.state != "passed":
            return f" ({outcome.title}: {outcome.detail or outcome.message})"
    return ""


# --- the journal ----------------------------------------------------------------------------------


class Journal:
    """One line of JSON per graded submission, on the disk before the next is begun."""

    def __init__(self, path: Path) -> None:
        self.done: dict[str, Result] = {}
        kept = 0
        if path.exists():
            for line in path.read_bytes().splitlines(keepends=True):
                try:
                    entry = json.loads(line)
                    self.done[entry["key"]] = Result.from_json(entry["result"])
                except (ValueError, KeyError, TypeError):
                    break  # cut short by an interruption: what follows is graded again
                if not line.endswith(b"\n"):
                    break
                kept += len(line)
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        os.ftruncate(self._file, kept)

    def add(self, key: str, result: Result) -> None:
        line = json.dumps({"key": key, "result": result.to_json()}, sort_keys=True) + "\n"
        os.write(self._file, line.encode())
        os.fsync(self._file)
        self.done[key] = result

    def close(self) -> None:
        os.close(self._file)


# --- the examiners --------------------------------------------------------------------------------


@dataclass
class _Running:
    name: str
    process: int
    pipe: int
    slot: int
    deadline: float
    text: bytearray = field(default_factory=bytearray)


def run(
    examiner: Examiner, tasks: Iterable[tuple[str, list[Cell]]], jobs: int
) -> Iterator[tuple[str, Result]]:
    """Examine the tasks, `jobs` at a time; yields each with its result as it is done."""
    waiting = iter(tasks)
    running: dict[int, _Running] = {}
    try:
        while True:
            while len(running) < jobs and (task := next(waiting, None)):
                free = min(set(range(jobs)) - {one.slot for one in running.values()})
                started = _fork(dataclasses.replace(examiner, slot=free), *task, list(running))
                running[started.pipe] = started
            if not running:
                return
            soonest = min(r.deadline for r in running.values())
            ready, _, _ = select.select(list(running), [], [], max(soonest - time.monotonic(), 0))
            for pipe in ready:
                part = os.read(pipe, 1 << 20)
                if part:
                    running[pipe].text += part
                    continue
                finished = running.pop(pipe)
                yield finished.name, _finish(finished, "")
            for pipe, late in list(running.items()):
                if time.monotonic() >= late.deadline:
                    del running[pipe]
                    os.kill(late.process, signal.SIGKILL)
                    late.text.clear()
                    yield (
                        late.name,
                        _finish(
                            late, f"it took longer than {examiner.limits.examiner_s:g} seconds"
                        ),
                    )
    finally:
        for left in running.values():
            with contextlib.suppress(ProcessLookupError):
                os.kill(left.process, signal.SIGKILL)
            os.waitpid(left.process, 0)
            os.close(left.pipe)


def _finish(finished: _Running, why: str) -> Result:
    _, status = os.waitpid(finished.process, 0)
    os.close(finished.pipe)
    try:
        return Result.from_json(json.loads(finished.text))
    except (ValueError, KeyError, TypeError):
        why = why or f"it ended with {os.waitstatus_to_exitcode(status)} before it reported"
        return broken(f"the grader could not finish: {why}")


def broken(why: str, log: str = "") -> Result:
    """A result without scores: never a zero."""
    return Result(checks=[why], log=[log or why])


def _fork(examiner: Examiner, name: str, cells: list[Cell], others: list[int]) -> _Running:
    pipe, write = os.pipe()
    parent = os.getpid()
    if examiner.nursery is not None:
        examiner.nursery.ensure()
    # Python drops what its own hooks around a fork raise, an interrupt too: it has to wait.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    process = os.fork()
    if process:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        os.close(write)
        return _Running(
            name, process, pipe, examiner.slot, time.monotonic() + examiner.limits.examiner_s
        )
    status = 1
    try:
        for descriptor in (pipe, *others):
            os.close(descriptor)
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what Ctrl-C means
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        ctypes.CDLL(None).prctl(1, signal.SIGKILL, 0, 0, 0)  # and takes us with it
        if os.getppid() != parent:
            os._exit(1)
        if examiner.nursery is None:
            become_subreaper()
        hard = resource.getrlimit(resource.RLIMIT_AS)[1]
        most = 8 * GIB if hard == resource.RLIM_INFINITY else min(8 * GIB, hard)
        resource.setrlimit(resource.RLIMIT_AS, (most, hard))
        text = json.dumps(_guarded(lambda: examiner.examine(cells)).to_json()).encode()
        view = memoryview(text)
        while view:
            view = view[os.write(write, view) :]
        status = 0
    finally:
        os._exit(status)


def _guarded(work: Callable[[], Result]) -> Result:
    try:
        return work()
    except SandboxError as error:
        return broken(f"the sandbox did not start: {str(error).splitlines()[0]}", str(error))
    except BaseException:
        return broken("the grader failed, see the log", traceback.format_exc()[-4000:])


# --- a class --------------------------------------------------------------------------------------


@dataclass
class Graded:
    """A student's row."""

    submission: Submission
    result: Result

    @property
    def checks(self) -> list[str]:
        return [
            *filter(None, [self.submission.problem]),
            *self.submission.notes,
            *self.result.checks,
        ]


def grade_all(
    examiner: Examiner,
    submissions: list[Submission],
    journal: Journal,
    jobs: int,
    done: Callable[[str], Any],
) -> list[Graded]:
    """Every submission's result, in the order given.

    What stands in the journal is not graded again.
    """
    results: dict[str, Result] = {}
    todo: dict[str, list[Cell]] = {}
    waiting: dict[str, list[Submission]] = {}
    for submission in submissions:
        if not submission.problem:
            try:
                cells = read(submission.data, examiner.limits)
            except NotebookError as error:
                submission.problem = str(error)
        if submission.problem:
            results[submission.student] = Result()
            done(submission.student)
            continue
        key = examiner.key(submission.data)
        if key in journal.done:
            results[submission.student] = journal.done[key]
            done(submission.student)
            continue
        todo[key] = cells
        waiting.setdefault(key, []).append(submission)
    for key, result in run(examiner, todo.items(), jobs):
        if not _unfinished(result):
            journal.add(key, result)
        for submission in waiting[key]:
            results[submission.student] = result
            done(submission.student)
    return [Graded(s, results[s.student]) for s in submissions]


def _unfinished(result: Result) -> bool:
    """Whether the examiner itself failed: a second run tries again."""
    return not result.scores
