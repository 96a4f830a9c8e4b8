//! A thread that drains a source as soon as it must be, into a tree that others may look at.
//!
//! The kernel's rings hold what happens in a fraction of a second of a fork storm; a sampler that reads a
//! large process takes longer than that. So the draining has a thread of its own, which sleeps until a ring is a
//! quarter full, and wakes [`EVERY`] otherwise to bring the tree up to date.

use crate::engine::Engine;
use crate::error::Error;
use crate::event::TreeEvent;
use crate::source::Source;
use crate::tree::Tree;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// How old the tree may get when little happens.
const EVERY: Duration = Duration::from_millis(100);
/// So many events are kept for who wants them one by one; more are only counted.
const KEPT: usize = 65_536;

/// A tree that is kept up to date.
#[derive(Debug)]
pub struct Follower {
    engine: Engine,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

/// Events one by one, since they were last asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recent {
    /// The first of them, at most 65,536.
    pub events: Vec<TreeEvent>,
    /// Those after them. The tree knows them, too.
    pub skipped: u64,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    stop: AtomicBool,
}

#[derive(Debug, Default)]
struct State {
    tree: Tree,
    recent: Recent,
}

impl Follower {
    /// Starts to follow.
    ///
    /// # Errors
    /// Where no thread can be had.
    pub fn start(source: Source) -> Result<Self, Error> {
        let shared = Arc::new(Shared::default());
        let engine = source.engine();
        let for_thread = Arc::clone(&shared);
        let thread = thread::Builder::new()
            .name("memtide-events".to_owned())
            .spawn(move || for_thread.run(source))
            .map_err(|error| Error::system("a thread for the events of processes", error))?;
        Ok(Self {
            engine,
            shared,
            thread: Some(thread),
        })
    }

    /// Which engine it is.
    pub const fn engine(&self) -> Engine {
        self.engine
    }

    /// Looks at the tree as it was at most a tenth of a second ago. Nothing is followed meanwhile, so this should
    /// be short.
    pub fn look<T>(&self, at: impl FnOnce(&Tree) -> T) -> T {
        at(&self.shared.lock().tree)
    }

    /// The events since this was last asked.
    pub fn recent(&self) -> Recent {
        std::mem::take(&mut self.shared.lock().recent)
    }

    /// Ends, and gives the tree with all that happened until now, and the last events.
    pub fn finish(mut self) -> (Tree, Recent) {
        self.end();
        let mut state = self.shared.lock();
        let recent = std::mem::take(&mut state.recent);
        (std::mem::take(&mut state.tree), recent)
    }

    fn end(&mut self) {
        self.shared.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            // A panic there has been printed, and the tree is as it was before it.
            let _ = thread.join();
        }
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.end();
    }
}

impl Shared {
    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self, mut source: Source) {
        let mut events = Vec::new();
        while !self.stop.load(Ordering::Acquire) {
            source.wait(EVERY);
            let losses = source.drain(&mut events);
            self.lock().take(&mut events, losses);
        }
        let losses = source.finish(&mut events);
        self.lock().take(&mut events, losses);
    }
}

impl State {
    fn take(&mut self, events: &mut Vec<TreeEvent>, losses: crate::event::Losses) {
        for event in events.iter() {
            self.tree.apply(event);
        }
        self.tree.note_losses(losses);
        let room = KEPT.saturating_sub(self.recent.events.len());
        let kept = events.len().min(room);
        self.recent.events.extend(events.drain(..kept));
        self.recent.skipped += events.len() as u64;
        events.clear();
    }
}
