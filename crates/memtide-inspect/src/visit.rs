//! What the walk hands on: chunks in use, to whoever wants to know more of them than their sizes.

/// A chunk of malloc's: a header of 16 bytes and what belongs to the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Chunk {
    /// Where its header is; the program's pointer is 16 bytes behind.
    pub(crate) address: u64,
    /// Its bytes, header and rounding included.
    pub(crate) size: u64,
}

/// Sees every chunk in use once, in no particular order.
pub(crate) trait Visitor {
    /// A chunk that the program has not freed, and the first word of what the program keeps in it.
    /// Called tens of millions of times a second: keep it short.
    fn live(&mut self, chunk: Chunk, first_word: u64);
}
