"""The zip file for Gradescope, run as Gradescope runs it, gives the scores of scores.csv."""

from __future__ import annotations

import json
import os
import subprocess
import zipfile
from pathlib import Path

import pytest
from grading_kit import GOOD1, answers, bundle, grade, hand_in, notebook, readable_python, rows

from grading.gradescope import build

SUBMISSIONS = {
    "alice": answers(),
    "bob": answers(q1="def size_of(x):\n    return 5\n", q3="answer = ..."),
    "carl": answers(
        q1="import socket\ntry:\n    socket.create_connection(('127.0.0.1', 80), 1)\n"
        "except OSError as e:\n"
        "    assert 'not supported' in str(e), e\n"
        + GOOD1.replace("\n", "\n    ").join(["if True:\n    ", ""]),
        first="import glob\nseen = glob.glob('/*/*/source/bundle/*') + "
        "glob.glob('/tmp/*/*/source/bundle/*')\n"
        "try:\n    seen.append(open('{root}/source/bundle/assignment.json').read())\n"
        "except OSError:\n    pass\n"
        "answer_1 = seen",
        q3="answer = 427 if not seen else 0",
    ),
    "dora": answers(q2="import os\ndef jump_of(x):\n    os._exit(4)\n", last="# dora"),
    "erik": answers(
        first="import os, time\nif os.fork() == 0:\n    os.setsid()\n    time.sleep(600)"
    ),
}


@pytest.fixture
def container(tmp_path: Path) -> Path:
    """/autograder as Gradescope makes it.

    Setup.sh is left out but for its last line, since it installs packages.
    """
    where = bundle(tmp_path / "bundle")
    build(where, tmp_path / "gradescope.zip")
    root = tmp_path / "autograder"
    with zipfile.ZipFile(tmp_path / "gradescope.zip") as archive:
        archive.extractall(root / "source")
        modes = {i.filename: i.external_attr >> 16 for i in archive.infolist()}
    assert modes["run_autograder"] & 0o111
    assert modes["setup.sh"] & 0o111
    for path in (root, *root.parents):
        if path.is_relative_to("/tmp") and path != Path("/tmp"):
            path.chmod(0o755)
    (root / "python" / "bin").mkdir(parents=True)
    (root / "tmp").mkdir()
    (root / "python" / "bin" / "python").symlink_to(readable_python())
    subprocess.run(["chmod", "-R", "go=", root / "source"], check=True)
    return root


def run(root: Path, data: dict[str, bytes]) -> subprocess.CompletedProcess[str]:
    submission = root / "submission"
    subprocess.run(["rm", "-rf", submission, root / "results"], check=True)
    submission.mkdir()
    for name, text in data.items():
        (submission / name).parent.mkdir(exist_ok=True)
        (submission / name).write_bytes(text)
    return subprocess.run(
        ["bash", root / "source" / "run_autograder"],
        env={
            "AUTOGRADER_ROOT": str(root),
            "PATH": "/usr/bin:/bin",
            "PYTHONDONTWRITEBYTECODE": "1",
            "TMPDIR": str(root / "tmp"),
        },
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_what_hidden_tests_said_before_cannot_be_read(container: Path) -> None:
    """Gradescope lays the results of a student's earlier submissions beside the new one."""
    metadata = container / "submission_metadata.json"
    metadata.write_text('{"previous_submissions": [{"results": {}}]}', "utf-8")
    sly = answers(
        q3=f"try:\n    open({str(metadata)!r})\n    answer = 0\nexcept OSError:\n    answer = 427\n"
    )
    done = run(container, {"9-trial.ipynb": sly})
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads((container / "results" / "results.json").read_text())
    assert found["extra_data"]["scores"]["q3"] == 2


@pytest.mark.slow
def test_the_same_scores(container: Path, tmp_path: Path) -> None:
    notebooks = {n: d.replace(b"{root}", os.fsencode(container)) for n, d in SUBMISSIONS.items()}
    submissions = hand_in(tmp_path / "in", notebooks)
    assert grade(tmp_path / "bundle", submissions, tmp_path / "out") == 0
    for name, row in rows(tmp_path / "out").items():
        done = run(container, {"9-trial.ipynb": notebooks[name]})
        assert done.returncode == 0, done.stdout + done.stderr
        assert "WITHOUT BUBBLEWRAP" in done.stdout
        found = json.loads((container / "results" / "results.json").read_text())
        assert sum(test["score"] for test in found["tests"]) == float(row["total"]), (name, found)
        assert sum(test["max_score"] for test in found["tests"]) == 9
        assert found["stdout_visibility"] == "hidden"
        for question in ("q1", "q2", "q3"):
            parts = [t["score"] for t in found["tests"] if t["name"].startswith(f"{question}:")]
            assert sum(parts) == float(row[question])
        assert {t["visibility"] for t in found["tests"]} == {"visible", "after_published"}
        assert list((container / "tmp").iterdir()) == []  # the workers' folders are gone
    assert rows(tmp_path / "out")["carl"]["total"] == "9"


@pytest.mark.slow
def test_what_is_no_submission(container: Path) -> None:
    for data, words in (
        ({}, "0 notebooks"),
        ({"x.ipynb": b"", "y.ipynb": b""}, "2 notebooks"),
        ({"9-trial.ipynb": b"text"}, "not a notebook"),
        ({"9-trial.ipynb/readme.txt": b"a folder"}, "0 notebooks"),
    ):
        assert run(container, data).returncode == 0
        found = json.loads((container / "results" / "results.json").read_text())
        assert found["score"] == 0
        assert words in found["output"]
    done = run(container, {"9-trial.ipynb": answers(), "other.ipynb": notebook()})
    assert done.returncode == 0


@pytest.mark.slow
def test_a_broken_grader_gives_no_result(container: Path) -> None:
    (container / "source" / "bundle" / "solution.ipynb").write_bytes(answers(q3="answer = 0"))
    done = run(container, {"9-trial.ipynb": answers()})
    assert done.returncode == 1
    assert "does not get full marks" in done.stdout
    assert not (container / "results" / "results.json").exists()


def test_the_zip_file(tmp_path: Path) -> None:
    where = bundle(tmp_path / "bundle", needs=("rflib", "torch"))
    build(where, tmp_path / "one.zip")
    build(where, tmp_path / "two.zip")
    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "two.zip").read_bytes()
    with zipfile.ZipFile(tmp_path / "one.zip") as archive:
        setup = archive.read("setup.sh").decode()
        names = archive.namelist()
    assert "pip install --no-cache-dir torch==" in setup
    assert "source/rflib" in setup
    assert {"bundle/assignment.json", "grading/worker.py", "rflib/recurrence.py"} <= set(names)
    for name, text in (("setup.sh", setup), ("run_autograder", "")):
        (tmp_path / name).write_text(text)
        subprocess.run(["bash", "-n", tmp_path / name], check=True)
