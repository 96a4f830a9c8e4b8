//! All processes of a machine at one moment, what they hold, and what nobody holds any more.
//!
//! The idea: one pass over /proc that keeps whole processes only, then the tables of the kernel that
//! name what was found: sockets by their network namespace, queues, segments, files of tmpfs. What a
//! process holds and what the kernel keeps meet by identity (device and inode, number of a segment),
//! never by name alone.
//!
//! ```
//! use memtide_census::{Wanted, take};
//! use memtide_proc::ProcRoot;
//!
//! let wanted = Wanted { threads: true, ..Wanted::default() };
//! let census = take(&ProcRoot::system()?, &wanted)?;
//! let own = census.processes.iter().find(|one| one.id.pid.0 == std::process::id());
//! assert!(own.is_some_and(|own| own.state == 'R' && !own.each_thread.is_empty()));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! What this crate refuses to do: judge (that is the analyzer's business), signal or stop anybody, wait
//! for a file server, mount anything, read what is in a file, a message or a segment.
#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::indexing_slicing))]

mod error;
mod holders;
mod machine;
mod objects;
mod process;
mod pulse;
mod sockets;
mod survey;
mod target;
mod unseen;

pub use error::Error;
pub use holders::{What, holders_of};
pub use pulse::{Beat, Pulse, PulseSeries};

use memtide_model::{Census, Pid};
use memtide_proc::{Buffer, ProcRoot, clock};

/// Which processes are read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Scope {
    /// All that /proc shows.
    #[default]
    All,
    /// Those of one real user.
    User(u32),
    /// These; one that is not there counts as vanished.
    Pids(Vec<Pid>),
}

/// What is read of them. The default is the cheapest: every process, nothing beside.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a part that one may want or not, as flags of a command line are"
)]
pub struct Wanted {
    /// Which processes.
    pub scope: Scope,
    /// Each thread with state, kernel function and system call: about 30 µs a thread.
    pub threads: bool,
    /// Proportional set sizes. The kernel walks all page tables of a process for it and may hold its
    /// memory lock for 20 ms; not for a loop.
    pub pss: bool,
    /// What descriptors lead to: about 3 µs a descriptor.
    pub holdings: bool,
    /// With `holdings`: mapped files, program, working directory and root as well.
    pub mappings: bool,
    /// Message queues, shared memory, files of tmpfs and deleted files, with their holders. Descriptors
    /// and mappings are read for it, whatever else is wanted.
    pub objects: bool,
    /// The machine's memory.
    pub machine: bool,
}

impl Wanted {
    fn descriptors(&self) -> bool {
        self.holdings || self.objects
    }
}

/// Reads all that is wanted once.
///
/// A process that ends while it is read is counted in [`Census::vanished`] and left out.
///
/// # Errors
/// Where the list of processes cannot be read. All else that cannot be read is `None`, counted, or a
/// sentence in [`Census::unseen`].
pub fn take(root: &ProcRoot, wanted: &Wanted) -> Result<Census, Error> {
    let mut census = Census {
        at: clock::boottime(),
        wall_ns: clock::realtime(),
        boot_id: boot_id(root),
        ..Census::default()
    };
    let mut reader = process::Reader::new(root, census.at);
    let mut survey = survey::Survey::new(root, wanted);
    let mut limits = unseen::Limits::default();
    for pid in reader.pids(&wanted.scope)? {
        match reader.read(pid, wanted) {
            process::Outcome::Read(state, directory) => {
                if wanted.descriptors() && survey.visit(&state, &directory).is_gone() {
                    census.vanished += 1;
                    continue;
                }
                limits.pss_denied +=
                    u64::from(wanted.pss && state.pss.is_none() && has_memory(&state));
                census.processes.push(*state);
            }
            process::Outcome::Vanished => census.vanished += 1,
            process::Outcome::Hidden => {
                census.vanished += 1;
                limits.hidden += 1;
            }
            process::Outcome::OutOfScope => {}
        }
    }
    survey.resolve();
    census.descriptors_denied = survey.denied;
    if wanted.objects {
        census.objects = Some(objects::read(root, &survey, &mut limits));
    }
    if wanted.machine {
        census.machine = Some(machine::read(root));
    }
    if wanted.holdings {
        census.holdings = Some(survey.into_holdings());
    }
    census.unseen = limits.sentences(root, &census);
    Ok(census)
}

fn has_memory(state: &memtide_model::ProcessState) -> bool {
    !state.kernel && !matches!(state.state, 'Z' | 'X')
}

fn boot_id(root: &ProcRoot) -> String {
    let mut buffer = Buffer::new();
    let read = root.read("sys/kernel/random/boot_id", &mut buffer);
    let bytes = read.unwrap_or_default();
    memtide_model::text::printable(bytes.strip_suffix(b"\n").unwrap_or(bytes))
}
