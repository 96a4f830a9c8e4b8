//! `memtide run`: a program started under watch, with the preload shim in it where that was asked for.
//!
//! Nothing starts before all that can fail has been tried: where the results go, the program, the shim.
//! From then on the program comes first: whatever fails in memtide, it runs on to its own end, and its exit
//! code is passed through.

use crate::cli::options::Run;
use crate::code_files::CodeFiles;
use crate::error;
use crate::exit::Code;
use crate::heap::Heap;
use crate::leash::Leash;
use crate::lens::{Lens, started_as};
use crate::output;
use crate::progress;
use crate::session::{Analysis, Session, Setup, Stage, not_recorded};
use crate::shim;
use crate::signals::Relay;
use crate::snapshots::Snapshots;
use crate::suppressions;
use crate::tree::{self, Teller, Tree};
use memtide_events::Scope;
use memtide_launch::{
    Family, HeapMode, Launch, Launched, Program, Recording, RunDir, Shim, inspect_program, resolve,
};
use memtide_model::{EventKind, Nanos, Pid, Visibility, text::printable};
use memtide_sampler::{ErrorKind, Sampler, clock};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

/// Where Linux shows code that was loaded from the shim's memory file.
const MEMORY_FILE: &str = "/memfd:memtide-shim";

/// Starts the program, watches it to its end, and reports.
///
/// # Errors
/// Only for what happens before the start.
pub(crate) fn run(options: &Run) -> anyhow::Result<Code> {
    output::check(&options.outputs)?;
    output::check_recording(options.output.as_deref())?;
    let analysis = Analysis {
        suppressions: suppressions::load(options.suppressions.as_deref())?,
        debug_dirs: options.debug_dirs.clone(),
    };
    let program = inspect_program(&resolve(&options.program)?)?;
    let mut inside = Inside::prepare(options, &program)?;
    let relay = Relay::install(options.limit.kill_after.is_some())?;
    let mut launch = Launch::new(&options.program, &options.arguments);
    if let Some((shim, regions)) = &inside.recorder {
        let recording = Recording {
            directory: regions.path(),
            mode: inside.mode,
            interval: options.interval.0,
        };
        launch.record(shim, recording);
    }
    // Where the kernel refuses, orphans are init's: they are not found, and everything else works.
    Family::adopt_orphans();
    let (launched, teller) = start(options, &launch, &program)?;
    let mut leash = Leash::new(launched, relay, options.limit);
    let session = open(options, &program, &mut inside, teller, &mut leash);
    let outcome = session.and_then(|mut session| {
        let failure = session.record(&mut leash).err();
        if let Some(failure) = &failure {
            let text = format!("the recording has ended, the program runs on: {failure:#}");
            progress::warn(&text);
        }
        leash.see_off()?;
        for text in leash.aftermath()? {
            progress::warn(&text);
            session.note(EventKind::Recorder, text)?;
        }
        session.finish(&options.outputs, &analysis, failure)
    });
    if let Err(failure) = outcome {
        error::print(&failure);
        leash.see_off()?;
        for text in leash.aftermath()? {
            progress::warn(&text);
        }
    }
    Ok(leash.code())
}

/// Starts it, followed by who tells of its forks, where the tree below it is wanted.
fn start(
    options: &Run,
    launch: &Launch,
    program: &Program,
) -> anyhow::Result<(Launched, Option<Teller>)> {
    if !options.children {
        return Ok((launch.spawn(program)?, None));
    }
    if !program.can_be_prepared() {
        let launched = launch.spawn(program)?;
        let teller = tree::teller(options.engine, Scope::Tree(Pid(launched.pid())))?;
        return Ok((launched, Some(teller)));
    }
    let (launched, teller) = tree::started(options.engine, |gate| {
        launch.spawn_with(program, |command| gate.install(command))
    })?;
    Ok((launched?, Some(teller)))
}

/// What looks from inside of the program, or why nothing does.
struct Inside {
    recorder: Option<(Shim, RunDir)>,
    /// The program itself.
    code: Option<CodeFiles>,
    mode: HeapMode,
    why_not: Option<String>,
}

impl Inside {
    fn prepare(options: &Run, program: &Program) -> anyhow::Result<Self> {
        let mode = match options.heap {
            Some(memtide_model::HeapMode::Full) => HeapMode::Full,
            _ => HeapMode::Sampled,
        };
        let mut inside = Self {
            recorder: None,
            code: None,
            mode,
            why_not: None,
        };
        if options.heap.is_some() {
            match shim::find(options, program)? {
                Ok(shim) => {
                    inside.recorder = Some((shim, RunDir::create(&[beside(options)])?));
                    let mut code = CodeFiles::new(&options.debug_dirs);
                    code.hold_program(&program.runs);
                    inside.code = Some(code);
                }
                Err(why) => {
                    progress::warn(&format!("not recorded: {why}; watching from outside only"));
                    inside.why_not = Some(why);
                }
            }
        }
        Ok(inside)
    }

    /// Files of ours that are mapped into the program.
    fn files(&self) -> Vec<PathBuf> {
        let Some((shim, regions)) = &self.recorder else {
            return Vec::new();
        };
        let code = if shim.is_in_memory() {
            PathBuf::from(MEMORY_FILE)
        } else {
            shim.file().to_path_buf()
        };
        vec![code, regions.path().to_path_buf()]
    }
}

/// The folder of the recording.
fn beside(options: &Run) -> &Path {
    let folder = options.output.as_deref().and_then(Path::parent);
    folder
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."))
}

fn open(
    options: &Run,
    program: &Program,
    inside: &mut Inside,
    teller: Option<Teller>,
    leash: &mut Leash,
) -> anyhow::Result<Session> {
    let pid = Pid(leash.pid());
    let mut lens = look_at(pid, options, program, inside);
    if lens.sampler().is_none() {
        leash.watch_end();
    }
    if let Some(why) = &inside.why_not {
        lens.add_unseen(not_recorded(why));
    }
    let heap = match (&inside.recorder, options.heap, inside.code.take()) {
        (Some((_, regions)), Some(mode), Some(code)) => {
            let what = (mode, options.interval);
            Some(Heap::open(regions.path(), pid, what, code)?)
        }
        _ => None,
    };
    let teller = teller.filter(|_| lens.sampler().is_some());
    let tree = teller.map(|teller| {
        let own = Pid(std::process::id());
        Tree::open(lens.target().id, teller, Some(own), options.budget)
    });
    let tree = tree.transpose()?.map(|tree| lens.with_unseen(tree));
    // Its first moments are the loader's.
    let first = clock::boottime() + Nanos::SECOND;
    let snapshots = (options.inspects && lens.sampler().is_some())
        .then(|| Snapshots::of(lens.target().id, first, options.budget));
    let mut session = Session::open(Setup {
        lens,
        heap,
        snapshots,
        tree,
        every: options.every,
        budget: options.budget,
        marks: options.marks,
        output: options.output.as_deref(),
        outputs: &options.outputs,
        stage: Stage::Shared,
    })?;
    let text = format!(
        "memtide: watching pid {pid}, recording to {}",
        session.file().display()
    );
    session.say(&text);
    Ok(session)
}

/// Looks at the program from outside, if it is still there and lets us.
fn look_at(pid: Pid, options: &Run, program: &Program, inside: &Inside) -> Lens {
    let sampler_options = memtide_sampler::Options {
        budget: options.budget,
        ..memtide_sampler::Options::default()
    };
    match Sampler::open(pid, &sampler_options) {
        Ok(mut sampler) => {
            sampler.own_files(&inside.files());
            Lens::Sampler(Box::new(sampler), Vec::new())
        }
        Err(error) => {
            let words = std::iter::once(&options.program).chain(&options.arguments);
            let cmdline = words.map(|word| printable(word.as_bytes())).collect();
            let why = Visibility {
                what: "its memory from outside".to_owned(),
                why: match error.kind() {
                    ErrorKind::NoSuchProcess | ErrorKind::Zombie => {
                        "it had ended before it could be looked at".to_owned()
                    }
                    _ => format!("{:#}", anyhow::Error::new(error)),
                },
                remedy: String::new(),
            };
            Lens::Nobody(Box::new(started_as(pid, &program.runs, cmdline, why)))
        }
    }
}
