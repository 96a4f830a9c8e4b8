//! The sentences that the text, the picture and the page share, so that they cannot disagree.
//!
//! Nothing here is escaped: what comes out goes through [`crate::escape`] where it is put into an
//! output. Nothing is judged here: the cause, the confidence and the limit come with the report.

use memtide_model::report::{
    Ended, Forecast, Growth, How, LedgerRow, Oom, RLIMIT_AS, RLIMIT_DATA, Report,
};
use memtide_model::{Account, Shape, VerdictKind, text};

/// "97 %", or "unknown".
pub(crate) fn percent(share: f64) -> String {
    if share.is_finite() {
        format!("{:.0} %", share.clamp(0.0, 1.0) * 100.0)
    } else {
        "unknown".to_owned()
    }
}

/// The share of a part in a whole: like [`percent`], but a part that is there is never "0 %".
pub(crate) fn part(share: f64) -> String {
    if share > 0.0 && share < 0.005 {
        "under 1 %".to_owned()
    } else {
        percent(share)
    }
}

/// A confidence in words, for those to whom 0.83 says nothing.
pub(crate) fn confidence_words(confidence: f64) -> &'static str {
    match confidence {
        c if c >= 0.95 => "almost certain",
        c if c >= 0.85 => "very likely",
        c if c >= 0.70 => "likely",
        c if c >= 0.50 => "more likely than not",
        _ => "weak",
    }
}

/// What the verdict is and how sure: "heap leak: 97 % sure, almost certain".
pub(crate) fn verdict(report: &Report) -> String {
    let verdict = &report.verdict;
    let sure = percent(verdict.confidence);
    let words = confidence_words(verdict.confidence);
    if verdict.kind != VerdictKind::Undetermined {
        return format!("{}: {sure} sure, {words}", verdict.kind.words());
    }
    let mut candidates = verdict
        .candidates
        .iter()
        .filter(|kind| **kind != verdict.kind);
    let Some(first) = candidates.next() else {
        return "undetermined: what was seen does not decide it".to_owned();
    };
    let rest: Vec<_> = candidates.map(|kind| kind.words()).collect();
    let others = if rest.is_empty() {
        String::new()
    } else {
        format!("; or {}", rest.join(", "))
    };
    format!(
        "undetermined: may be {} ({sure} sure, {words}){others}",
        first.words()
    )
}

/// The rate of RSS in bytes per second, where it is known and one rate describes its course.
pub(crate) fn single_rate(growth: &Growth) -> Option<f64> {
    meaningful(growth.rss_bytes_per_second, growth.shape)
}

/// A rate in bytes per second as a cell of a table: a dash where there is none, or where the course is
/// not one that a rate describes.
pub(crate) fn rate_cell(bytes_per_second: Option<f64>, shape: Shape) -> String {
    meaningful(bytes_per_second, shape).map_or_else(|| "-".to_owned(), text::rate)
}

fn meaningful(rate: Option<f64>, shape: Shape) -> Option<f64> {
    rate.filter(|rate| rate.is_finite() && shape.has_rate())
}

/// The rate of RSS with its interval: "3.10 MiB/s (90 % interval 3.00 MiB/s to 3.20 MiB/s)".
pub(crate) fn rate(report: &Report) -> Option<String> {
    let growth = &report.growth;
    let rate = text::rate(single_rate(growth)?);
    Some(match (growth.low, growth.high) {
        (Some(low), Some(high)) if low.is_finite() && high.is_finite() => {
            format!("{rate} (90 % interval {})", text::rates(low, high))
        }
        _ => rate,
    })
}

/// The window: "30 s, 31 samples", with the gaps where there are any.
pub(crate) fn window(report: &Report) -> String {
    let recording = &report.recording;
    let gaps = match recording.gaps {
        0 => String::new(),
        gaps => format!(", {gaps} ticks not taken"),
    };
    format!(
        "{}, {}{gaps}",
        text::duration(recording.seconds),
        text::plural(recording.samples, "sample")
    )
}

/// When the recording started, to the second: "2026-03-01 12:00:00 UTC".
pub(crate) fn started(report: &Report) -> String {
    let written = &report.recording.started;
    match written.parse::<jiff::Timestamp>() {
        Ok(moment) => moment.strftime("%Y-%m-%d %H:%M:%S UTC").to_string(),
        Err(_) => written.clone(),
    }
}

/// When it meets a limit.
pub(crate) fn forecast(forecast: &Forecast) -> String {
    let limit = text::bytes(forecast.limit_bytes as f64);
    let name = limit_words(forecast);
    let what = match forecast.resource.as_deref() {
        Some(RLIMIT_AS) => "its address space",
        Some(RLIMIT_DATA) => "its data",
        _ => "RSS",
    };
    if !forecast.seconds_low.is_finite() {
        return format!("when {what} meets {name} of {limit} is not known");
    }
    let low = text::duration(forecast.seconds_low);
    match forecast.seconds_high {
        Some(high) => format!(
            "at this rate {what} meets {name} of {limit} in {low} to {}",
            text::duration(high)
        ),
        None => {
            format!("{what} may meet {name} of {limit}, in {low} at the earliest, perhaps never")
        }
    }
}

/// The limit's name in a sentence.
pub(crate) fn limit_words(forecast: &Forecast) -> &str {
    match (forecast.limit.as_str(), forecast.resource.as_deref()) {
        ("cgroup", _) => "the cgroup's limit",
        ("rlimit", Some(RLIMIT_AS)) => "the limit RLIMIT_AS",
        ("rlimit", Some(RLIMIT_DATA)) => "the limit RLIMIT_DATA",
        ("rlimit", _) => "the resource limit",
        ("host", _) => "the machine's memory",
        ("mapping", _) => "the limit of the mapping",
        (other, _) => other,
    }
}

/// The sum over the accounts within RSS at the end of the window.
pub(crate) fn rss_at_end(report: &Report) -> i64 {
    total(report, |row| row.end_bytes)
}

/// The sum of a column over the accounts within RSS. Sizes that no process has, as raced or foreign rows may
/// hold, stop at the largest number.
pub(crate) fn total(report: &Report, value: fn(&LedgerRow) -> i64) -> i64 {
    let sum = report
        .ledger
        .iter()
        .map(|row| i128::from(value(row)))
        .sum::<i128>();
    i64::try_from(sum).unwrap_or(if sum < 0 { i64::MIN } else { i64::MAX })
}

/// The share of RSS as a cell of a table: a dash where it means nothing.
pub(crate) fn share_cell(bytes: i64, rss: i64) -> String {
    match rss {
        1.. if bytes >= 0 => part(bytes as f64 / rss as f64),
        _ => "-".to_owned(),
    }
}

/// How much of RSS nobody can call live or free, and what would tell.
pub(crate) fn opaque(report: &Report) -> String {
    let Some(row) = report
        .beside
        .iter()
        .find(|row| row.account == Account::Opaque)
    else {
        return "not known: nothing was read that would show how much of RSS is live".to_owned();
    };
    let rss = rss_at_end(report);
    let share = if rss > 0 {
        format!(" ({})", percent(row.end_bytes as f64 / rss as f64))
    } else {
        String::new()
    };
    let looks_inside = |lens: &String| matches!(lens.as_str(), "inspect" | "shim");
    let looked_inside = report.recording.lenses.iter().any(looks_inside);
    let remedy = match (row.end_bytes, looked_inside) {
        (0, _) => return "nothing: all of RSS is known to be live or free".to_owned(),
        (_, false) => "the kernel does not know; only a look into the heap itself would tell",
        (_, true) => "only a lens that can read this allocator or runtime would tell",
    };
    format!(
        "{} of {}{share}: live or free, nobody can say from outside; {remedy}",
        text::bytes(row.end_bytes as f64),
        text::bytes(rss as f64)
    )
}

/// What the recording itself cost.
pub(crate) fn cost(report: &Report) -> String {
    let recording = &report.recording;
    let cpu = recording.cost_cpu_seconds;
    let share = if recording.seconds > 0.0 && cpu.is_finite() {
        format!("{:.2} % of one core", cpu / recording.seconds * 100.0)
    } else {
        "too short to say in per cent".to_owned()
    };
    format!("{share} ({} of CPU time)", cpu_time(cpu))
}

/// A CPU time, down to microseconds: durations of [`text`] end at tenths of a second.
pub(crate) fn cpu_time(seconds: f64) -> String {
    match seconds {
        s if s >= 10.0 || !s.is_finite() => text::duration(s),
        s if s >= 1.0 => format!("{s:.1} s"),
        s if s >= 0.1 => format!("{:.0} ms", s * 1e3),
        s if s >= 0.001 => format!("{:.1} ms", s * 1e3),
        s => format!("{:.0} µs", s.max(0.0) * 1e6),
    }
}

/// Which reads were put off or failed; `None` when none was.
pub(crate) fn skipped_reads(report: &Report) -> Option<String> {
    let missed: Vec<_> = report
        .recording
        .reads
        .iter()
        .filter(|row| row.skipped + row.failed > 0)
        .map(|row| {
            let due = row.reads + row.skipped;
            let failed = match row.failed {
                0 => String::new(),
                failed => format!(", {failed} failed"),
            };
            format!("{} {} of {due}{failed}", row.read, row.skipped)
        })
        .collect();
    (!missed.is_empty()).then(|| {
        format!(
            "reads put off to stay within the budget: {}",
            missed.join("; ")
        )
    })
}

/// How the process ended; `None` while it runs.
pub(crate) fn ended(ended: &Ended) -> Option<String> {
    let how = match (ended.how, ended.code, ended.signal) {
        (How::Running, ..) => return None,
        (How::Exit, Some(code), _) => format!("it exited with code {code}"),
        (How::Exit, None, _) => "it exited; its code is not known".to_owned(),
        (How::Signal, _, Some(signal)) => format!("signal {signal} ended it"),
        (How::Signal, _, None) => "a signal ended it".to_owned(),
        (How::Oom, ..) => "the OOM killer ended it".to_owned(),
        (How::Unknown, ..) => "it is gone; how it ended is not known".to_owned(),
    };
    let oom = match (ended.how, ended.oom) {
        (How::Oom, _) | (_, Oom::No | Oom::Unknown) => "",
        (_, Oom::Proven) => ", and the kernel says that it was the OOM killer",
        (_, Oom::Likely) => ", likely the OOM killer",
    };
    Some(format!("{how}{oom}"))
}

/// What a count is called: "fds: socket".
pub(crate) fn count_name(count: &str, group: Option<&str>) -> String {
    match group {
        Some(group) => format!("{count}: {group}"),
        None => count.to_owned(),
    }
}

/// A count's rate; a dash where it is not known.
pub(crate) fn count_rate(per_second: Option<f64>) -> String {
    match per_second.filter(|rate| rate.is_finite()) {
        None => "-".to_owned(),
        Some(0.0) => "0".to_owned(),
        Some(rate) => text::count_rate(rate),
    }
}

/// `text` with a no-break space after every number, so that "14 s" is not torn apart by a line's end.
pub(crate) fn glued(text: &str) -> String {
    let mut glued = String::with_capacity(text.len());
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        if !glued.is_empty() {
            let after_number = glued.ends_with(|last: char| last.is_ascii_digit())
                && last_word(&glued)
                    .starts_with(|first: char| first.is_ascii_digit() || "+-(".contains(first));
            glued.push(if after_number { '\u{a0}' } else { ' ' });
        }
        glued.push_str(word);
    }
    glued
}

fn last_word(text: &str) -> &str {
    text.rsplit([' ', '\u{a0}']).next().unwrap_or(text)
}

/// The process: "redis-server, pid 4182".
pub(crate) fn target(report: &Report) -> String {
    format!(
        "{}, pid {}",
        crate::escape::clip(&report.target.name, 60),
        report.target.pid
    )
}
