"""Find the submissions: in folders, and in the zip files that course systems give out.

Whose a file is stands in its name, as the systems write it:

    Canvas      namewithoutblanks_LATE_USER_FILE_their-name.ipynb, anon_CODE_FILE_their-name.ipynb
    Moodle      Full Name_PARTICIPANT_assignsubmission_file_their-name.ipynb, or a folder so called
    Gradescope  assignment_N_export/submission_ID/..., and submission_metadata.yml: who ID is
    otherwise   student.ipynb, or student/anything.ipynb

Nothing is unpacked to the disk, no link is followed, and what cannot be read becomes a row that
says why.
"""

from __future__ import annotations

import os
import re
import stat
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path, PurePosixPath

from grading.limits import MIB, Limits

_CANVAS = re.compile(
    r"(?P<name>.+?)(?:_(?P<late>LATE))?_(?P<user>\d+)_(?P<order>\d+)_(?P<file>.+)", re.DOTALL
)
_CANVAS_ANONYMOUS = re.compile(
    r"(?:(?P<late>LATE)_)?(?P<user>anon_[^_]+)_(?P<order>\d+)_(?P<file>.+)", re.DOTALL
)
_MOODLE = re.compile(
    r"(?P<name>.+?)_(?P<user>\d+)_assignsubmission_file(?:_(?P<file>.*))?", re.DOTALL
)
_GRADESCOPE = re.compile(r"submission_(?P<order>\d+)")
_EXPORT = re.compile(r"assignment_\d+_export")
_METADATA = "submission_metadata.yml"
_MOST_MEMBERS = 50_000
_ZIP_BYTES = 64 * MIB  # a student's zip; that of a class may be larger
_IGNORED = {"__MACOSX", ".DS_Store", "Thumbs.db", "desktop.ini", ".ipynb_checkpoints"}


class CollectError(Exception):
    """The submissions cannot be read at all; the message says why and what to do."""


@dataclass
class Submission:
    """What one student handed in: the bytes of a notebook, or the reason why there are none."""

    student: str
    source: str  # where it was found, for the log
    data: bytes = b""
    problem: str = ""
    notes: list[str] = field(default_factory=list)  # for a person to look at
    ids: dict[str, str] = field(default_factory=dict)  # the systems' own numbers


@dataclass(frozen=True)
class _File:
    """A file that may be a submission. `read(limit)` gives its bytes or raises _UnreadableError."""

    path: PurePosixPath
    read: Callable[[int], bytes]


class _UnreadableError(Exception):
    pass


def collect(place: Path, limits: Limits) -> list[Submission]:
    """All submissions in a folder or a zip file, by student, in order."""
    if not place.exists():
        raise CollectError(
            f"{place} does not exist: name the folder or the zip file of submissions"
        )
    files = list(_walk(place))
    people = _gradescope_people(files, limits)
    groups: dict[str, list[tuple[tuple[int, str], _File, dict[str, str]]]] = {}
    for file in files:
        if _below_export(file.path) == (_METADATA,):
            continue
        for student, order, ids in _whose(file.path, people):
            groups.setdefault(student, []).append(((order, str(file.path)), file, ids))
    if not groups:
        raise CollectError(
            f"{place} holds no submission: notebooks (.ipynb), one folder a student, or the zip "
            f"file "
            f"that Canvas, Moodle or Gradescope gives out for the whole class"
        )
    return [_choose(student, groups[student], limits) for student in sorted(groups)]


# --- walking --------------------------------------------------------------------------------------


def _walk(place: Path) -> Iterator[_File]:
    """All files. A zip file is a class if it is all there is, and else what a student handed in."""
    alone = place
    if place.is_dir():
        names = [n for n in os.listdir(place) if n not in _IGNORED and not n.startswith(".")]
        if len(names) != 1 or not names[0].lower().endswith(".zip") or _system(names[0]):
            yield from _walk_folder(place, PurePosixPath())
            return
        alone = place / names[0]
    try:
        archive = zipfile.ZipFile(alone)
    except (OSError, zipfile.BadZipFile) as error:
        raise CollectError(
            f"{alone} is neither a folder nor a zip file that can be read"
        ) from error
    yield from _members(archive)


def _walk_folder(folder: Path, below: PurePosixPath) -> Iterator[_File]:
    for entry in sorted(os.scandir(folder), key=lambda e: e.name):
        if entry.name in _IGNORED or entry.name.startswith("."):
            continue
        path = below / readable(entry.name)
        full = folder / entry.name
        mode = entry.stat(follow_symlinks=False).st_mode
        if stat.S_ISDIR(mode):
            yield from _walk_folder(full, path)
        elif stat.S_ISLNK(mode):
            yield _File(path, _refuse("it is a symbolic link, which is not followed"))
        elif not stat.S_ISREG(mode):
            yield _File(path, _refuse("it is not a regular file"))
        else:
            yield _File(path, _reader(full))


def _members(archive: zipfile.ZipFile) -> Iterator[_File]:
    members = archive.infolist()
    if len(members) > _MOST_MEMBERS:
        raise CollectError(f"{archive.filename} holds more than {_MOST_MEMBERS} files")
    for member in members:
        if member.is_dir():
            continue
        # Backslashes part folders where the zip was made on Windows.
        parts = [readable(p) for p in member.filename.replace("\\", "/").split("/")]
        kept = [p for p in parts if p not in ("", ".", "..")]
        if not kept or any(p in _IGNORED or p.startswith("._") for p in kept):
            continue
        file = _File(PurePosixPath(*kept), _unzipper(archive, member))
        if kept != parts:
            why = f"its name in the zip file leads elsewhere: {member.filename!r}"
            file = _File(PurePosixPath("_".join(kept)), _refuse(why))
        yield file


def readable(name: str) -> str:
    """A name from outside, without what cannot be shown or written.

    Each such character becomes U+FFFD.
    """
    text = name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)[:200]


def _refuse(why: str) -> Callable[[int], bytes]:
    def read(limit: int) -> bytes:
        raise _UnreadableError(why)

    return read


def _reader(path: Path) -> Callable[[int], bytes]:
    def read(limit: int) -> bytes:
        try:
            # A name may have become a link or a pipe since the folder was read.
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
            with os.fdopen(descriptor, "rb") as file:
                if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                    raise _UnreadableError("it is not a regular file")
                data = file.read(limit + 1)
        except OSError as error:
            raise _UnreadableError(f"it cannot be read ({error.strerror})") from error
        if len(data) > limit:
            raise _UnreadableError(f"it has more than {limit // MIB} MB")
        return data

    return read


def _unzipper(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Callable[[int], bytes]:
    def read(limit: int) -> bytes:
        if member.flag_bits & 1:
            raise _UnreadableError("it is encrypted in its zip file")
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise _UnreadableError("its zip file packs it in a way that is not read here")
        if stat.S_ISLNK(member.external_attr >> 16):
            raise _UnreadableError("it is a symbolic link, which is not followed")
        try:
            with archive.open(member) as file:
                data = file.read(limit + 1)  # whatever size the zip file promises
        except Exception as error:  # zipfile has no list of what a forged header makes it raise
            raise _UnreadableError(f"it cannot be unpacked ({type(error).__name__})") from error
        if len(data) > limit:
            raise _UnreadableError(f"it unpacks to more than {limit // MIB} MB")
        return data

    return read


# --- whose ----------------------------------------------------------------------------------------


def _system(name: str) -> re.Match[str] | None:
    return _MOODLE.fullmatch(name) or _CANVAS_ANONYMOUS.fullmatch(name) or _CANVAS.fullmatch(name)


def _whose(
    path: PurePosixPath, people: dict[str, list[dict[str, str]]]
) -> list[tuple[str, int, dict[str, str]]]:
    """The student's name, the system's own number for the order, the ids; more for a group's file.

    Only the part of the name that the system wrote is believed: what follows is the student's own,
    and may look like a classmate's.
    """
    parts = _below_export(path)
    first = parts[0]
    if found := _MOODLE.fullmatch(first):
        ids = {"moodle": found["user"], "name": found["name"]}
        return [(f"{found['name']}_{found['user']}", 0, ids)]
    if len(parts) > 1:
        if found := _GRADESCOPE.fullmatch(first):
            order = int(found["order"])
            names = people.get(first) or [{}]
            return [(p.get("email") or p.get("name") or first, order, p) for p in names]
        return [(first, 0, {})]
    if found := _CANVAS_ANONYMOUS.fullmatch(first):
        return [(found["user"], int(found["order"]), {})]
    if found := _CANVAS.fullmatch(first):
        ids = {"canvas": found["user"]}
        return [(f"{found['name']}_{found['user']}", int(found["order"]), ids)]
    return [(PurePosixPath(first).stem or first, 0, {})]


def _below_export(path: PurePosixPath) -> tuple[str, ...]:
    """The parts of a name below the folder that Gradescope puts around all."""
    inside = len(path.parts) > 1 and _EXPORT.fullmatch(path.parts[0])
    return path.parts[1:] if inside else path.parts


def _gradescope_people(files: list[_File], limits: Limits) -> dict[str, list[dict[str, str]]]:
    """Who stands behind each folder of a Gradescope export."""
    people: dict[str, list[dict[str, str]]] = {}
    for file in files:
        if _below_export(file.path) != (_METADATA,):
            continue
        import yaml  # type: ignore[import-untyped]  # comes with the book's tools; only a Gradescope export needs it

        try:
            metadata = yaml.safe_load(file.read(limits.notebook_bytes).decode("utf-8"))
            for folder, entry in metadata.items():
                people[str(folder)] = [
                    {
                        key: readable(str(s[f":{key}"]))
                        for key in ("email", "name", "sid")
                        if s.get(f":{key}")
                    }
                    for s in entry[":submitters"]
                ]
        except (
            _UnreadableError,
            yaml.YAMLError,
            UnicodeDecodeError,
            AttributeError,
            KeyError,
            TypeError,
        ) as error:
            raise CollectError(
                f"{file.path} cannot be read ({type(error).__name__}): without it nobody knows "
                f"whose the "
                f"submissions are. Take it out of the folder to grade them under their numbers"
            ) from error
    return people


# --- the one that counts --------------------------------------------------------------------------


def _choose(
    student: str, found: list[tuple[tuple[int, str], _File, dict[str, str]]], limits: Limits
) -> Submission:
    found.sort(key=lambda entry: (entry[0][0], _natural(entry[0][1])))
    ids = found[-1][2]
    notebooks = [entry for entry in found if entry[1].path.suffix.lower() == ".ipynb"]
    candidates = notebooks or found
    (order, _), file, _ = candidates[-1]
    submission = Submission(student, str(file.path), ids=ids)
    others = [str(entry[1].path) for entry in candidates[:-1]]
    if others:
        how = "the newest by its number" if order else "the last by its name"
        submission.notes.append(
            f"{len(candidates)} files were handed in; graded is {how}, {file.path.name}; not "
            f"graded: {', '.join(others[:5])}"
        )
    named = _CANVAS.fullmatch(_below_export(file.path)[0])
    if "canvas" in ids and named and re.match(r"\d+_", named["file"]):
        # A name of a student that ends with _2, or a name of a file that begins with 2_?
        submission.notes.append(
            f"whose it is can be read in two ways, as user {named['user']}'s or as user "
            f"{named['order']}'s: {file.path.name}"
        )
    try:
        if not notebooks and file.path.suffix.lower() == ".zip":
            submission.data = _from_zip(file.read(_ZIP_BYTES), submission, limits)
        elif not notebooks:
            file.read(limits.notebook_bytes)  # what cannot be read at all says so
            raise _UnreadableError(f"it is no notebook (.ipynb) but {file.path.name}")
        else:
            submission.data = file.read(limits.notebook_bytes)
    except _UnreadableError as error:
        submission.problem = str(error)
    return submission


def _natural(text: str) -> list[tuple[int, str]]:
    """So that name-10 comes after name-9."""
    return [(int(p), "") if p.isdecimal() else (-1, p) for p in re.split(r"(\d+)", text)]


def _from_zip(data: bytes, submission: Submission, limits: Limits) -> bytes:
    """The one notebook in a zip file that a student handed in."""
    try:
        files = list(_members(zipfile.ZipFile(BytesIO(data))))
    except Exception as error:
        raise _UnreadableError("it is a zip file that cannot be read") from error
    notebooks = [file for file in files if file.path.suffix.lower() == ".ipynb"]
    if len(notebooks) != 1:
        raise _UnreadableError(f"it is a zip file with {len(notebooks)} notebooks in it, not one")
    submission.source += f", in it {notebooks[0].path}"
    return notebooks[0].read(limits.notebook_bytes)
