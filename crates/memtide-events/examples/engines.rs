//! The crate's parts one by one, for its tests and for measuring: `engines storm FORKS`, `engines crosscheck FORKS
//! [FIRST SECOND]`, `engines available [PID]`, `engines count ENGINE PROGRAM ARGUMENT…`, where the program waits for the end of
//! its input.

use memtide_events::{Engine, Follower, Scope, Source, available, crosscheck, pair, storm};
use memtide_model::Pid;
use memtide_proc::PidFd;
use std::error::Error;
use std::process::{Command, Stdio};
use std::time::Duration;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["storm", forks] => storm(forks.parse()?)?,
        ["crosscheck", forks] => {
            let (first, second) = pair().ok_or("there is one engine only")?;
            check(forks, first, second)?;
        }
        ["crosscheck", forks, first, second] => check(forks, first.parse()?, second.parse()?)?,
        ["available"] => tell(Pid(std::process::id())),
        ["available", pid] => tell(Pid(pid.parse()?)),
        ["count", engine, program, arguments @ ..] => count(engine, program, arguments)?,
        _ => return Err("usage: see the first lines of the source".into()),
    }
    Ok(())
}

fn check(forks: &str, first: Engine, second: Engine) -> Result<(), Box<dyn Error>> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["storm", forks]);
    let difference = crosscheck(&mut command, first, second)?;
    println!("{difference:#?}");
    if difference.is_none() {
        return Ok(());
    }
    Err("the engines differ".into())
}

fn tell(pid: Pid) {
    for (engine, verdict) in available(Scope::Tree(pid)) {
        match verdict {
            Ok(()) => println!("{engine}: yes"),
            Err(reason) => println!("{engine}: {reason}"),
        }
    }
}

/// Follows a program, or merely runs it (`none`).
fn count(engine: &str, program: &str, arguments: &[&str]) -> Result<(), Box<dyn Error>> {
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .spawn()?;
    let follower = if engine == "none" {
        None
    } else {
        let source = Source::open(engine.parse()?, Scope::Tree(Pid(child.id())))?;
        Some(Follower::start(source)?)
    };
    let end = PidFd::open(Pid(child.id()))?;
    drop(child.stdin.take());
    // ptrace's stops are not ours to wait for.
    while !end.has_ended()? {
        std::thread::sleep(Duration::from_millis(5));
    }
    let status = child.wait()?;
    if let Some(follower) = follower {
        let (tree, _) = follower.finish();
        println!("{status}: {:?} {:?}", tree.counts(), tree.losses());
    }
    Ok(())
}
