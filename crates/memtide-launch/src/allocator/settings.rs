//! The settings of each allocator: which there are, what values they take, and how they are told.
//!
//! glibc: the GNU C Library manual, "Tunables" (`glibc.malloc.*`; since 2.26, `hugetlb` since 2.35).
//! jemalloc: jemalloc(3), "Tuning" (`opt.*`). gperftools: its page "`TCMalloc`", "Modifying runtime behavior".
//! mimalloc: its `readme.md`, "Environment options", and `options.c`.
//!
//! A name that is not here is refused, because all of these allocators but jemalloc pass over what they do
//! not know. Whether the very library that was found knows it is asked of that library.

use super::kind::Kind;
use memtide_model::text::parse_bytes;

/// What a setting takes.
#[derive(Clone, Copy, Debug)]
enum Takes {
    /// A whole number from the first to the second.
    Whole(u64, u64),
    /// A whole number from 0 on, or -1 for "never".
    OrNever,
    /// A number that is not negative.
    Rate,
    /// Bytes: `65536`, `64KiB`.
    Size,
    /// True or false.
    Switch,
    /// One of these words.
    Word(&'static [&'static str]),
    /// Whatever the library makes of it.
    Text,
}

use Takes::{OrNever, Rate, Size, Switch, Text, Whole, Word};

const ANY: Takes = Whole(0, u64::MAX);
const MOST_INT: u64 = i32::MAX as u64;

/// `glibc.malloc.NAME`. Setting one of the thresholds, `top_pad` or `mmap_max` ends the adjustment of
/// thresholds to the program (mallopt(3)).
const GLIBC: [(&str, Takes); 11] = [
    ("arena_max", Whole(1, u64::MAX)),
    ("arena_test", Whole(1, u64::MAX)),
    ("hugetlb", Size),
    ("mmap_max", Whole(0, MOST_INT)),
    ("mmap_threshold", Size),
    ("mxfast", Whole(0, 160)),
    ("tcache_count", Whole(0, 65_535)),
    ("tcache_max", Size),
    ("tcache_unsorted_limit", ANY),
    ("top_pad", Size),
    ("trim_threshold", Size),
];

/// `TCMALLOC_NAME` of gperftools, in capitals.
const TCMALLOC: [(&str, Takes); 8] = [
    ("aggressive_decommit", Switch),
    ("disable_memory_release", Switch),
    ("heap_limit_mb", ANY),
    ("max_total_thread_cache_bytes", Size),
    ("release_rate", Rate),
    ("skip_mmap", Switch),
    ("skip_sbrk", Switch),
    ("transfer_num_obj", ANY),
];

/// `opt.NAME` of jemalloc 5, as far as they have to do with memory.
const JEMALLOC: [(&str, Takes); 38] = [
    ("background_thread", Switch),
    ("bin_shards", Text),
    ("cache_oblivious", Switch),
    ("dirty_decay_ms", OrNever),
    ("dss", Word(&["disabled", "primary", "secondary"])),
    ("hpa", Switch),
    ("hpa_dirty_mult", Text),
    ("hpa_hugification_threshold", Size),
    ("hpa_hugification_threshold_ratio", Text),
    ("hpa_hugify_delay_ms", ANY),
    ("hpa_min_purge_interval_ms", ANY),
    ("hpa_sec_batch_fill_extra", Size),
    ("hpa_sec_bytes_after_flush", Size),
    ("hpa_sec_max_alloc", Size),
    ("hpa_sec_max_bytes", Size),
    ("hpa_sec_nshards", ANY),
    ("hpa_slab_max_alloc", Size),
    ("lg_extent_max_active_fit", ANY),
    ("lg_tcache_flush_large_div", ANY),
    ("lg_tcache_flush_small_div", ANY),
    ("lg_tcache_max", ANY),
    ("lg_tcache_nslots_mul", Text),
    ("max_background_threads", Whole(1, 4096)),
    ("metadata_thp", Word(&["disabled", "auto", "always"])),
    ("mutex_max_spin", Text),
    ("muzzy_decay_ms", OrNever),
    ("narenas", Text),
    ("oversize_threshold", Size),
    ("percpu_arena", Word(&["disabled", "percpu", "phycpu"])),
    ("retain", Switch),
    ("slab_sizes", Text),
    ("tcache", Switch),
    ("tcache_gc_delay_bytes", Size),
    ("tcache_gc_incr_bytes", Size),
    ("tcache_max", Size),
    ("tcache_nslots_large", ANY),
    ("tcache_nslots_small_max", ANY),
    ("thp", Word(&["default", "always", "never"])),
];

/// `MIMALLOC_NAME` in capitals, of versions 2.0 to 3; a version knows about half of them.
const MIMALLOC: [(&str, Takes); 36] = [
    ("abandoned_page_decommit", Switch),
    ("abandoned_page_purge", Switch),
    ("abandoned_page_reset", Switch),
    ("abandoned_reclaim_on_free", Switch),
    ("allow_decommit", Switch),
    ("allow_large_os_pages", Whole(0, 2)),
    ("allow_thp", Whole(0, 2)),
    ("arena_eager_commit", Whole(0, 2)),
    ("arena_purge_mult", ANY),
    ("arena_reserve", Size),
    ("decommit_delay", ANY),
    ("decommit_extend_delay", ANY),
    ("disallow_arena_alloc", Switch),
    ("disallow_os_alloc", Switch),
    ("eager_commit", Switch),
    ("eager_commit_delay", ANY),
    ("generic_collect", ANY),
    ("large_os_pages", Switch),
    ("limit_os_alloc", Switch),
    ("max_segment_reclaim", ANY),
    ("page_commit_on_demand", Switch),
    ("page_full_retain", OrNever),
    ("page_max_candidates", ANY),
    ("page_max_reclaim", OrNever),
    ("page_reclaim_on_free", OrNever),
    ("page_reset", Switch),
    ("purge_decommits", Switch),
    ("purge_delay", OrNever),
    ("purge_extend_delay", ANY),
    ("reserve_huge_os_pages", ANY),
    ("reserve_huge_os_pages_at", OrNever),
    ("reserve_os_memory", Size),
    ("reset_delay", ANY),
    ("segment_decommit_delay", ANY),
    ("target_segments_per_thread", ANY),
    ("use_numa_nodes", ANY),
];

fn table(kind: Kind) -> &'static [(&'static str, Takes)] {
    match kind {
        Kind::Glibc => &GLIBC,
        Kind::Tcmalloc => &TCMALLOC,
        Kind::Jemalloc => &JEMALLOC,
        Kind::Mimalloc => &MIMALLOC,
        Kind::Other => &[],
    }
}

/// Checks one setting; the value comes back as the allocator wants it, sizes in bytes. The error says what
/// is wrong, and what there is.
pub(super) fn check(kind: Kind, name: &str, value: &str) -> Result<String, String> {
    if kind == Kind::Other {
        return check_variable(name, value);
    }
    let rules = table(kind);
    let Some((_, takes)) = rules.iter().find(|(known, _)| *known == name) else {
        let known: Vec<&str> = rules.iter().map(|(known, _)| *known).collect();
        return Err(format!(
            "{} has no setting {name:?} that memtide knows; there are {}",
            kind.name(),
            known.join(", ")
        ));
    };
    let value = value.trim();
    takes
        .read(value, kind)
        .map_err(|wanted| format!("{name}={value}: {wanted}"))
}

/// Of a library that nothing is known of, settings are variables of the environment.
fn check_variable(name: &str, value: &str) -> Result<String, String> {
    let is_name = !name.starts_with(|c: char| c.is_ascii_digit())
        && !name.is_empty()
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if !is_name || name == super::PRELOAD {
        return Err(format!(
            "{name:?} cannot be set: settings of a library that memtide does not know are variables of \
             the environment, as NAME=VALUE"
        ));
    }
    Ok(value.to_owned())
}

impl Takes {
    fn read(self, value: &str, kind: Kind) -> Result<String, String> {
        let given = |is_good: bool, wanted: String| is_good.then(|| value.to_owned()).ok_or(wanted);
        // A sign, which Rust would read, is more than these allocators do.
        let whole = value.parse().ok().filter(|_| !value.starts_with('+'));
        match self {
            Whole(low, high) => {
                let is_good = whole.is_some_and(|number: u64| (low..=high).contains(&number));
                given(
                    is_good,
                    if high >= MOST_INT {
                        format!("it takes a whole number from {low} on")
                    } else {
                        format!("it takes a whole number from {low} to {high}")
                    },
                )
            }
            OrNever => given(
                whole.is_some() || value == "-1",
                "it takes a whole number, or -1 for never".to_owned(),
            ),
            Rate => {
                let number = value.parse().ok();
                let is_good = number.is_some_and(|number: f64| number.is_finite() && number >= 0.0);
                given(is_good, "it takes a number from 0 on".to_owned())
            }
            Size => parse_bytes(value).map(|bytes| bytes.to_string()),
            Switch => switch(value, kind),
            Word(words) => given(
                words.contains(&value),
                format!("it takes one of {}", words.join(", ")),
            ),
            Text => {
                let is_plain = |c: char| c.is_ascii_alphanumeric() || "_:|.-".contains(c);
                let is_good = !value.is_empty() && value.chars().all(is_plain);
                given(
                    is_good,
                    "it takes letters, digits and any of _ : | . -".to_owned(),
                )
            }
        }
    }
}

fn switch(value: &str, kind: Kind) -> Result<String, String> {
    let [off, on] = if kind == Kind::Jemalloc {
        ["false", "true"]
    } else {
        ["0", "1"]
    };
    match value.to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "on" => Ok(on.to_owned()),
        "false" | "0" | "no" | "off" => Ok(off.to_owned()),
        _ => Err("it takes true or false".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_come_out_as_the_allocator_wants_them() {
        let cases = [
            (Kind::Glibc, "arena_max", "2", "2"),
            (Kind::Glibc, "trim_threshold", "128KiB", "131072"),
            (Kind::Glibc, "mmap_threshold", "65536", "65536"),
            (Kind::Glibc, "hugetlb", "1", "1"),
            (Kind::Jemalloc, "background_thread", "yes", "true"),
            (Kind::Jemalloc, "dirty_decay_ms", "-1", "-1"),
            (
                Kind::Jemalloc,
                "bin_shards",
                "1-160:16|129-512:4",
                "1-160:16|129-512:4",
            ),
            (Kind::Jemalloc, "oversize_threshold", "8MiB", "8388608"),
            (Kind::Tcmalloc, "aggressive_decommit", "true", "1"),
            (Kind::Tcmalloc, "release_rate", "0.5", "0.5"),
            (Kind::Mimalloc, "purge_delay", "0", "0"),
            (Kind::Mimalloc, "arena_eager_commit", "2", "2"),
            (Kind::Other, "FOO_1", "a b", "a b"),
        ];
        for (kind, name, value, expected) in cases {
            assert_eq!(
                check(kind, name, value).as_deref(),
                Ok(expected),
                "{name}={value}"
            );
        }
    }

    #[test]
    fn what_an_allocator_would_pass_over_is_refused() {
        let cases = [
            (Kind::Glibc, "arena_max", "0", "from 1 on"),
            (Kind::Glibc, "arena_max", "two", "whole number"),
            (Kind::Glibc, "arena_max", "+2", "whole number"),
            (Kind::Glibc, "mxfast", "161", "from 0 to 160"),
            (Kind::Glibc, "trim_threshold", "5 apples", "512KiB"),
            (Kind::Glibc, "arenas", "2", "arena_max, arena_test, hugetlb"),
            (Kind::Jemalloc, "thp", "sometimes", "default, always, never"),
            (Kind::Jemalloc, "narenas", "2,3", "letters, digits"),
            (Kind::Jemalloc, "retain", "maybe", "true or false"),
            (Kind::Jemalloc, "muzzy_decay_ms", "-2", "-1 for never"),
            (Kind::Tcmalloc, "release_rate", "-1", "from 0 on"),
            (Kind::Tcmalloc, "release_rate", "nan", "from 0 on"),
            (Kind::Other, "LD_PRELOAD", "x", "NAME=VALUE"),
            (Kind::Other, "1A", "x", "NAME=VALUE"),
        ];
        for (kind, name, value, says) in cases {
            let error = check(kind, name, value).unwrap_err();
            assert!(error.contains(says), "{name}={value}: {error}");
        }
    }
}
