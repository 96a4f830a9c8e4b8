#!/usr/bin/env python3
"""Shared memory that grows, mapped or not, gets its verdict with what it is called and its own rate."""

import json
import subprocess
import sys
import time

from harness import MEMTIDE, ROOT, expect, need, running, scratch

SECONDS = 40
RATE = 2e6
# Kind of the corpus's program, and what its verdict must name.
KINDS = {
    0: "files like /dev/shm/corpus-*-*",
    1: "memfds called segment",
    2: "System V segments",
    3: "files like /dev/shm/corpus-*-*",
}


def main():
    need("gcc")
    with scratch() as folder:
        subprocess.run([ROOT / "fixtures/corpus/build", "-q", "-o", folder, "shm_leak"], check=True)
        for kind, name in KINDS.items():
            with running([folder / "shm_leak", f"rate={RATE}", "size=262144", f"kind={kind}", "seconds=300"]) as process:
                time.sleep(1)
                command = [MEMTIDE, "attach", process.pid, "--for", f"{SECONDS}s", "--quiet", "--json", "-"]
                done = subprocess.run(
                    [str(part) for part in command], cwd=folder, capture_output=True, text=True, timeout=SECONDS + 60, check=True
                )
            verdict = json.loads(done.stdout)["verdict"]
            print(f"kind {kind}: {verdict['kind']}: {verdict['summary']}")
            expect(verdict["kind"] == "shm_leak", f"a leak of shared memory: {verdict}")
            expect(name in verdict["summary"], f"{name} to be named: {verdict['summary']}")
            rate = verdict["evidence"][0]["value"]
            expect(abs(rate / RATE - 1) < 0.08, f"{RATE} bytes per second, not {rate}")


if __name__ == "__main__":
    sys.exit(main())
