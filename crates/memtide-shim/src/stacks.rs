//! From the caller's registers to the number of its stack.
//!
//! A thread's own stack is known: its upper end is the thread pointer, or for the first thread what the
//! loader has left in `__libc_stack_end`, and everything between there and `rsp` was found to be mapped,
//! page by page, the first time. Only there the tail of the last walk is used. Any other stack (a
//! fiber's, an alternate signal stack) is walked plainly, over a few pages that are looked at each time.
//!
//! `pthread_getattr_np` would tell the bounds, but it takes the thread's lock and allocates, and programs
//! call it as the first thing that a thread does.

#[cfg(feature = "check-walks")]
mod check;

use crate::lock::Lock;
use crate::recorder::Recorder;
use crate::{code, known, memory, next, numbers, region, system, tls, tries};
use core::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, Ordering};
use memtide_region::layout::{
    MARK_FOREIGN, MARK_GENERATION, MARK_MAPPING, MARK_TRUNCATED, OVERFLOW, ROOT,
};
use memtide_unwind::intern::{self, Found, PathHash, Slot};
use memtide_unwind::rule::Frame;
use memtide_unwind::tail::{MOST_FRAMES, Walked};
use memtide_unwind::trie::{Reached, Trie};
use memtide_unwind::walk::{Cursor, StackMemory, Stop, step};

/// Of stacks that are deeper than can be followed, so many frames from the leaf on.
const TRUNCATED_FRAMES: usize = 64;
/// A thread's stack is not larger; glibc's default is 8 MiB.
const LARGEST_STACK: u64 = 1 << 30;
/// Bytes of a stack that is not the thread's own that are looked at.
const FOREIGN_BYTES: u64 = 64 << 10;
const FIRST_SLOTS: usize = 1 << 12;
/// After so many walks it is decided whether the trie is to be used,
const WINDOW: u32 = 64;
/// namely if they stepped over more than so many frames each,
const FRAMES_FOR_TRIE: u64 = 6;
/// for so many walks.
const TRIE_WALKS: u32 = 8192;

/// The target's memory.
struct Memory;

impl StackMemory for Memory {
    #[inline(always)]
    fn word(&self, address: u64) -> u64 {
        let place: *const u64 = core::ptr::with_exposed_provenance(address as usize);
        // SAFETY: walks ask for words within bounds that are known to be mapped. Other threads may
        // write there; the word is read as it is, and nothing is concluded from it but numbers.
        unsafe { place.read_volatile() }
    }
}

/// The hash table of nodes: behind a head of one cache line.
struct Slots {
    count: usize,
}

static SLOTS: AtomicPtr<Slots> = AtomicPtr::new(core::ptr::null_mut());
static NODES: Lock<Nodes> = Lock::new(Nodes { used: 0 });
/// The node from which the stacks of this generation of code start, and its path.
static BASE: AtomicU32 = AtomicU32::new(ROOT);
static BASE_PATH: AtomicU64 = AtomicU64::new(0);

/// The inserter's side.
struct Nodes {
    used: usize,
}

#[inline(always)]
fn slots() -> &'static [Slot] {
    slots_of(SLOTS.load(Ordering::Acquire))
}

#[inline(always)]
fn slots_of(head: *mut Slots) -> &'static [Slot] {
    // SAFETY: null, or a table that stays mapped and whose head says how many slots follow it.
    unsafe {
        match head.as_ref() {
            Some(known) => {
                core::slice::from_raw_parts(head.cast::<u8>().add(64).cast(), known.count)
            }
            None => &[],
        }
    }
}

fn map_slots(count: usize) -> Option<*mut Slots> {
    let bytes = count.checked_mul(size_of::<Slot>())?.checked_add(64)?;
    let head: *mut Slots = memory::map(bytes)?.cast();
    // SAFETY: mapped, aligned, and not published yet.
    unsafe { head.write(Slots { count }) };
    Some(head)
}

/// Makes the tables and the two nodes that have no address.
pub(crate) fn prepare() -> bool {
    let Some(slots) = map_slots(FIRST_SLOTS) else {
        return false;
    };
    SLOTS.store(slots, Ordering::Release);
    for expected in [ROOT, OVERFLOW] {
        if region::append_node(0, ROOT, 0) != Some(expected) {
            return false;
        }
    }
    // Number 0 is no stack's, so that a record of no bytes is not no record.
    if region::append_stack(ROOT) != Some(0) {
        return false;
    }
    true
}

/// Bounds of the calling thread's own stack: what is mapped around `rsp`, and the upper end. Both are 0
/// where it runs on another one.
pub(crate) fn bounds() -> (u64, u64) {
    let here = 0_u64;
    let stack = (&raw const here).addr() as u64;
    let end: *const u64 = core::ptr::with_exposed_provenance(next::get(next::Function::StackEnd));
    // SAFETY: null, or the loader's variable.
    let first_thread = unsafe { end.as_ref() }.map_or(0, |end| end.wrapping_add(8));
    for top in [tls::thread_pointer() & !7, first_thread & !7] {
        if top > stack && top - stack < LARGEST_STACK && is_mapped(stack, top) {
            return (stack & !(system::PAGE - 1), top);
        }
    }
    (0, 0)
}

/// Whether every page from that of `from` to the one below `to` can be read.
fn is_mapped(from: u64, to: u64) -> bool {
    let mut page = from & !(system::PAGE - 1);
    while page < to {
        if !system::is_readable(page) {
            return false;
        }
        page += system::PAGE;
    }
    true
}

/// Whether `slot` lies on the thread's own stack; what is read there is mapped then.
#[inline(always)]
fn is_own(recorder: &mut Recorder, slot: u64) -> bool {
    (recorder.low..recorder.top).contains(&slot) || is_own_further_down(recorder, slot)
}

#[cold]
fn is_own_further_down(recorder: &mut Recorder, slot: u64) -> bool {
    if recorder.top == 0 {
        (recorder.low, recorder.top) = bounds();
        return (recorder.low..recorder.top).contains(&slot);
    }
    let near = slot < recorder.low && recorder.top - slot < LARGEST_STACK;
    if near && is_mapped(slot, recorder.low) {
        recorder.low = slot & !(system::PAGE - 1);
        return true;
    }
    false
}

/// The number of the stack of a caller; `None` where there is no room for another stack.
#[inline(always)]
pub(crate) fn number(recorder: &mut Recorder, slot: u64, base: u64) -> Option<u32> {
    let start = Cursor { slot, base };
    match walk(recorder, start) {
        Ok(walked) => {
            let path = recorder.tail.path(walked, base_path());
            let leaf = recorder.tail.address(walked.frames.wrapping_sub(1));
            known::find(path, leaf).or_else(|| new_number(recorder, walked, path, leaf))
        }
        Err(node) => stack_of(node),
    }
}

/// The number of a stack that is not known as a whole.
#[cold]
#[inline(never)]
fn new_number(recorder: &mut Recorder, walked: Walked, path: PathHash, leaf: u64) -> Option<u32> {
    region::note_block();
    let node = intern_frames(recorder, walked);
    let number = stack_of(node)?;
    if node != OVERFLOW {
        known::remember(path, leaf, number);
    }
    Some(number)
}

/// The node of the last walk's stack.
fn intern_frames(recorder: &Recorder, walked: Walked) -> u32 {
    let (mut node, _) = root();
    for (path, address) in recorder.tail.frames(walked) {
        node = intern_at(node, path, address);
    }
    node
}

/// As [`number`], for a caller that maps memory.
pub(crate) fn mapping_number(recorder: &mut Recorder, slot: u64, base: u64) -> Option<u32> {
    let caller = node(recorder, Cursor { slot, base });
    // The path only decides where the search begins: the caller's number will do for it.
    let path = PathHash::ROOT.then(MARK_MAPPING).then(u64::from(caller));
    stack_of(intern_at(caller, path, MARK_MAPPING))
}

#[inline(always)]
fn stack_of(node: u32) -> Option<u32> {
    let place = numbers::place(node)?;
    match place.load(Ordering::Acquire) {
        0 => new_stack(node, place),
        known => Some(known - 1),
    }
}

#[cold]
#[inline(never)]
fn new_stack(node: u32, place: &AtomicU32) -> Option<u32> {
    NODES.with(|_| match place.load(Ordering::Acquire) {
        0 => {
            let stack = region::append_stack(node)?;
            place.store(stack + 1, Ordering::Release);
            Some(stack)
        }
        known => Some(known - 1),
    })?
}

fn root() -> (u32, PathHash) {
    (BASE.load(Ordering::Acquire), base_path())
}

#[inline(always)]
fn base_path() -> PathHash {
    PathHash::from_number(BASE_PATH.load(Ordering::Relaxed))
}

/// The node of a stack.
fn node(recorder: &mut Recorder, start: Cursor) -> u32 {
    match walk(recorder, start) {
        Ok(walked) => {
            recorder.tail.path(walked, base_path());
            intern_frames(recorder, walked)
        }
        Err(node) => node,
    }
}

/// Walks by the tail; where another way was taken, the stack's node.
#[inline(always)]
fn walk(recorder: &mut Recorder, start: Cursor) -> Result<Walked, u32> {
    if !start.slot.is_multiple_of(8) || !is_own(recorder, start.slot) {
        return Err(plain(recorder, start));
    }
    let code = code::version();
    if recorder.code != code {
        recorder.code = code;
        recorder.tail.clear();
    }
    #[cfg(feature = "check-walks")]
    check::check(recorder, start);
    if recorder.trie_walks != 0 {
        if let Some(node) = by_trie(recorder, start) {
            return Err(node);
        }
    } else {
        recorder.tail_walks += 1;
        if recorder.tail_walks == WINDOW {
            choose(recorder);
        }
    }
    let Some(rules) = code::rules() else {
        return Err(OVERFLOW);
    };
    let top = recorder.top;
    let walked = recorder.tail.walk(
        &Memory,
        &mut |address| code::rule_in(rules, address),
        start,
        top,
    );
    match walked.stop {
        Stop::Root => Ok(walked),
        Stop::Lost => {
            region::count_lost(|lost| &lost.rules);
            Ok(walked)
        }
        Stop::Signal | Stop::Deep => Err(plain(recorder, start)),
    }
}

/// The node by way of the trie, where the thread is on that way.
#[inline(never)]
fn by_trie(recorder: &mut Recorder, start: Cursor) -> Option<u32> {
    recorder.trie_walks -= 1;
    let trie = tries::current()?;
    loop {
        match trie.walk(&Memory, start, recorder.top) {
            Reached::End(end, stop) => {
                if stop == Stop::Lost {
                    region::count_lost(|lost| &lost.rules);
                }
                return Some(match trie.number(end) {
                    0 => number_in_trie(trie, end),
                    number => number,
                });
            }
            Reached::New { parent, address } => {
                if !tries::grow(trie, parent, address) {
                    recorder.trie_walks = 0;
                    return None;
                }
            }
            Reached::Refused => return None,
        }
    }
}

/// Whether the walks since the last look went over so many frames that the trie is cheaper.
#[cold]
#[inline(never)]
fn choose(recorder: &mut Recorder) {
    let stepped = recorder.tail.stepped.wrapping_sub(recorder.stepped_before);
    recorder.stepped_before = recorder.tail.stepped;
    recorder.tail_walks = 0;
    if stepped > u64::from(WINDOW) * FRAMES_FOR_TRIE {
        recorder.trie_walks = TRIE_WALKS;
    }
}

/// The node of the stack that ends on a node of the trie, which from now on knows it.
#[cold]
#[inline(never)]
fn number_in_trie(trie: Trie<'static>, end: u32) -> u32 {
    let (mut node, mut path) = root();
    for address in trie.addresses(end) {
        path = path.then(address);
        node = intern_at(node, path, address);
    }
    trie.set_number(end, node);
    node
}

/// A walk that remembers nothing: over signal frames, deep stacks and stacks of fibers.
#[cold]
#[inline(never)]
fn plain(recorder: &mut Recorder, start: Cursor) -> u32 {
    recorder.tail.clear();
    plain_walk(recorder, start)
}

fn plain_walk(recorder: &mut Recorder, start: Cursor) -> u32 {
    let mut walk = Plain {
        cursor: start,
        address: 0,
        end: 0,
        foreign: false,
        count: 0,
    };
    if !start.slot.is_multiple_of(8) || !walk.enter(recorder, start) {
        return OVERFLOW;
    }
    walk.address = Memory.word(start.slot);
    let deep = loop {
        if walk.count == MOST_FRAMES {
            break true;
        }
        recorder.scratch_set(walk.count, walk.address);
        walk.count += 1;
        if !walk.go_on(recorder) || walk.address == 0 {
            break false;
        }
    };
    let (mut node, mut path) = root();
    let mark = match (deep, walk.foreign) {
        (true, _) => Some((MARK_TRUNCATED, TRUNCATED_FRAMES)),
        (false, true) => Some((MARK_FOREIGN, walk.count)),
        (false, false) => None,
    };
    if let Some((mark, frames)) = mark {
        region::count_lost(match mark {
            MARK_TRUNCATED => |lost| &lost.truncated,
            _ => |lost| &lost.foreign,
        });
        walk.count = frames;
        path = path.then(mark);
        node = intern_at(node, path, mark);
    }
    for index in (0..walk.count).rev() {
        let address = recorder.scratch(index);
        path = path.then(address);
        node = intern_at(node, path, address);
    }
    node
}

/// A plain walk in progress.
struct Plain {
    cursor: Cursor,
    /// The return address at the cursor; after a signal the interrupted address plus one, so that
    /// what is true of calls (the instruction lies before it) is true of it.
    address: u64,
    /// The first address that may not be read.
    end: u64,
    foreign: bool,
    count: usize,
}

impl Plain {
    /// Stands at `cursor` after finding what may be read from there on.
    fn enter(&mut self, recorder: &mut Recorder, cursor: Cursor) -> bool {
        self.cursor = cursor;
        self.foreign = !is_own(recorder, cursor.slot);
        if !self.foreign {
            self.end = recorder.top;
            return true;
        }
        self.end = cursor.slot & !(system::PAGE - 1);
        while self.end - (cursor.slot & !(system::PAGE - 1)) < FOREIGN_BYTES
            && system::is_readable(self.end)
        {
            self.end += system::PAGE;
        }
        self.end > cursor.slot
    }

    /// To the caller; false at the end.
    fn go_on(&mut self, recorder: &mut Recorder) -> bool {
        let rule = code::rule(self.address);
        match step(&Memory, self.cursor, rule, self.end) {
            Ok(caller) => {
                self.cursor = caller;
                self.address = Memory.word(caller.slot);
                true
            }
            Err(Stop::Signal) => self.leave_handler(recorder),
            Err(_) => {
                if matches!(rule.frame(), Frame::Unknown) {
                    region::count_lost(|lost| &lost.rules);
                }
                false
            }
        }
    }

    /// From a signal's frame to what it interrupted: above the return address lies a `ucontext_t`, whose
    /// registers are where the kernel's `struct sigcontext` has them.
    fn leave_handler(&mut self, recorder: &mut Recorder) -> bool {
        const CONTEXT: u64 = 8 + 40;
        const RBP: u64 = CONTEXT + 10 * 8;
        const RSP: u64 = CONTEXT + 15 * 8;
        const RIP: u64 = CONTEXT + 16 * 8;
        let frame = self.cursor.slot;
        if self.end < frame || self.end - frame < RIP + 8 {
            return false;
        }
        let [base, stack, address] = [RBP, RSP, RIP].map(|offset| Memory.word(frame + offset));
        let Some(slot) = stack.checked_sub(8).filter(|slot| slot.is_multiple_of(8)) else {
            return false;
        };
        let was_foreign = self.foreign;
        if !self.enter(recorder, Cursor { slot, base }) {
            return false;
        }
        // From an alternate stack back to the thread's own; never down, which could go on for ever.
        let homeward = was_foreign && !self.foreign;
        if slot <= frame && !homeward {
            return false;
        }
        self.address = address.wrapping_add(1);
        true
    }
}

/// The node of `address` called from `parent`.
#[inline(always)]
fn intern_at(parent: u32, path: PathHash, address: u64) -> u32 {
    match intern::find(slots(), path, parent, address) {
        Found::Node(id) => id,
        _ => intern_new(parent, path, address),
    }
}

#[cold]
#[inline(never)]
fn intern_new(parent: u32, path: PathHash, address: u64) -> u32 {
    if parent == OVERFLOW {
        return OVERFLOW;
    }
    let node = NODES.with(|nodes| nodes.insert(parent, path, address));
    node.flatten().unwrap_or_else(|| {
        region::count_lost(|lost| &lost.nodes);
        OVERFLOW
    })
}

impl Nodes {
    fn insert(&mut self, parent: u32, path: PathHash, address: u64) -> Option<u32> {
        if self.used * 2 >= slots().len() {
            // Where there is no room to grow, the table gets slower until it is full.
            Self::grow();
        }
        match intern::find(slots(), path, parent, address) {
            Found::Node(id) => Some(id),
            Found::NoRoom => None,
            Found::Vacant(index) => {
                let id = region::append_node(address, parent, code::generation())?;
                intern::insert(slots(), index, (path, parent, address), id);
                self.used += 1;
                Some(id)
            }
        }
    }

    /// To twice the size. The old table stays mapped, as others may be looking into it.
    fn grow() -> Option<()> {
        let head = map_slots(slots().len() * 2)?;
        intern::copy(slots(), slots_of(head));
        SLOTS.store(head, Ordering::Release);
        Some(())
    }
}

/// A module lies where another one lay: the same addresses mean other code from now on.
pub(crate) fn new_generation(generation: u32) {
    let path = PathHash::ROOT
        .then(MARK_GENERATION)
        .then(u64::from(generation));
    let node = NODES.with(|_| region::append_node(MARK_GENERATION, ROOT, generation));
    if let Some(node) = node.flatten() {
        BASE_PATH.store(path.number(), Ordering::Relaxed);
        BASE.store(node, Ordering::Release);
    }
}

/// Forgets all stacks.
///
/// # Safety
/// Only in a new child of `fork`, where no other thread exists yet.
pub(crate) unsafe fn forget() {
    SLOTS.store(core::ptr::null_mut(), Ordering::Release);
    numbers::forget();
    // SAFETY: the caller's promise.
    unsafe { known::forget() };
    BASE.store(ROOT, Ordering::Release);
    BASE_PATH.store(0, Ordering::Release);
    // SAFETY: the caller's promise.
    unsafe { NODES.replace(Nodes { used: 0 }) };
}
