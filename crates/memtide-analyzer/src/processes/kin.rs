//! Who is whose child, and who is that no more.
//!
//! Sessions and process groups are inherited by fork and cannot be entered from outside (setsid(2),
//! setpgid(2)). So a process that does not lead its session was started by a member of it; and if its
//! parent is in another session, that starter has ended and the kernel has given the child to the first
//! process or a subreaper. That tells orphans from children by one look, whatever the reaper is.
//!
//! A daemon that forks twice looks the same once its session's leader is gone. It is a daemon's sign to be
//! alone and in the group that the leader made; several of one group, or a group of its own as
//! shells make for each job, are a job that lost its leader.
//!
//! What cannot be seen in one look: an orphan that leads its own session, or whose reaper is in the same
//! session. Two looks show both, where the parent ended in between.

use super::course::Courses;
use memtide_model::{Census, Pid, ProcessState, Relative, Role};
use std::collections::HashMap;

/// A process that ended and is still in the table. A leader whose other threads run on is none.
pub(super) fn is_zombie(process: &ProcessState) -> bool {
    matches!(process.state, 'Z' | 'X') && process.threads <= 1
}

/// What a process is to its parent.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Kinship<'a> {
    /// Nothing speaks against its being the child of its parent.
    Child,
    /// Its starter has ended; who that was, where it was seen.
    Orphan(Option<&'a Relative>),
    /// Its starter has ended, as daemons want it.
    MayBeDaemon(Option<&'a Relative>),
}

/// All processes of a census by who they belong to.
pub(super) struct Kin<'a> {
    by_pid: HashMap<Pid, &'a ProcessState>,
    children: HashMap<Pid, Vec<&'a ProcessState>>,
    /// How many strangers to their parents' session there are in each group of a session.
    strangers: HashMap<(i64, i64), u64>,
    /// How many there are of each starter that was seen to end.
    bereaved: HashMap<u32, u64>,
    courses: &'a Courses,
}

impl<'a> Kin<'a> {
    pub(super) fn of(census: &'a Census, courses: &'a Courses) -> Self {
        let by_pid = census.processes.iter().map(|p| (p.id.pid, p)).collect();
        let mut children: HashMap<Pid, Vec<&ProcessState>> = HashMap::new();
        for process in &census.processes {
            children.entry(process.ppid).or_default().push(process);
        }
        let mut kin = Self {
            by_pid,
            children,
            strangers: HashMap::new(),
            bereaved: HashMap::new(),
            courses,
        };
        let mut strangers = HashMap::new();
        for process in census.processes.iter().filter(|p| kin.is_stranger(p)) {
            *strangers.entry((process.sid, process.pgid)).or_insert(0) += 1;
        }
        kin.strangers = strangers;
        let mut bereaved = HashMap::new();
        for former in census.processes.iter().filter_map(|p| kin.former(p)) {
            *bereaved.entry(former.pid).or_insert(0) += 1;
        }
        kin.bereaved = bereaved;
        kin
    }

    pub(super) fn get(&self, pid: Pid) -> Option<&'a ProcessState> {
        self.by_pid.get(&pid).copied()
    }

    pub(super) fn children(&self, pid: Pid) -> &[&'a ProcessState] {
        self.children.get(&pid).map_or(&[], Vec::as_slice)
    }

    /// The parent that it had, where that was seen.
    fn former(&self, process: &ProcessState) -> Option<&'a Relative> {
        let course = self.courses.get(process.id)?;
        course.former.as_ref()
    }

    /// Started by a member of a session that its parent is not in.
    fn is_stranger(&self, process: &ProcessState) -> bool {
        let started_in = process.sid > 0 && !leads(process, process.sid);
        let parent = self.get(process.ppid);
        started_in
            && !process.kernel
            && !is_zombie(process)
            && parent.is_some_and(|parent| parent.sid != process.sid)
    }

    /// What it is to its parent.
    pub(super) fn kinship(&self, process: &ProcessState) -> Kinship<'a> {
        let first = process.id.pid == Pid(1) || process.ppid == Pid(0);
        if process.kernel || first || is_zombie(process) {
            return Kinship::Child;
        }
        let former = self.former(process);
        let siblings = former.and_then(|former| self.bereaved.get(&former.pid));
        let alone = siblings.is_none_or(|&count| count <= 1);
        if !self.is_stranger(process) {
            return match former {
                // A leader of its own session asked to be left alone.
                Some(_) if alone && leads(process, process.sid) => Kinship::MayBeDaemon(former),
                Some(_) => Kinship::Orphan(former),
                None if self.left_its_group(process) => Kinship::Orphan(None),
                None => Kinship::Child,
            };
        }
        let leader = u32::try_from(process.sid)
            .ok()
            .and_then(|sid| self.get(Pid(sid)));
        let session_lives = leader.is_some_and(|leader| leader.sid == process.sid);
        let group = (process.sid, process.pgid);
        let job = process.pgid != process.sid;
        let several = self.strangers.get(&group).is_some_and(|&count| count > 1);
        // A daemon's own first half makes the session and ends.
        let lost = former.is_some_and(|former| i64::from(former.pid) != process.sid);
        if session_lives || job || several || lost {
            Kinship::Orphan(former)
        } else {
            Kinship::MayBeDaemon(former)
        }
    }

    /// The same reasoning for the group within a session: a child of the first process, in the group of a
    /// leader that is somebody else's child, was started there. (A shell puts children into groups, too, but
    /// the leader is its own child then.)
    fn left_its_group(&self, process: &ProcessState) -> bool {
        if process.ppid != Pid(1) || leads(process, process.pgid) {
            return false;
        }
        let leader = u32::try_from(process.pgid)
            .ok()
            .and_then(|pgid| self.get(Pid(pgid)));
        leader.is_some_and(|leader| {
            leader.pgid == process.pgid
                && leader.sid == process.sid
                && leader.ppid != process.ppid
                && leader.id.pid != process.ppid
        })
    }

    pub(super) fn role(&self, process: &ProcessState) -> Role {
        if is_zombie(process) {
            Role::Zombie
        } else if process.kernel || process.id.pid == Pid(1) {
            Role::Other
        } else if matches!(self.kinship(process), Kinship::Orphan(_)) {
            Role::Orphan
        } else if leads(process, process.sid) {
            Role::Leader
        } else if process.ppid.0 > 0 {
            Role::Child
        } else {
            Role::Other
        }
    }
}

/// True if the session or group of that number is named after the process.
pub(super) fn leads(process: &ProcessState, number: i64) -> bool {
    i64::from(process.id.pid.0) == number
}
