"""What the end-to-end checks share. Not a check itself.

A check is an executable file in this folder. It ends with 0 when all is well, with 77 when it cannot be
made here (after saying why), and otherwise with a sentence that says what was expected.
"""

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
MEMTIDE = os.environ.get("MEMTIDE", str(ROOT / "target/release/memtide"))


def skip(reason):
    print(f"skipped: {reason}")
    sys.exit(77)


def need(*programs):
    """The paths of programs that the check cannot be made without."""
    for program in programs:
        if not shutil.which(program):
            skip(f"{program} is not installed")


def expect(condition, sentence):
    if not condition:
        sys.exit(f"expected: {sentence}")


@contextlib.contextmanager
def scratch():
    with tempfile.TemporaryDirectory(prefix="memtide-e2e-") as folder:
        yield Path(folder)


@contextlib.contextmanager
def running(command, **options):
    """A program of this check's own, ended when the block is left."""
    for stream in ("stdin", "stdout", "stderr"):
        options.setdefault(stream, subprocess.DEVNULL)
    process = subprocess.Popen([str(part) for part in command], **options)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def library(name):
    """The file that the loader takes for this name."""
    listed = subprocess.run(["/sbin/ldconfig", "-p"], capture_output=True, text=True, check=True).stdout
    return next(line.split("=> ")[1] for line in listed.splitlines() if line.strip().startswith(f"{name} "))


def until(condition, sentence, seconds=20):
    deadline = time.monotonic() + seconds
    while not condition():
        expect(time.monotonic() < deadline, sentence)
        time.sleep(0.05)


def answers(port):
    with socket.socket() as client:
        client.settimeout(0.5)
        return client.connect_ex(("127.0.0.1", port)) == 0


def memtide(*arguments, folder, timeout=110):
    """Runs memtide to its end and gives (standard output, standard error)."""
    done = subprocess.run(
        [MEMTIDE, *map(str, arguments)],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=timeout,
        check=False,
    )
    error = done.stderr.decode(errors="replace")
    expect(done.returncode == 0, f"memtide {arguments} to end with 0, not {done.returncode}: {error}")
    return done.stdout.decode(), error


def attach(pid, *arguments, folder):
    """The report of watching `pid`, as data."""
    output, _ = memtide("attach", pid, "--json", "-", *arguments, folder=folder)
    return json.loads(output)


def in_rss(report):
    return sum(row["end_bytes"] for row in report["ledger"])


def account(report, name):
    return next((row["end_bytes"] for row in report["ledger"] if row["account"] == name), 0)
