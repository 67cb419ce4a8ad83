"""Notebooks as the grader reads them.

Strictly, without nbformat, because students' files are no notebooks at times.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from grading.limits import Limits

_OTHERS = {b"PK": "a zip or an office file", b"%PDF": "a PDF", b"\x1f\x8b": "a gzip file"}


class NotebookError(Exception):
    """What was handed in cannot be read as a notebook; the message says why."""


@dataclass(frozen=True)
class Cell:
    kind: str  # "code", "markdown", "raw"
    source: str

    @property
    def key(self) -> str:
        """What makes two cells the same: their text, not the blanks around it."""
        return "\n".join(line.rstrip() for line in self.source.strip().splitlines())


def read(data: bytes, limits: Limits) -> list[Cell]:
    """The cells of a notebook file; NotebookError where it is none."""
    if not data.strip():
        raise NotebookError("the file is empty")
    if len(data) > limits.notebook_bytes:
        raise NotebookError(f"the file has more than {limits.notebook_bytes >> 20} MB")
    for start, name in _OTHERS.items():
        if data.startswith(start):
            raise NotebookError(f"the file is not a notebook but {name}")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise NotebookError("the file is not UTF-8 text") from error
    try:
        notebook = json.loads(text)
    except (ValueError, RecursionError) as error:
        what = f"{error}" if isinstance(error, ValueError) else "nested too deeply"
        raise NotebookError(f"the file is not a notebook: no JSON ({what[:100]})") from error
    if not isinstance(notebook, dict) or not isinstance(notebook.get("cells"), list):
        old = isinstance(notebook, dict) and "worksheets" in notebook
        why = (
            "its format is older than 4; open it in Jupyter and save it"
            if old
            else "it has no cells"
        )
        raise NotebookError(f"the file is not a notebook that can be read: {why}")
    if len(notebook["cells"]) > limits.cells:
        raise NotebookError(f"the notebook has more than {limits.cells} cells")
    return [_cell(cell, number) for number, cell in enumerate(notebook["cells"], 1)]


def _cell(cell: Any, number: int) -> Cell:
    if not isinstance(cell, dict) or not isinstance(cell.get("cell_type"), str):
        raise NotebookError(f"cell {number} is not a cell")
    source = cell.get("source", "")
    if isinstance(source, list) and all(isinstance(line, str) for line in source):
        source = "".join(source)
    if not isinstance(source, str):
        raise NotebookError(f"the source of cell {number} is not text")
    # Half a surrogate pair cannot be compiled, printed or written.
    source = source.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return Cell(cell["cell_type"], source)
