//! What one message says, if it is one of an OOM dump.
//!
//! The forms are those of `mm/oom_kill.c`, `mm/memcontrol.c`, `mm/memcontrol-v1.c` and `mm/show_mem.c` of
//! Linux 3.10 to 6.18. Names of processes and groups may hold anything, the words around them too: numbers
//! are read first and names are what lies between them, from the right.

pub(crate) mod bytes;
pub(crate) mod kill;
pub(crate) mod memory;
pub(crate) mod table;

use crate::kill::{Constraint, Request};
use bytes::{between, decimal, find, signed, strip};
use memtide_model::text::printable;

/// A message of a dump.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Line {
    /// `NAME invoked oom-killer: …`: a dump begins.
    Invoked(Request),
    /// `Task in A killed as a result of limit of B` (before 5.0).
    TaskIn { task_group: String, group: String },
    /// `memory: usage …` and its like.
    Usage(kill::Usage),
    /// `[ pid ] uid tgid …`: what the columns of the rows are.
    Columns(table::Columns),
    /// A row; read with the columns that were last seen.
    Row,
    /// `oom-kill:…` (since 5.0, and Red Hat's 4.18).
    Chosen(kill::Chosen),
    /// `… Kill process N (NAME) score S or sacrifice child` (before 5.1).
    Score { pid: u32, score: u64, memcg: bool },
    /// `Tasks in G are going to be killed due to memory.oom.group set`.
    WholeGroup,
    /// `… Killed process N (NAME) …`: the end.
    Killed(Box<kill::Killed>),
    /// The beginning of one whose name holds a line's end.
    Unfinished,
    /// A line about the machine's memory.
    Memory,
}

/// What the message says; `None` for all others.
pub(crate) fn line(text: &[u8]) -> Option<Line> {
    invoked(text)
        .or_else(|| kill::killed(text))
        .or_else(|| kill::chosen(text).map(Line::Chosen))
        .or_else(|| kill::chosen_in_part(text))
        .or_else(|| score(text))
        .or_else(|| task_in(text))
        .or_else(|| kill::usage(text).map(Line::Usage))
        .or_else(|| table::columns(text).map(Line::Columns))
        .or_else(|| table::looks_like_row(text).then_some(Line::Row))
        .or_else(|| whole_group(text))
        .or_else(|| memory::is_about(text).then_some(Line::Memory))
}

fn invoked(text: &[u8]) -> Option<Line> {
    let (by, rest) = between(text, b" invoked oom-killer: ")?;
    let gfp = strip(rest, b"gfp_mask=").map(|mask| find(mask, b", ").map_or(mask, |(gfp, _)| gfp));
    let order = find(rest, b"order=").and_then(|(_, digits)| signed(digits));
    Some(Line::Invoked(Request {
        by: printable(by),
        order: order.and_then(|(order, _)| i32::try_from(order).ok()),
        gfp: printable(gfp.unwrap_or_default()),
    }))
}

fn score(text: &[u8]) -> Option<Line> {
    let (before, rest) = find(text, b"Kill process ")?;
    let (pid, rest) = decimal(rest)?;
    let (_, after) = between(rest, b") score ")?;
    let (score, _) = decimal(after)?;
    Some(Line::Score {
        pid: u32::try_from(pid).ok()?,
        score,
        memcg: before.starts_with(b"Memory cgroup"),
    })
}

fn task_in(text: &[u8]) -> Option<Line> {
    let (task_group, group) = between(
        strip(text, b"Task in ")?,
        b" killed as a result of limit of ",
    )?;
    Some(Line::TaskIn {
        task_group: printable(task_group),
        group: printable(group),
    })
}

fn whole_group(text: &[u8]) -> Option<Line> {
    let rest = strip(text, b"Tasks in ")?;
    rest.ends_with(b" are going to be killed due to memory.oom.group set")
        .then_some(Line::WholeGroup)
}

/// The word for what had run out.
pub(crate) fn constraint(word: &[u8]) -> Option<Constraint> {
    match word {
        b"CONSTRAINT_NONE" => Some(Constraint::None),
        b"CONSTRAINT_CPUSET" => Some(Constraint::Cpuset),
        b"CONSTRAINT_MEMORY_POLICY" => Some(Constraint::Mempolicy),
        b"CONSTRAINT_MEMCG" => Some(Constraint::Memcg),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_asked_is_read_in_all_forms() {
        let forms: [(&[u8], &str, Option<i32>, &str); 5] = [
            (
                b"java invoked oom-killer: gfp_mask=0x201da, order=0, oom_score_adj=0",
                "java",
                Some(0),
                "0x201da",
            ),
            (
                b"dd invoked oom-killer: gfp_mask=0x14200ca(GFP_HIGHUSER_MOVABLE), nodemask=(null),  order=3, oom_score_adj=0",
                "dd",
                Some(3),
                "0x14200ca(GFP_HIGHUSER_MOVABLE)",
            ),
            (
                b"kworker/0:1 invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=-1, oom_score_adj=0",
                "kworker/0:1",
                Some(-1),
                "0xcc0(GFP_KERNEL)",
            ),
            // A name that begins like the words after it.
            (
                b"a invoked oom-k invoked oom-killer: gfp_mask=0xd0, order=1, oom_adj=0, oom_score_adj=0",
                "a invoked oom-k",
                Some(1),
                "0xd0",
            ),
            (b"x invoked oom-killer: ", "x", None, ""),
        ];
        for (text, by, order, gfp) in forms {
            let Some(Line::Invoked(request)) = line(text) else {
                panic!("{:?}", String::from_utf8_lossy(text));
            };
            assert_eq!(
                (request.by.as_str(), request.order, request.gfp.as_str()),
                (by, order, gfp)
            );
        }
    }

    #[test]
    fn the_old_words_are_read() {
        assert_eq!(
            line(b"Out of memory: Kill process 123 (a) score 9 (x)) score 900 or sacrifice child"),
            Some(Line::Score {
                pid: 123,
                score: 900,
                memcg: false
            })
        );
        assert_eq!(
            line(b"Task in /a killed as a result of limit of /"),
            Some(Line::TaskIn {
                task_group: "/a".to_owned(),
                group: "/".to_owned()
            })
        );
        assert_eq!(line(b"CPU: 1 PID: 29602 Comm: leaky Not tainted"), None);
    }
}
