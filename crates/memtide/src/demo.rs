//! `memtide demo`: a suspect that comes with the program, watched as any process would be.

use crate::attach::watch;
use crate::cli::options::{Attach, Demo, Outputs, Who};
use crate::exit::Code;
use crate::naming::stamp;
use crate::signals::Stop;
use anyhow::Context as _;
use memtide_model::{Nanos, Pid};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

/// Starts the suspect, watches it, and ends it.
pub(crate) fn run(options: &Demo) -> anyhow::Result<Code> {
    let stop = Stop::install()?;
    let suspect = Suspect::start(options.kind.name())?;
    watch(&attach_to(&suspect, options), &stop)
}

fn attach_to(suspect: &Suspect, options: &Demo) -> Attach {
    let stem = match &options.output {
        Some(file) => file.with_extension(""),
        None => PathBuf::from(format!("demo-{}-{}", options.kind.name(), stamp())),
    };
    let beside = |extension: &str| Some(stem.with_added_extension(extension));
    let asked = &options.outputs;
    Attach {
        who: Who::Pid(Pid(suspect.0.id())),
        duration: Some(options.duration),
        // Four a second: half a minute is short, and the suspect is small.
        every: Nanos(Nanos::SECOND.0 / 4),
        budget: 0.01,
        inspects: true,
        children: false,
        engine: None,
        marks: crate::session::Marks::default(),
        output: options.output.clone().or_else(|| beside("memtide")),
        outputs: Outputs {
            html: asked.html.clone().or_else(|| beside("html")),
            png: asked.png.clone().or_else(|| beside("png")),
            ..asked.clone()
        },
    }
}

/// A child that is ended when the demo is over, however it ends.
struct Suspect(Child);

impl Suspect {
    fn start(kind: &str) -> anyhow::Result<Self> {
        let program = std::env::current_exe().context("finding memtide's own program file")?;
        Command::new(program)
            .args(["suspect", kind])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .map(Self)
            .context("starting the suspect")
    }
}

impl Drop for Suspect {
    fn drop(&mut self) {
        // It may have ended by itself; there is nobody left to tell.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
