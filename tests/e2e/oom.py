#!/usr/bin/env python3
"""OOM kills: explained from logs of old and new kernels, and, where a control group may be made, from one of this check's own."""

import contextlib
import json
import os
import shutil
import subprocess
import time
from pathlib import Path

from harness import MEMTIDE, ROOT, expect, need, scratch

LOGS = ROOT / "crates/memtide-oom/tests/logs"
LIMIT = 64 << 20

# Of each log: names that were killed, newest first, and words that the explanation must hold.
EXPECTED = {
    "6.18-v1-this-machine.kmsg": (["leaky"], ["limit of 64.0 MiB of control group /memtide-oom-fixture"]),
    "3.10-el7-memcg.syslog": (["memcg_process"], ["limit of 20.0 MiB of control group /jobs"]),
    "4.9-host.dmesg": (["java"], ["the machine was out of memory", "mysqld (pid 1207)"]),
    "4.18-el8-memcg.syslog": (["python3"], ["oom_score_adj of 992"]),
    "5.10-order3.syslog": (["named"], ["killed with 512 MiB free because order 3 was asked for"]),
    "5.15-v2-group.kmsg": (["worker-3", "worker (2), a", "worker-1"], ["memory.oom.group"]),
    "6.8-v2-two-at-once.kmsg": (["beta", "alpha"], ["control group /a was reached", "control group /b was reached"]),
}

LEAK = r"""
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
int main(void) {
    char line[8];
    if (!fgets(line, sizeof line, stdin)) return 2;
    for (;;) { char *p = malloc(1 << 20); memset(p, 1, 1 << 20); usleep(20000); }
}
"""


def ps_oom(*arguments, folder):
    done = subprocess.run(
        [MEMTIDE, "ps", "--oom", *map(str, arguments)], cwd=folder, capture_output=True, text=True, timeout=120, check=False
    )
    expect(done.returncode in (0, 1), f"ps --oom to end with 0 or 1, not {done.returncode}: {done.stderr}")
    return done


def from_logs(folder):
    for name, (killed, words) in EXPECTED.items():
        shown = ps_oom("--log", LOGS / name, folder=folder)
        flat = " ".join(shown.stdout.split())
        expect(shown.returncode == 1, f"{name}: exit code 1, for kills were found")
        for word in words:
            expect(word in flat, f"{name}: {word!r} in: {flat}")
        report = json.loads(ps_oom("--log", LOGS / name, "--json", "-", folder=folder).stdout)
        expect(report["schema"] == "memtide.oom/1", f"{name}: the schema, not {report['schema']}")
        names = [kill["name"] for kill in report["kills"]]
        expect(names == killed, f"{name}: {killed} to be killed, not {names}")
        for kill in report["kills"]:
            expect(kill["advice"] and kill["headline"] in flat, f"{name}: advice, and the same headline in both")
    quiet = folder / "quiet.log"
    quiet.write_text("Nov 21 15:48:47 host kernel: all is well\n")
    expect(ps_oom("--log", quiet, folder=folder).returncode == 0, "exit code 0 where nobody was killed")
    hidden = ps_oom("--log", LOGS / "4.9-host.dmesg", "--redact", "--json", "-", folder=folder).stdout
    expect("java" not in hidden and "mysqld" not in hidden, "--redact to leave no name")
    for name, start in {"damaged.gz": b"\x1f\x8bnot really gzipped", "other.xz": b"\xfd7zXZ\0\0\x04"}.items():
        (folder / name).write_bytes(start)
        unread = subprocess.run(
            [MEMTIDE, "ps", "--oom", "--log", name], cwd=folder, capture_output=True, text=True, check=False
        )
        said = unread.stdout + unread.stderr
        expect(unread.returncode == 2 and name in said, f"code 2 and the name, no all-clear: {unread.returncode} {said}")
    missing = subprocess.run(
        [MEMTIDE, "ps", "--oom", "--log", "nowhere.log"], cwd=folder, capture_output=True, text=True, check=False
    )
    expect(missing.returncode == 2 and "nowhere.log" in missing.stderr, f"code 2 and the name: {missing.stderr}")
    print(f"{len(EXPECTED)} logs of kernels 3.10 to 6.18: {sum(len(k) for k, _ in EXPECTED.values())} kills, all named")


def why_no_group():
    if os.geteuid() != 0:
        return "it needs root"
    if Path("/proc/sys/vm/panic_on_oom").read_text().strip() != "0":
        return "vm.panic_on_oom is not 0"
    if not Path("/sys/fs/cgroup/memory/memory.limit_in_bytes").exists():
        return "there is no memory controller of version 1"
    return None


@contextlib.contextmanager
def group():
    directory = Path(f"/sys/fs/cgroup/memory/memtide-e2e-{os.getpid()}")
    directory.mkdir()
    try:
        (directory / "memory.limit_in_bytes").write_text(str(LIMIT))
        with contextlib.suppress(OSError):
            (directory / "memory.memsw.limit_in_bytes").write_text(str(LIMIT))
        yield directory
    finally:
        # Who was killed leaves the group a moment later.
        for _ in range(100):
            with contextlib.suppress(OSError):
                directory.rmdir()
                return
            time.sleep(0.05)


def attach(pid, name, folder):
    """memtide watching a process, once it does."""
    files = ["-o", f"{name}.memtide", "--json", f"{name}.json"]
    watch = subprocess.Popen([MEMTIDE, "attach", str(pid), "--every", "100ms", *files, "--quiet"], cwd=folder)
    until = time.monotonic() + 30
    while not (folder / f"{name}.memtide").exists() and time.monotonic() < until:
        time.sleep(0.05)
    return watch


def ended(watch, name, folder):
    expect(watch.wait(60) == 0, f"attach to {name} to end with its target")
    return json.loads((folder / f"{name}.json").read_text())["ended"]


def live(folder):
    why = why_no_group()
    if why:
        print(f"skipped: a kill of this check's own: {why}")
        return
    need("cc")
    (folder / "leak.c").write_text(LEAK)
    subprocess.run(["cc", "-O1", "-o", folder / "leak", folder / "leak.c"], check=True)
    with group() as directory:
        leak = subprocess.Popen([folder / "leak"], stdin=subprocess.PIPE)
        neighbour = subprocess.Popen(["sleep", "600"])
        for process in (leak, neighbour):
            (directory / "cgroup.procs").write_text(str(process.pid))
        watch, beside = attach(leak.pid, "leak", folder), attach(neighbour.pid, "neighbour", folder)
        leak.stdin.write(b"go\n")
        leak.stdin.close()
        killed = ended(watch, "leak", folder)
        leak.wait()
        # Its group's counter has just risen; but it was this check that ended it.
        neighbour.kill()
        spared = ended(beside, "neighbour", folder)
        neighbour.wait()
    expect(killed["oom"] == "proven", f"the kill to be proven, not {killed}")
    told = ps_oom("--since", "10m", "--json", "-", folder=folder)
    kills = [kill for kill in json.loads(told.stdout)["kills"] if kill["pid"] == leak.pid]
    readable = os.access("/dev/kmsg", os.R_OK)
    if readable and os.readlink("/proc/self/ns/pid") == "pid:[4026531836]":
        expect(spared["oom"] == "no", f"the neighbour's end to be none of the OOM killer's, not {spared}")
    if readable:
        expect(len(kills) == 1, f"the kill of pid {leak.pid} once in the log, not {len(kills)} times")
        age = time.time() - kills[0]["wall_ns"] / 1e9
        expect(0 <= age < 120, f"it to be of just now, not {age:.0f} s old")
        expect(kills[0]["group"] == f"/{directory.name}", f"its group, not {kills[0]['group']}")
        expect(kills[0]["group_now"] is None, "the group to be gone")
    print(f"a kill of this check's own: {killed}, {kills[0]['headline'] if kills else 'kernel log not readable'}")


with scratch() as folder:
    expect(shutil.which(MEMTIDE) or Path(MEMTIDE).exists(), f"{MEMTIDE} to be built")
    from_logs(folder)
    live(folder)
