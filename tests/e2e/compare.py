#!/usr/bin/env python3
"""`memtide compare` on real programs: a service that another allocator helps, a leak and a cache that none helps.

With MEMTIDE_LONG the service is compared twice, in full, and the two have to confirm each other; redis, fragmentation
and bloated arenas are compared as well.
"""

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

from harness import ROOT, expect, free_port, library, memtide, need, scratch

LONG = bool(os.environ.get("MEMTIDE_LONG"))
FIXTURES = ROOT / "fixtures/compare"
CORPUS = ROOT / "fixtures/corpus"
# The system's: others, such as those of pyenv, are started by scripts.
PYTHON = "/usr/bin/python3"
ALL = "glibc,tcmalloc,jemalloc,mimalloc"


def compare(name, *arguments, folder, timeout=110):
    """The comparison as data; its page and its picture have to be there."""
    outputs = ["--json", f"{name}.json", "--html", f"{name}.html", "--png", f"{name}.png", "-o", name, "--every", "100ms"]
    output, _ = memtide("compare", *outputs, *arguments, folder=folder, timeout=timeout)
    comparison = json.loads((folder / f"{name}.json").read_text())
    expect(comparison["schema"] == "memtide.compare/1", f"{name}: memtide.compare/1, not {comparison['schema']}")
    expect(comparison["verdict"]["summary"] in " ".join(output.split()), f"{name}: the answer in the text:\n{output}")
    page = (folder / f"{name}.html").read_text()
    expect("</html>" in page, f"{name}: a whole page")
    expect((folder / f"{name}.png").read_bytes().startswith(b"\x89PNG"), f"{name}: a PNG")
    for arm in comparison["arms"]:
        expect(arm["failed"] is None, f"{name}: {arm['arm']} to be compared: {arm['failed']}")
        for run in arm["runs"]:
            expect(run["failed"] is None, f"{name}: no failed run of {arm['arm']}: {run['failed']}")
            expect(run["peak_rss"] >= run["settled_rss"] > 1 << 20, f"{name}: a peak that is one: {run}")
    print(f"{name}: {comparison['verdict']['kind']}: {comparison['verdict']['summary']}")
    return comparison


def arm(comparison, name):
    return next(arm for arm in comparison["arms"] if arm["arm"] == name)


def verdict(comparison, kind, why):
    found = comparison["verdict"]
    expect(found["kind"] == kind, f"{kind} where {why}, not {found['kind']}: {found['summary']}")


def service(name, allocators, runs, requests, settle, folder, timeout=110):
    port = free_port()
    arguments = ["--allocators", allocators, "--runs", runs, "--ready", f"tcp:{port}", "--settle", settle]
    arguments += ["--load", f"{PYTHON} {FIXTURES}/load.py --port {port} --requests {requests}"]
    arguments += ["--metric", r"([0-9.]+) requests/s"]
    command = [PYTHON, FIXTURES / "service.py", "--port", port]
    comparison = compare(name, *arguments, "--", *command, folder=folder, timeout=timeout)
    verdict(comparison, "take", "a variant halves the memory of the service")
    # What lies in pymalloc is the same in every arm.
    expect(any("512 bytes" in warning for warning in comparison["warnings"]), f"pymalloc to be told of: {comparison['warnings']}")
    watched_alike(comparison)
    for arm in comparison["arms"]:
        for run in arm["runs"]:
            expect(run["load_exit"] == 0, f"a load that ended with 0: {run}")
            expect(run["metric"] and run["metric"] > 1, f"a throughput read from the load's output: {run['metric']}")
            expect(run["cpu_seconds"] > 0.3, f"the CPU time of the service itself: {run['cpu_seconds']}")
    return comparison


def watched_alike(comparison):
    """No arm may cost much more to watch than another: looks into heaps that are not glibc's once did."""
    costs = {arm["arm"]: arm["watching_percent"] for arm in comparison["arms"]}
    expect(max(costs.values()) <= 2 * min(costs.values()) + 0.5, f"about the same cost in every arm: {costs}")


def short_service(folder):
    comparison = service("service", "glibc,glibc:arena_max=1", 5, 90, "500ms", folder)
    ratio = arm(comparison, "glibc:arena_max=1")["settled_rss_ratio"]
    # By hand it was .23 to .32 with 200 and 400 requests.
    expect(ratio["differs"] and ratio["high"] < 0.75, f"a ratio that is surely below .75: {ratio}")
    expect(comparison["verdict"]["arm"] == "glibc:arena_max=1", f"one arena to be taken: {comparison['verdict']}")


def confirmed_service(folder):
    """Two invocations have to name the same variant, each with an interval that holds with the other's."""
    allocators = "glibc,glibc:arena_max=1,tcmalloc,jemalloc:dirty_decay_ms=1000,background_thread=true"
    both = [service(f"service-{n}", allocators, 6, 400, "3s", folder, 900) for n in (1, 2)]
    taken = [comparison["verdict"]["arm"] for comparison in both]
    expect(taken[0] == taken[1], f"the same variant twice, not {taken}")
    first, second = (arm(comparison, taken[0])["settled_rss_ratio"] for comparison in both)
    expect(
        first["low"] <= second["value"] <= first["high"] or second["low"] <= first["value"] <= second["high"],
        f"an interval that the second invocation confirms: {first}, {second}",
    )
    print(f"take {taken[0]}: {first['value']:.3f} [{first['low']:.3f}, {first['high']:.3f}],"
          f" then {second['value']:.3f} [{second['low']:.3f}, {second['high']:.3f}]")


def leak(folder):
    command = [CORPUS / "bin/leak_small", "rate=4000000", "size=120", "dur=3"]
    comparison = compare("leak", "--allocators", ALL, "--runs", 5, "--", *command, folder=folder, timeout=400)
    verdict(comparison, "none_helps", "blocks are lost and no allocator can know it")
    summary = comparison["verdict"]["summary"]
    expect("A leak is not cured by an allocator" in summary, f"that no allocator helps: {summary}")
    expect(all(name in summary for name in ALL.split(",")), f"all four to be named: {summary}")
    for arm in comparison["arms"]:
        expect(arm["grows"], f"{arm['arm']} to grow")
        rate = arm["median"]["bytes_per_second"]
        # 4 MB/s of 120 bytes each, which all of them keep in 128: 4.27 MB/s.
        expect(3.6e6 < rate < 5e6, f"{arm['arm']}: 4.3 MB/s and not {rate}")


def cache(folder):
    command = [CORPUS / "bin/cache_warm", "tau=0.5", "dur=3"]
    arms = ALL if LONG else "glibc,tcmalloc"
    comparison = compare("cache", "--allocators", arms, "--runs", 5, "--", *command, folder=folder, timeout=400)
    # By hand: 30 MiB with glibc, 33 to 37 with the others. The baseline may be what is taken, and nothing else.
    found = comparison["verdict"]
    answer = (found["kind"], found["arm"])
    expect(answer in (("no_difference", None), ("take", "glibc")), f"nothing to take for a cache: {found}")
    expect(arm(comparison, "tcmalloc")["settled_rss_ratio"]["value"] > 1, "a cache to need more with tcmalloc")


def identical(folder):
    comparison = compare("same", "--allocators", "glibc,glibc", "--runs", 5, "--",
                         CORPUS / "bin/cache_warm", "tau=0.3", "dur=3", "seed=1", folder=folder)
    names = [arm["arm"] for arm in comparison["arms"]]
    expect(names == ["glibc", "glibc#2"], f"two arms with names of their own, not {names}")


def before_and_after(folder):
    """Two recordings with call stacks of a program whose leak was mended: the stack that grew is gone, and no other."""
    subprocess.run([ROOT / "reports/compare/make", "recordings", "-o", folder / "fix"], check=True, timeout=300)
    folder /= "fix"
    fixed = json.loads((folder / "fix.json").read_text())
    verdict(fixed, "better", "the second build forgets what the first one keeps")
    expect(fixed["verdict"]["arm"] == "after", f"the second to be better: {fixed['verdict']}")
    before, after = fixed["arms"]
    # 40 requests a second of 24 KiB.
    rate = before["median"]["bytes_per_second"]
    expect(0.8e6 < rate < 1.4e6 and before["grows"], f"the first to grow by 1 MB/s, not {rate}")
    expect(after["grows"] is False and after["growth_ratio"]["high"] < 0.2, f"the second not to: {after['growth_ratio']}")
    stacks = [(frames(stack), stack) for stack in after["stacks"]]
    names, leak = stacks[0]
    expect(names[:3] == ["filled", "remember", "main"], f"the stack that leaked first, not {names}")
    expect(leak["baseline_live_bytes"] > 10 << 20 and leak["live_bytes"] == 0, f"24 KiB, 40 times a second: {leak}")
    expect(-1.2e6 < leak["difference"] < -0.8e6, f"1 MB/s less: {leak['difference']}")
    # What both builds do alike is no difference, though their files have other names and their code other addresses.
    for names, stack in stacks:
        if "keep" in names:
            expect(stack["baseline_live_bytes"] and stack["live_bytes"], f"the cache to be in both: {stack}")
    output, _ = memtide("compare", "after.memtide", "before.memtide", "--json", "back.json", folder=folder, timeout=60)
    back = json.loads((folder / "back.json").read_text())
    verdict(back, "worse", "the first build leaks")
    expect(frames(back["arms"][1]["stacks"][0])[:2] == ["filled", "remember"], f"the stack that leaks first:\n{output}")
    print(f"before and after: {fixed['verdict']['summary']}")


def frames(stack):
    return [frame["function"] for frame in stack["frames"]]


def redis(folder):
    need("redis-server")
    port = free_port()
    # Debian's redis is linked with jemalloc: the C library, preloaded, switches it to glibc's malloc.
    allocators = f"{library('libc.so.6')},jemalloc,tcmalloc"
    arguments = ["--allocators", allocators, "--runs", 5, "--ready", f"tcp:{port}", "--settle", "3s"]
    arguments += ["--load", f"{PYTHON} {FIXTURES}/redis_load.py --port {port}", "--metric", "([0-9.]+) commands/s"]
    command = ["redis-server", "--port", port, "--bind", "127.0.0.1", "--save", "", "--dir", folder]
    comparison = compare("redis", *arguments, "--", *command, folder=folder, timeout=600)
    for wanted, arm in zip(("libc", "jemalloc", "tcmalloc"), comparison["arms"], strict=True):
        expect(wanted in arm["allocator"], f"redis to run on {wanted}, not on {arm['allocator']}")
        # By hand: 155, 166 and 184 MiB, of which 50 are in use.
        settled = arm["median"]["settled_rss"] / (1 << 20)
        expect(100 < settled < 300, f"redis to hold 155 to 184 MiB with {wanted}, not {settled:.0f}")
    # glibc, which is the baseline, holds least. Under the load it grows alike in all arms, for it is filled.
    found = comparison["verdict"]
    expect(found["kind"] != "undetermined", f"an answer after five runs: {found['summary']}")
    expect(found["arm"] in (None, comparison["baseline"]), f"nothing to take from what holds least: {found['summary']}")


def fragmentation(folder):
    # By hand: 53 MiB with glibc, 6 to 17 MiB with the others; 74 MiB against 34 MiB.
    for name, settings in (("frag_survivor", ["batch=300", "gap=0.25"]), ("arena_bloat", ["threads=24", "gap=0.2"])):
        command = [CORPUS / "bin" / name, *settings, "dur=8"]
        comparison = compare(name, "--allocators", "glibc,jemalloc", "--runs", 5, "--", *command, folder=folder, timeout=300)
        verdict(comparison, "take", f"{name} needs less with jemalloc")
        ratio = arm(comparison, "jemalloc")["settled_rss_ratio"]
        expect(ratio["differs"] and ratio["high"] < 0.8, f"{name} to need half or less with jemalloc: {ratio}")


def main():
    need("gcc", "python3")
    programs = ["leak_small", "cache_warm", "frag_survivor", "arena_bloat"]
    subprocess.run([CORPUS / "build", "-q", *programs], check=True)
    with scratch() as folder, ThreadPoolExecutor() as pool:
        # They sleep most of their time, and RSS does not mind company.
        for check in [pool.submit(check, folder) for check in (leak, cache, identical, before_and_after)]:
            check.result()
        short_service(folder)
        if LONG:
            confirmed_service(folder)
            redis(folder)
            fragmentation(folder)


if __name__ == "__main__":
    sys.exit(main())
