//! Arms of made-up runs for comparisons.

use super::Random;
use memtide_analyzer::comparison::{ArmInput, Inputs};
use memtide_model::Shape;
use memtide_model::comparison::Trial;

/// One mebibyte.
pub(crate) const MIB: f64 = 1024.0 * 1024.0;

/// Ways in which runs of the same program scatter about 1.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Scatter {
    /// Log-normal with this deviation of the logarithm.
    LogNormal(f64),
    /// Half of the runs a fifth higher, as when a thread meets a second arena or does not.
    Bimodal,
    /// Student's t with two degrees of freedom: now and then a run is far off.
    HeavyTailed,
}

impl Scatter {
    pub(crate) fn draw(self, random: &mut Random) -> f64 {
        match self {
            Self::LogNormal(deviation) => (deviation * random.normal()).exp(),
            Self::Bimodal => {
                let mode = if random.uniform() < 0.5 { 1.0 } else { 1.2 };
                mode * (0.01 * random.normal()).exp()
            }
            Self::HeavyTailed => {
                let chi = random.normal().powi(2) + random.normal().powi(2);
                (0.02 * random.normal() / (chi / 2.0).sqrt()).exp()
            }
        }
    }
}

/// A run that is level: settled RSS, CPU seconds.
pub(crate) fn level(settled: f64, cpu: f64) -> Trial {
    Trial {
        peak_rss: (settled * 1.1) as u64,
        end_rss: settled as u64,
        settled_rss: settled as u64,
        mean_rss: (settled * 0.9) as u64,
        bytes_per_second: Some(0.0),
        low: Some(-100.0),
        high: Some(100.0),
        shape: Some(Shape::Flat),
        cpu_seconds: cpu,
        wall_seconds: 20.0,
        ready_at: Some(1.0),
        work_ended_at: Some(21.0),
        rss: vec![(0.0, 1000), (30.0, settled as u64)],
        cost_cpu_seconds: 0.15,
        ..Trial::default()
    }
}

/// A run that grows by so many bytes per second for 20 s from 50 MiB on, and ends so much lower after settling.
pub(crate) fn growing(rate: f64, given_back: f64) -> Trial {
    let end = 50.0 * MIB + 20.0 * rate;
    Trial {
        end_rss: end as u64,
        settled_rss: (end - given_back) as u64,
        bytes_per_second: Some(rate),
        low: Some(rate * 0.95),
        high: Some(rate * 1.05),
        shape: Some(Shape::Linear),
        ..level(end, 5.0)
    }
}

pub(crate) fn arm(name: &str, trials: Vec<Trial>) -> ArmInput {
    ArmInput {
        name: name.to_owned(),
        allocator: name.to_owned(),
        environment: match name {
            "glibc" => Vec::new(),
            _ => vec![format!("LD_PRELOAD=/usr/lib/lib{name}.so")],
        },
        failed: None,
        trials,
    }
}

/// An arm of `runs` runs, each made with a scatter of its own.
pub(crate) fn scattered(
    name: &str,
    runs: usize,
    random: &mut Random,
    run: impl Fn(&mut Random) -> Trial,
) -> ArmInput {
    arm(name, (0..runs).map(|_| run(random)).collect())
}

pub(crate) fn inputs(arms: Vec<ArmInput>) -> Inputs {
    Inputs {
        command: vec!["./server".to_owned(), "--port=1".to_owned()],
        load: None,
        runs: arms.first().map_or(0, |arm| arm.trials.len() as u64),
        seed: 7,
        alpha: 0.02,
        arms,
        budget_percent: 1.0,
        heap_read: true,
    }
}
