//! Which processes belong to the tree that is followed, where an engine sees all of the machine.
//!
//! A child belongs to the tree when its parent does, at the moment of the fork; it stays when its parent ends.

use crate::event::{Change, TreeEvent};
use memtide_model::Pid;
use std::collections::HashSet;

/// The living processes of a tree.
#[derive(Debug)]
pub(crate) struct Members {
    alive: HashSet<Pid>,
}

impl Members {
    /// A tree that these processes belong to.
    pub(crate) fn new(alive: impl IntoIterator<Item = Pid>) -> Self {
        Self {
            alive: alive.into_iter().collect(),
        }
    }

    /// Those that live, as far as was told.
    pub(crate) fn alive(&self) -> impl Iterator<Item = &Pid> {
        self.alive.iter()
    }

    /// True where `event` is one of the tree's. Events come in the order of time.
    pub(crate) fn concerns(&mut self, event: &TreeEvent) -> bool {
        if !self.alive.contains(&event.pid) {
            if let Change::Fork { child } = event.change {
                // The end of the process that had this number was lost.
                self.alive.remove(&child);
            }
            return false;
        }
        match event.change {
            Change::Fork { child } => {
                self.alive.insert(child);
            }
            Change::Exit { .. } => {
                self.alive.remove(&event.pid);
            }
            _ => {}
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use memtide_model::Nanos;

    #[test]
    fn descendants_stay_when_their_parent_ends_and_reused_numbers_are_others() {
        let mut members = Members::new([Pid(1)]);
        let mut concerns = |pid, change| {
            members.concerns(&TreeEvent {
                at: Nanos(0),
                pid: Pid(pid),
                change,
            })
        };
        let fork = |child| Change::Fork { child: Pid(child) };
        let exit = Change::Exit {
            status: None,
            parent: None,
        };
        assert!(!concerns(9, fork(10)), "another tree");
        assert!(concerns(1, fork(2)));
        assert!(concerns(2, fork(3)));
        assert!(concerns(2, exit));
        assert!(concerns(3, fork(4)), "the orphan's child");
        assert!(concerns(3, exit));
        assert!(!concerns(9, fork(2)), "a reused number");
        assert!(!concerns(2, fork(5)));
        assert!(!concerns(9, fork(4)), "4 ended and nobody said so");
        assert!(!concerns(4, exit));
    }
}
