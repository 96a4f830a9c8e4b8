//! One run of one arm: started, recorded, stopped, measured.

use super::arms::Arm;
use super::course::{Course, End, last_words};
use super::wrapper;
use crate::cli::options::{Outputs, Work};
use crate::lens::Lens;
use crate::session::{Marks, Session, Setup, Stage};
use crate::signals::Stop;
use crate::snapshots::Snapshots;
use anyhow::Context as _;
use memtide_analyzer::comparison;
use memtide_launch::allocator::{Bound, Files};
use memtide_launch::service::Ready;
use memtide_launch::{Launch, Program};
use memtide_model::comparison::Trial;
use memtide_model::{Nanos, Pid, text};
use memtide_report::flamegraph::What;
use memtide_sampler::{Sampler, clock};
use regex::bytes::Regex;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A service that ended a moment ago may hold its port so long.
const PORT_FREE_BY: Duration = Duration::from_secs(5);
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// The metric is looked for in so much of the end of the program's output.
const OUTPUT_READ: u64 = 1 << 20;
/// Parts of the budget, which add up to less than one: what is left pays for asking which allocator it is, and for
/// writing. What is compared is RSS, which every tick reads; the rest of the ledger can be read more rarely.
const SAMPLER_PART: f64 = 0.5;
const LOOKS_PART: f64 = 0.4;
/// The first look at a program that ends by itself: its first moments are the loader's, and nobody knows when its
/// last are.
const FIRST_LOOK: Nanos = Nanos::SECOND;
/// And at one that is ended by us and looked at then: a shorter run has no budget for two.
const LOOK_BETWEEN: Nanos = Nanos::from_secs(20);

/// What all runs have in common.
pub(super) struct Setting<'a> {
    pub(super) work: &'a Work,
    pub(super) program: &'a Program,
    pub(super) checks: &'a Checks,
    pub(super) folder: &'a Path,
    pub(super) stop: &'a Stop,
    pub(super) redact: bool,
    /// What is known of the files that runs load.
    pub(super) files: &'a Files,
}

/// What was written on the command line, understood.
pub(super) struct Checks {
    pub(super) ready: Option<Ready>,
}

impl Checks {
    /// Understands it, and looks whether the service is there already: its answers would pass for ours.
    pub(super) fn of(work: &Work) -> anyhow::Result<Self> {
        let ready = work.ready.as_deref().map(Ready::parse).transpose()?;
        if let Some(why) = ready.as_ref().and_then(Ready::taken_before) {
            anyhow::bail!("{why}");
        }
        let wait = match &ready {
            Some(Ready::After(span)) => Nanos(u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)),
            _ => Nanos(0),
        };
        let takes = wait + work.duration.unwrap_or(Nanos(0)) + work.settle;
        anyhow::ensure!(
            takes < work.timeout,
            "--timeout ends every run: --ready, --for and --settle alone take {}; give it more",
            text::duration(takes.as_secs_f64())
        );
        Ok(Self { ready })
    }
}

/// A run, and what was found in it.
pub(super) struct Made {
    pub(super) trial: Trial,
    pub(super) bound: Option<Bound>,
}

/// Makes the run of that number. What fails is in the trial.
pub(super) fn make(setting: &Setting<'_>, arm: &Arm, order: u64) -> Made {
    let mut made = attempt(setting, arm, order).unwrap_or_else(|error| Made {
        trial: Trial {
            failed: Some(format!("{error:#}")),
            ..Trial::default()
        },
        bound: None,
    });
    made.trial.order = order;
    made
}

fn attempt(setting: &Setting<'_>, arm: &Arm, order: u64) -> anyhow::Result<Made> {
    let work = setting.work;
    wait_until_free(setting.checks)?;
    let stem = setting.folder.join(if setting.redact {
        // An arm's name may be a path.
        format!("{order:03}")
    } else {
        format!("{order:03}-{}", plain(arm.name()))
    });
    let log = stem.with_added_extension("log");
    let mut launch = Launch::new(&work.program, &work.arguments);
    launch
        .allocator(&arm.found)
        .own_group()
        .output_to(create(&log)?);
    let started = clock::boottime();
    let launched = launch.spawn(setting.program)?;
    let mut course = Course::new(launched, setting, &arm.found, started);
    let outputs = Outputs {
        json: None,
        html: None,
        png: None,
        flamegraph: None,
        folded: None,
        flamegraph_of: What::Live,
        redact: setting.redact,
        quiet: true,
        color: false,
    };
    let file = stem.with_added_extension("memtide");
    let recorded = record(work, &mut course, &file, &outputs);
    let end = with_last_words(course.end()?, &log);
    let session = match (recorded, &end.failed) {
        // A program that ended at once could not be watched, but that is not why it failed.
        (Err(_), Some(why)) if end.by_itself => anyhow::bail!("{why}"),
        (recorded, _) => recorded?,
    };
    let mut closed = session.close(&[]);
    let observations = closed.observations()?;
    let measured = comparison::measure(&observations, &end.phases, &end.used);
    let metric = metric(work.metric.as_ref(), &end, &log);
    let (metric, missing) = metric.map_or_else(|why| (None, Some(why)), |found| (found, None));
    Ok(Made {
        trial: Trial {
            failed: (end.failed.or(missing)).or_else(|| wrapper::refusal(&observations)),
            recording: Some(file.display().to_string()),
            load_exit: end.load_exit,
            metric,
            killed: end.killed,
            ..measured
        },
        bound: end.bound,
    })
}

/// What a program that failed by itself said last goes with why it failed.
fn with_last_words(mut end: End, log: &Path) -> End {
    if end.by_itself && end.load_exit.is_none() {
        let said = tail(log).map_or_else(|_| String::new(), |output| last_words(&output));
        end.failed = end.failed.map(|why| why + &said);
    }
    end
}

/// Records the course of the program from its start to where its end is due.
fn record(
    work: &Work,
    course: &mut Course<'_>,
    file: &Path,
    outputs: &Outputs,
) -> anyhow::Result<Session> {
    let pid = Pid(course.pid());
    let options = memtide_sampler::Options {
        budget: SAMPLER_PART * work.budget,
        ..memtide_sampler::Options::default()
    };
    let sampler = Sampler::open(pid, &options).context("it could not be watched")?;
    let lens = Lens::Sampler(Box::new(sampler), Vec::new());
    let ends_itself = work.duration.is_none() && work.load.is_none();
    let wait = if ends_itself {
        FIRST_LOOK
    } else {
        LOOK_BETWEEN
    };
    let (first, share) = (clock::boottime() + wait, LOOKS_PART * work.budget);
    let snapshots = (work.inspects).then(|| Snapshots::of(lens.target().id, first, share));
    let mut session = Session::open(Setup {
        lens,
        heap: None,
        snapshots,
        tree: None,
        every: work.every,
        budget: work.budget,
        marks: Marks::default(),
        output: Some(file),
        outputs,
        stage: Stage::Shared,
    })?;
    session.record(course)?;
    Ok(session)
}

/// Waits until the run before has given back what readiness is told by.
fn wait_until_free(checks: &Checks) -> anyhow::Result<()> {
    let Some(ready) = &checks.ready else {
        return Ok(());
    };
    let until = std::time::Instant::now() + PORT_FREE_BY;
    while let Some(why) = ready.taken_before() {
        anyhow::ensure!(std::time::Instant::now() < until, "{why}");
        std::thread::sleep(LOOK_EVERY);
    }
    Ok(())
}

/// A name of an arm as it goes into a file's.
fn plain(name: &str) -> String {
    let plain = |c: char| {
        if c.is_ascii_alphanumeric() || c == '.' {
            c
        } else {
            '-'
        }
    };
    name.chars().map(plain).take(48).collect()
}

fn create(path: &PathBuf) -> anyhow::Result<File> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .with_context(|| format!("cannot write {}", path.display()))
}

/// The end of a file.
fn tail(path: &Path) -> anyhow::Result<Vec<u8>> {
    use std::io::{Read as _, Seek as _, SeekFrom};
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(OUTPUT_READ)))?;
    let mut bytes = Vec::new();
    file.take(OUTPUT_READ).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The number that was asked for, of what the load printed, or the program where there is no load; the error is
/// why there is none, and what to do.
fn metric(regex: Option<&Regex>, end: &End, log: &Path) -> Result<Option<f64>, String> {
    let Some(regex) = regex else {
        return Ok(None);
    };
    let (number, whose) = if let Some(output) = &end.load_output {
        (find(regex, output)?, "the load")
    } else {
        let output = tail(log).map_err(|error| format!("{error:#}"))?;
        (find(regex, &output)?, "the program")
    };
    let cut = if end.load_cut {
        " until --for ended it; let it print its figure on SIGTERM, or end by itself"
    } else {
        ""
    };
    number
        .map(Some)
        .ok_or_else(|| format!("--metric was not found in what {whose} printed{cut}"))
}

/// The number of the last match.
fn find(regex: &Regex, output: &[u8]) -> Result<Option<f64>, String> {
    let found = regex.captures_iter(output).last();
    let Some(found) = found.as_ref().and_then(|all| all.get(1)) else {
        return Ok(None);
    };
    let text = text::printable(found.as_bytes());
    let number = text.trim().replace(',', "").parse();
    match number {
        Ok(number) if f64::is_finite(number) => Ok(Some(number)),
        _ => Err(format!("--metric found {text:?}, which is no number")),
    }
}

#[cfg(test)]
mod tests {
    use super::{find, plain};
    use regex::bytes::Regex;

    #[test]
    fn the_last_number_counts() {
        let regex = Regex::new(r"requests/s: ([0-9.,]+)").expect("it is one");
        let output = b"requests/s: 12\nrequests/s: 1,234.5\n";
        assert_eq!(find(&regex, output).expect("a number"), Some(1234.5));
        assert_eq!(find(&regex, b"nothing").expect("nothing"), None);
        let words = Regex::new("is (.*)").expect("it is one");
        let error = find(&words, b"is fast").expect_err("no number");
        assert!(error.contains("\"fast\""), "{error}");
        let error = find(&words, b"is inf").expect_err("no number");
        assert!(error.contains("\"inf\""), "{error}");
    }

    #[test]
    fn names_are_those_of_files() {
        assert_eq!(plain("jemalloc:a=1,b=2"), "jemalloc-a-1-b-2");
        assert_eq!(plain("/opt/lib/my.so"), "-opt-lib-my.so");
    }
}
