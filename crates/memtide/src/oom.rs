//! `memtide ps --oom`: whom the kernel killed for want of memory, explained after the fact.

use crate::cli::oom::Options;
use crate::exit::Code;
use crate::{output, progress};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use memtide_model::text::{bytes, duration, plural};
use memtide_oom::report::Explained;
use memtide_oom::{Constraint, Report, Search};
use memtide_report::terminal::{self, Note, render_notes};
use memtide_sampler::clock;
use std::path::PathBuf;

/// Where syslog daemons write.
const LOGS: &str = "/var/log";
/// What allows what was denied.
const REMEDY: &str = "run memtide as root, or `sysctl kernel.dmesg_restrict=0`; for files and the journal join \
                      the group adm or systemd-journal";

/// Finds the kills and explains them; 1 where there are any, 2 where there are none and nothing was read whole:
/// who asks from cron must not take that for an all-clear.
pub(crate) fn run(options: &Options) -> anyhow::Result<Code> {
    if let Some(path) = &options.json {
        output::check_file(path)?;
    }
    let span = i64::try_from(options.since.as_nanos()).unwrap_or(i64::MAX);
    let now = clock::realtime();
    let found = match &options.log {
        Some(log) => memtide_oom::find_in(log, None)?,
        None => memtide_oom::find(&Search {
            since_ns: Some(now.saturating_sub(span)),
            log_folder: PathBuf::from(LOGS),
        }),
    };
    let report = Report::of(found, options.redact);
    if let Some(path) = &options.json {
        output::save(path, report.to_json().as_bytes())?;
    }
    let json_is_shown = options.json.as_deref().is_some_and(output::is_stdout);
    if !options.quiet && !json_is_shown {
        output::print(&text(&report, options, now))?;
    }
    Ok(match report.kills.is_empty() {
        false => Code::Found,
        true if was_read(&report) => Code::Done,
        true => Code::Failed,
    })
}

/// True if one source at least was read whole.
fn was_read(report: &Report) -> bool {
    report.sources.iter().any(|source| source.failed.is_none())
}

fn text(report: &Report, options: &Options, now: i64) -> String {
    let span = match &options.log {
        Some(log) => format!("in {}", log.display()),
        None => format!("in the last {}", duration(options.since.as_secs_f64())),
    };
    let title = match report.kills.len() {
        0 => format!("The OOM killer ended nobody {span}, as far as could be read."),
        count => {
            let who = if count == 1 { "process" } else { "processes" };
            format!("The OOM killer ended {count} {who} {span}, the newest first.")
        }
    };
    let notes: Vec<Note> = report.kills.iter().map(|kill| note(kill, now)).collect();
    let shown = terminal::Options {
        width: progress::width(rustix::stdio::stdout()),
        color: options.color,
        explain: false,
    };
    render_notes(&title, &notes, &warnings(report), &shown)
}

fn note(explained: &Explained, now: i64) -> Note {
    let kill = &explained.kill;
    let mut facts = explained.facts.clone();
    if kill.constraint == Constraint::Memcg && kill.group.is_some() {
        facts.push(match explained.group_now {
            None => "the group is gone, or out of sight".to_owned(),
            Some(group) => {
                let limit = group.limit.map_or("no limit".to_owned(), |limit| {
                    format!("a limit of {}", bytes(limit.as_f64()))
                });
                format!(
                    "today the group has {limit} and uses {}",
                    bytes(group.usage.as_f64())
                )
            }
        });
    }
    facts.push(format!("read in {}", kill.sources.join(", ")));
    Note {
        heading: when(explained, now),
        summary: explained.headline.clone(),
        facts,
        advice: explained.advice.clone(),
    }
}

/// Local time and how long ago; the kernel's own stamp where there is no other.
fn when(explained: &Explained, now: i64) -> String {
    let kill = &explained.kill;
    let at = kill
        .wall_ns
        .and_then(|at| Timestamp::from_nanosecond(i128::from(at)).ok());
    match (at, kill.wall_ns, kill.stamp_ns) {
        (Some(at), Some(wall), _) => {
            let local = at
                .to_zoned(TimeZone::system())
                .strftime("%Y-%m-%d %H:%M:%S %Z");
            let ago = now.saturating_sub(wall).max(0) as f64 / 1e9;
            format!("{local} ({} ago)", duration(ago))
        }
        (_, _, Some(stamp)) => format!("{} after a boot", duration(stamp.as_secs_f64())),
        _ => "at a time that no line tells".to_owned(),
    }
}

/// What could not be read, and the remedy once.
fn warnings(report: &Report) -> Vec<String> {
    let failed = report
        .sources
        .iter()
        .filter_map(|source| source.failed.clone());
    let mut warnings: Vec<String> = failed.collect();
    if report.sources.is_empty() {
        warnings.push(format!(
            "no log of the kernel was found: no /dev/kmsg, no journal, no kern.log, syslog or messages in {LOGS}"
        ));
    }
    if report.sources.iter().any(|source| source.denied) {
        warnings.push(format!("more may be there: {REMEDY}"));
    }
    if report.lost > 0 {
        warnings.push(format!(
            "{} of the kernel were overwritten before they could be read",
            plural(report.lost, "message")
        ));
    }
    warnings
}
