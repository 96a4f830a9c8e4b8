//! What belongs to one thread, from its first block to its end.
//!
//! Recorders are never unmapped: one that is given back serves the next thread, and its counters go on.

use crate::lock::Lock;
use crate::tls::{Tls, tls};
use crate::{life, memory, next, region, stacks, system};
use core::ffi::{c_int, c_void};
use core::sync::atomic::{AtomicI64, AtomicU32, Ordering, Ordering::Relaxed, compiler_fence};
use memtide_region::Table;
use memtide_region::layout::{CounterRow, Header, PAGE_STACKS, ThreadEntry};
use memtide_unwind::sampling::Random;
use memtide_unwind::tail::{MOST_FRAMES, Tail};

/// Entries of the directory of counter pages: enough for all stacks that a region can hold.
const DIRECTORY: usize = (Table::STACKS.most / PAGE_STACKS) as usize;
/// Destructors of other keys may allocate after ours has run, in rounds (`PTHREAD_DESTRUCTOR_ITERATIONS`
/// is 4); after these the thread's blocks are counted as lost.
const MOST_LIVES: u32 = 3;

/// See the module.
#[repr(C)]
pub(crate) struct Recorder {
    /// Its number in the region.
    index: u32,
    /// The version of the program's code that `tail` knows.
    pub(crate) code: u32,
    /// Bytes made less freed that the sum of all threads does not have yet.
    pub(crate) live: i64,
    /// At more than these bytes in `live` there may be a new peak.
    pub(crate) limit: i64,
    /// The thread's own stack: everything in `low..top` is mapped.
    pub(crate) low: u64,
    pub(crate) top: u64,
    pub(crate) random: Random,
    /// Walks by the tail since it was last decided which way to go, frames stepped over before, and
    /// walks that are still to go by the trie.
    pub(crate) tail_walks: u32,
    pub(crate) trie_walks: u32,
    pub(crate) stepped_before: u64,
    entry: &'static ThreadEntry,
    pub(crate) header: &'static Header,
    next_free: *mut Recorder,
    directory: *mut *mut CounterRow,
    pub(crate) tail: Tail,
    /// Addresses of a plain walk, leaf first.
    scratch: [u64; MOST_FRAMES],
}

struct Free(*mut Recorder);

// SAFETY: recorders are never unmapped and belong to whoever takes them off the list.
unsafe impl Send for Free {}

static FREE: Lock<Free> = Lock::new(Free(core::ptr::null_mut()));
static IN_USE: AtomicI64 = AtomicI64::new(0);
/// The key whose destructor gives recorders back, plus one; 0 before it is made.
static KEY: AtomicU32 = AtomicU32::new(0);

/// How many threads have a recorder.
pub(crate) fn in_use() -> i64 {
    IN_USE.load(Relaxed)
}

/// Runs `work` with the calling thread's recorder, unless the thread is inside of the shim already, or
/// has none: then that is counted.
#[inline(always)]
pub(crate) fn with<R>(tls: &Tls, work: impl FnOnce(&mut Recorder) -> R) -> Option<R> {
    let recorder = enter(tls)?;
    let result = work(recorder);
    leave(tls);
    Some(result)
}

/// As [`with`], for who calls [`leave`] after it.
#[inline(always)]
pub(crate) fn enter(tls: &Tls) -> Option<&mut Recorder> {
    if !begin(tls) {
        return None;
    }
    let recorder = own(tls);
    if recorder.is_none() {
        leave(tls);
    }
    recorder
}

/// The thread's recorder; `None` if it has none, which is counted. Only between [`begin`] and [`leave`].
#[inline(always)]
#[expect(
    clippy::mut_from_ref,
    reason = "one at a time: the thread is busy until it leaves"
)]
pub(crate) fn own(tls: &Tls) -> Option<&mut Recorder> {
    let mut recorder = tls.recorder.get();
    if recorder.is_null() {
        recorder = acquire(tls);
        if recorder.is_null() {
            return None;
        }
    }
    // SAFETY: not null, and this thread's own; `busy` keeps signal handlers from it.
    Some(unsafe { &mut *recorder })
}

/// Runs `work`, which needs no recorder but must not be met by signal handlers, unless the thread is inside of the shim already:
/// then that is counted.
#[inline(always)]
pub(crate) fn alone<R>(tls: &Tls, work: impl FnOnce() -> R) -> Option<R> {
    if !begin(tls) {
        return None;
    }
    let result = work();
    leave(tls);
    Some(result)
}

/// Runs `work`, which takes no lock and uses nothing that belongs to one thread, inside of the shim, whether the
/// thread is there already or not.
pub(crate) fn anyway(tls: &Tls, work: impl FnOnce()) {
    let before = tls.busy.replace(1);
    compiler_fence(Ordering::SeqCst);
    work();
    compiler_fence(Ordering::SeqCst);
    tls.busy.set(before);
}

/// The thread is inside of the shim from now on, until it calls [`leave`]; false where it was already, which is
/// counted.
#[inline(always)]
pub(crate) fn begin(tls: &Tls) -> bool {
    if tls.busy.get() != 0 {
        count_reentered();
        return false;
    }
    tls.busy.set(1);
    // For signal handlers on this thread the order of the program's text must hold.
    compiler_fence(Ordering::SeqCst);
    true
}

/// The thread is outside of the shim again.
#[inline(always)]
pub(crate) fn leave(tls: &Tls) {
    compiler_fence(Ordering::SeqCst);
    tls.busy.set(0);
}

#[cold]
#[inline(never)]
fn count_reentered() {
    region::count_lost(|lost| &lost.reentered);
}

#[cold]
#[inline(never)]
fn acquire(tls: &Tls) -> *mut Recorder {
    let recorder = if tls.ended.get() < MOST_LIVES {
        take_free().or_else(create)
    } else {
        None
    };
    let Some(recorder) = recorder else {
        region::count_lost(|lost| &lost.threadless);
        return core::ptr::null_mut();
    };
    // SAFETY: it was taken off the list or is new: nobody else has it.
    let fields = unsafe { &mut *recorder };
    let tid = system::tid();
    fields.entry.tid.store(tid, Relaxed);
    fields.entry.alive.store(1, Relaxed);
    let users = fields.entry.users.load(Relaxed);
    fields.entry.users.store(users + 1, Relaxed);
    fields.live = 0;
    fields.limit = 0;
    fields.tail.clear();
    let seed = system::boottime() ^ u64::from(tid) << 32 ^ recorder.addr() as u64;
    fields.random = Random::new(seed);
    (fields.low, fields.top) = stacks::bounds();
    tls.recorder.set(recorder);
    IN_USE.fetch_add(1, Relaxed);
    give_back_at_end(recorder);
    recorder
}

fn take_free() -> Option<*mut Recorder> {
    FREE.with(|free| {
        let first = free.0;
        // SAFETY: on the list are recorders, which stay mapped.
        free.0 = unsafe { first.as_ref()? }.next_free;
        Some(first)
    })?
}

fn create() -> Option<*mut Recorder> {
    let header = region::header()?;
    let (index, entry) = region::append_thread()?;
    // SAFETY: a directory of null pointers is all zero.
    let directory = unsafe { memory::map_slice::<*mut CounterRow>(DIRECTORY) }?;
    // SAFETY: it is written right below.
    let recorder = unsafe { memory::map_slice::<Recorder>(1) }?;
    // SAFETY: mapped for one recorder. Field by field: the tail is large, and as zeros it is empty;
    // nothing of it needs to be touched.
    unsafe {
        (&raw mut (*recorder).index).write(index);
        (&raw mut (*recorder).entry).write(entry);
        (&raw mut (*recorder).header).write(header);
        (&raw mut (*recorder).directory).write(directory);
        (&raw mut (*recorder).random).write(Random::new(0));
    }
    Some(recorder)
}

/// Has the thread's end call [`ended`].
fn give_back_at_end(recorder: *mut Recorder) {
    let (key, set) = (KEY.load(Relaxed), next::get(next::Function::SetSpecific));
    if key != 0 && set != 0 {
        // SAFETY: the function's address and signature are those of pthread_setspecific(3). It may
        // allocate; the thread is busy, so that goes to the allocator alone.
        unsafe {
            let set: extern "C" fn(u32, *const c_void) -> c_int = core::mem::transmute(set);
            set(key - 1, recorder.cast());
        }
    }
}

/// Makes the key; once per program.
pub(crate) fn prepare() {
    let create = next::get(next::Function::KeyCreate);
    if create == 0 || KEY.load(Relaxed) != 0 {
        return;
    }
    let mut key = 0_u32;
    // SAFETY: the function's address and signature are those of pthread_key_create(3).
    let result = unsafe {
        let create: extern "C" fn(*mut u32, unsafe extern "C" fn(*mut c_void)) -> c_int =
            core::mem::transmute(create);
        create(&raw mut key, ended)
    };
    if result == 0 {
        KEY.store(key + 1, Relaxed);
    }
}

/// The thread ends: its recorder is free for another.
unsafe extern "C" fn ended(recorder: *mut c_void) {
    let tls = tls();
    // Where a signal handler has left the shim by a jump, nobody can tell what state it is in.
    alone(tls, || {
        let recorder: *mut Recorder = recorder.cast();
        // A child of fork has let go of its parent's recorders.
        if !life::is_new_process() && tls.recorder.get() == recorder {
            // SAFETY: it is this thread's, which `tls` has just confirmed.
            unsafe { give_back(tls, recorder) };
        }
    });
}

/// # Safety
/// The recorder is the calling thread's.
unsafe fn give_back(tls: &Tls, recorder: *mut Recorder) {
    // SAFETY: the caller's promise.
    let fields = unsafe { &mut *recorder };
    if region::header().is_some() {
        crate::counters::raise(fields);
    }
    fields.entry.alive.store(0, Relaxed);
    tls.recorder.set(core::ptr::null_mut());
    tls.ended.set(tls.ended.get() + 1);
    IN_USE.fetch_sub(1, Relaxed);
    FREE.with(|free| {
        fields.next_free = free.0;
        free.0 = recorder;
    });
}

/// Forgets all recorders.
///
/// # Safety
/// Only in a new child of `fork`, where no other thread exists yet.
pub(crate) unsafe fn forget() {
    // SAFETY: the caller's promise.
    unsafe { FREE.replace(Free(core::ptr::null_mut())) };
    IN_USE.store(0, Relaxed);
    tls().recorder.set(core::ptr::null_mut());
}

impl Recorder {
    /// Keeps an address of a plain walk.
    pub(crate) fn scratch_set(&mut self, index: usize, address: u64) {
        if let Some(place) = self.scratch.get_mut(index) {
            *place = address;
        }
    }

    /// An address of the last plain walk.
    pub(crate) fn scratch(&self, index: usize) -> u64 {
        self.scratch.get(index).copied().unwrap_or(0)
    }

    /// The counters of a stack; `None` where there is no room for them.
    #[inline(always)]
    pub(crate) fn row(&mut self, stack: u32) -> Option<&'static CounterRow> {
        let (page, within) = (stack / PAGE_STACKS, stack % PAGE_STACKS);
        if page as usize >= DIRECTORY {
            return None;
        }
        // SAFETY: below the directory's length.
        let slot = unsafe { &mut *self.directory.add(page as usize) };
        if slot.is_null() {
            *slot = self.new_page(page)?;
        }
        // SAFETY: a page of rows in a window of the region, which stays mapped.
        Some(unsafe { &*slot.add(within as usize) })
    }

    #[cold]
    fn new_page(&self, page: u32) -> Option<*mut CounterRow> {
        region::counter_page(self.index, page).map(<*mut u8>::cast)
    }
}
