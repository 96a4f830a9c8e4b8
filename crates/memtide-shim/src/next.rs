//! The functions behind the shim, found by an ELF look-up of our own.
//!
//! `dlsym` would do, but it allocates, lies in a library of its own before glibc 2.34, and cannot see
//! the C++ runtime of a plug-in. `dl_iterate_phdr` has been in libc for ever; it lists the objects in
//! the order in which the loader looks into them, so the first definition after the shim is what
//! `RTLD_NEXT` means.
//!
//! An operator new or delete that lies in the allocator's own library allocates by itself and is counted;
//! any other (libstdc++'s) calls malloc, which is counted then, and is only passed on to.

use core::ffi::{c_char, c_int, c_void};
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Functions of the allocator, and some of libc.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
pub(crate) enum Function {
    Malloc,
    Free,
    Calloc,
    Realloc,
    ReallocArray,
    PosixMemalign,
    AlignedAlloc,
    Memalign,
    Valloc,
    Pvalloc,
    UsableSize,
    FreeSized,
    FreeAlignedSized,
    Sdallocx,
    Dallocx,
    Mmap,
    Munmap,
    Mremap,
    Dlclose,
    DlFindObject,
    StackEnd,
    Environ,
    KeyCreate,
    SetSpecific,
}

const NAMES: [&[u8]; 24] = [
    b"malloc",
    b"free",
    b"calloc",
    b"realloc",
    b"reallocarray",
    b"posix_memalign",
    b"aligned_alloc",
    b"memalign",
    b"valloc",
    b"pvalloc",
    b"malloc_usable_size",
    b"free_sized",
    b"free_aligned_sized",
    b"sdallocx",
    b"dallocx",
    b"mmap",
    b"munmap",
    b"mremap",
    b"dlclose",
    b"_dl_find_object",
    b"__libc_stack_end",
    b"environ",
    b"pthread_key_create",
    b"pthread_setspecific",
];

/// Forms of operator new; `entry` has them in this order.
pub(crate) const NEWS: usize = 8;
/// Forms of operator delete, which follow.
pub(crate) const DELETES: usize = 12;
const OPERATORS: [&[u8]; NEWS + DELETES] = [
    b"_Znwm",
    b"_Znam",
    b"_ZnwmRKSt9nothrow_t",
    b"_ZnamRKSt9nothrow_t",
    b"_ZnwmSt11align_val_t",
    b"_ZnamSt11align_val_t",
    b"_ZnwmSt11align_val_tRKSt9nothrow_t",
    b"_ZnamSt11align_val_tRKSt9nothrow_t",
    b"_ZdlPv",
    b"_ZdaPv",
    b"_ZdlPvRKSt9nothrow_t",
    b"_ZdaPvRKSt9nothrow_t",
    b"_ZdlPvm",
    b"_ZdaPvm",
    b"_ZdlPvSt11align_val_t",
    b"_ZdaPvSt11align_val_t",
    b"_ZdlPvSt11align_val_tRKSt9nothrow_t",
    b"_ZdaPvSt11align_val_tRKSt9nothrow_t",
    b"_ZdlPvmSt11align_val_t",
    b"_ZdaPvmSt11align_val_t",
];

/// The function behind the shim as a function of that type, if there is one.
macro_rules! behind {
    ($function:ident as $type:ty) => {
        match $crate::next::function($crate::next::Function::$function) {
            0 => None,
            // SAFETY: the symbol of that name has that signature, by the C standard or the manual.
            found => Some(unsafe { core::mem::transmute::<usize, $type>(found) }),
        }
    };
}
pub(crate) use behind;

static FUNCTIONS: [AtomicUsize; NAMES.len()] = [const { AtomicUsize::new(0) }; NAMES.len()];
static RESOLVED: AtomicBool = AtomicBool::new(false);

/// First and last address of the libraries that map memory for others: the allocator, libc, the loader.
static KEEPERS: [[AtomicUsize; 2]; 3] = [const { [AtomicUsize::new(0), AtomicUsize::new(0)] }; 3];
/// Whether something in front of the shim has a malloc of its own, which the program calls.
static IN_FRONT: AtomicBool = AtomicBool::new(false);
/// Whether the allocator is libc's own.
static IN_LIBC: AtomicBool = AtomicBool::new(false);

#[repr(C)]
struct PhdrInfo {
    address: usize,
    name: *const c_char,
    headers: *const ProgramHeader,
    count: u16,
}

/// `Elf64_Phdr`.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct ProgramHeader {
    pub(crate) kind: u32,
    pub(crate) flags: u32,
    pub(crate) offset: u64,
    pub(crate) address: u64,
    pub(crate) physical: u64,
    pub(crate) file_bytes: u64,
    pub(crate) memory_bytes: u64,
    pub(crate) align: u64,
}

/// `Elf64_Sym`.
#[repr(C)]
struct Symbol {
    name: u32,
    info: u8,
    other: u8,
    section: u16,
    value: u64,
    size: u64,
}

type Visit = unsafe extern "C" fn(*const PhdrInfo, usize, *mut c_void) -> c_int;

unsafe extern "C" {
    fn dl_iterate_phdr(visit: Visit, data: *mut c_void) -> c_int;
}

pub(crate) const PT_LOAD: u32 = 1;
const PT_DYNAMIC: u32 = 2;

/// A loaded object, while `dl_iterate_phdr` keeps it from going away.
pub(crate) struct Object<'a> {
    /// What is added to its addresses.
    pub(crate) bias: u64,
    pub(crate) headers: &'a [ProgramHeader],
    /// Its path as the loader has it, with the zero that ends it.
    pub(crate) name: *const c_char,
}

impl Object<'_> {
    /// First address and the one after the last.
    pub(crate) fn span(&self) -> (u64, u64) {
        let loads = self.headers.iter().filter(|header| header.kind == PT_LOAD);
        loads.fold((u64::MAX, 0), |(low, high), load| {
            let start = self.bias.wrapping_add(load.address);
            (
                low.min(start),
                high.max(start.wrapping_add(load.memory_bytes)),
            )
        })
    }

    fn contains(&self, address: usize) -> bool {
        let (low, high) = self.span();
        (low..high).contains(&(address as u64))
    }
}

/// Calls `each` with every loaded object in the loader's order until it says that it has enough. No
/// lock of the shim's may be held: the loader's lock is taken.
pub(crate) fn objects(mut each: impl FnMut(&Object<'_>) -> bool) {
    unsafe extern "C" fn visit<F: FnMut(&Object<'_>) -> bool>(
        info: *const PhdrInfo,
        _: usize,
        data: *mut c_void,
    ) -> c_int {
        // SAFETY: the loader passes a valid description, and `data` as it was given.
        let (info, each) = unsafe { (&*info, &mut *data.cast::<F>()) };
        if info.headers.is_null() {
            return 0;
        }
        // SAFETY: the loader's own table of this object.
        let headers = unsafe { core::slice::from_raw_parts(info.headers, info.count.into()) };
        let object = Object {
            bias: info.address as u64,
            headers,
            name: info.name,
        };
        c_int::from(each(&object))
    }
    fn call<F: FnMut(&Object<'_>) -> bool>(each: &mut F) {
        // SAFETY: `each` lives until the call is over.
        unsafe { dl_iterate_phdr(visit::<F>, (&raw mut *each).cast()) };
    }
    call(&mut each);
}

/// The symbols of an object that can be looked up.
struct Symbols {
    table: *const Symbol,
    names: *const u8,
    /// `DT_GNU_HASH`, null if there is none.
    gnu: *const u32,
    /// `DT_HASH`, null if there is none.
    plain: *const u32,
    bias: u64,
}

impl Symbols {
    fn of(object: &Object<'_>) -> Option<Self> {
        const NULL: u64 = 0;
        const HASH: u64 = 4;
        const STRTAB: u64 = 5;
        const SYMTAB: u64 = 6;
        const GNU_HASH: u64 = 0x6fff_fef5;
        let dynamic = object
            .headers
            .iter()
            .find(|header| header.kind == PT_DYNAMIC)?;
        let start = object.bias.wrapping_add(dynamic.address);
        let mut found = [0_u64; 4];
        for index in 0..dynamic.memory_bytes / 16 {
            let entry = (start + index * 16) as usize as *const u64;
            // SAFETY: an entry of the object's dynamic section, two words.
            let (tag, value) = unsafe { (entry.read(), entry.add(1).read()) };
            // Most objects have addresses here, which the loader has made absolute; some (the vdso)
            // have offsets.
            let (low, _) = object.span();
            let absolute = if value < low {
                value + object.bias
            } else {
                value
            };
            match tag {
                NULL => break,
                HASH => found[0] = absolute,
                STRTAB => found[1] = absolute,
                SYMTAB => found[2] = absolute,
                GNU_HASH => found[3] = absolute,
                _ => {}
            }
        }
        let [plain, names, symbols, gnu] = found.map(|address| address as usize);
        (names != 0 && symbols != 0).then_some(Self {
            table: symbols as *const Symbol,
            names: names as *const u8,
            gnu: gnu as *const u32,
            plain: plain as *const u32,
            bias: object.bias,
        })
    }

    fn find(&self, name: &[u8]) -> Option<usize> {
        if !self.gnu.is_null() {
            // SAFETY: the loader itself trusts these tables.
            return unsafe { self.find_gnu(name) };
        }
        if !self.plain.is_null() {
            // SAFETY: as above.
            return unsafe { self.find_plain(name) };
        }
        None
    }

    /// <https://flapenguin.me/elf-dt-gnu-hash> and glibc's `dl-lookup.c`.
    ///
    /// # Safety
    /// The tables are those of a loaded object.
    unsafe fn find_gnu(&self, name: &[u8]) -> Option<usize> {
        let hash = name.iter().fold(5381_u32, |hash, byte| {
            hash.wrapping_mul(33).wrapping_add(u32::from(*byte))
        });
        // SAFETY: header, filter, buckets and chains follow one another as the header says.
        unsafe {
            let [buckets, first, words] = [0, 1, 2].map(|index| self.gnu.add(index).read());
            if buckets == 0 {
                return None;
            }
            let table = self.gnu.add(4 + 2 * words as usize);
            let mut index = table.add((hash % buckets) as usize).read();
            if index < first {
                return None;
            }
            let chain = table.add(buckets as usize);
            loop {
                let entry = chain.add((index - first) as usize).read();
                if entry | 1 == hash | 1
                    && let Some(found) = self.defined(index, name)
                {
                    return Some(found);
                }
                if entry & 1 == 1 {
                    return None;
                }
                index += 1;
            }
        }
    }

    /// # Safety
    /// The tables are those of a loaded object.
    unsafe fn find_plain(&self, name: &[u8]) -> Option<usize> {
        // SAFETY: the second word is the number of symbols.
        let count = unsafe { self.plain.add(1).read() };
        // SAFETY: below the number of symbols.
        (1..count).find_map(|index| unsafe { self.defined(index, name) })
    }

    /// # Safety
    /// `index` is that of a symbol.
    unsafe fn defined(&self, index: u32, name: &[u8]) -> Option<usize> {
        const INDIRECT: u8 = 10;
        // SAFETY: the caller's promise; names end with a zero.
        unsafe {
            let symbol = &*self.table.add(index as usize);
            let text = self.names.add(symbol.name as usize);
            let same = name
                .iter()
                .enumerate()
                .all(|(place, byte)| text.add(place).read() == *byte);
            let usable = symbol.section != 0 && symbol.value != 0 && symbol.info & 15 != INDIRECT;
            (same && usable && text.add(name.len()).read() == 0)
                .then(|| self.bias.wrapping_add(symbol.value) as usize)
        }
    }
}

/// Finds everything, once. Says whether there is an allocator behind the shim.
#[cold]
pub(crate) fn resolve() -> bool {
    if RESOLVED.load(Ordering::Acquire) {
        return get(Function::Malloc) != 0;
    }
    let mut behind = false;
    objects(|object| {
        let here = object.contains(resolve as *const () as usize);
        let Some(symbols) = (!here).then(|| Symbols::of(object)).flatten() else {
            behind |= here;
            return false;
        };
        if !behind && symbols.find(b"malloc").is_some() {
            IN_FRONT.store(true, Ordering::Relaxed);
        }
        for (index, (slot, name)) in FUNCTIONS.iter().zip(NAMES).enumerate() {
            // What is not wrapped may lie in front of the shim, too.
            let wrapped = index <= Function::Dlclose as usize;
            if slot.load(Ordering::Relaxed) == 0
                && (behind || !wrapped)
                && let Some(found) = symbols.find(name)
            {
                slot.store(found, Ordering::Relaxed);
            }
        }
        false
    });
    note_keepers();
    RESOLVED.store(true, Ordering::Release);
    get(Function::Malloc) != 0
}

/// Remembers where the allocator, libc and the loader lie.
fn note_keepers() {
    let marks = [Function::Malloc, Function::Environ, Function::StackEnd];
    objects(|object| {
        for (keeper, mark) in KEEPERS.iter().zip(marks) {
            let address = get(mark);
            if address != 0 && object.contains(address) {
                let (low, high) = object.span();
                keeper[0].store(low as usize, Ordering::Relaxed);
                keeper[1].store(high as usize, Ordering::Relaxed);
            }
        }
        false
    });
    let [allocator, libc, _] = &KEEPERS;
    let same = allocator[0].load(Ordering::Relaxed) == libc[0].load(Ordering::Relaxed);
    IN_LIBC.store(same, Ordering::Relaxed);
}

/// The address of a function behind the shim, 0 if there is none or nobody has looked yet.
#[inline(always)]
pub(crate) fn get(function: Function) -> usize {
    FUNCTIONS
        .get(function as usize)
        .map_or(0, |slot| slot.load(Ordering::Relaxed))
}

/// As [`get`], but looks first.
#[inline(always)]
pub(crate) fn function(function: Function) -> usize {
    match get(function) {
        0 => {
            resolve();
            get(function)
        }
        found => found,
    }
}

/// Whether code at `address` maps memory for others: the allocator, libc or the loader.
pub(crate) fn is_keeper(address: usize) -> bool {
    KEEPERS.iter().any(|[low, high]| {
        (low.load(Ordering::Relaxed)..high.load(Ordering::Relaxed)).contains(&address)
    })
}

/// Whether the program's calls of malloc end before the shim: in the program itself, with an allocator that is linked
/// into it, or in a library that is loaded earlier.
pub(crate) fn has_allocator_in_front() -> bool {
    IN_FRONT.load(Ordering::Relaxed)
}

/// Whether the allocator is libc's own, all of whose blocks are aligned to 16 bytes.
pub(crate) fn is_libc_allocator() -> bool {
    IN_LIBC.load(Ordering::Relaxed)
}

/// An operator's function behind the shim, wherever it was loaded, and whether it allocates by itself.
#[cold]
pub(crate) fn operator(index: usize) -> (usize, bool) {
    resolve();
    let Some(name) = OPERATORS.get(index) else {
        return (0, false);
    };
    let mut found = 0;
    let mut behind = false;
    objects(|object| {
        let here = object.contains(resolve as *const () as usize);
        behind |= here;
        if behind && !here {
            found = Symbols::of(object)
                .and_then(|symbols| symbols.find(name))
                .unwrap_or(0);
        }
        found != 0
    });
    let [allocator, _, _] = &KEEPERS;
    let own = (allocator[0].load(Ordering::Relaxed)..allocator[1].load(Ordering::Relaxed))
        .contains(&found);
    (found, own)
}
