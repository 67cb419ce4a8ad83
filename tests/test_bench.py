"""The table of the benchmarks: written from results, put into the page, and read back."""

import sys
from pathlib import Path

import pytest

pytest.importorskip("torch")
ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))
from benchmarks import bench  # noqa: E402
from benchmarks.measured import CASES  # noqa: E402


def found(said, seconds=1.0, megabytes=2.0):
    return {"said": said, "seconds": seconds, "megabytes": megabytes}


FAKE = {
    "rows": [
        {
            "network": "one",
            "truth": 7,
            "published": True,
            "tools": {
                "rflib.trace": found(7, 0.5),
                "other": found(9, 10.0, 30.0),
                "third": {"crashed": "OSError: a | b /home/me/x.py <c>"},
            },
        },
        {
            "network": "two",
            "truth": [204, 188],
            "published": False,
            "tools": {
                "rflib.trace": found([204, 188], 2.0),
                "other": found(204, 1.0),
                "third": {"crashed": "no answer in 120 seconds"},
            },
        },
    ],
    "goals": {"ratio": 0.125, "peak": 11.0, "512": 1.0, "1024": 1.5, "2048": 2.0, "4096": 4.0},
    "cold": {"cold": 0.5, "warm": 0.25},
    "basics": {"recurrence": 1.0, "input_size": 2.0, "region": 3.0},
    "machine": "2001-02-03; 2 cores",
}


def rows_of(text):
    """The cells of the tables in a Markdown text, a list for each table."""
    tables = [[]]
    for line in text.splitlines():
        if line.startswith("|"):
            tables[-1].append([cell.strip() for cell in line.strip("|").split("|")])
        elif tables[-1]:
            tables.append([])
    return [rows for rows in tables if rows]


def test_cells_say_who_was_right():
    text = bench.table(FAKE)
    beside, alone = rows_of(text)
    head, _, one, two, sums = beside
    assert head == ["network", "truth", "rflib.trace", "other", "third"]
    assert one == [
        "one",
        "7 (published)",
        "right; 0.50 s, 2 MB",
        "**wrong: 9**; 20×, 30 MB",
        "crashed (1)",
    ]
    assert two[1] == "204 or 188 (NaN check)"
    assert two[3] == "right for the largest (204); 0.5×, 2 MB"
    assert sums[2:] == [
        "2 right, 0 wrong, 0 crashed",
        "1 right, 1 wrong, 0 crashed",
        "0 right, 0 wrong, 2 crashed",
    ]
    assert "1. OSError: a b c\n2. no answer in 120 seconds" in text
    assert {len(row) for row in beside} == {5}
    assert {len(row) for row in alone} == {2}


def test_the_page_takes_a_new_table_and_keeps_the_rest(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(f"before\n{bench.BEGIN}\nold\n{bench.END}\nafter\n")
    for _ in range(2):
        bench.write(page, "| new |")
        assert page.read_text() == f"before\n{bench.BEGIN}\n\n| new |\n\n{bench.END}\nafter\n"


def test_every_case_has_its_part():
    torch = pytest.importorskip("torch")
    for case in CASES.values():
        with torch.device("meta"):
            assert any(True for _ in case.part().parameters())


@pytest.mark.parametrize(
    ("runs", "expected"),
    [([1.0, 4.0, 2.0], 2.0), ([6.0], 6.0), ([4.0, 9.0, 8.0], 8.0)],
)
def test_short_measurements_are_taken_three_times(monkeypatch, runs, expected):
    given = iter(runs)
    monkeypatch.setattr(bench, "measure", lambda *what: found(7, next(given)))
    assert bench.middle("python", "tool")["seconds"] == expected
    assert next(given, None) is None


def test_a_crash_is_not_tried_again(monkeypatch):
    crashes = iter([{"crashed": "OSError"}])
    monkeypatch.setattr(bench, "measure", lambda *what: next(crashes))
    assert bench.middle("python", "tool") == {"crashed": "OSError"}
