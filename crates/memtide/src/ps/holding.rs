//! `memtide ps --holding`: who holds a file, a directory or a port.

use super::looking::Looking;
use crate::cli::ps::Ps;
use memtide_analyzer::processes::{Look, held};
use memtide_census::{Wanted, What, holders_of};
use memtide_model::{Holding, ProcessesReport};
use memtide_proc::ProcRoot;

pub(super) fn report(
    root: &ProcRoot,
    options: &Ps,
    asked: &str,
) -> anyhow::Result<ProcessesReport> {
    let what = What::parse(asked)?;
    let mut looking = Looking::new(root, options)?;
    let mut watch = looking.watch()?;
    let mut census = looking.take(&Wanted {
        holdings: true,
        mappings: true,
        ..Wanted::default()
    })?;
    let judged = looking.judged(&census);
    let is_judged = |holding: &&Holding| {
        let among = judged.as_ref();
        among.is_none_or(|among| among.contains(&holding.holder))
    };
    let holdings = holders_of(&census, &what).into_iter().filter(is_judged);
    // Names are hidden after the comparison, and only of what is shown.
    census.holdings = Some(holdings.cloned().collect());
    looking.redact(&mut census);
    let holdings = census.holdings.clone().unwrap_or_default();
    watch.look(Look {
        matches: vec![Vec::new(); options.expectations.len()],
        judged,
        census,
    });
    let mut report = watch.report();
    held(&mut report, &looking.shown(asked), &holdings);
    Ok(report)
}
