//! Mappings of the address space and the classes that they fall into.

use crate::account::Account;
use crate::units::Bytes;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// What a mapping is for, as far as its place, protection and name tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MappingClass {
    /// `[heap]`: what brk(2) moved; malloc's main arena.
    Heap,
    /// A 64 MiB-aligned heap of one of glibc's further arenas.
    Arena,
    /// A thread's stack: read-write, right above a small no-access guard, or named so.
    Stack,
    /// The initial thread's stack, `[stack]`.
    MainStack,
    /// Other anonymous memory.
    Anon,
    /// A file's pages.
    File,
    /// Shared memory: System V, tmpfs, memfd, shared anonymous.
    Shared,
    /// A device's memory.
    Device,
    /// What the kernel maps by itself: vdso, vvar, vsyscall.
    Vdso,
    /// No-access reservations: guards and the unused rest of arenas.
    Guard,
    /// Memory of memtide's own preload shim.
    Shim,
}

impl MappingClass {
    /// All classes in the order of [`PerClass`].
    pub const ALL: [Self; 11] = [
        Self::Heap,
        Self::Arena,
        Self::Stack,
        Self::MainStack,
        Self::Anon,
        Self::File,
        Self::Shared,
        Self::Device,
        Self::Vdso,
        Self::Guard,
        Self::Shim,
    ];

    /// Its name in recordings and JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Heap => "heap",
            Self::Arena => "arena",
            Self::Stack => "stack",
            Self::MainStack => "main_stack",
            Self::Anon => "anon",
            Self::File => "file",
            Self::Shared => "shared",
            Self::Device => "device",
            Self::Vdso => "vdso",
            Self::Guard => "guard",
            Self::Shim => "shim",
        }
    }

    /// The account of the ledger that its resident pages belong to.
    pub const fn account(self) -> Account {
        match self {
            Self::Heap | Self::Arena => Account::Heap,
            Self::Stack | Self::MainStack => Account::Stacks,
            Self::Anon | Self::Guard => Account::Anon,
            Self::File | Self::Device | Self::Vdso => Account::File,
            Self::Shared => Account::Shared,
            Self::Shim => Account::Shim,
        }
    }

    /// The class of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.name() == name)
    }
}

/// One value for each [`MappingClass`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PerClass<T>([T; MappingClass::ALL.len()]);

impl<T> PerClass<T> {
    /// The class's value.
    pub fn get(&self, class: MappingClass) -> &T {
        // The enum has no discriminants of its own: its values are 0..ALL.len().
        &self.0[class as usize]
    }

    /// The class's value, to change.
    pub fn get_mut(&mut self, class: MappingClass) -> &mut T {
        &mut self.0[class as usize]
    }

    /// Each class with its value.
    pub fn iter(&self) -> impl Iterator<Item = (MappingClass, &T)> {
        MappingClass::ALL.into_iter().zip(&self.0)
    }
}

/// What stays the same for a mapping as long as it exists.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Mapping {
    /// Its first address; for `[stack]`, which grows downwards, its end.
    pub address: u64,
    /// Its class.
    pub class: MappingClass,
    /// Its protection as maps prints it, `rw-p`.
    pub protection: [u8; 4],
    /// Its name with every byte that is not printable UTF-8 escaped as `\xNN`; empty for anonymous.
    /// The kernel's " (deleted)" stays part of it.
    pub name: Arc<str>,
}

/// A mapping with its sizes at one tick.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MappingState {
    /// Which mapping.
    pub mapping: Arc<Mapping>,
    /// Its address range's length.
    pub size: Bytes,
    /// Resident bytes (smaps `Rss`).
    pub rss: Bytes,
}
