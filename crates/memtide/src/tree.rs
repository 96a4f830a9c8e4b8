//! The processes below the target: who is there by looks at /proc, who came and went by what the kernel tells.
//!
//! A look is as dear as the machine has processes; what it cost decides when the next one is due, as with all
//! reads of the sampler.

mod gone;

use crate::progress;
use memtide_events::Tree as Forks;
use memtide_events::{Engine, Error, ErrorKind, Follower, Gate, Losses, Scope, Source, available};
use memtide_model::{Nanos, Pid, ProcessId, TreeTick, Visibility};
use memtide_sampler::{Lineage, TreeSampler, clock};
use std::path::Path;

/// Who tells of forks, once that is known.
pub(crate) struct Teller {
    /// `None`: nobody.
    source: Option<Source>,
    /// What is not told.
    unseen: Vec<Visibility>,
}

/// Looks at a tree.
pub(crate) struct Tree {
    sampler: TreeSampler,
    /// `None`: nobody tells of forks.
    follower: Option<Follower>,
    budget: f64,
    due: Nanos,
    /// Whether it was said that some have escaped.
    has_warned: bool,
}

/// What a look found.
pub(crate) struct Look {
    pub(crate) tick: TreeTick,
    /// What cannot be seen from now on, once.
    pub(crate) unseen: Option<Visibility>,
}

impl Tree {
    /// Of the tree below `target`. Children of `adopter` are orphans of this tree and nobody else. `budget`: what
    /// looking may cost, as a share of one core. What is not seen is said beside.
    ///
    /// # Errors
    /// Where there is no /proc, or no thread can be had.
    pub(crate) fn open(
        target: ProcessId,
        teller: Teller,
        adopter: Option<Pid>,
        budget: f64,
    ) -> anyhow::Result<(Self, Vec<Visibility>)> {
        let tree = Self {
            sampler: TreeSampler::open(Path::new("/proc"), target, adopter)?,
            follower: teller.source.map(Follower::start).transpose()?,
            budget,
            due: Nanos(0),
            has_warned: false,
        };
        Ok((tree, teller.unseen))
    }

    /// Who tells of forks.
    pub(crate) fn engine(&self) -> &'static str {
        let engine = self.follower.as_ref().map(Follower::engine);
        engine.unwrap_or(Engine::Poll).name()
    }

    /// Looks at it, where that is due or `anyway`.
    ///
    /// # Errors
    /// Where /proc cannot be read.
    pub(crate) fn look(&mut self, now: Nanos, anyway: bool) -> anyhow::Result<Option<Look>> {
        if now < self.due && !anyway {
            return Ok(None);
        }
        let before = clock::thread_cpu();
        let follower = self.follower.as_ref();
        let told = |ids: &[ProcessId]| follower.map(|told| told.look(|tree| lineage(tree, ids)));
        let mut tick = self.sampler.look(told)?;
        let mut losses = Losses::default();
        if let Some(follower) = follower {
            let seen = self.sampler.seen();
            follower.look(|told| {
                let of_tree = told.counts().processes;
                tick.short_lived = Some(of_tree.saturating_sub(seen));
                losses = told.losses();
                for end in &mut tick.ended {
                    let node = told.started(end.id);
                    end.status = node.and_then(|node| node.end).and_then(|end| end.status);
                }
            });
        }
        tick.lost = losses.records;
        let has_news = losses.escaped > 0 && !self.has_warned;
        self.has_warned |= has_news;
        let cost = clock::thread_cpu() - before;
        self.due = now + Nanos::from_secs_f64(cost.as_secs_f64() / self.budget);
        Ok(Some(Look {
            tick,
            unseen: has_news.then(escaped),
        }))
    }

    /// What there is to say at the end: who came and went, and what the kernel's records lacked.
    pub(crate) fn summary(&self) -> Vec<String> {
        let told = self.follower.as_ref();
        told.map(|told| told.look(gone::sentences))
            .unwrap_or_default()
    }
}

/// Which of these processes belong to the tree, and who started them.
fn lineage(tree: &Forks, ids: &[ProcessId]) -> Vec<Lineage> {
    let told = ids.iter().filter_map(|id| {
        let node = tree.started(*id)?;
        Some(Lineage {
            id: *id,
            parent: node.parent.map(|parent| parent.pid),
        })
    });
    told.collect()
}

/// That some take on privileges, and are not followed from then on.
fn escaped() -> Visibility {
    Visibility {
        what: "short-lived processes below a program that took on privileges (setuid)".to_owned(),
        why: "the kernel takes the side-band from it that was opened without privileges".to_owned(),
        remedy: "run memtide as root to follow these, too".to_owned(),
    }
}

/// Opens the engine that was asked for, or the best that can be had.
///
/// # Errors
/// An engine that was asked for and cannot be had.
pub(crate) fn teller(asked: Option<Engine>, scope: Scope) -> Result<Teller, Error> {
    let silent = |unseen| Teller {
        source: None,
        unseen,
    };
    let (source, refused) = match asked {
        // Looks at /proc are what is done anyhow.
        Some(Engine::Poll) => return Ok(silent(vec![polled(String::new(), false)])),
        Some(engine) => (Source::open(engine, scope)?, Vec::new()),
        None => match Source::open_best(scope) {
            Ok(opened) => opened,
            // It has ended already.
            Err(error) if error.kind() == ErrorKind::Gone => return Ok(silent(Vec::new())),
            Err(error) => return Err(error),
        },
    };
    if source.engine() == Engine::Poll {
        let why: Vec<String> = refused.iter().map(|(_, why)| why.to_string()).collect();
        let unseen = polled(why.join("; "), matches!(scope, Scope::Tree(_)));
        progress::warn(&format!("{} are not seen; {}", unseen.what, unseen.remedy));
        return Ok(silent(vec![unseen]));
    }
    if source.engine() == Engine::Ptrace && asked.is_none() {
        let why: Vec<String> = refused.iter().map(|(_, why)| why.to_string()).collect();
        progress::warn(&format!(
            "forks are followed by ptrace, which adds about half to the time of each ({}); --engine poll leaves them alone",
            why.join("; ")
        ));
    }
    Ok(Teller {
        source: Some(source),
        unseen: Vec::new(),
    })
}

/// Starts a program under the eyes of who tells of forks, from its first instruction on. Where that one fails at the
/// last moment the program runs all the same.
///
/// # Errors
/// An engine that was asked for and cannot be had here: then nothing was started. Those of `spawn` are its own.
pub(crate) fn started<T>(
    asked: Option<Engine>,
    spawn: impl FnOnce(&Gate) -> T,
) -> anyhow::Result<(T, Teller)> {
    if let Some(engine) = asked {
        let own = Scope::Tree(Pid(std::process::id()));
        let known = available(own).into_iter().find(|(one, _)| *one == engine);
        known.map_or(Ok(()), |(_, verdict)| verdict)?;
    }
    let (spawned, told) = Gate::follow(|pid| teller(asked, Scope::Tree(pid)), spawn)?;
    let teller = match told {
        Some(Ok(teller)) => teller,
        Some(Err(error)) => Teller {
            source: None,
            unseen: vec![polled(error.to_string(), false)],
        },
        None => Teller {
            source: None,
            unseen: Vec::new(),
        },
    };
    Ok((spawned, teller))
}

/// What polling does not see. ptrace would, of a program that is started, but not without a price.
fn polled(why: String, could_trace: bool) -> Visibility {
    let why = if why.is_empty() {
        "--engine poll looks into /proc now and then".to_owned()
    } else {
        why
    };
    let remedy = if could_trace {
        "`--engine ptrace` sees them, but under it setuid programs (sudo, ping) get no privileges"
    } else {
        "memtide doctor --engines says what is possible here"
    };
    Visibility {
        what: "processes that come and go between two looks".to_owned(),
        why,
        remedy: remedy.to_owned(),
    }
}
