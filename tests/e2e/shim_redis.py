#!/usr/bin/env python3
"""A redis whose module leaks at a known rate: the report names the module's function, its line and the rate.

redis allocates by jemalloc, and churns beside the leak: the shim has to see it all in front of another allocator.
"""

import json
import socket
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path

from harness import MEMTIDE, ROOT, answers, expect, free_port, need, scratch, until

SECONDS = 32
BLOCK = 1000
# Of the leak, per second; with an interval of 64 KiB about 2,000 samples, a standard error of 2 to 3 %.
RATE = 4_000_000
TOLERANCE = 0.1
MODES = {"full": ["--heap", "full"], "sampled": ["--heap", "sampled", "--interval", "64KiB"]}
SOURCE = ROOT / "fixtures/corpus/sites/leak_module.c"
FUNCTION = "remember_request"


class Client:
    """Speaks to redis, a line at a time."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=20)
        self.lines = self.socket.makefile("rb")

    def ask(self, *words):
        words = [str(word).encode() for word in words]
        self.socket.sendall(b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in words))
        return self.lines.readline().strip()


def drive(port):
    """Leaks at RATE, writes a bounded set of keys beside it, and gives (time, bytes leaked) as redis said."""
    client, planted, leaked, started = Client(port), [], 0, time.time()
    while (now := time.time()) < started + SECONDS:
        blocks = int((RATE * (now - started) - leaked) / BLOCK)
        if blocks:
            leaked += int(client.ask("LEAK.ADD", blocks, BLOCK).removeprefix(b":"))
        for k in range(20):
            client.ask("SET", f"key{(int(now * 100) + k) % 500}", "v" * (100 + 37 * k))
        planted.append((time.time(), leaked))
        time.sleep(max(0, 0.05 - (time.time() - now)))
    client.ask("SHUTDOWN", "NOSAVE")
    return planted


def slope(points):
    t0 = sum(t for t, _ in points) / len(points)
    y0 = sum(y for _, y in points) / len(points)
    return sum((t - t0) * (y - y0) for t, y in points) / sum((t - t0) ** 2 for t, _ in points)


def watch(mode, module, folder):
    port = free_port()
    server = ["redis-server", "--port", port, "--bind", "127.0.0.1", "--save", "", "--dir", folder, "--loadmodule", module]
    outputs = ["-o", f"{mode}.memtide", "--json", f"{mode}.json", "--quiet"]
    command = [MEMTIDE, "run", *MODES[mode], *outputs, "--", *server]
    with open(folder / f"{mode}.log", "wb") as log:
        run = subprocess.Popen(
            [str(part) for part in command], cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
        )
        try:
            until(lambda: answers(port) or run.poll() is not None, "redis answers on its port")
            planted = drive(port) if run.poll() is None else []
            status = run.wait(60)
        finally:
            run.terminate()
    log = (folder / f"{mode}.log").read_text(errors="replace")
    expect(status == 0, f"{mode}: an end with 0, not {status}: {log[-2000:]}")
    return json.loads((folder / f"{mode}.json").read_text()), planted


def check(mode, report, planted):
    recording = report["recording"]
    start = datetime.fromisoformat(recording["started"].replace("Z", "+00:00")).timestamp()
    truth = slope([(t, y) for t, y in planted if start <= t <= start + recording["seconds"]])
    row = report["stacks"][0]
    frame = next((frame for frame in row["frames"] if frame["function"] == FUNCTION), None)
    expect(frame, f"{mode}: {FUNCTION} in the foremost stack, not {[f['function'] for f in row['frames']]}")
    line = 1 + SOURCE.read_text().split("allocate(bytes)")[0].count("\n")
    expect(Path(frame["file"]).name == SOURCE.name, f"{mode}: {SOURCE.name}, not {frame['file']}")
    expect(frame["line"] == line, f"{mode}: line {line}, not {frame['line']}")
    error = row["bytes_per_second"] / truth - 1
    kind = report["verdict"]["kind"]
    print(f"{mode}: {kind}; {FUNCTION} at line {line}, {row['bytes_per_second']:.0f} B/s, {error:+.2%} of what was planted")
    expect(abs(error) < TOLERANCE, f"{mode}: a rate within {TOLERANCE:.0%} of {truth:.0f} B/s")
    expect(kind == "heap_leak", f"{mode}: heap_leak, not {kind}: {report['verdict']}")
    expect(FUNCTION in report["verdict"]["summary"] or any(FUNCTION in e["fact"] for e in report["verdict"]["evidence"]),
           f"{mode}: a verdict that names {FUNCTION}")


def main():
    need("redis-server", "gcc")
    with scratch() as folder:
        module = folder / "leak_module.so"
        flags = ["-g", "-O1", "-fno-omit-frame-pointer", "-fPIC", "-shared"]
        subprocess.run(["gcc", *flags, "-o", module, SOURCE], check=True)
        with ThreadPoolExecutor() as pool:
            runs = {mode: pool.submit(watch, mode, module, folder) for mode in MODES}
            for mode, run in runs.items():
                check(mode, *run.result())


if __name__ == "__main__":
    main()
