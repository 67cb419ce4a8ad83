"""Whose a file is, which of several counts, and what cannot be read becomes a row that says why."""

from __future__ import annotations

import os
import stat
import zipfile
from pathlib import Path

import pytest

from grading.collect import CollectError, Submission, collect, readable
from grading.limits import MIB, Limits

LIMITS = Limits(notebook_bytes=1 * MIB)


def found(place: Path) -> dict[str, Submission]:
    return {one.student: one for one in collect(place, LIMITS)}


def fill(folder: Path, *names: str) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    return folder


def zipped(path: Path, entries: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
    return path


def test_plain_files_and_folders(tmp_path: Path) -> None:
    fill(tmp_path, "bob.ipynb", "Zoë Müller.ipynb", "alice/1-arithmetic.ipynb", "alice/notes.txt")
    (tmp_path / ".DS_Store").write_text("")
    students = found(tmp_path)
    assert list(students) == ["Zoë Müller", "alice", "bob"]
    assert students["alice"].data == b"alice/1-arithmetic.ipynb"
    assert not any(one.problem or one.notes for one in students.values())


def test_canvas_names(tmp_path: Path) -> None:
    fill(
        tmp_path,
        "doejane_4711_100_9-trial.ipynb",
        "doejane_LATE_4711_99_9-trial-1.ipynb",
        "doejane_4711_1000_9-trial-2.ipynb",
        "d_oe_LATE_12_7_x_1_2_y.ipynb",
        "anon_Ab12C_55_x.ipynb",
        "LATE_anon_Zz9_56_x.ipynb",
    )
    students = found(tmp_path)
    assert set(students) == {"doejane_4711", "d_oe_12", "anon_Ab12C", "anon_Zz9"}
    jane = students["doejane_4711"]
    assert jane.data == b"doejane_4711_1000_9-trial-2.ipynb"  # the newest by number, not by name
    assert "3 files were handed in" in jane.notes[0]
    assert jane.ids == {"canvas": "4711"}


def test_moodle_names(tmp_path: Path) -> None:
    archive = zipped(
        tmp_path / "class.zip",
        {
            "Jane Doe_815_assignsubmission_file_/9-trial.ipynb": b"jane",
            "Jo_hn Doe_816_assignsubmission_file_9-trial.ipynb": b"john",
            "Max Doe_817_assignsubmission_file/9-trial.pdf": b"%PDF",
        },
    )
    students = found(archive)
    assert students["Jane Doe_815"].ids["moodle"] == "815"
    assert students["Jo_hn Doe_816"].data == b"john"
    assert "no notebook" in students["Max Doe_817"].problem


def test_gradescope_export(tmp_path: Path) -> None:
    metadata = """\
submission_31:
  :submitters:
  - :name: Jane Doe
    :sid: '12'
    :email: jane@example.com
  - :name: John Doe
    :email: john@example.com
submission_32:
  :submitters:
  - :name: Jane Doe
    :email: jane@example.com
"""
    archive = zipped(
        tmp_path / "export.zip",
        {
            "assignment_9_export/submission_metadata.yml": metadata.encode(),
            "assignment_9_export/submission_31/9-trial.ipynb": b"both",
            "assignment_9_export/submission_32/9-trial.ipynb": b"jane again",
            "assignment_9_export/submission_33/9-trial.ipynb": b"who?",
        },
    )
    students = found(archive)
    assert students["john@example.com"].data == b"both"
    assert students["jane@example.com"].data == b"jane again"
    assert students["submission_33"].data == b"who?"
    broken = zipped(
        tmp_path / "broken.zip", {"submission_metadata.yml": b"- !x [", "a/b.ipynb": b""}
    )
    with pytest.raises(CollectError, match="submission_metadata"):
        collect(broken, LIMITS)


def test_a_zip_is_a_class_or_a_student(tmp_path: Path) -> None:
    (alone := tmp_path / "alone").mkdir()
    zipped(alone / "class.zip", {"alice.ipynb": b"alice", "bob.ipynb": b"bob"})
    assert set(found(alone)) == {"alice", "bob"}
    (folder := tmp_path / "folder").mkdir()
    zipped(folder / "bob.zip", {"alice.ipynb": b"by bob"})
    zipped(
        folder / "doe_1_2_mine.zip", {"work/9-trial.ipynb": b"doe", "work/__MACOSX/x.ipynb": b""}
    )
    zipped(folder / "roe_3_4_two.zip", {"a.ipynb": b"", "b.ipynb": b""})
    students = found(folder)
    assert {name: one.data for name, one in students.items()} == {
        "bob": b"by bob",
        "doe_1": b"doe",
        "roe_3": b"",
    }
    assert "2 notebooks in it" in students["roe_3"].problem


def test_nobody_hands_in_under_anothers_name(tmp_path: Path) -> None:
    """A student chooses a file's name, and may choose one that looks like a classmate's."""
    canvas = fill(tmp_path / "canvas", "eve_1_100_bob_2_999_x.ipynb", "bob_2_101_x.ipynb")
    moodle = fill(
        tmp_path / "moodle", "Eve_1_assignsubmission_file_Bob_2_assignsubmission_file_x.ipynb"
    )
    nested = fill(
        tmp_path / "nested", "Eve_1_assignsubmission_file_/Bob_2_assignsubmission_file_x.ipynb"
    )
    plain = fill(
        tmp_path / "plain", "eve/Bob_2_assignsubmission_file_x.ipynb", "eve/submission_7/y.ipynb"
    )
    assert set(found(canvas)) == {"eve_1", "bob_2"}
    assert set(found(moodle)) == set(found(nested)) == {"Eve_1"}
    assert set(found(plain)) == {"eve"}
    own = b"submission_2:\n  :submitters:\n  - :email: eve@x\n"
    true = b"submission_1:\n  :submitters:\n  - :email: eve@x\n" + own.replace(b"eve", b"bob")
    top = "assignment_9_export"
    archive = zipped(
        tmp_path / "export.zip",
        {
            f"{top}/submission_metadata.yml": true,
            f"{top}/submission_1/submission_metadata.yml": own,
            f"{top}/submission_1/submission_2/x.ipynb": b"eve",
            f"{top}/submission_1/Bob_2_assignsubmission_file_x.ipynb": b"eve",
            f"{top}/submission_2/x.ipynb": b"bob",
        },
    )
    students = found(archive)
    assert set(students) == {"eve@x", "bob@x"}
    assert students["bob@x"].data == b"bob"
    assert not students["bob@x"].notes


def test_a_canvas_name_that_can_be_read_in_two_ways(tmp_path: Path) -> None:
    """Canvas lets a student be called x_2: the name of their file looks like one of user 2."""
    students = found(fill(tmp_path, "x_2_1_100_9-trial.ipynb", "bob_2_101_9-trial.ipynb"))
    assert "as user 2's or as user 1's" in students["x_2"].notes[0]
    assert not students["bob_2"].notes


def test_bombs(tmp_path: Path) -> None:
    """What a zip file says about a size is not believed; no more than the limit is unpacked."""
    zeros = bytes(9 * MIB)
    zipped(tmp_path / "alice.zip", {"x.ipynb": zeros})
    zipped(tmp_path / "carl.zip", {"x.ipynb": zeros}, zipfile.ZIP_LZMA)
    (tmp_path / "dora.ipynb").write_bytes(zeros)
    fill(tmp_path, "bob.ipynb")
    students = found(tmp_path)
    assert "more than 1 MB" in students["alice"].problem
    assert "not read here" in students["carl"].problem
    assert "more than 1 MB" in students["dora"].problem
    assert students["bob"].data == b"bob.ipynb"
    (tmp_path / "class").mkdir()
    archive = zipped(tmp_path / "class" / "class.zip", {"alice.ipynb": zeros, "bob.ipynb": b"bob"})
    students = found(archive)
    assert "more than 1 MB" in students["alice"].problem
    assert students["bob"].data == b"bob"
    # A size that is smaller than what is inside: the checksum or the length does not fit.
    data = bytearray(archive.read_bytes())
    for mark, where in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        place = data.index(mark) + where
        data[place : place + 4] = (10).to_bytes(4, "little")
    archive.write_bytes(data)
    assert "cannot be unpacked" in found(archive)["alice"].problem


def test_a_forged_header(tmp_path: Path) -> None:
    """Two headers that say different names; one of them is no text."""
    path = zipped(tmp_path / "alice.zip", {"\N{LATIN SMALL LETTER E WITH ACUTE}.ipynb": b"{}"})
    data = path.read_bytes()
    path.write_bytes(data.replace("\N{LATIN SMALL LETTER E WITH ACUTE}".encode(), b"\xff\xff", 1))
    fill(tmp_path, "bob.ipynb")
    students = found(tmp_path)
    assert "cannot be unpacked" in students["alice"].problem
    assert students["bob"].data == b"bob.ipynb"


def test_names_that_lead_elsewhere(tmp_path: Path) -> None:
    names = ["../../etc/evil.ipynb", "/etc/evil2.ipynb", "..\\evil3.ipynb", "a/../evil4.ipynb"]
    archive = zipped(
        tmp_path / "class.zip", {**dict.fromkeys(names, b"x"), "alice.ipynb": b"alice"}
    )
    students = found(archive)
    assert students.pop("alice").data == b"alice"
    assert len(students) == 4
    assert all("leads elsewhere" in one.problem and not one.data for one in students.values())
    assert sorted(p.name for p in tmp_path.iterdir()) == ["class.zip"]  # nothing was unpacked


def test_links_pipes_and_broken_files(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("hidden tests")
    folder = fill(tmp_path / "in", "bob.ipynb")
    (folder / "alice.ipynb").symlink_to(secret)
    (folder / "dir").symlink_to(tmp_path)
    os.mkfifo(folder / "carl.ipynb")
    (folder / "class.zip").write_bytes(b"PK\x03\x04 broken")
    linked = zipfile.ZipInfo("dora.ipynb")
    linked.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(folder / "dora.zip", "w") as archive:
        archive.writestr(linked, str(secret))
    students = found(folder)
    for name in ("alice", "dir", "dora"):
        assert "symbolic link" in students[name].problem
    assert "regular file" in students["carl"].problem
    assert "cannot be read" in students["class"].problem
    assert not any("hidden" in str(one.data) for one in students.values())


def test_an_encrypted_member(tmp_path: Path) -> None:
    path = zipped(tmp_path / "class.zip", {"alice.ipynb": b"alice"})
    data = bytearray(path.read_bytes())
    data[6] |= 1  # the flag, in the file's own header and in the directory
    data[data.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(data)
    assert "encrypted" in found(path)["alice"].problem


def test_names_that_cannot_be_written(tmp_path: Path) -> None:
    with open(os.fsencode(tmp_path) + b"/caf\xe9\x1b[2J\n.ipynb", "wb") as file:
        file.write(b"x")
    (student,) = found(tmp_path)
    student.encode("utf-8")
    assert student.isprintable()
    assert readable("a\x00b\u202ec") == "a\N{REPLACEMENT CHARACTER}b\N{REPLACEMENT CHARACTER}c"


def test_several_files_without_a_number(tmp_path: Path) -> None:
    fill(tmp_path, "alice/try-9.ipynb", "alice/try-10.ipynb", "alice/try-10.pdf")
    alice = found(tmp_path)["alice"]
    assert alice.data == b"alice/try-10.ipynb"
    assert "the last by its name" in alice.notes[0]
    assert "try-9.ipynb" in alice.notes[0]


def test_nothing_to_grade(tmp_path: Path) -> None:
    for place in (tmp_path, tmp_path / "missing"):
        with pytest.raises(CollectError, match="folder"):
            collect(place, LIMITS)
    with pytest.raises(CollectError, match="neither a folder nor a zip"):
        collect(fill(tmp_path, "x.txt") / "x.txt", LIMITS)
