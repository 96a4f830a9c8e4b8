//! The memory of the trie (`memtide_unwind::trie`), one for all threads.
//!
//! It is mapped when the first thread wants it. Code that was unloaded makes it worthless: a new one is
//! mapped then, as others may still be walking in the old one, but only a few times. Where there is no
//! room, all threads walk as if there were none.

use crate::lock::Lock;
use crate::{code, memory};
use core::sync::atomic::{AtomicBool, AtomicPtr, Ordering};
use memtide_unwind::trie::{Edge, Node, Origin, Trie, Used};

/// Enough for all walks of a compiler where these are checked, and for most of them elsewhere.
const NODES: usize = if cfg!(feature = "check-walks") {
    1 << 22
} else {
    1 << 18
};
const EDGES: usize = NODES;
/// After so many no more are made.
const MOST_TRIES: u32 = 8;

/// Where the three tables of a trie lie.
#[derive(Clone, Copy)]
struct Tables {
    nodes: *mut Node,
    origins: *mut Origin,
    edges: *mut Edge,
}

struct Maker {
    used: Used,
    made: u32,
}

static CURRENT: AtomicPtr<Tables> = AtomicPtr::new(core::ptr::null_mut());
static MAKER: Lock<Maker> = Lock::new(Maker {
    used: Used { nodes: 0, edges: 0 },
    made: 0,
});
static FULL: AtomicBool = AtomicBool::new(false);

/// The trie, made if there is none; `None` where there is to be none.
#[inline(always)]
pub(crate) fn current() -> Option<Trie<'static>> {
    let tables = CURRENT.load(Ordering::Acquire);
    if tables.is_null() {
        return make();
    }
    Some(view(tables))
}

#[inline(always)]
fn view(tables: *const Tables) -> Trie<'static> {
    // SAFETY: published by `make`; the tables have these lengths, are all zero or written through
    // atomics, and stay mapped.
    unsafe {
        let tables = &*tables;
        Trie {
            nodes: core::slice::from_raw_parts(tables.nodes, NODES),
            origins: core::slice::from_raw_parts(tables.origins, NODES),
            edges: core::slice::from_raw_parts(tables.edges, EDGES),
        }
    }
}

#[cold]
#[inline(never)]
fn make() -> Option<Trie<'static>> {
    MAKER.with(|maker| {
        let tables = CURRENT.load(Ordering::Acquire);
        if !tables.is_null() {
            return Some(view(tables));
        }
        if maker.made == MOST_TRIES {
            return None;
        }
        maker.made += 1;
        maker.used = Used::default();
        // SAFETY: zeros are nodes, origins and edges; the head is written before it is read.
        let (nodes, origins, edges, head) = unsafe {
            (
                memory::map_slice(NODES)?,
                memory::map_slice(NODES)?,
                memory::map_slice(EDGES)?,
                memory::map_slice::<Tables>(1)?,
            )
        };
        let tables = Tables {
            nodes,
            origins,
            edges,
        };
        // SAFETY: mapped for one, and not published yet.
        unsafe { head.write(tables) };
        FULL.store(false, Ordering::Release);
        CURRENT.store(head, Ordering::Release);
        Some(view(head))
    })?
}

/// Adds the node of `address` below `parent`; false where the trie has no room, or is not in use any
/// more.
#[cold]
#[inline(never)]
pub(crate) fn grow(trie: Trie<'static>, parent: u32, address: u64) -> bool {
    if FULL.load(Ordering::Acquire) {
        return false;
    }
    let rule = code::rule(address);
    let grown = MAKER.with(|maker| {
        let tables = CURRENT.load(Ordering::Acquire);
        if tables.is_null() || !core::ptr::eq(view(tables).nodes, trie.nodes) {
            return false;
        }
        let grown = trie.grow(&mut maker.used, parent, address, rule);
        if !grown {
            FULL.store(true, Ordering::Release);
        }
        grown
    });
    grown.unwrap_or(false)
}

/// Code was unloaded: the next walk takes a new trie.
pub(crate) fn abandon() {
    CURRENT.store(core::ptr::null_mut(), Ordering::Release);
}

/// Forgets the trie.
///
/// # Safety
/// Only in a new child of `fork`, where no other thread exists yet.
pub(crate) unsafe fn forget() {
    abandon();
    let maker = Maker {
        used: Used::default(),
        made: 0,
    };
    // SAFETY: the caller's promise.
    unsafe { MAKER.replace(maker) };
}
