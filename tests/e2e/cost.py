#!/usr/bin/env python3
"""What `attach` costs at 1 Hz on an ordinary process (50 mappings, 10 threads): CPU, memory, and file."""

import json
import os
import subprocess
import sys
import time

from harness import MEMTIDE, ROOT, expect, memtide, need, scratch

need("cc")
SECONDS = 120 if os.environ.get("MEMTIDE_LONG") else 40

with scratch() as folder:
    source = ROOT / "crates/memtide/tests/targets/target.c"
    subprocess.run(["cc", "-O1", "-pthread", "-o", folder / "target", source], check=True)
    target = subprocess.Popen([folder / "target", "many", "20", "10"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        expect(target.stdout.readline() == b"ready\n", "the target to get ready")
        command = [MEMTIDE, "attach", str(target.pid), "--for", f"{SECONDS}s", "-q", "-o", "r.memtide", "--json", "r.json"]
        recorder = subprocess.Popen(command, cwd=folder, stdin=subprocess.DEVNULL)
        highest = 0
        while recorder.poll() is None:
            try:
                status = open(f"/proc/{recorder.pid}/status").read()
                highest = max(highest, *(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")))
            except (OSError, TypeError, ValueError):
                pass  # It has just ended.
            time.sleep(0.1)
        expect(recorder.returncode == 0, f"an end with 0, not {recorder.returncode}")
    finally:
        target.kill()
        target.wait()
    report = json.loads((folder / "r.json").read_text())
    counts = {row["count"]: row["end"] for row in report["counts"] if row["group"] is None}
    expect(40 <= counts["mappings"] <= 80 and counts["threads"] == 10, f"an ordinary target, not {counts}")
    cpu = report["recording"]["cost_cpu_seconds"] / report["recording"]["seconds"]
    size = (folder / "r.memtide").stat().st_size
    print(f"{cpu:.3%} of a core, {highest / 1024:.1f} MiB, {size} bytes in {SECONDS} s")
    expect(cpu < 0.003, f"under 0.3 % of a core, not {cpu:.2%}")
    expect(highest < 20 * 1024, f"under 20 MiB of memory, not {highest} KiB")
sys.exit(0)
