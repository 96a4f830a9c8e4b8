"""One process run to its end: its CPU time and its peak memory, as the kernel counted them (wait4(2)).

Wall time is never measured: it tells of the machine's other work. A process that fails or does not end is
an error and not a figure.
"""

import os
import signal
import subprocess
import threading
from dataclasses import dataclass

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


def environment(**more):
    """The caller's environment without what would change a measured program, with `more`."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
    return kept | {"LC_ALL": "C"} | more


def start(command, env, output=subprocess.DEVNULL):
    """Starts a command in a session of its own, so that all of it can be ended."""
    return subprocess.Popen(
        [str(part) for part in command],
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )


def finish(child, what):
    """Waits for a started command. Raises `Failed` where it ends with anything but 0."""
    timer = threading.Timer(TIME_LIMIT, os.killpg, (child.pid, signal.SIGKILL))
    timer.start()
    try:
        _, status, usage = os.wait4(child.pid, 0)
    finally:
        timer.cancel()
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode != 0:
        raise Failed(f"{what} ended with {child.returncode}")
    cpu = usage.ru_utime + usage.ru_stime
    return Usage(cpu, cpu, usage.ru_maxrss * 1024)


def measure(command, env):
    """Runs a command to its end."""
    return finish(start(command, env), command[0])


def text_of(command, env=None, cwd=None):
    """Runs a command for its output; its words are in the error where it fails."""
    done = subprocess.run([str(part) for part in command], env=env, cwd=cwd, capture_output=True, text=True)
    if done.returncode != 0:
        raise Failed(f"{command[0]} ended with {done.returncode}: {(done.stderr or done.stdout).strip()[-500:]}")
    return done.stdout
