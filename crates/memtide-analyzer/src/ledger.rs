//! Where the resident memory is, account by account, at the start and at the end.
//!
//! Every row comes from one tick at which RSS and the mappings were read together, the one with the
//! median RSS of the first (last) twelfth, so the accounts and `unexplained` = RSS − Σ accounts add up
//! to RSS exactly, by construction. Averages of each account alone would not.
//!
//! | account | classes of mappings |
//! | --- | --- |
//! | heap | `[heap]` and malloc's further arenas |
//! | anon | other anonymous memory; guards (pages that lost their access rights are anonymous) |
//! | stacks | threads' stacks and the initial one |
//! | file | files with their pages copied on write, devices, vdso and vvar |
//! | shared | shared memory, tmpfs, memfd |
//! | shim | the preload shim's own memory; left out where there is none |
//!
//! Where live blocks are known, `heap` gives way to two accounts, `heap_live` and `heap_retained`.
//!
//! * The preload shim counted them: `heap_live` is the live bytes, as asked for, of that moment, clipped
//!   to what of heap and anon is resident. They are taken from the heap first and what exceeds it from
//!   anon, where malloc puts large blocks. `heap_retained` is what is left of the heap: free blocks, and
//!   the heap's own overhead.
//! * Else looks into the heap from outside: the live share of the resident heap, interpolated between
//!   two of them, is applied to the heap of every tick; the formula is in [`crate::snapshots`].
//!
//! Where both are there the shim's sums win. A look is nearer to the truth at its own moment: it sees
//! chunks as malloc lays them out and which pages of them are resident, and blocks from before the shim.
//! But there are five looks in a minute, and totals at every tick: a heap that swings between two looks
//! is drawn as it was by the shim alone. What the looks found stands beside it in the report's `heap`.
//!
//! Without mappings (no ptrace access) the kernel's own split serves: `RssAnon`, `RssFile` and
//! `RssShmem` as anon, file and shared. Before Linux 4.5 even that is missing: all of RSS is
//! unexplained then. Nothing is estimated.

use crate::record::{Record, class_maps};
use crate::snapshots::Division;
use crate::thresholds::ENDS;
use memtide_model::{Account, Bytes, Sample};

/// Where the split comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// Mappings by class.
    Maps,
    /// `RssAnon`, `RssFile`, `RssShmem`.
    Status,
    /// RSS alone.
    Nothing,
}

/// Who tells how much of the heap is live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Live {
    /// Nobody: the heap is one account.
    Unknown,
    /// The preload shim's sums.
    Counted,
    /// Looks into the heap.
    Seen,
}

/// How the samples of a record are split into accounts: the same accounts for each of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Split {
    /// Where the split comes from.
    pub source: Source,
    /// By whom the heap is split into live and retained.
    pub live: Live,
    /// True if the shim has memory of its own.
    pub shim: bool,
}

/// The ledger of a record.
#[derive(Clone, Debug, PartialEq)]
pub struct Ledger {
    /// Which accounts there are.
    pub split: Split,
    /// The accounts that add up to RSS.
    pub rows: Vec<Row>,
    /// The accounts beside the sum; only those that were read.
    pub beside: Vec<Row>,
    /// RSS at the two ticks.
    pub rss: (Bytes, Bytes),
}

/// One account at the two ticks, in bytes; `unexplained` may be negative.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// Which.
    pub account: Account,
    /// At the start.
    pub start: i64,
    /// At the end.
    pub end: i64,
}

impl Row {
    /// The difference.
    pub const fn growth(&self) -> i64 {
        self.end.saturating_sub(self.start)
    }
}

/// The ledger; `None` without samples.
pub fn of(record: &Record) -> Option<Ledger> {
    let split = Split::of(record);
    let usable: Vec<&Sample> = (record.samples.iter())
        .filter(|sample| !split.accounts(record, sample).is_empty())
        .collect();
    let end = (usable.len() / ENDS).max(3).min(usable.len());
    let start_tick = median_tick(&usable[..end])?;
    let end_tick = median_tick(&usable[usable.len() - end..])?;
    let mut rows = pair(
        &split.accounts(record, start_tick),
        &split.accounts(record, end_tick),
    );
    rows.retain(|row| row.account != Account::Shim || row.start != 0 || row.end != 0);
    let beside = pair(
        &split.beside(record, start_tick),
        &split.beside(record, end_tick),
    );
    Some(Ledger {
        split,
        rows,
        beside,
        rss: (start_tick.memory.rss, end_tick.memory.rss),
    })
}

/// The best split that at least two samples offer (one, where there is no other).
pub fn source(samples: &[Sample]) -> Source {
    let enough = samples.len().min(2);
    let with = |test: fn(&Sample) -> bool| samples.iter().filter(|s| test(s)).count() >= enough;
    if with(|s| class_maps(s).is_some()) {
        Source::Maps
    } else if with(|s| s.memory.rss_anon.is_some()) {
        Source::Status
    } else {
        Source::Nothing
    }
}

impl Split {
    /// The best split that the record offers.
    pub fn of(record: &Record) -> Self {
        let source = source(&record.samples);
        let counted = (record.samples.iter())
            .filter(|s| class_maps(s).is_some() && record.shim.totals_at(s.at).is_some())
            .count();
        let live = if source != Source::Maps {
            Live::Unknown
        } else if counted >= record.samples.len().min(2) {
            Live::Counted
        } else if record.heap.looks().is_empty() {
            Live::Unknown
        } else {
            Live::Seen
        };
        Self {
            source,
            live,
            shim: record.shim.has_memory(),
        }
    }

    /// The accounts of one sample in bytes, `unexplained` last; empty where the sample lacks the split.
    pub fn accounts(self, record: &Record, sample: &Sample) -> Vec<(Account, i64)> {
        let parts = match self.source {
            Source::Maps => self.by_class(record, sample),
            Source::Status => Some(by_status(sample)),
            Source::Nothing => Some(Vec::new()),
        };
        let Some(mut parts) = parts else {
            return Vec::new();
        };
        let sum = (parts.iter()).fold(0_i64, |sum, (_, value)| sum.saturating_add(*value));
        let rss = signed(sample.memory.rss);
        parts.push((Account::Unexplained, rss.saturating_sub(sum)));
        parts
    }

    fn by_class(self, record: &Record, sample: &Sample) -> Option<Vec<(Account, i64)>> {
        let maps = class_maps(sample)?;
        let mut parts = Vec::with_capacity(Account::IN_RSS.len());
        let (heap, anon) = (maps.account(Account::Heap), maps.account(Account::Anon));
        let divided = match self.live {
            Live::Unknown => None,
            Live::Counted => Some(counted(record, sample, heap, anon)?),
            Live::Seen => record.heap.divide(sample.at, heap, anon),
        };
        if let Some(divided) = divided {
            parts.push((Account::HeapLive, signed(divided.live)));
            parts.push((Account::HeapRetained, signed(divided.retained)));
            parts.push((Account::Anon, signed(divided.anon)));
        } else {
            parts.push((Account::Heap, signed(heap)));
            parts.push((Account::Anon, signed(anon)));
        }
        let sum = |account| (account, signed(maps.account(account)));
        parts.extend([Account::Stacks, Account::File, Account::Shared].map(sum));
        if self.shim {
            parts.push(sum(Account::Shim));
        }
        Some(parts)
    }

    /// Page tables, swap, and what nobody has looked inside: heap and anonymous memory, less live blocks,
    /// what the heap retains and mappings that the program made and did not unmap. Where looks split the
    /// heap that is the anonymous memory that is not malloc's.
    fn beside(self, record: &Record, sample: &Sample) -> Vec<(Account, i64)> {
        let opaque = (self.source != Source::Nothing).then(|| {
            let inside = (self.accounts(record, sample).into_iter())
                .filter(|(account, _)| matches!(account, Account::Heap | Account::Anon))
                .fold(0_i64, |sum, (_, value)| sum.saturating_add(value));
            let mapped =
                (record.shim.totals_at(sample.at)).map_or(0, |totals| signed(totals.mapping_bytes));
            inside.saturating_sub(mapped).max(0)
        });
        [
            (Account::PageTables, sample.memory.page_tables.map(signed)),
            (Account::Swap, sample.memory.swap.map(signed)),
            (Account::Opaque, opaque),
        ]
        .into_iter()
        .filter_map(|(account, value)| Some((account, value?)))
        .collect()
    }
}

/// The division by the shim's sums; `None` before the first of them.
fn counted(record: &Record, sample: &Sample, heap: Bytes, anon: Bytes) -> Option<Division> {
    let live = (record.shim.totals_at(sample.at)?.live_bytes).min(heap + anon);
    Some(Division {
        live,
        retained: heap.saturating_sub(live),
        anon: anon.saturating_sub(live.saturating_sub(heap)),
    })
}

/// The kernel's own split.
pub fn by_status(sample: &Sample) -> Vec<(Account, i64)> {
    let memory = &sample.memory;
    [
        (Account::Anon, memory.rss_anon),
        (Account::File, memory.rss_file),
        (Account::Shared, memory.rss_shmem),
    ]
    .into_iter()
    .filter_map(|(account, value)| Some((account, signed(value?))))
    .collect()
}

fn pair(start: &[(Account, i64)], end: &[(Account, i64)]) -> Vec<Row> {
    (start.iter())
        .filter_map(|&(account, start)| {
            let (_, end) = end.iter().find(|(other, _)| *other == account)?;
            let end = *end;
            Some(Row {
                account,
                start,
                end,
            })
        })
        .collect()
}

/// The tick with the median RSS (the lower of two).
fn median_tick<'a>(ticks: &[&'a Sample]) -> Option<&'a Sample> {
    let mut sorted = ticks.to_vec();
    sorted.sort_by_key(|sample| sample.memory.rss);
    sorted.get(sorted.len().checked_sub(1)? / 2).copied()
}

fn signed(bytes: Bytes) -> i64 {
    i64::try_from(bytes.0).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use MappingClass as Class;
    use memtide_model::MappingClass;

    #[test]
    fn every_class_has_one_account_within_rss() {
        let expected = [
            (Class::Heap, Account::Heap),
            (Class::Arena, Account::Heap),
            (Class::Stack, Account::Stacks),
            (Class::MainStack, Account::Stacks),
            (Class::Anon, Account::Anon),
            (Class::File, Account::File),
            (Class::Shared, Account::Shared),
            (Class::Device, Account::File),
            (Class::Vdso, Account::File),
            (Class::Guard, Account::Anon),
            (Class::Shim, Account::Shim),
        ];
        assert_eq!(expected.map(|(class, _)| class), MappingClass::ALL);
        for (class, account) in expected {
            assert_eq!(class.account(), account, "{class:?}");
            assert!(Account::IN_RSS.contains(&account));
        }
    }
}
