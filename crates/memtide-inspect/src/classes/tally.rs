//! How many blocks start with which word: a table that a hostile program cannot grow without end.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher, RandomState};

/// How many different words are told apart. Programs have some thousand classes.
pub(super) const MOST_WORDS: usize = 1 << 16;

/// Blocks of one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counted {
    /// How many.
    pub(super) count: u64,
    /// Their bytes.
    pub(super) bytes: u64,
}

impl Counted {
    fn add(&mut self, bytes: u64) {
        self.count += 1;
        self.bytes = self.bytes.saturating_add(bytes);
    }
}

/// Blocks by first word.
#[derive(Debug, Default)]
pub(super) struct Tally {
    words: HashMap<u64, Counted, Seed>,
    left_out: Counted,
}

impl Tally {
    /// Counts a block.
    #[inline]
    pub(super) fn add(&mut self, word: u64, bytes: u64) {
        if let Some(counted) = self.words.get_mut(&word) {
            counted.add(bytes);
        } else if self.words.len() < MOST_WORDS {
            self.words.insert(word, Counted { count: 1, bytes });
        } else {
            self.left_out.add(bytes);
        }
    }

    /// All words, in no particular order.
    pub(super) fn words(&self) -> impl Iterator<Item = (u64, Counted)> {
        self.words.iter().map(|(word, counted)| (*word, *counted))
    }

    /// What had no place in the table.
    pub(super) const fn left_out(&self) -> Counted {
        self.left_out
    }
}

/// Hashes one word by one multiplication: the standard hash costs as much as the walk itself. The seed
/// keeps a program from choosing words that collide.
#[derive(Clone, Debug)]
struct Seed(u64);

impl Default for Seed {
    fn default() -> Self {
        Self(RandomState::new().hash_one(0))
    }
}

impl BuildHasher for Seed {
    type Hasher = WordHasher;

    fn build_hasher(&self) -> WordHasher {
        WordHasher(self.0)
    }
}

/// See [`Seed`].
struct WordHasher(u64);

impl Hasher for WordHasher {
    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_u64(u64::from(byte));
        }
    }

    #[inline]
    fn write_u64(&mut self, word: u64) {
        // 2^64 divided by the golden ratio; both halves of the product depend on all bits.
        let product = u128::from(self.0 ^ word) * 0x9e37_79b9_7f4a_7c15;
        #[expect(clippy::cast_possible_truncation, reason = "the halves of a product")]
        let folded = product as u64 ^ (product >> 64) as u64;
        self.0 = folded;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_beyond_the_table_are_counted_as_left_out() {
        let mut tally = Tally::default();
        let most = MOST_WORDS as u64;
        for round in 0..2 {
            for word in 0..most + 10 {
                tally.add(0x7f00_0000_0000 + word * 8, 32 + round);
            }
        }
        let found: Vec<Counted> = tally.words().map(|(_, counted)| counted).collect();
        assert_eq!(found.len(), MOST_WORDS);
        assert!(found.iter().all(|&it| it
            == Counted {
                count: 2,
                bytes: 65
            }));
        let left_out = Counted {
            count: 20,
            bytes: 650,
        };
        assert_eq!(tally.left_out(), left_out);
    }
}
