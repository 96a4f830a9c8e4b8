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
//!
//! Without mappings (no ptrace access) the kernel's own split serves: `RssAnon`, `RssFile` and
//! `RssShmem` as anon, file and shared. Before Linux 4.5 even that is missing: all of RSS is
//! unexplained then. Nothing is estimated.

use crate::record::{Record, class_maps};
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

/// The ledger of a record.
#[derive(Clone, Debug, PartialEq)]
pub struct Ledger {
    /// Where the split comes from.
    pub source: Source,
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
    let source = source(&record.samples);
    let usable: Vec<&Sample> = (record.samples.iter())
        .filter(|sample| !accounts(sample, source).is_empty())
        .collect();
    let end = (usable.len() / ENDS).max(3).min(usable.len());
    let start_tick = median_tick(&usable[..end])?;
    let end_tick = median_tick(&usable[usable.len() - end..])?;
    let rows = pair(&accounts(start_tick, source), &accounts(end_tick, source));
    let beside = pair(&beside(start_tick, source), &beside(end_tick, source));
    Some(Ledger {
        source,
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

/// The accounts of one sample in bytes, `unexplained` last; empty where the sample lacks the split.
pub fn accounts(sample: &Sample, source: Source) -> Vec<(Account, i64)> {
    let rss = signed(sample.memory.rss);
    let mut parts = match source {
        Source::Maps => {
            let Some(maps) = class_maps(sample) else {
                return Vec::new();
            };
            let sum = |account| (account, signed(maps.account(account)));
            ACCOUNTS.map(sum).to_vec()
        }
        Source::Status => {
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
        Source::Nothing => Vec::new(),
    };
    let sum = (parts.iter()).fold(0_i64, |sum, (_, value)| sum.saturating_add(*value));
    parts.push((Account::Unexplained, rss.saturating_sub(sum)));
    parts
}

const ACCOUNTS: [Account; 5] = [
    Account::Heap,
    Account::Anon,
    Account::Stacks,
    Account::File,
    Account::Shared,
];

/// Page tables, swap, and what nobody has looked inside: heap and anonymous memory together.
fn beside(sample: &Sample, source: Source) -> Vec<(Account, i64)> {
    let accounts = accounts(sample, source);
    let opaque = (source != Source::Nothing).then(|| {
        let inside = |account| matches!(account, Account::Heap | Account::Anon);
        accounts
            .iter()
            .filter(|(account, _)| inside(*account))
            .fold(0_i64, |sum, (_, value)| sum.saturating_add(*value))
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
