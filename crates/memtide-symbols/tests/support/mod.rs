//! What the tests share: programs compiled on the spot, tools run, frames compared.
#![allow(dead_code, reason = "each test file uses its part")]
#![allow(clippy::unwrap_used, reason = "only tests and the bench use it")]

use memtide_model::Nanos;
use memtide_symbols::{
    Address, Frame, Module, ModuleId, ModuleTable, Placement, Resolution, Resolver, Segment,
};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A C++ program with inlining at several depths, templates, lambdas, statics and a cold path.
pub(crate) const CPP: &str = include_str!("../fixtures/program.cc");
/// A C library's worth of small functions.
pub(crate) const C: &str = include_str!("../fixtures/program.c");

/// Runs a tool that must succeed.
pub(crate) fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().unwrap();
    assert!(
        output.status.success(),
        "{program} {arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// True where the tool is installed; says so on stderr where it is not.
pub(crate) fn has_tool(program: &str) -> bool {
    let found = Command::new(program)
        .arg("--version")
        .output()
        .is_ok_and(|o| o.status.success());
    if !found {
        eprintln!("skipped: {program} is not installed");
    }
    found
}

/// Compiles a source with cc or c++ and gives the program's path.
pub(crate) fn compile(dir: &Path, name: &str, source: &str, flags: &[&str]) -> PathBuf {
    let (compiler, extension) = if source == C {
        ("cc", "c")
    } else {
        ("c++", "cc")
    };
    let file = dir.join(format!("source.{extension}"));
    std::fs::write(&file, source).unwrap();
    let program = dir.join(name);
    let mut arguments = flags.to_vec();
    arguments.extend([
        "-Wl,--build-id",
        "-o",
        program.to_str().unwrap(),
        file.to_str().unwrap(),
    ]);
    run(compiler, &arguments);
    program
}

/// Address and size of the program's functions (`nm -S`), as its own tables have them.
pub(crate) fn functions(program: &Path) -> Vec<(u64, u64, String)> {
    let listing = run("nm", &["-S", "--defined-only", program.to_str().unwrap()]);
    let hex = |text: &str| u64::from_str_radix(text, 16).ok();
    listing
        .lines()
        .filter_map(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let [address, size, kind, name] = fields[..] else {
                return None;
            };
            "tTwW"
                .contains(kind)
                .then_some((hex(address)?, hex(size)?, name.to_owned()))
        })
        .collect()
}

/// Up to `count` svmas spread evenly over the bytes of all functions.
pub(crate) fn sample(program: &Path, count: usize) -> Vec<u64> {
    let mut svmas: Vec<u64> = functions(program)
        .iter()
        .flat_map(|(address, size, _)| *address..address + size)
        .collect();
    svmas.sort_unstable();
    svmas.dedup();
    let step = svmas.len().div_ceil(count).max(1);
    svmas.into_iter().step_by(step).collect()
}

/// The file as a module whose avmas are its svmas.
pub(crate) fn module(path: &Path) -> Module {
    Module {
        path: path.into(),
        build_id: None,
        segments: vec![Segment {
            start: 0,
            end: u64::MAX,
            placement: Placement::Svma(0),
        }],
        loaded: Nanos(0),
        unloaded: None,
    }
}

/// Looks up svmas of one module.
pub(crate) fn resolve(resolver: &Resolver, module: Module, svmas: &[u64]) -> Resolution {
    let mut table = ModuleTable::new();
    assert_eq!(table.add(module), ModuleId(0));
    let addresses: Vec<Address> = svmas
        .iter()
        .map(|svma| Address {
            avma: *svma,
            is_return_address: false,
            at: None,
        })
        .collect();
    resolver.resolve(&table, &addresses)
}

/// (function, file, line), "??" and 0 for what is not known.
pub(crate) type Plain = (String, String, u32);

/// A frame without what an address-to-line tool does not say.
pub(crate) fn plain(frame: &Frame) -> Plain {
    let text = |text: &Option<std::sync::Arc<str>>| text.as_deref().unwrap_or("??").to_owned();
    (
        text(&frame.function),
        text(&frame.file),
        frame.line.unwrap_or(0),
    )
}

/// The frames by an addr2line program, fed the svmas on its standard input.
pub(crate) fn oracle(tool: &str, flags: &[&str], program: &Path, svmas: &[u64]) -> Vec<Vec<Plain>> {
    let mut child = Command::new(tool)
        .args(flags)
        .args(["-a", "-f", "-i", "-e"])
        .arg(program)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    let svmas: Vec<u64> = svmas.to_vec();
    let feed = std::thread::spawn(move || {
        let mut input = std::io::BufWriter::new(&mut input);
        for svma in svmas {
            writeln!(input, "{svma:#x}").unwrap();
        }
    });
    let output = child.wait_with_output().unwrap();
    feed.join().unwrap();
    let mut stacks: Vec<Vec<Plain>> = Vec::new();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        if line.starts_with("0x") {
            stacks.push(Vec::new());
            continue;
        }
        let place = lines.next().unwrap_or("??:0");
        let place = place.split(" (discriminator").next().unwrap();
        // elfutils adds where it was inlined to the name and the column to the line.
        let name = line.split(" inlined at ").next().unwrap();
        let (rest, mut number) = place.rsplit_once(':').unwrap_or((place, "0"));
        let mut file = rest;
        if tool.starts_with("eu-")
            && let Some((shorter, line)) = rest.rsplit_once(':')
        {
            (file, number) = (shorter, line);
        }
        let frame = (
            name.to_owned(),
            file.to_owned(),
            number.parse().unwrap_or(0),
        );
        stacks.last_mut().unwrap().push(frame);
    }
    stacks
}
