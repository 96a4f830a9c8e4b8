//! What must be gone, what must stay, and that the same secret looks the same everywhere.

use super::{Redactor, SecretKind, known::MOST_SECRETS};
use crate::event::{Event, EventKind};
use crate::heap::{HeapObservations, HeapQuality, HeapSnapshot};
use crate::held::{GroupTarget, HeldGroup, HeldHistory, HeldKind};
use crate::ids::{Pid, ProcessId, StartTime, ThreadId, Tid};
use crate::mapping::{Mapping, MappingClass, MappingState};
use crate::observations::{MappingHistory, Observations, Recording, ThreadHistory};
use crate::sample::{Activity, Counts, Memory, Merged, Sample, Tick};
use crate::stacks::{CodeModule, CodePlace, HeapMode, Lost, StackObservations, StacksTick, Symbol};
use crate::target::{Limits, Target, Visibility};
use crate::thread::ThreadState;
use crate::tree::{MemberHistory, NameHistory, TreeMember, TreeObservations, TreeTick};
use crate::units::{Bytes, Nanos};
use std::sync::Arc;

/// Whatever must not be seen of `target()`, `tick()` and `observations()` below.
const SECRETS: &[&str] = &[
    "hunter2",
    "sw0rdfish",
    "alice",
    "db.internal",
    "10.20.30.40",
    "2001:db8::7",
    "acme",
    "zanzibar",
    "k1ngfisher",
    "orders.db",
    "b7e23ec29af22b0b",
];

fn target() -> Target {
    Target {
        id: ProcessId {
            pid: Pid(4182),
            start: StartTime(7),
        },
        parent: Some(Pid(1)),
        name: "shopd".to_owned(),
        exe: "/opt/acme/bin/shopd".to_owned(),
        cmdline: [
            "/opt/acme/bin/shopd",
            "--password=hunter2",
            "-psw0rdfish",
            "--db",
            "postgres://alice:sw0rdfish@db.internal:5432/orders.db?sslkey=/home/alice/k1ngfisher",
            "API_TOKEN=zanzibar",
            "--listen=10.20.30.40",
            "2001:db8::7",
            "",
        ]
        .map(str::to_owned)
        .to_vec(),
        uid: 1000,
        age: Nanos::SECOND,
        allocator: "glibc 2.36".to_owned(),
        runtime: "none".to_owned(),
        limits: Limits::default(),
        cgroup: Some("/system.slice/acme-b7e23ec29af22b0b.scope".to_owned()),
        unseen: vec![Visibility {
            what: "live and free blocks of the heap".to_owned(),
            why: "needs ptrace access: it belongs to uid 1000 (alice)".to_owned(),
            remedy: "sudo sysctl kernel.yama.ptrace_scope=0; see /proc/4182/status".to_owned(),
        }],
    }
}

fn mapping(name: &str) -> Arc<Mapping> {
    Arc::new(Mapping {
        address: 0x7000_0000,
        class: MappingClass::File,
        protection: *b"r--p",
        name: name.into(),
    })
}

fn event(text: &str) -> Event {
    Event {
        at: Nanos(5),
        kind: EventKind::Exec,
        pid: Pid(4182),
        text: text.to_owned(),
        value: Some(4182),
    }
}

fn thread(name: &str) -> ThreadState {
    ThreadState {
        id: ThreadId {
            tid: Tid(4183),
            start: StartTime(8),
        },
        name: name.into(),
        state: b'S',
        min_flt: 1,
        maj_flt: 0,
        cpu_ticks: 2,
        wchan: Some("futex_wait_queue".into()),
    }
}

const NAMES: &[&str] = &[
    "/usr/lib/x86_64-linux-gnu/libc.so.6",
    "/home/alice/acme/orders.db",
    "/home/alice/acme/orders.db (deleted)",
    "/memfd:zanzibar (deleted)",
    "/opt/acme/lib/libacme.so",
    "[anon:hunter2]",
    "[heap]",
    "",
];

fn events() -> Vec<Event> {
    vec![
        event("exec: /opt/acme/bin/shopd became /opt/acme/bin/worker --password=hunter2"),
        event("connected to 10.20.30.40:5432 and [2001:db8::7]:80 as alice with sw0rdfish"),
    ]
}

fn tick() -> Tick {
    let state = |name: &&str| MappingState {
        mapping: mapping(name),
        size: Bytes(8192),
        rss: Bytes(4096),
    };
    Tick {
        sample: sample(),
        mappings: Some(NAMES.iter().map(state).collect()),
        threads: Some(vec![thread("io-worker-1"), thread("conn alice")]),
        held: Some(held().collect()),
        events: events(),
    }
}

fn sample() -> Sample {
    Sample {
        at: Nanos(5),
        process: target().id,
        memory: Memory::default(),
        activity: Activity::default(),
        maps: None,
        counts: Counts::default(),
        cgroup: None,
        host: None,
        merged: Merged::single(Bytes(4096)),
    }
}

fn observations() -> Observations {
    Observations {
        target: target(),
        recording: Recording {
            file: "/home/alice/acme.memtide".to_owned(),
            ..Recording::default()
        },
        samples: vec![sample()],
        mappings: NAMES
            .iter()
            .map(|name| MappingHistory {
                mapping: mapping(name),
                points: Vec::new(),
                gone: false,
            })
            .collect(),
        threads: vec![ThreadHistory {
            last: thread("conn alice"),
            points: Vec::new(),
            alive: true,
        }],
        stacks: Some(stacks()),
        heap: Some(HeapObservations {
            snapshots: vec![HeapSnapshot {
                quality: HeapQuality {
                    doubts: vec!["no library like /home/alice/acme/libc.so is known".to_owned()],
                    ..HeapQuality::default()
                },
                ..HeapSnapshot::default()
            }],
            unavailable: Some("process 7 belongs to uid 1000 (alice)".to_owned()),
        }),
        tree: Some(tree()),
        held: held().map(|group| group.target).map(history).collect(),
        events: events(),
    }
}

/// A child whose name and arguments are secrets.
fn tree() -> TreeObservations {
    let last = TreeMember {
        id: target().id,
        parent: None,
        name: "acme-alice".into(),
        cmdline: [
            "/home/alice/acme/worker",
            "--home=/home/alice",
            "alice@acme.example",
        ]
        .map(str::to_owned)
        .to_vec()
        .into(),
        pgid: 7,
        sid: 7,
        threads: 1,
        cpu_ticks: 0,
        state: b'S',
        rss: Bytes(4096),
        pss: None,
        orphaned: false,
    };
    TreeObservations {
        members: vec![MemberHistory {
            last,
            since: Nanos(0),
            ended: None,
            points: Vec::new(),
        }],
        names: vec![NameHistory {
            name: "alice-job".into(),
            points: Vec::new(),
        }],
        ..TreeObservations::default()
    }
}

/// A group of descriptors for each way in which a name is shown.
fn held() -> impl Iterator<Item = HeldGroup> {
    let names = [
        (HeldKind::File, "/home/alice/acme/*.dat", ""),
        (HeldKind::Unix, "/run/acme/alice.sock", ""),
        (HeldKind::Unix, "@acme", ""),
        (HeldKind::Memfd, "acme", ""),
        (HeldKind::PosixQueue, "/acme", ""),
        (HeldKind::Tcp, "10.20.30.40:5432", "CLOSE_WAIT"),
    ];
    names
        .into_iter()
        .zip(1..)
        .map(|((kind, name, state), number)| HeldGroup {
            number,
            target: GroupTarget {
                kind,
                name: name.into(),
                state: state.into(),
            },
            count: 1,
        })
}

fn history(target: GroupTarget) -> HeldHistory {
    HeldHistory {
        target,
        points: Vec::new(),
    }
}

#[test]
fn what_is_held_keeps_its_kind_port_and_state() {
    let mut tick = tick();
    Redactor::new().tick(&mut tick);
    let labels = tick
        .held
        .into_iter()
        .flatten()
        .map(|group| group.target.label());
    let labels: Vec<String> = labels.collect();
    assert_eq!(
        labels.last().map(String::as_str),
        Some("tcp <address-1>:5432 CLOSE_WAIT")
    );
    assert!(
        labels.iter().all(|label| !label.contains("acme")),
        "{labels:?}"
    );
}

fn stacks() -> StackObservations {
    let module = |path: &str| CodeModule {
        path: path.into(),
        build_id: "ab12".to_owned(),
    };
    let symbol = |file: &str| Symbol {
        function: Some("Cart::add".into()),
        file: Some(file.into()),
        line: Some(7),
        inlined: false,
    };
    let place = CodePlace {
        module: None,
        address: 4096,
    };
    let files = [
        "/home/alice/acme/cart.cc",
        "acme/src/orders.db",
        SYSTEM_SOURCE,
    ];
    StackObservations {
        mode: HeapMode::Full,
        interval: Bytes(1),
        totals: Vec::new(),
        modules: vec![
            module("/opt/acme/bin/shopd"),
            module("/usr/lib/libc.so.6"),
            module("[vdso]"),
        ],
        stacks: Vec::new(),
        symbols: vec![(place, files.map(symbol).to_vec())],
        symbol_warnings: vec!["no debug file for /home/alice/acme/lib.so".to_owned()],
        lost: Lost::default(),
        ended: false,
    }
}

const SYSTEM_SOURCE: &str = "/usr/include/c++/12/bits/new_allocator.h";

fn assert_clean(what: &str, printed: &str) {
    for secret in SECRETS {
        assert!(
            !printed.contains(secret),
            "{secret} is still in the {what}: {printed}"
        );
    }
}

fn redacted(redactor: &mut Redactor, text: &str) -> String {
    let mut text = text.to_owned();
    redactor.text(&mut text);
    text
}

#[test]
fn no_secret_is_left_in_anything_that_can_be_printed() {
    for secret in SECRETS {
        let before = format!("{:?}{:?}", observations(), tick());
        assert!(before.contains(secret), "{secret} was never there");
    }
    let mut redactor = Redactor::new();
    let mut target = target();
    redactor.target(&mut target);
    assert_clean("target", &format!("{target:?}"));

    let mut tick = tick();
    redactor.tick(&mut tick);
    assert_clean("tick", &format!("{tick:?}"));
    assert_clean("redactor", &format!("{redactor:?}"));

    let members = tree().members.into_iter().map(|history| history.last);
    let mut looked = TreeTick {
        members: members.collect(),
        ..TreeTick::default()
    };
    redactor.tree(&mut looked);
    assert_clean("tree", &format!("{looked:?}"));

    let mut observations = observations();
    Redactor::new().observations(&mut observations);
    assert_clean("observations", &format!("{observations:?}"));
}

#[test]
fn the_shape_of_a_command_line_stays() {
    let mut target = target();
    Redactor::new().target(&mut target);
    assert_eq!(target.exe, "<path-1>");
    assert_eq!(
        target.cmdline,
        [
            "<path-1>",
            "<arg-1>",
            "<arg-2>",
            "<arg-3>",
            "<url-1>",
            "<arg-4>",
            "<arg-5>",
            "<address-1>",
            ""
        ]
    );
    assert_eq!(target.cgroup.as_deref(), Some("<cgroup-1>"));
    assert_eq!(target.name, "shopd");
    assert_eq!(target.allocator, "glibc 2.36");
    assert_eq!(target.id.pid, Pid(4182));
}

#[test]
fn what_is_useful_and_harmless_stays() {
    let mut target = target();
    let mut redactor = Redactor::new();
    redactor.target(&mut target);
    let unseen = &target.unseen[0];
    assert_eq!(unseen.what, "live and free blocks of the heap");
    assert_eq!(
        unseen.why,
        "needs ptrace access: it belongs to uid 1000 (<user-1>)"
    );
    assert_eq!(
        unseen.remedy,
        "sudo sysctl kernel.yama.ptrace_scope=0; see /proc/4182/status"
    );
    for text in [
        "exit status 3 after 12 samples",
        "3 ticks were skipped: 17.1 KiB/s of 1/2",
        "127.0.0.1:6379 and ::1 are this machine",
        "at 12:30:45 <path-1> ended",
        "stack /, heap [heap]",
        "",
    ] {
        assert_eq!(redacted(&mut redactor, text), text);
    }
}

#[test]
fn mappings_keep_what_the_kernel_or_the_distribution_named() {
    let mut tick = tick();
    Redactor::new().tick(&mut tick);
    let names: Vec<_> = tick.mappings.into_iter().flatten().collect();
    let names: Vec<_> = names.iter().map(|state| &*state.mapping.name).collect();
    assert_eq!(
        names,
        [
            "libc.so.6",
            "<path-1>",
            "<path-1> (deleted)",
            "/memfd:<path-2> (deleted)",
            "<path-3>",
            // The word was no secret to this redactor: it has seen no command line.
            "[anon:hunter2]",
            "[heap]",
            "",
        ]
    );
}

#[test]
fn one_secret_has_one_placeholder_everywhere() {
    let mut redactor = Redactor::new();
    let mut one = target();
    redactor.target(&mut one);
    let mut again = target();
    redactor.target(&mut again);
    assert_eq!(one, again);

    let mut first = event("became /opt/acme/bin/shopd");
    redactor.event(&mut first);
    assert_eq!(first.text, "became <path-1>");
    let mut state = mapping("/opt/acme/bin/shopd");
    redactor.mapping(&mut state);
    assert_eq!(&*state.name, "<path-1>");
}

#[test]
fn redacting_twice_changes_nothing() {
    let mut once = observations();
    let mut redactor = Redactor::new();
    redactor.observations(&mut once);
    let mut twice = once.clone();
    redactor.observations(&mut twice);
    assert_eq!(once, twice);
    let mut elsewhere = once.clone();
    Redactor::new().observations(&mut elsewhere);
    assert_eq!(once, elsewhere, "by another redactor");
}

#[test]
fn free_text_is_searched_for_the_forms_of_secrets() {
    let mut redactor = Redactor::new();
    for (text, shown) in [
        ("opened /srv/x/y.txt.", "opened <path-1>."),
        ("opened '/srv/x/y.txt' twice", "opened '<path-1>' twice"),
        ("GET https://u:p@h/x?y=1, ok", "GET <url-1>, ok"),
        (
            "tcp 10.0.0.5:5432 CLOSE_WAIT",
            "tcp <address-1>:5432 CLOSE_WAIT",
        ),
        ("tcp [fe80::1]:80", "tcp [<address-2>]:80"),
        ("x DB_PASSWORD=q7, y", "x DB_PASSWORD=<secret-1>, y"),
        ("glibc 2.36, kernel 6.1.0-13", "glibc 2.36, kernel 6.1.0-13"),
        ("/proc/7/root/srv/x", "<path-2>"),
        ("/proc", "/proc"),
        (
            "read /sys/fs/cgroup/a.slice/memory.max",
            "read /sys/fs/cgroup/<path-3>",
        ),
        ("grün /ö/ü: ß", "grün <path-4>: ß"),
    ] {
        assert_eq!(redacted(&mut redactor, text), shown, "{text}");
    }
}

#[test]
fn words_are_found_as_words_and_keys_inside_of_words() {
    let mut redactor = Redactor::new();
    redactor.hide(SecretKind::Host, "mars");
    redactor.hide(SecretKind::Secret, "k3y-0f-all");
    redactor.hide(SecretKind::Arg, "");
    redactor.hide(SecretKind::Arg, "7");
    for (text, shown) in [
        ("mars, marsh and mars.", "<host-1>, marsh and <host-1>."),
        ("xk3y-0f-ally", "x<secret-1>y"),
        ("7 of 17", "7 of 17"),
    ] {
        assert_eq!(redacted(&mut redactor, text), shown);
    }
}

#[test]
fn a_title_that_the_program_gave_itself_is_its_command_line() {
    let mut target = target();
    target.name = "postgres".to_owned();
    target.exe = String::new();
    target.cmdline = vec!["postgres: alice shop 10.20.30.40(4242) idle".to_owned()];
    let mut redactor = Redactor::new();
    redactor.target(&mut target);
    assert_eq!(target.cmdline, ["<path-1>"]);
    assert_eq!(target.name, "postgres");
    let text = redacted(&mut redactor, "user alice of shop at 10.20.30.40");
    assert!(
        !text.contains("alice") && !text.contains("shop") && !text.contains("10.20"),
        "{text}"
    );
}

#[test]
fn a_name_that_repeats_an_argument_goes_even_if_the_kernel_cut_it() {
    let mut target = target();
    target.name = "correct-horse-b".to_owned();
    target.cmdline = vec!["app".to_owned(), "correct-horse-battery".to_owned()];
    Redactor::new().target(&mut target);
    assert_eq!(target.name, "<arg-1>");
}

#[test]
fn ever_new_names_do_not_make_it_grow() {
    let mut redactor = Redactor::new();
    let mut last = String::new();
    for index in 0..MOST_SECRETS + 10 {
        let mut state = mapping(&format!("/srv/file-{index}"));
        redactor.mapping(&mut state);
        last = state.name.to_string();
    }
    assert_eq!(last, "<path-other>");
    assert_eq!(redactor.known.len(), MOST_SECRETS);
    assert!(redactor.mappings.len() <= MOST_SECRETS);
    let mut first = mapping("/srv/file-0");
    redactor.mapping(&mut first);
    assert_eq!(&*first.name, "<path-1>");
}

#[test]
fn stacks_keep_functions_and_lose_paths() {
    let mut stacks = stacks();
    let mut redactor = Redactor::new();
    let mut tick = StacksTick {
        new_modules: stacks.modules.clone(),
        ..StacksTick::default()
    };
    redactor.stacks(&mut tick);
    let paths: Vec<&str> = tick.new_modules.iter().map(|m| &*m.path).collect();
    assert_eq!(paths, ["<path-1>", "libc.so.6", "[vdso]"]);
    assert_eq!(tick.new_modules[0].build_id, "ab12");

    stacks.symbol_warnings[0] = "no debug file for /opt/acme/bin/shopd".to_owned();
    redactor.symbols(&mut stacks.symbols, &mut stacks.symbol_warnings);
    let (_, names) = &stacks.symbols[0];
    let files: Vec<&str> = names
        .iter()
        .filter_map(|name| name.file.as_deref())
        .collect();
    assert_eq!(files, ["<path-2>", "<path-3>", SYSTEM_SOURCE]);
    for name in names {
        assert_eq!(
            (name.function.as_deref(), name.line),
            (Some("Cart::add"), Some(7))
        );
    }
    assert_eq!(stacks.symbol_warnings, ["no debug file for <path-1>"]);
    // A path that only begins like a system's is none.
    let outside = Symbol {
        file: Some("/usr/include/../../home/alice/a.h".into()),
        ..names[0].clone()
    };
    let place = stacks.symbols[0].0;
    let mut symbols = [(place, vec![outside])];
    redactor.symbols(&mut symbols, &mut []);
    assert_eq!(symbols[0].1[0].file.as_deref(), Some("<path-4>"));
}
