#!/usr/bin/env python3
"""`memtide ps` on programs whose state is known: everything is named with the right parent, nothing is invented."""

import contextlib
import json
import os
import pty
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from harness import MEMTIDE, ROOT, expect, free_port, need, running, scratch, until

need("gcc")
FIXTURES = ROOT / "fixtures/processes"
subprocess.run([FIXTURES / "build", "-q"], check=True)


def run(*arguments, folder="/", before=(), memtide=MEMTIDE):
    """memtide ps to its end: (exit code, standard output, standard error)."""
    command = [*before, memtide, "ps", *map(str, arguments)]
    done = subprocess.run(
        command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, timeout=100, check=False
    )
    return done.returncode, done.stdout.decode(), done.stderr.decode(errors="replace")


def report(*arguments, **options):
    code, output, error = run("--json", "-", *arguments, **options)
    expect(code in (0, 1), f"0 or 1 from memtide ps {arguments}, not {code}: {error}")
    return code, json.loads(output)


@contextlib.contextmanager
def fixture(name, *arguments):
    """A program of fixtures/processes, and the truth that it tells."""
    command = [FIXTURES / "bin" / name, *arguments]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        word, truth = process.stdout.readline().split(" ", 1)
        expect(word == "READY", f"READY from {name}, not {word}")
        yield process, json.loads(truth)
    finally:
        process.stdin.close()
        process.wait(30)


def say(process, line):
    """Tells a fixture something, and gives the truth that it answers with."""
    process.stdin.write(line + "\n")
    process.stdin.flush()
    return json.loads(process.stdout.readline().split(" ", 1)[1])


def pids(finding):
    return {process["pid"] for process in finding["processes"]}


def about(data, kind, whom, weight="problem"):
    """The findings of a kind that name any of these processes."""
    findings = (f for f in data["findings"] if f["kind"] == kind and f["weight"] == weight)
    return [finding for finding in findings if pids(finding) & set(whom)]


def descendants(data, root):
    """All processes below `root` as the report has them."""
    below, found = {}, {root}
    for row in data["processes"]:
        below.setdefault(row["ppid"], []).append(row["pid"])
    todo = [root]
    while todo:
        for child in below.get(todo.pop(), []):
            if child not in found:
                found.add(child)
                todo.append(child)
    return found


def named(findings):
    return set().union(*map(pids, findings)) if findings else set()


def zombies():
    with fixture("zombies", "count=1000") as (process, truth):
        code, data = report()
        found = about(data, "zombies", truth["zombies"])
        expect(code == 1, f"exit code 1 with 1,000 zombies, not {code}")
        expect(len(found) == 1, f"one finding about the zombies, not {len(found)}")
        expect(pids(found[0]) == set(truth["zombies"]), "every zombie named, and no other process")
        expect(found[0]["parent"]["pid"] == process.pid, f"the parent {process.pid}: {found[0]['parent']}")
        expect(found[0]["at_least_seconds"] >= 0.9, f"zombies for about a second: {found[0]}")
        commands = [remedy["command"] for remedy in found[0]["remedies"]]
        expect(f"kill -TERM {process.pid}" in commands[-1], f"a command for the parent: {commands}")
        roles = {row["pid"]: row["role"] for row in data["processes"]}
        expect(all(roles[pid] == "zombie" for pid in truth["zombies"]), "the role zombie in every row")
        ours = descendants(data, process.pid) - set(truth["zombies"])
        expect(not ours & named(data["findings"]), f"nothing invented about {ours}")


def snapshots(folder):
    kept = folder / "before.json"
    with fixture("zombies", "count=100") as (process, truth):
        code, _, error = run("--snapshot", kept, folder=folder)
        expect(code == 1, f"1 with a snapshot and zombies, not {code}: {error}")
        expect(stat.S_IMODE(kept.stat().st_mode) == 0o600, "a snapshot that only its owner may read")
        expect(json.loads(kept.read_text())["schema"] == "memtide.census/1", "the schema memtide.census/1")
        left = set(say(process, "reap")["zombies"])
        time.sleep(1)
        code, data = report("--diff", kept, folder=folder)
        expect(code == 1, f"1 while zombies are left, not {code}")
        since = data["difference"]
        gone = {row["pid"] for row in since["gone"]}
        expect(set(truth["zombies"]) - left <= gone, "the reaped ones among those that are gone")
        expect(not left & gone, "none of those that are left among the gone")
        followed = [f for f in since["followed"] if f["kind"] == "zombies" and f"pid {process.pid})" in f["summary"]]
        expect(followed[0]["gone"] == 100 - len(left), f"how many are gone: {followed}")
        expect({p["pid"] for p in followed[0]["left"]} == left, f"who is left: {followed}")
        zombies_now = about(data, "zombies", left)
        expect(zombies_now[0]["at_least_seconds"] > 1.9, "zombies since the snapshot, not since this look")
    code, data = report("--diff", kept, "--name", "bin/zombies count=100", folder=folder)
    expect(code == 0, f"0 after the clean-up, not {code}: {data['summary']}")
    followed = [f for f in data["difference"]["followed"] if f"pid {process.pid})" in f["summary"]]
    expect(followed[0]["left"] == [] and followed[0]["gone"] == 100, f"none left: {followed}")
    # A file that is no snapshot, half of one, and one of another schema.
    for text in ("{}", kept.read_text()[:5000], '{"schema": "memtide.census/9"}'):
        (folder / "bad.json").write_text(text)
        code, _, error = run("--diff", folder / "bad.json")
        expect(code == 2 and "bad.json" in error, f"2 and the file's name for {text[:20]!r}: {code} {error}")


def full_disk():
    """No room: an error, and no half of a file."""
    if os.getuid() != 0 or not shutil.which("mount"):
        print("skipped: a full disk (needs root)")
        return
    with tempfile.TemporaryDirectory() as place:
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16k", "none", place], check=False)
        if mounted.returncode:
            print("skipped: a full disk (cannot mount a tmpfs here)")
            return
        try:
            code, _, error = run("--snapshot", Path(place) / "full.json")
            expect(code == 2 and "free some space" in error, f"2 and the remedy: {code} {error}")
            expect(os.listdir(place) == [], f"no half of a file: {os.listdir(place)}")
        finally:
            subprocess.run(["umount", place], check=True)


def orphans():
    for kind in ("plain", "session"):
        with fixture("orphans", "count=200", f"kind={kind}") as (_, truth):
            code, data = report()
            found = about(data, "orphans", truth["orphans"])
            expect(code == 1, f"1 with 200 orphans, not {code}")
            expect(named(found) == set(truth["orphans"]), f"every orphan of {kind} named, and no other process")
            parents = {row["ppid"] for row in data["processes"] if row["pid"] in truth["orphans"]}
            expect(parents == {truth["reaper"]}, f"the reaper {truth['reaper']}: {parents}")
            roles = {row["role"] for row in data["processes"] if row["pid"] in truth["orphans"]}
            expect(roles == {"orphan"}, f"the role orphan: {roles}")


def starter_seen(folder):
    """The one that died is named where an earlier look saw it, also of those that lead sessions."""
    for kind in ("plain", "leader"):
        kept = folder / f"{kind}.json"
        with fixture("orphans", "count=20", f"kind={kind}", "hold=1") as (process, truth):
            code, _, error = run("--snapshot", kept, "--name", "bin/orphans count=20", folder=folder)
            expect(code == 0, f"0 while the starter lives, not {code}: {error}")
            say(process, "end")
            _, data = report("--diff", kept, folder=folder)
            found = about(data, "orphans", truth["orphans"])
            expect(named(found) == set(truth["orphans"]), f"every orphan of {kind} named")
            parents = {finding["parent"]["pid"] for finding in found}
            expect(parents == {truth["starter"]}, f"the starter {truth['starter']}: {parents}")


def stuck():
    with fixture("stuck", "stopped=50", "blocked=50") as (process, truth):
        code, data = report()
        expect(code == 1, f"1 with stuck ones, not {code}")
        for kind, state in (("stopped", "T"), ("blocked", "D")):
            found = about(data, kind, truth[kind])
            expect(named(found) == set(truth[kind]), f"every process in {state} named, and no other")
            detail = " ".join(found[0]["details"])
            expect(f"pid {process.pid})" in detail, f"their parent: {detail}")
        others = descendants(data, process.pid) - set(truth["stopped"]) - set(truth["blocked"])
        expect(not others & named(data["findings"]), "nothing invented about the sleepers")


def threads():
    with fixture("futex", "waiting=20", "idle=2", "busy=1") as (process, truth):
        _, data = report("--name", "bin/futex")
        found = about(data, "stuck", [process.pid], weight="note")
        expect(found and found[0]["count"] == 20, f"20 threads at one futex: {found}")
        expect(not about(data, "stuck", [process.pid]), "no deadlock where another thread works")


POOL = """
import concurrent.futures, threading, time
pool = concurrent.futures.ThreadPoolExecutor(4)
list(pool.map(lambda _: time.sleep(0.2), range(4)))
threading.Event().wait(TIME)
"""


def idle_pool():
    """Workers without work are no deadlock where the main thread only waits for a time; where it waits for ever they are."""
    for time, weight in (("60", "note"), ("", "problem")):
        command = [sys.executable, "-c", POOL.replace("TIME", time), "of_idle_workers"]
        with running(command) as process:
            _, data = report("--watch", "2s", "--for", "13s", "--name", "of_idle_workers")
            found = about(data, "stuck", [process.pid], weight=weight)
            expect(found and len(found) == 1, f"a {weight} of wait({time}): {data['findings']}")


def watching():
    """On a terminal: a few lines after each look, and with Ctrl-C the findings of all."""
    ours, theirs = pty.openpty()
    with fixture("zombies", "count=5") as (process, _):
        command = [MEMTIDE, "ps", "--watch", "500ms", "--color", "never", "--name", "bin/zombies"]
        memtide = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs)
        os.close(theirs)
        shown = b""
        while shown.count(b" s  5 zombies") < 3:
            shown += os.read(ours, 4096)
        expect(b"looked" not in shown, f"only a few lines while it goes on: {shown}")
        memtide.send_signal(signal.SIGINT)
        # A terminal whose other side is closed ends with an error in place of nothing.
        with contextlib.suppress(OSError):
            while part := os.read(ours, 4096):
                shown += part
        os.close(ours)
        expect(memtide.wait(20) == 1, f"1 after Ctrl-C, not {memtide.returncode}")
        expect(f"kill -TERM {process.pid}".encode() in shown, f"the findings after Ctrl-C: {shown}")


def expectations():
    with fixture("orphans", "count=6", "kind=plain") as _:
        # Six orphans and the program that made them.
        _, data = report("--expect", "bin/orphans count=6<=7")
        wrong = [f for f in data["findings"] if f["kind"] == "expectation"]
        expect(not wrong, f"7 of at most 7 to be right: {wrong}")
        got, data = report("--expect", "bin/orphans count=6<=3")
        wrong = [f for f in data["findings"] if f["kind"] == "expectation"]
        expect(got == 1 and wrong[0]["count"] == 7, f"7 processes, expected at most 3: {wrong}")
        expect("the 4 oldest" in wrong[0]["remedies"][0]["effect"], f"what would end 4: {wrong}")
    for expression, words in (("worker", "no comparison"), ("a<=b", "character 4"), ("(<=1", "character 1")):
        code, _, error = run("--expect", expression)
        expect(code == 2 and words in error, f"2 and {words!r} for {expression!r}: {code} {error}")


def holders(folder):
    path = folder / "with\nnewline"
    path.write_text("x")
    port = free_port()
    with open(path, encoding="utf8") as held, socket.socket() as listener:
        listener.bind(("127.0.0.1", port))
        listener.listen()
        for what, descriptor in ((path, held.fileno()), (folder, held.fileno()), (f"tcp:{port}", listener.fileno())):
            code, data = report("--holding", what)
            rows = [row for row in data["holders"] if row["pid"] == os.getpid()]
            expect(code == 1 and [row["descriptor"] for row in rows] == [descriptor], f"this check holds {what}: {rows}")
        code, text, _ = run("--holding", f"tcp:{port}")
        expect(code == 1 and str(os.getpid()) in text, f"the pid in the text:\n{text}")
    code, data = report("--holding", f"tcp:{port}")
    expect(code == 0 and data["holders"] == [], f"nobody holds a closed port: {data['holders']}")
    for what in ("tcp:many", "/no/such/file"):
        code, _, error = run("--holding", what)
        expect(code == 2 and what in error, f"2 and what was asked for: {code} {error}")


def objects():
    with fixture("objects", "queues=3", "segments=3") as (_, truth):
        _, data = report("--queues")
        unused = [finding for finding in data["findings"] if finding["kind"] == "unused"]
        commands = " ".join(remedy["command"] for finding in unused for remedy in finding["remedies"]).split()
        for segment in truth["segments"]:
            expect(str(segment) in commands, f"what removes segment {segment}: {commands}")
        for segment in truth["attached"]:
            expect(str(segment) not in commands, f"nothing that removes segment {segment}, which is attached")
        names = {row["name"] for row in data["objects"]}
        files = {f"/dev/shm{name}" for name in truth["files"]}
        expect(files <= names, f"the files in tmpfs: {files - names}")
        if " mqueue " not in Path("/proc/mounts").read_text():
            print("skipped: POSIX queues that nobody holds (mqueue is not mounted)")
            return
        for queue in truth["queues"]:
            expect(f"/dev/mqueue{queue}" in commands, f"what removes the queue {queue}: {commands}")


def growth():
    grower = "import time\nkept = []\nwhile True:\n    kept.append(bytearray(1 << 20))\n    time.sleep(.1)\n"
    process = subprocess.Popen(["python3", "-c", grower])
    try:
        time.sleep(1)
        code, data = report("--by", "growth", "--for", "15s")
        row = next(row for row in data["processes"] if row["pid"] == process.pid)
        rate = row["bytes_per_second"]
        # Ten blocks of 1 MiB a second, less what the machine's load takes.
        expect(code == 0 and rate is not None and 4e6 < rate < 11.6e6, f"about 10 MiB/s: {code} {rate}")
        expect(row in data["processes"][:10], "it is among the first")
    finally:
        process.terminate()
        process.wait()


def as_nobody(folder):
    if os.getuid() != 0 or not shutil.which("setpriv"):
        print("skipped: as another user (needs root and setpriv)")
        return
    # Where the other user may come to.
    folder.chmod(0o755)
    nobody = {
        "before": ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"],
        "memtide": shutil.copy(MEMTIDE, folder / "memtide"),
    }
    with fixture("zombies", "count=30") as (process, truth):
        code, data = report(**nobody)
        found = about(data, "zombies", truth["zombies"])
        expect(code == 1 and named(found) == set(truth["zombies"]), "zombies of others are seen by everybody")
        commands = [remedy["command"] for remedy in found[0]["remedies"]]
        expect(commands[0] == f"sudo kill -CHLD {process.pid}", f"a command that needs sudo: {commands}")
        _, data = report("--holding", "/", **nobody)
        expect(any("sudo" in warning for warning in data["warnings"]), f"what may not be read, and the remedy: {data['warnings']}")
        _, _, error = run("--user", "no-such-user-here")
        expect("no-such-user-here" in error, f"an unknown user is named: {error}")
        _, data = report("--user", "nobody")
        expect(not about(data, "zombies", truth["zombies"]), "of nobody's processes none is a zombie")


def namespaces():
    """In a pid namespace of its own a process has two numbers, and both are shown."""
    command = ["unshare", "--pid", "--fork", "--kill-child", "sleep", "60"]
    if os.getuid() != 0 or subprocess.run([*command[:-2], "true"], check=False).returncode:
        print("skipped: a pid namespace (needs root and unshare)")
        return
    with running(command) as outer:
        def inside():
            _, data = report("--name", "^sleep 60$")
            return [row for row in data["processes"] if row["ppid"] == outer.pid and row["name"] == "sleep"]

        until(inside, "the process in the namespace")
        row = inside()[0]
        expect(row["inner_pid"] == 1 and row["pid"] > 1, f"both numbers: {row}")


def texts(folder):
    """Every line but commands fits the terminal; --redact shows no command line; --quiet says nothing."""
    with fixture("stuck", "stopped=3", "blocked=3"):
        code, text, _ = run("--tree", "--queues", folder=folder)
        expect(code == 1 and "kill -CONT" in text, f"the commands:\n{text}")
        expect("The tree" in text and "The machine" in text, f"all sections:\n{text}")
        code, text, _ = run("--tree", "--redact", folder=folder)
        expect("stopped=3" not in text, "no command line with --redact")
        code, text, error = run("--quiet", folder=folder)
        expect((code, text, error) == (1, "", ""), f"nothing but the code: {text}{error}")


with scratch() as scratched:
    zombies()
    snapshots(scratched)
    full_disk()
    orphans()
    starter_seen(scratched)
    stuck()
    threads()
    idle_pool()
    watching()
    expectations()
    holders(scratched)
    objects()
    growth()
    as_nobody(scratched)
    namespaces()
    texts(scratched)
print("everything named with the right parent, nothing invented")
