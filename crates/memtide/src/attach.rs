//! `memtide attach`: a process that others started, watched until it ends or somebody asks.

use crate::cli::options::{Attach, Who};
use crate::exit::Code;
use crate::lens::Lens;
use crate::output;
use crate::session::{Analysis, Control, Order, Session, Setup, Stage};
use crate::signals::Stop;
use crate::snapshots::Snapshots;
use crate::tree::{Tree, teller};
use anyhow::bail;
use memtide_events::Scope;
use memtide_model::{Nanos, Pid};
use memtide_sampler::{Sampler, clock, matching};
use std::os::fd::BorrowedFd;
use std::path::Path;

/// Watches a process and gives the verdict.
pub(crate) fn run(options: &Attach) -> anyhow::Result<Code> {
    let stop = Stop::install()?;
    watch(options, &stop)
}

/// As [`run`], for a caller that has taken over the signals already.
pub(crate) fn watch(options: &Attach, stop: &Stop) -> anyhow::Result<Code> {
    output::check(&options.outputs)?;
    let pid = find(&options.who)?;
    let sampler_options = memtide_sampler::Options {
        budget: options.budget,
        ..memtide_sampler::Options::default()
    };
    let sampler = Sampler::open(pid, &sampler_options)?;
    let snapshots = options
        .inspects
        .then(|| Snapshots::of(sampler.target().id, clock::boottime(), options.budget));
    let id = sampler.target().id;
    let mut lens = Lens::Sampler(Box::new(sampler), Vec::new());
    let tree = options.children.then(|| {
        let teller = teller(options.engine, Scope::Existing(pid))?;
        Tree::open(id, teller, None, options.budget)
    });
    let tree = tree.transpose()?.map(|tree| lens.with_unseen(tree));
    let mut session = Session::open(Setup {
        lens,
        heap: None,
        snapshots,
        tree,
        every: options.every,
        budget: options.budget,
        marks: options.marks,
        output: options.output.as_deref(),
        outputs: &options.outputs,
        stage: Stage::Own,
    })?;
    let mut watch = Watch {
        stop,
        end: options.duration.map(|span| clock::boottime() + span),
    };
    let failure = session.record(&mut watch).err();
    session.finish(&options.outputs, &Analysis::default(), failure)?;
    Ok(Code::Done)
}

/// The end of a recording: a moment, or a signal.
struct Watch<'a> {
    stop: &'a Stop,
    end: Option<Nanos>,
}

impl Control for Watch<'_> {
    fn wake_by(&self) -> Option<Nanos> {
        self.end
    }

    fn sleep(&self, span: Nanos, end: Option<BorrowedFd<'_>>) -> anyhow::Result<bool> {
        self.stop.sleep(span, end)
    }

    fn heed(&mut self, now: Nanos, _: &mut Session) -> anyhow::Result<Order> {
        Ok(match self.stop.asked() {
            Some(signal) => Order::End(format!("recording ended by {signal}")),
            None if self.end.is_some_and(|end| now >= end) => Order::Last,
            None => Order::GoOn,
        })
    }
}

/// The pid that was given, or the one process whose command line matches.
pub(crate) fn find(who: &Who) -> anyhow::Result<Pid> {
    let pattern = match who {
        Who::Pid(pid) => return Ok(*pid),
        Who::Name(pattern) => pattern,
    };
    let found = matching(Path::new("/proc"), |cmdline| pattern.is_match(cmdline))?;
    match found.as_slice() {
        [] => bail!(
            "no process has a command line that matches {:?}",
            pattern.as_str()
        ),
        [one] => Ok(one.pid),
        many => {
            let list: Vec<String> = many
                .iter()
                .take(8)
                .map(|p| format!("{} ({})", p.pid, p.name))
                .collect();
            bail!(
                "{} processes match {:?}: {}; give one of these pids, or a narrower pattern",
                many.len(),
                pattern.as_str(),
                list.join(", ")
            )
        }
    }
}
