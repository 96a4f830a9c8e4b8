//! The pulse: what it costs, and what it makes of processes that grow, come and go.

mod common;

use common::{Fixture, is_inside, is_root, root};
use memtide_census::Pulse;
use memtide_model::Pid;
use memtide_proc::{clock, rlimit};
use std::process::{Command, Stdio};
use std::time::Duration;

#[test]
fn five_hundred_processes_cost_less_than_a_hundredth_of_a_core() {
    rlimit::raise_descriptor_limit().unwrap();
    let fixture = Fixture::start("orphans", &["count=500"]);
    let root = root();
    let mut pulse = Pulse::new(&root);
    // The first beat opens everything.
    let first = pulse.beat().unwrap();
    assert!(first.read >= 500 && first.unkept == 0, "{first:?}");
    let beats = 20;
    let before = clock::thread_cpu();
    for _ in 0..beats {
        let beat = pulse.beat().unwrap();
        assert!(beat.read >= 500);
    }
    let cpu = clock::thread_cpu().seconds_since(before) / f64::from(beats);
    let processes = first.read;
    let per_500 = cpu * 500.0 / processes as f64;
    println!(
        "{processes} processes: {:.3} ms a beat; at 1 Hz {:.3} % of a core for 500",
        cpu * 1e3,
        per_500 * 100.0
    );
    assert!(per_500 < 0.01, "{per_500}");
    let series = pulse.into_series();
    for pid in fixture.pids("orphans") {
        let one = series.iter().find(|one| one.id.pid == pid).unwrap();
        assert_eq!((one.points.len(), one.ended), (21, None));
    }
}

#[test]
fn growth_is_seen_and_ends_are_told() {
    // 40 MiB, ten at a time, a line for each.
    let script = "import sys\nheld=[]\nfor line in sys.stdin:\n held.append(b'x'*(10<<20))\n print('READY {\"pid\": 0}',flush=True)\n";
    let mut child = Command::new("python3")
        .args(["-c", script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let pid = Pid(child.id());
    let (mut input, output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let mut output = std::io::BufRead::lines(std::io::BufReader::new(output));
    let root = root();
    let mut pulse = Pulse::new(&root);
    for _ in 0..4 {
        std::io::Write::write_all(&mut input, b"x\n").unwrap();
        output.next().unwrap().unwrap();
        pulse.beat().unwrap();
    }
    let points = |pulse: &Pulse<'_>| {
        let one = pulse.living().find(|one| one.id.pid == pid);
        one.map(|one| {
            one.points
                .iter()
                .map(|(_, resident)| resident.as_f64())
                .collect::<Vec<_>>()
        })
    };
    let seen = points(&pulse).unwrap();
    assert_eq!(seen.len(), 4);
    let grown = (seen[3] - seen[0]) / f64::from(30 << 20);
    assert!((0.95..1.05).contains(&grown), "{seen:?}");
    // A zombie has no memory and is at its end; so is one that is gone.
    drop(input);
    let status = format!("/proc/{}/status", pid.0);
    while !std::fs::read_to_string(&status)
        .unwrap()
        .contains("State:\tZ")
    {
        std::thread::sleep(Duration::from_millis(5));
    }
    let beat = pulse.beat().unwrap();
    assert!(beat.ended >= 1);
    child.wait().unwrap();
    pulse.beat().unwrap();
    assert_eq!(points(&pulse), None);
    let series = pulse.into_series();
    let one = series.iter().find(|one| one.id.pid == pid).unwrap();
    assert_eq!((one.points.len(), one.ended), (4, Some(beat.at)));
    assert!(one.name.starts_with("python"));
    assert_eq!(one.parent, Pid(std::process::id()));
}

#[test]
fn a_pid_that_is_used_again_is_another_process() {
    if !is_inside() {
        if is_root("choosing a pid") {
            let namespace = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"];
            common::again("a_pid_that_is_used_again_is_another_process", &namespace);
        }
        return;
    }
    let sleep = || Command::new("sleep").arg("60").spawn().unwrap();
    let root = root();
    let mut pulse = Pulse::new(&root);
    let mut first = sleep();
    pulse.beat().unwrap();
    let pid = first.id();
    first.kill().unwrap();
    first.wait().unwrap();
    // Start times are in ticks of 10 ms.
    std::thread::sleep(Duration::from_millis(50));
    std::fs::write("/proc/sys/kernel/ns_last_pid", (pid - 1).to_string()).unwrap();
    let mut second = sleep();
    assert_eq!(second.id(), pid, "the kernel gave the number again");
    // The descriptor that is kept is the first one's, and the number is listed as before.
    let beat = pulse.beat().unwrap();
    assert_eq!((beat.new, beat.ended), (1, 1));
    let series = pulse.into_series();
    let of_pid: Vec<_> = series.iter().filter(|one| one.id.pid.0 == pid).collect();
    assert_eq!(of_pid.len(), 2);
    assert!(of_pid[0].id.start < of_pid[1].id.start);
    assert_eq!((of_pid[0].ended, of_pid[1].ended), (Some(beat.at), None));
    second.kill().unwrap();
    second.wait().unwrap();
}
