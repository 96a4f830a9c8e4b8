"""What is measured once or a few times, since it hardly varies: instructions, memory, symbols.

Each function gives named lists of numbers: what was measured, in which unit, and all values of it.
"""

import os
import re
from pathlib import Path

from . import process
from .recorders import Recorder

MIB = 1 << 20


def instructions(bench):
    """Instructions that sampled mode adds to one malloc(64) and its free (callgrind).

    The difference of two runs of different length leaves the start of the program out.
    """
    pairs = (500_000, 3_000_000) if bench.quick else (1_000_000, 12_000_000)
    per_pair = {}
    for recorder in (Recorder.NONE, Recorder.SAMPLED, Recorder.FULL):
        counts = [executed(bench, recorder, count) for count in pairs]
        per_pair[recorder] = (counts[1] - counts[0]) / (pairs[1] - pairs[0])
    none = per_pair[Recorder.NONE]
    return {
        "instructions none": [none],
        "instructions sampled": [per_pair[Recorder.SAMPLED] - none],
        "instructions full": [per_pair[Recorder.FULL] - none],
    }


def executed(bench, recorder, pairs):
    """Instructions executed by the 64-byte loop, as callgrind counts them."""
    with bench.folder() as folder:
        output = folder / "callgrind"
        plain = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={output}", bench.built / "loop64", pairs]
        command, variables = bench.tools.dress(recorder, plain, {}, folder)
        process.text_of(command, env=process.environment(variables))
        counted = re.search(r"^(?:summary|totals): (\d+)", output.read_text(), re.MULTILINE)
        if not counted:
            raise process.Failed("callgrind counted nothing")
        return int(counted[1])


def memory(bench):
    """Memory that full mode adds, as a share of the heap of small blocks that the program touches.

    With glibc, whose blocks begin at multiples of 16 bytes, and with jemalloc, which has blocks of 8 bytes.
    """
    figures = {"memory glibc": added_share(bench, {})}
    jemalloc = library("libjemalloc.so.2")
    if jemalloc:
        figures["memory jemalloc"] = added_share(bench, {"LD_PRELOAD": jemalloc})
    return figures


def added_share(bench, more):
    """In percent; three runs."""
    shares = []
    for _ in range(1 if bench.quick else 3):
        start, without = small_blocks(bench, Recorder.NONE, more)
        _, with_recorder = small_blocks(bench, Recorder.FULL, more)
        shares.append(100 * (with_recorder - without) / (without - start))
    return shares


def small_blocks(bench, recorder, more):
    """VmRSS before and VmHWM after the program has filled its heap, in kB."""
    with bench.folder() as folder:
        plain = [bench.built / "small_blocks", 64 if bench.quick else 256]
        command, variables = bench.tools.dress(recorder, plain, more, folder)
        words = process.text_of(command, env=process.environment(variables))
        found = re.fullmatch(r"start_kb (\d+) peak_kb (\d+)\n", words)
        if not found:
            raise process.Failed(f"small_blocks said {words!r}")
        return int(found[1]), int(found[2])


def pairs(bench):
    """Peak RSS in full mode against none, with 500,000 distinct pairs of a size and a stack.

    w1 with every size from 16 to 1,024: 512 stacks times 1,009 sizes, of which 20 million draws leave out none.
    """
    figures = {}
    for live in (100_000, 1_000):
        peaks = {}
        for recorder in (Recorder.NONE, Recorder.FULL):
            with bench.folder() as folder:
                plain = [bench.built / "w1_micro", 1, 20_000_000, live, 1, 1]
                peaks[recorder] = bench.start(recorder, plain, {}, folder).finish().peak
        figures[f"pairs {live}, MiB"] = [peak / MIB for peak in peaks.values()]
        figures[f"pairs {live}"] = [peaks[Recorder.FULL] / peaks[Recorder.NONE]]
    return figures


def symbols(bench):
    """20,000 distinct addresses of a large program with debug information: memtide-symbols' own bench.

    The program is the debug build of memtide itself, or what `--symbols-of` names.
    """
    program = bench.symbols_of or bench.cargo("build", "--locked", "-p", "memtide") / "debug/memtide"
    manifest = ["bench", "--locked", "-p", "memtide-symbols", "--bench", "symbolize", "--", program]
    words = bench.cargo_words(*manifest)
    seconds = [float(value) for value in re.findall(r"^2 threads: ([\d.]+) s,", words, re.MULTILINE)]
    peak = re.findall(r"^peak RSS ([\d.]+) (\w+)", words, re.MULTILINE)
    theirs = re.search(r"^addr2line .*: ([\d.]+) s, ratio", words, re.MULTILINE)
    addresses = re.search(r" (\d+) addresses$", words, re.MULTILINE)
    if not (seconds and peak and theirs and addresses) or int(addresses[1]) < 15_000:
        raise process.Failed(f"the bench of memtide-symbols said {words!r}")
    return {
        "symbols seconds": seconds,
        "symbols peak": [max(float(value) * {"GiB": 1024, "MiB": 1, "KiB": 1 / 1024}[unit] for value, unit in peak)],
        "symbols addr2line": [float(theirs[1])],
        "symbols ratio": [float(theirs[1]) / second for second in seconds],
        "symbols program": [os.path.getsize(program) / MIB],
    }


def library(name):
    """The path of a shared library that the loader finds by this name, or `None`."""
    listed = process.text_of(["/sbin/ldconfig", "-p"])
    found = re.search(rf"^\s*{re.escape(name)} .*=> (\S+)$", listed, re.MULTILINE)
    return found[1] if found and Path(found[1]).exists() else None


ALL = {"instructions": instructions, "memory": memory, "pairs": pairs, "symbols": symbols}
