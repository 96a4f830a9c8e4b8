//! "The process grows" against "the machine shrinks but no process grows".
//!
//! Over the watch, the fall of `MemAvailable` is held against the growth of all processes' resident memory.
//! Where the processes account for less than [`OWN_SHARE`] of it, the rest is the kernel's: slab, page
//! tables, tmpfs and shared segments that nobody maps, huge pages. The one that grew most is named.

use super::about;
use crate::statistics::Series;
use crate::thresholds::{SAMPLES_FOR_GROWTH, SECONDS_FOR_GROWTH};
use memtide_model::{Bytes, Census, Finding, FindingKind, Machine, Nanos, Weight, text};

/// Processes explain the fall where they grew by this share of it.
const OWN_SHARE: f64 = 0.5;
/// A fall by less than this share of the machine's memory, or less than [`LEAST`], is the page cache's breathing.
const LEAST_SHARE: f64 = 0.01;
const LEAST: f64 = 64.0 * 1024.0 * 1024.0;
/// Looks that are kept.
const MOST: usize = 512;

/// The machine over time.
#[derive(Debug, Default)]
pub(super) struct MachineCourse {
    points: Vec<Point>,
}

#[derive(Clone, Debug)]
struct Point {
    at: Nanos,
    machine: Machine,
    /// Resident bytes of all processes, shared pages counted as often as they are mapped.
    resident: Bytes,
}

impl MachineCourse {
    pub(super) fn look(&mut self, census: &Census) {
        let Some(machine) = &census.machine else {
            return;
        };
        self.points.push(Point {
            at: census.at,
            machine: machine.clone(),
            resident: census.processes.iter().map(|process| process.rss).sum(),
        });
        if self.points.len() >= MOST {
            self.points = self.points.drain(..).step_by(2).collect();
        }
    }

    pub(super) fn find(&self) -> Option<Finding> {
        let total = self.points.last()?.machine.total?.as_f64();
        let available = self.series(|point| point.machine.available);
        let fall = -available.delta();
        let long = available.len() >= SAMPLES_FOR_GROWTH && available.span() >= SECONDS_FOR_GROWTH;
        if !long || fall < LEAST.max(total * LEAST_SHARE) {
            return None;
        }
        let processes = self.series(|point| Some(point.resident)).delta();
        if processes > fall * OWN_SHARE {
            return None;
        }
        let (name, growth) = self.grower()?;
        let mut finding = about(FindingKind::Machine, Weight::Problem, &[]);
        finding.summary = format!(
            "the machine's available memory fell by {} in {}, and its processes grew by {} only",
            text::bytes(fall),
            text::duration(available.span()),
            text::bytes(processes.max(0.0))
        );
        finding.details = vec![format!("{name} grew by {}", text::bytes(growth))];
        finding.count = 1;
        Some(finding)
    }

    fn series(&self, value: impl Fn(&Point) -> Option<Bytes>) -> Series {
        let points = self.points.iter();
        Series::of(
            points.filter_map(|point| Some((point.at.as_secs_f64(), value(point)?.as_f64()))),
        )
    }

    /// The part of the kernel's memory that grew most.
    fn grower(&self) -> Option<(&'static str, f64)> {
        type Part = fn(&Machine) -> Option<Bytes>;
        const PARTS: [(&str, Part); 5] = [
            (
                "tmpfs and shared memory (Shmem; `memtide ps --queues` names the files)",
                |m| m.shmem,
            ),
            (
                "the kernel's own objects (SUnreclaim; `sudo slabtop -sc` names them)",
                |m| m.slab_unreclaimable,
            ),
            ("the kernel's caches (SReclaimable)", |m| m.slab_reclaimable),
            ("page tables and kernel stacks", |m| m.kernel),
            ("huge pages that are set aside (HugePages_Total)", |m| {
                m.huge_pages
            }),
        ];
        let grown = PARTS.map(|(name, part)| (name, self.series(|p| part(&p.machine)).delta()));
        grown
            .into_iter()
            .max_by(|a, b| a.1.total_cmp(&b.1))
            .filter(|(_, growth)| *growth > 0.0)
    }
}
