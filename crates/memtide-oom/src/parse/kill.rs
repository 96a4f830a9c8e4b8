//! The lines that say whom the kernel chose and killed, and by which limit.

use super::bytes::{after_key, between, decimal, find, signed, strip};
use super::{Line, constraint};
use crate::kill::Constraint;
use memtide_model::Bytes;
use memtide_model::text::printable;

/// `oom-kill:constraint=…,oom_memcg=/a,task_memcg=/a/b,task=NAME,pid=N,uid=N`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Chosen {
    pub(crate) constraint: Constraint,
    pub(crate) group: Option<String>,
    pub(crate) task_group: Option<String>,
    pub(crate) pid: u32,
    pub(crate) uid: u32,
}

/// Read from the right: the numbers end it, `task=` may hold commas and brackets, groups any character.
pub(crate) fn chosen(text: &[u8]) -> Option<Chosen> {
    let rest = strip(text, b"oom-kill:constraint=")?;
    let (rest, uid) = between(rest, b",uid=")?;
    let (rest, pid) = between(rest, b",pid=")?;
    let (rest, _name) = between(rest, b",task=")?;
    let (word, _) = find(rest, b",")?;
    let (rest, task_group) = match between(rest, b",task_memcg=") {
        Some((rest, path)) => (rest, Some(printable(path))),
        None => (rest, None),
    };
    Some(Chosen {
        constraint: constraint(word)?,
        group: find(rest, b",oom_memcg=").map(|(_, path)| printable(path)),
        task_group,
        pid: u32::try_from(decimal(pid)?.0).ok()?,
        uid: u32::try_from(decimal(uid)?.0).ok()?,
    })
}

/// The begin of that line, where a name with a line's end in it has cut it.
pub(crate) fn chosen_in_part(text: &[u8]) -> Option<Line> {
    (strip(text, b"oom-kill:constraint=").is_some() && chosen(text).is_none())
        .then_some(Line::Unfinished)
}

/// `Killed process N (NAME) total-vm:…kB, …`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Killed {
    pub(crate) pid: u32,
    pub(crate) name: String,
    pub(crate) uid: Option<u32>,
    pub(crate) memcg: bool,
    pub(crate) total_vm: Option<Bytes>,
    pub(crate) anon: Option<Bytes>,
    pub(crate) file: Option<Bytes>,
    pub(crate) shmem: Option<Bytes>,
    pub(crate) page_tables: Option<Bytes>,
    pub(crate) oom_score_adj: Option<i64>,
}

/// How the words after the name begin, in the forms that there were.
const AFTER_NAME: [&[u8]; 3] = [b") total-vm:", b"), UID ", b") vsz:"];

/// What may stand before: nothing (old kernels), or the reason (since 5.1).
const REASONS: [&[u8]; 4] = [
    b"",
    b"Out of memory: ",
    b"Out of memory (oom_kill_allocating_task): ",
    b"Memory cgroup out of memory: ",
];

/// [`Line::Killed`], or [`Line::Unfinished`] where the name has not ended with the line.
pub(crate) fn killed(text: &[u8]) -> Option<Line> {
    let (reason, rest) = find(text, b"Killed process ")?;
    if !REASONS.contains(&reason) {
        return None;
    }
    let (pid, rest) = decimal(rest)?;
    let pid = u32::try_from(pid).ok().filter(|pid| *pid != 0)?;
    let rest = strip(rest, b" (")?;
    let Some((name, figures)) = AFTER_NAME
        .iter()
        .find_map(|words| between(rest, words).map(|(name, _)| (name, figures(rest, name))))
    else {
        return Some(Line::Unfinished);
    };
    let kib = |key: &[u8]| after_key(figures, key).map(Bytes::from_kib);
    let uid = after_key(figures, b"UID:").or_else(|| after_key(figures, b"UID "));
    let adj = find(figures, b"oom_score_adj:").and_then(|(_, digits)| signed(digits));
    Some(Line::Killed(Box::new(Killed {
        pid,
        name: printable(name),
        uid: uid.and_then(|uid| u32::try_from(uid).ok()),
        memcg: reason.starts_with(b"Memory cgroup"),
        total_vm: kib(b"total-vm:"),
        anon: kib(b"anon-rss:"),
        file: kib(b"file-rss:"),
        shmem: kib(b"shmem-rss:"),
        page_tables: kib(b"pgtables:"),
        oom_score_adj: adj.map(|(adj, _)| adj),
    })))
}

/// What follows the name.
fn figures<'a>(rest: &'a [u8], name: &[u8]) -> &'a [u8] {
    rest.get(name.len()..).unwrap_or_default()
}

/// Which of a group's counters a line is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Counter {
    Memory,
    MemoryAndSwap,
    Swap,
    Kernel,
}

/// `memory: usage 65536kB, limit 65536kB, failcnt 0`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Usage {
    pub(crate) counter: Counter,
    pub(crate) used: Bytes,
    pub(crate) limit: Option<Bytes>,
}

/// No machine has so much: what stands for "no limit" (2^63 less a page, as KiB).
const UNLIMITED_KIB: u64 = 1 << 50;

pub(crate) fn usage(text: &[u8]) -> Option<Usage> {
    let (word, rest) = find(text, b": usage ")?;
    let counter = match word {
        b"memory" => Counter::Memory,
        b"memory+swap" => Counter::MemoryAndSwap,
        b"swap" => Counter::Swap,
        b"kmem" => Counter::Kernel,
        _ => return None,
    };
    let (used, rest) = decimal(rest)?;
    let limit = after_key(strip(rest, b"kB, ")?, b"limit ");
    Some(Usage {
        counter,
        used: Bytes::from_kib(used),
        limit: limit
            .filter(|kib| *kib < UNLIMITED_KIB)
            .map(Bytes::from_kib),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_hold_what_ends_names() {
        let Some(Line::Killed(killed)) = killed(
            b"Memory cgroup out of memory: Killed process 7 (a) total-vm:1kB) total-vm:55932kB, anon-rss:52736kB, file-rss:1116kB, shmem-rss:4kB, UID:1000 pgtables:148kB oom_score_adj:-17",
        ) else {
            panic!("not read");
        };
        assert_eq!(killed.name, "a) total-vm:1kB");
        assert_eq!(killed.total_vm, Some(Bytes::from_kib(55_932)));
        assert_eq!((killed.uid, killed.oom_score_adj), (Some(1000), Some(-17)));
        assert_eq!(killed.page_tables, Some(Bytes::from_kib(148)));
        assert!(killed.memcg);
    }

    #[test]
    fn what_programs_might_say_is_no_kill() {
        assert_eq!(killed(b"watchdog: Killed process 7 (a) total-vm:1kB"), None);
        assert_eq!(killed(b"Killed process 0 (a) total-vm:1kB"), None);
        assert_eq!(killed(b"Killed process 99999999999 (a) total-vm:1kB"), None);
        assert_eq!(killed(b"Killed process 7 (a"), Some(Line::Unfinished));
    }

    #[test]
    fn the_chosen_one_is_read_from_the_right() {
        let chosen = chosen(
            b"oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=/,mems_allowed=0,oom_memcg=/a,b,task_memcg=/a,b/c,task=x,pid=1,uid=2(,pid=29654,uid=33",
        )
        .unwrap();
        assert_eq!(chosen.constraint, Constraint::Memcg);
        assert_eq!((chosen.pid, chosen.uid), (29_654, 33));
        assert_eq!(chosen.group.as_deref(), Some("/a,b"));
        assert_eq!(chosen.task_group.as_deref(), Some("/a,b/c"));
    }
}
