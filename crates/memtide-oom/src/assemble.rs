//! From messages to kills.
//!
//! A dump begins with `invoked oom-killer` and ends with `Killed process`. Messages of others stand between
//! them, and where the kernel prints who speaks (`CONFIG_PRINTK_CALLER`) dumps are told apart by that. Where
//! it does not, since 4.1 a lock lets only one dump be printed at a time; before, two groups could interleave.
//! So a kill takes from an open dump only if that one names its pid, as the chosen one or in its list.
//!
//! The kernel limits how often it dumps, not how often it kills: a kill without a dump is a kill all the same.

mod dump;

use crate::kill::{Constraint, Kill};
use crate::parse::kill::Killed;
use crate::parse::{self, Line};
use crate::record::Record;
use dump::Dump;
use memtide_model::text::printable;

/// Dumps that are open at the same time; more than processors could print is a broken log.
const MOST_DUMPS: usize = 8;
/// A name of 15 bytes holds no more line ends.
const MOST_PARTS: usize = 16;

/// Takes messages in their order and gives kills.
#[derive(Debug, Default)]
pub struct Assembler {
    /// Open dumps, the latest last.
    dumps: Vec<Dump>,
    /// A line whose name has not ended, and its parts.
    cut: Option<(Record, usize)>,
}

impl Assembler {
    /// An assembler that has seen nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes a message; a kill where it is the one that ends a dump.
    pub fn push(&mut self, record: Record) -> Option<Kill> {
        let record = self.joined(record)?;
        let line = parse::line(&record.text)?;
        match line {
            Line::Unfinished => {
                self.cut = Some((record, 1));
                None
            }
            Line::Invoked(request) => {
                self.open(Dump::new(&record, Some(request)));
                None
            }
            Line::Killed(killed) => Some(self.kill(&record, *killed)),
            // The words of old kernels and the list stand in a dump or mean nothing.
            other => {
                if let Some(dump) = self.dump_of(&record) {
                    dump.add(other, &record.text);
                }
                None
            }
        }
    }

    /// The kills among messages.
    pub fn all(records: impl IntoIterator<Item = Record>) -> Vec<Kill> {
        let mut assembler = Self::new();
        records
            .into_iter()
            .filter_map(|record| assembler.push(record))
            .collect()
    }

    /// The message, with those before it that it ends; `None` while it is still cut.
    fn joined(&mut self, record: Record) -> Option<Record> {
        let Some((mut first, parts)) = self.cut.take() else {
            return Some(record);
        };
        // Another message came between, or a new line of the log: what was cut stays cut.
        let goes_on = record.caller.is_none() || record.caller == first.caller;
        if !goes_on || parts >= MOST_PARTS || parse::line(&record.text).is_some() {
            return Some(record);
        }
        first.text.push(b'\n');
        first.text.extend_from_slice(&record.text);
        match parse::line(&first.text) {
            Some(Line::Unfinished) => {
                self.cut = Some((first, parts + 1));
                None
            }
            Some(_) => Some(first),
            None => Some(record),
        }
    }

    fn open(&mut self, dump: Dump) {
        if dump.caller.is_some() {
            self.dumps.retain(|open| open.caller != dump.caller);
        }
        if self.dumps.len() >= MOST_DUMPS {
            self.dumps.remove(0);
        }
        self.dumps.push(dump);
    }

    /// The dump that a message belongs to.
    fn dump_of(&mut self, record: &Record) -> Option<&mut Dump> {
        self.dumps
            .iter_mut()
            .rev()
            .find(|dump| dump.is_of(record.caller.as_ref()))
    }

    fn kill(&mut self, record: &Record, killed: Killed) -> Kill {
        let position = self
            .dumps
            .iter()
            .rposition(|dump| dump.is_of(record.caller.as_ref()) && dump.names(killed.pid, record));
        let mut kill = Kill {
            wall_ns: record.wall_ns,
            stamp_ns: record.stamp,
            pid: killed.pid,
            name: killed.name,
            uid: killed.uid,
            constraint: if killed.memcg {
                Constraint::Memcg
            } else {
                Constraint::None
            },
            total_vm: killed.total_vm,
            anon_rss: killed.anon,
            file_rss: killed.file,
            shmem_rss: killed.shmem,
            page_tables: killed.page_tables,
            oom_score_adj: killed.oom_score_adj,
            text: printable(&record.text),
            ..Kill::default()
        };
        if let Some(dump) = position.and_then(|position| self.dumps.get_mut(position)) {
            dump.fill(&mut kill);
            dump.spent = true;
        }
        kill
    }
}
