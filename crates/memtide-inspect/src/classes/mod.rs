//! C++ classes of the blocks in use, on stripped programs, too.
//!
//! The idea: an object of a class with virtual functions starts with the address of its class's vtable,
//! and the word before a vtable's first function leads to the class's name (Itanium C++ ABI, 2.5.2 and
//! 2.9.5: the offset to the top, the `type_info`, then the functions). The programs need the name at run
//! time, so `strip` leaves it.
//!
//! ```text
//! block:  [vptr][members…]      vtable:  [0][type_info][function]…
//!            └──────────────────────────────────────────▲
//!                               type_info:  [its vtable]["N4shop4CartE"]
//! ```
//!
//! Blocks are counted by their first word while the walk goes by; what the words mean is looked up
//! once, afterwards, and kept for the next snapshot.
//!
//! **What it cannot see.** Blocks with no virtual function have no class: strings, elements of vectors,
//! nodes of trees, structs of C. A freed and reused block whose new owner did not write its first word
//! yet counts for the old class. Classes compiled without RTTI have a place instead of a name.

mod modules;
mod names;
mod tally;
mod vtable;

use crate::error::Error;
use crate::memory::{Mapping, Memory};
use crate::visit::{Chunk, Visitor};
use memtide_model::{Bytes, HeapClass};
use modules::{Loaded, Modules};
use std::collections::HashMap;
use std::sync::Arc;
use tally::{MOST_WORDS, Tally};

/// What is known of the classes of one process, from one snapshot to the next.
#[derive(Debug, Default)]
pub(crate) struct Classes {
    /// By first word; `None` of a word that leads to no class.
    known: HashMap<u64, Option<Arc<str>>>,
    /// For which files this holds.
    loaded: Vec<Loaded>,
}

/// Counts blocks by their first words during one walk.
#[derive(Debug)]
pub(crate) struct Census {
    modules: Modules,
    tally: Tally,
}

impl Census {
    /// For a process with these mappings, ascending.
    pub(crate) fn new(mappings: &[Mapping]) -> Self {
        Self {
            modules: Modules::new(mappings),
            tally: Tally::default(),
        }
    }
}

impl Visitor for Census {
    #[inline]
    fn live(&mut self, chunk: Chunk, first_word: u64) {
        if self.modules.may_hold_vtable(first_word) {
            self.tally.add(first_word, chunk.size);
        }
    }
}

impl Classes {
    /// Looks up what was counted: the classes, most bytes first.
    ///
    /// Errors: `Gone`, `Denied`.
    pub(crate) fn name(
        &mut self,
        census: &Census,
        memory: &impl Memory,
    ) -> Result<Vec<HeapClass>, Error> {
        self.forget_unloaded(&census.modules);
        let mut by_name: HashMap<Arc<str>, HeapClass> = HashMap::new();
        for (word, counted) in census.tally.words() {
            // Several vtables may be of one class: every library that uses it may bring its own.
            if let Some(name) = self.look_up(word, &census.modules, memory)? {
                add(&mut by_name, name, counted.count, counted.bytes);
            }
        }
        let left_out = census.tally.left_out();
        if left_out.count > 0 {
            let name = format!("not looked up: over {MOST_WORDS} kinds of first words");
            add(&mut by_name, name.into(), left_out.count, left_out.bytes);
        }
        let mut classes: Vec<HeapClass> = by_name.into_values().collect();
        classes.sort_unstable_by(|a, b| b.bytes.cmp(&a.bytes).then_with(|| a.name.cmp(&b.name)));
        Ok(classes)
    }

    /// A library may have made room for another one since the last snapshot.
    fn forget_unloaded(&mut self, modules: &Modules) {
        let is_still_there = |loaded| modules.loaded().contains(loaded);
        if self.known.len() > 4 * MOST_WORDS || !self.loaded.iter().all(is_still_there) {
            self.known.clear();
        }
        self.loaded = modules.loaded().to_vec();
    }

    fn look_up(
        &mut self,
        word: u64,
        modules: &Modules,
        memory: &impl Memory,
    ) -> Result<Option<Arc<str>>, Error> {
        if let Some(known) = self.known.get(&word) {
            return Ok(known.clone());
        }
        let mut look = vtable::Look::new(memory, modules);
        let name: Option<Arc<str>> = look.class_name(word)?.map(Arc::from);
        // What is swapped out now may be readable next time.
        if !look.met_swapped_page() {
            self.known.insert(word, name.clone());
        }
        Ok(name)
    }
}

fn add(by_name: &mut HashMap<Arc<str>, HeapClass>, name: Arc<str>, count: u64, bytes: u64) {
    let class = by_name.entry(name).or_insert_with_key(|name| HeapClass {
        name: name.to_string(),
        runtime: "c++".to_owned(),
        ..HeapClass::default()
    });
    class.count += count;
    class.bytes = Bytes(class.bytes.0.saturating_add(bytes));
}

#[cfg(test)]
mod tests;
