//! Start, fork and end of the recording.
//!
//! It starts with the library's constructor, or with the first block if that comes earlier. A child of
//! `fork` finds a page of zeros (`MADV_WIPEONFORK`) when it makes or frees its first recorded block: it
//! then lets go of everything that is its parent's and starts a region of its own. Children that go on
//! to `exec` without that cost nothing. A child of `vfork` shares its parent's memory and is its parent.

use crate::lock::Lock;
use crate::tls::tls;
use crate::{code, counters, entry, full, mappings, next, recorder, region, samples};
use crate::{stacks, system, tries};
use core::ffi::{c_char, c_int};
use core::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, Ordering};
use memtide_region::layout::{MISREAD_HEAP, MISREAD_INTERVAL};
use memtide_region::{Mode, State};

/// Room for the path of the directory.
const PATH_ROOM: usize = 4096;
const DEFAULT_INTERVAL: u64 = 512 << 10;

/// What happens to blocks.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Nobody has looked at the environment, or somebody is about it.
    Starting,
    Sampled,
    Full,
    /// Nothing is recorded, now or later.
    Off,
}

const UNSTARTED: u32 = 0;
const STARTING: u32 = 1;
const SAMPLED: u32 = 2;
const FULL: u32 = 3;
const OFF: u32 = 4;

static PHASE: AtomicU32 = AtomicU32::new(UNSTARTED);
static MODE: AtomicU32 = AtomicU32::new(Mode::Sampled as u32);
static INTERVAL: AtomicU64 = AtomicU64::new(DEFAULT_INTERVAL);
/// Settings that were not understood: the header says so, as nothing may be printed here.
static MISREAD: AtomicU32 = AtomicU32::new(0);
/// The first word of the page that a child of fork sees as zero: 1 in the process that started it, 2
/// while a child starts anew.
static MARK: AtomicPtr<AtomicU32> = AtomicPtr::new((&raw const NO_MARK).cast_mut());
/// Stands for the page before there is one.
static NO_MARK: AtomicU32 = AtomicU32::new(1);
/// `MEMTIDE_DIR` and its length.
static DIRECTORY: Lock<([u8; PATH_ROOM], usize)> = Lock::new(([0; PATH_ROOM], 0));

fn decode(phase: u32) -> Phase {
    match phase {
        SAMPLED => Phase::Sampled,
        FULL => Phase::Full,
        OFF => Phase::Off,
        _ => Phase::Starting,
    }
}

/// What happens to blocks now, whatever process this is.
#[inline(always)]
pub(crate) fn phase() -> Phase {
    decode(PHASE.load(Ordering::Acquire))
}

/// As [`phase`], after starting what is to be started: the recording, or that of a new child.
#[inline(always)]
pub(crate) fn current_phase() -> Phase {
    let phase = PHASE.load(Ordering::Acquire);
    if phase == UNSTARTED || is_new_process() {
        start();
        // Another thread of a new child may be about it: until then the phase is the parent's.
        return if is_new_process() {
            Phase::Starting
        } else {
            self::phase()
        };
    }
    decode(phase)
}

/// Whether this is a child of fork that has not started a recording of its own.
#[inline(always)]
pub(crate) fn is_new_process() -> bool {
    let mark = MARK.load(Ordering::Acquire);
    // SAFETY: a static, or the page of `make_mark`, which stays mapped.
    unsafe { &*mark }.load(Ordering::Acquire) != 1
}

/// The mark, once it was made.
fn mark() -> Option<&'static AtomicU32> {
    let mark = MARK.load(Ordering::Acquire);
    // SAFETY: as in `is_new_process`.
    (!core::ptr::eq(mark, &raw const NO_MARK)).then(|| unsafe { &*mark })
}

/// Starts what is to be started, unless the thread is inside of the shim already: then this is a child that a signal
/// handler has forked, and what the handler has interrupted still uses what is the parent's.
#[cold]
#[inline(never)]
fn start() {
    let tls = tls();
    if tls.busy.get() == 0 {
        recorder::alone(tls, start_alone);
    }
}

fn start_alone() {
    if let Some(mark) = mark() {
        let mine = mark.compare_exchange(0, 2, Ordering::AcqRel, Ordering::Acquire);
        if mine.is_ok() {
            PHASE.store(STARTING, Ordering::Release);
            // SAFETY: the child's first thread is the only one that can be here: others that it has
            // made meanwhile see that the mark is taken, and pass by.
            unsafe { forget_parent() };
            begin();
            mark.store(1, Ordering::Release);
        }
        return;
    }
    let mine = PHASE.compare_exchange(UNSTARTED, STARTING, Ordering::AcqRel, Ordering::Acquire);
    if mine.is_err() {
        return;
    }
    next::resolve();
    // SAFETY: libc's pointer to the environment, null before libc is ready.
    let environment = unsafe {
        let place = next::get(next::Function::Environ) as *const *const *const c_char;
        place.as_ref().map_or(core::ptr::null(), |place| *place)
    };
    if environment.is_null() {
        PHASE.store(UNSTARTED, Ordering::Release);
        return;
    }
    // SAFETY: libc's environment, which nobody else changes yet.
    let wanted = unsafe { read_environment(environment) };
    if wanted {
        begin();
    } else {
        PHASE.store(OFF, Ordering::Release);
    }
}

/// Makes the region and all tables, and opens the gates.
fn begin() {
    let full = MODE.load(Ordering::Relaxed) == Mode::Full as u32;
    let (mode, interval) = if full {
        (Mode::Full, 1)
    } else {
        (Mode::Sampled, INTERVAL.load(Ordering::Relaxed).max(1))
    };
    let granule = if full { full::granule() } else { 0 };
    let settings = region::Settings {
        mode,
        interval,
        granule,
        misread: MISREAD.load(Ordering::Relaxed),
    };
    let created = DIRECTORY.with(|(directory, bytes)| {
        let directory = directory.get(..*bytes).unwrap_or_default();
        region::create(directory, &settings)
    });
    if created != Some(true) {
        PHASE.store(OFF, Ordering::Release);
        return;
    }
    if let Some(refused) = refusal() {
        region::set_state(refused);
        PHASE.store(OFF, Ordering::Release);
        return;
    }
    let gate = if full {
        full::prepare()
    } else {
        samples::prepare(interval)
    };
    if !(gate && stacks::prepare() && code::prepare() && make_mark()) {
        region::set_state(State::Full);
        PHASE.store(OFF, Ordering::Release);
        return;
    }
    recorder::prepare();
    code::note_program();
    if full {
        entry::shut_filter();
    }
    // Whose blocks do not come here, unless it passes them on: the first one tells.
    region::set_state(if next::has_allocator_in_front() {
        State::RefusedAllocator
    } else {
        State::Recording
    });
    PHASE.store(if full { FULL } else { SAMPLED }, Ordering::Release);
}

/// Why nothing is to be recorded although it was asked for.
fn refusal() -> Option<State> {
    if next::get(next::Function::Malloc) == 0 {
        return Some(State::RefusedAllocator);
    }
    if system::has_limited_memory() {
        return Some(State::RefusedLimit);
    }
    let mut text = [0; 8];
    if system::read_file(b"/proc/sys/vm/overcommit_memory\0", &mut text)
        .is_some_and(|text| text.first() == Some(&b'2'))
    {
        return Some(State::RefusedOvercommit);
    }
    if !make_mark() {
        return Some(State::RefusedKernel);
    }
    None
}

/// Maps the page that a child of fork sees as zeros.
fn make_mark() -> bool {
    if mark().is_some() {
        return true;
    }
    let Some(page) = system::map_private(0, system::PAGE as usize) else {
        return false;
    };
    if !system::advise(page, system::PAGE as usize, system::MADV_WIPEONFORK) {
        return false;
    }
    system::advise(page, system::PAGE as usize, system::MADV_DONTDUMP);
    let mark: *mut AtomicU32 = page.cast();
    // SAFETY: a page of zeros, aligned.
    unsafe { &*mark }.store(1, Ordering::Relaxed);
    MARK.store(mark, Ordering::Release);
    true
}

/// Lets go of everything that belongs to the parent.
///
/// # Safety
/// Only in a new child of `fork`, where no other thread uses the shim.
unsafe fn forget_parent() {
    entry::open_filter();
    let kept = samples::filter().map_or(0, |(start, _)| start);
    full::forget();
    // SAFETY: the caller's promise, for each of these.
    unsafe {
        samples::forget();
        mappings::forget();
        stacks::forget();
        tries::forget();
        code::forget();
        recorder::forget();
        region::forget(kept);
    }
}

/// Takes from the environment what the shim reads of it; says whether there is a directory.
///
/// # Safety
/// `environment` is a list of strings that ends with null.
unsafe fn read_environment(environment: *const *const c_char) -> bool {
    let mut found = false;
    let mut entry = environment;
    loop {
        // SAFETY: the caller's promise; the list ends with null.
        let text: *const u8 = unsafe { entry.read() }.cast();
        if text.is_null() {
            return found;
        }
        // SAFETY: not the end yet.
        entry = unsafe { entry.add(1) };
        // SAFETY: a string of the environment, as the following ones.
        unsafe {
            if let Some(value) = value_of(text, b"MEMTIDE_DIR=") {
                found = keep_directory(value);
            } else if let Some(value) = value_of(text, b"MEMTIDE_HEAP=") {
                let is = |word| value_of(value, word).is_some_and(|rest| rest.read() == 0);
                let full = is(b"full");
                let mode = if full { Mode::Full } else { Mode::Sampled };
                MODE.store(mode as u32, Ordering::Relaxed);
                note_misread(MISREAD_HEAP, !full && !is(b"sampled"));
            } else if let Some(value) = value_of(text, b"MEMTIDE_INTERVAL=") {
                let interval = number(value).filter(|interval| *interval > 0);
                INTERVAL.store(interval.unwrap_or(DEFAULT_INTERVAL), Ordering::Relaxed);
                note_misread(MISREAD_INTERVAL, interval.is_none());
            }
        }
    }
}

/// Keeps or takes back one bit of [`MISREAD`]: of a setting that stands there twice, the last one counts.
fn note_misread(bit: u32, is_misread: bool) {
    let others = MISREAD.load(Ordering::Relaxed) & !bit;
    MISREAD.store(others | if is_misread { bit } else { 0 }, Ordering::Relaxed);
}

/// What follows `prefix` in a string that begins with it.
///
/// # Safety
/// `text` ends with a zero.
unsafe fn value_of(text: *const u8, prefix: &[u8]) -> Option<*const u8> {
    for (index, byte) in prefix.iter().enumerate() {
        // SAFETY: all bytes before were equal to bytes of the prefix, none of which is zero.
        if unsafe { text.add(index).read() } != *byte {
            return None;
        }
    }
    // SAFETY: the string is at least as long as the prefix.
    Some(unsafe { text.add(prefix.len()) })
}

/// Keeps the path of the directory; says whether there is one, and room for it.
///
/// # Safety
/// `text` ends with a zero.
unsafe fn keep_directory(text: *const u8) -> bool {
    let is_kept = DIRECTORY.with(|(directory, bytes)| {
        *bytes = 0;
        // SAFETY: a string.
        if unsafe { text.read() } != b'/' {
            // The program may go elsewhere before it forks.
            *bytes = system::read_link(b"/proc/self/cwd\0", directory).map_or(0, <[u8]>::len);
            if let Some(place) = directory.get_mut(*bytes) {
                *place = b'/';
                *bytes += 1;
            }
        }
        let before = *bytes;
        for (index, place) in directory.iter_mut().skip(before).enumerate() {
            // SAFETY: no byte before was zero.
            *place = unsafe { text.add(index).read() };
            if *place == 0 {
                *bytes = before + index;
                return index > 0;
            }
        }
        false
    });
    is_kept.unwrap_or(false)
}

/// A decimal number; `None` if it is none or too large.
///
/// # Safety
/// `text` ends with a zero.
unsafe fn number(text: *const u8) -> Option<u64> {
    let mut value = 0_u64;
    for index in 0..20 {
        // SAFETY: no byte before was zero.
        let byte = unsafe { text.add(index).read() };
        if byte == 0 {
            return (index > 0).then_some(value);
        }
        let digit = byte.checked_sub(b'0').filter(|digit| *digit < 10)?;
        value = value.checked_mul(10)?.checked_add(u64::from(digit))?;
    }
    None
}

unsafe extern "C" fn constructor(_: c_int, _: *mut *mut c_char, _: *mut *mut c_char) {
    current_phase();
}

unsafe extern "C" fn destructor() {
    let recording = matches!(phase(), Phase::Sampled | Phase::Full);
    if !recording || is_new_process() {
        return;
    }
    let tls = tls();
    if !tls.recorder.get().is_null() {
        recorder::with(tls, counters::raise);
    }
    // Also where a signal handler ends the program from within the shim.
    recorder::anyway(tls, || {
        if let Some(header) = region::header() {
            header.end.store(system::boottime(), Ordering::Relaxed);
            // What later destructors free is still counted.
            region::set_state(State::Ended);
        }
    });
}

#[used]
#[unsafe(link_section = ".init_array")]
static CONSTRUCTOR: unsafe extern "C" fn(c_int, *mut *mut c_char, *mut *mut c_char) = constructor;

#[used]
#[unsafe(link_section = ".fini_array")]
static DESTRUCTOR: unsafe extern "C" fn() = destructor;
