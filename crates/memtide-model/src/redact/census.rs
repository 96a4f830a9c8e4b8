//! Takes secrets out of a census: command lines, paths and addresses of everything that is held.
//!
//! Command lines come first, of all processes, because most secrets are learnt there.

use super::{Redactor, scan};
use crate::census::{Census, HeldTarget};

impl Redactor {
    /// Redacts all processes, what they hold, and the names of kernel objects.
    pub fn census(&mut self, census: &mut Census) {
        for process in &mut census.processes {
            self.command_line(&mut process.cmdline);
        }
        for process in &mut census.processes {
            process.name = self.name(&process.name);
            for thread in &mut process.each_thread {
                thread.name = self.name(&thread.name);
            }
        }
        for holding in census.holdings.iter_mut().flatten() {
            self.holding(&mut holding.target);
        }
        for object in census.objects.iter_mut().flatten() {
            if object.name.starts_with('/') {
                object.name = self.whole_path(&object.name);
            } else {
                self.text(&mut object.name);
            }
        }
        for sentence in &mut census.unseen {
            self.text(sentence);
        }
    }

    fn holding(&mut self, target: &mut HeldTarget) {
        match target {
            HeldTarget::File { path } | HeldTarget::Deleted { path } => {
                *path = scan::path(&mut self.known, path);
            }
            HeldTarget::Socket { local, remote, .. } => {
                self.text(local);
                if let Some(remote) = remote {
                    self.text(remote);
                }
            }
            HeldTarget::Unix { path: Some(name) } | HeldTarget::Queue { name } => {
                *name = self.whole_path(name);
            }
            HeldTarget::Memfd { name } => *name = self.name(name),
            HeldTarget::Other { link } => self.text(link),
            HeldTarget::Unix { path: None }
            | HeldTarget::Pipe { .. }
            | HeldTarget::Anonymous { .. } => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::census::{Holding, KernelObject, ObjectKind, ProcessState};
    use crate::ids::{Pid, ProcessId, StartTime};

    #[test]
    fn no_secret_of_a_census_is_left() {
        let id = ProcessId {
            pid: Pid(7),
            start: StartTime(9),
        };
        let held = |target| Holding {
            holder: id,
            descriptor: Some(3),
            how: "open".to_owned(),
            target,
            file: None,
        };
        let mut census = Census {
            processes: vec![ProcessState {
                cmdline: ["worker", "--token", "hunter2secret"]
                    .map(str::to_owned)
                    .to_vec(),
                name: "worker".to_owned(),
                ..ProcessState::of(id)
            }],
            holdings: Some(vec![
                held(HeldTarget::File {
                    path: "/home/alice/orders.db".to_owned(),
                }),
                held(HeldTarget::Socket {
                    protocol: "tcp".to_owned(),
                    local: "10.1.2.3:5000".to_owned(),
                    remote: Some("10.9.8.7:443".to_owned()),
                    state: "ESTABLISHED".to_owned(),
                }),
            ]),
            objects: Some(vec![KernelObject {
                kind: ObjectKind::PosixQueue,
                name: "/customers-of-alice".to_owned(),
                key: None,
                uid: 1000,
                creator: None,
                bytes: crate::Bytes(80),
                count: None,
                holders: vec![Pid(7)],
                doomed: false,
                changed: None,
            }]),
            unseen: vec!["cannot read /home/alice/x".to_owned()],
            ..Census::default()
        };
        Redactor::new().census(&mut census);
        let all = format!("{census:?}");
        for secret in [
            "hunter2secret",
            "alice",
            "10.1.2.3",
            "10.9.8.7",
            "customers",
        ] {
            assert!(!all.contains(secret), "{secret} is left in {all}");
        }
        assert!(
            all.contains("ESTABLISHED") && all.contains("\"worker\""),
            "{all}"
        );
    }
}
