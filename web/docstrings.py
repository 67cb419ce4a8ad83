"""Sphinx extension: set rflib's docstrings as they read in a terminal.

They are plain words with three conventions: a heading underlined with dashes, an item written
``name : what it is`` with its further lines indented, and code in backquotes. Napoleon takes what
stands behind the colon for a type to look up, and half of a sentence for its name.
"""

import re
from collections.abc import Iterator

from sphinx.application import Sphinx

UNDERLINE = re.compile(r"-{3,}")
ITEM = re.compile(r"(?P<names>\w+(?:, \*{0,2}\w+)*) : (?P<text>.+)")
CODE = re.compile(r"(`[^`]*`)")
MARKUP = re.compile(r"[*|\\]|_(?!\w)")  # reStructuredText would take these for something else


def plain(line: str) -> str:
    """Return the line with its words taken literally, whatever signs they hold."""
    parts = CODE.split(line)
    return "".join(
        part if index % 2 else MARKUP.sub(r"\\\g<0>", part) for index, part in enumerate(parts)
    )


def term(names: str) -> str:
    """Return the names of an item, each set as code."""
    return ", ".join(f"`{name}`" for name in names.split(", "))


def converted(lines: list[str]) -> Iterator[str]:
    """Yield the lines of a docstring as reStructuredText."""
    example = False
    for line, below in zip(lines, [*lines[1:], ""], strict=True):
        example = bool(line.strip()) and (example or line.lstrip().startswith(">>>"))
        if example:
            yield line
        elif UNDERLINE.fullmatch(line):
            yield ""
        elif UNDERLINE.fullmatch(below) and line:
            yield f".. rubric:: {line}"
        elif item := ITEM.fullmatch(line):
            yield term(item["names"])
            yield f"    {plain(item['text'])}"
        else:
            yield plain(line)


def convert(
    app: Sphinx, what: str, name: str, subject: object, options: object, lines: list[str]
) -> None:
    """Rewrite one docstring in place, as autodoc asks for it."""
    lines[:] = converted(lines)


def setup(app: Sphinx) -> dict[str, bool]:
    """Register with Sphinx."""
    app.setup_extension("sphinx.ext.autodoc")
    app.connect("autodoc-process-docstring", convert)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
