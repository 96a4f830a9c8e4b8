//! All regions of a run: which there are, whose they are, and when they are over.

use crate::directory::{self, Name};
use crate::liveness::{self, Signs};
use crate::region::Region;
use crate::source::{Blocks, RegionFile};
use crate::stacks::Stacks;
use crate::target::Target;
use crate::{Hello, Result};
use memtide_model::{
    Bytes, CodeModule, HeapMode, Lost, Nanos, Pid, StackId, StackTotals, StacksTick,
};
use memtide_region::{Error as RegionError, Mode};
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
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
    loaded: Vec<Loaded>,
    /// Pids whose last region was read to its end in this tick.
    done: Vec<u32>,
}

/// A file with code, in a process that has it loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loaded {
    /// The file, as [`StacksTick::new_modules`] has it.
    pub module: CodeModule,
    /// The process, by its number here.
    pub process: Pid,
    /// Its first address there, and the one behind its last.
    pub range: Range<u64>,
}

/// The youngest region of each process, by its pid and namespace: when it began, and its name. What is older
/// is what the process was before an exec.
type Youngest = BTreeMap<(u32, u64), (u64, Name)>;

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
            loaded: Vec::new(),
            done: Vec::new(),
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
    /// [`crate::is_running`]. Of processes in other pid namespaces it is not asked.
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
    /// exec) and those of other pids are [`StackOwner::Others`](memtide_model::StackOwner::Others). Without a pid all are.
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
        self.loaded.clear();
        self.target.seek(target_pid);
        let mut lost = Lost {
            processes: self.open_new(),
            ..Lost::default()
        };
        self.choose_target();
        let youngest = self.youngest();
        let names: Vec<Name> = self.regions.keys().rev().copied().collect();
        for name in names {
            add_all(&mut lost, &self.look(name, at, &youngest));
        }
        for pid in std::mem::take(&mut self.done) {
            self.remove_all_of(pid);
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

    /// The files with code that were first read in the last tick of processes that still ran, each once for
    /// every process: whoever wants to read them afterwards opens them now.
    pub fn loaded(&self) -> &[Loaded] {
        &self.loaded
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

    /// What the youngest region of a pid says of itself; `None` while there is none that can be read. Where
    /// processes of several pid namespaces have that pid it is the one that came first.
    pub fn hello(&self, pid: u32) -> Option<Hello> {
        let names = directory::list(&self.directory).ok()?;
        let of_pid = names.into_iter().filter(|name| name.pid == pid);
        let mut hellos: Vec<Hello> = of_pid
            .filter_map(|name| Hello::read(&name.path(&self.directory)))
            .collect();
        hellos.sort_by_key(|hello| hello.start);
        let namespace = hellos.first()?.pid_namespace;
        hellos
            .into_iter()
            .rfind(|hello| hello.pid_namespace == namespace)
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

    /// Opens the regions that have become readable; gives how many seem never to. Those are tried again: a
    /// process in another pid namespace may only just have made its file.
    fn open_new(&mut self) -> u64 {
        let waiting = self.regions.iter();
        let waiting: Vec<Name> = waiting
            .filter(|(_, progress)| matches!(progress, Progress::Waiting))
            .map(|(name, _)| *name)
            .collect();
        let mut unfinished = 0;
        for name in waiting {
            let by_pid = (self.is_running)(name.pid, Nanos(u64::MAX));
            let Ok(file) = RegionFile::open(&name.path(&self.directory), &mut self.blocks) else {
                if !by_pid {
                    self.give_up(name, true);
                }
                continue;
            };
            match Region::new(&file) {
                Ok(region) => {
                    self.regions.insert(name, Progress::Open(Box::new(region)));
                }
                Err(RegionError::Magic | RegionError::Short) => {
                    let is_starting = by_pid || liveness::is_held(file.file()) == Some(true);
                    unfinished += u64::from(!is_starting);
                }
                Err(_never_readable) => self.give_up(name, !by_pid),
            }
        }
        unfinished
    }

    fn open_regions(&self) -> impl Iterator<Item = (Name, &Region)> {
        self.regions
            .iter()
            .filter_map(|(name, progress)| match progress {
                Progress::Open(region) => Some((*name, &**region)),
                Progress::Waiting | Progress::Over => None,
            })
    }

    fn choose_target(&mut self) {
        let mut target = std::mem::take(&mut self.target);
        target.choose(self.open_regions());
        for (name, progress) in &mut self.regions {
            if let Progress::Open(region) = progress {
                region.set_owner(target.owner(*name), &mut self.stacks);
            }
        }
        self.target = target;
    }

    fn youngest(&self) -> Youngest {
        let mut youngest = Youngest::new();
        for (name, region) in self.open_regions() {
            let age = (region.summary.start, name);
            let process = (name.pid, region.summary.pid_namespace);
            let known = youngest.entry(process).or_insert(age);
            *known = age.max(*known);
        }
        youngest
    }

    /// Reads one region; gives what it has lost, if it is not over.
    fn look(&mut self, name: Name, now: Nanos, youngest: &Youngest) -> Lost {
        let nothing = Lost::default();
        let Some(Progress::Open(region)) = self.regions.get_mut(&name) else {
            return nothing;
        };
        let summary = region.summary;
        let process = (name.pid, summary.pid_namespace);
        let is_replaced = youngest
            .get(&process)
            .is_some_and(|(_, youngest)| *youngest != name);
        let mut by_pid = || (self.is_running)(name.pid, Nanos(summary.start));
        let Ok(file) = RegionFile::open(&name.path(&self.directory), &mut self.blocks) else {
            if is_replaced || !by_pid() {
                self.give_up(name, true);
            }
            return nothing;
        };
        // Asked before reading: what a process did before it was seen to be gone is then read.
        let is_over = is_replaced || !Signs::of(file.file(), &summary).show_life(now, by_pid);
        region.read(&file, &mut self.stacks);
        let seen = self.stacks.modules.take_seen();
        if !is_over
            && !seen.is_empty()
            && let Some(process) = region.process()
        {
            self.loaded.extend(seen.into_iter().map(|seen| Loaded {
                module: seen.module,
                process,
                range: seen.range,
            }));
        }
        let lost = lost_of(region);
        if Some(name) == self.target.name {
            self.target.note(region);
        }
        if !is_over {
            return lost;
        }
        add_all(&mut self.lost, &lost);
        self.close(name, is_replaced);
        nothing
    }

    /// A region that can never be read.
    fn give_up(&mut self, name: Name, is_over: bool) {
        self.lost.processes += 1;
        self.regions.insert(name, Progress::Over);
        let is_targets = self.target.name.is_none() && self.target.pid == Some(name.pid);
        self.target.is_over |= is_over && is_targets;
    }

    /// A region that was read to its end.
    fn close(&mut self, name: Name, is_replaced: bool) {
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
        if self.removes && !is_replaced {
            self.done.push(name.pid);
        }
    }

    /// The files of a pid of which no process is left. Its names are free again: the next process with
    /// this pid will take the first one. While one is left they must stay, or a program that replaces
    /// it would take the name of one that was read long ago, and count as older than what it replaced.
    fn remove_all_of(&mut self, pid: u32) {
        let (directory, targets) = (&self.directory, self.target.name);
        self.regions.retain(|name, progress| {
            let is_over = matches!(progress, Progress::Over);
            let is_done = is_over && name.pid == pid && Some(*name) != targets;
            // What cannot be removed keeps its name, and only takes room.
            !is_done || std::fs::remove_file(name.path(directory)).is_err()
        });
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
