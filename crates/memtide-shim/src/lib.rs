//! The library that memtide preloads into a program: who allocates, counted where it happens.
//!
//! It stands in front of whatever allocator the program has (`RTLD_NEXT`), in one of two modes.
//! *Sampled* draws blocks by bytes and costs the program two instructions per block otherwise; *full*
//! counts every block. Either way a block is counted on the call stack that asked for it, in the
//! region file that the collector reads from outside (`memtide-region`).
//!
//! ```text
//! entry      exported functions: a countdown, a filter, and the way to the next allocator
//! frees      the same for sized and flagged forms of free
//! operators  where each form of operator new and delete goes on
//! mapping_entry  the same for mmap and its kin
//! next       the next allocator, found by an ELF look-up of our own
//! record     a block was made, a block goes away: which mode, which thread
//! full       shadow memory: the stack and size of every live block
//! samples    the table of live sampled blocks, and the filter that keeps others away from it
//! mappings   anonymous mappings that the program makes itself
//! stacks     from registers to the number of a stack: bounds, walk, interning
//! known      the numbers of whole stacks, by one look-up
//! tries      stacks from the leaf on, for threads that jump between many
//! code       modules and the unwinding rules of their return addresses
//! compiler   makes those rules, on a stack of its own
//! recorder   what belongs to one thread
//! counters   counters per thread and stack; live bytes at the peak
//! region     the file that is written
//! life       start, fork, end
//! memory, system, tls, lock   what std would be for
//! ```
//!
//! What it refuses to do: allocate from the program's heap, print, change `errno`, take a lock while it
//! calls into libc, the loader or the allocator, or end the program. What it cannot record it counts.
//! It has no dependency on any library: no `NEEDED` entry, no versioned symbol.
#![no_std]
#![expect(
    clippy::inline_always,
    reason = "the paths of every malloc and free were measured with it"
)]

mod code;
mod compiler;
mod counters;
mod entry;
mod frees;
mod full;
mod known;
mod life;
mod lock;
mod mapping_entry;
mod mappings;
mod memory;
mod next;
mod numbers;
mod operators;
mod record;
mod recorder;
mod region;
mod samples;
mod stacks;
mod system;
mod tls;
mod tries;

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    // Only the compiler can; a test holds the built file to that.
    compiler::escape();
    // SAFETY: no memory is touched. Should something else panic after all, an end that everybody sees does
    // less harm than a thread that waits with a lock for ever.
    unsafe { core::arch::asm!("ud2", options(noreturn, nostack, nomem)) }
}
