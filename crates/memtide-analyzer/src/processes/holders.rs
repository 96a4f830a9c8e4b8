//! Who holds what was asked for, as rows of a report. Who holds it the census's own room finds out.

use memtide_model::{HolderRow, Holding, ProcessesReport, text};
use std::collections::{BTreeSet, HashMap};

/// Makes a report one about who holds `asked`: its holders as rows, in the order of `holdings`, and of the processes those that hold it.
pub fn held(report: &mut ProcessesReport, asked: &str, holdings: &[Holding]) {
    let by_pid: HashMap<u32, _> = report.processes.iter().map(|row| (row.pid, row)).collect();
    let rows: Vec<HolderRow> = holdings
        .iter()
        .filter_map(|holding| {
            let pid = holding.holder.pid.0;
            let process = by_pid.get(&pid)?;
            Some(HolderRow {
                pid,
                uid: process.uid,
                user: None,
                name: process.name.clone(),
                cmdline: process.cmdline.clone(),
                descriptor: holding.descriptor,
                how: holding.how.clone(),
                target: holding.target.to_string(),
            })
        })
        .collect();
    let pids: BTreeSet<u32> = rows.iter().map(|row| row.pid).collect();
    report.processes.retain(|row| pids.contains(&row.pid));
    report.findings.clear();
    report.summary = match pids.len() {
        0 => format!("No process that could be read holds {asked}."),
        1 => format!("1 process holds {asked}."),
        several => format!("{} hold {asked}.", text::plural(several as u64, "process")),
    };
    report.holders = Some(rows);
}
