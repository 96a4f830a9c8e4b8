#!/usr/bin/env python3
"""Leaks beside the heap, by real programs: descriptors of each kind, segments, and threads never joined get their
verdict, with the target named and its rate within 5 % of what the program itself says."""

import contextlib
import json
import subprocess

from harness import MEMTIDE, ROOT, expect, need, running, scratch

SECONDS = 40
FIXTURES = ROOT / "fixtures/processes"
# Kind of the fixture, and what the row of its target begins and ends with ($: the target that it names).
KINDS = {
    "file": ("file $", ""),
    "files": ("file /", "/job-*.dat"),
    "deleted": ("deleted $", ""),
    "tcp": ("tcp $", "CLOSE_WAIT"),
    "unix": ("unix", ""),
    "pipe": ("pipe with both ends here", ""),
    "eventfd": ("eventfd", ""),
    "epoll": ("epoll", ""),
    "timerfd": ("anon_inode timerfd", ""),
    "inotify": ("anon_inode inotify", ""),
    "memfd": ("memfd $", ""),
}
THREADS = r"""
#include <pthread.h>
#include <poll.h>
#include <stdio.h>
#include <unistd.h>
static void *end(void *unused) { return unused; }
int main(void) {
  pthread_attr_t attr;
  pthread_attr_init(&attr);
  pthread_attr_setstacksize(&attr, 1 << 18);
  for (int made = 0;; made++) {
    pthread_t thread;
    if (pthread_create(&thread, &attr, end, 0)) return 1;
    struct pollfd input = {0, POLLIN, 0};
    if (poll(&input, 1, 200) > 0) { printf("%d\n", made + 1); return 0; }
  }
}
"""


def attach(process):
    command = [MEMTIDE, "attach", str(process.pid), "--for", f"{SECONDS}s", "--quiet", "--json", "-"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def report(watcher):
    output, _ = watcher.communicate(timeout=SECONDS + 60)
    return json.loads(output)


def fixture(stack, *command):
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "bufsize": 1}
    process = stack.enter_context(running(command, **pipes))
    truth = json.loads(process.stdout.readline().removeprefix("READY "))
    return process, truth


def count(process):
    process.stdin.write("count\n")
    return json.loads(process.stdout.readline().removeprefix("COUNT "))


def check_descriptors(kind, process, truth, found):
    made = count(process)
    rate = made["calls"] * truth["each"] / made["seconds"]
    start, end = (part.replace("$", truth["target"]) for part in KINDS[kind])
    rows = [row for row in found["counts"] if row["count"] == "fds" and row["group"]]
    rows = [row for row in rows if row["group"].startswith(start) and row["group"].endswith(end)]
    expect(rows, f"a row of {start} for {kind} among {found['counts']}")
    seen = max(row["per_second"] for row in rows)
    print(f"{kind}: {max(rows, key=lambda row: row['per_second'])['group']}: {seen:.2f} per second, truth {rate:.2f}")
    expect(abs(seen / rate - 1) < 0.05, f"{rate} per second of {kind}, not {seen}")
    verdict = found["verdict"]
    expect(verdict["kind"] == "fd_leak", f"fd_leak of {kind}, not {verdict}")
    expect("mostly" in verdict["summary"], f"a target of {kind} in the sentence {verdict['summary']}")


def check_threads(process, found):
    summary = found["verdict"]["summary"]
    print(f"threads: {summary}")
    expect(found["verdict"]["kind"] == "thread_leak", f"thread_leak, not {found['verdict']}")
    expect("ended and were never joined" in summary, f"the number of threads in {summary}")
    made = int(process.communicate("end\n", timeout=10)[0])
    seen = int(summary.split()[0])
    # Five threads a second between the last look and the question.
    expect(made - 40 <= seen <= made, f"about {made} threads, not {seen}")


def check_segments(found):
    verdict = found["verdict"]
    print(f"objects: {verdict['summary']}")
    expect(verdict["kind"] in ("shm_leak", "queue_leak"), f"what is left behind, not {verdict}")
    expect(any("memtide ps --queues" in line for line in verdict["advice"]), f"the command in {verdict['advice']}")


def main():
    need("gcc")
    subprocess.run([FIXTURES / "build", "-q", "descriptors", "objects"], check=True)
    with scratch() as folder, contextlib.ExitStack() as stack:
        program = folder / "threads"
        (folder / "threads.c").write_text(THREADS)
        subprocess.run(["gcc", "-O1", "-pthread", "-o", program, folder / "threads.c"], check=True)
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        threads = stack.enter_context(running([program], **pipes))
        leaks = {}
        for kind in KINDS:
            # A user may have 128 instances of inotify.
            rate = "rate=2" if kind == "inotify" else "rate=5"
            leaks[kind] = fixture(stack, FIXTURES / "bin/descriptors", f"kind={kind}", rate)
        objects, _ = fixture(stack, FIXTURES / "bin/objects", "rate=1", "size=65536")
        watched = {kind: attach(process) for kind, (process, _) in leaks.items()}
        watched_threads, watched_objects = attach(threads), attach(objects)
        for kind, watcher in watched.items():
            check_descriptors(kind, *leaks[kind], report(watcher))
        check_threads(threads, report(watched_threads))
        check_segments(report(watched_objects))


main()
