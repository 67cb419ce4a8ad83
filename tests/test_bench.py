"""The table of the benchmarks: written from results, put into the page, and read back."""

import re
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch")
ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))
from benchmarks import bench  # noqa: E402
from benchmarks.measured import CASES, PROBED, probed  # noqa: E402


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
    beside, costs, alone = rows_of(text)
    head, _, one, two, sums = beside
    assert head == ["network", "truth", "rflib.trace", "other", "third"]
    assert one == ["one", "7", "7 ✓", "**9** ✗", "crashed (1)"]
    assert two[1:4] == ["204 or 188 (NaN)", "204 or 188 ✓", "204 ✓ (largest)"]
    assert sums[2:] == [
        "2 right, 0 wrong, 0 crashed",
        "1 right, 1 wrong, 0 crashed",
        "0 right, 0 wrong, 2 crashed",
    ]
    assert "1. OSError: a b c\n2. no answer in 120 seconds" in text
    assert costs[0] == ["time and memory", "rflib.trace", "other"]
    assert costs[2:] == [
        ["one", "0.50 s, 2 MB", "20×, 30 MB"],
        ["two", "2.00 s, 2 MB", "0.5×, 2 MB"],
    ]
    assert {len(row) for row in alone} == {2}


def test_astronomical_answers_are_short():
    assert bench.told(1539716825184439631872) == "1.5·10²¹"
    assert bench.told(9_999_999) == "9999999"


def test_the_page_takes_a_new_table_and_keeps_the_rest(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(f"before\n{bench.BEGIN}\nold\n{bench.END}\nafter\n")
    for _ in range(2):
        bench.write(page, "| new |")
        assert page.read_text() == f"before\n{bench.BEGIN}\n\n| new |\n\n{bench.END}\nafter\n"


def test_the_probe_beside_the_recipe():
    results = {
        "probes": {
            "deep": {
                "side": 512,
                "truth": 35,
                "probe": found(35, 2.0, 10.0),
                "recipe": found(31, 5.0, 30.0),
            },
            "deeper": {
                "side": 900,
                "truth": 70,
                "probe": found(70),
                "recipe": {"crashed": "OSError"},
            },
        },
        "probes_machine": "2001-02-03; 2 cores",
    }
    _, _, one, two = rows_of(bench.probes(results))[0]
    assert one == [
        "deep, 512",
        "35",
        "35 ✓; 2.00 s, 10 MB",
        "**31** ✗; 5.00 s, 30 MB",
        "2.5×",
        "3.0×",
    ]
    assert two[3:] == ["crashed (OSError)", "", ""]


def test_the_page_holds_a_whole_run():
    text = bench.PAGE.read_text()
    written = text.split(bench.BEGIN)[1].split(bench.END)[0]
    assert len(re.findall(r"Run on \d{4}-\d\d-\d\d; \d+ cores, \d+ GiB of memory", written)) == 2
    beside, costs, alone, probes = rows_of(written)
    head, _, *networks, sums = beside
    assert [row[0] for row in networks] == [*CASES]
    assert {len(row) for row in beside} == {len(head)}
    for column in range(2, len(head)):
        counts = map(int, re.findall(r"(\d+) (?:right|wrong|crashed)", sums[column]))
        assert sum(counts) == len(CASES)
    assert [row[0] for row in costs[2:]] == [*CASES]
    assert len(alone) == 7
    assert [row[0] for row in probes[2:]] == [f"{name}, {PROBED[name][1]}" for name in PROBED]


@pytest.mark.parametrize("tool", ["probe", "recipe"])
def test_the_recipes_own_network_is_measured_right_by_both(tool):
    assert probed(tool, "the nine layers of the recipe")["said"] == 35


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
