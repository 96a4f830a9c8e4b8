//! The numbers and names that writer and reader must agree on.
//!
//! | schema | written by | read by |
//! | --- | --- | --- |
//! | 1 | memtide 0.1 | memtide 0.1 and later |
//!
//! An older file is never changed. Each entry of [`MIGRATIONS`] brings a *reading connection* one
//! version further: a script that shadows old tables with temporary views of the new shape (SQLite
//! looks in `temp` before `main`). A newer file is refused with both versions.

use memtide_model::MappingClass;

/// `application_id` of the SQLite header: "mTid".
pub(crate) const APPLICATION_ID: i32 = 0x6d54_6964;
/// `user_version` of the SQLite header: the newest schema that this crate writes and reads.
pub(crate) const VERSION: u32 = 1;
/// Tables and views of [`VERSION`].
pub(crate) const SQL: &str = include_str!("schema.sql");
/// `MIGRATIONS[n]` makes a connection to a file of schema n + 1 look like schema n + 2.
pub(crate) const MIGRATIONS: [&str; VERSION as usize - 1] = [];

/// `parts` of a tick: smaps was read.
pub(crate) const PART_MAPS: i64 = 1;
/// `parts` of a tick: mappings were given one by one.
pub(crate) const PART_MAPPINGS: i64 = 2;
/// `parts` of a tick: threads were given.
pub(crate) const PART_THREADS: i64 = 4;

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
}
