//! ptrace: every fork, exec and exit stops the task until it was looked at. Nothing is lost, and it costs.
//!
//! A thread of our own seizes the process and waits for its stops, because a stopped program must not wait for
//! a sampler. Signals go through unchanged, group stops stay stops. A task is let go where it is about to end, with
//! its status known: so its parent reaps it as ever, and we reap nobody (but those that died in a stop, which the
//! kernel shows to nobody else).
//!
//! A program can have one tracer. So this excludes debuggers, and is refused where there is one; the program can see
//! that it is traced. If memtide ends, the kernel lets all tasks go.

mod calls;

use crate::error::Error;
use crate::event::{Change, Comm, TreeEvent};
use crate::order::Record;
use crate::snapshot::Look;
use calls::{Wait, Waiting, What};
use memtide_model::Pid;
use memtide_proc::clock;
use memtide_proc::parse::status;
use memtide_proc::{Buffer, ProcRoot};
use nix::libc;
use rustix::event::{EventfdFlags, eventfd};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

/// How often tasks are looked for after the first process died in a stop, and only its parent may reap it.
const SWEEP_EVERY: Duration = Duration::from_millis(1);

/// A tree that is traced.
#[derive(Debug)]
pub(crate) struct Ptrace {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    records: Mutex<Vec<Record>>,
    ready: OwnedFd,
}

impl Shared {
    fn push(&self, record: Record) {
        let mut records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        records.push(record);
        if records.len() == 1 {
            // The counter of an eventfd overflows after 2^64 of these.
            let _ = rustix::io::write(&self.ready, &1_u64.to_ne_bytes());
        }
    }
}

/// Who traces `pid`; `None` for nobody.
pub(crate) fn tracer_of(pid: Pid) -> Option<Pid> {
    let proc = ProcRoot::system().ok()?;
    let mut page = Buffer::new();
    let process = proc.process(pid).ok()?;
    let status = status::parse(process.read("status", &mut page).ok()?).ok()?;
    status.tracer.filter(|tracer| tracer.0 != 0)
}

impl Ptrace {
    /// Traces `root`, which has one thread and has not run anything yet.
    pub(crate) fn open(root: Pid) -> Result<Self, Error> {
        let task = i32::try_from(root.0)
            .map_err(|_| Error::gone(format!("there is no process {root}")))?;
        let ready = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)
            .map_err(|errno| Error::system("an event descriptor for ptrace", errno))?;
        let shared = Arc::new(Shared {
            records: Mutex::new(Vec::new()),
            ready,
        });
        let (tell, told) = mpsc::channel();
        let for_thread = Arc::clone(&shared);
        thread::Builder::new()
            .name("memtide-ptrace".to_owned())
            .spawn(move || {
                let seized = calls::seize(task);
                let is_ours = seized.is_ok();
                // Nobody listens any more only where this function has returned.
                let _ = tell.send(seized);
                if is_ours {
                    Tracer::new(task, for_thread).run();
                }
            })
            .map_err(|error| Error::system("a thread for ptrace", error))?;
        let seized = told
            .recv()
            .map_err(|error| Error::system("the thread for ptrace", error))?;
        seized.map_err(|error| {
            Error::refused(format!(
                "process {root} cannot be traced ({error}): it has a tracer already, or a sandbox or \
                 kernel.yama.ptrace_scope forbids it"
            ))
        })?;
        Ok(Self { shared })
    }

    /// Hands over all that has come.
    pub(crate) fn read(&self, each: impl FnMut(Record)) {
        let _ = rustix::io::read(&self.shared.ready, &mut [0; 8]);
        let mut records = self
            .shared
            .records
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *records).into_iter().for_each(each);
    }

    /// Readable when something has come.
    pub(crate) fn ready(&self) -> BorrowedFd<'_> {
        self.shared.ready.as_fd()
    }
}

/// What the thread knows of the tasks that it traces.
struct Tracer {
    root: i32,
    shared: Arc<Shared>,
    /// The process of each task.
    processes: HashMap<i32, Pid>,
    /// New tasks that stopped before their maker's stop was seen: they wait, so that a child does nothing
    /// before its fork.
    early: HashSet<i32>,
    look: Option<Look>,
}

impl Tracer {
    fn new(root: i32, shared: Arc<Shared>) -> Self {
        Self {
            root,
            shared,
            processes: HashMap::from([(root, Pid(root.unsigned_abs()))]),
            early: HashSet::new(),
            look: Look::new().ok(),
        }
    }

    /// Until nobody is traced any more.
    fn run(&mut self) {
        while let Ok(next) = calls::wait(Wait::Any) {
            match next {
                Some(Waiting {
                    task,
                    what: What::Stopped(status),
                }) => self.stopped(task, status),
                Some(Waiting { task, .. }) if task == self.root => {
                    self.died(task);
                    return self.sweep();
                }
                Some(Waiting { task, .. }) => {
                    // Told before it is reaped: with its last thread reaped, the process is seen to have ended.
                    self.died(task);
                    let _ = calls::wait(Wait::Reap(task));
                }
                None => {}
            }
        }
    }

    /// Goes on without the first process, which its parent has to reap and which every wait would show first.
    fn sweep(&mut self) {
        while !self.processes.is_empty() {
            while let Ok(Some(waiting)) = calls::wait(Wait::AnyStopped) {
                if let What::Stopped(status) = waiting.what {
                    self.stopped(waiting.task, status);
                }
            }
            let tasks: Vec<i32> = self.processes.keys().copied().collect();
            for task in tasks {
                match calls::wait(Wait::Reap(task)) {
                    Ok(None) => {}
                    Ok(Some(_)) | Err(_) => self.died(task),
                }
            }
            thread::sleep(SWEEP_EVERY);
        }
    }

    /// Handles one stop. Tasks that were killed meanwhile refuse every call, and end.
    fn stopped(&mut self, task: i32, status: i32) {
        let signal = status & 0xff;
        match status >> 8 {
            libc::PTRACE_EVENT_FORK | libc::PTRACE_EVENT_VFORK => self.forked(task, false),
            libc::PTRACE_EVENT_CLONE => self.forked(task, true),
            libc::PTRACE_EVENT_EXEC => {
                // A thread that took over its process's number answers to nothing before this.
                let _ = calls::wait(Wait::Consume(task));
                self.replaced(task);
            }
            libc::PTRACE_EVENT_EXIT => return self.ending(task),
            libc::PTRACE_EVENT_STOP => {
                if !self.processes.contains_key(&task) {
                    self.early.insert(task);
                    let _ = calls::wait(Wait::Consume(task));
                    return;
                }
                if signal != libc::SIGTRAP {
                    let _ = calls::wait(Wait::Consume(task));
                    let _ = calls::listen(task);
                    return;
                }
            }
            _ => {
                let _ = calls::go_on(task, signal);
                return;
            }
        }
        let _ = calls::go_on(task, 0);
    }

    /// `task` has made another, which waits in its first stop or soon will.
    fn forked(&mut self, task: i32, may_be_thread: bool) {
        let Some(child) = calls::message(task)
            .ok()
            .and_then(|m| i32::try_from(m).ok())
        else {
            return;
        };
        let maker = self.process_of(task);
        let thread = may_be_thread && is_thread_of(child, maker);
        let process = if thread {
            maker
        } else {
            Pid(child.unsigned_abs())
        };
        self.processes.insert(child, process);
        self.tell(maker, Change::Fork { child: process }, thread);
        if self.early.remove(&child) {
            let _ = calls::go_on(child, 0);
        }
    }

    /// `task` runs another program. It has the number of its process now, whatever it had before.
    fn replaced(&mut self, task: i32) {
        if let Some(before) = calls::message(task)
            .ok()
            .and_then(|m| i32::try_from(m).ok())
            && before != task
        {
            self.processes.remove(&before);
        }
        let process = Pid(task.unsigned_abs());
        self.processes.insert(task, process);
        let comm = self.name_of(process);
        self.tell(process, Change::Exec { comm }, false);
    }

    /// The name of a process that stands still.
    fn name_of(&mut self, process: Pid) -> Option<Comm> {
        let seen = self.look.as_mut()?.at(process)?;
        Some(seen.comm)
    }

    /// `task` is about to end, and its status is known.
    fn ending(&mut self, task: i32) {
        let status = calls::message(task).ok();
        let status = status.map(|status| (status & 0xffff) as i32);
        let process = self.process_of(task);
        let thread = process.0 != task.unsigned_abs();
        // A name that was taken without exec stops nobody, so it is seen at the end only.
        if let Some(comm) = self.name_of(process).filter(|_| !thread) {
            self.tell(process, Change::Comm(comm), false);
        }
        let parent = None;
        self.tell(process, Change::Exit { status, parent }, thread);
        self.processes.remove(&task);
        let _ = calls::detach(task);
    }

    /// `task` died without a stop before its end.
    fn died(&mut self, task: i32) {
        if let Some(process) = self.processes.remove(&task) {
            let change = Change::Exit {
                status: None,
                parent: None,
            };
            self.tell(process, change, process.0 != task.unsigned_abs());
        }
        self.early.remove(&task);
    }

    fn process_of(&self, task: i32) -> Pid {
        let known = self.processes.get(&task).copied();
        known.unwrap_or(Pid(task.unsigned_abs()))
    }

    fn tell(&self, pid: Pid, change: Change, thread: bool) {
        let at = clock::boottime();
        self.shared.push(Record {
            event: TreeEvent { at, pid, change },
            thread,
        });
    }
}

/// True where `task` is a thread of `process`: a clone may make either.
fn is_thread_of(task: i32, process: Pid) -> bool {
    let entry = format!("/proc/{process}/task/{task}");
    rustix::fs::access(entry.as_str(), rustix::fs::Access::EXISTS).is_ok()
}
