//! What the process holds besides memory, counted by what it leads to.
//!
//! The idea: a descriptor's link is turned into a group once, when it is first seen; after that a read
//! is a readlink(2) and a look-up each. What a link does not tell is joined to it: addresses and states of
//! sockets from the process's own network namespace, the other end of a pipe from other processes.
//! Kernel objects that outlive descriptors are counted in the same groups.
//!
//! It keeps at most [`MOST_GROUPS`] groups, and forgets those that are empty when there would be more; what comes
//! beyond is counted in one more of each kind.

pub(crate) mod descriptors;
mod paths;
mod pipes;
pub(crate) mod queues;
mod sockets;
pub(crate) mod tmpfs;

use memtide_model::{GroupTarget, HeldGroup, HeldKind};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// Groups that are told apart.
const MOST_GROUPS: usize = 8_192;

/// What a thing leads to, and what its group is called once there are others like it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Thing {
    pub(crate) kind: HeldKind,
    /// Its own name.
    pub(crate) name: String,
    /// The name of its like: what is equal here is one group.
    pub(crate) pattern: String,
    /// State of a TCP socket; empty otherwise.
    pub(crate) state: &'static str,
}

impl Thing {
    /// A thing that shares its name with all of its group.
    pub(crate) fn named(kind: HeldKind, name: impl Into<String>) -> Self {
        let name = name.into();
        Self::like(kind, name.clone(), name)
    }

    /// A thing with a name of its own; all of its group are called like `pattern`.
    pub(crate) fn like(kind: HeldKind, name: String, pattern: String) -> Self {
        Self {
            kind,
            name,
            pattern,
            state: "",
        }
    }
}

/// A group's number in [`Groups`], never given to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Slot(u32);

/// The groups, with their counts as of the read under way.
#[derive(Debug, Default)]
pub(crate) struct Groups {
    slots: HashMap<(HeldKind, String, &'static str), Slot>,
    kept: BTreeMap<Slot, (GroupTarget, u64)>,
    /// Of each kind the group of what came beyond.
    others: BTreeMap<HeldKind, Slot>,
    next: u32,
}

impl Groups {
    /// The group of a thing. Its name becomes the pattern with the second name that comes.
    pub(crate) fn slot(&mut self, thing: Thing) -> Slot {
        let Thing {
            kind,
            name,
            pattern,
            state,
        } = thing;
        let key = (kind, pattern, state);
        if let Some(&slot) = self.slots.get(&key) {
            if let Some((target, _)) = self.kept.get_mut(&slot)
                && *target.name != *name
                && *target.name != *key.1
            {
                target.name = key.1.as_str().into();
            }
            return slot;
        }
        if self.slots.len() >= MOST_GROUPS {
            if let Some(&others) = self.others.get(&kind) {
                return others;
            }
            let others = self.push(kind, "others", "");
            self.others.insert(kind, others);
            return others;
        }
        let slot = self.push(kind, &name, state);
        self.slots.insert(key, slot);
        slot
    }

    fn push(&mut self, kind: HeldKind, name: &str, state: &str) -> Slot {
        let target = GroupTarget {
            kind,
            name: Arc::from(name),
            state: Arc::from(state),
        };
        let slot = Slot(self.next);
        self.next = self.next.saturating_add(1);
        self.kept.insert(slot, (target, 0));
        slot
    }

    /// Whether the group is still kept.
    pub(crate) fn has(&self, slot: Slot) -> bool {
        self.kept.contains_key(&slot)
    }

    /// One more of a group.
    pub(crate) fn add(&mut self, slot: Slot) {
        self.add_many(slot, 1);
    }

    /// So many more of a group.
    pub(crate) fn add_many(&mut self, slot: Slot, more: u64) {
        if let Some((_, count)) = self.kept.get_mut(&slot) {
            *count = count.saturating_add(more);
        }
    }

    /// Sets the counts of all groups of such kinds to zero, before they are counted again.
    pub(crate) fn clear(&mut self, is_counted_again: impl Fn(HeldKind) -> bool) {
        if self.slots.len() >= MOST_GROUPS {
            self.kept.retain(|_, (_, count)| *count > 0);
            let kept = &self.kept;
            self.slots.retain(|_, slot| kept.contains_key(slot));
            self.others.retain(|_, slot| kept.contains_key(slot));
        }
        for (target, count) in self.kept.values_mut() {
            if is_counted_again(target.kind) {
                *count = 0;
            }
        }
    }

    /// The groups that have any.
    pub(crate) fn counted(&self) -> Vec<HeldGroup> {
        let some = self.kept.iter().filter(|(_, (_, count))| *count > 0);
        some.map(|(slot, (target, count))| HeldGroup {
            number: slot.0,
            target: target.clone(),
            count: *count,
        })
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(groups: &Groups) -> Vec<(String, u64)> {
        let counted = groups.counted();
        let labels = counted.into_iter().map(|g| (g.target.label(), g.count));
        labels.collect()
    }

    #[test]
    fn a_group_has_its_members_name_until_the_second_comes() {
        let mut groups = Groups::default();
        let job = |n: u32| Thing {
            kind: HeldKind::File,
            name: format!("/tmp/job-{n}"),
            pattern: "/tmp/job-*".to_owned(),
            state: "",
        };
        let first = groups.slot(job(1));
        groups.add(first);
        assert_eq!(labels(&groups), [("file /tmp/job-1".to_owned(), 1)]);
        let second = groups.slot(job(2));
        groups.add(second);
        assert_eq!(
            (first, labels(&groups)),
            (second, vec![("file /tmp/job-*".to_owned(), 2)])
        );
        groups.clear(HeldKind::is_descriptor);
        assert_eq!(labels(&groups), []);
        groups.add(groups.slots[&(HeldKind::File, "/tmp/job-*".to_owned(), "")]);
        assert_eq!(
            groups.counted()[0].number,
            0,
            "it is the same group as before"
        );
    }

    #[test]
    fn ever_new_groups_do_not_make_it_grow() {
        let mut groups = Groups::default();
        for n in 0..20_000 {
            let slot = groups.slot(Thing::named(HeldKind::File, format!("{n}")));
            groups.add(slot);
        }
        let counted = groups.counted();
        assert_eq!(counted.len(), MOST_GROUPS + 1);
        assert_eq!(counted.iter().map(|group| group.count).sum::<u64>(), 20_000);
        assert_eq!(counted[MOST_GROUPS].target.label(), "file others");
        let pipe = groups.slot(Thing::named(HeldKind::Pipe, "to 7"));
        groups.add(pipe);
        let last = groups.counted().pop().unwrap();
        assert_eq!(last.target.label(), "pipe others", "of its own kind");

        // What is not held any more gives way to what is.
        groups.clear(HeldKind::is_descriptor);
        groups.clear(HeldKind::is_descriptor);
        assert!(!groups.has(pipe));
        let slot = groups.slot(Thing::named(HeldKind::Pipe, "to 8"));
        groups.add(slot);
        let counted = groups.counted();
        assert_eq!(
            (counted.len(), counted[0].target.label().as_str()),
            (1, "pipe to 8")
        );
        assert!(
            counted[0].number > last.number,
            "no number means two groups"
        );
    }
}
