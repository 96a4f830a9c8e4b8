//! Which class a mapping belongs to.
//!
//! Names decide where there are any; the kernel's own (`[heap]`, `[stack]`), the path of shared
//! memory, and those that glibc gives since 2.39 under `glibc.mem.decorate_maps`. Anonymous memory
//! without a name is told by its place: a heap of a glibc arena starts on 64 MiB and its unused
//! rest behind it is closed (`HEAP_MAX_SIZE`, malloc/arena.c), a thread's stack lies right above a
//! small closed guard (nptl/allocatestack.c).
//!
//! A stack's guard can be anything from a page upwards; a mapping of less than 64 KiB above one is
//! not taken for a stack, because nobody makes threads with less and many make guarded buffers.

use memtide_model::MappingClass;

const ARENA_HEAP: u64 = 64 << 20;
const LARGEST_GUARD: u64 = 64 << 10;
const SMALLEST_STACK: u64 = 64 << 10;

/// What classification needs of a mapping.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place<'a> {
    /// First address.
    pub(crate) start: u64,
    /// Address behind the last.
    pub(crate) end: u64,
    /// `rw-p`.
    pub(crate) protection: [u8; 4],
    /// Inode number; zero for anonymous.
    pub(crate) inode: u64,
    /// Name, raw; empty for anonymous.
    pub(crate) name: &'a [u8],
}

impl Place<'_> {
    fn size(&self) -> u64 {
        self.end.saturating_sub(self.start)
    }

    fn is_closed(&self) -> bool {
        self.protection.starts_with(b"---")
    }

    fn is_read_write(&self) -> bool {
        self.protection.starts_with(b"rw")
    }

    /// The kernel's or glibc's name for anonymous memory does not make it a file.
    fn is_anonymous(&self) -> bool {
        self.inode == 0 && (self.name.is_empty() || self.name.starts_with(b"[anon"))
    }
}

/// The class of `place`, which lies between `before` and `after` in the address space.
pub(crate) fn classify(
    before: Option<&Place>,
    place: &Place,
    after: Option<&Place>,
) -> MappingClass {
    named(place).unwrap_or_else(|| unnamed(before, place, after))
}

fn named(place: &Place) -> Option<MappingClass> {
    let name = place.name;
    let starts = |prefix: &[u8]| name.starts_with(prefix);
    Some(match name {
        b"" if place.inode == 0 => return None,
        // A shared anonymous mapping or System V segment whose name was cut off.
        b"" => MappingClass::Shared,
        b"[heap]" => MappingClass::Heap,
        b"[stack]" => MappingClass::MainStack,
        _ if place.is_closed() && place.is_anonymous() => MappingClass::Guard,
        _ if starts(b"[anon: glibc: malloc arena") => MappingClass::Arena,
        _ if starts(b"[anon: glibc: pthread stack") || starts(b"[stack:") => MappingClass::Stack,
        _ if starts(b"[anon_shmem") => MappingClass::Shared,
        _ if starts(b"[anon") => return None,
        _ if starts(b"[") => MappingClass::Vdso,
        _ if starts(b"/dev/shm/")
            || starts(b"/memfd:")
            || starts(b"/SYSV")
            || starts(b"/dev/zero") =>
        {
            MappingClass::Shared
        }
        _ if starts(b"/dev/") || starts(b"anon_inode:") => MappingClass::Device,
        _ => MappingClass::File,
    })
}

fn unnamed(before: Option<&Place>, place: &Place, after: Option<&Place>) -> MappingClass {
    if is_arena(place, after) {
        MappingClass::Arena
    } else if place.is_closed() {
        MappingClass::Guard
    } else if before.is_some_and(|guard| is_stack(guard, place)) {
        MappingClass::Stack
    } else {
        MappingClass::Anon
    }
}

/// A heap of an arena: from a 64 MiB boundary, filling it or with its closed rest right behind.
fn is_arena(place: &Place, after: Option<&Place>) -> bool {
    let rest_is_closed = || {
        after.is_some_and(|rest| {
            rest.start == place.end && rest.is_closed() && rest.end.is_multiple_of(ARENA_HEAP)
        })
    };
    place.start.is_multiple_of(ARENA_HEAP)
        && place.is_read_write()
        && (place.size() == ARENA_HEAP || place.size() < ARENA_HEAP && rest_is_closed())
}

fn is_stack(guard: &Place, place: &Place) -> bool {
    guard.is_closed()
        && guard.is_anonymous()
        && guard.end == place.start
        && guard.size() <= LARGEST_GUARD
        && place.is_read_write()
        && place.size() >= SMALLEST_STACK
}

#[cfg(test)]
mod tests {
    use super::*;
    use MappingClass as C;

    fn place(start: u64, size: u64, protection: [u8; 4], name: &'static [u8]) -> Place<'static> {
        let inode = u64::from(name.starts_with(b"/"));
        Place {
            start,
            end: start + size,
            protection,
            inode,
            name,
        }
    }

    #[test]
    fn names_decide_first() {
        for (name, class) in [
            (&b"[heap]"[..], C::Heap),
            (b"[stack]", C::MainStack),
            (b"[vdso]", C::Vdso),
            (b"[vvar_vclock]", C::Vdso),
            (b"/usr/lib/libc.so.6", C::File),
            (b"/tmp/a file (deleted)", C::File),
            (b"/dev/shm/pool", C::Shared),
            (b"/memfd:pool (deleted)", C::Shared),
            (b"/SYSV00000000 (deleted)", C::Shared),
            (b"/SYSVx", C::Shared),
            (b"/dev/nvidia0", C::Device),
            (b"[anon: glibc: malloc arena]", C::Arena),
            (b"[anon: glibc: pthread stack: 12]", C::Stack),
            (b"[anon:my pool]", C::Anon),
            (b"[anon_shmem:my pool]", C::Shared),
        ] {
            let it = place(0x1000_0000, 0x20_0000, *b"rw-p", name);
            assert_eq!(
                classify(None, &it, None),
                class,
                "{}",
                String::from_utf8_lossy(name)
            );
        }
    }

    #[test]
    fn an_arena_starts_on_64_mib_and_ends_in_its_closed_rest() {
        let start = 0x7f00_0000_0000;
        let used = place(start, 0x2_1000, *b"rw-p", b"");
        let rest = place(start + 0x2_1000, ARENA_HEAP - 0x2_1000, *b"---p", b"");
        assert_eq!(classify(None, &used, Some(&rest)), C::Arena);
        assert_eq!(classify(Some(&used), &rest, None), C::Guard);
        // A full one has no rest.
        assert_eq!(
            classify(None, &place(start, ARENA_HEAP, *b"rw-p", b""), None),
            C::Arena
        );
        // On the boundary by chance: no closed rest.
        assert_eq!(classify(None, &used, None), C::Anon);
        // A larger mapping that happens to be aligned is somebody's own.
        assert_eq!(
            classify(None, &place(start, 4 * ARENA_HEAP, *b"rw-p", b""), None),
            C::Anon
        );
    }

    #[test]
    fn a_stack_lies_above_a_small_guard() {
        let guard = place(0x10_0000, 0x1000, *b"---p", b"");
        let stack = place(0x10_1000, 8 << 20, *b"rw-p", b"");
        assert_eq!(classify(Some(&guard), &stack, None), C::Stack);
        // Not adjacent, too large a guard, too small a stack.
        let far = place(0x20_0000, 8 << 20, *b"rw-p", b"");
        assert_eq!(classify(Some(&guard), &far, None), C::Anon);
        let reservation = place(0, 0x10_1000, *b"---p", b"");
        assert_eq!(classify(Some(&reservation), &stack, None), C::Anon);
        let buffer = place(0x10_1000, 0x2000, *b"rw-p", b"");
        assert_eq!(classify(Some(&guard), &buffer, None), C::Anon);
    }
}
