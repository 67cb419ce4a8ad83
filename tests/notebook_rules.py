"""The rules that the book's notebooks keep, each a function from a page to what is wrong with it.

CONTRIBUTING.md says them in words; test_notebooks.py applies them and shows that each can fail.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import execute  # web/execute.py: the generated cells and the form of the file stand there
import nbformat
from nbformat import NotebookNode

CELL_LINES = 25
NOTEBOOK_BYTES = 1_500_000
OUTPUT_BYTES = 300_000
EXERCISES = range(3, 7)


@dataclass(frozen=True)
class Page:
    """A notebook of the book that lies in `root`."""

    nb: NotebookNode
    path: Path
    root: Path

    @property
    def name(self) -> str:
        """The path as the book's own files write it."""
        return self.path.relative_to(self.root).as_posix()

    @property
    def is_chapter(self) -> bool:
        return self.name.startswith("chapters/")

    def cells(self, kind: str) -> Iterator[tuple[str, NotebookNode]]:
        """The cells of a kind, each with the words that name it in a message."""
        for number, cell in enumerate(self.nb.cells, start=1):
            if cell.cell_type == kind:
                yield f"cell {number} (id {cell.id})", cell

    def outputs(self) -> Iterator[tuple[str, NotebookNode, NotebookNode]]:
        """Every output with the name of its cell and the cell."""
        for where, cell in self.cells("code"):
            for output in cell.outputs:
                yield where, cell, output


def load(path: Path, root: Path) -> Page:
    return Page(nbformat.read(path, as_version=4), path, root)


Rule = Callable[[Page], Iterator[str]]
RULES: dict[str, Rule] = {}


def rule(function: Rule) -> Rule:
    """Enter a rule under its name."""
    RULES[function.__name__] = function
    return function


def problems(page: Page) -> list[str]:
    """All that is wrong with a page, in words."""
    return [f"{name}: {problem}" for name, check in RULES.items() for problem in check(page)]


# --- executed, without error, as `make execute` leaves it -----------------------------------------


@rule
def executed(page: Page) -> Iterator[str]:
    """Every code cell has run, in order, and its output is compared by nbval."""
    count = 0
    for where, cell in page.cells("code"):
        if not cell.source.strip():
            yield f"{where} is empty"
            continue
        count += 1
        if cell.execution_count != count:
            yield f"{where} has execution count {cell.execution_count}, not {count}: make execute"
        if lax := {"nbval-skip", "nbval-ignore-output", "raises-exception"} & tags(cell):
            yield f"{where} is tagged {', '.join(sorted(lax))}: then nobody compares its output"


def tags(cell: NotebookNode) -> set[str]:
    return set(cell.metadata.get("tags", []))


@rule
def no_error(page: Page) -> Iterator[str]:
    """No stored output is an error."""
    for where, _, output in page.outputs():
        if output.output_type == "error":
            yield f"{where} ended in {output.ename}: {output.evalue}"


@rule
def normal_form(page: Page) -> Iterator[str]:
    """The file is as `make execute` writes it: keys sorted, no times, no other metadata."""
    nb = nbformat.from_dict(page.nb)
    execute.normalise(nb)
    if execute.to_bytes(nb) != page.path.read_bytes():
        yield "is not in the form that make execute writes: " + "; ".join(
            line for line in execute.differences(page.nb, nb) if not line.startswith(" ")
        )


@rule
def head(page: Page) -> Iterator[str]:
    """The badge line and the set-up cell are the generated ones, at their places."""
    nb = nbformat.from_dict(page.nb)
    execute.renew_head(nb, page.name, execute.book(page.root))
    if [c.id for c in nb.cells] != [c.id for c in page.nb.cells]:
        yield "the badge and the set-up cell must follow the title: make execute puts them there"
        return
    for wanted, cell in zip(nb.cells, page.nb.cells, strict=True):
        if wanted != cell:
            yield f"the cell {cell.id!r} is not the one that web/execute.py generates: make execute"


# --- widgets and pictures -------------------------------------------------------------------------


@rule
def widget_models(page: Page) -> Iterator[str]:
    """Every widget view finds its model, and every model what it refers to, in metadata.widgets."""
    stored = page.nb.metadata.get("widgets", {}).get(execute.STATE, {}).get("state", {})
    for where, _, output in page.outputs():
        model = output.get("data", {}).get(execute.VIEW, {}).get("model_id")
        if model is not None and model not in stored:
            yield f"{where} shows the widget {model}, which metadata.widgets does not hold"
    for model, entry in stored.items():
        for other in execute.references(entry["state"]):
            if other not in stored:
                yield f"the widget {model} needs {other}, which metadata.widgets does not hold"


class Pictures(HTMLParser):
    """Counts the pictures in HTML that say nothing to somebody who cannot see them."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.silent: list[str] = []
        self.svg_open: str | None = None
        self.feed(html)
        self.close_svg()

    def close_svg(self) -> None:
        if self.svg_open:
            self.silent.append(self.svg_open)
        self.svg_open = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        has = {name: (value or "").strip() for name, value in attrs}
        if tag == "img" and not has.get("alt"):
            self.silent.append("<img>")
        if tag == "title":
            self.svg_open = None
        if tag == "svg" and has.get("aria-hidden") != "true" and not has.get("aria-label"):
            self.svg_open = "<svg>"

    def handle_endtag(self, tag: str) -> None:
        if tag == "svg":
            self.close_svg()


@rule
def alternative_text(page: Page) -> Iterator[str]:
    """Every picture, in text and in outputs, has words for those who do not see it."""
    for where, cell in page.cells("markdown"):
        text = without_code(cell.source)
        for match in re.finditer(r"!\[\s*\]", text):
            yield f"{where}: a picture without words: {text[match.start() : match.end() + 40]!r}"
        for name, body in directives(cell.source):
            if name in ("image", "figure") and not re.search(r"^:alt:[ \t]*\S", body, re.MULTILINE):
                yield f"{where}: a {{{name}}} without :alt:"
        yield from (f"{where}: {p} without words" for p in Pictures(text).silent)
    for where, cell, output in page.outputs():
        data = output.get("data", {})
        pictures = [mime for mime in data if mime.startswith("image/")]
        if "text/html" in data:  # the page shows this one of the forms that an output has
            yield from (f"{where}: {p} without words" for p in Pictures(data["text/html"]).silent)
        elif (
            pictures and not cell.metadata.get("mystnb", {}).get("image", {}).get("alt", "").strip()
        ):
            yield (
                f"{where}: {pictures[0]} without alternative text: print it as HTML with an alt, "
                "or give the cell the metadata mystnb.image.alt"
            )


# --- size and form --------------------------------------------------------------------------------


@rule
def short_cells(page: Page) -> Iterator[str]:
    """A code cell fits on a screen."""
    for where, cell in page.cells("code"):
        lines = cell.source.count("\n") + 1
        if lines > CELL_LINES:
            yield f"{where} has {lines} lines; {CELL_LINES} are allowed"


@rule
def sizes(page: Page) -> Iterator[str]:
    """A notebook opens quickly everywhere, and so does each of its outputs."""
    size = page.path.stat().st_size
    if size > NOTEBOOK_BYTES:
        yield f"{size} bytes; {NOTEBOOK_BYTES} are allowed"
    for where, _, output in page.outputs():
        size = len(json.dumps(output).encode())
        if size > OUTPUT_BYTES:
            yield f"an output of {where} has {size} bytes; {OUTPUT_BYTES} are allowed"


ABSOLUTE = re.compile(
    r"(?<![\w./:+=-])(?:file://)?/(?:home|root|Users|tmp|work|content|mnt|opt|usr|var|private)/[\w./-]+"
    r"|\b[A-Z]:\\\w+"
)


@rule
def no_absolute_path(page: Page) -> Iterator[str]:
    """Nothing in the file hangs on the machine that made it."""
    texts = [
        (where, cell.source) for kind in ("markdown", "code") for where, cell in page.cells(kind)
    ]
    texts += [(f"an output of {where}", json.dumps(output)) for where, _, output in page.outputs()]
    texts.append(("the metadata", json.dumps(page.nb.metadata)))
    for where, text in texts:
        without_data = re.sub(r"[A-Za-z0-9+/]{200,}", "", text)  # base64 has slashes too
        for path in dict.fromkeys(ABSOLUTE.findall(without_data)):
            yield f"{where} holds the absolute path {path}"


# --- links ----------------------------------------------------------------------------------------

FENCE = re.compile(
    r"^(?P<fence>`{3,}|~{3,}|:{3,}) *(?P<info>.*)\n(?P<body>[\s\S]*?)^(?P=fence) *$", re.M
)


def directives(text: str) -> Iterator[tuple[str, str]]:
    """The MyST directives of a text, nested ones too: name, and first line and body together."""
    for match in FENCE.finditer(text + "\n"):
        named = re.match(r"\{([\w:-]+)\} ?(.*)", match["info"])
        if named:
            yield named[1], f"{named[2]}\n{match['body']}"
            yield from directives(match["body"])


def without_code(text: str) -> str:
    """The text without code: fences that are no directives, and `spans` that are no roles."""

    def keep_directive(match: re.Match[str]) -> str:
        return without_code(match["body"]) if match["info"].startswith("{") else ""

    text = FENCE.sub(keep_directive, text + "\n")
    role_or_code = r"(\{[\w:-]+\}`[^`]+`)|(`+)(?!`).+?(?<!`)\2(?!`)"
    return re.sub(role_or_code, lambda match: match[1] or "", text)


def slug(heading: str) -> str:
    """The anchor of a heading, as MyST makes it."""
    plain = re.sub(r"[`*]|\{[\w:-]+\}", "", heading).strip().lower()
    return re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")


def markdown(path: Path) -> str:
    """All the text of a notebook or of a Markdown file."""
    if path.suffix != ".ipynb":
        return path.read_text(encoding="utf-8")
    nb = nbformat.read(path, as_version=4)
    return "\n\n".join(cell.source for cell in nb.cells if cell.cell_type == "markdown")


def anchors(text: str) -> set[str]:
    """The anchors that a link may name in this text: headings, labels and names."""
    headings = re.findall(r"^#{1,6} +(.+?) *$", text, re.MULTILINE)
    names = re.findall(r"^\(([^()\s]+)\)= *$", text, re.MULTILINE)
    names += re.findall(r"\$\$ *\(([^()\s]+)\)", text)
    names += re.findall(r"^:(?:label|name): *(\S+)", text, re.MULTILINE)
    names += re.findall(r"\bid=\"([^\"]+)\"", text)
    return {slug(h) for h in headings} | set(names)


def pages(root: Path) -> list[Path]:
    """The pages of the book."""
    return [
        p for g in ("*.ipynb", "*.md", "chapters/*.ipynb", "chapters/*.md") for p in root.glob(g)
    ]


def bibliography(root: Path) -> set[str]:
    """The keys that may be cited."""
    files = [*root.glob("*.bib"), *root.glob("chapters/*.bib")]
    entry = re.compile(r"^\s*@\w+\s*\{\s*([^,\s]+)", re.MULTILINE)
    return {key for file in files for key in entry.findall(file.read_text(encoding="utf-8"))}


@rule
def links(page: Page) -> Iterator[str]:
    """Every link inside the book, every reference and every citation leads somewhere."""
    text = "\n\n".join(cell.source for _, cell in page.cells("markdown"))
    yield from dead_links(text, page.path, page.root)


def dead_links(source: str, path: Path, root: Path) -> Iterator[str]:
    """What in a Markdown text leads nowhere, seen from the file at `path`."""
    text = without_code(source)
    for target in re.findall(r"\]\(\s*<?([^)\s>]*)>?(?:\s+\"[^\"]*\")?\s*\)", text):
        if not target_exists(target, source, path, root):
            yield f"a link to nowhere: ({target})"
    for target in re.findall(r"<(?:a|img|source)\b[^>]*?\b(?:href|src)=\"([^\"]*)\"", text):
        if not target_exists(target, source, path, root):
            yield f"a link to nowhere: {target}"
    every_label = None
    for name, argument in re.findall(r"\{([\w:-]+)\}`([^`]+)`", text):
        wanted = re.sub(r"^.*<(.+)>$", r"\1", argument.strip(), flags=re.DOTALL)
        if name.startswith("cite"):
            for key in re.split(r"[,\s]+", wanted):
                if key not in bibliography(root):
                    yield f"a citation of {key!r}, which no .bib file holds"
        elif name in ("ref", "numref", "eq", "prf:ref"):
            every_label = every_label or {a for p in pages(root) for a in anchors(markdown(p))}
            if wanted not in every_label and wanted not in anchors(source):
                yield f"a reference to {wanted!r}, which no page defines"
        elif name in ("doc", "download"):
            found = any((path.parent / f"{wanted}{end}").exists() for end in ("", ".ipynb", ".md"))
            if not found:
                yield f"a link to nowhere: {{{name}}}`{wanted}`"


def target_exists(target: str, source: str, path: Path, root: Path) -> bool:
    """Whether a link's target is there; what stands on the web is `make check-links`' business."""
    if re.match(r"(https?|mailto):|data:image/", target):
        return True
    file, _, fragment = target.partition("#")
    if not file and not fragment:
        return False
    if not file:
        return fragment in anchors(source)
    there = path.parent / file
    if not there.is_relative_to(root) or not there.exists():
        # MyST also takes the bare label of any page for a target.
        return not fragment and file in {a for p in pages(root) for a in anchors(markdown(p))}
    return not fragment or fragment in anchors(markdown(there))


# --- exercises ------------------------------------------------------------------------------------


@rule
def exercises(page: Page) -> Iterator[str]:
    """A chapter has three to six exercises, and each has one folded solution."""
    found, solved = [], []
    for where, cell in page.cells("markdown"):
        for name, body in directives(cell.source):
            if name in ("exercise", "exercise-start"):
                label = re.search(r"^:label:[ \t]*(\S+)", body, re.MULTILINE)
                found.append(label[1] if label else "")
                if not label:
                    yield f"{where}: an exercise without :label:"
            if name in ("solution", "solution-start"):
                solved.append(body.split("\n", 1)[0].strip())
                if not re.search(r"^:class:.*\bdropdown\b", body, re.MULTILINE):
                    yield f"{where}: the solution is not folded: give it :class: dropdown"
    for label in dict.fromkeys([*found, *solved]):
        if (found.count(label), solved.count(label)) != (1, 1):
            yield (
                f"{label!r} has {found.count(label)} exercises and {solved.count(label)} solutions "
                "(one of each is wanted)"
            )
    if page.is_chapter and len(found) not in EXERCISES:
        yield f"{len(found)} exercises; a chapter has {EXERCISES[0]} to {EXERCISES[-1]}"


# --- checks ---------------------------------------------------------------------------------------

NUMBER = re.compile(r"(?<![\w.])(?<!\w-)\d+(?:[,\u202f\u2009]\d{3})*(?:\.\d+)?(?!\w)(?!-\w)")


def numbers(text: str) -> set[Decimal]:
    """The numbers in a text; those that are part of a name (ResNet-18, 2-D, 3x3) are none."""
    return {Decimal(re.sub(r"[,\u202f\u2009]", "", n)) for n in NUMBER.findall(text)}


def is_check(page: Page) -> Iterator[int]:
    """The places of the Markdown cells that are part of a check.

    A check is what stands under a heading with the word "check", up to the next heading of its
    level or above, and any Markdown cell with a paragraph that begins with **Check.
    """
    depth = 0  # of the heading that opened the check; 0 outside of one
    for place, cell in enumerate(page.nb.cells):
        if cell.cell_type != "markdown":
            continue
        part_of_one = depth > 0
        for marks, title in re.findall(r"^(#{1,6}) +(.+)$", cell.source, re.MULTILINE):
            if re.search(r"\bchecks?\b", title, re.IGNORECASE):
                depth = depth or len(marks)
                part_of_one = True
            elif depth and len(marks) <= depth:
                depth = 0
                part_of_one = part_of_one and not cell.source.startswith(marks)
        if part_of_one or re.search(r"^\*\*Check\b", cell.source, re.MULTILINE):
            yield place


def computed(cell: NotebookNode) -> set[Decimal]:
    """The numbers that a code cell prints or asserts."""
    printed = []
    for output in cell.outputs:
        data: dict[str, Any] = output.get("data", {})
        printed += [
            output.get("text", ""),
            data.get("text/plain", ""),
            data.get("text/markdown", ""),
        ]
        printed.append(re.sub(r"<[^>]*>", " ", data.get("text/html", "")))
    asserted = [
        node.value
        for statement in ast.walk(parsed(cell.source))
        if isinstance(statement, ast.Assert)
        for node in ast.walk(statement)
        if isinstance(node, ast.Constant) and type(node.value) in (int, float)
    ]
    return numbers("\n".join(printed)) | {Decimal(str(value)) for value in asserted}


def parsed(source: str) -> ast.Module:
    """A cell's syntax tree, without the lines that only IPython understands."""
    return ast.parse(re.sub(r"^\s*[%!].*$", "", source, flags=re.MULTILINE))


def prose(source: str) -> str:
    """The text without code, link targets, references, and the numbers that order a list."""
    text = re.sub(r"\{[\w:-]+\}`[^`]*`", "", without_code(source))
    text = re.sub(r"\]\([^)]*\)", "]", text)
    return re.sub(r"^\s*\d+[.)] ", "", text, flags=re.MULTILINE)


@rule
def checks(page: Page) -> Iterator[str]:
    """Every number in the prose of a check is printed or asserted by the code beside it."""
    cells, count = page.nb.cells, 0
    for place in is_check(page):
        count += 1
        code = [i for i, cell in enumerate(cells) if cell.cell_type == "code"]
        beside = [*[i for i in code if i < place][-1:], *[i for i in code if i > place][:1]]
        known = {number for i in beside for number in computed(cells[i])}
        for number in sorted(numbers(prose(cells[place].source)) - known):
            yield (
                f"cell {place + 1} (id {cells[place].id}) says {number}, which neither the code "
                "cell before it nor the one after it prints or asserts"
            )
    if page.is_chapter and not count:
        yield "a chapter has a check: a heading with the word, or a paragraph beginning **Check"
