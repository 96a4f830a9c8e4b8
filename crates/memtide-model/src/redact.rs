//! Takes secrets out of what was recorded, before it is shown to somebody else.
//!
//! A [`Redactor`] replaces command lines, paths, addresses, cgroups and names by placeholders such as
//! `<path-1>` or `<arg-2>`. The same secret gets the same placeholder for as long as the redactor
//! lives, so that a reader still sees that two mappings are the same file. What it has met in a
//! command line, a path or a mapping's name it also looks for inside free text; and in free text it
//! finds by itself URLs, absolute paths, IP addresses and `password=…`.
//!
//! What stays, because it is useful and tells nothing: numbers, pids and uids; the kernel's own names
//! (`[heap]`, `/SYSV…`, `/dev/zero`); the file names of shared libraries in the system's own folders
//! (`/usr/lib/…/libc.so.6` becomes `libc.so.6`); paths below /proc and /sys; loopback addresses;
//! allocator and runtime; of code, functions, build-ids, and the sources that came with a compiler
//! (`/usr/include/…`, `/rustc/…`). The names of the process and of its threads (`comm`) stay too, but
//! for whatever of them occurs in the command line beyond the file name of `argv[0]`: a secret that a
//! program put into a thread's name, and nowhere else, stays visible.
//!
//! Limits: what is shorter than three characters is replaced where it is an argument, and not looked
//! for elsewhere, or no sentence would survive; words and numbers are looked for as whole words. It
//! does no input or output, and it does not guess what else might be a secret.

mod census;
mod known;
mod public;
mod scan;
#[cfg(test)]
mod tests;

use crate::event::Event;
use crate::held::{GroupTarget, HeldKind};
use crate::mapping::Mapping;
use crate::observations::Observations;
use crate::sample::Tick;
use crate::stacks::{CodeModule, CodePlace, StacksTick, Symbol};
use crate::target::Target;
use crate::tree::{TreeMember, TreeTick};
use known::Known;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

/// What a secret is: the word in its placeholder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SecretKind {
    /// A file's path or a part of one.
    Path,
    /// An argument of a command line or a part of one.
    Arg,
    /// The path of a control group or a part of one.
    Cgroup,
    /// An IP address.
    Address,
    /// A URL.
    Url,
    /// A user's name.
    User,
    /// A host's name.
    Host,
    /// The value of something called password, token or the like.
    Secret,
}

impl SecretKind {
    /// All kinds.
    pub const ALL: [Self; 8] = [
        Self::Path,
        Self::Arg,
        Self::Cgroup,
        Self::Address,
        Self::Url,
        Self::User,
        Self::Host,
        Self::Secret,
    ];

    /// Its word in placeholders: `path` of `<path-1>`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Path => "path",
            Self::Arg => "arg",
            Self::Cgroup => "cgroup",
            Self::Address => "address",
            Self::Url => "url",
            Self::User => "user",
            Self::Host => "host",
            Self::Secret => "secret",
        }
    }
}

/// Replaces secrets by placeholders; see the [module](self).
///
/// It remembers at most 65,536 secrets; those after that share one placeholder a kind,
/// `<path-other>`, so that a target which maps ever new files does not make it grow.
#[derive(Default)]
pub struct Redactor {
    known: Known,
    /// Mappings and names already redacted, valid while `known` has `cached_at` secrets.
    mappings: HashMap<Arc<Mapping>, Arc<Mapping>>,
    names: HashMap<Arc<str>, Arc<str>>,
    commands: HashMap<Arc<[String]>, Arc<[String]>>,
    cached_at: usize,
}

/// Only counts: a debug print must not undo the work.
impl fmt::Debug for Redactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redactor")
            .field("secrets", &self.known.len())
            .finish_non_exhaustive()
    }
}

impl Redactor {
    /// One that knows no secret yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a secret that the caller knows of: the machine's name, the user's. Its occurrences in
    /// free text become a placeholder from now on. An empty string is no secret.
    pub fn hide(&mut self, kind: SecretKind, secret: &str) {
        if !secret.is_empty() {
            self.known.add_sought(kind, secret);
        }
    }

    /// Redacts a process. Call it before anything else of that process: the command line is where
    /// most secrets are learnt.
    pub fn target(&mut self, target: &mut Target) {
        if target.exe.starts_with('/') {
            target.exe = self.whole_path(&target.exe);
        } else {
            self.text(&mut target.exe);
        }
        self.command_line(&mut target.cmdline);
        if let Some(cgroup) = &mut target.cgroup {
            self.cgroup(cgroup);
        }
        target.name = self.name(&target.name);
        for unseen in &mut target.unseen {
            for text in [&mut unseen.what, &mut unseen.why, &mut unseen.remedy] {
                self.text(text);
            }
        }
    }

    /// Redacts names of mappings, names of threads as far as they repeat a known secret, and events.
    pub fn tick(&mut self, tick: &mut Tick) {
        for state in tick.mappings.iter_mut().flatten() {
            self.mapping(&mut state.mapping);
        }
        for thread in tick.threads.iter_mut().flatten() {
            self.shared_name(&mut thread.name);
        }
        for group in tick.held.iter_mut().flatten() {
            self.held(&mut group.target);
        }
        for event in &mut tick.events {
            self.event(event);
        }
    }

    /// Redacts names and command lines of the processes of a tree.
    pub fn tree(&mut self, tick: &mut TreeTick) {
        for member in &mut tick.members {
            self.member(member);
        }
    }

    fn member(&mut self, member: &mut TreeMember) {
        self.drop_stale_caches();
        let shown = self.commands.get(&member.cmdline).cloned();
        member.cmdline = shown.unwrap_or_else(|| {
            let mut words = member.cmdline.to_vec();
            self.command_line(&mut words);
            let shown: Arc<[String]> = words.into();
            self.commands
                .insert(Arc::clone(&member.cmdline), Arc::clone(&shown));
            shown
        });
        self.shared_name(&mut member.name);
    }

    /// Redacts paths, addresses and names of what is held. The state and the port of a socket stay.
    fn held(&mut self, target: &mut GroupTarget) {
        if target.name.is_empty() {
            return;
        }
        if target.kind == HeldKind::Child {
            self.shared_name(&mut target.name);
            return;
        }
        let shown = match target.kind {
            HeldKind::File
            | HeldKind::Deleted
            | HeldKind::Memfd
            | HeldKind::PosixQueue
            | HeldKind::Tmpfs
                if target.name.starts_with('/') =>
            {
                scan::path(&mut self.known, &target.name)
            }
            // A path, or a name that the program chose.
            HeldKind::Unix | HeldKind::Memfd | HeldKind::PosixQueue => {
                self.known.add_sought(SecretKind::Path, &target.name)
            }
            _ => scan::redact(&mut self.known, &target.name),
        };
        target.name = shown.into();
    }

    /// Redacts the paths of the files whose code is in stacks.
    pub fn stacks(&mut self, tick: &mut StacksTick) {
        self.modules(&mut tick.new_modules);
    }

    /// Redacts names of places, which are the program's sources: the paths of its files, and what is
    /// said of files that are missing. Functions keep their names, as types do.
    pub fn symbols(&mut self, symbols: &mut [(CodePlace, Vec<Symbol>)], warnings: &mut [String]) {
        for symbol in symbols.iter_mut().flat_map(|(_, names)| names) {
            if let Some(file) = &mut symbol.file
                && !public::is_system_source(file)
            {
                *file = scan::path(&mut self.known, file).into();
            }
        }
        for warning in warnings {
            self.text(warning);
        }
    }

    /// Redacts the text of an event.
    pub fn event(&mut self, event: &mut Event) {
        self.text(&mut event.text);
    }

    /// Redacts all that a recording gave back, the recording's own path included.
    pub fn observations(&mut self, observations: &mut Observations) {
        self.target(&mut observations.target);
        let file = &mut observations.recording.file;
        if !file.is_empty() {
            *file = self.whole_path(file);
        }
        for history in &mut observations.mappings {
            self.mapping(&mut history.mapping);
        }
        for history in &mut observations.threads {
            self.shared_name(&mut history.last.name);
        }
        for history in &mut observations.held {
            self.held(&mut history.target);
        }
        if let Some(tree) = &mut observations.tree {
            for history in &mut tree.members {
                self.member(&mut history.last);
            }
            for history in &mut tree.names {
                self.shared_name(&mut history.name);
            }
        }
        for event in &mut observations.events {
            self.event(event);
        }
        if let Some(stacks) = &mut observations.stacks {
            self.modules(&mut stacks.modules);
            self.symbols(&mut stacks.symbols, &mut stacks.symbol_warnings);
        }
        if let Some(heap) = &mut observations.heap {
            // Names of types stay; sentences may hold paths.
            let doubts = heap.snapshots.iter_mut();
            let texts = doubts.flat_map(|snapshot| &mut snapshot.quality.doubts);
            for text in texts.chain(&mut heap.unavailable) {
                self.text(text);
            }
        }
    }

    /// Redacts free text: every secret met so far, and what is found in it as such (see the
    /// [module](self)). Placeholders in it are left as they are, so doing it twice changes nothing.
    pub fn text(&mut self, text: &mut String) {
        *text = scan::redact(&mut self.known, text);
    }

    fn modules(&mut self, modules: &mut [CodeModule]) {
        for module in modules {
            module.path = scan::path(&mut self.known, &module.path).into();
        }
    }

    /// Redacts a program and its arguments, which it looks for elsewhere from then on.
    pub fn command_line(&mut self, arguments: &mut [String]) {
        let original = arguments.to_vec();
        let Some((program, rest)) = original.split_first() else {
            return;
        };
        for (index, argument) in original.iter().enumerate() {
            if let Some(shown) = arguments.get_mut(index).filter(|shown| !shown.is_empty()) {
                *shown = if index == 0 {
                    self.program(argument)
                } else {
                    self.known.add_argument(argument)
                };
            }
        }
        // Parts come after the wholes, so that the command line is numbered in its own order.
        for argument in rest {
            self.known.add_parts(argument);
        }
        // `postgres: alice shop 10.0.0.5(4242) idle`: a title that the program gave itself.
        if let Some((_, title)) = program.split_once(char::is_whitespace) {
            self.known.add_parts(title);
        }
    }

    /// The placeholder of `argv[0]`. A bare name is not looked for elsewhere: it is the program's
    /// name, which stays.
    fn program(&mut self, argument: &str) -> String {
        if argument.contains(['/', ' ']) {
            self.whole_path(argument)
        } else {
            self.known.add_hidden(SecretKind::Path, argument)
        }
    }

    /// The placeholder of a path that is replaced whatever it is.
    fn whole_path(&mut self, path: &str) -> String {
        self.known.add_user_of(path);
        let (body, deleted) = public::split_deleted(path);
        self.known.add_sought(SecretKind::Path, body) + deleted
    }

    fn cgroup(&mut self, cgroup: &mut String) {
        if public::is_root_cgroup(cgroup) {
            return;
        }
        let shown = self.known.add_sought(SecretKind::Cgroup, cgroup);
        for part in public::cgroup_parts(cgroup) {
            self.known.add_sought(SecretKind::Cgroup, part);
        }
        *cgroup = shown;
    }

    /// A process's or thread's name: it stays, but for known secrets in it.
    fn name(&mut self, name: &str) -> String {
        if let Some(placeholder) = self.known.truncated(name) {
            return placeholder.to_owned();
        }
        scan::redact_known(&self.known, name)
    }

    fn shared_name(&mut self, name: &mut Arc<str>) {
        self.drop_stale_caches();
        if let Some(shown) = self.names.get(name) {
            *name = Arc::clone(shown);
            return;
        }
        let shown: Arc<str> = self.name(name).into();
        self.names.insert(Arc::clone(name), Arc::clone(&shown));
        *name = shown;
    }

    fn mapping(&mut self, mapping: &mut Arc<Mapping>) {
        if mapping.name.is_empty() {
            return;
        }
        self.drop_stale_caches();
        if let Some(shown) = self.mappings.get(mapping) {
            *mapping = Arc::clone(shown);
            return;
        }
        let shown = Arc::new(Mapping {
            name: scan::path(&mut self.known, &mapping.name).into(),
            ..(**mapping).clone()
        });
        self.mappings
            .insert(Arc::clone(mapping), Arc::clone(&shown));
        *mapping = shown;
    }

    /// A new secret may occur in what was redacted without it; and caches are not for ever.
    fn drop_stale_caches(&mut self) {
        let caches = [self.mappings.len(), self.names.len(), self.commands.len()];
        let full = caches.into_iter().max() >= Some(known::MOST_SECRETS);
        if self.cached_at != self.known.len() || full {
            self.mappings.clear();
            self.names.clear();
            self.commands.clear();
            self.cached_at = self.known.len();
        }
    }
}
