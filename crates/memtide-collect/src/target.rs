//! Which region is the target's, and what is known of it beside its stacks.

use crate::directory::Name;
use crate::region::Region;
use memtide_model::{HeapMode, StackOwner};

/// The process whose stacks are [`StackOwner::Target`].
#[derive(Debug, Default)]
pub(crate) struct Target {
    /// As the caller knows it.
    pub(crate) pid: Option<u32>,
    /// Its youngest region.
    pub(crate) name: Option<Name>,
    /// Whose number the pid is, by its first region: a process of another namespace may have the same.
    namespace: Option<u64>,
    /// True once it was seen to be gone: a later region of its pid is another process's.
    pub(crate) is_over: bool,
    pub(crate) mode: Option<HeapMode>,
    pub(crate) peak: u64,
    pub(crate) ranges: Vec<(u64, u64)>,
    /// Whether its end was seen in a region that could be read.
    pub(crate) ended: bool,
}

impl Target {
    /// Looks for process `pid` from now on.
    pub(crate) fn seek(&mut self, pid: Option<u32>) {
        if self.pid != pid {
            *self = Self {
                pid,
                ..Self::default()
            };
        }
    }

    /// Chooses its youngest region among those that are open.
    pub(crate) fn choose<'a>(&mut self, open: impl Iterator<Item = (Name, &'a Region)>) {
        if self.is_over {
            return;
        }
        let mut of_pid: Vec<(Name, u64, u64)> = open
            .filter(|(name, _)| Some(name.pid) == self.pid)
            .map(|(name, region)| (name, region.summary.start, region.summary.pid_namespace))
            .collect();
        of_pid.sort_by_key(|(name, start, _)| (*start, *name));
        let first = of_pid.first().map(|(_, _, namespace)| *namespace);
        self.namespace = self.namespace.or(first);
        let mut own = of_pid.iter().rev();
        let youngest = own.find(|(_, _, namespace)| Some(*namespace) == self.namespace);
        let youngest = youngest.map(|(name, _, _)| *name);
        if youngest.is_some() && self.name != youngest {
            self.name = youngest;
            self.peak = 0;
            self.ranges.clear();
        }
    }

    /// Notes what its region says.
    pub(crate) fn note(&mut self, region: &Region) {
        self.mode = Some(crate::collector::mode_of(region.summary.mode));
        self.peak = self.peak.max(region.summary.peak_bytes);
        region.ranges().clone_into(&mut self.ranges);
    }

    /// Whose the region of that name is.
    pub(crate) fn owner(&self, name: Name) -> StackOwner {
        if self.name == Some(name) {
            StackOwner::Target
        } else {
            StackOwner::Others
        }
    }
}
