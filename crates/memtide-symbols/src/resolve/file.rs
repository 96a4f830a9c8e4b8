//! Asks one file for all of its addresses.

use super::report::{self, ModuleReport};
use super::{Frame, Job, Limits, Place, Resolver};
use crate::demangle::{demangle, is_mangled};
use crate::dwarf::{DebugInfo, Lines};
use crate::locate::{Content, FileUsed, Files, Found, Refused, unpack_mini_debug_info};
use crate::symbol_table::SymbolTable;
use memtide_model::text;
use std::collections::HashMap;
use std::sync::Arc;

/// What one file answered.
pub(super) struct FileAnswer {
    pub(super) frames: Vec<(Place, Arc<[Frame]>)>,
    pub(super) reports: Vec<ModuleReport>,
}

/// All that a file and its debug file know, in memory.
#[derive(Default)]
struct Knowledge {
    debug_info: Option<DebugInfo>,
    tables: Vec<SymbolTable>,
    answered: Vec<FileUsed>,
    refused: Vec<Refused>,
}

pub(super) fn answer(job: &Job<'_>, resolver: &Resolver, threads: usize) -> FileAnswer {
    let mut files = resolver.locator.find(job.module);
    let mut knowledge = Knowledge::read(&files, resolver.limits);
    knowledge.refused.append(&mut files.refused);

    let svmas = svmas(job, &files);
    let mut asked: Vec<u64> = svmas.iter().flatten().copied().collect();
    asked.sort_unstable();
    asked.dedup();
    let known = knowledge.ask(&asked, threads, resolver.demangles);

    let frames = label(job, &svmas, &known);
    let warning = report::warning(
        job,
        files.image.is_some(),
        &knowledge.answered,
        &knowledge.refused,
    );
    let reports = job
        .modules
        .iter()
        .map(|(id, module)| {
            let own = || {
                frames
                    .iter()
                    .filter(|((owner, _), _)| owner == id)
                    .map(|(_, frames)| frames)
            };
            ModuleReport {
                id: *id,
                path: module.path.clone(),
                answered: knowledge.answered.clone(),
                refused: knowledge.refused.clone(),
                addresses: own().count(),
                without_function: count_without(own(), |frame| frame.function.is_some()),
                without_line: count_without(own(), |frame| frame.line.is_some()),
                warning: warning
                    .clone()
                    .filter(|_| job.modules.first().is_some_and(|(first, _)| first == id)),
            }
        })
        .collect();
    FileAnswer { frames, reports }
}

fn count_without<'a>(
    stacks: impl Iterator<Item = &'a Arc<[Frame]>>,
    has: impl Fn(&Frame) -> bool,
) -> usize {
    stacks.filter(|frames| !frames.iter().any(&has)).count()
}

/// The svma of each of the job's addresses, by the mapped file's own headers where it was found.
fn svmas(job: &Job<'_>, files: &Files) -> Vec<Option<u64>> {
    let elf = files
        .image
        .as_ref()
        .or(files.debug.as_ref())
        .map(|found| &found.elf);
    let modules: HashMap<_, _> = job.modules.iter().copied().collect();
    job.addresses
        .iter()
        .map(|(id, avma)| modules.get(id)?.svma(*avma, elf))
        .collect()
}

/// Frames for each address, under the path that its own module had.
fn label(
    job: &Job<'_>,
    svmas: &[Option<u64>],
    known: &HashMap<u64, Vec<Frame>>,
) -> Vec<(Place, Arc<[Frame]>)> {
    let mut labelled: HashMap<(Arc<str>, u64), Arc<[Frame]>> = HashMap::new();
    let names: HashMap<_, Arc<str>> = job
        .modules
        .iter()
        .map(|(id, module)| {
            (
                *id,
                text::printable(module.path.as_os_str().as_encoded_bytes()).into(),
            )
        })
        .collect();
    let mut frames_of = |id, svma: Option<u64>| {
        let name: Option<&Arc<str>> = names.get(&id);
        let unknown = || Arc::new([Frame::unknown(name.cloned())]) as Arc<[Frame]>;
        let (Some(name), Some(svma)) = (name, svma) else {
            return unknown();
        };
        let with_name = || {
            let frames = known.get(&svma)?.iter().cloned();
            Some(
                frames
                    .map(|frame| Frame {
                        module: Some(name.clone()),
                        ..frame
                    })
                    .collect(),
            )
        };
        labelled
            .entry((name.clone(), svma))
            .or_insert_with(|| with_name().unwrap_or_else(unknown))
            .clone()
    };
    job.addresses
        .iter()
        .zip(svmas)
        .map(|(place, svma)| (*place, frames_of(place.0, *svma)))
        .collect()
}

impl Knowledge {
    fn read(files: &Files, limits: Limits) -> Self {
        let mut knowledge = Self::default();
        for found in files.debug.iter().chain(&files.image) {
            if knowledge.debug_info.is_none() && found.elf.has(".debug_info") {
                match DebugInfo::read(&found.bytes, &found.elf, limits.section_bytes) {
                    Ok(info) => {
                        knowledge.debug_info = Some(info);
                        knowledge.answered.push(found.used_for(Content::DebugInfo));
                    }
                    Err(reason) => knowledge.refused.push(found.refuse(reason)),
                }
            }
        }
        knowledge.read_tables(files, limits);
        knowledge
    }

    /// The full table of the debug file or the image; without one, what `strip` leaves.
    fn read_tables(&mut self, files: &Files, limits: Limits) {
        let full = (".symtab", ".strtab", Content::SymbolTable);
        for found in files.debug.iter().chain(&files.image) {
            self.read_table(found, full, limits);
            if !self.tables.is_empty() {
                return;
            }
        }
        let Some(image) = &files.image else {
            return;
        };
        match unpack_mini_debug_info(&image.bytes, &image.elf) {
            None => {}
            Some(Err(reason)) => self.refused.push(image.refuse(reason)),
            Some(Ok((bytes, elf))) => {
                let table = SymbolTable::read(&bytes, &elf, full.0, full.1, limits.section_bytes);
                self.keep(table, image, image.used_inside(full.2));
            }
        }
        self.read_table(
            image,
            (".dynsym", ".dynstr", Content::DynamicSymbols),
            limits,
        );
    }

    fn read_table(&mut self, found: &Found, names: (&str, &str, Content), limits: Limits) {
        let (table, strings, content) = names;
        let table = SymbolTable::read(
            &found.bytes,
            &found.elf,
            table,
            strings,
            limits.section_bytes,
        );
        self.keep(table, found, found.used_for(content));
    }

    fn keep(&mut self, table: Result<SymbolTable, String>, found: &Found, used: FileUsed) {
        match table {
            Ok(table) if table.is_empty() => {}
            Ok(table) => {
                self.tables.push(table);
                self.answered.push(used);
            }
            Err(reason) => self.refused.push(found.refuse(reason)),
        }
    }

    /// The frames of sorted svmas, each thread with a stretch of them.
    fn ask(&self, svmas: &[u64], threads: usize, demangles: bool) -> HashMap<u64, Vec<Frame>> {
        let stretch = svmas.len().div_ceil(threads).max(1);
        let parts = std::thread::scope(|scope| {
            let asking: Vec<_> = svmas
                .chunks(stretch)
                .map(|part| scope.spawn(|| self.ask_in_order(part, demangles)))
                .collect();
            // Foreign bytes that make a parser panic cost their stretch, not the run.
            asking
                .into_iter()
                .map(|part| part.join().ok())
                .collect::<Vec<_>>()
        });
        let mut known = HashMap::with_capacity(svmas.len());
        for part in parts.into_iter().flatten() {
            known.extend(part);
        }
        known
    }

    fn ask_in_order(&self, svmas: &[u64], demangles: bool) -> Vec<(u64, Vec<Frame>)> {
        let lines = self.debug_info.as_ref().and_then(|info| info.lines().ok());
        let mut words = Words {
            demangles,
            ..Words::default()
        };
        svmas
            .iter()
            .map(|svma| (*svma, self.frames(*svma, lines.as_ref(), &mut words)))
            .collect()
    }

    fn frames(&self, svma: u64, lines: Option<&Lines<'_>>, words: &mut Words) -> Vec<Frame> {
        let raw = lines.map(|lines| lines.frames(svma)).unwrap_or_default();
        let count = raw.len();
        let symbol = || self.tables.iter().find_map(|table| table.find(svma));
        let mut frames: Vec<Frame> = raw
            .into_iter()
            .enumerate()
            .map(|(index, raw)| {
                let outermost = index + 1 == count;
                let name = match raw.name.as_deref() {
                    Some(name) if !outermost || is_mangled(name) => Some(name),
                    // DWARF may only say `operator()`; the symbol says of what.
                    Some(name) => symbol().filter(|symbol| is_mangled(symbol)).or(Some(name)),
                    None if outermost => symbol(),
                    None => None,
                };
                Frame {
                    function: name.map(|name| words.function(name)),
                    module: None,
                    file: raw.file.map(|file| words.file(&file)),
                    line: raw.line,
                    inlined: !outermost,
                }
            })
            .collect();
        if frames.is_empty() {
            let function = symbol().map(|name| words.function(name));
            frames.push(Frame {
                function,
                ..Frame::unknown(None)
            });
        }
        frames
    }
}

/// Each name once: readable functions by their linker's name, and files.
#[derive(Default)]
struct Words {
    demangles: bool,
    functions: HashMap<Box<str>, Arc<str>>,
    files: HashMap<Box<str>, Arc<str>>,
}

impl Words {
    fn function(&mut self, name: &str) -> Arc<str> {
        if let Some(known) = self.functions.get(name) {
            return known.clone();
        }
        let readable: Arc<str> = if self.demangles {
            demangle(name).into()
        } else {
            name.into()
        };
        self.functions.insert(name.into(), readable.clone());
        readable
    }

    fn file(&mut self, file: &str) -> Arc<str> {
        if let Some(known) = self.files.get(file) {
            return known.clone();
        }
        let shared: Arc<str> = file.into();
        self.files.insert(file.into(), shared.clone());
        shared
    }
}
