//! A tree of real processes: who is in it, who started whom, who was orphaned, who has ended.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use memtide_model::{Bytes, Pid, ProcessId, TreeMember, TreeTick};
use memtide_proc::{Buffer, ProcRoot, parse::stat};
use memtide_sampler::{Lineage, TreeSampler};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

/// A shell that does what it is told by lines on its standard input, and ends with it.
struct Shell {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<std::process::ChildStdout>,
}

impl Shell {
    fn start() -> Self {
        let mut child = Command::new("/bin/sh")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let input = child.stdin.take();
        let output = BufReader::new(child.stdout.take().unwrap());
        Self {
            child,
            input,
            output,
        }
    }

    fn pid(&self) -> Pid {
        Pid(self.child.id())
    }

    /// Runs a line that prints a pid.
    fn tell(&mut self, line: &str) -> Pid {
        writeln!(self.input.as_mut().unwrap(), "{line}").unwrap();
        let mut answer = String::new();
        self.output.read_line(&mut answer).unwrap();
        Pid(answer.trim().parse().unwrap())
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        self.input = None;
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn id_of(pid: Pid) -> ProcessId {
    let process = ProcRoot::system().unwrap().process(pid).unwrap();
    let mut buffer = Buffer::new();
    let start = stat::parse(process.read("stat", &mut buffer).unwrap())
        .unwrap()
        .starttime;
    ProcessId { pid, start }
}

fn of(shell: &Shell) -> TreeSampler {
    TreeSampler::open(Path::new("/proc"), id_of(shell.pid()), None).unwrap()
}

fn member(tick: &TreeTick, pid: Pid) -> TreeMember {
    let found = tick.members.iter().find(|member| member.id.pid == pid);
    found
        .unwrap_or_else(|| panic!("{pid} is not in {tick:?}"))
        .clone()
}

fn until(mut look: impl FnMut() -> bool) {
    let started = Instant::now();
    while !look() {
        assert!(
            started.elapsed() < Duration::from_secs(20),
            "it takes too long"
        );
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn kill(pid: Pid) {
    let pid = rustix::process::Pid::from_raw(i32::try_from(pid.0).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
}

#[test]
fn the_tree_is_who_descends_and_nobody_else() {
    let mut shell = Shell::start();
    let other = Shell::start();
    let child = shell.tell("sleep 60 & echo $!");
    // The grandchild's parent waits for it.
    let grandchild = shell.tell("sh -c 'sleep 60 & echo $!; wait' &");
    let mut tree = of(&shell);
    let mut tick = TreeTick::default();
    until(|| {
        tick = tree.look(|_| None).unwrap();
        tick.members.len() == 4 && *member(&tick, grandchild).name == *"sleep"
    });
    assert!(
        tick.members
            .iter()
            .all(|member| member.id.pid != other.pid())
    );
    assert_eq!(member(&tick, child).parent, Some(shell.pid()));
    assert_eq!(*member(&tick, child).cmdline, ["sleep", "60"]);
    let middle = member(&tick, grandchild).parent.unwrap();
    assert_eq!(member(&tick, middle).parent, Some(shell.pid()));
    assert!(
        tick.members
            .iter()
            .all(|member| member.rss > Bytes::ZERO && !member.orphaned)
    );
    let pss = tick.pss().expect("they are ours: PSS may be read");
    assert!(
        pss > Bytes::ZERO && pss <= tick.rss(),
        "{pss:?}, {:?}",
        tick.rss()
    );

    // Its parent ends: the grandchild stays a member, and its parent is still who started it.
    kill(middle);
    until(|| {
        tick = tree.look(|_| None).unwrap();
        member(&tick, grandchild).orphaned
    });
    assert_eq!(member(&tick, grandchild).parent, Some(middle));
    assert!(!member(&tick, child).orphaned);

    // Ended: a zombie until the shell reaps it, or gone.
    kill(grandchild);
    let mut gone = Vec::new();
    until(|| {
        gone.extend(tree.look(|_| None).unwrap().ended);
        gone.iter().any(|end| end.id.pid == grandchild)
    });
    kill(child);
}

/// A second fork: its parent has ended before anybody looks, and nothing in /proc leads to the shell any more.
fn orphan(shell: &mut Shell) -> Pid {
    let orphan = shell.tell("(setsid sh -c 'echo $$; exec sleep 60' &)");
    until(|| parent_of(orphan) != shell.pid());
    orphan
}

fn parent_of(pid: Pid) -> Pid {
    let process = ProcRoot::system().unwrap().process(pid).unwrap();
    let mut buffer = Buffer::new();
    stat::parse(process.read("stat", &mut buffer).unwrap())
        .unwrap()
        .ppid
}

#[test]
fn an_orphan_is_a_member_by_what_was_told_of_its_fork_alone() {
    let mut shell = Shell::start();
    let orphan = orphan(&mut shell);
    let mut tree = of(&shell);
    let tick = tree.look(|_| None).unwrap();
    assert!(tick.members.iter().all(|member| member.id.pid != orphan));

    let starter = Pid(orphan.0 - 1);
    let line = Lineage {
        id: id_of(orphan),
        parent: Some(starter),
    };
    let tick = tree
        .look(|ids| {
            assert!(ids.contains(&line.id) && ids.contains(&id_of(shell.pid())));
            Some(vec![line])
        })
        .unwrap();
    let member = member(&tick, orphan);
    assert!(member.orphaned && member.rss > Bytes::ZERO, "{member:?}");
    assert_eq!(member.parent, Some(starter));
    kill(orphan);
}

#[test]
fn who_was_not_told_of_yet_has_no_parent_rather_than_the_one_that_adopted_it() {
    let mut shell = Shell::start();
    let orphan = orphan(&mut shell);
    let adopter = parent_of(orphan);
    let mut tree =
        TreeSampler::open(Path::new("/proc"), id_of(shell.pid()), Some(adopter)).unwrap();
    let tick = tree.look(|_| Some(Vec::new())).unwrap();
    let early = member(&tick, orphan);
    assert_eq!((early.parent, early.orphaned), (None, true), "{early:?}");

    let starter = Pid(orphan.0 - 1);
    let line = Lineage {
        id: id_of(orphan),
        parent: Some(starter),
    };
    let tick = tree.look(|_| Some(vec![line])).unwrap();
    assert_eq!(member(&tick, orphan).parent, Some(starter));
    // Whatever is told after that.
    let other = Lineage {
        parent: Some(adopter),
        ..line
    };
    let tick = tree.look(|_| Some(vec![other])).unwrap();
    assert_eq!(member(&tick, orphan).parent, Some(starter));
    kill(orphan);
}

#[test]
fn zombies_are_members_without_memory() {
    let mut shell = Shell::start();
    // The parent of the zombie never waits: it sleeps, by exec.
    let parent = shell.tell("sh -c 'sleep 0.2 & echo $$; exec sleep 60' &");
    let mut tree = of(&shell);
    let mut tick = TreeTick::default();
    until(|| {
        tick = tree.look(|_| None).unwrap();
        tick.members.iter().any(TreeMember::is_zombie)
    });
    let zombie = tick
        .members
        .iter()
        .find(|member| member.is_zombie())
        .unwrap();
    assert_eq!(zombie.parent, Some(parent));
    assert_eq!(zombie.rss, Bytes::ZERO);
    assert!(tick.pss().is_some(), "a zombie has none to be known");
    kill(parent);
}
