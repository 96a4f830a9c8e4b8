//! `memtide ps --by growth`: all processes in order of the growth of their RSS.

use super::looking::Looking;
use crate::cli::ps::Ps;
use crate::signals::Stop;
use memtide_analyzer::processes::{Pulsed, rising};
use memtide_census::Pulse;
use memtide_model::ProcessesReport;
use memtide_proc::rlimit::raise_descriptor_limit;
use memtide_proc::{ProcRoot, clock};

pub(super) fn report(
    root: &ProcRoot,
    options: &Ps,
    stop: &Stop,
) -> anyhow::Result<ProcessesReport> {
    // A descriptor is kept for each process; where that is refused, files are opened for each read.
    let _ = raise_descriptor_limit();
    let mut looking = Looking::new(root, options)?;
    let mut pulse = Pulse::new(root);
    let start = clock::boottime();
    let end = options.duration.map(|span| start + span);
    let mut beats = 0_u64;
    loop {
        pulse.beat()?;
        beats += 1;
        let left = end.map_or(options.every, |end| {
            options.every.min(end - clock::boottime())
        });
        stop.sleep(left, None)?;
        if stop.asked().is_some() || end.is_some_and(|end| clock::boottime() >= end) {
            break;
        }
    }
    pulse.beat()?;
    let pulsed: Vec<Pulsed> = pulse
        .into_series()
        .into_iter()
        .filter(|series| series.ended.is_none())
        .map(|series| Pulsed {
            id: series.id,
            points: series.points,
        })
        .collect();
    let mut watch = looking.watch()?;
    let look = looking.look(true)?;
    let judged = look.judged.clone();
    watch.look(look);
    let mut report = watch.report();
    if let Some(judged) = judged {
        let of = |row: &memtide_model::ProcessRow| {
            judged
                .iter()
                .any(|id| id.pid.0 == row.pid && id.start.0 == row.start_ticks)
        };
        report.processes.retain(of);
    }
    // One look tells a state, and not whether it lasts: the order is what was asked for.
    report.findings.clear();
    report.recording.samples = beats + 1;
    report.recording.seconds = clock::boottime().seconds_since(start);
    rising(&mut report, &pulsed);
    Ok(report)
}
