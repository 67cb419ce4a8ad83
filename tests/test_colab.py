"""Each page alone, as in Colab: an empty folder, an environment without rflib, only the notebook.

The environment has what Colab has (torch, numpy, matplotlib, ipywidgets and a kernel) and not what
it lacks (rflib, anywidget). The set-up cell installs rflib from the wheel that is built here; the
variable RFLIB_SOURCE stands in for the public address. There nbval runs the page from the first
cell to the last, strictly: every output must be the stored one. `make nbval` runs this file.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import execute
import nbformat
import pytest

ROOT = Path(__file__).resolve().parent.parent
SANITIZE = ROOT / "tests" / "nbval-sanitize.cfg"
NEEDED = ("torch", "numpy", "matplotlib", "ipywidgets")
MISSING_IN_COLAB = ("rflib", "anywidget", "psygnal")  # psygnal comes with anywidget
pytestmark = pytest.mark.slow


def call(*command: str | Path) -> str:
    """Run a command outside of the book's folder and return what it printed."""
    done = subprocess.run(
        command, cwd=Path(command[0]).parent, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of rflib as it would be released, built from a copy without leftovers."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    source.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    shutil.copytree(ROOT / "rflib", source / "rflib", ignore=shutil.ignore_patterns("__pycache__"))
    call(sys.executable, "-m", "build", "--wheel", "--no-isolation", "-o", folder, source)
    (path,) = folder.glob("*.whl")
    return path


@pytest.fixture(scope="session")
def colab(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of a new environment with hard links to this one's packages, less the missing."""
    folder = tmp_path_factory.mktemp("colab")
    call(sys.executable, "-m", "venv", "--without-pip", folder)
    python = folder / "bin" / "python"
    here = Path(sysconfig.get_paths()["purelib"])
    purelib = "import sysconfig; print(sysconfig.get_paths()['purelib'])"
    there = Path(call(python, "-c", purelib).strip())
    shutil.copytree(here, there, copy_function=link_or_copy, dirs_exist_ok=True, ignore=left_out)
    return python


def link_or_copy(source: str, target: str) -> str:
    """A hard link costs no space; between file systems there is none."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
    return target


def left_out(_: str, names: list[str]) -> set[str]:
    """What stays behind: rflib, which is installed in place here, and what Colab lacks."""
    own = (*MISSING_IN_COLAB, "receptive_fields_book", "__editable__")
    return {name for name in names if name.startswith(own)}


# What is installed, by name, and where the modules that are asked for lie.
WHAT_IS_THERE = """
import importlib.metadata, importlib.util, json, sys
found = {name: importlib.util.find_spec(name) for name in sys.argv[1:]}
print(json.dumps([
    {each.name: each.version for each in importlib.metadata.distributions()},
    {name: spec.origin for name, spec in found.items() if spec},
]))
"""


def there(python: Path) -> tuple[dict[str, str], dict[str, str]]:
    """The versions of what is installed, and the files of the modules that matter here."""
    versions, files = json.loads(call(python, "-c", WHAT_IS_THERE, *NEEDED, *MISSING_IN_COLAB))
    return versions, files


@pytest.fixture(scope="session")
def kernels(colab: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for JUPYTER_PATH, with a kernel named "colab" that runs in the environment."""
    folder = tmp_path_factory.mktemp("jupyter")
    argv = [str(colab), "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    spec = folder / "kernels" / "colab" / "kernel.json"
    spec.parent.mkdir(parents=True)
    spec.write_text(json.dumps({"argv": argv, "display_name": "colab", "language": "python"}))
    return folder


@pytest.mark.parametrize("path", execute.notebooks(ROOT), ids=lambda path: path.stem)
def test_a_page_alone_gives_its_stored_outputs(
    path: Path, colab: Path, kernels: Path, wheel: Path, tmp_path: Path
) -> None:
    ours = ("receptive-fields-book", *MISSING_IN_COLAB[1:])
    if ours[0] in there(colab)[0]:  # a page before this one installed them
        call(colab, "-m", "pip", "uninstall", "--yes", "--quiet", *ours)
    before, modules = there(colab)
    assert list(modules) == list(NEEDED), "it must be Colab's before the set-up cell runs"

    page = shutil.copy(path, tmp_path)
    options = ("--nbval", "--nbval-kernel-name=colab", f"--nbval-sanitize-with={SANITIZE}")
    quiet = ("-q", "-p", "no:cacheprovider", "-p", "no:xdist", f"--rootdir={tmp_path}")
    code = sum(cell.cell_type == "code" for cell in nbformat.read(page, as_version=4).cells)
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")
    } | {"RFLIB_SOURCE": str(wheel), "JUPYTER_PATH": str(kernels)}
    environment.pop("PYTHONPATH", None)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *quiet, *options, page],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{path.name} in Colab's like:\n{done.stdout}\n{done.stderr}"
    assert f"{code} passed" in done.stdout

    after, modules = there(colab)
    where = modules["rflib"]
    assert Path(where).is_relative_to(colab.parent.parent), f"rflib ran from {where}"
    assert before.items() <= after.items(), "the set-up cell must not replace what Colab has"
