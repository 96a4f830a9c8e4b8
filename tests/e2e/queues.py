#!/usr/bin/env python3
"""A program that makes POSIX queues and never unlinks them gets that verdict, with their names and their rate."""

import json
import os
import subprocess
import sys
import time

from harness import MEMTIDE, ROOT, expect, need, scratch, skip

# 6 per second for 30 s are 180 queues: of those the kernel lets a user have about 350 (RLIMIT_MSGQUEUE).
RATE = 6
SECONDS = 30
# A mount namespace of its own: nothing is mounted that others see.
MOUNTED = 'mkdir -p /dev/mqueue && mount -t mqueue none /dev/mqueue && exec "$@"'
QUIET = [f"{kind}=0" for kind in ("queues", "open", "segments", "attached", "doomed", "sets", "lists", "files", "deleted",
                                  "memfds")]


def watched(folder):
    """What memtide said and ended with, and how many queues per second the program says that it made."""
    program = [ROOT / "fixtures/processes/bin/objects", *QUIET, f"rate={RATE}", "size=4096"]
    watch = [MEMTIDE, "run", "--for", f"{SECONDS}s", "--every", "250ms", "-o", folder / "q.memtide", "--json",
             folder / "q.json", "-q", "--", *program]
    command = ["unshare", "--mount", "--ipc", "sh", "-c", MOUNTED, "sh", *watch]
    # Its input stays open: its end is the program's.
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "bufsize": 1}
    with subprocess.Popen([str(part) for part in command], **pipes) as process:
        try:
            if not process.stdout.readline().startswith("READY"):
                return process.communicate()[1], process.returncode, 0
            began = time.monotonic()
            time.sleep(SECONDS - 3)
            process.stdin.write("count\n")
            truth = json.loads(process.stdout.readline().removeprefix("COUNT "))
            rate = len(truth["queues"]) / (time.monotonic() - began)
            said = process.stderr.read()
            return said, process.wait(SECONDS + 60), rate
        finally:
            process.kill()


def main():
    need("unshare", "gcc")
    if os.geteuid() != 0:
        skip("mounting the queues' filesystem needs root")
    subprocess.run([ROOT / "fixtures/processes/build", "-q", "objects"], check=True)
    with scratch() as folder:
        said, code, made = watched(folder)
        if "mqueue" in said and "mount" in said:
            skip(f"queues cannot be mounted here: {said.strip()}")
        expect(code == 124, f"the time to be up, not {code}:\n{said}")
        report = json.loads((folder / "q.json").read_text())
        verdict = report["verdict"]
        print(f"{verdict['kind']}: {verdict['summary']}")
        expect(verdict["kind"] == "queue_leak", f"a queue leak: {verdict}")
        expect("queues-*" in verdict["summary"], f"the queues to be named: {verdict['summary']}")
        row = next((row for row in report["counts"] if row["count"] == "queues" and not row["group"]), None)
        expect(row, f"a row of the queues: {report['counts']}")
        rate = row["per_second"]
        print(f"{rate:.2f} queues per second, truth {made:.2f}")
        expect(abs(rate / made - 1) < 0.05, f"{made} queues per second, not {rate}")


if __name__ == "__main__":
    sys.exit(main())
