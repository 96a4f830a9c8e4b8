//! The same programs with other numbers: each argument within a factor of 3 of the manifest's.
//!
//! The label must stay true. A program that does not leak does not begin to by other numbers, and one that
//! leaks does so at any rate; but growth that ends must end within the record, or nothing could tell it
//! from growth that does not. So with s the factor of the duration (.6 to 2):
//!
//! * spans of time (`tau`, `gap`, `stop`, …) are multiplied by s and a factor of 1/3 to 1: in units of the
//!   record never longer than the manifest's;
//! * rates of labels whose growth ends by a factor of 1 to 3 over s, all others by 1/3 to 3;
//! * sizes by 1/√3 to √3; how many there are of something, and what chooses between behaviours, stay.

use crate::manifest::Case;
use crate::random::Random;
use memtide_model::VerdictKind;

/// Arguments that are spans of time.
const SPANS: [&str; 8] = [
    "tau", "gap", "stop", "period", "at", "again", "drift", "wait",
];
/// Arguments that are so much or so many a second.
const RATES: [&str; 2] = ["rate", "churn"];
/// Arguments that are sizes.
const SIZES: [&str; 8] = [
    "size", "amp_mb", "sd_mb", "job", "step", "kb", "inc", "touch",
];

/// Seconds that a command runs.
pub(super) fn seconds(command: &[String]) -> f64 {
    (command.iter())
        .find_map(|word| word.strip_prefix("dur=")?.parse().ok())
        .unwrap_or(60.0)
}

/// The command of a case with arguments drawn at random, the same for the same seed and repeat.
pub(super) fn draw(case: &Case, seed: u64, repeat: u64) -> Vec<String> {
    let name: u64 = (case.name.bytes()).fold(seed, |sum, byte| {
        sum.wrapping_mul(31).wrapping_add(u64::from(byte))
    });
    let mut random = Random::new(name.wrapping_mul(1_000).wrapping_add(repeat));
    let stretch = random.scale(0.6, 2.0);
    let ends = matches!(case.label, VerdictKind::Plateau | VerdictKind::NoGrowth);
    let mut command: Vec<String> = (case.run.iter())
        .filter(|word| !word.starts_with("seed="))
        .map(|word| drawn(word, stretch, ends, &mut random))
        .collect();
    command.push(format!("seed={}", 1 + random.below(100_000)));
    command
}

/// One word of the command.
fn drawn(word: &str, stretch: f64, ends: bool, random: &mut Random) -> String {
    let root = 3.0_f64.sqrt();
    let Some((key, Ok(value))) =
        (word.split_once('=')).map(|(key, value)| (key, value.parse::<f64>()))
    else {
        return word.to_owned();
    };
    let factor = match key {
        "dur" => stretch,
        _ if SPANS.contains(&key) => stretch * random.scale(1.0 / 3.0, 1.0),
        _ if RATES.contains(&key) && ends => random.scale(1.0, 3.0) / stretch,
        _ if RATES.contains(&key) => random.scale(1.0 / 3.0, 3.0),
        _ if SIZES.contains(&key) => random.scale(1.0 / root, root),
        _ => return word.to_owned(),
    };
    let value = value * factor;
    if value >= 100.0 {
        format!("{key}={value:.0}")
    } else {
        format!("{key}={value:.3}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn case(run: &str, label: VerdictKind) -> Case {
        Case {
            name: "one".to_owned(),
            program: "src/one.c".to_owned(),
            run: run.split_whitespace().map(str::to_owned).collect(),
            address_space_limit: None,
            label,
            outside: vec![label],
            series: String::new(),
        }
    }

    fn argument(command: &[String], key: &str) -> f64 {
        let find = |word: &String| word.strip_prefix(key)?.strip_prefix('=')?.parse().ok();
        command.iter().find_map(find).expect("an argument")
    }

    #[test]
    fn arguments_stay_within_their_bounds() {
        let case = case(
            "bin/one rate=1000 tau=9 size=120 threads=4 dur=50 seed=3",
            VerdictKind::Plateau,
        );
        for repeat in 0..200 {
            let command = draw(&case, 1, repeat);
            let seconds = seconds(&command);
            assert!((29.9..=100.1).contains(&seconds), "{command:?}");
            let tau = argument(&command, "tau") / seconds;
            assert!((0.059..=0.1801).contains(&tau), "{command:?}");
            let filled = argument(&command, "rate") * seconds / 50_000.0;
            assert!((0.97..=3.03).contains(&filled), "{command:?}");
            assert!(
                (69.0..=208.0).contains(&argument(&command, "size")),
                "{command:?}"
            );
            assert!((argument(&command, "threads") - 4.0).abs() < 1e-9);
            assert_eq!(
                command
                    .iter()
                    .filter(|word| word.starts_with("seed="))
                    .count(),
                1
            );
        }
        assert_eq!(draw(&case, 1, 0), draw(&case, 1, 0));
        assert_ne!(draw(&case, 1, 0), draw(&case, 1, 1));
        assert_ne!(draw(&case, 1, 0), draw(&case, 2, 0));
    }

    #[test]
    fn what_is_no_number_stays() {
        let case = case("python3 src/one.py dur=50", VerdictKind::HeapLeak);
        let command = draw(&case, 1, 0);
        assert_eq!(command[..2], ["python3", "src/one.py"]);
        assert!((seconds(&["x".to_owned()]) - 60.0).abs() < 1e-9);
    }
}
