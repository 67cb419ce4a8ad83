"""One student's notebook, kept running.

Workers come and go, the notebook's state is played again.
"""

from __future__ import annotations

import builtins
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from grading.limits import Limits
from grading.notebook import Cell
from grading.sandbox import Sandbox, SandboxError, WorkerError
from grading.values import (
    Handle,
    StudentError,
    WireError,
    decode,
    encode,
    parse_error,
)


class BudgetError(StudentError):
    """The submission has used up its time or its workers.

    What follows is not run, and a person must look.
    """


@dataclass
class CellNote:
    """What happened in a cell: for the feedback."""

    number: int
    begins: str  # its first line, since notebooks show no numbers of cells
    error: str = ""
    printed: str = ""
    left_out: list[str] = field(default_factory=list)


def _first_line(source: str) -> str:
    return source.strip().partition("\n")[0].strip()[:80]


class Function:
    """A student's function as the tests see it: it can be called, and answers with plain values.

    It is called by its name, so that it outlives the worker in which it was found; as an argument
    it is the object in that worker.
    """

    def __init__(self, session: Session, name: str, handle: Handle) -> None:
        self._session, self._name, self.handle = session, name, handle

    def __call__(self, *args: object, **kwargs: object) -> object:
        return self._session.call(self._name, args, kwargs)

    def __repr__(self) -> str:
        return f"<the student's {self._name}>"


class Session:
    """Starts workers, runs the cells in them, calls functions and reads values by name."""

    def __init__(self, cells: list[Cell], limits: Limits, start: Callable[[], Sandbox]) -> None:
        self.cells = [(i, cell) for i, cell in enumerate(cells, 1) if cell.kind == "code"]
        self.limits, self._start = limits, start
        self.notes: dict[int, CellNote] = {}
        self.suspicions: list[str] = []  # for a person to look at
        self.deaths = 0
        self.printed = ""  # by the functions, since the last `take_printed`
        self._worker: Sandbox | None = None
        self._number = 0
        self._skip: set[int] = set()
        self._used = 0.0

    def close(self) -> None:
        if self._worker is not None:
            worker, self._worker = self._worker, None
            worker.end()

    # --- the notebook ----------------------------------------------------------------------------

    def ready(self) -> Sandbox:
        """A worker in which every cell was run that can be."""
        while self._worker is None:
            if self.deaths > self.limits.deaths:
                raise BudgetError(
                    f"not run: {self.deaths} processes of this notebook had hung or died"
                )
            self._worker = self._start()
            self._number += 1
            try:
                self._worker.ask({"do": "hello"}, self.limits.start_s)
            except WorkerError as error:
                said = self._worker.take_printed()
                self.close()
                raise SandboxError(f"a fresh worker does not answer: {error}\n{said}") from error
            for number, cell in self.cells:
                if number not in self._skip and not self._run(number, cell):
                    break
        return self._worker

    def _run(self, number: int, cell: Cell) -> bool:
        """Whether the worker outlived the cell."""
        first = number not in self.notes
        note = self.notes.setdefault(number, CellNote(number, _first_line(cell.source)))
        try:
            answer = self._ask({"do": "cell", "number": number, "source": cell.source})
        except WorkerError as death:
            note.error = f"the cell was ended: {death}"
            if first:  # later, a hidden test may have told the notebook what to print
                note.printed = self._lost_output
            self._skip.add(number)
            self._suspect(f"cell {number}: {death}")
            return False
        worker = self._worker
        assert worker is not None
        printed = worker.take_printed()
        if first:
            note.printed = printed
            if "error" in answer:
                note.error = parse_error(answer)[0]
            else:
                left_out = decode(answer.get("ok"), self._number)
                if isinstance(left_out, list):
                    kept = left_out[: self.limits.left_out_kept]
                    note.left_out = [str(line)[:200] for line in kept]
        return True

    def _suspect(self, what: str) -> None:
        if what not in self.suspicions:
            self.suspicions.append(what)

    # --- requests --------------------------------------------------------------------------------

    _lost_output = ""

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        """One request on the student's time.

        When the worker dies it is ended, and the next one starts afresh.
        """
        worker = self._worker
        assert worker is not None
        left = self.limits.student_s - self._used
        if left <= 0:
            raise self._spent()
        began = time.monotonic()
        try:
            answer = worker.ask(request, min(self.limits.call_s, left))
            self._check(answer)
            return answer
        except (WorkerError, WireError) as error:
            self.deaths += 1
            self._lost_output = worker.take_printed()
            self.close()
            if left < self.limits.call_s and time.monotonic() - began >= left:
                raise self._spent() from error
            if isinstance(error, WorkerError):
                raise
            raise WorkerError(f"it broke the protocol of the pipe: {error}") from error
        finally:
            self._used += time.monotonic() - began

    def _spent(self) -> BudgetError:
        seconds = self.limits.student_s
        return BudgetError(f"not run: the notebook had used up its {seconds:g} seconds")

    def _check(self, answer: dict[str, Any]) -> None:
        """WireError unless it is an answer: then the worker is not to be believed any more."""
        if set(answer) == {"id", "ok"}:
            decode(answer["ok"], self._number)
        elif set(answer) == {"id", "error"}:
            parse_error(answer)
        else:
            raise WireError("neither a value nor an error")

    def _request(self, name: str, request: dict[str, Any]) -> object:
        try:
            answer = self._ask(request)
        except WorkerError as death:
            self.printed += self._lost_output
            self._suspect(f"`{name}`: {death}")
            words = f"your `{name}` was ended: {death}"
            # The number is the student's choice, and could tell what a hidden test asks.
            raise HangError(words, re.sub(r" \(exit status \d+\)", "", words)) from death
        assert self._worker is not None
        self.printed += self._worker.take_printed()
        if "error" in answer:
            words, kind = parse_error(answer)
            known = isinstance(getattr(builtins, kind, None), type)
            raise StudentError(
                f"your `{name}` raised {words}",
                f"your `{name}` raised {kind if known else 'an exception of its own'}",
            )
        return decode(answer["ok"], self._number)

    def get(self, name: str) -> object:
        """What the notebook holds under this name: a plain value, a Function or a Handle."""
        self.ready()
        found = self._request(name, {"do": "get", "name": name})
        if found == ():
            raise UndefinedError(f"`{name}` is not defined in your notebook", name)
        if not (isinstance(found, tuple) and len(found) == 1):
            raise StudentError(f"`{name}` could not be read")
        value = found[0]
        if isinstance(value, Handle) and value.callable:
            return Function(self, name, value)
        return value

    def call(self, name: str, args: tuple[object, ...], kwargs: dict[str, object]) -> object:
        """What the student's function of this name returns."""
        self.ready()
        number = self._number
        request = {
            "do": "call",
            "name": name,
            "args": [encode(arg, number) for arg in args],
            "kwargs": {key: encode(arg, number) for key, arg in kwargs.items()},
        }
        return self._request(name, request)

    def take_printed(self) -> str:
        text, self.printed = self.printed, ""
        kept = self.limits.printed_kept
        return text if len(text) <= kept else text[:kept] + "\n... (cut)"


class HangError(StudentError):
    """A call that cost a worker."""


class UndefinedError(StudentError):
    """A name that the notebook does not define."""

    def __init__(self, message: str, name: str) -> None:
        super().__init__(message)
        self.name = name
