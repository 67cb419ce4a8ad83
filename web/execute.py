"""Execute the book's notebooks so that the same sources always give the same bytes.

python web/execute.py [NOTEBOOK ...]    execute (all, unless some are named) and write the outputs
                     --check           execute, write nothing, say which cells differ from the file
                     --refresh         execute nothing, renew the two generated cells at the head
                     --address URL     set the public address in pyproject.toml, then --refresh

What would differ from run to run is taken out or made the same: times, random ids of widgets and of
SVG elements, the order of keys, the versions that a kernel notes down. Models of widgets that no
view on the page needs are dropped. Each notebook starts with a badge line and a set-up cell, which
are generated here from pyproject.toml, the one place of the public address and of the version.
"""

from __future__ import annotations

import argparse
import difflib
import json
import os
import re
import sys
import tempfile
import tomllib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbformat import NotebookNode
from tqdm import tqdm

ROOT = Path(__file__).resolve().parent.parent
STATE = "application/vnd.jupyter.widget-state+json"
VIEW = "application/vnd.jupyter.widget-view+json"
BADGE_ID, SETUP_ID = "badge", "set-up"
SECONDS_PER_CELL = 300


# --- the generated cells at the head of a notebook ------------------------------------------------


@dataclass(frozen=True)
class Book:
    """What pyproject.toml says of the book; `address` is empty until `make address` has set it."""

    version: str
    address: str


def book(root: Path = ROOT) -> Book:
    """Read version and public address from pyproject.toml."""
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    address = project["urls"]["Repository"]
    return Book(project["version"], "" if "/OWNER/" in address else address)


BADGE = "Run this page: [in Colab]({colab}), or `{path}` in JupyterLab or VS Code."
BADGE_WITHOUT_ADDRESS = (
    "Run this page: `{path}` in JupyterLab or VS Code, or uploaded to "
    "[Colab](https://colab.research.google.com/)."
)
SETUP = """\
# Set-up: silent where rflib is installed; elsewhere (Colab) it gets rflib.
import importlib.util
import os
import subprocess
import sys

if importlib.util.find_spec("rflib") is None:
    public = "{source}"
    source = os.environ.get("RFLIB_SOURCE", public)
    if not source:
        raise ModuleNotFoundError(
            "There is no rflib here, and the book has no public address yet. "
            "Type `make wheel` in its folder, put the file from dist/ beside "
            "this notebook and its name into os.environ['RFLIB_SOURCE']."
        )
    figures = ["anywidget", "ipywidgets", "matplotlib"]  # torch stays as it is
    pip = [sys.executable, "-m", "pip", "install", "--quiet", source, *figures]
    subprocess.run(pip, check=True)
    importlib.invalidate_caches()
try:
    from rflib import __version__ as found
except ImportError:
    found = "of another project"
if found != "{version}":
    raise ImportError(f"This rflib is {{found}}, not {version}: uninstall it first.")
"""


def badge_cell(path: str, of: Book) -> NotebookNode:
    """The line that says where to run the notebook at `path` (relative to the book's folder)."""
    colab = of.address.replace("//github.com/", "//colab.research.google.com/github/")
    text = BADGE if of.address else BADGE_WITHOUT_ADDRESS
    url = f"{colab}/blob/v{of.version}/{path}"
    source = text.format(path=path, colab=url)
    return nbformat.v4.new_markdown_cell(source, id=BADGE_ID)


def setup_cell(of: Book) -> NotebookNode:
    """The code cell that installs rflib where it is missing; the built page leaves it out."""
    source = f"git+{of.address}@v{of.version}" if of.address else ""
    return nbformat.v4.new_code_cell(
        SETUP.format(source=source, version=of.version).rstrip("\n"),
        id=SETUP_ID,
        metadata={"tags": ["remove-cell"]},
    )


def renew_head(nb: NotebookNode, path: str, of: Book) -> None:
    """Put the generated cells after the title (first of all where no title comes first)."""
    old = {cell.get("id"): cell for cell in nb.cells}
    badge, setup = badge_cell(path, of), setup_cell(of)
    if SETUP_ID in old:  # a renewed cell keeps what it has run to: it prints nothing either way
        setup.execution_count = old[SETUP_ID].execution_count
        setup.outputs = old[SETUP_ID].outputs
    cells = [cell for cell in nb.cells if cell.get("id") not in (BADGE_ID, SETUP_ID)]
    after_title = int(bool(cells) and cells[0].source.startswith("# "))
    nb.cells = [*cells[:after_title], badge, setup, *cells[after_title:]]


# --- executing ------------------------------------------------------------------------------------


class ExecutionError(Exception):
    """A notebook did not run through; the message names notebook and cell."""


def read(path: Path) -> NotebookNode:
    """Read a notebook as version 4.5, where every cell has an id."""
    nb = nbformat.read(path, as_version=4)
    for number, cell in enumerate(nb.cells, start=1):
        cell.setdefault("id", f"cell-{number:02d}")
    nb.nbformat, nb.nbformat_minor = 4, 5
    nbformat.validate(nb)
    return nb


def execute(nb: NotebookNode, path: Path, on_cell: Callable[[], object] = lambda: None) -> None:
    """Run all cells in a fresh kernel in the notebook's folder, and keep what they give in `nb`."""
    nb.metadata = NotebookNode(KERNEL)
    for cell in nb.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    client = NotebookClient(
        nb,
        timeout=SECONDS_PER_CELL,
        kernel_name="python3",
        resources={"metadata": {"path": str(path.resolve().parent)}},
        extra_arguments=["--IPKernelApp.log_level=ERROR"],
        record_timing=False,
        coalesce_streams=True,
        store_widget_state=True,
        on_cell_complete=lambda **_: on_cell(),
    )
    with tempfile.TemporaryDirectory() as empty:
        # Nothing of the user's own set-up of IPython may run, sets come in one order, and
        # matplotlib dates its files in 1970.
        own = {"IPYTHONDIR": empty, "PYTHONHASHSEED": "0", "SOURCE_DATE_EPOCH": "0"}
        try:
            client.execute(env=os.environ | own)
        except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
            raise ExecutionError(f"{where(nb, path)}\n{plain(str(error))}") from error


def where(nb: NotebookNode, path: Path) -> str:
    """Name the cell that stopped the execution: the first with an error, or the last that ran."""
    last = 0
    for number, cell in enumerate(nb.cells):
        if cell.cell_type == "code" and cell.execution_count:
            last = number
        if cell.cell_type == "code" and any(
            o.output_type == "error" for o in cell.get("outputs", [])
        ):
            last = number
            break
    return f"{path}: cell {last + 1} (id {nb.cells[last].id}) failed"


def plain(text: str) -> str:
    """Take the colours out of a traceback."""
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


# --- the same bytes each time ---------------------------------------------------------------------

KERNEL: dict[str, Any] = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python", "file_extension": ".py", "mimetype": "text/x-python"},
}
TIMES = ("execution", "ExecuteTime", "scrolled", "collapsed")


def normalise(nb: NotebookNode) -> None:
    """Take out of an executed notebook all that differs from run to run."""
    nb.metadata = NotebookNode(KERNEL | {"widgets": nb.metadata.get("widgets", {})})
    for cell in nb.cells:
        for name in TIMES:
            cell.metadata.pop(name, None)
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            if "image/svg+xml" in data:
                data["image/svg+xml"] = steady_svg(data["image/svg+xml"])
            if VIEW in data:  # the text beside a view may hold an address, whole or cut off
                data["text/plain"] = re.sub(r"0x[0-9a-f]*", "0xADDR", data.get("text/plain", ""))
    renumber_widgets(nb)
    if not nb.metadata.widgets:
        del nb.metadata["widgets"]


def steady_svg(svg: str) -> str:
    """Drop the date and number matplotlib's random ids in the order in which they appear.

    Their form stays as it is (m, p, h or image and ten digits): tests/nbval-sanitize.cfg knows it.

    >>> steady_svg('<g id="p0a1b2c3d4e"/><use clip-path="url(#p0a1b2c3d4e)"/>')
    '<g id="p0000000001"/><use clip-path="url(#p0000000001)"/>'
    """
    svg = re.sub(r"\s*<dc:date>[^<]*</dc:date>", "", svg)
    numbers: dict[str, int] = {}
    return re.sub(
        r"\b(m|p|h|image)([0-9a-f]{10})\b",
        lambda match: f"{match[1]}{numbers.setdefault(match[2], len(numbers) + 1):010x}",
        svg,
    )


def views(nb: NotebookNode) -> list[str]:
    """The ids of the widget models that the notebook shows, in order."""
    outputs = [output for cell in nb.cells for output in cell.get("outputs", [])]
    return [o.data[VIEW]["model_id"] for o in outputs if VIEW in o.get("data", {})]


def references(value: object) -> Iterator[str]:
    """The ids of the models that a model's state refers to, in the order of its sorted keys."""
    if isinstance(value, dict):
        for key in sorted(value):
            yield from references(value[key])
    elif isinstance(value, list):
        for entry in value:
            yield from references(entry)
    elif isinstance(value, str) and value.startswith("IPY_MODEL_"):
        yield value.removeprefix("IPY_MODEL_")


def needed_models(state: dict[str, Any], shown: list[str]) -> list[str]:
    """The models that the shown ones need, in a steady order; the links between them come last."""
    found: dict[str, None] = {}
    waiting = shown[::-1]
    while waiting:
        model = waiting.pop()
        if model in state and model not in found:
            found[model] = None
            waiting.extend(reversed(list(references(state[model]["state"]))))
    place = {model: number for number, model in enumerate(found)}
    links = []
    for model, entry in state.items():
        ends = [entry["state"].get("source"), entry["state"].get("target")]
        if model not in found and all(isinstance(end, list) and len(end) == 2 for end in ends):
            joined = [(next(references(end), ""), end[1]) for end in ends]
            if all(name in found for name, _ in joined):
                links.append(([(place[name], trait) for name, trait in joined], model))
    return [*found, *(model for _, model in sorted(links))]


def renumber_widgets(nb: NotebookNode) -> None:
    """Keep the widget models that a view needs and number them from 1 in a steady order."""
    state = nb.metadata.widgets.get(STATE, {}).get("state", {})
    if not state:
        return
    keep = needed_models(state, views(nb))
    names = {old: f"{number:032x}" for number, old in enumerate(keep, start=1)}

    def renamed(value: Any) -> Any:
        # A random id has 32 hexadecimal digits and stands nowhere by chance: rename in the text.
        text = re.sub(r"[0-9a-f]{32}", lambda m: names.get(m[0], m[0]), json.dumps(value))
        return nbformat.from_dict(json.loads(text))

    nb.metadata.widgets[STATE]["state"] = renamed({old: slim(state[old]) for old in keep})
    for cell in nb.cells:
        if cell.get("outputs"):
            cell.outputs = renamed(cell.outputs)


def slim(model: dict[str, Any]) -> dict[str, Any]:
    """Leave out of a layout or a style what is unset: the front-end has the same defaults."""
    if model.get("model_name", "").endswith(("LayoutModel", "StyleModel")):
        model = model | {"state": {k: v for k, v in model["state"].items() if v is not None}}
    return model


def to_bytes(nb: NotebookNode) -> bytes:
    """The notebook as it stands in its file: sorted keys, indent 1, a newline at the end."""
    return (nbformat.writes(nb).rstrip("\n") + "\n").encode("utf-8")


# --- comparing ------------------------------------------------------------------------------------


def differences(old: NotebookNode, new: NotebookNode) -> list[str]:
    """Say in words where two notebooks differ: by cell, then in their metadata."""
    lines = []
    for number, (a, b) in enumerate(zip(old.cells, new.cells, strict=False), start=1):
        if a != b:
            parts = [key for key in sorted({*a, *b}) if a.get(key) != b.get(key)]
            lines += [f"cell {number} (id {b.id}): {', '.join(parts)}", *text_difference(a, b)]
    if len(old.cells) != len(new.cells):
        lines.append(f"{len(old.cells)} cells in the file, {len(new.cells)} now")
    for key in sorted({*old.metadata, *new.metadata}):
        if old.metadata.get(key) != new.metadata.get(key):
            lines.append(f"metadata.{key}")
            lines += text_difference(old.metadata.get(key), new.metadata.get(key))
    return lines or ["the same cells in another layout of the file"]


def text_difference(old: object, new: object, limit: int = 8) -> list[str]:
    """The first lines in which two pieces of a notebook differ."""
    texts = [
        json.dumps(v, indent=1, sort_keys=True, ensure_ascii=False).split("\n") for v in (old, new)
    ]
    changed = [
        line for line in difflib.unified_diff(*texts, "file", "now", lineterm="", n=0) if line
    ]
    return [f"    {line[:160]}" for line in changed if not line.startswith(("---", "+++", "@@"))][
        :limit
    ]


# --- the command ----------------------------------------------------------------------------------


def notebooks(root: Path = ROOT) -> list[Path]:
    """The book's notebooks: the landing page, then the chapters in order."""
    return [p for p in [root / "intro.ipynb", *sorted(root.glob("chapters/*.ipynb"))] if p.exists()]


def relative(path: Path) -> str:
    """The path as the book's own files write it."""
    path = path.resolve()
    return path.relative_to(ROOT).as_posix() if path.is_relative_to(ROOT) else path.name


def run(path: Path, check: bool, on_cell: Callable[[], object]) -> list[str]:
    """Execute one notebook; write it, or compare it with the file. Say in words what is wrong."""
    nb = read(path)
    renew_head(nb, relative(path), book())
    try:
        execute(nb, path, on_cell)
    except ExecutionError as error:
        return [str(error)]
    normalise(nb)
    nbformat.validate(nb)
    if not check:
        path.write_bytes(to_bytes(nb))
        return []
    if path.read_bytes() == to_bytes(nb):
        return []
    old, new = (nbformat.reads(text.decode(), 4) for text in (path.read_bytes(), to_bytes(nb)))
    return [f"{path}: differs from the file", *(f"  {line}" for line in differences(old, new))]


def refresh(path: Path) -> None:
    """Renew the generated cells of one notebook and leave everything else as it is."""
    nb = read(path)
    renew_head(nb, relative(path), book())
    path.write_bytes(to_bytes(nb))


def set_address(address: str, root: Path = ROOT) -> None:
    """Write the public address into pyproject.toml."""
    if not re.fullmatch(r"https://github\.com/[\w.-]+/[\w.-]+", address):
        sys.exit(f"REPOSITORY is {address!r}; it must look like https://github.com/you/name")
    path = root / "pyproject.toml"
    text = path.read_text(encoding="utf-8")
    path.write_text(re.sub(r'(?m)^Repository = ".*"$', f'Repository = "{address}"', text))


def main() -> int:
    parser = argparse.ArgumentParser(description="Execute the book's notebooks, deterministically.")
    parser.add_argument("notebooks", nargs="*", type=Path)
    parser.add_argument("--check", action="store_true", help="compare with the file, write nothing")
    parser.add_argument("--refresh", action="store_true", help="only renew the generated cells")
    parser.add_argument("--address", help="the public address, https://github.com/you/name")
    parser.add_argument("--jobs", type=int, default=min(2, os.cpu_count() or 1))
    args = parser.parse_args()
    paths = args.notebooks or notebooks()
    if args.address is not None:
        set_address(args.address)
    if args.refresh or args.address is not None:
        for path in paths:
            refresh(path)
        print(f"the head of {len(paths)} notebooks is what pyproject.toml says")
        return 0
    if not paths:
        print("there is no intro.ipynb and no chapters/*.ipynb to execute", file=sys.stderr)
        return 1
    own_cells = [c for p in paths for c in read(p).cells if c.cell_type == "code"]
    total = sum(cell.id != SETUP_ID for cell in own_cells) + len(paths)  # each has one set-up cell
    with (
        tqdm(total=total, unit="cell", desc="executing", mininterval=1) as bar,
        ThreadPoolExecutor(args.jobs) as pool,
    ):
        problems = [
            p
            for found in pool.map(lambda path: run(path, args.check, bar.update), paths)
            for p in found
        ]
    if problems:
        print(*problems, sep="\n", file=sys.stderr)
    else:
        print(f"{len(paths)} notebooks executed" + ", all as in their files" * args.check)
    return int(bool(problems))


if __name__ == "__main__":
    sys.exit(main())
