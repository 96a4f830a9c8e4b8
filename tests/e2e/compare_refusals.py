#!/usr/bin/env python3
"""`memtide compare` where something is wrong: with what is asked for, an arm, the load, the service, or by Ctrl-C."""

import json
import os
import signal
import socket
import subprocess
import time
import uuid
from pathlib import Path

from harness import MEMTIDE, ROOT, answers, expect, free_port, library, need, scratch, until

FIXTURES = ROOT / "fixtures/compare"
PYTHON = "/usr/bin/python3"
# Every process that a comparison starts has this in its environment, whoever its parent is by then.
MARK = f"MEMTIDE_TEST_MARK={uuid.uuid4().hex}"


def marked():
    """The processes that comparisons of this check have started, or are, and that still run."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if MARK.encode() in (folder / "environ").read_bytes().split(b"\0"):
                found.append((int(folder.name), (folder / "comm").read_text().strip()))
        except OSError:
            continue
    return found


def environment(**more):
    name, value = MARK.split("=")
    return os.environ | {name: value} | more


def compare(*arguments, folder, timeout=100, **more):
    """Runs a comparison to its end: (exit code, the comparison or None, all that it said). It leaves nothing behind."""
    name = uuid.uuid4().hex
    result = folder / f"{name}.json"
    command = [MEMTIDE, "compare", "--json", result, "-o", name, "--every", "100ms", *arguments]
    done = subprocess.run(
        [str(part) for part in command], cwd=folder, env=environment(**more), stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=timeout, check=False,
    )
    said = done.stdout.decode(errors="replace")
    until(lambda: not marked(), f"nothing to be left running, and not {marked()}:\n{said}", 5)
    return done.returncode, json.loads(result.read_text()) if result.exists() else None, said


def refused(words, *arguments, folder, **more):
    started = time.monotonic()
    code, comparison, said = compare(*arguments, folder=folder, **more)
    expect(code in (2, 125), f"{arguments} to be refused with 2 or 125, not {code}:\n{said}")
    expect(comparison is None, f"no comparison of {arguments}")
    expect("panicked" not in said, f"no panic:\n{said}")
    for word in words:
        expect(word in said, f"{word!r} in what is said of {arguments}:\n{said}")
    expect(time.monotonic() - started < 10, f"{arguments} to be refused before the work")
    print(f"refused: {said.strip().splitlines()[0]}")


def check_refusals(folder):
    work = ["--", "/bin/sleep", "1"]
    refused(["glibc", "tcmalloc", "jemalloc", "mimalloc"], "--allocators", "glibc,dlmalloc", *work, folder=folder)
    refused(["arena_max", "trim_threshold"], "--allocators", "glibc,glibc:arenas=2", *work, folder=folder)
    refused(["dirty_decay_ms"], "--allocators", "glibc,jemalloc:decay=1", *work, folder=folder)
    refused(["arena_max", "many"], "--allocators", "glibc,glibc:arena_max=many", *work, folder=folder)
    refused(["/nowhere/libfast.so"], "--allocators", "glibc,/nowhere/libfast.so", *work, folder=folder)
    refused(["libz"], "--allocators", f"glibc,{library('libz.so.1')}", *work, folder=folder)
    refused(["none-such"], "--allocators", "glibc,tcmalloc", "--", "./none-such", folder=folder)
    source = folder / "alone.c"
    source.write_text("#include <unistd.h>\nint main(void) { return sleep(1); }\n")
    subprocess.run(["gcc", "-static", "-o", folder / "alone", source], check=True)
    refused(["static"], "--allocators", "glibc,tcmalloc", "--", "./alone", folder=folder)
    # Known by what jemalloc says, in a file that lost its symbols.
    source.write_text('const char *says = "Invalid conf pair";\n' + source.read_text())
    subprocess.run(["gcc", "-s", "-o", folder / "own", source], check=True)
    refused(["jemalloc linked in", "build it"], "--allocators", "glibc,tcmalloc", "--", "./own", folder=folder)
    refused(["tcp:PORT", "file:PATH"], "--allocators", "glibc,tcmalloc", "--ready", "soon", "--load", "true", *work, folder=folder)


def check_failing_arm(folder):
    wrapper = folder / "picky"
    wrapper.write_text('#!/bin/sh\ncase $LD_PRELOAD in *jemalloc*) echo "no thanks" >&2; exit 3;; esac\nexec "$@"\n')
    wrapper.chmod(0o755)
    arms = ["--allocators", "glibc,jemalloc,tcmalloc", "--runs", 5]
    code, comparison, said = compare(*arms, "--", wrapper, "/bin/sleep", "0.7", folder=folder)
    expect(code == 0 and comparison, f"a comparison of the arms that work, not {code}:\n{said}")
    glibc, jemalloc, tcmalloc = comparison["arms"]
    expect(jemalloc["failed"] and "3" in jemalloc["failed"], f"jemalloc to have failed with 3: {jemalloc['failed']}")
    for arm in (glibc, tcmalloc):
        expect(arm["failed"] is None and len(arm["runs"]) == 5, f"five runs of {arm['arm']}: {arm['failed']}")
    expect(tcmalloc["settled_rss_ratio"] is not None, "tcmalloc to be compared all the same")
    expect("jemalloc" in said, f"the arm that failed to be named:\n{said}")
    print(f"failing arm: {jemalloc['failed']}")


def check_wrapper(folder):
    """What waits for the service is not the service: its megabyte must not be compared in its place."""
    port = free_port()
    waits, becomes = folder / "waits", folder / "becomes"
    start = f'{PYTHON} {FIXTURES / "service.py"} --port "$1"'
    waits.write_text(f"#!/bin/sh\n{start} &\nwait $!\n")
    becomes.write_text(f"#!/bin/sh\nexec {start}\n")
    service = ["--ready", f"tcp:{port}", "--load", "sleep 1", "--settle", "0s"]
    for wrapper, counts in ((waits, False), (becomes, True)):
        wrapper.chmod(0o755)
        arms = ["--allocators", "glibc,tcmalloc", "--runs", 1, *service]
        code, comparison, said = compare(*arms, "--", wrapper, port, folder=folder)
        runs = [run for arm in comparison["arms"] for run in arm["runs"]] if comparison else []
        expect(len(runs) == 2, f"two runs of {wrapper.name}, not {runs}, {code}:\n{said}")
        for run in runs:
            good = run["failed"] is None and run["peak_rss"] > 8 << 20
            refused_so = "its children hold more memory" in (run["failed"] or "")
            expect(good if counts else refused_so, f"{wrapper.name}: {run['failed']}, {run['peak_rss']}:\n{said}")
    print("wrapper: told from the service; one that execs is none")


def check_failing_load(folder):
    port = free_port()
    service = ["--ready", f"tcp:{port}", "--load", "echo out of luck; exit 7", "--settle", "0s"]
    command = ["--", PYTHON, FIXTURES / "service.py", "--port", port]
    code, comparison, said = compare("--allocators", "glibc,tcmalloc", "--runs", 2, *service, *command, folder=folder)
    expect("exit code 7: out of luck" in said, f"the load's exit code and last words:\n{said}")
    if comparison:
        runs = [run for arm in comparison["arms"] for run in arm["runs"]]
        expect(all(run["failed"] for run in runs), f"runs that do not count: {runs}")
        expect(comparison["verdict"]["kind"] == "undetermined", f"no answer: {comparison['verdict']}")
    print(f"failing load: ended with {code}")


def service_runs(folder, *arguments, runs=1):
    """The runs of a service that listens and of two arms, with what was said."""
    port = free_port()
    arms = ["--allocators", "glibc,tcmalloc", "--runs", runs, "--settle", "0s", "--ready", f"tcp:{port}"]
    command = ["--", PYTHON, FIXTURES / "service.py", "--port", port]
    code, comparison, said = compare(*arms, *arguments, *command, folder=folder)
    made = [run for arm in comparison["arms"] for run in arm["runs"]] if comparison else []
    expect(len(made) == 2 * runs, f"{2 * runs} runs, not {len(made)}, {code}:\n{said}")
    return made, said


def check_time_over(folder):
    """--for ends a load that takes longer, and that is no failure of anybody's."""
    patient = "trap 'echo 12.5 rounds/s; exit 0' TERM; while :; do sleep 0.1; done"
    for load, metric, code in (("sleep 60", [], 143), (patient, ["--metric", "([0-9.]+) rounds/s"], 0)):
        runs, said = service_runs(folder, "--for", "1s", "--load", load, *metric)
        for run in runs:
            expect(run["failed"] is None, f"a run whose load was ended in time to count: {run['failed']}\n{said}")
            expect(run["load_exit"] == code, f"the load to have ended with {code}: {run['load_exit']}")
            expect(0.9 < run["wall_seconds"] < 4, f"work of a second: {run['wall_seconds']}")
            expect(run["metric"] == (12.5 if metric else None), f"what it printed at its end: {run['metric']}")
    # One that prints its figure only at its own end has none.
    runs, said = service_runs(folder, "--for", "1s", "--load", "sleep 60; echo 1 rounds/s", "--metric", "([0-9.]+) rounds/s")
    expect(all("until --for ended it" in run["failed"] for run in runs), f"a metric that was cut off to be said:\n{said}")
    print("time over: the load is ended, and counts")


def check_metric(folder):
    for load, words in (("echo nothing", "--metric was not found in what the load printed"), ("echo rate: fast", '"fast"')):
        runs, said = service_runs(folder, "--load", load, "--metric", "rate: (.*)")
        for run in runs:
            expect(words in (run["failed"] or ""), f"{words} as a reason: {run['failed']}\n{said}")
            expect(run["load_exit"] == 0, f"a load that went well: {run['load_exit']}")
    print("metric: missing, and no number")


def check_limits(folder):
    """What does not become ready and what does not end holds nobody up; a time to wait is no service that is late."""
    arms = ["--allocators", "glibc,tcmalloc", "--runs", 1]
    work = ["--", PYTHON, "-c", "import time; time.sleep(60)"]
    late = ["--ready", f"tcp:{free_port()}", "--ready-within", "1s", "--load", "true"]
    _, comparison, said = compare(*arms, *late, *work, folder=folder)
    all_failed(comparison, "not ready within 1.0 s (--ready-within)", said)
    after = ["--ready", "2s", "--ready-within", "1s", "--load", "true", "--settle", "0s"]
    _, comparison, said = compare(*arms, *after, *work, folder=folder)
    for run in (run for arm in comparison["arms"] for run in arm["runs"]):
        expect(run["failed"] is None and run["ready_at"] >= 2, f"ready after 2 s: {run['failed']}, {run['ready_at']}\n{said}")
    _, comparison, said = compare(*arms, "--timeout", "2s", *work, folder=folder)
    all_failed(comparison, "it was not through within 2.0 s (--timeout)", said)
    load = ["--ready", "1s", "--load", "sleep 60", "--settle", "0s", "--timeout", "3s"]
    _, comparison, said = compare(*arms, *load, *work, folder=folder)
    all_failed(comparison, "the load was not through within 3.0 s (--timeout)", said)
    refused(["--timeout", "--settle"], *arms, "--for", "10s", "--settle", "5s", "--timeout", "12s", *work, folder=folder)
    print("limits: a late service and work without an end are given up")


def check_runs_needed(folder):
    """What cannot be answered is said before the first run, not after the last."""
    arms = ["--allocators", "glibc,glibc,glibc,glibc", "--runs", 1, "--alpha", "0.01"]
    _, comparison, said = compare(*arms, "--", "/bin/sleep", "0.3", folder=folder)
    needed = comparison["statistics"]["runs_needed"]
    expect(needed == 6, f"2 / C(12, 6) to be below .01 / 3: 6 runs and not {needed}")
    before = said.split("run 1 of")[0]
    expect("--runs 6" in before, f"the runs that are needed before the first:\n{said}")
    print("runs needed: said beforehand")


def all_failed(comparison, words, said):
    expect(comparison, f"a report of runs that failed:\n{said}")
    for run in (run for arm in comparison["arms"] for run in arm["runs"]):
        expect(words in (run["failed"] or ""), f"{words!r} as the reason: {run['failed']}\n{said}")


def check_unequal_lengths(folder):
    """Work that takes three times as long in one arm: its levels may hold unequal amounts, and that is said."""
    wrapper = folder / "slower"
    wrapper.write_text('#!/bin/sh\ncase $LD_PRELOAD in *tcmalloc*) exec sleep 3;; esac\nexec sleep 1\n')
    wrapper.chmod(0o755)
    _, comparison, said = compare("--allocators", "glibc,tcmalloc", "--runs", 1, "--", wrapper, folder=folder)
    expect(any("The work took" in warning for warning in comparison["warnings"]), f"unequal lengths to be said:\n{said}")
    print("unequal lengths: said")


def check_taken_port(folder):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        service = ["--ready", f"tcp:{port}", "--load", "true"]
        refused([str(port)], "--allocators", "glibc,tcmalloc", *service, "--", "/bin/sleep", "5", folder=folder)


def check_redacted(folder):
    """No path, argument or name of the user's is in what may be given to others."""
    secret = folder / "hush-hush"
    secret.mkdir()
    own = secret / "libown-malloc.so"
    own.symlink_to(library("libtcmalloc_minimal.so.4"))
    arms = ["--allocators", f"glibc,{own}", "--runs", 1, "--redact", "--for", "1s", "--html", folder / "redacted.html"]
    code, comparison, said = compare(*arms, "--", PYTHON, "-c", "import time; time.sleep(9)", folder=folder)
    expect(code == 0 and comparison["arms"][1]["failed"] is None, f"two arms, not {code}:\n{said}")
    shown = json.dumps(comparison) + (folder / "redacted.html").read_text()
    for word in ("hush-hush", "libown-malloc", "time.sleep", str(folder)):
        expect(word not in shown, f"{word} to be redacted:\n{shown[:4000]}")
    print(f"redacted: {comparison['command']}, {comparison['arms'][1]['arm']}")


def check_grudging_service(folder):
    port = free_port()
    service = ["--ready", f"tcp:{port}", "--load", "sleep 1", "--settle", "0s", "--stop", "TERM", "--kill-after", "2s"]
    command = ["--", PYTHON, FIXTURES / "grudging.py", "--port", port]
    _, comparison, said = compare("--allocators", "glibc,tcmalloc", "--runs", 1, *service, *command, folder=folder)
    expect(comparison, f"a comparison:\n{said}")
    for arm in comparison["arms"]:
        for run in arm["runs"]:
            expect(run["killed"], f"a service that ignores SIGTERM to be killed: {run}\n{said}")
    expect(comparison["verdict"]["kind"] == "undetermined", f"no answer after one run: {comparison['verdict']}")
    expect(not answers(port), "its port to be free again")
    print("grudging service: killed, with its child")


def check_interrupted(folder):
    result = folder / "interrupted.json"
    command = [MEMTIDE, "compare", "--json", result, "-o", "interrupted", "--allocators", "glibc,tcmalloc", "--", "/bin/sleep", "1.5"]
    process = subprocess.Popen(
        [str(part) for part in command], cwd=folder, env=environment(), stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )
    try:
        # Two runs or three are done, and one is under way.
        time.sleep(5.5)
        until(lambda: "sleep" in {name for _, name in marked()}, "a run to be under way")
        process.send_signal(signal.SIGINT)
        said = process.communicate(timeout=20)[0].decode(errors="replace")
    finally:
        process.kill()
    expect(not marked(), f"nothing to be left running, and not {marked()}:\n{said}")
    expect(result.exists(), f"what was done to be reported:\n{said}")
    comparison = json.loads(result.read_text())
    good = [run for arm in comparison["arms"] for run in arm["runs"] if run["failed"] is None]
    expect(1 <= len(good) <= 4, f"the runs that were done, one to four, not {len(good)}:\n{said}")
    expect(comparison["verdict"]["kind"] == "undetermined", f"no answer yet: {comparison['verdict']}")
    print(f"interrupted: ended with {process.returncode}, {len(good)} runs reported")


def main():
    need("gcc", "python3")
    with scratch() as folder:
        check_refusals(folder)
        check_taken_port(folder)
        check_failing_arm(folder)
        check_failing_load(folder)
        check_time_over(folder)
        check_metric(folder)
        check_limits(folder)
        check_unequal_lengths(folder)
        check_runs_needed(folder)
        check_wrapper(folder)
        check_grudging_service(folder)
        check_interrupted(folder)
        check_redacted(folder)


if __name__ == "__main__":
    main()
