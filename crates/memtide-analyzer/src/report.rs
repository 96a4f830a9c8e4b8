//! Puts the rooms together into one report.

use crate::ledger::{self, Ledger, Split};
use crate::record::{Record, Track};
use crate::stacks::Stacks;
use crate::statistics::Series;
use crate::trail::Trail;
use crate::trend::Trend;
use crate::verdict;
use crate::{Suppressions, counts, ended, forecast, heap, threads, timeline, tree, warnings};
use jiff::Timestamp;
use memtide_model::report::{
    BesideRow, EventRow, Forecast, Growth, How, LedgerRow, RLIMIT_AS, RLIMIT_DATA, ReadRow,
    Recording, Report, SCHEMA, Target, Verdict,
};
use memtide_model::{Account, Findings, Observations, Unit, text};

/// The findings of a recording.
pub(crate) fn assemble(observations: &Observations, suppressions: &Suppressions) -> Findings {
    let record = Record::of(observations);
    let ledger = ledger::of(&record);
    let split = ledger.as_ref().map(|ledger| ledger.split);
    let stacks = Stacks::of(observations, suppressions);
    let mut trail = Trail::new();
    let mut judgement = verdict::judge(&record, observations, stacks.as_ref(), &mut trail);
    let ended = ended::ended(observations);
    // What has ended meets no limit any more.
    judgement.goes_on &= ended.how == How::Running;
    let forecast = forecast::forecast(&record, observations, &judgement, &mut trail);
    let timeline = timeline::timeline(observations, &record, split, &judgement, forecast.as_ref());
    let warnings = warnings::warnings(observations, &record, ledger.as_ref(), stacks.as_ref());
    let mut verdict = with_end(judgement.verdict, forecast.as_ref(), ended.how);
    let death = ended::at_death(observations, &record, split, &ended);
    verdict.evidence.extend(death);
    conclude(&verdict, &mut trail);
    let report = Report {
        schema: SCHEMA.to_owned(),
        target: target(observations),
        recording: recording(observations),
        verdict,
        ended,
        growth: growth(&record),
        ledger: ledger
            .as_ref()
            .map_or_else(Vec::new, |ledger| rows(&record, ledger)),
        beside: ledger.as_ref().map_or_else(Vec::new, beside),
        counts: counts::rows(&record, observations),
        forecast,
        threads: threads::rows(observations),
        allocations: stacks.as_ref().map(|stacks| stacks.allocations.clone()),
        classes: heap::classes(observations),
        processes: tree::rows(&record, observations),
        tree: tree::total(observations),
        heap: heap::heap(observations),
        leaks: None,
        events: events(observations),
        stacks: stacks.map(|stacks| stacks.listed.into_iter().map(|listed| listed.row).collect()),
        warnings,
        reasoning: trail.into_reasoning(),
    };
    Findings { report, timeline }
}

/// The sentence is completed by what comes of it: the limit ahead, or the OOM killer.
fn with_end(mut verdict: Verdict, forecast: Option<&Forecast>, how: How) -> Verdict {
    if how == How::Oom {
        verdict.summary = format!("{}; in the end the OOM killer ended it", verdict.summary);
    }
    if let Some(forecast) = forecast {
        let limit = match (forecast.limit.as_str(), forecast.resource.as_deref()) {
            ("cgroup", _) => "the limit of its cgroup",
            ("rlimit", Some(RLIMIT_AS)) => "the limit of its address space (RLIMIT_AS)",
            ("rlimit", Some(RLIMIT_DATA)) => "the limit of its data (RLIMIT_DATA)",
            ("rlimit", _) => "its resource limit",
            ("host", _) => "the end of the machine's memory",
            _ => "the size of its mappings",
        };
        let early = text::duration(forecast.seconds_low);
        let when = match forecast.seconds_high {
            Some(high) if text::duration(high) != early => {
                format!("in {early} to {}", text::duration(high))
            }
            Some(_) => format!("in {early}"),
            None => format!("in {early} at the earliest"),
        };
        verdict.summary = format!(
            "{}; at this rate it reaches {limit} {when}",
            verdict.summary
        );
    }
    verdict.summary.push('.');
    verdict
}

/// The last step: the verdict.
fn conclude(verdict: &Verdict, trail: &mut Trail) {
    trail.tell("confidence", verdict.confidence, Unit::Share);
    let decision = format!("{}: {}", verdict.kind.words(), verdict.summary);
    trail.verdict("What is the verdict?", &decision, verdict.kind);
}

fn target(observations: &Observations) -> Target {
    let target = &observations.target;
    Target {
        pid: target.id.pid.0,
        name: target.name.clone(),
        exe: target.exe.clone(),
        cmdline: target.cmdline.clone(),
        uid: target.uid,
        allocator: target.allocator.clone(),
        runtime: target.runtime.clone(),
    }
}

fn recording(observations: &Observations) -> Recording {
    let recording = &observations.recording;
    let span = match (observations.samples.first(), observations.samples.last()) {
        (Some(first), Some(last)) => last.at.seconds_since(first.at),
        _ => 0.0,
    };
    let reads = recording.reads.iter().map(|read| ReadRow {
        read: read.kind.name().to_owned(),
        reads: read.reads,
        skipped: read.skipped,
        failed: read.failed,
        cpu_seconds: read.cpu.as_secs_f64(),
        longest_seconds: read.longest.as_secs_f64(),
    });
    Recording {
        file: recording.file.clone(),
        // A time that no calendar holds is no time.
        started: Timestamp::from_nanosecond(i128::from(recording.started_wall))
            .map_or_else(|_| String::new(), |at| at.to_string()),
        seconds: span,
        samples: recording.samples,
        gaps: recording.gaps,
        lenses: recording.lenses.clone(),
        cost_cpu_seconds: recording.cost_cpu.as_secs_f64(),
        reads: reads.collect(),
    }
}

fn growth(record: &Record) -> Growth {
    let series = record.series(Track::Rss);
    let trend = Trend::of(&series, record.material());
    Growth {
        shape: trend.form.shape(),
        rss_bytes: whole(trend.delta()),
        rss_bytes_per_second: trend.slope.map(|slope| slope.per_second),
        low: trend.slope.map(|slope| slope.low),
        high: trend.slope.map(|slope| slope.high),
    }
}

fn rows(record: &Record, ledger: &Ledger) -> Vec<LedgerRow> {
    let material = record.material();
    let row = |row: &ledger::Row| {
        let trend = Trend::of(&account_series(record, ledger.split, row.account), material);
        LedgerRow {
            account: row.account,
            start_bytes: row.start,
            end_bytes: row.end,
            growth_bytes: row.growth(),
            bytes_per_second: trend.slope.map(|slope| slope.per_second),
            shape: trend.form.shape(),
        }
    };
    ledger.rows.iter().map(row).collect()
}

fn account_series(record: &Record, split: Split, account: Account) -> Series {
    record.series_by(|sample| {
        let accounts = split.accounts(record, sample);
        let value = accounts.iter().find(|(other, _)| *other == account)?.1;
        Some(value as f64)
    })
}

fn beside(ledger: &Ledger) -> Vec<BesideRow> {
    let positive = |value: i64| u64::try_from(value).unwrap_or(0);
    (ledger.beside.iter())
        .map(|row| BesideRow {
            account: row.account,
            start_bytes: positive(row.start),
            end_bytes: positive(row.end),
        })
        .collect()
}

fn events(observations: &Observations) -> Vec<EventRow> {
    (observations.events.iter())
        .map(|event| EventRow {
            t_seconds: event.at.seconds_since(observations.recording.started),
            kind: event.kind,
            pid: event.pid.0,
            text: event.text.clone(),
        })
        .collect()
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "sizes of memory are far below 2^63, and the cast saturates"
)]
fn whole(bytes: f64) -> i64 {
    bytes.round() as i64
}
