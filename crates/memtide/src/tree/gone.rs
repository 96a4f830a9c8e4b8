//! Who came and went below the target, in sentences: by name and by who started them, those of which there were
//! most; and what the kernel's records lacked.
//!
//! Single ends are not told: a build has a hundred thousand of them.

use memtide_events::{Comm, Node, NodeId, Tree};
use memtide_model::text::plural;
use std::cmp::Reverse;
use std::collections::HashMap;

/// So many names are told; of more the number.
const NAMED: usize = 8;

/// Those who ended, and what was missed.
pub(super) fn sentences(tree: &Tree) -> Vec<String> {
    let ended: u64 = tree
        .counts()
        .exits
        .saturating_add(tree.counts().unseen_ends);
    let mut said = Vec::new();
    if ended > 0 {
        let groups = groups(tree);
        let more = groups.len().saturating_sub(NAMED);
        let mut parts: Vec<String> = groups.into_iter().take(NAMED).map(words).collect();
        if more > 0 {
            parts.push(format!("{} more", plural(more as u64, "name")));
        }
        said.push(format!(
            "{} below it ended while watched: {}",
            plural(ended, "process"),
            parts.join(", ")
        ));
    }
    let losses = tree.losses();
    if !losses.is_complete() || losses.late > 0 {
        said.push(format!("of forks, execs and exits: {losses}"));
    }
    said
}

/// Ended processes of one name that one process has started, or who descended from it.
struct Group {
    name: String,
    parent: Option<(NodeId, String)>,
    count: u64,
}

fn groups(tree: &Tree) -> Vec<Group> {
    let mut counts: HashMap<(Comm, Option<NodeId>), u64> = HashMap::new();
    for node in tree.nodes() {
        if !node.is_alive() {
            let group = (node.comm.unwrap_or_default(), node.parent);
            *counts.entry(group).or_default() += 1;
        }
        for (comm, count) in node.folded.by_comm() {
            *counts.entry((comm, Some(node.id))).or_default() += count;
        }
    }
    for (comm, count) in tree.folded().by_comm() {
        *counts.entry((comm, None)).or_default() += count;
    }
    let mut groups: Vec<Group> = (counts.into_iter())
        .map(|((comm, parent), count)| Group {
            name: comm.text(),
            parent: parent.map(|id| (id, tree.get(id).map(name_of).unwrap_or_default())),
            count,
        })
        .collect();
    groups.sort_by_cached_key(|group| {
        let parent = group.parent.as_ref().map(|(id, _)| *id);
        (Reverse(group.count), group.name.clone(), parent)
    });
    groups
}

fn name_of(node: &Node) -> String {
    node.comm.map(|comm| comm.text()).unwrap_or_default()
}

fn words(group: Group) -> String {
    let name = if group.name.is_empty() {
        "(no name)"
    } else {
        &group.name
    };
    match group.parent {
        Some((id, parent)) if !parent.is_empty() => {
            format!("{} {name} by pid {} ({parent})", group.count, id.pid)
        }
        Some((id, _)) => format!("{} {name} by pid {}", group.count, id.pid),
        None => format!("{} {name}", group.count),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use memtide_events::{Change, Losses, TreeEvent};
    use memtide_model::{Nanos, Pid};

    fn tree(most_ended: usize) -> Tree {
        let mut tree = Tree::new(most_ended);
        let mut at = 0;
        let mut apply = |pid, change| {
            at += 1;
            tree.apply(&TreeEvent {
                at: Nanos(at),
                pid: Pid(pid),
                change,
            });
        };
        let found = Change::Found {
            parent: Pid(1),
            comm: Comm::new(b"sh"),
            threads: 1,
        };
        let exit = Change::Exit {
            status: None,
            parent: None,
        };
        apply(10, found);
        for child in 11..21 {
            apply(10, Change::Fork { child: Pid(child) });
            let name: &[u8] = if child < 14 { b"sed" } else { b"true" };
            apply(
                child,
                Change::Exec {
                    comm: Some(Comm::new(name)),
                },
            );
            apply(child, exit);
        }
        tree
    }

    #[test]
    fn who_came_and_went_is_told_by_name_and_parent_folded_or_not() {
        let wanted = [
            "10 processes below it ended while watched: 7 true by pid 10 (sh), 3 sed by pid 10 (sh)",
        ];
        assert_eq!(sentences(&tree(100)), wanted);
        assert_eq!(sentences(&tree(2)), wanted);
        assert!(sentences(&Tree::default()).is_empty());
    }

    #[test]
    fn what_was_missed_is_told() {
        let mut tree = tree(100);
        tree.note_losses(Losses {
            late: 1,
            escaped: 2,
            ..Losses::default()
        });
        assert_eq!(
            sentences(&tree)[1],
            "of forks, execs and exits: 1 record out of order, 2 processes escaped by taking on privileges"
        );
    }
}
