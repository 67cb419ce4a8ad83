"""Gradescope: `python -m grading.gradescope 1` writes gradescope.zip, to be uploaded as the
assignment's autograder.

In Gradescope's container no namespaces can be made, so there is no bubblewrap. Students' code runs
as a user that owns nothing, with limits and the filter of system calls (no sockets but local ones);
the tests stay outside, in files that this user cannot read. What it can read besides is the
container, which is thrown away after each submission.

The scores are those of `python -m grading`: the same examiner gives them. Written answers are left
to Gradescope's own pages for grading by hand.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import zipfile
from pathlib import Path
from typing import Any

from grading.batch import Examiner, prove, run
from grading.bundle import Bundle, BundleError, load
from grading.examine import Result
from grading.limits import Limits
from grading.notebook import NotebookError, read
from grading.report import number
from grading.sandbox import SandboxError

_ROOT = Path(__file__).resolve().parent.parent
_LOUD = (
    "GRADED WITHOUT BUBBLEWRAP: this container allows no namespaces. Students' code ran as a user "
    "of its own, with "
    "limits, without a network, and without a sandbox around what it can read."
)
_SETUP = """\
#!/usr/bin/env bash
# Gradescope runs this once, as root, when the autograder is built.
set -eu
root="${{AUTOGRADER_ROOT:-/autograder}}"
new_enough() {{ "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }}
find_python() {{
  for p in python3 python3.13 python3.12 python3.11; do new_enough "$p" && echo "$p" && return; done
}}
python="$(find_python)" || true
if [ -z "$python" ]; then
  apt-get update && apt-get install -y python3.11 python3.11-venv
  python="$(find_python)"
fi
"$python" -m venv --without-pip "$root/python"
{install}
# The tests and the solution are nobody's but root's.
chmod -R go= "$root/source"
"""
_INSTALL = """\
"$root/python/bin/python" -m ensurepip || {{
  apt-get update && apt-get install -y python3-venv && "$root/python/bin/python" -m ensurepip; }}
"$root/python/bin/python" -m pip install --no-cache-dir {needs}"""
_RFLIB = """\
purelib='import sysconfig; print(sysconfig.get_path("purelib"))'
cp -r "$root/source/rflib" "$("$root/python/bin/python" -c "$purelib")"
chmod -R go+rX "$root/python"
"""
_RUN = """\
#!/usr/bin/env bash
# Gradescope runs this for each submission, as root.
root="${AUTOGRADER_ROOT:-/autograder}"
cd "$root/source" && exec "$root/python/bin/python" -m grading.gradescope --run "$root"
"""


def build(folder: Path, out: Path) -> None:
    """Write the zip file for the bundle in `folder`; the same bundle gives the same bytes."""
    bundle = load(folder)
    files = {"run_autograder": _RUN.encode(), "setup.sh": _setup(bundle).encode()}
    for top, inside in (
        (folder, "bundle"),
        (_ROOT / "grading", "grading"),
        (_ROOT / "rflib", "rflib"),
    ):
        for path in sorted(top.rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                files[f"{inside}/{path.relative_to(top).as_posix()}"] = path.read_bytes()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in sorted(files.items()):
            entry = zipfile.ZipInfo(name)
            entry.external_attr = (0o755 if data.startswith(b"#!") else 0o644) << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, data)


def _setup(bundle: Bundle) -> str:
    pins = dict(
        line.strip().partition("==")[::2]
        for line in (_ROOT / "requirements.txt").read_text("utf-8").splitlines()
        if "==" in line and not line.startswith("#")
    )
    lines = []
    needs = [name for name in bundle.needs if name != "rflib"]
    if needs:
        pinned = [f"{name}=={pins[name].split()[0]}" if name in pins else name for name in needs]
        lines.append(_INSTALL.format(needs=" ".join(pinned)))
    if "rflib" in bundle.needs:
        lines.append(_RFLIB)
    return _SETUP.format(install="\n".join(lines))


def grade(root: Path, limits: Limits) -> dict[str, Any]:
    """What results.json holds for the submission in this container.

    Raises where the grader itself fails.
    """
    # It holds what the hidden tests said to earlier submissions.
    with contextlib.suppress(FileNotFoundError):
        (root / "submission_metadata.json").chmod(0o600)
    bundle = load(root / "source" / "bundle")
    examiner = prove(Examiner(bundle, limits, None))
    try:
        cells = read(_submitted(root / "submission", bundle, limits), limits)
    except NotebookError as error:
        words = f"Nothing was graded: {error}. Hand in {bundle.notebook}."
        return {
            "score": 0,
            "output": words,
            "stdout_visibility": "hidden",
            "extra_data": {"status": words},
        }
    ((_, result),) = run(examiner, [("submission", cells)], 1)
    if not result.scores:
        raise SandboxError("\n".join(result.log))
    return results(bundle, result)


def _submitted(folder: Path, bundle: Bundle, limits: Limits) -> bytes:
    there = [
        path for path in sorted(folder.rglob("*.ipynb")) if path.is_file() and not path.is_symlink()
    ]
    named = [path for path in there if path.name == bundle.notebook]
    for found in (there, named):
        if len(found) == 1:
            with found[0].open("rb") as file:
                return file.read(limits.notebook_bytes + 1)
    raise NotebookError(f"{len(there)} notebooks were handed in, one is needed")


def results(bundle: Bundle, result: Result) -> dict[str, Any]:
    """An examiner's result in Gradescope's form.

    Hidden tests say their words when the scores are published.
    """
    tests = []
    for question in bundle.questions:
        blank = not question.manual and result.scores.get(question.name) is None
        for outcome in result.outcomes.get(question.name, []):
            passed = outcome.state == "passed" and not blank
            printed = f"\n\nIt printed:\n{outcome.printed}" if outcome.printed.strip() else ""
            tests.append(
                {
                    "name": f"{question.name}: {outcome.title}",
                    "score": outcome.points if passed else 0,
                    "max_score": outcome.points,
                    "status": "passed" if passed else "failed",
                    "visibility": "after_published" if outcome.hidden else "visible",
                    "output": (outcome.message + printed).strip(),
                    "output_format": "text",
                }
            )
    known = [score for score in result.scores.values() if score is not None]
    cells = [
        f"The cell that begins with {c['begins']} stopped:\n{c['error']}"
        for c in result.cells
        if c["error"]
    ]
    looks = ["Your instructor looks at this submission, too: the points may change."] * bool(
        result.checks
    )
    return {
        "output": "\n\n".join([*looks, *cells]),
        "output_format": "text",
        "stdout_visibility": "hidden",
        "tests": tests,
        "extra_data": {
            "status": f"check: {'; '.join(result.checks)}" if result.checks else "ok",
            "scores": result.scores,
            "total": number(sum(known)),
            "sandbox": _LOUD,
        },
    }


def main(words: list[str]) -> int:
    if len(words) == 2 and words[0] == "--run":
        root = Path(words[1])
        print(_LOUD, flush=True)
        if os.geteuid() != 0:
            print(
                "This is not root, so students' code runs as this same user and can read the tests."
            )
        try:
            text = json.dumps(grade(root, Limits()), indent=1)
        except (BundleError, SandboxError) as error:
            # Without a results file Gradescope says that the autograder failed, which is true, and
            # gives no zero.
            print(error)
            return 1
        (root / "results").mkdir(exist_ok=True)
        (root / "results" / "results.json").write_text(text, "utf-8")
        print(text)
        return 0
    if len(words) != 1 or words[0].startswith("-"):
        print(
            "usage: python -m grading.gradescope ASSIGNMENT (its number, its name, or its bundle)"
        )
        return 4
    from grading.__main__ import CommandError, find_bundle

    try:
        folder = find_bundle(words[0])
        out = folder.parent / "gradescope.zip"
        build(folder, out)
    except (CommandError, BundleError) as error:
        print(error, file=sys.stderr)
        return 4
    print(f"{out} is written. In Gradescope: Configure Autograder, upload it, build.")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
