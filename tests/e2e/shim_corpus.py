#!/usr/bin/env python3
"""The native leaks of the corpus under the preload shim: is the leaking function found, and at what rate?

Each case runs once per mode, together with a counting oracle (fixtures/corpus/sites) that knows by other
means what the case's function holds. Without --long this takes too long. Arguments, where given, are names of
cases.
"""

import json
import math
import os
import re
import shutil
import subprocess
import sys
import tomllib
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from itertools import combinations
from pathlib import Path
from statistics import median

from harness import MEMTIDE, ROOT, expect, need, scratch, skip

CORPUS = ROOT / "fixtures/corpus"
FOREMOST = 3
# Cases of a mode in which the function may be missed.
MISSES = 1
# They mostly sleep.
AT_ONCE = 8
MODES = {"full": ["--heap", "full"], "sampled": ["--heap", "sampled", "--interval", "64KiB"]}
TOLERANCE = {"full": 0.05, "sampled": 0.25}
# Memory that is lost in the case's function and was asked for in this one, which is what a shim can see: the
# case is a miss, and its rate is measured where it was asked for.
ASKED_BY = {"load-leak": "open_conn"}
# Programs that limit their own address space. The oracle makes malloc an allocator of its own, in front of which
# full mode's tables take more of it than these leave: they run without, and nothing is said of their rates.
WITHOUT_ORACLE = {("leak-limit-a", "full"), ("leak-limit-b", "full")}


def leaks(names):
    """The compiled cases in which memory that a function asked for grows for ever."""
    with open(CORPUS / "manifest.toml", "rb") as file:
        cases = tomllib.load(file)["program"]
    for case in cases:
        program = CORPUS / case["run"].split()[0]
        native = case["build"] and case["site"] and case["label"] in ("heap_leak", "mmap_leak")
        # A mapped file is nobody's allocation.
        if native and case["name"] != "mapfile-leak" and (not names or case["name"] in names):
            expect(program.exists(), f"{program}, which fixtures/corpus/build makes")
            yield case


def bare(function):
    """The last part of a demangled name, without parameters and template arguments."""
    return re.sub(r"<.*|\(.*", "", function).split("::")[-1]


def code_of(program, function):
    """Where a function's code is in its file, as the oracle wants it."""
    table = subprocess.run(
        ["nm", "-C", "-S", program], check=True, capture_output=True, text=True
    ).stdout
    ranges = []
    for line in table.splitlines():
        part = line.split(maxsplit=3)
        # Rust's names may end in a hash, a compiler's pieces in ".cold" or ".part.0".
        name = part[3].split("::h")[0].split(".")[0] if len(part) == 4 else ""
        if name and bare(name) == function:
            start = int(part[0], 16)
            ranges.append(f"{start:x}:{start + int(part[1], 16):x}")
    expect(ranges, f"a function {function} in {program}")
    return ",".join(ranges)


def lines_of(source, function):
    """The lines of a function in its source: from its definition to the brace that ends it."""
    text = source.read_text()
    start = re.search(rf"(?m)^.*\b{function}\([^;]*?\{{", text)
    expect(start, f"a definition of {function} in {source}")
    depth = 1
    for end in range(start.end(), len(text)):
        depth += {"{": 1, "}": -1}.get(text[end], 0)
        if depth == 0:
            break
    return range(text.count("\n", 0, start.start()) + 1, text.count("\n", 0, end) + 2)


def truth(path, report):
    """Of the oracle's series, over the window of the report: its slope, and its growth per second.

    The slope is the median of those between any two points (Theil and Sen), as the report's is: staircases
    and programs that stand still at a limit have no other that two could agree on.
    """
    start = datetime.fromisoformat(report["recording"]["started"].replace("Z", "+00:00")).timestamp()
    lines = [[float(cell) for cell in line.split(",")] for line in path.read_text().splitlines()]
    expect(lines, f"lines of the oracle in {path.name}")
    # Looked at once a second, as the report was; a line holds until the next.
    seconds = round(report["recording"]["seconds"])
    values = [next((site for t, site, _ in reversed(lines) if t <= start + k), 0) for k in range(seconds + 1)]
    slopes = ((values[j] - values[i]) / (j - i) for i, j in combinations(range(seconds + 1), 2))
    return median(slopes), (values[-1] - values[0]) / seconds


def names(row, function, source, lines=None):
    """Whether a stack goes through a function, at one of these lines where they are given."""
    return any(
        bare(frame["function"] or "") == function
        and Path(frame["file"] or "").name == source
        and (lines is None or frame["line"] in lines)
        for frame in row["frames"]
    )


def watch(case, mode, folder, oracle):
    """Runs a case and gives what came of it."""
    name = f"{case['name']}.{mode}"
    command = case["run"].split()
    asked_by = ASKED_BY.get(case["name"], case["site"])
    environment = dict(os.environ)
    if (case["name"], mode) not in WITHOUT_ORACLE:
        environment.update(
            LD_PRELOAD=str(oracle),
            ORACLE_PROGRAM=Path(command[0]).name,
            ORACLE_SITE=code_of(CORPUS / command[0], asked_by),
            ORACLE_FILE=str(folder / f"{name}.truth"),
        )
    done = subprocess.run(
        [MEMTIDE, "run", *MODES[mode], "-o", folder / f"{name}.memtide", "--json", folder / f"{name}.json"]
        + ["--quiet", "--", *command],
        cwd=CORPUS,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=300,
        check=False,
    )
    if done.returncode != 0:
        return f"{name}: an end with 0, not {done.returncode}: {done.stderr[-2000:]}"
    return judge(case, mode, folder)


def judge(case, mode, folder):
    name = f"{case['name']}.{mode}"
    report = json.loads((folder / f"{name}.json").read_text())
    is_alone = (case["name"], mode) in WITHOUT_ORACLE
    planted, growth = (math.nan, math.nan) if is_alone else truth(folder / f"{name}.truth", report)
    source = Path(case["source"])
    asked_by = ASKED_BY.get(case["name"], case["site"])
    lines = lines_of(CORPUS / source, case["site"])
    rows = report["stacks"]
    ranks = [rank for rank, row in enumerate(rows, 1) if names(row, case["site"], source.name, lines)]
    mine = [row for row in rows if names(row, asked_by, source.name)]
    rate = sum(row["bytes_per_second"] or 0 for row in mine)
    samples = sum(row["samples"] or 0 for row in mine)
    # What is drawn has an error of its own: four standard errors are allowed where that is more.
    allowed = max(TOLERANCE[mode], 4 / math.sqrt(samples) if samples else 0)
    return {
        "case": case["name"],
        "mode": mode,
        "rank": min(ranks, default=None),
        "rate": rate,
        "truth": planted,
        # Of what grew and then stood still the slope may be next to nothing.
        "error": (rate - planted) / max(abs(planted), abs(growth), 1),
        "allowed": allowed,
        "samples": samples,
        "verdict": report["verdict"]["kind"],
    }


def table(results):
    print(f"{'case':<18} {'mode':<8} {'rank':>4} {'kB/s':>8} {'oracle':>8} {'error':>7} {'allowed':>7} {'samples':>7}  verdict")
    for r in results:
        print(
            f"{r['case']:<18} {r['mode']:<8} {r['rank'] or '-':>4} {r['rate'] / 1e3:>8.1f} {r['truth'] / 1e3:>8.1f}"
            f" {r['error']:>7.1%} {r['allowed']:>7.1%} {r['samples']:>7}  {r['verdict']}"
        )


def main():
    chosen = sys.argv[1:]
    if not chosen and not os.environ.get("MEMTIDE_LONG"):
        skip("26 programs of 50 s each in two modes; tests/run --long makes it")
    need("gcc", "nm")
    with scratch() as folder:
        keep = os.environ.get("SHIM_CORPUS_KEEP")
        folder = Path(keep) if keep else folder
        oracle = folder / "oracle.so"
        flags = ["-O2", "-g", "-fPIC", "-shared", "-static-libgcc"]
        subprocess.run(["gcc", *flags, "-o", oracle, CORPUS / "sites/oracle.c"], check=True)
        cases = list(leaks(chosen))
        expect(cases and (chosen or len(cases) == 26), f"26 cases in the manifest, not {len(cases)}")
        with ThreadPoolExecutor(AT_ONCE) as pool:
            jobs = [pool.submit(watch, case, mode, folder, oracle) for mode in MODES for case in cases]
            results = [job.result() for job in jobs]
    failures = [result for result in results if isinstance(result, str)]
    results = [result for result in results if not isinstance(result, str)]
    table(results)
    for mode in MODES:
        of_mode = [r for r in results if r["mode"] == mode]
        missed = [r["case"] for r in of_mode if not r["rank"] or r["rank"] > FOREMOST]
        off = [r["case"] for r in of_mode if not (math.isnan(r["truth"]) or abs(r["error"]) <= r["allowed"])]
        print(f"{mode}: {len(of_mode) - len(missed)} of {len(cases)} found; missed {missed}; rates off {off}")
        if len(missed) > MISSES:
            failures.append(f"{mode}: the function among the first {FOREMOST} stacks, not missed in {missed}")
        if off:
            failures.append(f"{mode}: rates as the oracle's, not off in {off}")
    expect(not failures, "; ".join(failures))


if __name__ == "__main__":
    main()
