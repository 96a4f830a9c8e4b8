//! Real programs, as Debian builds them: what is found agrees with what they say of their own memory.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use memtide_inspect::{ErrorKind, Inspector, Options};
use memtide_model::{HeapSnapshot, Pid};
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use support::{Target, skip, snapshot};

/// A program that was started here; ended, with the workers that it started, when this is dropped.
struct Started(Child);

impl Started {
    fn by(command: &mut Command) -> Option<Self> {
        match command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
        {
            Ok(child) => Some(Self(child)),
            Err(error) => {
                skip(&format!("{command:?}: {error}"));
                None
            }
        }
    }

    fn pid(&self) -> Pid {
        Pid(self.0.id())
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        // A polite end first, for a master ends its workers.
        if let Some(pid) = rustix::process::Pid::from_raw(self.0.id().cast_signed()) {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        let patience = Instant::now();
        while matches!(self.0.try_wait(), Ok(None)) && patience.elapsed() < Duration::from_secs(5) {
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Tries until there is something.
fn patiently<T>(what: &str, mut attempt: impl FnMut() -> Option<T>) -> T {
    let patience = Instant::now();
    loop {
        if let Some(found) = attempt() {
            return found;
        }
        assert!(
            patience.elapsed() < Duration::from_secs(20),
            "{what} within 20 seconds"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Asserts that all checks hold, and that the parts add up to what malloc has from the kernel.
fn assert_sound(name: &str, snapshot: &HeapSnapshot) {
    let (totals, quality) = (&snapshot.totals, &snapshot.quality);
    assert!(quality.is_conclusive(), "{name}: {quality:?}");
    assert_eq!(quality.skipped.0, 0, "{name}: {quality:?}");
    let system: u64 = snapshot
        .arenas
        .iter()
        .map(|arena| arena.system_bytes.0)
        .sum();
    let parts = totals.live_bytes
        + totals.cached_bytes
        + totals.free_bytes
        + totals.top_bytes
        + totals.overhead_bytes;
    assert_eq!(
        parts.0,
        system + totals.mmapped_bytes.0,
        "{name}: {snapshot:#?}"
    );
    assert!(
        totals.heap_resident <= snapshot.rss + memtide_model::Bytes(1 << 20),
        "{name}"
    );
}

/// Asserts that `found` is `told`, but for a share.
fn assert_near(name: &str, found: u64, told: u64, share: f64) {
    let off = found as f64 / told as f64 - 1.0;
    println!(
        "{name}: found {found}, told {told}, off by {:+.3} %",
        off * 100.0
    );
    assert!(off.abs() <= share, "{name}: found {found}, told {told}");
}

const PYTHON: &str = r#"
import ctypes, os
libc = ctypes.CDLL(None)
class Info(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in
        "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost".split()]
libc.mallinfo2.restype = Info
kept = [bytes(600 + i % 900) for i in range(40000)]
del kept[::3]
dictionary = {i: str(i) * 90 for i in range(20000)}
info = libc.mallinfo2()
text = "pid %d\nused %d\nfree %d\nfast %d\nmapped %d\nend\n" % (
    os.getpid(), info.uordblks, info.fordblks, info.fsmblks, info.hblkhd)
os.write(1, text.encode())
os.read(0, 1)
"#;

#[test]
fn python() {
    let interpreter = "/usr/bin/python3";
    if !Path::new(interpreter).exists() {
        return skip("/usr/bin/python3 is not installed");
    }
    for allocator in ["pymalloc", "malloc"] {
        let mut command = Command::new(interpreter);
        command.args(["-c", PYTHON]).env("PYTHONMALLOC", allocator);
        let target = Target::start(&mut command, "");
        let snapshot = target.snapshot();
        assert_sound(allocator, &snapshot);
        let totals = &snapshot.totals;
        let used = totals.live_bytes + totals.cached_bytes + totals.overhead_bytes;
        // What is in fastbins is free for malloc. Some strings are made after python has looked.
        let told = |key| target.books.get(key);
        let told_used = told("used") + told("mapped") + told("fast");
        assert_near("python's used bytes", used.0, told_used, 0.001);
        let free = (totals.free_bytes + totals.top_bytes).0;
        let told_free = told("free") - told("fast");
        assert_near("python's free bytes", free, told_free, 0.002);
    }
}

#[test]
fn sqlite() {
    let folder = tempfile::tempdir().unwrap();
    let answer = folder.path().join("answer");
    let spawned = Command::new("sqlite3")
        .arg(":memory:")
        .stdin(Stdio::piped())
        .stdout(std::fs::File::create(&answer).unwrap())
        .spawn();
    let Ok(mut child) = spawned else {
        return skip("sqlite3 is not installed");
    };
    let mut input = child.stdin.take().unwrap();
    let started = Started(child);
    // The answer is in a file at once only if the shell does not keep it back: a second one pushes it out.
    write!(
        input,
        "create table t (a, b);\n\
         with recursive n(i) as (select 1 union all select i + 1 from n where i < 60000)\n\
         insert into t select i, hex(randomblob(100)) from n;\n\
         delete from t where a % 3 = 0;\n\
         .stats on\nselect 'counted', count(*) from t;\n.stats off\n.system true\n"
    )
    .unwrap();
    let used: u64 = patiently("sqlite's own figure", || {
        let text = std::fs::read_to_string(&answer).ok()?;
        let line = text.lines().find(|line| line.starts_with("Memory Used:"))?;
        line.split_whitespace().nth(2)?.parse().ok()
    });
    let snapshot = snapshot(started.pid());
    assert_sound("sqlite3", &snapshot);
    // Its own blocks, and those of the shell and the C library beside them.
    assert_near(
        "sqlite's used bytes",
        snapshot.totals.live_bytes.0,
        used,
        0.03,
    );
}

/// A look at a program that has done its work: nginx answers before it has cleaned up after the question.
fn settled(inspector: &mut Inspector) -> HeapSnapshot {
    let mut last = inspector.snapshot(&Options::default()).unwrap();
    patiently("the program comes to rest", || {
        std::thread::sleep(Duration::from_millis(50));
        let now = inspector.snapshot(&Options::default()).unwrap();
        let is_settled = now.totals == last.totals;
        last = now;
        is_settled.then_some(())
    });
    last
}

#[test]
fn nginx() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let configuration = format!(
        "daemon off; user root; worker_processes 1; pid {}; error_log {};\n\
         events {{ worker_connections 512; }}\n\
         http {{ access_log off; client_body_temp_path {}; proxy_temp_path {}; fastcgi_temp_path {};\n\
           uwsgi_temp_path {}; scgi_temp_path {};\n\
           server {{ listen unix:{}; location / {{ return 200 'here'; }} }} }}\n",
        path("pid"),
        path("log"),
        path("a"),
        path("b"),
        path("c"),
        path("d"),
        path("e"),
        path("socket"),
    );
    std::fs::write(folder.path().join("conf"), configuration).unwrap();
    let mut command = Command::new("nginx");
    command.args(["-p", &path(""), "-e", &path("log"), "-c", &path("conf")]);
    let Some(started) = Started::by(&mut command) else {
        return;
    };
    let socket = folder.path().join("socket");
    let ask = || -> Option<UnixStream> {
        let mut stream = UnixStream::connect(&socket).ok()?;
        stream
            .write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            .ok()?;
        let mut answer = [0; 512];
        let read = stream.read(&mut answer).ok()?;
        answer
            .get(..read)?
            .starts_with(b"HTTP/1.1 200")
            .then_some(stream)
    };
    let first = patiently("nginx answers", ask);
    let master = started.pid();
    let worker = patiently("nginx has a worker", || {
        let path = format!("/proc/{master}/task/{master}/children");
        let children = std::fs::read_to_string(path).ok()?;
        children.split_whitespace().next()?.parse().ok().map(Pid)
    });
    assert_sound("nginx's master", &snapshot(master));
    let mut inspector = Inspector::open(worker).unwrap();
    let before = settled(&mut inspector);
    assert_sound("nginx's worker", &before);
    let kept: Vec<UnixStream> = (0..100).map(|_| ask().expect("it answers")).collect();
    let after = settled(&mut inspector);
    assert_sound("nginx's busy worker", &after);
    // A connection that is kept open keeps a pool of 512 bytes, and a buffer or two.
    let grew = after.totals.live_bytes.0 - before.totals.live_bytes.0;
    assert!(
        (100 * 512..100 * 8192).contains(&grew),
        "a hundred connections keep {grew} bytes"
    );
    drop((kept, first));
}

/// Asks redis one thing and reads until its answer has this in it.
fn redis(socket: &Path, request: &str, until: &str) -> String {
    let mut stream = UnixStream::connect(socket).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    write!(stream, "{request}\r\n").unwrap();
    let mut answer = String::new();
    while !answer.contains(until) {
        let mut bytes = [0; 4096];
        let read = stream.read(&mut bytes).expect("redis answers");
        assert!(read > 0, "{request}: {answer}");
        answer.push_str(&String::from_utf8_lossy(&bytes[..read]));
    }
    answer
}

/// A redis of its own, started by this command.
fn start_redis(command: &mut Command, folder: &Path) -> Option<Started> {
    let socket = folder.join("socket");
    command.args([
        "--port",
        "0",
        "--save",
        "",
        "--enable-debug-command",
        "yes",
        "--unixsocket",
    ]);
    let started = Started::by(command.arg(&socket).arg("--dir").arg(folder))?;
    patiently("redis answers", || {
        let mut stream = UnixStream::connect(&socket).ok()?;
        stream.write_all(b"PING\r\n").ok()?;
        let mut answer = [0; 7];
        stream.read_exact(&mut answer).ok()?;
        (answer == *b"+PONG\r\n").then_some(())
    });
    Some(started)
}

/// Debian links redis with jemalloc; with libc before it, its blocks are glibc's.
#[test]
fn redis_on_libc_malloc() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new("redis-server");
    command.env("LD_PRELOAD", "libc.so.6");
    let Some(started) = start_redis(&mut command, folder.path()) else {
        return;
    };
    let socket = folder.path().join("socket");
    let script = "\"for i=0,99999 do if i%5>0 then redis.call('del','key:'..i) end end\"";
    // Its interpreter and its buffers are there from now on.
    redis(&socket, &format!("EVAL {script} 0"), "$-1");
    let empty = redis_bytes(&started, &socket);
    redis(&socket, "DEBUG POPULATE 100000 key 120", "+OK");
    let full = redis_bytes(&started, &socket);
    assert_near("redis, filled", full.0 - empty.0, full.1 - empty.1, 0.005);
    redis(&socket, &format!("EVAL {script} 0"), "$-1");
    let left = redis_bytes(&started, &socket);
    assert_near(
        "redis, keys deleted",
        full.0 - left.0,
        full.1 - left.1,
        0.005,
    );
    let totals = snapshot(started.pid()).totals;
    assert!(
        totals.free_resident.0 > totals.live_resident.0 / 2,
        "most of it is free now: {totals:?}"
    );
}

/// Bytes that live by memtide's count, without malloc's word for each block, and by its own: it counts
/// the usable bytes of its blocks, but not those of its interpreter and its libraries.
fn redis_bytes(started: &Started, socket: &Path) -> (u64, u64) {
    // It answers before it has freed what the question took: after a second answer that is done.
    redis(socket, "PING", "+PONG");
    let snapshot = snapshot(started.pid());
    assert_sound("redis", &snapshot);
    let info = redis(socket, "INFO memory", "used_memory_human");
    let line = info
        .lines()
        .find_map(|line| line.strip_prefix("used_memory:"))
        .unwrap();
    let totals = &snapshot.totals;
    (
        totals.live_bytes.0 - 8 * totals.live_blocks,
        line.trim().parse().unwrap(),
    )
}

#[test]
fn redis_on_jemalloc() {
    let folder = tempfile::tempdir().unwrap();
    let Some(started) = start_redis(&mut Command::new("redis-server"), folder.path()) else {
        return;
    };
    let look = Inspector::open(started.pid()).and_then(|mut i| i.snapshot(&Options::default()));
    let error = look.expect_err("its heap is jemalloc's");
    assert_eq!(error.kind(), ErrorKind::NoHeap, "{error}");
    assert!(error.to_string().contains("jemalloc"), "{error}");
}
