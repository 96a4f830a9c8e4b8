//! The tables of a comparison, for the text and the page alike: one row per arm, and what it is in.
//!
//! They are four small ones instead of a broad one, so that a terminal of 80 columns shows every number:
//! memory after settling, peak and growth, CPU and time, the runs. A column of which nothing is known is
//! taken out by whoever prints it.

use super::words::{self, good};
use crate::sentences;
use crate::terminal::table::UNKNOWN;
use memtide_model::comparison::{Arm, Compared, Comparison, Ratio, Trial};
use memtide_model::{Account, text};

/// A column of a sheet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Head {
    /// Its heading.
    pub(super) title: String,
    /// Numbers stand at the right edge.
    pub(super) number: bool,
    /// What a narrow screen leaves out first: the highest. 0 always stays.
    pub(super) rank: u8,
}

/// A table.
#[derive(Clone, Debug)]
pub(super) struct Sheet {
    /// What it is about.
    pub(super) title: &'static str,
    /// A sentence that says what the columns mean.
    pub(super) caption: String,
    /// Its columns; the first holds names.
    pub(super) heads: Vec<Head>,
    /// Its rows; true where the row is that of the arm that the verdict is about.
    pub(super) rows: Vec<(bool, Vec<String>)>,
}

fn numbers(columns: &[(&str, u8)]) -> Vec<Head> {
    let numbers = columns.iter().map(|(title, rank)| Head {
        title: (*title).to_owned(),
        number: true,
        rank: *rank,
    });
    numbers.collect()
}

/// The sheets with one row per arm; none where there is no arm.
pub(super) fn of_arms(comparison: &Comparison) -> Vec<Sheet> {
    if comparison.arms.is_empty() {
        return Vec::new();
    }
    match comparison.of {
        Compared::Allocators => vec![
            settled(comparison),
            growth(comparison),
            cost(comparison),
            runs_of_arms(comparison),
        ],
        Compared::Recordings => vec![rates(comparison), memory(comparison)],
    }
}

/// A sheet with one row per arm; `cells` gives what stands after its name.
fn per_arm(
    comparison: &Comparison,
    title: &'static str,
    caption: &str,
    columns: &[(&str, u8)],
    cells: impl Fn(&Arm) -> Vec<String>,
) -> Sheet {
    let first = match comparison.of {
        Compared::Allocators => "arm",
        Compared::Recordings => "recording",
    };
    let mut heads = vec![Head {
        title: first.to_owned(),
        number: false,
        rank: 0,
    }];
    heads.extend(numbers(columns));
    let about = comparison.verdict.arm.as_deref();
    let rows = comparison.arms.iter().enumerate().map(|(index, arm)| {
        let mut row = vec![words::name(comparison, index)];
        row.extend(cells(arm));
        (about == Some(arm.arm.as_str()), row)
    });
    Sheet {
        title,
        caption: caption.to_owned(),
        heads,
        rows: rows.collect(),
    }
}

/// The change against the baseline, which itself has none.
fn change(comparison: &Comparison, arm: &Arm, ratio: Option<Ratio>) -> String {
    if arm.arm == comparison.baseline && ratio.is_none() {
        return "baseline".to_owned();
    }
    words::change(ratio)
}

fn settled(comparison: &Comparison) -> Sheet {
    let columns = [
        ("median", 0),
        ("change", 1),
        ("90 % interval", 3),
        ("differs", 2),
        ("p", 4),
        ("shows from", 5),
    ];
    let caption = "RSS after settling: the median of the runs, and its change against the baseline. \"Differs\" \
                   says whether a difference is shown, \"shows from\" how great a change these runs show in \
                   four of five comparisons.";
    per_arm(comparison, "RSS after settling", caption, &columns, |arm| {
        if arm.failed.is_some() {
            return vec!["failed".to_owned()];
        }
        let ratio = arm.settled_rss_ratio;
        vec![
            words::bytes(arm.median.settled_rss),
            change(comparison, arm, ratio),
            words::interval(ratio),
            words::differs(ratio),
            words::p(ratio),
            words::detectable(ratio),
        ]
    })
}

fn growth(comparison: &Comparison) -> Sheet {
    let columns = [
        ("peak", 0),
        ("change", 1),
        ("90 % interval", 5),
        ("growth", 2),
        ("change", 6),
        ("grows", 3),
        ("live", 4),
        ("kept", 4),
    ];
    let caption = "Highest RSS, rate of growth while the work was done, and where the heap could be read, \
                   what was live in it and what the allocator kept.";
    per_arm(comparison, "Peak and growth", caption, &columns, |arm| {
        let median = &arm.median;
        vec![
            words::bytes(median.peak_rss),
            change(comparison, arm, arm.peak_rss_ratio),
            words::interval(arm.peak_rss_ratio),
            words::rate(median.bytes_per_second),
            words::change(arm.growth_ratio),
            yes_or_no(arm.grows),
            words::bytes(median.heap_live),
            words::bytes(median.heap_retained),
        ]
    })
}

fn cost(comparison: &Comparison) -> Sheet {
    let columns = [
        ("CPU", 0),
        ("change", 1),
        ("90 % interval", 3),
        ("time", 2),
        ("change", 2),
        ("90 % interval", 4),
    ];
    let caption = "CPU time of the program and wall-clock time of the work, medians of the runs.";
    per_arm(comparison, "CPU and time", caption, &columns, |arm| {
        vec![
            words::cpu(arm.median.cpu_seconds),
            change(comparison, arm, arm.cpu_ratio),
            words::interval(arm.cpu_ratio),
            words::duration(arm.median.wall_seconds),
            words::change(arm.wall_ratio),
            words::interval(arm.wall_ratio),
        ]
    })
}

fn runs_of_arms(comparison: &Comparison) -> Sheet {
    let mut columns = vec![("runs", 0), ("failed", 1)];
    columns.extend([
        ("metric", 2),
        ("change", 2),
        ("90 % interval", 4),
        ("faults", 5),
        ("allocator found", 3),
    ]);
    let caption = "Runs whose numbers are used and runs that failed; the number that the load printed; page \
                   faults; the allocator that was found in the running program.";
    let mut sheet = per_arm(comparison, "Runs", caption, &columns, |arm| {
        let used = good(arm).count();
        vec![
            used.to_string(),
            (arm.runs.len() - used).to_string(),
            words::number(arm.median.metric),
            words::change(arm.metric_ratio),
            words::interval(arm.metric_ratio),
            words::number(arm.median.faults),
            some_text(&arm.allocator),
        ]
    });
    if let Some(last) = sheet.heads.last_mut() {
        last.number = false;
    }
    sheet
}

fn rates(comparison: &Comparison) -> Sheet {
    let columns = [
        ("growth", 0),
        ("90 % interval", 3),
        ("change", 1),
        ("90 % interval", 4),
        ("differs", 5),
        ("shape", 2),
    ];
    let caption = "Rate of growth of RSS, and its change against the first recording.";
    per_arm(comparison, "Growth of RSS", caption, &columns, |arm| {
        let run = words::typical(arm);
        let ends = run.and_then(|run| Some((run.low?, run.high?)));
        let ends = ends.filter(|(low, high)| low.is_finite() && high.is_finite());
        let ends = ends.filter(|_| words::has_rate(run));
        let rate = arm.median.bytes_per_second;
        vec![
            words::rate(rate.filter(|_| words::has_rate(run))),
            ends.map_or_else(|| UNKNOWN.to_owned(), |(low, high)| text::rates(low, high)),
            change(comparison, arm, arm.growth_ratio),
            words::interval(arm.growth_ratio),
            yes_or_no(arm.growth_ratio.map(|ratio| ratio.differs)),
            shape(run),
        ]
    })
}

fn memory(comparison: &Comparison) -> Sheet {
    let columns = [
        ("RSS at the end", 0),
        ("change", 1),
        ("peak", 1),
        ("change", 3),
        ("mean", 4),
        ("live", 2),
        ("kept", 2),
    ];
    let caption = "RSS at the end, at its peak and in the mean; where the heap could be read, what was live in \
                   it and what the allocator kept.";
    per_arm(comparison, "Memory", caption, &columns, |arm| {
        let median = &arm.median;
        vec![
            words::bytes(median.settled_rss.or(median.end_rss)),
            words::change(arm.settled_rss_ratio),
            words::bytes(median.peak_rss),
            words::change(arm.peak_rss_ratio),
            words::bytes(median.mean_rss),
            words::bytes(median.heap_live),
            words::bytes(median.heap_retained),
        ]
    })
}

/// Every run, in the order in which they were made.
pub(super) fn of_runs(comparison: &Comparison) -> Sheet {
    let mut heads = vec![
        Head {
            title: "arm".to_owned(),
            number: false,
            rank: 0,
        },
        Head {
            title: "run".to_owned(),
            number: true,
            rank: 0,
        },
    ];
    heads.extend(numbers(&[
        ("settled", 0),
        ("peak", 1),
        ("at the end", 4),
        ("mean", 6),
        ("growth", 3),
        ("CPU", 2),
        ("time", 2),
        ("metric", 3),
        ("faults", 5),
        ("load", 5),
    ]));
    heads.push(Head {
        title: "note".to_owned(),
        number: false,
        rank: 1,
    });
    let mut runs: Vec<_> = comparison
        .arms
        .iter()
        .enumerate()
        .flat_map(|(index, arm)| arm.runs.iter().map(move |run| (run, index)))
        .collect();
    runs.sort_by_key(|(run, _)| run.order);
    let rows = runs.into_iter().map(|(run, index)| {
        let mut row = vec![words::name(comparison, index), run.order.to_string()];
        row.extend(run_cells(run));
        (false, row)
    });
    Sheet {
        title: "Every run",
        caption: "In the order in which they were made; \"load\" is the exit code of the load."
            .to_owned(),
        heads,
        rows: rows.collect(),
    }
}

fn run_cells(run: &Trial) -> Vec<String> {
    let unknown = || UNKNOWN.to_owned();
    let note = match (&run.failed, run.killed) {
        (Some(reason), _) => format!("failed: {reason}"),
        (None, true) => "killed at its end".to_owned(),
        (None, false) => unknown(),
    };
    if run.failed.is_some() {
        let mut cells = vec![unknown(); 10];
        cells.push(note);
        return cells;
    }
    let faults = run.minor_faults.saturating_add(run.major_faults);
    vec![
        text::bytes(run.settled_rss as f64),
        text::bytes(run.peak_rss as f64),
        text::bytes(run.end_rss as f64),
        text::bytes(run.mean_rss as f64),
        words::rate(run.bytes_per_second),
        words::cpu(Some(run.cpu_seconds)),
        words::duration(Some(run.wall_seconds)),
        words::number(run.metric),
        words::number(Some(faults as f64)),
        run.load_exit.map_or_else(unknown, |code| code.to_string()),
        note,
    ]
}

/// The ledgers of recordings beside each other: an account's growth and rate in each of `arms`. Accounts
/// that are empty in all of them are left out. `None` where none has a ledger.
pub(super) fn ledgers(comparison: &Comparison, arms: &[usize]) -> Option<Sheet> {
    let ledger = |index: usize| comparison.arms.get(index).map(|arm| &arm.ledger);
    let row =
        |index: usize, account: Account| ledger(index)?.iter().find(|row| row.account == account);
    let filled = |account: &Account| {
        let rows = arms.iter().filter_map(|index| row(*index, *account));
        rows.into_iter()
            .any(|row| row.start_bytes != 0 || row.end_bytes != 0)
    };
    let mut heads = vec![Head {
        title: "account".to_owned(),
        number: false,
        rank: 0,
    }];
    for index in arms {
        let letter = words::letter(*index);
        heads.extend(numbers(&[
            (&format!("{letter} end"), 1),
            (&format!("{letter} growth"), 0),
            (&format!("{letter} rate"), 0),
        ]));
    }
    let shown = Account::IN_RSS.into_iter().filter(filled);
    let rows: Vec<_> = shown
        .map(|account| {
            let mut cells = vec![account.name().to_owned()];
            for index in arms {
                match row(*index, account) {
                    None => cells.extend([UNKNOWN, UNKNOWN, UNKNOWN].map(str::to_owned)),
                    Some(row) => cells.extend([
                        text::bytes(row.end_bytes as f64),
                        text::signed_bytes(row.growth_bytes as f64),
                        sentences::rate_cell(row.bytes_per_second, row.shape),
                    ]),
                }
            }
            (false, cells)
        })
        .collect();
    (!rows.is_empty()).then(|| Sheet {
        title: "Ledger beside ledger",
        caption: "What each account held at the end, what it grew by, and how fast.".to_owned(),
        heads,
        rows,
    })
}

fn shape(run: Option<&Trial>) -> String {
    let shape = run.and_then(|run| run.shape);
    shape.map_or_else(|| UNKNOWN.to_owned(), |shape| shape.words().to_owned())
}

fn yes_or_no(value: Option<bool>) -> String {
    let word = value.map(|value| if value { "yes" } else { "no" });
    word.unwrap_or(UNKNOWN).to_owned()
}

fn some_text(text: &str) -> String {
    if text.is_empty() {
        UNKNOWN.to_owned()
    } else {
        text.to_owned()
    }
}
