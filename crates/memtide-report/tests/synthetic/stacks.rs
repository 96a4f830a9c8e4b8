//! Findings with call stacks: programs of several languages, stripped ones, many stacks, malice.

use super::{MIB, linear_leak};
use memtide_model::report::{Allocations, FrameRow, StackRow};
use memtide_model::stacks::{HeapMode, Lost, StackEnd, StackKind, StackOwner};
use memtide_model::{Findings, VerdictKind};

const EXE: &str = "/opt/shop/bin/shop";

/// A frame: `function|file:line|module`; parts may be empty, the module is the program by default.
fn frame(words: &str, address: u64) -> FrameRow {
    let mut parts = words.split('|');
    let mut part = || parts.next().filter(|part| !part.is_empty());
    let (function, place, module) = (part(), part(), part());
    let inlined = function.is_some_and(|name| name.ends_with(" ^"));
    let (file, line) = place.and_then(|place| place.rsplit_once(':')).unzip();
    FrameRow {
        function: function.map(|name| name.trim_end_matches(" ^").to_owned()),
        module: Some(module.unwrap_or(EXE).to_owned()),
        file: file.map(str::to_owned),
        line: line.and_then(|line| line.parse().ok()),
        inlined,
        address: format!("{address:#x}"),
    }
}

/// A stack of these frames, innermost first, that grew from `start` to `end` MiB in 600 seconds.
fn stack(start: f64, end: f64, blocks: u64, frames: &[&str]) -> StackRow {
    let growth = (end - start) * MIB;
    let rate = growth / 600.0;
    StackRow {
        kind: StackKind::Heap,
        owner: StackOwner::Target,
        end: StackEnd::Root,
        live_bytes: (end * MIB) as u64,
        live_blocks: blocks,
        peak_bytes: (start.max(end) * MIB) as u64,
        allocs: blocks + 10,
        frees: 10,
        growth_bytes: growth as i64,
        growth_share: None,
        bytes_per_second: Some(rate),
        low: Some(rate * 0.97),
        high: Some(rate * 1.04),
        leak_score: Some(if growth > 0.0 { 0.99 } else { 0.2 }),
        never_freed: false,
        suppressed: None,
        samples: None,
        frames: frames
            .iter()
            .enumerate()
            .map(|(index, words)| frame(words, 0x12ab + 0x100 * index as u64))
            .collect(),
    }
}

/// Findings of a leak with these stacks: shares and sums as the stacks have them.
fn with(mut rows: Vec<StackRow>, mode: HeapMode) -> Findings {
    let mut findings = linear_leak();
    let report = &mut findings.report;
    report.verdict.kind = VerdictKind::HeapLeak;
    report.verdict.candidates = vec![VerdictKind::HeapLeak];
    EXE.clone_into(&mut report.target.exe);
    "shop".clone_into(&mut report.target.name);
    report.target.cmdline = vec!["shop".to_owned(), "--serve".to_owned()];
    report.recording.lenses.push("shim".to_owned());
    let target = |row: &&StackRow| row.owner == StackOwner::Target;
    let growth: i64 = rows.iter().filter(target).map(|row| row.growth_bytes).sum();
    for row in &mut rows {
        row.growth_share = (growth > 0).then(|| row.growth_bytes as f64 / growth as f64);
        if mode == HeapMode::Sampled {
            row.samples = Some(row.live_bytes / (512 << 10) + 1);
        }
    }
    rows.sort_by_key(|row| std::cmp::Reverse(row.growth_bytes));
    let sum = |value: fn(&StackRow) -> u64| rows.iter().filter(target).map(value).sum::<u64>();
    let left = |row: &&StackRow| row.never_freed;
    let ended = rows.iter().any(|row| row.never_freed);
    let of_kind = |kind| {
        let rows = rows
            .iter()
            .filter(target)
            .filter(move |row| row.kind == kind);
        rows.map(|row| row.live_bytes).sum()
    };
    report.allocations = Some(Allocations {
        mode,
        interval_bytes: if mode == HeapMode::Full { 1 } else { 512 << 10 },
        allocs: sum(|row| row.allocs),
        allocated_bytes: sum(|row| row.live_bytes * 3),
        live_bytes: of_kind(StackKind::Heap),
        live_blocks: sum(|row| row.live_blocks),
        mapping_bytes: of_kind(StackKind::Mapping),
        peak_bytes: sum(|row| row.peak_bytes),
        stacks: rows.len() as u64,
        never_freed_blocks: ended
            .then(|| rows.iter().filter(left).map(|row| row.live_blocks).sum()),
        never_freed_bytes: ended.then(|| rows.iter().filter(left).map(|row| row.live_bytes).sum()),
        suppressed_bytes: rows
            .iter()
            .filter(|row| row.suppressed.is_some())
            .map(|row| row.live_bytes)
            .sum(),
        lost: Lost::default(),
    });
    report.stacks = Some(rows);
    findings
}

const C_ROOT: [&str; 3] = [
    "__libc_start_call_main||/lib/x86_64-linux-gnu/libc.so.6",
    "__libc_start_main_impl||/lib/x86_64-linux-gnu/libc.so.6",
    "_start",
];

fn c_stack(start: f64, end: f64, blocks: u64, frames: &[&str]) -> StackRow {
    let all: Vec<_> = frames.iter().chain(&C_ROOT).copied().collect();
    stack(start, end, blocks, &all)
}

/// A C program in full mode that ended: a leak, a mapping, a suppressed stack, a child's stack, one
/// that shrank.
pub(crate) fn c_full() -> Findings {
    let main = "main|src/main.c:88";
    let serve = "serve|src/server.c:412";
    let mut rows = vec![
        c_stack(
            9.0,
            290.0,
            73_664,
            &[
                "xmalloc|src/memory.c:14",
                "order_new|src/order.c:57",
                "handle_request|src/server.c:203",
                serve,
                main,
            ],
        ),
        c_stack(
            0.0,
            16.0,
            4,
            &[
                "pool_grow|src/pool.c:31",
                "order_new|src/order.c:60",
                serve,
                main,
            ],
        ),
        c_stack(
            3.0,
            7.5,
            1_200,
            &[
                "strdup||/lib/x86_64-linux-gnu/libc.so.6",
                "log_line|src/log.c:9",
                serve,
                main,
            ],
        ),
        c_stack(
            30.0,
            12.0,
            40,
            &["cache_load|src/cache.c:120", "serve|src/server.c:380", main],
        ),
        c_stack(1.0, 1.0, 1, &["init_tables|src/main.c:30", main]),
        c_stack(2.0, 4.0, 12, &["report_worker|src/report.c:44", main]),
    ];
    rows[1].kind = StackKind::Mapping;
    rows[4].suppressed = Some("leak:init_tables".to_owned());
    rows[5].owner = StackOwner::Others;
    for row in &mut rows {
        row.never_freed = row.owner == StackOwner::Target && row.kind == StackKind::Heap;
    }
    let mut findings = with(rows, HeapMode::Full);
    if let Some(sums) = &mut findings.report.allocations {
        sums.lost = Lost {
            reentered: 3,
            truncated: 1,
            ..Lost::default()
        };
    }
    findings
}

/// A C++ program with deep templates, inlined calls and long runs of the standard library.
pub(crate) fn cpp_templates() -> Findings {
    let new = "operator new(unsigned long)||/usr/lib/x86_64-linux-gnu/libstdc++.so.6";
    let string = "std::__cxx11::basic_string<char, std::char_traits<char>, std::allocator<char> >";
    let allocate = format!(
        "std::__new_allocator<shop::Line<{string} > >::allocate(unsigned long, void const*) ^|/usr/include/c++/14/bits/new_allocator.h:151"
    );
    let base = format!(
        "std::_Vector_base<shop::Line<{string} >, std::allocator<shop::Line<{string} > > >::_M_allocate(unsigned long) ^|/usr/include/c++/14/bits/stl_vector.h:380"
    );
    let realloc = format!(
        "void std::vector<shop::Line<{string} >, std::allocator<shop::Line<{string} > > >::_M_realloc_append<shop::Line<{string} > >(shop::Line<{string} >&&)|/usr/include/c++/14/bits/vector.tcc:589"
    );
    let push = format!(
        "std::vector<shop::Line<{string} >, std::allocator<shop::Line<{string} > > >::push_back(shop::Line<{string} >&&) ^|/usr/include/c++/14/bits/stl_vector.h:1301"
    );
    let own = format!(
        "void shop::Registry<{string}, shop::Line<{string} > >::insert<std::pair<{string} const, int> >(std::pair<{string} const, int>&&)|/home/build/shop/src/registry.hpp:212"
    );
    let index = "shop::(anonymous namespace)::Index::rebuild(shop::Registry<std::string, int> const&)|/home/build/shop/src/index.cpp:98";
    let handle = "shop::Session::handle(shop::Request const&, std::function<void (shop::Response)>)|/home/build/shop/src/session.cpp:88";
    let rows = vec![
        c_stack(
            12.0,
            180.0,
            9_100,
            &[
                new,
                &allocate,
                &base,
                &realloc,
                &push,
                &own,
                handle,
                "shop::Server::loop()|/home/build/shop/src/server.cpp:41",
                "main|/home/build/shop/src/main.cpp:17",
            ],
        ),
        c_stack(
            4.0,
            61.0,
            240_111,
            &[
                new,
                &format!(
                    "{string}::_M_create(unsigned long&, unsigned long)||/usr/lib/x86_64-linux-gnu/libstdc++.so.6"
                ),
                index,
                handle,
                "shop::Server::loop()|/home/build/shop/src/server.cpp:41",
                "main|/home/build/shop/src/main.cpp:17",
            ],
        ),
        c_stack(
            40.0,
            38.0,
            512,
            &[
                new,
                "shop::Cache::get(int)|/home/build/shop/src/cache.cpp:33",
                handle,
                "shop::Server::loop()|/home/build/shop/src/server.cpp:41",
                "main|/home/build/shop/src/main.cpp:17",
            ],
        ),
        c_stack(
            8.0,
            9.0,
            2_000,
            &[
                "CRYPTO_malloc||/usr/lib/x86_64-linux-gnu/libcrypto.so.3",
                "SSL_new||/usr/lib/x86_64-linux-gnu/libssl.so.3",
                "shop::Server::accept()|/home/build/shop/src/server.cpp:77",
                "shop::Server::loop()|/home/build/shop/src/server.cpp:40",
                "main|/home/build/shop/src/main.cpp:17",
            ],
        ),
    ];
    with(rows, HeapMode::Full)
}

/// A Rust program with generics, sampled.
pub(crate) fn rust_sampled() -> Findings {
    let leaf = [
        "alloc::alloc::alloc ^|/rustc/01f6ddf/library/alloc/src/alloc.rs:98",
        "alloc::raw_vec::finish_grow|/rustc/01f6ddf/library/alloc/src/raw_vec.rs:777",
        "alloc::raw_vec::RawVec<T,A>::grow_one|/rustc/01f6ddf/library/alloc/src/raw_vec.rs:340",
        "alloc::vec::Vec<T,A>::push ^|/rustc/01f6ddf/library/alloc/src/vec/mod.rs:2428",
    ];
    let root = [
        "core::ops::function::FnOnce::call_once|/rustc/01f6ddf/library/core/src/ops/function.rs:250",
        "std::rt::lang_start::{{closure}}|/rustc/01f6ddf/library/std/src/rt.rs:206",
        "std::rt::lang_start_internal|/rustc/01f6ddf/library/std/src/rt.rs:175",
        "main",
    ];
    let row = |start, end, blocks, own: &[&str]| {
        let all: Vec<_> = leaf
            .iter()
            .chain(own)
            .chain(&root)
            .chain(&C_ROOT)
            .copied()
            .collect();
        stack(start, end, blocks, &all)
    };
    let rows = vec![
        row(
            2.0,
            88.0,
            44_000,
            &[
                "shop::queue::Queue<shop::order::Order<alloc::string::String>>::enqueue|src/queue.rs:61",
                "<shop::worker::Worker<F> as shop::worker::Run>::run|src/worker.rs:118",
                "shop::main|src/main.rs:20",
            ],
        ),
        row(
            5.0,
            5.25,
            31,
            &[
                "shop::config::load|src/config.rs:12",
                "shop::main|src/main.rs:9",
            ],
        ),
    ];
    with(rows, HeapMode::Sampled)
}

/// Nothing but addresses.
pub(crate) fn stripped() -> Findings {
    let mut rows = vec![
        stack(
            1.0,
            120.0,
            3_000,
            &["", "", "", "||/usr/lib/libplugin.so.2", ""],
        ),
        stack(4.0, 6.0, 10, &["", ""]),
    ];
    "0x7f00dead".clone_into(&mut rows[0].frames[3].address);
    rows[0].frames[2].module = None;
    rows[0].end = StackEnd::Foreign;
    rows[1].end = StackEnd::Truncated;
    with(rows, HeapMode::Full)
}

/// A thousand stacks of a tree of calls, with a long tail, and recursion deeper than any picture.
pub(crate) fn thousand_stacks() -> Findings {
    let mut rows: Vec<_> = (0..1000_u64)
        .map(|index| {
            let frames: Vec<_> = (0..4 + index % 9)
                .map(|depth| {
                    let branch = index / 10_u64.pow(u32::try_from(depth % 4).unwrap_or(0));
                    format!(
                        "module_{}::step_{depth}_{}|src/step{depth}.rs:{}",
                        branch % 7,
                        branch % 12,
                        index % 90 + 1
                    )
                })
                .rev()
                .collect();
            let frames: Vec<_> = frames
                .iter()
                .map(String::as_str)
                .chain(["main|src/main.rs:3"])
                .collect();
            let end = 40.0 / (index + 1) as f64;
            stack(
                end * if index % 3 == 0 { 1.3 } else { 0.4 },
                end,
                index + 1,
                &frames,
            )
        })
        .collect();
    let deep: Vec<_> = (0..200)
        .map(|depth| format!("descend|src/walk.rs:{depth}"))
        .collect();
    let deep: Vec<_> = ["leaf_of_the_recursion|src/walk.rs:7"]
        .into_iter()
        .chain(deep.iter().map(String::as_str))
        .chain(["main|src/main.rs:3"])
        .collect();
    rows.push(stack(0.0, 25.0, 9, &deep));
    let mut findings = with(rows, HeapMode::Full);
    if let Some(sums) = &mut findings.report.allocations {
        sums.stacks = 48_211;
        sums.live_bytes += 30 << 20;
    }
    findings
}

/// Names, files and suppressions chosen with malice.
pub(crate) fn hostile_stacks() -> Findings {
    let script = "</script></style></svg><script>alert(1)</script>";
    let long = format!(
        "{}<{}>::f({})",
        "n".repeat(5_000),
        "t".repeat(3_000),
        "a".repeat(2_000)
    );
    let mut rows = vec![
        stack(
            0.0,
            50.0,
            5,
            &[
                script,
                "\u{1b}[2Jf\u{202e};g h\n|",
                &long,
                "a<b<c>::d((((",
                "日本語::関数(int)",
            ],
        ),
        stack(50.0, 5.0, 5, &["]]>\"onload='x'|", ";;;", " ", "\u{200b}"]),
        stack(0.0, 0.0, 0, &[]),
    ];
    for (index, row) in rows.iter_mut().enumerate() {
        row.kind = if index == 0 {
            StackKind::Heap
        } else {
            StackKind::Mapping
        };
        row.end = StackEnd::Overflow;
        row.never_freed = true;
        row.bytes_per_second = Some(f64::NAN);
        row.low = Some(f64::NEG_INFINITY);
        row.leak_score = Some(f64::NAN);
        for frame in &mut row.frames {
            frame.file = Some(format!("/tmp/{script}/\u{1b}]0;x\u{7}.c"));
            frame.module = Some(format!("/tmp/{script}.so"));
        }
    }
    rows[1].suppressed = Some(format!("leak:{script}\u{1b}[1m"));
    rows[1].live_bytes = u64::MAX / 8;
    rows[1].growth_bytes = i64::MIN / 16;
    let mut findings = with(rows, HeapMode::Sampled);
    for row in findings.report.stacks.iter_mut().flatten() {
        row.growth_share = Some(f64::NAN);
        row.samples = Some(0);
    }
    findings
}

/// The shim looked, and every block was freed.
pub(crate) fn no_stacks_hold() -> Findings {
    let mut findings = with(
        vec![c_stack(2.0, 0.0, 0, &["f|f.c:1", "main|f.c:9"])],
        HeapMode::Full,
    );
    if let Some(sums) = &mut findings.report.allocations {
        sums.never_freed_blocks = Some(0);
        sums.never_freed_bytes = Some(0);
    }
    findings
}
