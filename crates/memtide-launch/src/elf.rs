//! What the head of a program file says about who loads it.
//!
//! Reads the ELF header, the program headers and the dynamic segment, and nothing else: a program of
//! a gigabyte costs a few reads. Numbers are those of the System V ABI, chapters 4 and 5.

use object::elf::{self, FileHeader64};
use object::read::elf::{Dyn as _, FileHeader as _, ProgramHeader as _};
use object::{Endianness, ReadCache};
use std::fs::File;
use std::io::{self, Read as _, Seek as _};
use std::os::unix::ffi::OsStringExt as _;
use std::path::PathBuf;

/// Bytes of `e_ident` and of the two fields after it, `e_type` and `e_machine`.
const HEAD: usize = 20;

/// The part of a file's head that decides who runs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Head {
    /// Text after `#!`: the interpreter and, if there is one, its argument.
    Script(PathBuf),
    /// An ELF file for 64-bit little-endian machines.
    Elf64(Elf),
    /// An ELF file of 32 bits, with its machine number.
    Elf32(u16),
    /// An ELF file for big-endian machines, with its machine number.
    BigEndian(u16),
    /// Something else, which the kernel refuses and a shell may take as its commands.
    Other,
}

/// What a 64-bit ELF file needs in order to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Elf {
    /// `e_machine`.
    pub(crate) machine: u16,
    /// The loader named by `PT_INTERP`.
    pub(crate) interpreter: Option<PathBuf>,
    /// Libraries named by `DT_NEEDED`.
    pub(crate) libraries: usize,
}

/// Reads the head of a file. A file that is damaged is [`Head::Other`].
pub(crate) fn head(file: File) -> io::Result<Head> {
    let mut file = file;
    let mut start = Vec::new();
    // The kernel looks at 256 bytes for the interpreter of a script.
    file.by_ref().take(256).read_to_end(&mut start)?;
    if let Some(line) = start.strip_prefix(b"#!") {
        return Ok(script(line));
    }
    let Some(ident) = start
        .get(..HEAD)
        .filter(|ident| ident.starts_with(&elf::ELFMAG))
    else {
        return Ok(Head::Other);
    };
    let byte = |index: usize| ident.get(index).copied().unwrap_or_default();
    let machine = [byte(18), byte(19)];
    if byte(5) == elf::ELFDATA2MSB.0 {
        return Ok(Head::BigEndian(u16::from_be_bytes(machine)));
    }
    if byte(4) != elf::ELFCLASS64.0 {
        return Ok(Head::Elf32(u16::from_le_bytes(machine)));
    }
    file.rewind()?;
    Ok(needs(file).map_or(Head::Other, Head::Elf64))
}

/// The interpreter in the first line of a script, as `binfmt_script` of the kernel finds it.
fn script(line: &[u8]) -> Head {
    let line = line.split(|&byte| byte == b'\n').next().unwrap_or_default();
    let name = line
        .split(|byte| matches!(byte, b' ' | b'\t' | 0))
        .find(|word| !word.is_empty());
    name.map_or(Head::Other, |name| {
        Head::Script(std::ffi::OsString::from_vec(name.to_vec()).into())
    })
}

fn needs(file: File) -> Option<Elf> {
    let data = ReadCache::new(file);
    let header = FileHeader64::<Endianness>::parse(&data).ok()?;
    let endian = header.endian().ok()?;
    let mut found = Elf {
        machine: header.e_machine(endian).0,
        interpreter: None,
        libraries: 0,
    };
    for segment in header.program_headers(endian, &data).ok()? {
        if let Some(path) = segment.interpreter(endian, &data).ok()? {
            found.interpreter = Some(std::ffi::OsString::from_vec(path.to_vec()).into());
        }
        if let Some(entries) = segment.dynamic(endian, &data).ok()? {
            found.libraries = entries
                .iter()
                .map(|entry| entry.d_tag(endian))
                .take_while(|tag| *tag != elf::DT_NULL)
                .filter(|tag| *tag == elf::DT_NEEDED)
                .count();
        }
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    fn head_of(content: &[u8]) -> Head {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(content).unwrap();
        file.rewind().unwrap();
        head(file).unwrap()
    }

    #[test]
    fn scripts_name_their_interpreter() {
        let python = Head::Script("/usr/bin/env".into());
        assert_eq!(head_of(b"#! /usr/bin/env python3\nprint()"), python);
        assert_eq!(head_of(b"#!/usr/bin/env"), python);
        assert_eq!(head_of(b"#!\n/usr/bin/env"), Head::Other);
        assert_eq!(head_of(b"echo hello\n"), Head::Other);
        assert_eq!(head_of(b""), Head::Other);
    }

    #[test]
    fn class_and_order_of_bytes_are_told_apart() {
        let mut ident = [0_u8; 64];
        ident[..7].copy_from_slice(b"\x7fELF\x01\x01\x01");
        ident[18] = 3;
        assert_eq!(head_of(&ident), Head::Elf32(3));
        ident[..7].copy_from_slice(b"\x7fELF\x02\x02\x01");
        ident[18..20].copy_from_slice(&[0, 22]);
        assert_eq!(head_of(&ident), Head::BigEndian(22));
        assert_eq!(head_of(b"\x7fELF\x02\x01\x01"), Head::Other);
    }

    #[test]
    fn our_own_test_is_a_dynamic_program() {
        let own = File::open("/proc/self/exe").unwrap();
        let Head::Elf64(elf) = head(own).unwrap() else {
            panic!("a 64-bit program");
        };
        let loader = elf.interpreter.unwrap();
        assert!(loader.is_file(), "{}", loader.display());
        assert!(elf.libraries >= 1);
    }

    #[test]
    fn a_file_cut_anywhere_is_no_panic() {
        let whole = std::fs::read("/bin/true").unwrap();
        for length in (0..whole.len().min(4096)).step_by(7) {
            head_of(&whole[..length]);
        }
    }
}
