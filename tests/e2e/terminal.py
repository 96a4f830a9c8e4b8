#!/usr/bin/env python3
"""On a real, small terminal: live progress on one line, Ctrl-C, and a terminal that is closed."""

import json
import subprocess
import time
import uuid

from harness import MEMTIDE, expect, memtide, need, running, scratch, until

need("tmux")
SOCKET = f"memtide-{uuid.uuid4().hex[:8]}"  # A tmux of this check's own.
COLUMNS = 60


def tmux(*arguments):
    done = subprocess.run(["tmux", "-L", SOCKET, *arguments], capture_output=True, check=False)
    return done.stdout.decode(errors="replace")


def screen():
    return tmux("capture-pane", "-p", "-J", "-t", "it")


def recording(folder):
    return next(iter(folder.glob("*.memtide")), None)


def check(folder, pid):
    command = f"cd {folder} && {MEMTIDE} attach {pid} --every 100ms; echo ended with $?"
    tmux("new-session", "-d", "-s", "it", "-x", str(COLUMNS), "-y", "30", "sh")
    tmux("send-keys", "-t", "it", command, "Enter")
    until(lambda: "too early" in screen(), "a live line that says \"too early\"", 30)
    live = [line for line in screen().splitlines() if "too early" in line]
    expect(len(live) == 1, f"one live line that is rewritten, not {len(live)}")
    expect("leak" not in live[0], f"no word of a leak so early: {live[0]}")
    tmux("send-keys", "-t", "it", "C-c")
    until(lambda: "ended with 0" in screen(), f"an end with 0 after Ctrl-C:\n{screen()}", 30)
    shown = tmux("capture-pane", "-p", "-S", "-200", "-t", "it")
    expect("TOTAL = RSS" in shown, f"the ledger after Ctrl-C:\n{shown}")
    expect(recording(folder) is not None, "a recording in the folder")


def check_closed(folder, pid):
    tmux("send-keys", "-t", "it", "clear", "Enter")
    until(lambda: "too early" not in screen(), "a clear screen", 10)
    tmux("send-keys", "-t", "it", f"cd {folder} && exec {MEMTIDE} attach {pid} --every 100ms", "Enter")
    until(lambda: "too early" in screen(), "a second recording", 30)
    # The terminal goes away under it: SIGHUP, and every write to it fails.
    tmux("kill-server")
    time.sleep(1.5)
    until(lambda: not list(folder.glob("*.memtide-wal")), "a clean end: one file and no side files", 20)
    output, _ = memtide("report", recording(folder), "--json", "-", "-q", folder=folder)
    events = json.loads(output)["events"]
    expect(any("SIGHUP" in event["text"] for event in events), f"the signal among the events: {events}")


try:
    with running(["sleep", "300"]) as target:
        with scratch() as folder:
            check(folder, target.pid)
        with scratch() as folder:
            check_closed(folder, target.pid)
finally:
    tmux("kill-server")
