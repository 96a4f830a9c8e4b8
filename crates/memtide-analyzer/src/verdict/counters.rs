//! Stage 1: causes that a counter of the kernel proves, before any statistics.
//!
//! Each function asks one question and answers or passes. They are asked in the order of
//! [`super::decide`]; most of the corpus's causes end here, and all of these answers were right where
//! the memory in question is mapped.

use super::advice::BOUND_ARENAS;
use super::answer::{Answer, Standing};
use super::facts::Facts;
use crate::record::Track;
use crate::thresholds::{
    ARENAS, FILE_MAPPINGS, HUGE_SHARE, LAZY_SHARE, MAIN_SHARE, PAGE_TABLE_BYTES, PAGE_TABLE_SHARE,
    PAGE_TABLE_SPACE, PROCESSES, VIRTUAL_BYTES, VIRTUAL_MULTIPLE, ZOMBIES,
};
use crate::trail::Trail;
use crate::tree;
use memtide_model::{Account, MappingClass, Unit, VerdictKind, text};

/// Zombies, children, and other processes of the session that pile up.
pub(super) fn processes(facts: &Facts, trail: &mut Trail) -> Option<Answer> {
    let zombies = facts.count("zombies", Track::Zombies, ZOMBIES, trail);
    let decided = |headline| Answer::decided(VerdictKind::ProcessLeak, Standing::Counted, headline);
    if zombies.sustained {
        let rate = facts.rate(Track::Zombies);
        let words = text::count_rate(rate);
        let of_name = piling_up(facts, zombies.delta, trail);
        let of_name = of_name.map_or_else(String::new, |(name, _)| format!(" of {name}"));
        return Some(
            decided(format!("Dead children are not reaped: zombies{of_name} grow by {words}"))
                .number(
                    format!("Zombies {} in {}.", facts.ends(Track::Zombies), facts.time()),
                    rate,
                    "processes/s",
                )
                .advise("Wait for every child: call waitpid() on SIGCHLD, or set SIGCHLD to SIG_IGN so that the kernel reaps.")
                .advise(format!("List them: ps -o pid,ppid,stat,comm --ppid {}", facts.observations.target.id.pid))
                .going_on(),
        );
    }
    let all = facts.count("processes", Track::Processes, PROCESSES, trail);
    if !all.sustained {
        return None;
    }
    let rate = facts.rate(Track::Processes);
    let last = facts
        .record
        .samples
        .iter()
        .rev()
        .find_map(|s| s.counts.children)?;
    let name = piling_up(facts, all.delta, trail);
    let mostly = name
        .as_ref()
        .map(|(name, grown)| format!(", mostly {name} (+{grown:.0})"));
    let mut answer = decided(format!(
        "Processes that never end pile up: {} more{}",
        text::count_rate(rate),
        mostly.unwrap_or_default()
    ))
    .number(
        format!(
            "Children and other processes of the session {} in {}.",
            facts.ends(Track::Processes),
            facts.time()
        ),
        rate,
        "processes/s",
    )
    .number(
        format!(
            "Together they hold {} (shared pages count more than once).",
            text::bytes(last.rss.as_f64())
        ),
        last.rss.as_f64(),
        "bytes",
    );
    if last.session_others > last.total {
        answer = answer.fact(format!(
            "{} of them are not its children any more: their parents ended.",
            last.session_others
        ));
    }
    Some(
        answer
            .advise("End or wait for each helper process when its work is done; what they wait for: ps -eo pid,ppid,stat,wchan:20,etime,args")
            .going_on(),
    )
}

/// The name under which most of the growth of all processes came, and by how many it grew.
fn piling_up(facts: &Facts, grown: f64, trail: &mut Trail) -> Option<(String, f64)> {
    let (name, series) = tree::piling_up(facts.record, facts.observations)?;
    let what = format!("growth of processes called {name}");
    let carries = trail.above(&what, series.delta(), Unit::Count, MAIN_SHARE * grown);
    carries.then(|| (name, series.delta()))
}

/// True if what grew is material and most of the growth of RSS.
pub(super) fn carries(name: &str, grown: f64, facts: &Facts, trail: &mut Trail) -> bool {
    trail.above(name, grown, Unit::Bytes, facts.material)
        && trail.above(name, grown, Unit::Bytes, MAIN_SHARE * facts.rss)
}

/// True if anonymous memory grew materially, and by more than `share` in those pages.
fn carries_anon(name: &str, grown: f64, share: f64, facts: &Facts, trail: &mut Trail) -> bool {
    trail.above(
        "growth of anonymous memory",
        facts.anon,
        Unit::Bytes,
        facts.material,
    ) && trail.above(name, grown, Unit::Bytes, share * facts.anon)
}

/// Mapped files: page cache, or mappings that are never undone.
pub(super) fn files(facts: &Facts, trail: &mut Trail) -> Option<Answer> {
    let grown = facts.delta(Track::File);
    if !carries("growth of resident pages of files", grown, facts, trail) {
        return None;
    }
    let rate = facts.rate(Track::File);
    let fact = format!(
        "Resident pages of files grew by {} in {}.",
        text::bytes(grown),
        facts.time()
    );
    let count = Track::ClassCount(MappingClass::File);
    let mappings = facts.count("file mappings", count, FILE_MAPPINGS, trail);
    let space = facts.delta(Track::ClassSize(MappingClass::File));
    let name = "growth of their address space";
    if mappings.sustained && trail.above(name, space, Unit::Bytes, MAIN_SHARE * grown) {
        return Some(
            Answer::decided(
                VerdictKind::MmapLeak,
                Standing::Counted,
                format!("Files are mapped and never unmapped: {} more", text::count_rate(facts.rate(count))),
            )
            .number(fact, rate, "bytes/s")
            .of_account(Account::File)
            .holding(grown)
            .number(format!("File mappings {} in {}.", facts.ends(count), facts.time()), facts.rate(count), "mappings/s")
            .advise(format!("Unmap (munmap) what was mapped once it is read; names of the files are in /proc/{}/maps.", facts.observations.target.id.pid))
            .going_on(),
        );
    }
    Some(
        Answer::decided(
            VerdictKind::FileMapping,
            Standing::Counted,
            format!("Growth is page cache of mapped files ({} more), which the kernel can take back", text::bytes(grown)),
        )
        .number(fact, rate, "bytes/s")
        .of_account(Account::File)
        .holding(grown)
        .fact(format!("The number of file mappings does not grow with it ({}).", facts.ends(count)))
        .advise("It is no loss of memory: clean pages are dropped under pressure. To bound it use madvise(MADV_DONTNEED) behind the reader, or read() instead of mmap()."),
    )
}

/// Page tables for address space that is touched once and given back.
pub(super) fn page_tables(facts: &Facts, trail: &mut Trail) -> Option<Answer> {
    let grown = facts.delta(Track::PageTables);
    let name = "growth of page tables";
    let (rss, space) = (facts.rss.max(0.0), facts.delta(Track::Size));
    let by_rss = trail.above(name, grown, Unit::Bytes, PAGE_TABLE_BYTES)
        && trail.above(name, grown, Unit::Bytes, PAGE_TABLE_SHARE * rss);
    let most = PAGE_TABLE_SPACE * grown;
    if !by_rss || !trail.below("growth of address space", space, Unit::Bytes, most) {
        return None;
    }
    let rate = facts.rate(Track::PageTables);
    Some(
        Answer::decided(
            VerdictKind::PageTableGrowth,
            Standing::Counted,
            format!("Page tables grow by {}, RSS hardly", text::rate(rate)),
        )
        .number(format!("Page tables grew by {}, RSS by {} in {}.", text::bytes(grown), text::signed_bytes(facts.rss), facts.time()), rate, "bytes/s")
        .of_account(Account::PageTables)
        .holding(grown)
        .advise("Address space is touched sparsely and its pages given back, but not its tables: unmap (munmap) whole ranges instead of MADV_DONTNEED, or use fewer, denser mappings.")
        .going_on(),
    )
}

/// Huge pages that sparse touches brought in.
pub(super) fn huge_pages(facts: &Facts, trail: &mut Trail) -> Option<Answer> {
    let huge = facts.delta(Track::Huge);
    if !carries_anon("growth of huge pages", huge, HUGE_SHARE, facts, trail) {
        return None;
    }
    let rate = facts.rate(Track::Huge);
    Some(
        Answer::decided(
            VerdictKind::ThpBloat,
            Standing::Counted,
            format!("Huge pages carry the growth: {} of {}", text::bytes(huge), text::bytes(facts.anon)),
        )
        .number(format!("AnonHugePages grew by {} in {}, anonymous memory by {}.", text::bytes(huge), facts.time(), text::bytes(facts.anon)), rate, "bytes/s")
        .of_account(Account::Anon)
        .holding(facts.anon)
        .advise("Try it without: prctl(PR_SET_THP_DISABLE), or echo madvise | sudo tee /sys/kernel/mm/transparent_hugepage/enabled. If RSS stays small, touches are sparse: use MADV_NOHUGEPAGE there."),
    )
}

/// Memory that was given back with `MADV_FREE` and still counts.
pub(super) fn lazy_free(facts: &Facts, trail: &mut Trail) -> Option<Answer> {
    let lazy = facts.delta(Track::LazyFree);
    if !carries_anon(
        "growth of what was given back (LazyFree)",
        lazy,
        LAZY_SHARE,
        facts,
        trail,
    ) {
        return None;
    }
    Some(
        Answer::decided(
            VerdictKind::Retention,
            Standing::Counted,
            format!("{} of the growth was given back already (MADV_FREE) and only counts until the kernel needs it", text::bytes(lazy)),
        )
        .number(format!("LazyFree grew by {} in {}, anonymous memory by {}.", text::bytes(lazy), facts.time(), text::bytes(facts.anon)), lazy, "bytes")
        .of_account(Account::Anon)
        .holding(lazy)
        .advise("Nothing is lost: the kernel takes these pages at once under pressure. If a limit counts RSS, give pages back with MADV_DONTNEED (Go: GODEBUG=madvdontneed=1)."),
    )
}

/// Address space without resident memory: arenas of new threads, or reservations.
pub(super) fn address_space(facts: &Facts, trail: &mut Trail) -> Option<Answer> {
    let grown = facts.delta(Track::Size);
    let (name, by_rss) = (
        "growth of address space",
        VIRTUAL_MULTIPLE * facts.rss.max(facts.material),
    );
    if !trail.above(name, grown, Unit::Bytes, VIRTUAL_BYTES)
        || !trail.above(name, grown, Unit::Bytes, by_rss)
    {
        return None;
    }
    let rate = facts.rate(Track::Size);
    let fact = format!(
        "Address space grew by {}, RSS by {} in {}.",
        text::bytes(grown),
        text::signed_bytes(facts.rss),
        facts.time()
    );
    let arenas = Track::ClassCount(MappingClass::Arena);
    let grown_arenas = facts.count("malloc arenas", arenas, ARENAS, trail);
    if grown_arenas.grown || grown_arenas.delta >= ARENAS - 1.0 {
        return Some(
            Answer::decided(
                VerdictKind::ArenaBloat,
                Standing::Counted,
                format!(
                    "Each new thread reserves a malloc arena: {} of address space more",
                    text::bytes(grown)
                ),
            )
            .number(
                format!("Malloc arenas {} in {}.", facts.ends(arenas), facts.time()),
                facts.rate(arenas),
                "arenas/s",
            )
            .number(fact, rate, "bytes/s")
            .advise(format!("{BOUND_ARENAS}.")),
        );
    }
    let growth = facts.count("address space", Track::Size, VIRTUAL_BYTES, trail);
    growth.sustained.then(|| {
        Answer::decided(VerdictKind::VirtualOnly, Standing::Counted, format!("Address space grows by {}, resident memory does not", text::rate(rate)))
            .number(fact, rate, "bytes/s")
            .fact(format!("Mappings {} in the same time.", facts.ends(Track::Mappings)))
            .advise(format!("It costs no memory yet; it ends at RLIMIT_AS or when the address space is used up. Look for mmap() of reservations without munmap(); how many there are: grep -c . /proc/{}/maps", facts.observations.target.id.pid))
            .going_on()
    })
}
