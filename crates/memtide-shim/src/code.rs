//! Which module an address lies in, and the unwinding rule of a return address.
//!
//! Rules are compiled from `.eh_frame` when an address is first seen (`compiler`). glibc's
//! `_dl_find_object` finds the module without a lock; before glibc 2.35 the loader's list is asked, and no
//! lock of the shim's is held meanwhile.
//!
//! A module that lies where another one lay begins a new generation of stacks. Unloading alone does
//! not: most programs that unload load the same library again.

use crate::lock::Lock;
use crate::next::{self, Function, Object, PT_LOAD, ProgramHeader};
use crate::region::{self, Module};
use crate::{compiler, memory, stacks, system, tries};
use core::ffi::{c_char, c_int, c_void};
use core::sync::atomic::{AtomicPtr, AtomicU32, Ordering};
use memtide_region::layout::{LOADED, ModuleEntry, PATH_BYTES};
use memtide_unwind::rule::Bucket;
use memtide_unwind::{EhFrameSections, MappedPath, Rule, RuleTable};

const PT_NOTE: u32 = 4;
const PT_GNU_EH_FRAME: u32 = 0x6474_e550;
const FIRST_MODULES: usize = 64;

static BUCKETS: AtomicPtr<Bucket> = AtomicPtr::new(core::ptr::null_mut());
/// Counts how often rules were forgotten; a thread whose tail is older forgets it.
static VERSION: AtomicU32 = AtomicU32::new(1);
static GENERATION: AtomicU32 = AtomicU32::new(0);
static MODULES: Lock<Modules> = Lock::new(Modules::new());

/// A module that was seen.
#[derive(Clone, Copy)]
struct Known {
    start: u64,
    end: u64,
    /// Of its name and build-id.
    identity: u64,
    /// Null once something else lies there.
    entry: *const ModuleEntry,
}

struct Modules {
    list: *mut Known,
    count: usize,
    capacity: usize,
}

// SAFETY: memory of the shim's own, used under the lock.
unsafe impl Send for Modules {}

/// What the loader knows of the module of an address, as numbers: addresses in the process.
#[derive(Clone, Copy, Default)]
struct Found {
    start: u64,
    end: u64,
    bias: u64,
    /// `.eh_frame_hdr`, 0 if there is none, and the end of the segment that it lies in.
    frame_header: u64,
    build_id: u64,
    build_id_bytes: u64,
    name: u64,
    headers: u64,
    header_count: u64,
}

/// glibc's `struct dl_find_object`.
#[repr(C)]
struct FindResult {
    flags: u64,
    start: *mut c_void,
    end: *mut c_void,
    link_map: *const LinkMap,
    frame_header: *mut c_void,
    reserved: [u64; 7],
}

/// The public beginning of glibc's `struct link_map`.
#[repr(C)]
struct LinkMap {
    bias: u64,
    name: *const c_char,
}

/// Maps the table of rules and what the compiler needs.
pub(crate) fn prepare() -> bool {
    // SAFETY: all zero is an empty bucket.
    let buckets = unsafe { memory::map_slice::<Bucket>(RuleTable::BUCKETS) };
    let Some(buckets) = buckets.filter(|_| compiler::prepare()) else {
        return false;
    };
    BUCKETS.store(buckets, Ordering::Release);
    true
}

/// Notes the program itself, as the first module.
pub(crate) fn note_program() {
    let mut found = None;
    next::objects(|object| {
        found = Some(Found::of(object));
        true
    });
    if let Some(found) = found {
        MODULES.with(|modules| modules.note(&found));
    }
}

/// Counts how often what was known of code was forgotten.
#[inline(always)]
pub(crate) fn version() -> u32 {
    VERSION.load(Ordering::Acquire)
}

/// The generation of modules that addresses belong to now.
pub(crate) fn generation() -> u32 {
    GENERATION.load(Ordering::Acquire)
}

/// All rules that are known; `None` before there is a table.
#[inline(always)]
pub(crate) fn rules() -> Option<RuleTable<'static>> {
    let buckets = BUCKETS.load(Ordering::Acquire);
    if buckets.is_null() {
        return None;
    }
    // SAFETY: mapped for so many buckets, for ever.
    RuleTable::new(unsafe { core::slice::from_raw_parts(buckets, RuleTable::BUCKETS) })
}

/// The rule of a return address.
#[inline(always)]
pub(crate) fn rule(address: u64) -> Rule {
    match rules() {
        Some(rules) => rule_in(rules, address),
        None => Rule::UNKNOWN,
    }
}

/// As [`rule`], with a table that was asked for before.
#[inline(always)]
pub(crate) fn rule_in(rules: RuleTable<'static>, address: u64) -> Rule {
    match rules.get(address) {
        Some(rule) => rule,
        None => new_rule(address),
    }
}

#[cold]
#[inline(never)]
fn new_rule(address: u64) -> Rule {
    let Some(found) = find(address.wrapping_sub(1)) else {
        // Generated code, or no address at all: not remembered, as something may be loaded there.
        return Rule::UNKNOWN;
    };
    MODULES.with(|modules| modules.note(&found));
    let rule = match found.sections() {
        Some(sections) => compiler::rule(&sections, address),
        None => Some(Rule::UNKNOWN),
    };
    let Some(rule) = rule else {
        return Rule::UNKNOWN;
    };
    if let Some(rules) = rules() {
        rules.insert(address, rule);
    }
    rule
}

/// A library may have gone: forgets all rules, and has all threads forget their tails.
pub(crate) fn forget_rules() {
    if let Some(rules) = rules() {
        rules.clear();
    }
    tries::abandon();
    VERSION.fetch_add(1, Ordering::AcqRel);
}

/// Forgets everything.
///
/// # Safety
/// Only in a new child of `fork`, where no other thread exists yet.
pub(crate) unsafe fn forget() {
    BUCKETS.store(core::ptr::null_mut(), Ordering::Release);
    GENERATION.store(0, Ordering::Release);
    // SAFETY: the caller's promise, for both.
    unsafe {
        MODULES.replace(Modules::new());
        compiler::forget();
    }
}

/// The module of an address.
fn find(address: u64) -> Option<Found> {
    let find = next::get(Function::DlFindObject);
    if find == 0 {
        let mut found = None;
        next::objects(|object| {
            let (start, end) = object.span();
            if (start..end).contains(&address) {
                found = Some(Found::of(object));
            }
            found.is_some()
        });
        return found;
    }
    let mut result = FindResult {
        flags: 0,
        start: core::ptr::null_mut(),
        end: core::ptr::null_mut(),
        link_map: core::ptr::null(),
        frame_header: core::ptr::null_mut(),
        reserved: [0; 7],
    };
    // SAFETY: the function's signature is that of _dl_find_object(3); it takes any address.
    let failed = unsafe {
        let find: extern "C" fn(*mut c_void, *mut FindResult) -> c_int = core::mem::transmute(find);
        find(
            core::ptr::with_exposed_provenance_mut(address as usize),
            &raw mut result,
        )
    };
    if failed != 0 {
        return None;
    }
    Found::of_result(&result)
}

impl Found {
    fn of(object: &Object<'_>) -> Self {
        let (start, end) = object.span();
        let mut found = Self {
            start,
            end,
            bias: object.bias,
            name: object.name.addr() as u64,
            headers: object.headers.as_ptr().addr() as u64,
            header_count: object.headers.len() as u64,
            ..Self::default()
        };
        found.read_headers(object.headers);
        found
    }

    /// From the ELF header, which lies where the module begins.
    fn of_result(result: &FindResult) -> Option<Self> {
        const ELF: [u8; 4] = *b"\x7fELF";
        let start = result.start as usize;
        // SAFETY: the loader says that a module is mapped from `start` on, and that it knows it.
        let (magic, offset, count, link_map) = unsafe {
            (
                (start as *const [u8; 4]).read(),
                ((start + 32) as *const u64).read(),
                ((start + 56) as *const u16).read(),
                result.link_map.as_ref()?,
            )
        };
        if magic != ELF || offset == 0 || offset > system::PAGE {
            return None;
        }
        let mut found = Self {
            start: start as u64,
            end: result.end.addr() as u64,
            bias: link_map.bias,
            name: link_map.name.addr() as u64,
            headers: start as u64 + offset,
            header_count: u64::from(count),
            ..Self::default()
        };
        found.read_headers(found.program_headers());
        found.frame_header = result.frame_header.addr() as u64;
        Some(found)
    }

    fn program_headers(&self) -> &'static [ProgramHeader] {
        let place: *const ProgramHeader = core::ptr::with_exposed_provenance(self.headers as usize);
        // SAFETY: the loader's or the file's own table, mapped while the module is; whoever unloads
        // code while it runs has larger worries.
        unsafe { core::slice::from_raw_parts(place, self.header_count as usize) }
    }

    fn read_headers(&mut self, headers: &[ProgramHeader]) {
        for header in headers {
            let address = self.bias.wrapping_add(header.address);
            match header.kind {
                PT_GNU_EH_FRAME => self.frame_header = address,
                PT_NOTE => self.read_notes(address, header.memory_bytes),
                _ => {}
            }
        }
    }

    /// Looks for the build-id among notes: name and description lengths, type, both padded to 4.
    fn read_notes(&mut self, start: u64, bytes: u64) {
        const BUILD_ID: u32 = 3;
        // Notes that are not loaded are not there.
        let Some(end) = self
            .end_of_segment(start)
            .filter(|end| end - start >= bytes)
        else {
            return;
        };
        let mut at = start;
        while end - at >= 16 && at - start + 16 <= bytes {
            // SAFETY: within a loaded segment of the module.
            let [name, description, kind, text] = [0, 4, 8, 12]
                .map(|offset| unsafe { ((at + offset) as usize as *const u32).read() });
            let content = at + 12 + u64::from(name).next_multiple_of(4);
            let next = content + u64::from(description).next_multiple_of(4);
            if next > start + bytes || next <= at {
                return;
            }
            if kind == BUILD_ID && name == 4 && text == u32::from_le_bytes(*b"GNU\0") {
                self.build_id = content;
                self.build_id_bytes = u64::from(description).min(32);
                return;
            }
            at = next;
        }
    }

    /// The end of the loaded segment that an address lies in.
    fn end_of_segment(&self, address: u64) -> Option<u64> {
        let loads = self.program_headers().iter();
        let mut loads = loads.filter(|header| header.kind == PT_LOAD);
        loads.find_map(|load| {
            let start = self.bias.wrapping_add(load.address);
            let end = start.wrapping_add(load.memory_bytes);
            (start..end).contains(&address).then_some(end)
        })
    }

    fn bytes(start: u64, end: u64) -> &'static [u8] {
        let place: *const u8 = core::ptr::with_exposed_provenance(start as usize);
        // SAFETY: a part of a loaded segment.
        unsafe { core::slice::from_raw_parts(place, (end - start) as usize) }
    }

    fn sections(&self) -> Option<EhFrameSections<'static>> {
        let header = Self::bytes(self.frame_header, self.end_of_segment(self.frame_header)?);
        let frames = EhFrameSections::frames_address(header, self.frame_header)?;
        Some(EhFrameSections {
            header,
            header_address: self.frame_header,
            frames: Self::bytes(frames, self.end_of_segment(frames)?),
            frames_address: frames,
        })
    }

    fn build_id(&self) -> &'static [u8] {
        if self.build_id == 0 {
            return &[];
        }
        Self::bytes(self.build_id, self.build_id + self.build_id_bytes)
    }

    /// Its path. That of the program, and of what was loaded by a relative name, comes from the kernel: the
    /// loader has none for the one, and for the other it means nothing once the program has moved on.
    fn path<'a>(&self, buffer: &'a mut [u8; PATH_BYTES]) -> &'a [u8] {
        let bytes = match self.name_bytes().next() {
            None => system::read_link(b"/proc/self/exe\0", buffer).map(<[u8]>::len),
            Some(b'/') => None,
            Some(_) => mapped_path(self.start, buffer),
        };
        let bytes = bytes.unwrap_or_else(|| {
            let copied = buffer.iter_mut().zip(self.name_bytes());
            copied.map(|(place, byte)| *place = byte).count()
        });
        buffer.get(..bytes).unwrap_or_default()
    }

    /// The loader's name of it, empty for the program.
    fn name_bytes(&self) -> impl Iterator<Item = u8> {
        let name: *const u8 = core::ptr::with_exposed_provenance(self.name as usize);
        let mut at = (!name.is_null()).then_some(name);
        core::iter::from_fn(move || {
            let place = at?;
            // SAFETY: the loader's string, none of whose bytes before this was its end.
            let byte = unsafe { place.read() };
            at = (byte != 0).then(|| place.wrapping_add(1));
            (byte != 0).then_some(byte)
        })
    }
}

/// The path of the file mapped at `start`, put into `path`: its length.
fn mapped_path(start: u64, path: &mut [u8]) -> Option<usize> {
    let mut search = MappedPath::new(start, path);
    let mut piece = [0; 512];
    system::read_pieces(b"/proc/self/maps\0", &mut piece, |piece| search.feed(piece));
    search.finish().map(<[u8]>::len)
}

fn hash(bytes: impl Iterator<Item = u8>, seed: u64) -> u64 {
    bytes.fold(seed, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

impl Modules {
    const fn new() -> Self {
        Self {
            list: core::ptr::null_mut(),
            count: 0,
            capacity: 0,
        }
    }

    fn known(&mut self) -> &mut [Known] {
        if self.list.is_null() {
            return &mut [];
        }
        // SAFETY: mapped for `capacity`, filled up to `count`.
        unsafe { core::slice::from_raw_parts_mut(self.list, self.count) }
    }

    /// Sees to it that the region has this module.
    fn note(&mut self, found: &Found) {
        // Asked for every new address, so without a system call.
        let name = hash(found.name_bytes(), 0xcbf2_9ce4_8422_2325);
        let identity = hash(found.build_id().iter().copied(), name);
        let is_it = |known: &Known| {
            (known.start, known.end, known.identity) == (found.start, found.end, identity)
        };
        let known = self.known();
        if known
            .iter()
            .any(|known| !known.entry.is_null() && is_it(known))
        {
            return;
        }
        let overlaps = |known: &&mut Known| {
            !known.entry.is_null() && known.start < found.end && found.start < known.end
        };
        let mut generation = GENERATION.load(Ordering::Acquire);
        let mut replaced = false;
        for known in known.iter_mut().filter(overlaps) {
            replaced = true;
            // SAFETY: an entry of the region, which stays mapped.
            let entry = unsafe { &*known.entry };
            if entry.unloaded.load(Ordering::Relaxed) == LOADED {
                entry.unloaded.store(generation + 1, Ordering::Release);
            }
            known.entry = core::ptr::null();
        }
        if replaced {
            generation += 1;
        }
        let mut buffer = [0; PATH_BYTES];
        let module = Module {
            base: found.start,
            bytes: found.end - found.start,
            bias: found.bias,
            generation,
            build_id: found.build_id(),
            path: found.path(&mut buffer),
        };
        let Some(entry) = region::append_module(&module) else {
            return;
        };
        self.push(Known {
            start: found.start,
            end: found.end,
            identity,
            entry,
        });
        if replaced {
            GENERATION.store(generation, Ordering::Release);
            if let Some(header) = region::header() {
                header.generation.store(generation, Ordering::Release);
            }
            stacks::new_generation(generation);
            forget_rules();
        }
    }

    fn push(&mut self, known: Known) {
        if self.count == self.capacity {
            let capacity = (self.capacity * 2).max(FIRST_MODULES);
            // SAFETY: each entry is written before it is read.
            let Some(list) = (unsafe { memory::map_slice::<Known>(capacity) }) else {
                return;
            };
            for (index, known) in self.known().iter().enumerate() {
                // SAFETY: below the capacity, which is larger than the count.
                unsafe { list.add(index).write(*known) };
            }
            (self.list, self.capacity) = (list, capacity);
        }
        // SAFETY: below the capacity.
        unsafe { self.list.add(self.count).write(known) };
        self.count += 1;
    }
}
