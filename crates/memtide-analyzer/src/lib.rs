//! Why does it grow? Pure functions from [`Observations`] to [`Findings`].
//!
//! **What it does.** Three rooms with plain types between them, and what assembles them:
//!
//! ```text
//! Observations ─► record ─► ledger   where RSS went, account by account
//!                    │  └─► trend    how each series moves: shape and rate
//!                    ├────► verdict  counters, then shape, then the gate ─► report, forecast, timeline
//!                    └────► stacks   who asked for the memory, where the preload shim looked
//! ```
//!
//! Beside it stand [`comparison`]: the same work under several allocators, or several recordings; and
//! [`processes`]: what is wrong with the processes of a machine, from looks at all of them.
//!
//! Every statistical step is a module of [`statistics`] with its formula, its assumption and its
//! source; every number that a decision hangs on is a constant of [`thresholds`] with its reason.
//!
//! **What the caller must do.** Hand over samples in order of time. Nothing is read twice, nothing
//! is kept between calls: a live line may call [`analyze`] at every tick.
//!
//! **What it refuses to do.** No files, no clocks, no terminals, no SQL. From samples alone it never
//! calls growth of the heap a leak: RSS looks alike for a leak and for fragmentation, and until a look into
//! the heap or the preload shim tells how much of it is live the answer is `undetermined` with both named.
#![forbid(unsafe_code)]

pub mod comparison;
pub mod detection;
pub mod forecast;
pub mod ledger;
pub mod processes;
pub mod record;
pub mod shim;
pub mod snapshots;
pub mod statistics;
pub mod thresholds;
pub mod trail;
mod tree;
pub mod trend;
pub mod verdict;

mod counts;
mod ended;
mod heap;
mod held;
mod order;
mod report;
mod stacks;
mod threads;
mod timeline;
mod warnings;

pub use detection::{detectable, noise};
pub use stacks::suppressions::{Error, Suppressions};

use memtide_model::{Findings, Observations, VerdictKind};

/// The whole analysis: ledger, trends, verdict, forecast, and the series for the charts.
///
/// Never fails: what cannot be known is absent from the report, and a warning says why. If the
/// process replaced its program (exec), only the part after the last exec is analysed; the timeline
/// shows all of it. Samples may come in any order; of several of one moment one stands for all.
pub fn analyze(observations: &Observations) -> Findings {
    analyze_with(observations, &Suppressions::default())
}

/// What a look or two into the heap show, with little or no record around them: the ledger, the heap, what grew
/// between the two. A verdict stands in the report where even that little decides one.
pub fn analyze_looks(observations: &Observations) -> Findings {
    let mut findings = analyze(observations);
    findings.report.warnings = warnings::of_looks(observations);
    let verdict = &mut findings.report.verdict;
    if verdict.kind == VerdictKind::Undetermined && verdict.candidates.is_empty() {
        let pid = observations.target.id.pid;
        let looks = observations.heap.as_ref();
        let once = looks.is_none_or(|heap| heap.snapshots.len() < 2);
        verdict.advice = vec![format!("For a verdict: memtide attach {pid} --for 1m")];
        if once {
            let twice = format!("What grows: memtide inspect {pid} --interval 30s");
            verdict.advice.insert(0, twice);
        }
    }
    findings
}

/// [`analyze`] with call stacks that are known and accepted: they stand last in the list, marked, no
/// verdict names them, and what they never freed is counted apart.
pub fn analyze_with(observations: &Observations, suppressions: &Suppressions) -> Findings {
    report::assemble(&order::in_order(observations), suppressions)
}
