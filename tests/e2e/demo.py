#!/usr/bin/env python3
"""`memtide demo KIND` for all kinds at once: each is named, the leak and the fragmentation by looking into the heap."""

import json
import subprocess
from concurrent.futures import ThreadPoolExecutor

from harness import expect, memtide, scratch

EXPECTED = {
    "threads": "thread_leak",
    "cache": "plateau",
    "leak": "heap_leak",
    "fragmentation": "fragmentation",
}


def explained(kind, report, folder):
    """`report FILE --explain` tells how the verdict came about, in text and as JSON."""
    text, _ = memtide("report", f"{kind}.memtide", "--explain", folder=folder)
    flat = " ".join(text.split())
    expect("How this was decided" in flat, f"--explain to print the reasoning of demo {kind}")
    for step in report["reasoning"]["steps"]:
        expect(step["question"] in flat, f"--explain of demo {kind} to ask {step['question']!r}")
    last = report["reasoning"]["steps"][-1]
    expect(last["verdict"] == report["verdict"]["kind"], f"the last step of demo {kind} to be the verdict, not {last}")
    short, _ = memtide("report", f"{kind}.memtide", folder=folder)
    expect("How this was decided" not in short, "the reasoning to be printed on demand only")
    again, _ = memtide("report", f"{kind}.memtide", "--explain", "--json", "-", folder=folder)
    expect(json.loads(again)["reasoning"] == report["reasoning"], f"the same reasoning from the recording of demo {kind}")


def check(kind, folder):
    memtide("demo", kind, "-o", f"{kind}.memtide", "--json", f"{kind}.json", folder=folder)
    report = json.loads((folder / f"{kind}.json").read_text())
    verdict = report["verdict"]
    wanted = EXPECTED[kind]
    expect(verdict["kind"] == wanted, f"demo {kind} to be {wanted}, not {verdict['kind']}: {verdict['summary']}")
    for extension in ("memtide", "html", "png"):
        path = folder / f"{kind}.{extension}"
        expect(path.stat().st_size > 5000, f"demo {kind} to write {path.name}")
    explained(kind, report, folder)
    pid = report["target"]["pid"]
    gone = subprocess.run(["ps", "-p", str(pid)], stdout=subprocess.DEVNULL, check=False).returncode
    expect(gone != 0, f"the suspect, pid {pid}, to be gone after the demo")
    return f"demo {kind}: {verdict['kind']}, {verdict['summary']}"


with scratch() as folder, ThreadPoolExecutor() as pool:
    for line in pool.map(lambda kind: check(kind, folder), EXPECTED):
        print(line)
