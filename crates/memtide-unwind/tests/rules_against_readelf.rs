//! Every row of every unwinding table of real programs, against binutils' reading of the same.

use memtide_unwind::{EhFrameSections, Frame, Rule, compile};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A file as the loader would map it, at bias 0.
struct Image {
    bytes: Vec<u8>,
    /// Address of the first byte, and place in the file, of the unwinding header.
    header: (u64, usize),
    /// Address, place and length of each loaded segment.
    loads: Vec<(u64, usize, usize)>,
}

fn number(bytes: &[u8], at: usize, size: usize) -> usize {
    let mut word = [0; 8];
    word[..size].copy_from_slice(&bytes[at..at + size]);
    usize::try_from(u64::from_le_bytes(word)).expect("64-bit machine")
}

impl Image {
    fn read(path: &Path) -> Self {
        let bytes = fs::read(path).expect("the program can be read");
        let first = number(&bytes, 32, 8);
        let (mut header, mut loads) = (None, Vec::new());
        for index in 0..number(&bytes, 56, 2) {
            let entry = first + index * number(&bytes, 54, 2);
            let place = number(&bytes, entry + 8, 8);
            let address = number(&bytes, entry + 16, 8) as u64;
            match number(&bytes, entry, 4) {
                1 => loads.push((address, place, number(&bytes, entry + 32, 8))),
                0x6474_e550 => header = Some((address, place)),
                _ => {}
            }
        }
        Self {
            bytes,
            header: header.expect("it has an .eh_frame_hdr"),
            loads,
        }
    }

    fn from(&self, address: u64) -> &[u8] {
        let inside =
            |load: &&(u64, usize, usize)| (load.0..load.0 + load.2 as u64).contains(&address);
        let load = self
            .loads
            .iter()
            .find(inside)
            .expect("the address is mapped");
        let skip = usize::try_from(address - load.0).expect("within the segment");
        &self.bytes[load.1 + skip..load.1 + load.2]
    }

    fn sections(&self) -> EhFrameSections<'_> {
        let header = self.from(self.header.0);
        let frames_address =
            EhFrameSections::frames_address(header, self.header.0).expect("a pointer to .eh_frame");
        EhFrameSections {
            header,
            header_address: self.header.0,
            frames: self.from(frames_address),
            frames_address,
        }
    }
}

fn offset(cell: &str, prefix: &str) -> Option<i64> {
    cell.strip_prefix(prefix)?.parse().ok()
}

/// What a row of readelf's table asks for. `None`: an expression, which readelf does not show here.
fn wanted(columns: &[&str], cells: &[&str], signal: bool) -> Option<Frame> {
    if signal {
        return Some(Frame::Signal);
    }
    let cell = |name| {
        let at = columns.iter().position(|column| *column == name)?;
        cells.get(at).copied()
    };
    let cfa = cell("CFA").expect("every row has a CFA");
    match cell("ra") {
        Some("u") => return Some(Frame::End),
        Some("c-8") => {}
        _ => return Some(Frame::Unknown),
    }
    if cfa == "exp" {
        return None;
    }
    let saved = match cell("rbp") {
        None | Some("u" | "s") => 0,
        Some(text) => match offset(text, "c").and_then(|o| u32::try_from(-o).ok()) {
            Some(saved) => saved,
            None => return Some(Frame::Unknown),
        },
    };
    let bytes = |text: &str, register| offset(text, register).and_then(|o| u32::try_from(o).ok());
    let frame = if let Some(cfa) = bytes(cfa, "rsp") {
        Frame::Stack { cfa, saved }
    } else if let Some(cfa) = bytes(cfa, "rbp") {
        Frame::Base { cfa, saved }
    } else {
        Frame::Unknown
    };
    Some(Rule::new(frame).frame())
}

/// Where gcc's way of realigning a stack is complete, and where it keeps the CFA, by the instructions of
/// the tables as readelf prints them.
fn realigned(path: &Path) -> Vec<(u64, i32)> {
    let text = readelf(path, "--debug-dump=frames");
    let (mut found, mut address) = (Vec::new(), 0);
    for line in text.lines() {
        if line.contains(".debug_frame section") {
            break;
        }
        let hex = |text: &str| u64::from_str_radix(text, 16).expect("readelf prints hex");
        if let Some((_, range)) = line.split_once(" pc=") {
            address = hex(range.split("..").next().expect("a beginning"));
        } else if line.contains("DW_CFA_advance_loc") {
            address = hex(line.split_whitespace().last().expect("an address"));
        } else if let Some((_, rest)) = line.split_once("cfa_expression (DW_OP_breg6 (rbp): ")
            && let Some(offset) = rest.strip_suffix("; DW_OP_deref)")
        {
            found.push((address, offset.parse().expect("an offset")));
        }
    }
    found
}

fn readelf(path: &Path, what: &str) -> String {
    let output = Command::new("readelf")
        .args(["--wide", what])
        .arg(path)
        .output()
        .expect("readelf can be run");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Compares every row; gives how many were compared and how many were expressions.
fn compare(path: &Path) -> (usize, usize) {
    compare_some(path, 1)
}

/// As [`compare`], for one row in so many.
fn compare_some(path: &Path, every: usize) -> (usize, usize) {
    let image = Image::read(path);
    let sections = image.sections();
    for (address, offset) in realigned(path) {
        let found = compile(&sections, address + 1).frame();
        let expected = Frame::Realigned { offset };
        assert_eq!(found, expected, "{} at {address:#x}", path.display());
    }
    let text = readelf(path, "--debug-dump=frames-interp");
    let (mut columns, mut in_entry, mut signal) = (Vec::new(), false, false);
    let mut signal_cies = Vec::new();
    let (mut compared, mut expressions) = (0, 0);
    let lines: Vec<&str> = text.lines().collect();
    for (index, line) in lines.iter().enumerate() {
        if line.contains(".debug_frame section") {
            break;
        }
        let cells: Vec<&str> = line.split_whitespace().collect();
        if line.contains(" CIE ") {
            in_entry = false;
            if line.contains('S') && cells.get(4).is_some_and(|name| name.contains('S')) {
                signal_cies.push(cells[0].to_owned());
            }
        } else if let Some((_, rest)) = line.split_once("FDE cie=") {
            in_entry = true;
            signal = signal_cies.iter().any(|cie| rest.starts_with(cie.as_str()));
        } else if cells.first() == Some(&"LOC") {
            columns = cells;
        } else if in_entry && cells.len() == columns.len() && !cells.is_empty() {
            // A row that the next one replaces at the same address holds for no instruction.
            let next = lines
                .get(index + 1)
                .and_then(|next| next.split_whitespace().next());
            let Ok(address) = u64::from_str_radix(cells[0], 16) else {
                continue;
            };
            if next == Some(cells[0]) || index % every != 0 {
                continue;
            }
            let found = compile(&sections, address + 1).frame();
            if let Some(wanted) = wanted(&columns, &cells, signal) {
                assert_eq!(found, wanted, "{} at {address:#x}: {line}", path.display());
                compared += 1;
            } else {
                let known = matches!(found, Frame::Realigned { .. } | Frame::Unknown);
                assert!(known, "{} at {address:#x}: {found:?}", path.display());
                expressions += 1;
            }
        }
    }
    (compared, expressions)
}

/// The file that the running program has mapped under this name.
fn mapped(name: &str) -> PathBuf {
    let maps = fs::read_to_string("/proc/self/maps").expect("proc is mounted");
    let line = maps.lines().find(|line| line.contains(name));
    let path = line.and_then(|line| line.split_whitespace().last());
    PathBuf::from(path.expect("the library is mapped"))
}

#[test]
fn rules_of_libc_equal_readelfs() {
    let (compared, expressions) = compare(&mapped("libc.so"));
    assert!(compared > 5000, "libc has many rows: {compared}");
    println!("{compared} rows, {expressions} expressions");
}

#[test]
fn rules_of_a_rust_program_equal_readelfs() {
    let itself = std::env::current_exe().expect("it runs");
    let (compared, _) = compare(&itself);
    assert!(compared > 2000, "a Rust program has many rows: {compared}");
}

#[test]
fn rules_of_a_cpp_library_and_of_realigned_functions_equal_readelfs() {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let source = folder.join("frames.cpp");
    let program = folder.join("frames");
    let text = "#include <map>\n#include <string>\n#include <stdexcept>\n#include <immintrin.h>\n\
        __attribute__((noinline)) int wide(int n, const char *s) {\n\
          alignas(64) volatile char buffer[256]; char *more = (char *)__builtin_alloca(n);\n\
          more[0] = s[0]; buffer[n & 255] = more[0]; if (n > 1000) throw std::runtime_error(s);\n\
          return buffer[0] + more[0]; }\n\
        int main(int argc, char **argv) {\n\
          std::map<std::string, int> map; map[argv[0]] = argc;\n\
          try { return wide(argc, argv[0]) + (int)map.size() > 100000; } catch (...) { return 2; } }\n";
    fs::write(&source, text).expect("the target folder can be written");
    let status = Command::new("g++")
        .arg("-O2")
        .arg(&source)
        .arg("-o")
        .arg(&program)
        .status();
    assert!(
        status.expect("g++ can be run").success(),
        "the C++ program compiles"
    );
    let (compared, _) = compare(&program);
    assert!(compared > 50, "the program has rows: {compared}");
    let realigned = realigned(&program);
    assert!(!realigned.is_empty(), "gcc realigns the stack of `wide`");
    let linked = Command::new("ldd")
        .arg(&program)
        .output()
        .expect("ldd can be run");
    let linked = String::from_utf8_lossy(&linked.stdout).into_owned();
    let line = linked.lines().find(|line| line.contains("libstdc++"));
    let library = line.and_then(|line| line.split_whitespace().nth(2));
    let (compared, expressions) = compare(Path::new(library.expect("it is linked to libstdc++")));
    assert!(compared > 10_000, "libstdc++ has many rows: {compared}");
    println!("{compared} rows, {expressions} expressions");
}

/// Programs that are other people's: compared where they are installed.
#[test]
fn rules_of_python_and_of_a_compiler_equal_readelfs() {
    let compiler = Command::new("gcc")
        .arg("-print-prog-name=cc1plus")
        .output()
        .expect("gcc can be run");
    let compiler = String::from_utf8_lossy(&compiler.stdout).trim().to_owned();
    let is_long = std::env::var_os("MEMTIDE_LONG").is_some();
    // Half a million rows take a while where code is not optimised.
    let some = if is_long { 1 } else { 9 };
    for (path, every) in [(compiler.as_str(), some), ("/usr/bin/python3", 1)] {
        if !Path::new(path).is_absolute() || !Path::new(path).exists() {
            println!("skipped: {path} is not installed");
            continue;
        }
        let (compared, expressions) = compare_some(Path::new(path), every);
        assert!(compared > 10_000, "{path} has many rows: {compared}");
        println!("{path}: {compared} rows, {expressions} expressions");
    }
}

#[test]
fn damaged_sections_give_some_rule_and_no_panic() {
    let image = Image::read(&mapped("libc.so"));
    let whole = image.sections();
    let (mut header, mut frames) = (whole.header.to_vec(), whole.frames.to_vec());
    let address = image.header.0;
    let mut random = 5_u64;
    for round in 0..20_000 {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        let bytes = if round % 2 == 0 {
            &mut header
        } else {
            &mut frames
        };
        // The header's first words steer everything else.
        let span = if round % 8 == 0 { 32 } else { bytes.len() };
        let at = usize::try_from(random >> 33).expect("31 bits") % span;
        let old = bytes[at];
        bytes[at] = u8::try_from(random >> 24 & 255).expect("a byte");
        let cut = frames.len() - usize::try_from(random >> 40).expect("24 bits") % frames.len();
        let damaged = EhFrameSections {
            header: &header,
            frames: &frames[..cut],
            ..whole
        };
        for offset in [0, 1, 0x1_0000, 0x8_0000] {
            let _ = compile(&damaged, (address & !0xfff).wrapping_sub(offset)).frame();
        }
        // Half of the damage stays and adds up.
        if round % 2 == 0 {
            header[at] = old;
        }
    }
    let empty = EhFrameSections {
        header: &[],
        frames: &[],
        ..whole
    };
    assert_eq!(compile(&empty, 0).frame(), Frame::Unknown);
    assert_eq!(compile(&empty, u64::MAX).frame(), Frame::Unknown);
    assert_eq!(EhFrameSections::frames_address(&[1, 2, 3], 0), None);
}
