//! All regions of a run: which there are, whose they are, and when they are over.

use crate::directory::{self, Name};
use crate::liveness;
use crate::region::Region;
use crate::source::{Blocks, RegionFile};
use crate::stacks::Stacks;
use crate::{Hello, Result};
use memtide_model::{Bytes, HeapMode, Lost, Nanos, StackId, StackOwner, StackTotals, StacksTick};
use memtide_region::{Error as RegionError, Mode};
use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

/// How far a region is.
#[derive(Debug)]
enum Progress {
    /// Not complete yet: no header.
    Waiting,
    /// It is read at every tick.
    Open(Box<Region>),
    /// Its process ended and everything was read; or it will never be readable.
    Over,
}

/// Reads the regions of a directory, tick by tick.
///
/// No file is kept open between two ticks, so any number of processes may run. What a process
/// that ended has counted stays in the sums; the rest of it is forgotten.
pub struct Collector {
    directory: PathBuf,
    removes: bool,
    is_running: Box<dyn FnMut(u32, Nanos) -> bool + Send>,
    regions: BTreeMap<Name, Progress>,
    target: Target,
    stacks: Stacks,
    blocks: Blocks,
    /// What regions that are over have lost, and how many were.
    lost: Lost,
}

/// The process whose stacks are [`StackOwner::Target`].
#[derive(Debug, Default)]
struct Target {
    /// As the caller knows it.
    pid: Option<u32>,
    /// Its youngest region.
    name: Option<Name>,
    /// True once it was seen to be gone: a later region of its pid is another process's.
    is_over: bool,
    mode: Option<HeapMode>,
    peak: u64,
    ranges: Vec<(u64, u64)>,
    /// Whether its end was seen in a region that could be read.
    ended: bool,
}

impl Collector {
    /// A collector for the regions in `directory`, of which there may be none yet.
    ///
    /// # Errors
    /// The directory cannot be listed.
    pub fn open(directory: &Path) -> Result<Self> {
        directory::list(directory)?;
        Ok(Self {
            directory: directory.to_owned(),
            removes: false,
            is_running: Box::new(liveness::is_running),
            regions: BTreeMap::new(),
            target: Target::default(),
            stacks: Stacks::new(),
            blocks: Blocks::default(),
            lost: Lost::default(),
        })
    }

    /// Removes the files of processes that ended as soon as they are read to their end, so that a
    /// run with many short processes does not fill the disk. The target's own file stays, and those of
    /// programs that were replaced (exec) while their process runs.
    #[must_use]
    pub fn removing(mut self) -> Self {
        self.removes = true;
        self
    }

    /// Asks `is_running` whether the process of a region runs, by its pid and the time at which its
    /// region was made (`CLOCK_BOOTTIME`; the largest time where that is not known), in place of
    /// [`crate::is_running`].
    #[must_use]
    pub fn with_liveness(
        mut self,
        is_running: impl FnMut(u32, Nanos) -> bool + Send + 'static,
    ) -> Self {
        self.is_running = Box::new(is_running);
        self
    }

    /// Looks for new regions, reads what changed, and says what is new since the last tick.
    ///
    /// The youngest region of `target_pid` is the target's. Its earlier ones (what it was before an
    /// exec) and those of other pids are [`StackOwner::Others`]. Without a pid all are.
    ///
    /// Of others that ended, blocks that are still there count as freed: they are gone with
    /// their process. [`Collector::never_freed`] keeps them. The target's stay live, and
    /// [`StacksTick::ended`] says what that means. Bytes at the peak are each process's own; of
    /// others they are summed over those that run, or the highest of one that ended, if that is more.
    ///
    /// # Errors
    /// The directory cannot be listed. What is wrong with a region is counted in [`Lost::processes`].
    pub fn tick(&mut self, at: Nanos, target_pid: Option<u32>) -> Result<StacksTick> {
        for name in directory::list(&self.directory)? {
            self.regions.entry(name).or_insert(Progress::Waiting);
        }
        self.choose_target(target_pid);
        let names: Vec<Name> = self.regions.keys().copied().collect();
        let mut lost = Lost::default();
        let mut younger: Option<Name> = None;
        // From the youngest of a pid on, because an older one is over when there is a younger one.
        for name in names.into_iter().rev() {
            let has_younger = younger.is_some_and(|younger| younger.pid == name.pid);
            younger = Some(name);
            add_all(&mut lost, &self.look(name, has_younger));
        }
        add_all(&mut lost, &self.lost);
        let changed = self.stacks.take_changed();
        let mut totals = self.stacks.totals();
        let live = totals.live_bytes + totals.mapping_bytes;
        self.target.peak = self.target.peak.max(live.0);
        totals.peak_bytes = Bytes(self.target.peak);
        Ok(StacksTick {
            totals: StackTotals { at, ..totals },
            new_modules: self.stacks.modules.take_new(),
            new_stacks: self.stacks.take_new(),
            changed,
            lost,
            ended: self.target.ended,
        })
    }

    /// What the target records; `None` before its region was read.
    pub fn target_mode(&self) -> Option<HeapMode> {
        self.target.mode
    }

    /// Private memory of the shim in the target, as (first address, bytes): no growth of the program.
    /// As of the last tick.
    pub fn own_ranges(&self) -> Vec<(u64, u64)> {
        self.target.ranges.clone()
    }

    /// Blocks and bytes that processes other than the target left behind when they ended, by stack:
    /// never freed, and counted as freed in the ticks.
    pub fn never_freed(&self) -> impl Iterator<Item = (StackId, u64, Bytes)> {
        self.stacks.abandoned()
    }

    /// What the youngest region of a pid says of itself; `None` while there is none that can be read.
    pub fn hello(&self, pid: u32) -> Option<Hello> {
        let names = directory::list(&self.directory).ok()?;
        let name = names.into_iter().rfind(|name| name.pid == pid)?;
        Hello::read(&name.path(&self.directory))
    }

    /// What every region in the directory says of itself, the oldest first.
    ///
    /// # Errors
    /// The directory cannot be listed. Regions that cannot be read are left out.
    pub fn processes(&self) -> Result<Vec<Hello>> {
        let names = directory::list(&self.directory)?;
        let read = |name: &Name| Hello::read(&name.path(&self.directory));
        let mut processes: Vec<Hello> = names.iter().filter_map(read).collect();
        processes.sort_by_key(|process| process.start);
        Ok(processes)
    }

    fn choose_target(&mut self, pid: Option<u32>) {
        if self.target.pid != pid {
            self.target = Target {
                pid,
                ..Target::default()
            };
        }
        if !self.target.is_over {
            let youngest = self.regions.keys().rfind(|name| Some(name.pid) == pid);
            if self.target.name != youngest.copied() {
                self.target.name = youngest.copied();
                self.target.peak = 0;
                self.target.ranges.clear();
            }
        }
        for (name, progress) in &mut self.regions {
            if let Progress::Open(region) = progress {
                region.set_owner(owner(*name, &self.target), &mut self.stacks);
            }
        }
    }

    /// Reads one region; gives what it has lost, if it is not over.
    fn look(&mut self, name: Name, has_younger: bool) -> Lost {
        let nothing = Lost::default();
        let Some(progress) = self.regions.get_mut(&name) else {
            return nothing;
        };
        let start = match progress {
            Progress::Over => return nothing,
            Progress::Waiting => Nanos(u64::MAX),
            Progress::Open(region) => Nanos(region.summary.start),
        };
        // Asked before reading: what a process did before it was seen to be gone is then read.
        let mut is_over = has_younger || !(self.is_running)(name.pid, start);
        let path = name.path(&self.directory);
        let Ok(file) = RegionFile::open(&path, &mut self.blocks) else {
            if is_over {
                self.give_up(name, is_over);
            }
            return nothing;
        };
        if let Progress::Waiting = progress {
            match Region::new(&file, owner(name, &self.target)) {
                Ok(region) => {
                    let start = Nanos(region.summary.start);
                    is_over = is_over || !(self.is_running)(name.pid, start);
                    *progress = Progress::Open(Box::new(region));
                }
                Err(RegionError::Magic | RegionError::Short) if !is_over => return nothing,
                Err(_never_readable) => {
                    self.give_up(name, is_over);
                    return nothing;
                }
            }
        }
        let Progress::Open(region) = progress else {
            return nothing;
        };
        region.read(&file, &mut self.stacks);
        let lost = lost_of(region);
        if Some(name) == self.target.name {
            self.target.note(region);
        }
        if !is_over {
            return lost;
        }
        add_all(&mut self.lost, &lost);
        self.close(name, has_younger);
        nothing
    }

    /// A region that can never be read.
    fn give_up(&mut self, name: Name, is_over: bool) {
        self.lost.processes += 1;
        self.regions.insert(name, Progress::Over);
        self.target.is_over |= is_over && Some(name) == self.target.name;
    }

    /// A region that was read to its end.
    fn close(&mut self, name: Name, has_younger: bool) {
        let Some(Progress::Open(region)) = self.regions.insert(name, Progress::Over) else {
            return;
        };
        if Some(name) == self.target.name {
            // Its rows are not needed any more: they stay as they are.
            self.target.is_over = true;
            self.target.ended = true;
            return;
        }
        region.abandon(&mut self.stacks);
        if self.removes && !has_younger {
            self.remove_all_of(name.pid);
        }
    }

    /// The files of a pid of which no process is left. Its names are free again: the next process with
    /// this pid will take the first one. While one is left they must stay, or a program that replaces
    /// it would take the name of one that was read long ago, and count as older than what it replaced.
    fn remove_all_of(&mut self, pid: u32) {
        let directory = &self.directory;
        self.regions.retain(|name, progress| {
            let is_done = name.pid == pid && matches!(progress, Progress::Over);
            // What cannot be removed keeps its name, and only takes room.
            !is_done || std::fs::remove_file(name.path(directory)).is_err()
        });
    }
}

impl Target {
    fn note(&mut self, region: &Region) {
        self.mode = Some(mode_of(region.summary.mode));
        self.peak = self.peak.max(region.summary.peak_bytes);
        region.ranges().clone_into(&mut self.ranges);
    }
}

impl fmt::Debug for Collector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Collector")
            .field("directory", &self.directory)
            .field("regions", &self.regions.len())
            .field("target", &self.target)
            .finish_non_exhaustive()
    }
}

fn owner(name: Name, target: &Target) -> StackOwner {
    if target.name == Some(name) {
        StackOwner::Target
    } else {
        StackOwner::Others
    }
}

pub(crate) const fn mode_of(mode: Mode) -> HeapMode {
    match mode {
        Mode::Sampled => HeapMode::Sampled,
        Mode::Full => HeapMode::Full,
    }
}

/// What one region has lost, in the model's words. Mappings without room are blocks without room.
fn lost_of(region: &Region) -> Lost {
    let counts = region.summary.lost;
    Lost {
        reentered: counts.reentered,
        threadless: counts.threadless,
        no_room: counts.no_room.saturating_add(counts.mappings),
        overflow: counts.nodes,
        ruleless: counts.rules,
        truncated: counts.truncated,
        foreign: counts.foreign,
        processes: u64::from(region.is_incomplete()),
    }
}

fn add_all(sum: &mut Lost, more: &Lost) {
    let pairs = [
        (&mut sum.reentered, more.reentered),
        (&mut sum.threadless, more.threadless),
        (&mut sum.no_room, more.no_room),
        (&mut sum.overflow, more.overflow),
        (&mut sum.ruleless, more.ruleless),
        (&mut sum.truncated, more.truncated),
        (&mut sum.foreign, more.foreign),
        (&mut sum.processes, more.processes),
    ];
    for (sum, more) in pairs {
        *sum = sum.saturating_add(more);
    }
}
