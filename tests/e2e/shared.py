#!/usr/bin/env python3
"""Shared memory that grows, mapped or not, gets its verdict with what it is called and its own rate."""

import contextlib
import json
import subprocess
import sys
import time

from harness import MEMTIDE, ROOT, expect, need, running, scratch

SECONDS = 40
RATE = 2e6
# Kinds of the corpus's program that are watched at once, and what their verdicts must name. The last leaves files that
# nobody maps; they count by their owner, who is that of the first kind's files, too.
ROUNDS = [
    {0: "files like /dev/shm/corpus-*-*", 1: "memfds called segment", 2: "System V segments"},
    {3: "files like /dev/shm/corpus-*-*"},
]


def watched(kinds, folder):
    """The verdict on each kind."""
    with contextlib.ExitStack() as stack:
        leaks = [[folder / "shm_leak", f"rate={RATE}", "size=262144", f"kind={kind}", "seconds=300"] for kind in kinds]
        leaks = [stack.enter_context(running(leak)) for leak in leaks]
        time.sleep(1)
        watch = [MEMTIDE, "attach", "--for", f"{SECONDS}s", "--quiet", "--json", "-"]
        pipe = {"stdout": subprocess.PIPE, "text": True, "cwd": folder}
        lenses = [stack.enter_context(running([*watch, leak.pid], **pipe)) for leak in leaks]
        said = [lens.communicate(timeout=SECONDS + 40)[0] for lens in lenses]
    return [json.loads(text)["verdict"] for text in said]


def main():
    need("gcc")
    with scratch() as folder:
        subprocess.run([ROOT / "fixtures/corpus/build", "-q", "-o", folder, "shm_leak"], check=True)
        rounds = [zip(kinds.items(), watched(kinds, folder)) for kinds in ROUNDS]
        for (kind, name), verdict in (one for some in rounds for one in some):
            print(f"kind {kind}: {verdict['kind']}: {verdict['summary']}")
            expect(verdict["kind"] == "shm_leak", f"a leak of shared memory: {verdict}")
            expect(name in verdict["summary"], f"{name} to be named: {verdict['summary']}")
            rate = verdict["evidence"][0]["value"]
            expect(abs(rate / RATE - 1) < 0.08, f"{RATE} bytes per second, not {rate}")


if __name__ == "__main__":
    sys.exit(main())
