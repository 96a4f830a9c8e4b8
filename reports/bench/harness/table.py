"""The results as a Markdown table, as JSON, and the part of README.md that is made from them."""

import datetime
import json
import os
import platform
import re
import subprocess
from dataclasses import asdict
from pathlib import Path

from . import process, workloads
from .recorders import Recorder
from .targets import TARGETS, Results

BEGIN = "<!-- Written by reports/bench/run --save, from here to the end. -->\n"


def number(value):
    """Three significant digits, which is more than the spread allows."""
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}" if abs(value) >= 10 else f"{value:.2f}"


def rows(results):
    """A (target, figure or None) for each row of which at least the program was asked for."""
    return [(target, target.figure(results)) for target in TARGETS]


def markdown(found):
    """The table of floors, goals and what was reached."""
    lines = ["| what | floor | goal | reached | middle half, runs | |", "| --- | ---: | ---: | ---: | --- | --- |"]
    for target, figure in found:
        unit = f" {target.unit}" if target.unit else ""
        bounds = [number(bound) if bound is not None else "" for bound in (target.floor, target.goal)]
        if figure is None:
            cells = ["not measured", "", ""]
        else:
            spread = f"{number(figure.low)} to {number(figure.high)}, {figure.runs}" if figure.runs > 1 else "1"
            cells = [number(figure.value) + unit, spread, target.reached(figure)]
        lines.append("| " + " | ".join([target.what, *bounds, *cells]) + " |")
    return "\n".join(lines) + "\n"


def medians(results):
    """CPU seconds and peak memory of each program under each recorder."""
    lines = ["| program | recorder | CPU, median s | least to most | runs | peak RSS, MiB |",
             "| --- | --- | ---: | --- | ---: | ---: |"]  # fmt: skip
    for workload, recorders in results.runs.items():
        for recorder, usages in recorders.items():
            cpu = sorted(usage.cpu for usage in usages)
            peak = max(usage.peak for usage in usages) / (1 << 20)
            lines.append(
                f"| {workload} | {recorder.value} | {cpu[len(cpu) // 2]:.3f} | {cpu[0]:.3f} to {cpu[-1]:.3f} "
                f"| {len(cpu)} | {peak:.0f} |"
            )
    return "\n".join(lines) + "\n"


def surroundings(root, loads):
    """What the figures were measured on; nothing that names the machine or its user."""

    def first(pattern, *command):
        try:
            done = subprocess.run(command, capture_output=True, text=True)
        except OSError:
            return "missing"
        found = re.search(pattern, done.stdout + done.stderr)
        return found[1] if found else "missing"

    model = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    kilobytes = int(re.search(r"^MemTotal:\s*(\d+)", Path("/proc/meminfo").read_text(), re.MULTILINE)[1])
    version = r"(\d+\.[\d.]+)"
    commit = process.text_of(["git", "rev-parse", "--short", "HEAD"], cwd=root).strip()
    sources = ["crates/memtide-shim", "crates/memtide-unwind", "crates/memtide-region"]
    if process.text_of(["git", "status", "--porcelain", "--", *sources], cwd=root).strip():
        commit += " with changes"
    return {
        "date": datetime.date.today().isoformat(),
        "memtide": commit,
        "processor": f"{model[1] if model else platform.machine()}, {os.cpu_count()} cores",
        "memory": f"{kilobytes / (1 << 20):.0f} GiB",
        "kernel": platform.release(),
        "libc": os.confstr("CS_GNU_LIBC_VERSION"),
        "heaptrack": first(version, "heaptrack", "--version"),
        "redis": first(r"v=([\d.]+)", "redis-server", "--version"),
        "python": first(version, workloads.python(), "--version"),
        "gcc": first(r"\) " + version, "gcc", "--version"),
        "rustc": first(version, "rustc", "--version"),
        "valgrind": first(version, "valgrind", "--version"),
        "binutils": first(version, "addr2line", "--version"),
        "load average at the start and the end": " and ".join(f"{load:.1f}" for load in loads),
    }


def as_json(results, where, command):
    """Everything that was measured, run by run."""
    runs = {
        workload: {recorder.value: [asdict(usage) for usage in usages] for recorder, usages in recorders.items()}
        for workload, recorders in results.runs.items()
    }
    whole = {
        "command": command,
        "surroundings": where,
        "units": {"cpu": "s", "whole": "s", "peak": "bytes"},
        "recorded": results.recorded,
        "failures": results.failures,
        "runs": runs,
        "singles": results.singles,
    }
    return json.dumps(whole, indent=1) + "\n"


def load(folder):
    """What `save` wrote: the results, where they were measured, and by which command."""
    whole = json.loads((folder / "results.json").read_text())
    results = Results()
    results.runs = {
        workload: {
            Recorder(name): [process.Usage(**usage) for usage in usages] for name, usages in recorders.items()
        }
        for workload, recorders in whole["runs"].items()
    }
    results.singles, results.recorded = whole["singles"], whole["recorded"]
    results.failures = whole["failures"]
    return results, whole["surroundings"], whole["command"]


def page(found, results, where, command):
    """What is put below the mark in README.md."""
    about = "\n".join(f"* {name}: {value}" for name, value in where.items())
    failures = "".join(f"* {failure}\n" for failure in results.failures)
    return (
        f"{BEGIN}\n## What was reached\n\nMade by `{command}`.\n\n{markdown(found)}\n"
        + (f"What failed:\n\n{failures}\n" if failures else "")
        + f"### Where\n\n{about}\n\n### The medians behind it\n\n{medians(results)}"
    )


def save(folder, found, results, where, command):
    """Writes README.md's last part and results.json."""
    readme = folder / "README.md"
    head = readme.read_text().partition(BEGIN)[0]
    readme.write_text(head + page(found, results, where, command))
    (folder / "results.json").write_text(as_json(results, where, command))
