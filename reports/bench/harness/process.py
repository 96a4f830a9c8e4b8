"""One process run to its end: its CPU time and its peak memory, as the kernel counted them (wait4(2)).

Wall time is never measured: it tells of the machine's other work. A process that fails or does not end is
an error and not a figure.
"""

import os
import re
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

# Seconds after which a run is given up.
TIME_LIMIT = 900

# What could reach a measured program from the caller's shell.
FOREIGN = ("LD_", "MEMTIDE_", "MALLOC_", "PYTHON", "GLIBC_", "CARGO_", "RUST")


class Failed(Exception):
    """A command that did not do what it was started for."""


@dataclass(frozen=True)
class Usage:
    """What a process and the children that it waited for took."""

    cpu: float  # seconds, user and system, of the part that is compared
    whole: float  # seconds from the first process's start to the last one's end
    peak: int  # bytes resident at the highest; of the largest single process


def environment(variables=None):
    """The caller's environment without what would change a measured program, with `variables`."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
    return kept | {"LC_ALL": "C"} | (variables or {})


class Running:
    """A command that was started, in a session of its own, so that all of it can be ended."""

    def __init__(self, starter, command, variables, folder):
        """`starter` is the built `usage.c`, which writes what it counts into `folder`."""
        self._report = folder / "usage"
        self._words = folder / "output"
        assigned = [f"{name}={value}" for name, value in variables.items()]
        with self._words.open("wb") as words:
            self._child = subprocess.Popen(
                [str(part) for part in (starter, self._report, *assigned, *command)],
                env=environment(),
                stdin=subprocess.DEVNULL,
                stdout=words,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def ended(self):
        """Whether nothing of it runs any more."""
        return self._child.poll() is not None

    def pid(self):
        """The process id of the command itself; the starter has written it before the command does anything."""
        for _ in range(1000):
            if self._report.exists() and (found := re.match(r"pid (\d+)\n", self._report.read_text())):
                return int(found[1])
            time.sleep(0.005)
        raise Failed("it did not start")

    def finish(self):
        """Waits for its end. Raises `Failed` where that is anything but a 0."""
        try:
            self._child.wait(TIME_LIMIT)
        except subprocess.TimeoutExpired:
            os.killpg(self._child.pid, signal.SIGKILL)
            self._child.wait()
            raise Failed(f"not done after {TIME_LIMIT} s") from None
        found = re.search(r"^status (\d+) cpu_us (\d+) peak_kb (\d+)$", self._report.read_text(), re.MULTILINE)
        if not found or found[1] != "0":
            words = reason(self._words.read_text(errors="replace"))
            raise Failed(f"ended with {found[1] if found else 'nothing counted'}: {words}")
        cpu = int(found[2]) / 1e6
        return Usage(cpu, cpu, int(found[3]) * 1024)


def reason(words):
    """Of what a failed command said the first line that names an error, else its last one; never a part of one."""
    lines = [line.strip() for line in words.splitlines() if line.strip()]
    named = [line for line in lines if re.search(r"error|what\(\):|bad_alloc|cannot", line, re.IGNORECASE)]
    return (named[:1] or lines[-1:] or ["it said nothing"])[0]


def text_of(command, env=None, cwd=None):
    """Runs a command for its output; its words are in the error where it fails."""
    done = subprocess.run([str(part) for part in command], env=env, cwd=cwd, capture_output=True, text=True)
    if done.returncode != 0:
        raise Failed(f"{command[0]} ended with {done.returncode}: {reason(done.stderr or done.stdout)}")
    return done.stdout
