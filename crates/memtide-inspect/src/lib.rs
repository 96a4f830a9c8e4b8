//! The malloc heap of a running, unmodified process, read from outside.
//!
//! ```text
//! maps, pagemap ─► regions ─► ptmalloc: discover ─► walk ─► books ─► HeapSnapshot
//!   process_vm_readv ▲                                └─► classes (vtables, RTTI)
//! ```
//!
//! **What it does.** It finds glibc's arenas by what they look like, never by a version string, walks
//! the headers of all chunks in one window that is used again, and counts what is in use, cached,
//! free and kept. Only pages that are present are read; pages that are swapped out or were never
//! touched stay as they are.
//!
//! **What it refuses to do.** It never writes to the target, never stores what a block holds, never
//! stops anybody unless [`Options::hold`] asks for it, and never guesses: what the checks do not bear
//! out makes a snapshot inconclusive, and another allocator an error that says so.
#![deny(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::indexing_slicing))]

#[cfg(not(target_pointer_width = "64"))]
compile_error!("heaps are those of 64-bit programs: they are read on 64-bit machines only");

mod classes;
pub mod error;
mod memory;
mod permission;
mod pthreads;
mod ptmalloc;
pub mod stop;
mod strangers;
mod target;
mod visit;

pub use error::{Error, ErrorKind};

use classes::Classes;
use memory::{Live, Memory as _, PAGE};
use memtide_model::{Bytes, HeapSnapshot, Pid};
use memtide_proc::clock;
use ptmalloc::metadata::Metadata;
use ptmalloc::survey::survey;
use ptmalloc::{Knowledge, layout};
use std::time::Duration;
use target::{Image, Target};

/// How to look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Hold the target while metadata is read, at most so long. System calls of the target may return
    /// `EINTR` after that. `None`: it runs on.
    pub hold: Option<Duration>,
    /// Count C++ classes, too.
    pub classes: bool,
}

/// Looks into one process again and again; what was found out about its C library is kept.
#[derive(Debug)]
pub struct Inspector {
    target: Target,
    known: Option<Known>,
}

/// What was found out, and of which program: after an exec it is nothing.
#[derive(Debug)]
struct Known {
    image: Image,
    malloc: Knowledge,
    classes: Classes,
}

/// So often the mappings are read again, when the heap grows out of them meanwhile.
const ATTEMPTS: u32 = 3;

impl Inspector {
    /// Of a running process.
    ///
    /// Errors: `Gone`; `Denied` with what is missing and the command that gives it; `Unsupported` for a
    /// process of another word size.
    pub fn open(pid: Pid) -> Result<Self, Error> {
        if clock::page_size() != Bytes(PAGE) {
            let text = format!(
                "this machine has pages of {} bytes; heaps can be read where they have {PAGE}",
                clock::page_size().0
            );
            return Err(Error::new(ErrorKind::Unsupported, text));
        }
        let target = Target::open(pid)?;
        target.image()?;
        let memory = Live::open(&target)?;
        let first = memory.mappings().first().map_or(0, |first| first.start);
        memory.word(first)?;
        Ok(Self {
            target,
            known: None,
        })
    }

    /// One look at the heap.
    ///
    /// Errors: as of [`Inspector::open`] (a target may exec or die at any time); `NoHeap` where no
    /// glibc malloc is found, or it was never used and another allocator's library is mapped. A heap in
    /// which nothing was ever allocated is otherwise a snapshot of zeros.
    pub fn snapshot(&mut self, options: &Options) -> Result<HeapSnapshot, Error> {
        let (began, cpu) = (clock::monotonic(), clock::thread_cpu());
        let image = self.target.image()?;
        let mut snapshot = HeapSnapshot {
            at: clock::boottime(),
            rss: self.target.rss()?,
            ..HeapSnapshot::default()
        };
        let outcome = self.look(image, options, &mut snapshot);
        // Whatever went wrong in a process that is another one by now went wrong because of that.
        if self.target.image()? != image {
            self.known = None;
            return Err(target::replaced(self.target.pid()));
        }
        outcome?;
        snapshot.rss = Bytes(u64::midpoint(snapshot.rss.0, self.target.rss()?.0));
        snapshot.took = clock::monotonic() - began;
        snapshot.cpu = clock::thread_cpu() - cpu;
        Ok(snapshot)
    }

    fn look(
        &mut self,
        image: Image,
        options: &Options,
        snapshot: &mut HeapSnapshot,
    ) -> Result<(), Error> {
        let Self { target, known } = self;
        let memory = Live::open(target)?;
        snapshot.ended_threads = pthreads::ended(&memory)?;
        let stranger = strangers::allocator(memory.mappings());
        let known = know(known, image, &memory)?;
        let known = known.ok_or_else(|| no_heap(target.pid(), stranger))?;
        if !known.malloc.found.is_used {
            if stranger.is_some() {
                return Err(no_heap(target.pid(), stranger));
            }
            let (name, is_tested) = layout::unused_name(known.malloc.found.layout);
            name.clone_into(&mut snapshot.layout);
            snapshot.is_untested = !is_tested;
            return Ok(());
        }
        let (memory, metadata) = read_metadata(target, known, options, snapshot)?;
        let survey = survey(&memory, &mut known.malloc, metadata, options.classes)?;
        if let Some(census) = survey.write(&known.malloc, snapshot) {
            snapshot.classes = known.classes.name(&census, &memory)?;
        }
        Ok(())
    }
}

/// What is known of the program, looked up where that is nothing or no longer true.
fn know<'k>(
    known: &'k mut Option<Known>,
    image: Image,
    memory: &Live<'_>,
) -> Result<Option<&'k mut Known>, Error> {
    let holds = match known {
        Some(known) => known.image == image && known.malloc.holds(memory)?,
        None => false,
    };
    if !holds {
        *known = Knowledge::gather(memory)?.map(|malloc| Known {
            image,
            malloc,
            classes: Classes::default(),
        });
    }
    Ok(known.as_mut())
}

/// Reads the metadata, with the process held if that is asked for.
fn read_metadata<'t>(
    target: &'t Target,
    known: &mut Known,
    options: &Options,
    snapshot: &mut HeapSnapshot,
) -> Result<(Live<'t>, Metadata), Error> {
    if let Some(limit) = options.hold {
        let held = stop::hold(target.pid(), limit)?;
        let found = fitting_metadata(target, known)?;
        let release = held.release();
        snapshot.held = Some(release.held);
        if release.in_time {
            return Ok(found);
        }
        // It went on in the middle: what was read is older than what the walk will see.
    }
    fitting_metadata(target, known)
}

/// Reads mappings and metadata until they are of one moment.
fn fitting_metadata<'t>(
    target: &'t Target,
    known: &mut Known,
) -> Result<(Live<'t>, Metadata), Error> {
    let mut attempt = 0;
    loop {
        attempt += 1;
        let memory = Live::open(target)?;
        let metadata = known.malloc.metadata(&memory)?;
        let metadata = metadata.ok_or_else(|| target::replaced(target.pid()))?;
        if attempt >= ATTEMPTS || !metadata.is_outgrown(&memory) {
            return Ok((memory, metadata));
        }
    }
}

fn no_heap(pid: Pid, stranger: Option<&str>) -> Error {
    let keeper = stranger.unwrap_or("another allocator, or a runtime of its own,");
    let text = format!("process {pid} has no heap of glibc's malloc: {keeper} keeps its memory");
    Error::new(ErrorKind::NoHeap, text)
}
