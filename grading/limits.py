"""What a submission may use: every number of the grader in one place."""

from __future__ import annotations

from dataclasses import dataclass

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30


@dataclass(frozen=True)
class Limits:
    """Seconds are the parent's wall clock; bytes of memory are watched per process and in sum."""

    start_s: float = 30.0  # until a fresh worker answers; not the student's fault, so not counted
    call_s: float = 10.0  # one cell or one call of a function
    student_s: float = 60.0  # all cells and calls of a student
    test_cpu_s: float = 30.0  # what one test may compute on the trusted side
    examiner_s: float = 300.0  # the whole of one submission, the trusted side included

    hangs: int = 2  # calls of one question that hang or kill the worker; then its tests end
    deaths: int = 8  # workers that a submission may lose

    memory: int = 2 * GIB  # all processes of a student together
    address_space: int = 4 * GIB  # each of them
    processes: int = 64  # threads count
    descriptors: int = 96
    file_bytes: int = 32 * MIB
    tmp_bytes: int = 64 * MIB
    tmp_files: int = 20_000

    frame_bytes: int = 8 * MIB  # one answer over the pipe
    printed_bytes: int = 16 * MIB  # then the worker is ended
    printed_kept: int = 8_000  # characters of it that the feedback shows, per cell
    left_out_kept: int = 50  # lines that are no Python, per cell
    notebook_bytes: int = 16 * MIB
    cells: int = 1_000


DEPTH = 50  # of nested lists
DIGITS = 4_000  # of an int
ENTRIES = 1_000  # of a dict
