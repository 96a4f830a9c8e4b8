//! What each lens can do on this machine and for one process, and what would allow the rest.
//!
//! Every statement is found by trying the read itself where that does no harm; what would need more
//! than a read (tracing, performance events) is judged by the kernel's settings and says so. It
//! only looks: no setting is changed and the target is not touched.

use crate::error::Error;
use crate::host::{Access, Machine};
use memtide_model::Pid;
use memtide_model::text::printable;
use std::io;
use std::path::{Path, PathBuf};

/// How far something works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// As it should.
    Works,
    /// With less detail or more cost.
    Degraded,
    /// Not allowed, or not there.
    Denied,
    /// Not part of this version of memtide.
    Later,
}

impl State {
    /// As it is printed.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Works => "works",
            Self::Degraded => "degraded",
            Self::Denied => "denied",
            Self::Later => "later",
        }
    }
}

/// One thing that a lens does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// "sampler", "inspect", "shim", "events".
    pub lens: &'static str,
    /// What it is for, with the file it comes from.
    pub what: String,
    /// How far it works.
    pub state: State,
    /// Why not, or with what loss; empty when it works.
    pub why: String,
    /// The line that allows it; empty where nothing would or nothing is needed.
    pub remedy: String,
}

impl Check {
    fn works(lens: &'static str, what: &str) -> Self {
        Self {
            lens,
            what: what.to_owned(),
            state: State::Works,
            why: String::new(),
            remedy: String::new(),
        }
    }

    fn but(self, state: State, why: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            state,
            why: why.into(),
            remedy: remedy.into(),
            ..self
        }
    }
}

/// Examines the machine, and one process where `pid` is given. `root` is where /proc is.
pub fn examine(root: &Path, pid: Option<Pid>) -> Result<Vec<Check>, Error> {
    let machine = Machine::read(root)?;
    let mut checks = machine_checks(&machine);
    if let Some(pid) = pid {
        let patient = Patient::find(&machine, pid)?;
        checks.extend(patient.sampler());
        checks.extend([patient.inspect(), patient.shim()]);
    }
    Ok(checks)
}

fn machine_checks(machine: &Machine) -> Vec<Check> {
    vec![
        own_access(machine),
        hidepid(machine),
        cgroup(machine),
        pressure(machine),
        events(machine),
    ]
}

fn own_access(machine: &Machine) -> Check {
    let check = Check::works("sampler", "processes of other users");
    if machine.access.may_trace_anyone() {
        return check;
    }
    let remedy = if machine.container {
        "docker run --cap-add SYS_PTRACE --pid=container:NAME …, or kubectl debug POD \
         --target=CONTAINER --profile=sysadmin (needs securityContext.capabilities.add: \
         [\"SYS_PTRACE\"] and shareProcessNamespace: true)"
    } else {
        "sudo memtide …, or once: sudo setcap cap_sys_ptrace+ep $(command -v memtide)"
    };
    check.but(
        State::Denied,
        "needs CAP_SYS_PTRACE; your own processes are visible",
        remedy,
    )
}

fn hidepid(machine: &Machine) -> Check {
    let check = Check::works("sampler", "all pids of this machine (/proc mount)");
    match machine.hidepid.as_deref() {
        None | Some("0" | "off") => check,
        Some(value) if machine.access.may_trace_anyone() => check.but(
            State::Works,
            format!("hidepid={value}, which does not bind root"),
            "",
        ),
        Some(value) => check.but(
            State::Degraded,
            format!("/proc is mounted with hidepid={value}: other users' processes are hidden"),
            "sudo memtide …, or sudo mount -o remount,hidepid=0 /proc",
        ),
    }
}

fn cgroup(machine: &Machine) -> Check {
    let check = Check::works("sampler", "memory limit and use of control groups");
    match machine.cgroup_versions.as_slice() {
        [] => check.but(
            State::Denied,
            "no control group with a memory controller is mounted here",
            "mount it: sudo mount -t cgroup2 none /sys/fs/cgroup",
        ),
        versions => Check {
            what: format!("{} ({})", check.what, versions.join(" and ")),
            ..check
        },
    }
}

fn pressure(machine: &Machine) -> Check {
    let check = Check::works("sampler", "memory pressure (/proc/pressure/memory)");
    match std::fs::read(machine.root.join("pressure/memory")) {
        Ok(_) => check,
        Err(error) if error.kind() == io::ErrorKind::NotFound => check.but(
            State::Degraded,
            format!(
                "this kernel ({}) has none: it came with 4.20",
                machine.kernel
            ),
            "",
        ),
        Err(_) => check.but(
            State::Degraded,
            "it is switched off",
            "boot with psi=1 on the kernel command line",
        ),
    }
}

fn events(machine: &Machine) -> Check {
    let paranoid = machine.setting("sys/kernel/perf_event_paranoid");
    let why = match paranoid {
        Some(level) if level >= 3 => {
            format!("process events by perf; perf_event_paranoid={level} would forbid them")
        }
        _ => "process events by perf; the kernel's settings allow them".to_owned(),
    };
    let remedy = match paranoid {
        Some(level) if level >= 3 => "sudo sysctl kernel.perf_event_paranoid=2",
        _ => "",
    };
    Check::works("events", "every fork, exec and exit").but(State::Later, why, remedy)
}

/// The process that is examined.
struct Patient<'a> {
    machine: &'a Machine,
    pid: Pid,
    dir: PathBuf,
    access: Access,
}

impl<'a> Patient<'a> {
    fn find(machine: &'a Machine, pid: Pid) -> Result<Self, Error> {
        let dir = machine.root.join(pid.to_string());
        let access = machine.access_to(pid)?;
        Ok(Self {
            machine,
            pid,
            dir,
            access,
        })
    }

    fn sampler(&self) -> Vec<Check> {
        let mut checks = vec![
            self.reads("sampler", "memory counters (status, statm, stat)", "status"),
            self.smaps(),
            self.reads(
                "sampler",
                "threads and their page faults (task/*/stat)",
                "task",
            ),
            self.reads("sampler", "descriptors by kind (fd/*)", "fd"),
            self.children(),
            self.wchan(),
            self.rss_split(),
        ];
        checks.retain(|check| !check.what.is_empty());
        checks
    }

    /// Tries a file or directory; a refusal gets the remedy that fits this process.
    fn reads(&self, lens: &'static str, what: &str, name: &str) -> Check {
        let path = self.dir.join(name);
        let tried = if path.is_dir() {
            std::fs::read_dir(&path).map(drop)
        } else {
            std::fs::read(&path).map(drop)
        };
        let check = Check::works(lens, what);
        match tried {
            Ok(()) => check,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                check.but(State::Denied, format!("this kernel has no {name}"), "")
            }
            Err(_) => check.but(
                State::Denied,
                self.access.why(self.pid),
                self.access.remedy(),
            ),
        }
    }

    fn smaps(&self) -> Check {
        let full = self.reads("sampler", "mappings by class (smaps)", "smaps");
        if full.state == State::Works && !self.dir.join("smaps_rollup").exists() {
            return full.but(
                State::Works,
                format!(
                    "no smaps_rollup on this kernel ({}; it came with 4.14): processes with very \
                     many mappings are read more rarely",
                    self.machine.kernel
                ),
                "",
            );
        }
        full
    }

    fn children(&self) -> Check {
        let path = self.dir.join(format!("task/{}/children", self.pid));
        let check = Check::works("sampler", "children by state (task/*/children)");
        if path.exists() {
            return check;
        }
        check.but(
            State::Degraded,
            "this kernel has no task/*/children; all of /proc is searched instead, more rarely",
            "",
        )
    }

    fn wchan(&self) -> Check {
        let path = self.dir.join(format!("task/{}/wchan", self.pid));
        let check = Check::works("sampler", "where threads sleep (task/*/wchan)");
        match std::fs::read(path) {
            Ok(text) if text != b"0" => check,
            Ok(_) if self.access.is_full() => check,
            Ok(_) => check.but(
                State::Denied,
                self.access.why(self.pid),
                self.access.remedy(),
            ),
            Err(_) => check.but(State::Denied, "this kernel does not tell", ""),
        }
    }

    fn rss_split(&self) -> Check {
        let status = std::fs::read(self.dir.join("status")).unwrap_or_default();
        let has_split = memchr::memmem::find(&status, b"RssAnon:").is_some();
        let check = Check::works("sampler", "RSS by anonymous, file and shared (status)");
        if has_split {
            return check;
        }
        check.but(
            State::Degraded,
            format!(
                "this kernel ({}) has no RssAnon: it came with 4.5",
                self.machine.kernel
            ),
            "",
        )
    }

    /// The heap: reading memory asks for what a debugger needs.
    fn inspect(&self) -> Check {
        let check = Check::works("inspect", "live and free blocks of the heap (glibc malloc)");
        let yama = self
            .machine
            .setting("sys/kernel/yama/ptrace_scope")
            .unwrap_or(0);
        if !self.access.is_full() {
            return check.but(
                State::Denied,
                self.access.why(self.pid),
                self.access.remedy(),
            );
        }
        if yama > 0 && !self.machine.access.may_trace_anyone() {
            return check.but(
                State::Denied,
                format!("reading its memory is denied: yama's ptrace_scope is {yama}"),
                "sudo sysctl kernel.yama.ptrace_scope=0, or run memtide with sudo",
            );
        }
        check.but(
            State::Works,
            "the kernel's settings allow reading its memory",
            "",
        )
    }

    /// The preload shim is there or not; a running process cannot be given one.
    fn shim(&self) -> Check {
        let check = Check::works("shim", "which code allocates");
        let maps = std::fs::read(self.dir.join("maps")).unwrap_or_default();
        if memchr::memmem::find(&maps, b"memtide-shim").is_some()
            || memchr::memmem::find(&maps, b"libmemtide_shim").is_some()
        {
            return check.but(State::Works, "it was started under memtide", "");
        }
        check.but(
            State::Denied,
            "it is preloaded when a program starts, and this one was started without",
            "memtide run --heap sampled -- COMMAND",
        )
    }
}

/// How a process is called in a message: its number and its name.
pub fn describe(root: &Path, pid: Pid) -> String {
    let name = std::fs::read(root.join(pid.to_string()).join("comm")).unwrap_or_default();
    let name = printable(name.strip_suffix(b"\n").unwrap_or(&name));
    if name.is_empty() {
        format!("pid {pid}")
    } else {
        format!("pid {pid} ({name})")
    }
}
