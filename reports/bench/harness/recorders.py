"""The recorders that are compared, and how each is put into a command.

Both tools are measured twice. *In the target* is what the program itself pays: the preloaded library alone.
memtide's shim then writes its region and nobody reads it; heaptrack's library writes its events to /dev/null, and
its interpreter is left out. *Whole* is the command that a user types, with all its processes.
"""

import json
import os
import shutil
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from . import process

# Bytes of address space for each of heaptrack's processes: with many pairs of a size and a stack, the interpreter
# of version 1.4.0 grows to 18 GiB and ends without a result. It need not take the machine with it.
HEAPTRACK_LIMIT = 8 << 30


class Recorder(Enum):
    """Who looks on while a program runs."""

    NONE = "none"
    SAMPLED = "sampled"
    FULL = "full"
    HEAPTRACK = "heaptrack"
    MEMTIDE_WHOLE = "memtide_whole"
    HEAPTRACK_WHOLE = "heaptrack_whole"

    @property
    def whole(self):
        """True where the recorder's other processes are counted, too."""
        return self in (Recorder.MEMTIDE_WHOLE, Recorder.HEAPTRACK_WHOLE)

    @property
    def of_heaptrack(self):
        return self in (Recorder.HEAPTRACK, Recorder.HEAPTRACK_WHOLE)


@dataclass(frozen=True)
class Tools:
    """Where the recorders are; `None` what is not installed."""

    shim: Path
    memtide: Path
    heaptrack: Path | None
    heaptrack_library: Path | None

    @classmethod
    def find(cls, target):
        """memtide's own from cargo's target folder, heaptrack's from the system."""
        heaptrack = shutil.which("heaptrack")
        heaptrack = Path(heaptrack).resolve() if heaptrack else None
        library = heaptrack and heaptrack.parent.parent / "lib/heaptrack/libheaptrack_preload.so"
        return cls(
            target / "shim/release/libmemtide_shim.so",
            target / "release/memtide",
            heaptrack,
            library if library and library.exists() else None,
        )

    def has(self, recorder):
        """Whether this recorder can be measured here."""
        return not recorder.of_heaptrack or bool(self.heaptrack and self.heaptrack_library)

    def dress(self, recorder, command, variables, folder):
        """The command and its own variables with the recorder in it; what that writes goes to `folder`."""
        preloaded = variables.get("LD_PRELOAD")
        if recorder in (Recorder.SAMPLED, Recorder.FULL):
            mine = {"LD_PRELOAD": str(self.shim), "MEMTIDE_DIR": str(folder), "MEMTIDE_HEAP": recorder.value}
        elif recorder is Recorder.HEAPTRACK:
            mine = {"LD_PRELOAD": str(self.heaptrack_library), "DUMP_HEAPTRACK_OUTPUT": "/dev/null"}
        elif recorder is Recorder.MEMTIDE_WHOLE:
            output = ["--quiet", "-o", folder / "run.memtide"]
            return [self.memtide, "run", "--heap", "full", *output, "--", *command], variables
        elif recorder is Recorder.HEAPTRACK_WHOLE:
            limit = f"--as={HEAPTRACK_LIMIT}"
            return ["prlimit", limit, self.heaptrack, "-o", folder / "heaptrack", *command], variables
        else:
            return command, variables
        if preloaded:
            mine["LD_PRELOAD"] += f":{preloaded}"
        return command, variables | mine

    def recorded(self, folder):
        """What the shim has recorded in `folder`: the `allocations` of memtide's report on it."""
        words = process.text_of(
            [self.memtide, "collect", folder, "--quiet", "--json", "-", "-o", folder / "check.memtide"],
            env=process.environment(),
        )
        allocations = json.loads(words).get("allocations")
        if not allocations:
            raise process.Failed("memtide collect: no allocations recorded")
        return allocations


def region_folder():
    """Where regions go: a tmpfs with 512 MiB free where there is one, as most systems have for sessions."""
    memory = Path("/dev/shm")
    if os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > 512 << 20:
        return memory
    return Path(os.environ.get("TMPDIR", "/tmp"))
