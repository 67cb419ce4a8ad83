"""Release and grade the book's assignments.

The students' code runs in a worker inside a sandbox (`worker`, `sandbox`); the tests run outside,
on the trusted side, and see plain values only (`values`, `session`). `python -m grading --help`
says the rest.
"""
