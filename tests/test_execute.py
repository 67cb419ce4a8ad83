"""web/execute.py: the same bytes each time, what a page needs, failures that name the cell."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import execute
import nbformat
import pytest

import rflib

ROOT = Path(__file__).resolve().parent.parent
WIDGET = """\
import anywidget, ipywidgets, traitlets
from IPython.display import display
class Drawing(anywidget.AnyWidget):
    _esm = "export default { render({ model, el }) { el.textContent = model.get('kernel') } }"
    kernel = traitlets.Int(3).tag(sync=True)
not_shown = ipywidgets.VBox([ipywidgets.IntSlider()])
drawing, slider = Drawing(), ipywidgets.IntSlider(description="kernel")
ipywidgets.jslink((slider, "value"), (drawing, "kernel"))
display(ipywidgets.VBox([slider, drawing]))"""
PICTURE = """\
import matplotlib.pyplot as plt
%config InlineBackend.figure_formats = ["svg"]
plt.plot([1, 2, 3], "o")
plt.show()
print({"a", "b", "c"}, object())"""


def write(path: Path, *sources: str) -> Path:
    cells = [nbformat.v4.new_code_cell(s, id=f"c{n}") for n, s in enumerate(sources, start=1)]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), path)
    return path


def run(path: Path, check: bool = False) -> list[str]:
    return execute.run(path, check, on_cell=lambda: None)


@pytest.mark.slow
def test_twice_gives_the_same_bytes_and_only_what_the_page_needs(tmp_path: Path) -> None:
    path = write(tmp_path / "trial.ipynb", WIDGET, PICTURE.replace(", object()", ""))
    assert run(path) == []
    first = path.read_bytes()
    assert run(path) == []
    assert path.read_bytes() == first
    assert run(path, check=True) == []

    nb = execute.read(path)
    assert [cell.id for cell in nb.cells] == [execute.BADGE_ID, execute.SETUP_ID, "c1", "c2"]
    state = nb.metadata.widgets[execute.STATE]["state"]
    assert list(state) == [f"{number:032x}" for number in range(1, len(state) + 1)]
    names = sorted(m["model_name"] for m in state.values() if "Layout" not in m["model_name"])
    assert names == ["AnyModel", "IntSliderModel", "LinkModel", "SliderStyleModel", "VBoxModel"]
    assert "<dc:date>" not in nb.cells[3].outputs[0].data["image/svg+xml"]


@pytest.mark.slow
def test_the_check_names_the_cell_that_differs(tmp_path: Path) -> None:
    path = write(tmp_path / "trial.ipynb", "print(6 * 7)", "print(1)")
    assert run(path) == []
    path.write_text(path.read_text().replace('"42\\n"', '"41\\n"'))
    head, *rest = run(path, check=True)
    assert head.endswith("differs from the file")
    assert rest[0] == "  cell 3 (id c1): outputs"
    assert '"41\\n"' in path.read_text(), "a check must not write"


@pytest.mark.slow
def test_a_cell_that_fails_is_named_and_nothing_is_written(tmp_path: Path) -> None:
    path = write(tmp_path / "trial.ipynb", "print(1)", "1 / 0")
    before = path.read_bytes()
    (message,) = run(path)
    assert "cell 4 (id c2) failed" in message
    assert "ZeroDivisionError" in message
    assert path.read_bytes() == before


# --- the generated cells --------------------------------------------------------------------------


def test_no_address_is_nobodys_address() -> None:
    cell = execute.setup_cell(execute.Book("0.1.0", ""))
    assert "github.com" not in cell.source
    assert "OWNER" not in execute.badge_cell("intro.ipynb", execute.Book("0.1.0", "")).source


def test_the_address_stands_in_badge_and_setup() -> None:
    book = execute.Book("0.1.0", "https://github.com/you/name")
    setup = execute.setup_cell(book).source
    assert 'public = "git+https://github.com/you/name@v0.1.0"' in setup
    assert setup.count("\n") < 25
    badge = execute.badge_cell("chapters/a.ipynb", book).source
    assert "https://colab.research.google.com/github/you/name/blob/v0.1.0/chapters/a.ipynb" in badge


def test_the_address_is_set_once(tmp_path: Path) -> None:
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    execute.set_address("https://github.com/you/name", tmp_path)
    assert execute.book(tmp_path).address == "https://github.com/you/name"
    with pytest.raises(SystemExit, match="must look like"):
        execute.set_address("github.com/you", tmp_path)


def setup_in(folder: Path, *, isolated: bool, source: str = "") -> subprocess.CompletedProcess[str]:
    """Run the set-up cell in `folder`; isolated: without this environment's packages."""
    script = folder / "cell.py"
    script.write_text(execute.setup_cell(execute.Book(rflib.__version__, "")).source)
    flags = ["-S"] if isolated else []
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    return subprocess.run(
        [sys.executable, *flags, script],
        cwd=folder,
        env=environment | {"RFLIB_SOURCE": source},
        capture_output=True,
        text=True,
        check=False,
    )


def test_setup_is_silent_where_rflib_is(tmp_path: Path) -> None:
    done = setup_in(tmp_path, isolated=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_setup_without_address_says_what_to_do(tmp_path: Path) -> None:
    done = setup_in(tmp_path, isolated=True)
    assert "ModuleNotFoundError: There is no rflib here" in done.stderr
    assert "make wheel" in done.stderr


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("", "This rflib is of another project"),
        ("import usb", "This rflib is of another project"),
        ("__version__ = '7.0'", "This rflib is 7.0"),
    ],
)
def test_setup_recognises_another_rflib(code: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "rflib.py").write_text(code)
    done = setup_in(tmp_path, isolated=True)
    assert words in done.stderr
    assert "uninstall it first" in done.stderr


# --- what is said in two places -------------------------------------------------------------------


def test_one_version() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["version"] == rflib.__version__
    assert f"\nversion: {rflib.__version__}\n" in (ROOT / "CITATION.cff").read_text()


def test_every_requirement_is_exact() -> None:
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    wanted = [line for line in lines if line and not line.startswith("#")]
    assert all(line.count("==") == 1 and "+" not in line for line in wanted)
    names = [line.split("==")[0] for line in wanted]
    assert len(names) == len(set(names))
    assert "rflib" not in names, "another project's name"
