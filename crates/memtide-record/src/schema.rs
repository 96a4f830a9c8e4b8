//! The numbers and names that writer and reader must agree on.
//!
//! | schema | written by | read by |
//! | --- | --- | --- |
//! | 1 | memtide 0.1, before it had call stacks | memtide 0.1 and later |
//! | 2 | memtide 0.1, before it looked into heaps | memtide 0.1 with call stacks, and later |
//! | 3 | memtide 0.1, before it told descriptors by target | memtide 0.1 with snapshots of the heap, and later |
//! | 4 | memtide 0.1 | memtide 0.1 with what is held, and later |
//!
//! An older file is never changed. Each entry of [`MIGRATIONS`] brings a *reading connection* one
//! version further: a script that shadows old tables with temporary views of the new shape (SQLite
//! looks in `temp` before `main`). A newer file is refused with both versions.

use memtide_model::{MappingClass, StackEnd, StackKind, StackOwner};

/// `application_id` of the SQLite header: "mTid".
pub(crate) const APPLICATION_ID: i32 = 0x6d54_6964;
/// `user_version` of the SQLite header: the newest schema that this crate writes and reads.
pub(crate) const VERSION: u32 = 4;
/// Tables and views of [`VERSION`].
pub(crate) const SQL: &str = include_str!("schema.sql");
/// `MIGRATIONS[n]` makes a connection to a file of schema n + 1 look like schema n + 2.
pub(crate) const MIGRATIONS: [&str; VERSION as usize - 1] = [
    include_str!("schema-1-to-2.sql"),
    include_str!("schema-2-to-3.sql"),
    include_str!("schema-3-to-4.sql"),
];

/// `parts` of a tick: smaps was read.
pub(crate) const PART_MAPS: i64 = 1;
/// `parts` of a tick: mappings were given one by one.
pub(crate) const PART_MAPPINGS: i64 = 2;
/// `parts` of a tick: threads were given.
pub(crate) const PART_THREADS: i64 = 4;
/// `parts` of a tick: what is held was given.
pub(crate) const PART_HELD: i64 = 16;
/// `parts` of a tick: no sample belongs to it, only call stacks do.
pub(crate) const NO_SAMPLE: i64 = 8;

/// The keys of table `meta`.
pub(crate) mod meta {
    /// Version of memtide that wrote the file.
    pub(crate) const VERSION: &str = "memtide_version";
    /// Schema version again, for people.
    pub(crate) const SCHEMA: &str = "schema_version";
    /// Boot-clock start.
    pub(crate) const STARTED: &str = "started_boottime_ns";
    /// Wall-clock start, since 1970.
    pub(crate) const STARTED_WALL: &str = "started_wall_ns";
    /// The interval that was asked for.
    pub(crate) const INTERVAL: &str = "interval_ns";
    /// System page size.
    pub(crate) const PAGE_SIZE: &str = "page_size_bytes";
    /// Clock ticks per second.
    pub(crate) const TICKS_PER_SECOND: &str = "ticks_per_second";
    /// Lenses that looked, separated by commas.
    pub(crate) const LENSES: &str = "lenses";
    /// 1 after a clean end.
    pub(crate) const COMPLETE: &str = "complete";
    /// CPU time of the recorder.
    pub(crate) const COST_CPU: &str = "cost_cpu_ns";
    /// What the preload shim recorded; absent where it did not look.
    pub(crate) const HEAP_MODE: &str = "heap_mode";
    /// Mean bytes between its samples.
    pub(crate) const HEAP_INTERVAL: &str = "heap_interval_bytes";
    /// 1 if the end of the target was seen by the shim's collector.
    pub(crate) const HEAP_ENDED: &str = "heap_ended";
    /// Who told of the forks of the tree below the target; absent where nobody looked at it.
    pub(crate) const TREE_ENGINE: &str = "tree_engine";
    /// Why the heap could not be read from outside since the last snapshot; absent where it could.
    pub(crate) const HEAP_UNAVAILABLE: &str = "inspect_unavailable";
}

/// A class's number in the file. Frozen: new classes get new numbers.
pub(crate) const fn class_code(class: MappingClass) -> i64 {
    match class {
        MappingClass::Heap => 0,
        MappingClass::Arena => 1,
        MappingClass::Stack => 2,
        MappingClass::MainStack => 3,
        MappingClass::Anon => 4,
        MappingClass::File => 5,
        MappingClass::Shared => 6,
        MappingClass::Device => 7,
        MappingClass::Vdso => 8,
        MappingClass::Guard => 9,
        MappingClass::Shim => 10,
    }
}

/// The class of that number.
pub(crate) fn class_of(code: i64) -> Option<MappingClass> {
    MappingClass::ALL
        .into_iter()
        .find(|class| class_code(*class) == code)
}

/// A stack's kind as a number in the file. Frozen, as are the next two.
pub(crate) const fn kind_code(kind: StackKind) -> i64 {
    match kind {
        StackKind::Heap => 0,
        StackKind::Mapping => 1,
    }
}

/// The kind of that number.
pub(crate) fn kind_of(code: i64) -> Option<StackKind> {
    [StackKind::Heap, StackKind::Mapping]
        .into_iter()
        .find(|kind| kind_code(*kind) == code)
}

/// A stack's owner as a number in the file.
pub(crate) const fn owner_code(owner: StackOwner) -> i64 {
    match owner {
        StackOwner::Target => 0,
        StackOwner::Others => 1,
    }
}

/// The owner of that number.
pub(crate) fn owner_of(code: i64) -> Option<StackOwner> {
    [StackOwner::Target, StackOwner::Others]
        .into_iter()
        .find(|owner| owner_code(*owner) == code)
}

/// Why a stack ends, as a number in the file.
pub(crate) const fn end_code(end: StackEnd) -> i64 {
    match end {
        StackEnd::Root => 0,
        StackEnd::Truncated => 1,
        StackEnd::Foreign => 2,
        StackEnd::Overflow => 3,
    }
}

/// The end of that number.
pub(crate) fn end_of(code: i64) -> Option<StackEnd> {
    use StackEnd::{Foreign, Overflow, Root, Truncated};
    [Root, Truncated, Foreign, Overflow]
        .into_iter()
        .find(|end| end_code(*end) == code)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Files of version 1 name the classes by these numbers for ever.
    #[test]
    fn the_class_numbers_of_version_1_are_frozen() {
        let names: Vec<&str> = (0..11)
            .map(|code| class_of(code).expect("eleven classes").name())
            .collect();
        assert_eq!(
            names.join(" "),
            "heap arena stack main_stack anon file shared device vdso guard shim"
        );
        assert_eq!(class_of(11), None);
    }

    /// And those of version 2 the kinds, owners and ends of stacks.
    #[test]
    fn the_stack_numbers_of_version_2_are_frozen() {
        assert_eq!(
            [0, 1, 2].map(kind_of),
            [Some(StackKind::Heap), Some(StackKind::Mapping), None]
        );
        assert_eq!(
            [0, 1, 2].map(owner_of),
            [Some(StackOwner::Target), Some(StackOwner::Others), None]
        );
        let ends = [
            StackEnd::Root,
            StackEnd::Truncated,
            StackEnd::Foreign,
            StackEnd::Overflow,
        ];
        assert_eq!([0, 1, 2, 3].map(end_of), ends.map(Some));
        assert_eq!(end_of(4), None);
    }
}
