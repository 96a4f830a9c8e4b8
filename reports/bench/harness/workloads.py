"""The programs that are measured, how they are built, and how one run of each is made.

What they do stands at the head of each source in `programs/`. Sizes are chosen so that a run without recorder
takes about a second, or a quarter of it with `--quick`.
"""

import os
import shutil
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from . import process
from .recorders import Recorder

SOURCES = Path(__file__).resolve().parent.parent / "programs"

IN_TARGET = (Recorder.NONE, Recorder.FULL, Recorder.HEAPTRACK)
WHOLE = (Recorder.MEMTIDE_WHOLE, Recorder.HEAPTRACK_WHOLE)


def python():
    """The system's Python, which is what most programs run on, or else the one that runs this."""
    return next((path for path in ("/usr/bin/python3",) if os.access(path, os.X_OK)), sys.executable)


def compiler():
    """The C++ compiler proper; `g++` itself only starts it."""
    return process.text_of(["gcc", "-print-prog-name=cc1plus"]).strip()


def build(folder):
    """Compiles the programs and makes the data into `folder`."""
    for name in ("usage", "loop64", "small_blocks"):
        process.text_of(["gcc", "-O2", "-g", "-o", folder / name, SOURCES / f"{name}.c"])
    for name in ("w1_micro", "w5_prodcons"):
        process.text_of(["g++", "-O2", "-g", "-pthread", "-o", folder / name, SOURCES / f"{name}.cpp"])
    walk = folder / "neighbour_walk.c"
    walk.write_text(process.text_of([sys.executable, SOURCES / "neighbour_walk.py"]))
    flags = ["-O2", "-g", "-fomit-frame-pointer", "-pthread"]
    process.text_of(["gcc", *flags, "-c", "-o", walk.with_suffix(".o"), walk])
    neighbours = [SOURCES / "neighbour_stacks.cpp", walk.with_suffix(".o")]
    process.text_of(["g++", *flags, "-o", folder / "neighbour_stacks", *neighbours])
    big = folder / "big.cpp"
    big.write_text(process.text_of([sys.executable, SOURCES / "gen_data.py"]))
    process.text_of(["g++", "-std=c++17", "-E", "-o", big.with_suffix(".ii"), big])


@dataclass(frozen=True)
class Workload:
    """A command that is run to its end under each of its recorders."""

    name: str
    recorders: tuple
    command: list
    variables: dict = field(default_factory=dict)
    # Allocations that the program is known to make at least: full mode must have counted them.
    allocations: int = 0

    def once(self, bench, recorder, folder):
        """One run."""
        return bench.start(recorder, self.command, self.variables, folder).finish()


@dataclass(frozen=True)
class Redis(Workload):
    """A redis server under redis-benchmark: its CPU for a fixed number of requests, its start left out."""

    requests: int = 0  # of each kind

    KINDS = ("set", "get", "lpush", "lpop", "sadd", "hset")

    def once(self, bench, recorder, folder):
        port = free_port()
        command = [*self.command, "--port", port, "--bind", "127.0.0.1", "--save", "", "--dir", folder]
        server = bench.start(recorder, command, self.variables, folder)
        try:
            wait_for(port, server)
            before = cpu_of(server.pid())
            load = ["redis-benchmark", "-p", port, "-q", "-t", ",".join(self.KINDS)]
            load += ["-n", self.requests, "-P", 16, "-r", 100000, "-d", 100]
            process.text_of(load, env=process.environment())
            loaded = cpu_of(server.pid()) - before
        finally:
            if not server.ended():
                subprocess.run(["redis-cli", "-p", str(port), "shutdown", "nosave"], capture_output=True)
        usage = server.finish()
        return process.Usage(usage.whole if recorder.whole else loaded, usage.whole, usage.peak)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(port, server):
    """Returns when the server answers."""
    for _ in range(600):
        if server.ended():
            server.finish()
            raise process.Failed("the server ended before it answered")
        ping = subprocess.run(["redis-cli", "-p", str(port), "ping"], capture_output=True, text=True)
        if ping.stdout.strip() == "PONG":
            return
        time.sleep(0.05)
    raise process.Failed("the server did not answer within 30 s")


def cpu_of(pid):
    """Seconds of CPU of a process until now: utime + stime of /proc/PID/stat, in ticks (proc(5))."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def all_of(folder, quick):
    """The workloads, of full or of quick size; their programs are built in `folder`."""

    def size(full):
        return full // 4 if quick else full

    whole = () if quick else WHOLE
    sampled = (Recorder.NONE, Recorder.SAMPLED)
    every = (Recorder.NONE, Recorder.SAMPLED, Recorder.FULL, Recorder.HEAPTRACK)
    pairs = {"nb": size(20_000_000), "w1": size(8_000_000), "w5": size(10_000_000), "loop64": size(200_000_000)}
    malloc = {"PYTHONMALLOC": "malloc"}
    rounds = [python(), SOURCES / "json_rounds.py", size(24)]
    objects = [python(), SOURCES / "w4_python.py", size(8)]
    workloads = [
        Workload("loop64", sampled, [folder / "loop64", pairs["loop64"]]),
        Workload("nb", IN_TARGET + whole, [folder / "neighbour_stacks", pairs["nb"], 2], {}, pairs["nb"]),
        Workload("w1", IN_TARGET + whole, [folder / "w1_micro", 1, pairs["w1"], 100_000], {}, pairs["w1"]),
        Workload("w5", IN_TARGET, [folder / "w5_prodcons", 1, pairs["w5"]], {}, pairs["w5"]),
        Workload("json", sampled, rounds),
        Workload("json-malloc", IN_TARGET + whole, rounds, malloc),
        Workload("objects", sampled, objects),
        Workload("objects-malloc", IN_TARGET, objects, malloc),
        Workload("cc1", every + whole, [compiler(), "-quiet", "-O2", folder / "big.ii", "-o", "/dev/null"]),
    ]
    if shutil.which("redis-server") and shutil.which("redis-benchmark"):
        workloads.append(Redis("redis", every + whole, ["redis-server"], requests=size(400_000)))
    return workloads
