"""rflib.trace beside what a user would pick instead, side by side in one run: one table.

`make bench` prints it; `bench.py --write` puts it into chapters/benchmarks.md as well. Every
measurement has a process of its own and at most two minutes; each alternative has an environment of
its own under _build/bench, made from alternatives.txt. Linux only: peak memory is read from /proc.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import subprocess
import sys
import textwrap
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "chapters" / "benchmarks.md"
BEGIN, END = "<!-- written by benchmarks/bench.py: begin -->", "<!-- end -->"
LIMIT = 120  # seconds for one measurement
REPEATED = 5  # seconds below which one is taken three times
OURS, RECIPE = "rflib.trace", "recipe"
Found = Mapping[str, Any]


# --- environments and measurements ----------------------------------------------------------------


def environments() -> dict[str, str]:
    """The Python of each alternative; its environment is made where it is missing or outdated."""
    text = (ROOT / "benchmarks" / "alternatives.txt").read_text()
    wanted = dict(line.split(": ") for line in text.splitlines() if not line.startswith("#"))
    every, pythons = wanted.pop("every"), {}
    for name, packages in wanted.items():
        folder = ROOT / "_build" / "bench" / name
        stamp, python = folder / "installed", folder / "bin" / "python"
        if not stamp.exists() or stamp.read_text() != every + packages:
            print(f"installing {name} into {folder.relative_to(ROOT)}", file=sys.stderr)
            subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
            pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
            for some in (every, packages):
                subprocess.run([*pip, *some.split()], check=True)
            stamp.write_text(every + packages)
        pythons[name] = str(python)
    return pythons


def measure(python: str, tool: str, network: str = "", truth: int = 0, limit: int = LIMIT) -> Found:
    """What measured.py says, in a fresh process."""
    command = [python, str(ROOT / "benchmarks" / "measured.py"), tool, network, str(truth)]
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=False,
            timeout=limit,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
    except subprocess.TimeoutExpired:
        return {"crashed": f"no answer in {limit} seconds"}
    if done.returncode:
        return {"crashed": (done.stderr.splitlines() or [f"signal {-done.returncode}"])[-1]}
    found: Found = json.loads(done.stdout.splitlines()[-1])
    return found


def middle(*what: Any) -> Found:
    """One measurement, or where it takes less than REPEATED seconds the middle of three by time."""
    found = [measure(*what)]
    if found[0].get("seconds", REPEATED) < REPEATED:
        found += [measure(*what), measure(*what)]
    return sorted(found, key=lambda one: one.get("seconds", LIMIT))[len(found) // 2]


def progress(done: int, total: int, what: str) -> None:
    bar = "#" * (30 * done // total)
    print(f"\r[{bar:30}] {done}/{total} {what:40}", end="", file=sys.stderr, flush=True)


def run(names: list[str]) -> dict[str, Any]:
    """All measurements: per network its truth, where that is from, and what each tool said."""
    sys.path.insert(0, str(ROOT))
    from benchmarks.measured import CASES

    pythons = {OURS: sys.executable, **environments(), RECIPE: sys.executable}
    total, done = len(names) * (len(pythons) + 1), 0
    rows = []
    for name in names:
        published = CASES[name].published
        progress(done, total, f"{name}: truth")
        proof = {"said": published}
        if published is None:
            proof = measure(sys.executable, "nan", name, limit=10 * LIMIT)
        if "crashed" in proof:
            sys.exit(f"\n{name}: the NaN check gives no truth: {proof['crashed']}")
        truth = proof["said"]
        done += 1
        tools = {}
        for tool, python in pythons.items():
            progress(done, total, f"{name}: {tool}")
            largest = truth[0] if isinstance(truth, list) else truth
            tools[tool] = middle(python, tool, name, largest)
            done += 1
        rows.append(
            {"network": name, "truth": truth, "published": published is not None, "tools": tools}
        )
    progress(done, total, "")
    print(file=sys.stderr)
    return {"rows": rows, "machine": machine()}


def run_alone() -> dict[str, Any]:
    """What is measured of trace and of the arithmetic, beside no other tool."""
    return {what: measure(sys.executable, what) for what in ("goals", "cold", "basics")}


def run_probes() -> dict[str, Any]:
    """The probe and the recipe on the same images."""
    from benchmarks.measured import PROBED

    found: dict[str, Any] = {}
    for n, (name, (_, side, truth)) in enumerate(PROBED.items()):
        found[name] = {"side": side, "truth": truth}
        for m, tool in enumerate(("probe", RECIPE)):
            progress(2 * n + m, 2 * len(PROBED), f"{name}: {tool}")
            found[name][tool] = middle(sys.executable, tool, name, truth, 10 * LIMIT)
    progress(1, 1, "")
    print(file=sys.stderr)
    return {"probes": found, "probes_machine": machine()}


def machine() -> str:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    day = datetime.datetime.now(datetime.UTC).date().isoformat()
    return (
        f"{day}; {os.cpu_count()} cores, {memory:.0f} GiB of memory, {platform.system()} on "
        f"{platform.machine()}, Python {platform.python_version()}"
    )


# --- the table ------------------------------------------------------------------------------------


def verdict(found: Found, truth: Any) -> str:
    if "crashed" in found:
        return "crashed"
    said = found["said"]
    largest = truth[0] if isinstance(truth, list) else truth
    return "right" if said == truth else "largest" if said == largest else "wrong"


def told(value: Any) -> str:
    if isinstance(value, list):
        return " or ".join(map(told, value))
    if value < 10**7:
        return f"{value}"
    digits, power = f"{value:.1e}".split("e+")
    return f"{digits}·10{str(int(power)).translate(RAISED)}"


RAISED = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


def answer(found: Found, truth: Any, note: Callable[[str], str]) -> str:
    judged = verdict(found, truth)
    if judged == "crashed":
        return f"crashed {note(found['crashed'])}"
    said = told(found["said"])
    return {"right": f"{said} ✓", "largest": f"{said} ✓ (largest)", "wrong": f"**{said}** ✗"}[
        judged
    ]


def cost(found: Found, ours: Found, own: bool) -> str:
    """Seconds, or for another tool how often ours; and megabytes."""
    if "seconds" not in found:
        return "crashed"
    megabytes = f"{found['megabytes']:,.0f} MB"
    if own or "seconds" not in ours:
        return f"{found['seconds']:.2f} s, {megabytes}"
    ratio = found["seconds"] / ours["seconds"]
    return f"{ratio:.0f}×, {megabytes}" if ratio >= 10 else f"{ratio:.1f}×, {megabytes}"


def reason(words: str) -> str:
    """Short, on one line, without what a table or a path of this machine would spoil."""
    bare = words.translate(str.maketrans("|<>`", "    "))
    plain = " ".join(word for word in bare.split() if "/" not in word)
    return textwrap.shorten(plain, 110, placeholder=" …")


def table(results: Mapping[str, Any]) -> str:
    """The results as Markdown."""
    rows = results["rows"]
    tools = [*rows[0]["tools"]]
    notes: list[str] = []

    def note(words: str) -> str:
        if reason(words) not in notes:
            notes.append(reason(words))
        return f"({notes.index(reason(words)) + 1})"

    lines = [
        f"Run on {results['machine']}.",
        "",
        f"| network | truth | {' | '.join(tools)} |",
        f"| --- | --- | {' | '.join('---' for _ in tools)} |",
    ]
    for row in rows:
        truth = f"{told(row['truth'])}{'' if row['published'] else ' (NaN)'}"
        cells = [answer(found, row["truth"], note) for found in row["tools"].values()]
        lines.append(f"| {row['network']} | {truth} | {' | '.join(cells)} |")
    sums = []
    for tool in tools:
        counts = Counter(verdict(row["tools"][tool], row["truth"]) for row in rows)
        right = counts["right"] + counts["largest"]
        sums.append(f"{right} right, {counts['wrong']} wrong, {counts['crashed']} crashed")
    lines += [f"| **all {len(rows)}** | | {' | '.join(sums)} |", ""]
    if notes:
        lines += ["Crashed:", "", *(f"{n}. {words}" for n, words in enumerate(notes, 1)), ""]
    running = [tool for tool in tools if any("seconds" in row["tools"][tool] for row in rows)]
    lines += [
        f"| time and memory | {' | '.join(running)} |",
        f"| --- | {' | '.join('---' for _ in running)} |",
    ]
    for row in rows:
        cells = [cost(row["tools"][t], row["tools"][OURS], t == OURS) for t in running]
        lines.append(f"| {row['network']} | {' | '.join(cells)} |")
    return "\n".join([*lines, "", *rest(results)])


def rest(results: Mapping[str, Any]) -> list[str]:
    goals, cold, basics = results["goals"], results["cold"], results["basics"]
    growth = ", ".join(f"{goals[n]:.2f} at {n}" for n in ("512", "1024", "2048", "4096"))
    return [
        "| rflib.trace alone | measured |",
        "| --- | --- |",
        f"| ResNet-152 at 2048×2048, against its forward at 224×224 | {goals['ratio']:.3f} of it |",
        f"| the same, peak memory above the import of torch | {goals['peak']:.0f} MB |",
        f"| ResNet-152 at more pixels a side, against 512 | {growth} |",
        f"| ResNet-18, first call in a fresh process, then again | {cold['cold']:.2f} s, "
        f"{cold['warm']:.2f} s |",
        f"| a chain of 20,000 layers: recurrence, input_size, region | "
        f"{basics['recurrence']:.0f} ms, {basics['input_size']:.0f} ms, "
        f"{basics['region']:.0f} ms |",
    ]


def probes(results: Mapping[str, Any]) -> str:
    """The probe and the recipe as Markdown."""
    lines = [
        f"Run on {results['probes_machine']}.",
        "",
        "| network, pixels | truth | rflib.probe | recipe | time | memory |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for name, row in results["probes"].items():
        both = [row["probe"], row[RECIPE]]
        cells = []
        for found in both:
            said = answer(found, row["truth"], lambda words: f"({reason(words)})")
            cells.append(f"{said}; {cost(found, found, own=True)}" if "said" in found else said)
        for unit in ("seconds", "megabytes"):
            known = all(unit in found for found in both)
            cells.append(f"{both[1][unit] / max(both[0][unit], 1e-9):.1f}×" if known else "")
        lines.append(f"| {name}, {row['side']} | {row['truth']} | {' | '.join(cells)} |")
    return "\n".join(lines)


def write(page: Path, text: str) -> None:
    """Put the table between its two marks."""
    before, rest_ = page.read_text().split(BEGIN)
    _, after = rest_.split(END)
    page.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}")


def main() -> None:
    from_line = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    from_line.add_argument(
        "--write", action="store_true", help=f"into {PAGE.relative_to(ROOT)} too"
    )
    from_line.add_argument(
        "--only",
        choices=("trace", "alone", "probe"),
        help="renew this part, and take the others from the last run",
    )
    from_line.add_argument("networks", nargs="*", help="trace these only; without --write")
    given = from_line.parse_args()
    sys.path.insert(0, str(ROOT))
    from benchmarks.measured import CASES

    if unknown := [name for name in given.networks if name not in CASES]:
        from_line.error(f"networks: {', '.join(unknown)}; allowed: {', '.join(CASES)}")
    if given.write and given.networks:
        from_line.error("--write wants all networks; name none")
    stored = ROOT / "_build" / "bench" / "results.json"
    results = json.loads(stored.read_text()) if given.only and stored.exists() else {}
    if given.only in (None, "trace"):
        results.update(run(given.networks or [*CASES]))
    if given.only in (None, "alone"):
        results.update(run_alone())
    if given.only in (None, "probe") and not given.networks:
        results.update(run_probes())
    stored.parent.mkdir(parents=True, exist_ok=True)
    stored.write_text(json.dumps(results))
    text = "\n\n".join(make(results) for make, keys in PARTS if {*keys} <= {*results})
    print(text)
    if given.write:
        if missing := [key for _, keys in PARTS for key in keys if key not in results]:
            sys.exit(
                f"--write wants all parts, and no run of {missing[0]} is stored: leave --only out"
            )
        write(PAGE, text)


PARTS = ((table, ("rows", "goals", "cold", "basics")), (probes, ("probes",)))

if __name__ == "__main__":
    main()
