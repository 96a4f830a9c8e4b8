"""The floors and the goals, and how each is figured from what was measured.

A floor must be held, a goal is what is aimed for; a row without either is printed for information. A figure is the
median of what the rounds gave, with their middle half: it says how far to trust the figure. Programs are compared
within a round, where they had the same machine, and not between rounds.
"""

import statistics
from collections.abc import Callable
from dataclasses import dataclass

from .recorders import Recorder

NONE, SAMPLED, FULL = Recorder.NONE, Recorder.SAMPLED, Recorder.FULL
HEAPTRACK, MEMTIDE_WHOLE, HEAPTRACK_WHOLE = Recorder.HEAPTRACK, Recorder.MEMTIDE_WHOLE, Recorder.HEAPTRACK_WHOLE


@dataclass(frozen=True)
class Figure:
    """The median of some values, their quartiles and their number."""

    value: float
    low: float
    high: float
    runs: int

    @classmethod
    def of(cls, values):
        """`None` where nothing was measured."""
        if len(values) < 2:
            return cls(values[0], values[0], values[0], 1) if values else None
        low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
        return cls(middle, low, high, len(values))


@dataclass(frozen=True)
class Target:
    """A row of the table."""

    what: str
    unit: str
    floor: float | None
    goal: float | None
    figure: Callable  # of the results; gives a Figure, or None where something was not measured
    at_least: bool = False

    def reached(self, figure):
        """ "goal", "floor", "below the floor", or "" where nothing is asked."""

        def holds(bound):
            return bound is not None and (figure.value >= bound if self.at_least else figure.value <= bound)

        if holds(self.goal):
            return "goal"
        if self.floor is None:
            return "short of the goal" if self.goal is not None else ""
        return "floor" if holds(self.floor) else "**below the floor**"


class Results:
    """All that was measured: `runs[workload][recorder]` lists of `Usage` in order of rounds, and `singles[name]`."""

    def __init__(self):
        self.runs = {}
        self.singles = {}
        self.recorded = {}  # what the shim's first runs had in their regions
        self.failures = []  # sentences
        self.failed = False  # whether one of them is memtide's

    def cpu(self, workload, recorder, whole=False):
        """Seconds of CPU, one per round; empty where nothing was measured."""
        usages = self.runs.get(workload, {}).get(recorder, [])
        return [usage.whole if whole else usage.cpu for usage in usages]


def times(workload, recorder):
    """CPU against none: the median of the ratios within each round."""

    def figure(results):
        none, mine = results.cpu(workload, NONE), results.cpu(workload, recorder)
        return Figure.of([m / n for m, n in zip(mine, none)])

    return figure


def added(workload, ours, theirs):
    """CPU that one recorder adds as a share of what another adds, within each round; the median."""

    def figure(results):
        rounds = zip(*(results.cpu(workload, recorder, ours.whole) for recorder in (NONE, ours, theirs)))
        return Figure.of([(mine - none) / (other - none) for none, mine, other in rounds if other > none])

    return figure


def single(name):
    """The median of what was measured outside of the rounds."""

    def figure(results):
        return Figure.of(results.singles.get(name, []))

    return figure


def against_heaptrack(title, workload, floor, goal, whole_goal=0.25):
    """The two rows that set memtide's full mode against heaptrack on one program."""
    return [
        Target(f"full, CPU added in the target against heaptrack's: {title}", "", floor, goal,
               added(workload, FULL, HEAPTRACK)),
        Target(f"the same with all processes of both: {title}", "", None, whole_goal,
               added(workload, MEMTIDE_WHOLE, HEAPTRACK_WHOLE)),
    ]  # fmt: skip


TARGETS = [
    Target("sampled, 64-byte malloc/free loop", "times", 1.08, 1.05, times("loop64", SAMPLED)),
    Target("sampled, the same, instructions added per pair", "", 25, 20, single("instructions sampled")),
    Target("sampled, redis per request", "times", 1.05, 1.02, times("redis", SAMPLED)),
    Target("sampled, CPython json", "times", 1.05, 1.02, times("json", SAMPLED)),
    Target("sampled, cc1plus", "times", 1.05, 1.02, times("cc1", SAMPLED)),
    Target("sampled, CPython objects", "times", None, None, times("objects", SAMPLED)),
    Target("full, neighbouring stacks", "times", 3.6, 2.5, times("nb", FULL)),
    Target("full, w1: 512 stacks in random order, 100,000 live blocks", "times", 2.2, 1.7, times("w1", FULL)),
    Target("full, redis per request", "times", 1.42, 1.35, times("redis", FULL)),
    Target("full, cc1plus", "times", 1.40, 1.3, times("cc1", FULL)),
    Target("full, CPython json, PYTHONMALLOC=malloc", "times", 1.48, 1.4, times("json-malloc", FULL)),
    Target("full, CPython objects, PYTHONMALLOC=malloc", "times", None, None, times("objects-malloc", FULL)),
    Target("full, w5: blocks freed by another thread", "times", None, None, times("w5", FULL)),
    Target("full, 64-byte loop, instructions added per pair", "", None, None, single("instructions full")),
    *against_heaptrack("neighbouring stacks", "nb", 0.3, 0.25),
    *against_heaptrack("w1", "w1", 0.6, 0.35),
    *against_heaptrack("redis", "redis", 0.3, 0.25),
    *against_heaptrack("CPython json", "json-malloc", 0.25, 0.2),
    *against_heaptrack("cc1plus", "cc1", 0.55, 0.4),
    Target("full, w5 against heaptrack's", "", None, None, added("w5", FULL, HEAPTRACK)),
    Target("full, memory added to a heap of small blocks, glibc", "%", 60, 50, single("memory glibc")),
    Target("the same with granules of 8 bytes, jemalloc", "%", 100, None, single("memory jemalloc")),
    Target("20,000 addresses of a large program named", "s", 4, 2, single("symbols seconds")),
    Target("the same, peak memory", "MiB", 500, 400, single("symbols peak")),
    Target("the same, times faster than addr2line -f -i -C", "times", None, 10, single("symbols ratio"), at_least=True),
    Target("516,608 pairs of size and stack, peak RSS, 1,000 live", "times", None, 1.3, single("pairs 1000")),
    Target("the same, 100,000 live: a heap of small blocks alone", "times", None, 1.3, single("pairs 100000")),
]
