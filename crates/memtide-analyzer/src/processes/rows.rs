//! The report of a watch: rows of processes, counts, the summary.

use super::{Scene, Watch, difference};
use jiff::Timestamp;
use memtide_model::report::{CountRow, Recording, SCHEMA};
use memtide_model::{
    Finding, Pid, ProcessId, ProcessRow, ProcessState, ProcessesReport, Role, Weight, text,
};
use std::collections::HashMap;

/// What a process adds to sums: PSS, which counts shared pages once, else RSS.
pub(super) fn memory(process: &ProcessState) -> u64 {
    process.pss.unwrap_or(process.rss).0
}

pub(super) fn report(watch: &Watch) -> ProcessesReport {
    let findings = watch.findings();
    let (first, last) = ends(watch);
    let look = watch.last.as_ref();
    let census = look.map(|look| &look.census);
    let mut objects = census.and_then(|census| census.objects.clone());
    if let Some(objects) = &mut objects {
        objects.sort_by_key(|object| u64::MAX - object.bytes.0);
    }
    ProcessesReport {
        schema: SCHEMA.to_owned(),
        target: None,
        recording: Recording {
            file: String::new(),
            started: Timestamp::from_nanosecond(first.wall_ns.into())
                .map_or_else(|_| String::new(), |time| time.to_string()),
            seconds: last.at.seconds_since(first.at),
            samples: watch.looks(),
            gaps: 0,
            lenses: vec!["census".to_owned()],
            cost_cpu_seconds: 0.0,
            reads: Vec::new(),
        },
        ended: None,
        verdict: None,
        growth: None,
        ledger: Vec::new(),
        beside: Vec::new(),
        counts: vec![
            count(None, first.processes, last.processes),
            count(Some("zombie"), first.zombies, last.zombies),
        ],
        forecast: None,
        threads: None,
        stacks: None,
        classes: None,
        processes: look.map_or_else(Vec::new, |look| rows(&Scene::of(watch, look))),
        heap: None,
        leaks: None,
        events: Vec::new(),
        warnings: census.map_or_else(Vec::new, |census| census.unseen.clone()),
        summary: summary(
            &findings,
            last.processes,
            look.is_some_and(|look| look.judged.is_some()),
        ),
        findings,
        machine: census.and_then(|census| census.machine.clone()),
        objects,
        holders: None,
        difference: watch
            .earlier
            .as_ref()
            .zip(look)
            .map(|(earlier, look)| difference::since(earlier, &Scene::of(watch, look))),
    }
}

fn ends(watch: &Watch) -> (super::Counted, super::Counted) {
    let first = watch.looks.first().copied().unwrap_or_default();
    (first, watch.looks.last().copied().unwrap_or(first))
}

fn count(group: Option<&str>, start: u64, end: u64) -> CountRow {
    CountRow {
        count: "processes".to_owned(),
        group: group.map(str::to_owned),
        start,
        end,
        per_second: None,
    }
}

fn summary(findings: &[Finding], processes: u64, narrowed: bool) -> String {
    let among = if narrowed {
        ", of which those that were asked for were judged"
    } else {
        ""
    };
    let of = format!("{processes} processes{among}");
    let problems: Vec<&Finding> = findings
        .iter()
        .filter(|finding| finding.weight == Weight::Problem)
        .collect();
    match problems.as_slice() {
        [] => format!("Nothing is wrong with {of}."),
        [only] => format!("{}; {of}.", only.summary),
        [first, rest @ ..] => {
            let more = text::plural(rest.len() as u64, "more finding");
            format!("{}; {more}; {of}.", first.summary)
        }
    }
}

/// Every process of the last look.
pub(super) fn rows(scene: &Scene<'_>) -> Vec<ProcessRow> {
    let trees = trees(scene);
    let processes = scene.look.census.processes.iter();
    processes
        .map(|process| {
            let tree = trees.get(&process.id).copied().unwrap_or_default();
            let course = scene
                .courses
                .get(process.id)
                .filter(|course| course.seen.looks >= 2);
            let growth = course.map(|course| difference_of(process.rss.0, course.first_rss));
            row(process, scene.kin.role(process), tree, growth)
        })
        .collect()
}

fn difference_of(now: u64, then: u64) -> i64 {
    i64::try_from(i128::from(now) - i128::from(then)).unwrap_or_default()
}

pub(super) fn row(
    process: &ProcessState,
    role: Role,
    tree: u64,
    growth: Option<i64>,
) -> ProcessRow {
    ProcessRow {
        pid: process.id.pid.0,
        inner_pid: process.inner_pid.map(|inner| inner.0),
        start_ticks: process.id.start.0,
        ppid: process.ppid.0,
        uid: process.uid,
        user: None,
        pgid: process.pgid,
        sid: process.sid,
        state: process.state.to_string(),
        name: process.name.clone(),
        cmdline: process.cmdline.clone(),
        wchan: process.wchan.clone(),
        role,
        age_seconds: process.age.as_secs_f64(),
        cpu_seconds: process.cpu.as_secs_f64(),
        threads: process.threads,
        rss_bytes: process.rss.0,
        pss_bytes: process.pss.map(|pss| pss.0),
        tree_bytes: tree,
        bytes_per_second: None,
        growth_bytes: growth,
    }
}

/// The memory of each process with all its descendants.
fn trees(scene: &Scene<'_>) -> HashMap<ProcessId, u64> {
    let mut sums = HashMap::new();
    let processes = &scene.look.census.processes;
    // Roots: those whose parent is not in the census. Pids that vanish between two reads may make rings,
    // whose members are nobody's descendants; they keep their own memory.
    for process in processes
        .iter()
        .filter(|process| scene.kin.get(process.ppid).is_none())
    {
        add_up(scene, process, &mut sums);
    }
    for process in processes {
        sums.entry(process.id).or_insert_with(|| memory(process));
    }
    sums
}

/// Adds up a tree from its leaves, without recursion: a chain of forks may be as long as there are pids.
fn add_up(scene: &Scene<'_>, root: &ProcessState, sums: &mut HashMap<ProcessId, u64>) {
    let mut order = vec![root];
    let mut next = 0;
    while let Some(process) = order.get(next) {
        next += 1;
        // A process is no child of itself, whatever /proc says.
        let children = scene.kin.children(process.id.pid).iter();
        order.extend(children.filter(|child| child.id.pid > Pid(0) && child.id != root.id));
        if next > scene.look.census.processes.len() {
            break;
        }
    }
    for process in order.iter().rev() {
        let below: u64 = scene
            .kin
            .children(process.id.pid)
            .iter()
            .filter_map(|child| sums.get(&child.id))
            .fold(0, |sum, bytes| sum.saturating_add(*bytes));
        sums.insert(process.id, memory(process).saturating_add(below));
    }
}
