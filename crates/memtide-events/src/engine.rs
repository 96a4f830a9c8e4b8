//! The engines that see what happens to processes, which of them can be had here, and which is best.

use crate::connector::Connector;
use crate::error::Error;
use crate::ptrace;
use crate::sideband::{self, Reach};
use memtide_model::Pid;
use rustix::io::Errno;
use std::fmt;
use std::io;
use std::str::FromStr;

/// Who is followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// A child of ours that is held back before its exec, and all that will come from it.
    Tree(Pid),
    /// A process that runs already, and all that descend from it now and later.
    Existing(Pid),
    /// All processes of our pid namespace.
    Machine,
}

/// How it is followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Engine {
    /// Records of the perf side-band: nothing is lost without being counted, at a few per cent.
    SideBand,
    /// The netlink proc connector: as good; in the first pid namespace only, and on older kernels as root only.
    Connector,
    /// ptrace: as good, and up to twice the time per fork; no debugger beside it. A traced program gets no privileges from
    /// setuid files (execve(2)): sudo and ping fail under it, so it is never chosen unasked.
    Ptrace,
    /// Looking into /proc now and then: most short-lived processes are missed.
    Poll,
}

impl Engine {
    /// All, the best first.
    pub const ALL: [Self; 4] = [Self::SideBand, Self::Connector, Self::Ptrace, Self::Poll];

    /// Its name on the command line and in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::SideBand => "side-band",
            Self::Connector => "connector",
            Self::Ptrace => "ptrace",
            Self::Poll => "poll",
        }
    }
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Engine {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let known = Self::ALL.into_iter().find(|engine| engine.name() == name);
        known.ok_or_else(|| format!("no engine {name:?}: side-band, connector, ptrace or poll"))
    }
}

/// For each engine whether it can be had, and if not, why and what would allow it. Nothing is kept open, nobody
/// is stopped. To ask without a process at hand, `Scope::Tree` of our own does.
pub fn available(scope: Scope) -> Vec<(Engine, Result<(), Error>)> {
    Engine::ALL
        .into_iter()
        .map(|engine| (engine, check(engine, scope)))
        .collect()
}

/// True of an engine that may be taken unasked. A program under ptrace gets no privileges from setuid files
/// (execve(2)), so sudo would fail in it; nobody misses them where root runs it, who has them, or `no_new_privs`
/// denies them anyhow (prctl(2)).
pub(crate) fn takes_nothing(engine: Engine) -> bool {
    engine != Engine::Ptrace
        || rustix::process::geteuid().is_root()
        || rustix::thread::no_new_privs().unwrap_or(false)
}

fn check(engine: Engine, scope: Scope) -> Result<(), Error> {
    match (engine, scope) {
        (Engine::SideBand, _) => {
            let reach = reach(scope);
            sideband::probe(reach).map_err(|error| why_no_perf(&error, reach))
        }
        (Engine::Connector, _) => Connector::open().map(drop),
        (Engine::Ptrace, Scope::Tree(root)) => check_ptrace(root),
        (Engine::Ptrace, _) => Err(ptrace_is_for_trees()),
        (Engine::Poll, _) => Ok(()),
    }
}

/// Whose side-band records are needed.
pub(crate) fn reach(scope: Scope) -> Reach {
    match scope {
        Scope::Tree(root) => sideband::reach_for_tree(root),
        Scope::Existing(_) | Scope::Machine => Reach::Machine,
    }
}

/// Why there is no side-band, and what would allow it.
pub(crate) fn why_no_perf(error: &io::Error, reach: Reach) -> Error {
    let errno = Errno::from_io_error(error);
    match (errno, reach) {
        (Some(Errno::SRCH), Reach::Tree(pid)) => Error::gone(format!("there is no process {pid}")),
        (Some(Errno::ACCESS | Errno::PERM), _) => {
            let level = std::fs::read_to_string("/proc/sys/kernel/perf_event_paranoid");
            let level = level.map_or_else(|_| "unknown".to_owned(), |text| text.trim().to_owned());
            let (who, needed) = match reach {
                Reach::Tree(_) => ("a program that memtide starts", "2"),
                Reach::Machine => ("processes that run already", "0"),
            };
            Error::refused(format!(
                "the perf side-band of {who} needs CAP_PERFMON or kernel.perf_event_paranoid at most {needed} \
                 (it is {level}): run memtide as root, or `sudo sysctl kernel.perf_event_paranoid={needed}`; \
                 in a container the seccomp profile may forbid perf_event_open"
            ))
        }
        (Some(Errno::NOSYS | Errno::NOENT | Errno::OPNOTSUPP), _) => {
            Error::refused("this kernel has no perf events (CONFIG_PERF_EVENTS)".to_owned())
        }
        _ => Error::refused(format!("the kernel refuses the perf side-band: {error}")),
    }
}

/// Why nobody who runs already is traced.
pub(crate) fn ptrace_is_for_trees() -> Error {
    Error::refused(
        "a process that runs already would have to be stopped to be traced: ptrace is for programs that memtide \
         starts"
            .to_owned(),
    )
}

/// Whether `root` can be traced, as far as can be told without doing it.
pub(crate) fn check_ptrace(root: Pid) -> Result<(), Error> {
    if let Some(tracer) = ptrace::tracer_of(root) {
        return Err(Error::refused(format!(
            "process {root} is being debugged by process {tracer}, and a process can have one tracer: end the \
             debugger, or choose another engine"
        )));
    }
    let scope = std::fs::read_to_string("/proc/sys/kernel/yama/ptrace_scope");
    let scope = scope.ok().and_then(|text| text.trim().parse::<u8>().ok());
    match scope {
        Some(3) => Err(Error::refused(
            "kernel.yama.ptrace_scope is 3: nobody can trace until the machine is started again".to_owned(),
        )),
        Some(2) if !rustix::process::geteuid().is_root() => Err(Error::refused(
            "kernel.yama.ptrace_scope is 2: run memtide as root, or `sudo sysctl kernel.yama.ptrace_scope=1`"
                .to_owned(),
        )),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn engines_are_read_by_their_names() {
        for engine in Engine::ALL {
            assert_eq!(engine.to_string().parse(), Ok(engine));
        }
        let error = Engine::from_str("perf").unwrap_err();
        assert!(error.contains("side-band"), "{error}");
    }

    #[test]
    fn a_refusal_names_what_allows_it() {
        let error = io::Error::from(Errno::ACCESS);
        let text = why_no_perf(&error, Reach::Machine).to_string();
        assert!(
            text.contains("sudo sysctl kernel.perf_event_paranoid=0"),
            "{text}"
        );
        let text = why_no_perf(&error, Reach::Tree(Pid(1))).to_string();
        assert!(
            text.contains("CAP_PERFMON") && text.contains("=2`"),
            "{text}"
        );
    }

    #[test]
    fn polling_is_always_left_and_ptrace_is_for_what_we_start() {
        let all = available(Scope::Machine);
        assert_eq!(all.len(), 4);
        assert_eq!(all[3], (Engine::Poll, Ok(())));
        assert!(all[2].1.is_err(), "ptrace of the whole machine");
    }
}
