//! System calls, made directly: libc's would set `errno`, and may be wrapped by somebody.

use core::arch::asm;

const READ: usize = 0;
const CLOSE: usize = 3;
const MMAP: usize = 9;
const MUNMAP: usize = 11;
const SIGPROCMASK: usize = 14;
const SCHED_YIELD: usize = 24;
const NANOSLEEP: usize = 35;
const MADVISE: usize = 28;
const GETPID: usize = 39;
const FSTAT: usize = 5;
const FCNTL: usize = 72;
const READLINK: usize = 89;
const GETRLIMIT: usize = 97;
const GETPPID: usize = 110;
const GETTID: usize = 186;
const CLOCK_GETTIME: usize = 228;
const OPENAT: usize = 257;
const FALLOCATE: usize = 285;

const PROT_READ_WRITE: usize = 3;
const MAP_SHARED: usize = 1;
const MAP_PRIVATE_ANONYMOUS_NORESERVE: usize = 0x4022;
const AT_FDCWD: usize = (-100_isize).cast_unsigned();
const O_RDWR_CREAT_EXCL_CLOEXEC: usize = 0o2 | 0o100 | 0o200 | 0o2_000_000;
const O_RDWR_CLOEXEC: usize = 0o2 | 0o2_000_000;
const F_DUPFD_CLOEXEC: usize = 1030;
const F_OFD_SETLK: usize = 37;
const CLOCK_BOOTTIME: usize = 7;
const SIG_BLOCK: usize = 0;
const SIG_SETMASK: usize = 2;

pub(crate) const EEXIST: isize = -17;
const EFAULT: isize = -14;

/// Pages of x86-64.
pub(crate) const PAGE: u64 = 4096;

/// `madvise`: zeros from now on, at once for all threads.
pub(crate) const MADV_DONTNEED: usize = 4;
/// `madvise`: a child of fork sees zeros.
pub(crate) const MADV_WIPEONFORK: usize = 18;
/// `madvise`: no huge pages, which would make sparse tables dense.
pub(crate) const MADV_NOHUGEPAGE: usize = 15;
/// `madvise`: not part of core dumps.
pub(crate) const MADV_DONTDUMP: usize = 16;

/// # Safety
/// As the call that `number` stands for.
#[inline]
unsafe fn call(number: usize, a: [usize; 6]) -> isize {
    let result: isize;
    // SAFETY: the kernel keeps all registers but these three; what it reads and writes in memory
    // is the caller's promise.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") number.cast_signed() => result,
            in("rdi") a[0],
            in("rsi") a[1],
            in("rdx") a[2],
            in("r10") a[3],
            in("r8") a[4],
            in("r9") a[5],
            lateout("rcx") _,
            lateout("r11") _,
            options(nostack),
        );
    }
    result
}

/// A call without pointers, or with pointers that the kernel only stores or checks.
#[inline]
fn plain(number: usize, a: usize, b: usize, c: usize, d: usize) -> isize {
    // SAFETY: every use below passes numbers only.
    unsafe { call(number, [a, b, c, d, 0, 0]) }
}

pub(crate) fn yield_now() {
    plain(SCHED_YIELD, 0, 0, 0, 0);
}

/// Sleeps for so many nanoseconds, less than a second, or until a signal comes.
pub(crate) fn sleep(nanoseconds: u64) {
    let time = [0, nanoseconds];
    // SAFETY: the kernel reads two words, and is given no place for the rest.
    unsafe { call(NANOSLEEP, [(&raw const time) as usize, 0, 0, 0, 0, 0]) };
}

fn number(value: isize) -> u32 {
    u32::try_from(value).unwrap_or(0)
}

pub(crate) fn pid() -> u32 {
    number(plain(GETPID, 0, 0, 0, 0))
}

pub(crate) fn parent_pid() -> u32 {
    number(plain(GETPPID, 0, 0, 0, 0))
}

pub(crate) fn tid() -> u32 {
    number(plain(GETTID, 0, 0, 0, 0))
}

/// `CLOCK_BOOTTIME` in nanoseconds.
pub(crate) fn boottime() -> u64 {
    let mut time = [0_u64; 2];
    // SAFETY: the kernel writes two words.
    unsafe {
        let place = (&raw mut time) as usize;
        call(CLOCK_GETTIME, [CLOCK_BOOTTIME, place, 0, 0, 0, 0]);
    }
    let [seconds, nanoseconds] = time;
    seconds
        .wrapping_mul(1_000_000_000)
        .wrapping_add(nanoseconds)
}

/// New private zeroed memory without swap reservation, at `hint` if that is free (0 for no hint).
pub(crate) fn map_private(hint: usize, bytes: usize) -> Option<*mut u8> {
    // SAFETY: a new mapping that replaces none (the hint is no order) touches nobody's memory.
    let result = unsafe {
        call(
            MMAP,
            [
                hint,
                bytes,
                PROT_READ_WRITE,
                MAP_PRIVATE_ANONYMOUS_NORESERVE,
                usize::MAX,
                0,
            ],
        )
    };
    pointer(result)
}

/// A window of a file, shared with whoever else maps it.
pub(crate) fn map_file(descriptor: u32, offset: u64, bytes: usize) -> Option<*mut u8> {
    // SAFETY: as for `map_private`.
    let result = unsafe {
        call(
            MMAP,
            [
                0,
                bytes,
                PROT_READ_WRITE,
                MAP_SHARED,
                descriptor as usize,
                offset as usize,
            ],
        )
    };
    pointer(result)
}

fn pointer(result: isize) -> Option<*mut u8> {
    // The last page of addresses stands for errors.
    (!(-4095..=0).contains(&result))
        .then(|| core::ptr::with_exposed_provenance_mut(result.cast_unsigned()))
}

/// # Safety
/// The range is a mapping of the shim's that nothing refers to any more.
pub(crate) unsafe fn unmap(start: u64, bytes: u64) {
    // SAFETY: the caller's promise.
    unsafe { call(MUNMAP, [start as usize, bytes as usize, 0, 0, 0, 0]) };
}

/// Advice on memory of the shim's own; says whether the kernel knows it.
pub(crate) fn advise(start: *mut u8, bytes: usize, advice: usize) -> bool {
    plain(MADVISE, start.addr(), bytes, advice, 0) == 0
}

/// Whether the eight bytes at `address` can be read.
///
/// `rt_sigprocmask` reads the new mask before it looks at what to do with it, and refuses that.
pub(crate) fn is_readable(address: u64) -> bool {
    plain(SIGPROCMASK, 0x7fff, address as usize, 0, 8) != EFAULT
}

/// Blocks all signals and gives the mask that was; for [`restore_signals`].
pub(crate) fn block_signals() -> u64 {
    let (all, mut before) = (u64::MAX, 0_u64);
    // SAFETY: the kernel reads one word and writes another.
    unsafe {
        let (new, old) = ((&raw const all) as usize, (&raw mut before) as usize);
        call(SIGPROCMASK, [SIG_BLOCK, new, old, 8, 0, 0]);
    }
    before
}

pub(crate) fn restore_signals(mask: u64) {
    // SAFETY: the kernel reads one word.
    unsafe {
        call(
            SIGPROCMASK,
            [SIG_SETMASK, (&raw const mask) as usize, 0, 8, 0, 0],
        )
    };
}

/// Creates a file that must not be there; a negative errno otherwise. `path` ends with a zero.
pub(crate) fn create(path: &[u8]) -> Result<u32, isize> {
    open_at(path, O_RDWR_CREAT_EXCL_CLOEXEC)
}

/// Opens a file for reading and writing.
pub(crate) fn open(path: &[u8]) -> Result<u32, isize> {
    open_at(path, O_RDWR_CLOEXEC)
}

fn open_at(path: &[u8], flags: usize) -> Result<u32, isize> {
    if path.last() != Some(&0) {
        return Err(-22);
    }
    // SAFETY: the path ends with a zero within the slice.
    let result = unsafe {
        let name = path.as_ptr() as usize;
        call(OPENAT, [AT_FDCWD, name, flags, 0o600, 0, 0])
    };
    u32::try_from(result).map_err(|_| result)
}

pub(crate) fn close(descriptor: u32) {
    plain(CLOSE, descriptor as usize, 0, 0, 0);
}

/// The same file under the lowest free number from `least` on.
pub(crate) fn duplicate(descriptor: u32, least: u32) -> Option<u32> {
    let result = plain(
        FCNTL,
        descriptor as usize,
        F_DUPFD_CLOEXEC,
        least as usize,
        0,
    );
    u32::try_from(result).ok()
}

/// Locks a file against all others for as long as this opening of it is in use anywhere, by a descriptor or
/// a mapping; says whether that was possible. Does not wait.
pub(crate) fn lock(descriptor: u32) -> bool {
    // `struct flock` of x86-64: type and whence, start, length (0: all of it), pid.
    const WRITE: u64 = 1;
    let flock = [WRITE, 0, 0, 0_u64];
    // SAFETY: the kernel reads one `struct flock`.
    let result = unsafe {
        let place = (&raw const flock) as usize;
        call(FCNTL, [descriptor as usize, F_OFD_SETLK, place, 0, 0, 0])
    };
    result == 0
}

/// The inode of this process's pid namespace; `None` where /proc does not say it.
pub(crate) fn pid_namespace() -> Option<u64> {
    let mut text = [0; 32];
    let text = read_link(b"/proc/self/ns/pid\0", &mut text)?;
    let digits = text.strip_prefix(b"pid:[")?.strip_suffix(b"]")?;
    digits.iter().try_fold(0_u64, |value, byte| {
        let digit = byte.checked_sub(b'0').filter(|digit| *digit < 10)?;
        value.checked_mul(10)?.checked_add(u64::from(digit))
    })
}

/// Device and inode of an open file.
pub(crate) fn identity(descriptor: u32) -> Option<(u64, u64)> {
    // `struct stat` of x86-64 has 144 bytes and begins with both.
    let mut stat = [0_u64; 18];
    // SAFETY: the kernel writes one `struct stat`.
    let result = unsafe {
        call(
            FSTAT,
            [descriptor as usize, (&raw mut stat) as usize, 0, 0, 0, 0],
        )
    };
    let [device, inode, ..] = stat;
    (result == 0).then_some((device, inode))
}

/// Gives the file blocks from `offset` on, so that a full disk is an error here and no signal later.
pub(crate) fn allocate(descriptor: u32, offset: u64, bytes: u64) -> bool {
    plain(
        FALLOCATE,
        descriptor as usize,
        0,
        offset as usize,
        bytes as usize,
    ) == 0
}

/// Reads the start of a file, as much as fits.
pub(crate) fn read_file<'a>(path: &[u8], buffer: &'a mut [u8]) -> Option<&'a [u8]> {
    let descriptor = open_at(path, 0o2_000_000).ok()?;
    // SAFETY: the kernel writes at most the buffer's length.
    let result = unsafe {
        let place = buffer.as_mut_ptr() as usize;
        call(READ, [descriptor as usize, place, buffer.len(), 0, 0, 0])
    };
    close(descriptor);
    buffer.get(..usize::try_from(result).ok()?)
}

/// Reads a file from its start, in pieces as large as `buffer`, until `each` wants no more.
pub(crate) fn read_pieces(path: &[u8], buffer: &mut [u8], mut each: impl FnMut(&[u8]) -> bool) {
    let Ok(descriptor) = open_at(path, 0o2_000_000) else {
        return;
    };
    loop {
        // SAFETY: the kernel writes at most the buffer's length.
        let result = unsafe {
            let place = buffer.as_mut_ptr() as usize;
            call(READ, [descriptor as usize, place, buffer.len(), 0, 0, 0])
        };
        let piece = usize::try_from(result)
            .ok()
            .and_then(|bytes| buffer.get(..bytes));
        match piece {
            None | Some([]) => break,
            Some(piece) if !each(piece) => break,
            Some(_) => {}
        }
    }
    close(descriptor);
}

/// The target of a link, as much as fits.
pub(crate) fn read_link<'a>(path: &[u8], buffer: &'a mut [u8]) -> Option<&'a [u8]> {
    if path.last() != Some(&0) {
        return None;
    }
    // SAFETY: the path ends with a zero; the kernel writes at most the buffer's length.
    let result = unsafe {
        let (name, place) = (path.as_ptr() as usize, buffer.as_mut_ptr() as usize);
        call(READLINK, [name, place, buffer.len(), 0, 0, 0])
    };
    buffer.get(..usize::try_from(result).ok()?)
}

/// Whether what the process may map is limited, touched or not: by its address space, or by its private writable
/// memory, of which the shim's is a part.
pub(crate) fn has_limited_memory() -> bool {
    const RLIMIT_DATA: usize = 2;
    const RLIMIT_AS: usize = 9;
    [RLIMIT_DATA, RLIMIT_AS].into_iter().any(|which| {
        let mut limits = [u64::MAX; 2];
        // SAFETY: the kernel writes two words.
        unsafe {
            let place = (&raw mut limits) as usize;
            call(GETRLIMIT, [which, place, 0, 0, 0, 0]);
        }
        let [soft, _] = limits;
        soft != u64::MAX
    })
}
