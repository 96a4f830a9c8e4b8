//! The writer of the region file.
//!
//! The file grows by windows that are given blocks before they are mapped: on a full disk there is
//! no window, and never a signal. A window stays mapped; what lies in it never moves. One lock
//! serves all growth, and nothing that is counted per event takes it.
//!
//! The descriptor is kept under a high number. Programs that close all descriptors close it, too, and
//! may get its number for a file of theirs; so the file is checked to be ours before it grows, and opened
//! anew by its path if it is not. Where there are no high numbers (`ulimit -n`), it is closed after each use.

use crate::lock::Lock;
use crate::system;
use core::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, Ordering};
use memtide_region::layout::{
    HEADER_BYTES, Header, LOADED, Lost, MAGIC, ModuleEntry, NodeEntry, PAGE_BYTES, PATH_BYTES,
    PageRow, RangeEntry, TableHead, ThreadEntry, VERSION,
};
use memtide_region::table::SEGMENTS;
use memtide_region::{Mode, State, Table};

/// Says which build wrote a region; set by the build script of the command line.
const BUILD_HASH: u64 = match option_env!("MEMTIDE_BUILD_HASH") {
    Some(text) => parse(text.as_bytes()),
    None => 0,
};
const FIRST_WINDOW: u64 = 256 << 10;
const LARGEST_WINDOW: u64 = 16 << 20;
const MOST_WINDOWS: usize = 256;
/// Descriptors are kept above those that programs use and select(2) can hold.
const LEAST_DESCRIPTOR: u32 = 1000;
const PATH_ROOM: usize = 4352;

const fn parse(digits: &[u8]) -> u64 {
    let (mut value, mut index) = (0_u64, 0);
    while let Some((_, [digit @ b'0'..=b'9', ..])) = digits.split_at_checked(index) {
        let digit = *digit - b'0';
        value = value.wrapping_mul(10).wrapping_add(digit as u64);
        index += 1;
    }
    value
}

static WRITER: Lock<Writer> = Lock::new(Writer::new());
static HEADER: AtomicPtr<Header> = AtomicPtr::new(core::ptr::null_mut());

/// Where entry after entry of one table is written.
struct Rows {
    table: Table,
    length: u32,
    segments: [*mut u8; SEGMENTS],
}

struct Writer {
    descriptor: Option<u32>,
    identity: (u64, u64),
    /// Whether the file is locked while this process lives.
    is_locked: bool,
    path: [u8; PATH_ROOM],
    path_bytes: usize,
    /// Bytes of the file that have blocks.
    end: u64,
    /// There was no room for another window, and nobody asks again: that can take milliseconds.
    is_full: bool,
    next_window: u64,
    /// The rest of the youngest window.
    free: *mut u8,
    free_offset: u64,
    free_bytes: u64,
    windows: [(u64, u64); MOST_WINDOWS],
    window_count: usize,
    nodes: Rows,
    stacks: Rows,
    modules: Rows,
    threads: Rows,
    pages: Rows,
    ranges: Rows,
}

// SAFETY: its pointers lead to mappings that every thread may use.
unsafe impl Send for Writer {}

impl Rows {
    const fn new(table: Table) -> Self {
        Self {
            table,
            length: 0,
            segments: [core::ptr::null_mut(); SEGMENTS],
        }
    }
}

impl Writer {
    const fn new() -> Self {
        Self {
            descriptor: None,
            identity: (0, 0),
            is_locked: false,
            path: [0; PATH_ROOM],
            path_bytes: 0,
            end: 0,
            is_full: false,
            next_window: FIRST_WINDOW,
            free: core::ptr::null_mut(),
            free_offset: 0,
            free_bytes: 0,
            windows: [(0, 0); MOST_WINDOWS],
            window_count: 0,
            nodes: Rows::new(Table::NODES),
            stacks: Rows::new(Table::STACKS),
            modules: Rows::new(Table::MODULES),
            threads: Rows::new(Table::THREADS),
            pages: Rows::new(Table::PAGES),
            ranges: Rows::new(Table::RANGES),
        }
    }

    /// Creates `DIRECTORY/PID-N.region` with the first free N.
    fn create(&mut self, directory: &[u8], pid: u32) -> Option<()> {
        for attempt in 0..10_000 {
            self.path_bytes = 0;
            self.push(directory)?;
            self.push(b"/")?;
            self.push_number(pid)?;
            self.push(b"-")?;
            self.push_number(attempt)?;
            self.push(b".region\0")?;
            match system::create(self.path.get(..self.path_bytes)?) {
                Ok(descriptor) => {
                    self.identity = system::identity(descriptor)?;
                    // The first window keeps this opening of the file in use, whatever the program closes.
                    self.is_locked = system::lock(descriptor);
                    self.keep(descriptor);
                    return Some(());
                }
                Err(system::EEXIST) => {}
                Err(_) => return None,
            }
        }
        None
    }

    fn push(&mut self, bytes: &[u8]) -> Option<()> {
        let end = self.path_bytes.checked_add(bytes.len())?;
        self.path
            .get_mut(self.path_bytes..end)?
            .copy_from_slice(bytes);
        self.path_bytes = end;
        Some(())
    }

    fn push_number(&mut self, number: u32) -> Option<()> {
        if number >= 10 {
            self.push_number(number / 10)?;
        }
        let digit = u8::try_from(number % 10).ok()?;
        self.push(&[b'0' + digit])
    }

    /// The descriptor, if it still is the region's file.
    fn file(&mut self) -> Option<u32> {
        if let Some(descriptor) = self.descriptor
            && system::identity(descriptor) == Some(self.identity)
        {
            return Some(descriptor);
        }
        let descriptor = system::open(self.path.get(..self.path_bytes)?).ok()?;
        if system::identity(descriptor) != Some(self.identity) {
            system::close(descriptor);
            return None;
        }
        let kept = self.keep(descriptor);
        Some(kept)
    }

    /// Moves the descriptor up where that is allowed, and remembers it.
    fn keep(&mut self, descriptor: u32) -> u32 {
        let kept = match system::duplicate(descriptor, LEAST_DESCRIPTOR) {
            Some(high) => {
                system::close(descriptor);
                high
            }
            None => descriptor,
        };
        self.descriptor = Some(kept);
        kept
    }

    /// A program that may have few files finds none of ours among the numbers that it counts on.
    fn hide(&mut self) {
        if let Some(low) = self.descriptor.take_if(|low| *low < LEAST_DESCRIPTOR) {
            system::close(low);
        }
    }

    /// Memory in the file, aligned to a cache line, with its offset.
    fn allocate(&mut self, bytes: u64) -> Option<(u64, *mut u8)> {
        let bytes = bytes.next_multiple_of(64);
        if bytes > self.free_bytes {
            self.open_window(bytes)?;
        }
        let place = (self.free_offset, self.free);
        self.free_bytes -= bytes;
        self.free_offset += bytes;
        self.free = self.free.wrapping_add(bytes as usize);
        Some(place)
    }

    fn open_window(&mut self, bytes: u64) -> Option<()> {
        if self.is_full {
            return None;
        }
        let opened = self.open_largest(bytes);
        self.hide();
        if opened.is_none() {
            self.is_full = true;
            set_state(State::Full);
        }
        opened
    }

    /// A window of the next size, or of a smaller one that still has room for so many bytes.
    fn open_largest(&mut self, bytes: u64) -> Option<()> {
        let least = bytes.next_multiple_of(system::PAGE);
        let mut size = least.max(self.next_window);
        while self.open(size).is_none() {
            if size == least {
                return None;
            }
            size = (size / 2).next_multiple_of(system::PAGE).max(least);
        }
        self.next_window = (size * 2).min(LARGEST_WINDOW);
        Some(())
    }

    fn open(&mut self, size: u64) -> Option<()> {
        let offset = self.end;
        let index = self.window_count;
        self.windows.get(index)?;
        let descriptor = self.file()?;
        if !system::allocate(descriptor, offset, size) {
            return None;
        }
        let start = system::map_file(descriptor, offset, size as usize)?;
        system::advise(start, size as usize, system::MADV_DONTDUMP);
        *self.windows.get_mut(index)? = (start.addr() as u64, size);
        self.window_count += 1;
        self.end += size;
        if let Some(header) = header() {
            header.used.store(self.end, Ordering::Relaxed);
        }
        (self.free, self.free_offset, self.free_bytes) = (start, offset, size);
        Some(())
    }
}

/// Appends an entry to one table: gives `write` its place and publishes the length after it.
///
/// # Safety
/// `T` is the entry type of `rows`' table, made of atomics and bytes.
unsafe fn append<T>(
    writer: &mut Writer,
    rows: fn(&mut Writer) -> &mut Rows,
    head: fn(&Header) -> &TableHead,
    write: impl FnOnce(*mut T),
) -> Option<(u32, *mut T)> {
    let header = header()?;
    let (table, index) = (rows(writer).table, rows(writer).length);
    if index >= table.most {
        return None;
    }
    let (segment, within) = table.place(index);
    let mut start = *rows(writer).segments.get(segment)?;
    if start.is_null() {
        let (offset, place) = writer.allocate(table.segment_bytes(segment))?;
        *rows(writer).segments.get_mut(segment)? = place;
        head(header)
            .segments
            .get(segment)?
            .store(offset, Ordering::Release);
        start = place;
    }
    let entry: *mut T = start
        .wrapping_add(within as usize * table.entry_bytes as usize)
        .cast();
    write(entry);
    rows(writer).length = index + 1;
    head(header).length.store(index + 1, Ordering::Release);
    Some((index, entry))
}

/// The header, once there is a region.
#[inline(always)]
pub(crate) fn header() -> Option<&'static Header> {
    // SAFETY: null, or a window of the region, which stays mapped; all its fields are atomics.
    unsafe { HEADER.load(Ordering::Acquire).as_ref() }
}

/// What could not be recorded; counted by `field`.
#[cold]
pub(crate) fn count_lost(field: fn(&Lost) -> &AtomicU64) {
    if let Some(header) = header() {
        field(&header.lost).fetch_add(1, Ordering::Relaxed);
    }
}

/// How it is recorded, for the header.
pub(crate) struct Settings {
    pub(crate) mode: Mode,
    /// Mean bytes between samples; 1 in full mode.
    pub(crate) interval: u64,
    /// Bytes of address per shadow slot, full mode.
    pub(crate) granule: u32,
    /// See [`Header::misread`].
    pub(crate) misread: u32,
}

/// Makes the region of this process. The header says [`State::Starting`] until [`set_state`].
pub(crate) fn create(directory: &[u8], settings: &Settings) -> bool {
    let made = WRITER.with(|writer| {
        writer.create(directory, system::pid())?;
        let (_, place) = writer.allocate(HEADER_BYTES as u64)?;
        Some((place, writer.is_locked, writer.end))
    });
    let Some((place, is_locked, used)) = made.flatten() else {
        return false;
    };
    let header: *mut Header = place.cast();
    // SAFETY: a page of zeros at the start of a window; the type is made of atomics.
    let fields = unsafe { &*header };
    let set = |field: &AtomicU32, value: u32| field.store(value, Ordering::Relaxed);
    set(&fields.version, VERSION);
    set(&fields.header_bytes, HEADER_BYTES as u32);
    set(&fields.pid, system::pid());
    set(&fields.parent_pid, system::parent_pid());
    set(&fields.mode, settings.mode as u32);
    set(&fields.granule, settings.granule);
    set(&fields.misread, settings.misread);
    set(&fields.is_locked, u32::from(is_locked));
    fields.used.store(used, Ordering::Relaxed);
    fields.build_hash.store(BUILD_HASH, Ordering::Relaxed);
    fields.start.store(system::boottime(), Ordering::Relaxed);
    fields.interval.store(settings.interval, Ordering::Relaxed);
    let namespace = system::pid_namespace().unwrap_or(0);
    fields.pid_namespace.store(namespace, Ordering::Relaxed);
    HEADER.store(header, Ordering::Release);
    fields.magic.store(MAGIC, Ordering::Release);
    true
}

/// How far the recording is. Once it is full, or its blocks go elsewhere, it stays so: what is missing is missing
/// at the end, too.
pub(crate) fn set_state(state: State) {
    const LASTING: [u32; 2] = [State::Full as u32, State::RefusedAllocator as u32];
    if let Some(header) = header()
        && !LASTING.contains(&header.state.load(Ordering::Relaxed))
    {
        header.state.store(state as u32, Ordering::Release);
    }
}

/// A block came on a new stack: the allocator in front of the shim, if there is one, passes blocks on.
pub(crate) fn note_block() {
    if let Some(header) = header() {
        let (refused, recording) = (State::RefusedAllocator as u32, State::Recording as u32);
        // A failure means that nothing was refused.
        let _ =
            header
                .state
                .compare_exchange(refused, recording, Ordering::Release, Ordering::Relaxed);
    }
}

/// Notes private memory of the shim's.
pub(crate) fn note_range(start: u64, bytes: u64) {
    let write = |entry: *mut RangeEntry| {
        // SAFETY: `append` gives the place of an entry of atomics.
        let entry = unsafe { &*entry };
        entry.start.store(start, Ordering::Relaxed);
        entry.bytes.store(bytes, Ordering::Relaxed);
    };
    WRITER.with(|writer| {
        // SAFETY: the type is that of the table of ranges.
        unsafe { append(writer, |w| &mut w.ranges, |h| &h.ranges, write) };
    });
}

/// Appends a node and gives its number.
pub(crate) fn append_node(address: u64, parent: u32, generation: u32) -> Option<u32> {
    let write = |entry: *mut NodeEntry| {
        // SAFETY: `append` gives the place of an entry of atomics.
        let entry = unsafe { &*entry };
        entry.address.store(address, Ordering::Relaxed);
        entry.parent.store(parent, Ordering::Relaxed);
        entry.generation.store(generation, Ordering::Relaxed);
    };
    // SAFETY: the type is that of the table of nodes.
    WRITER
        .with(|writer| unsafe { append(writer, |w| &mut w.nodes, |h| &h.nodes, write) })
        .flatten()
        .map(|(index, _)| index)
}

/// Appends a stack with the node of its innermost frame and gives its number.
pub(crate) fn append_stack(node: u32) -> Option<u32> {
    let write = |entry: *mut AtomicU32| {
        // SAFETY: `append` gives the place of an entry.
        unsafe { &*entry }.store(node, Ordering::Relaxed);
    };
    // SAFETY: the type is that of the table of stacks.
    WRITER
        .with(|writer| unsafe { append(writer, |w| &mut w.stacks, |h| &h.stacks, write) })
        .flatten()
        .map(|(index, _)| index)
}

/// A module as it is noted.
pub(crate) struct Module<'a> {
    pub(crate) base: u64,
    pub(crate) bytes: u64,
    pub(crate) bias: u64,
    pub(crate) generation: u32,
    pub(crate) build_id: &'a [u8],
    pub(crate) path: &'a [u8],
}

/// Appends a module and gives its entry.
pub(crate) fn append_module(module: &Module<'_>) -> Option<&'static ModuleEntry> {
    let write = |place: *mut ModuleEntry| {
        // SAFETY: zeroed memory of that type which nobody reads yet: the length is published after.
        let entry = unsafe { &mut *place };
        *entry.base.get_mut() = module.base;
        *entry.bytes.get_mut() = module.bytes;
        *entry.bias.get_mut() = module.bias;
        *entry.loaded.get_mut() = module.generation;
        *entry.unloaded.get_mut() = LOADED;
        *entry.build_id_bytes.get_mut() = copied(&mut entry.build_id, module.build_id);
        copied(&mut entry.path, module.path);
        *entry.path_bytes.get_mut() = u32::try_from(module.path.len()).unwrap_or(u32::MAX);
    };
    // SAFETY: the type is that of the table of modules.
    let appended =
        WRITER.with(|writer| unsafe { append(writer, |w| &mut w.modules, |h| &h.modules, write) });
    // SAFETY: an entry stays mapped; after publication only its atomics are written.
    appended
        .flatten()
        .and_then(|(_, entry)| unsafe { entry.as_ref() })
}

/// Copies what fits and says how much that was.
fn copied(into: &mut [u8], from: &[u8]) -> u32 {
    let bytes = into.len().min(from.len()).min(PATH_BYTES);
    for (place, byte) in into.iter_mut().zip(from) {
        *place = *byte;
    }
    bytes as u32
}

/// Appends a recorder slot.
pub(crate) fn append_thread() -> Option<(u32, &'static ThreadEntry)> {
    // SAFETY: the type is that of the table of threads.
    let appended =
        WRITER.with(|writer| unsafe { append(writer, |w| &mut w.threads, |h| &h.threads, |_| {}) });
    let (index, entry): (u32, *mut ThreadEntry) = appended.flatten()?;
    // SAFETY: an entry stays mapped and is made of atomics.
    Some((index, unsafe { entry.as_ref() }?))
}

/// A new counter page of `thread` for the stacks from 256 times `number` on.
pub(crate) fn counter_page(thread: u32, number: u32) -> Option<*mut u8> {
    WRITER.with(|writer| {
        let (offset, page) = writer.allocate(PAGE_BYTES as u64)?;
        let write = |entry: *mut PageRow| {
            // SAFETY: `append` gives the place of an entry of atomics.
            let entry = unsafe { &*entry };
            entry.offset.store(offset, Ordering::Relaxed);
            entry.thread.store(thread, Ordering::Relaxed);
            entry.number.store(number, Ordering::Relaxed);
        };
        // SAFETY: the type is that of the directory of pages.
        unsafe { append(writer, |w| &mut w.pages, |h| &h.pages, write) }?;
        Some(page)
    })?
}

/// Lets go of the parent's region and of all private memory that was noted in it, but for what begins at `kept`.
///
/// # Safety
/// Only in a new child of `fork`, where no other thread uses either.
pub(crate) unsafe fn forget(kept: u64) {
    HEADER.store(core::ptr::null_mut(), Ordering::Release);
    // The lock may be held by a thread that is not in this process.
    // SAFETY: the caller is the only thread, and has the parent's writer for itself.
    let before = unsafe { WRITER.replace(Writer::new()) };
    if let Some(descriptor) = before.descriptor
        && system::identity(descriptor) == Some(before.identity)
    {
        system::close(descriptor);
    }
    let rows = &before.ranges;
    for index in 0..rows.length {
        let (segment, within) = rows.table.place(index);
        let Some(start) = rows.segments.get(segment) else {
            break;
        };
        let entry: *const RangeEntry = start
            .wrapping_add(within as usize * rows.table.entry_bytes as usize)
            .cast();
        // SAFETY: an entry that was appended, in a window that is still mapped; what it names is
        // memory of the shim's, which starts anew.
        unsafe {
            let entry = &*entry;
            let start = entry.start.load(Ordering::Relaxed);
            if start != kept {
                system::unmap(start, entry.bytes.load(Ordering::Relaxed));
            }
        }
    }
    for (start, bytes) in before.windows.iter().take(before.window_count) {
        // SAFETY: the parent's windows; nothing refers to them after this.
        unsafe { system::unmap(*start, *bytes) };
    }
}
