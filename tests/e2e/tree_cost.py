#!/usr/bin/env python3
"""What watching a tree of 500 processes costs at 1 Hz, with PSS of each every half minute: under 3 % of a core."""

import json
import subprocess
import sys
import time

from harness import MEMTIDE, expect, need, running, scratch

SECONDS = 65
PROCESSES = 500

need("sh", "sleep")
script = f"i=0; while [ $i -lt {PROCESSES} ]; do sleep 300 & i=$((i+1)); done; echo ready; trap 'kill $(jobs -p)' EXIT; trap exit TERM; wait"
with scratch() as folder:
    with running(["sh", "-c", script], stdout=subprocess.PIPE) as tree:
        expect(tree.stdout.readline() == b"ready\n", "the tree to get ready")
        time.sleep(1)
        command = [MEMTIDE, "attach", tree.pid, "--children", "--for", f"{SECONDS}s", "-q", "-o", "r.memtide", "--json", "r.json"]
        subprocess.run([str(part) for part in command], cwd=folder, stdin=subprocess.DEVNULL, check=True)
    report = json.loads((folder / "r.json").read_text())
    whole = report["tree"]
    expect(whole["processes"] == PROCESSES + 1, f"all of the tree, not {whole}")
    expect(whole["pss_bytes"], f"the PSS of each: {whole}")
    cpu = report["recording"]["cost_cpu_seconds"] / report["recording"]["seconds"]
    print(f"{cpu:.2%} of a core for {whole['processes']} processes, forks told by {whole['engine']}")
    expect(cpu < 0.03, f"under 3 % of a core, not {cpu:.2%}")
sys.exit(0)
