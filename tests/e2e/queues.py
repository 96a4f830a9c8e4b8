#!/usr/bin/env python3
"""A program that makes POSIX queues and never unlinks them gets that verdict, with their names and their rate."""

import json
import os
import subprocess
import sys

from harness import MEMTIDE, ROOT, expect, need, scratch, skip

RATE = 8
SECONDS = 32
# A mount namespace of its own: nothing is mounted that others see.
MOUNTED = 'mkdir -p /dev/mqueue && mount -t mqueue none /dev/mqueue && exec "$@"'


def main():
    need("unshare", "gcc")
    if os.geteuid() != 0:
        skip("mounting the queues' filesystem needs root")
    subprocess.run([ROOT / "fixtures/processes/build", "-q", "objects"], check=True)
    with scratch() as folder:
        quiet = [f"{kind}=0" for kind in ("queues", "open", "segments", "attached", "doomed", "sets", "lists", "files",
                                          "deleted", "memfds")]
        program = [ROOT / "fixtures/processes/bin/objects", *quiet, f"rate={RATE}"]
        watch = [MEMTIDE, "run", "--for", f"{SECONDS}s", "--every", "250ms", "-o", folder / "q.memtide", "--json",
                 folder / "q.json", "-q", "--", *program]
        command = ["unshare", "--mount", "--ipc", "sh", "-c", MOUNTED, "sh", *watch]
        # Its input stays open: its end is the program's.
        with subprocess.Popen([str(part) for part in command], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
                              stderr=subprocess.PIPE, text=True) as process:
            try:
                said = process.stderr.read()
                code = process.wait(SECONDS + 60)
            finally:
                process.kill()
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
        expect(abs(rate / RATE - 1) < 0.1, f"{RATE} queues per second, not {rate}")


if __name__ == "__main__":
    sys.exit(main())
