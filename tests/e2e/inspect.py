#!/usr/bin/env python3
"""The heap of running programs, from outside: a leak and fragmentation are told apart, a class is named, a refusal is a sentence."""

import json
import os
import shutil
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

from harness import MEMTIDE, ROOT, attach, expect, memtide, need, running, scratch

CORPUS = ROOT / "fixtures/corpus/bin"
SERVER = ROOT / "crates/memtide-inspect/tests/targets/leaky_server.cpp"
# As the corpus runs and labels them, and where the growth must lie.
CASES = {
    "leak_small": (["rate=500000", "size=120", "dur=60"], "heap_leak", (0.9, 1.1)),
    "frag_interleave": (["rate=300", "dur=60"], "fragmentation", (-0.1, 0.1)),
}


def told_apart(name, folder):
    arguments, wanted, (low, high) = CASES[name]
    with running([CORPUS / name, *arguments]) as target:
        report = attach(target.pid, "--for", "20s", "-o", f"{name}.memtide", folder=folder)
    verdict = report["verdict"]
    expect(verdict["kind"] == wanted, f"{name} to be {wanted}, not {verdict}")
    heap = report["heap"]
    expect(heap["conclusive"], f"{name}: a conclusive snapshot, not {heap['doubts']}")
    expect(heap["snapshots"] >= 2, f"{name}: two snapshots or more in 20 s, not {heap['snapshots']}")
    growth = heap["live_growth_bytes"] + heap["retained_growth_bytes"]
    share = heap["live_growth_bytes"] / growth
    expect(low <= share <= high, f"{name}: a live share of the growth from {low} to {high}, not {share:.3f}")
    facts = [row for row in verdict["evidence"] if row["account"] in ("heap_live", "heap_retained")]
    expect(facts, f"{name}: evidence about the heap's accounts, not {verdict['evidence']}")
    expect("inspect" in report["recording"]["lenses"], f"{name}: the lens among {report['recording']['lenses']}")
    return f"{name}: {verdict['kind']} {verdict['confidence']:.2f}, live share {share:.2f}: {facts[0]['fact']}"


def class_named(folder):
    server = folder / "server"
    subprocess.run(["g++", "-O2", "-pthread", "-s", "-o", server, SERVER], check=True)
    # It ends with its standard input.
    with running([server, 200], stdin=subprocess.PIPE) as target:
        # Until all its requests are open for the first time, those grow, too.
        time.sleep(5)
        text, _ = memtide("inspect", target.pid, "--interval", "5s", "--json", "report.json", folder=folder)
        report = json.loads((folder / "report.json").read_text())
    first = report["classes"][0]
    expect("Session" in first["name"], f"the class that leaks first, not {report['classes'][:3]}")
    expect(first["growth_count"] > 100 and first["growth_bytes"] > 0, f"its growth, not {first}")
    expect(first["name"] in text, f"its name in the text:\n{text}")
    return f"{first['name']}: +{first['growth_count']} in 5 s"


def refused(folder):
    if os.geteuid() != 0 or not shutil.which("setpriv"):
        return "refusals: only seen as root, with setpriv"
    with running(["sleep", "30"]) as target:
        command = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", MEMTIDE, "inspect", str(target.pid)]
        done = subprocess.run(command, cwd="/", capture_output=True, text=True, timeout=20, check=False)
    expect(done.returncode == 2, f"a refusal to end with 2, not {done.returncode}")
    expect("sudo" in done.stderr and str(target.pid) in done.stderr, f"the remedy, not {done.stderr!r}")
    expect(done.stderr.count("\n") == 1, f"one line, not {done.stderr!r}")
    return f"refused: {done.stderr.strip()}"


need("gcc", "g++")
with scratch() as folder, ThreadPoolExecutor() as pool:
    for line in pool.map(lambda name: told_apart(name, folder), CASES):
        print(line)
    print(class_named(folder))
    print(refused(folder))
