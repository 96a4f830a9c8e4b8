//! A program whose call stacks are easy to predict.

use super::{BOOT, Random};
use memtide_model::{
    Bytes, CallStack, CodeModule, CodeModuleId, CodePlace, Lost, Nanos, StackCounters, StackEnd,
    StackId, StackKind, StackOwner, StackTotals, StacksTick,
};

pub(crate) fn module(name: &str) -> CodeModule {
    CodeModule {
        path: format!("/usr/lib/x86_64-linux-gnu/{name}").into(),
        build_id: format!("{:040x}", name.len()),
    }
}

pub(crate) fn place(module: u32, address: u64) -> CodePlace {
    CodePlace {
        module: Some(CodeModuleId(module)),
        address,
    }
}

pub(crate) fn stack(frames: Vec<CodePlace>) -> CallStack {
    CallStack {
        kind: StackKind::Heap,
        owner: StackOwner::Target,
        end: StackEnd::Root,
        frames,
    }
}

/// Counters of `allocs` blocks of 1 KiB, of which `frees` are freed.
pub(crate) fn counters(allocs: u64, frees: u64) -> StackCounters {
    StackCounters {
        allocs,
        bytes: allocs * 1_024,
        frees,
        freed: frees * 1_024,
        peak_bytes: (allocs - frees) * 1_024,
        samples: 0,
        freed_samples: 0,
    }
}

/// A program with many stacks of 20,000 places, that begin at different times and branch near their
/// leaves.
pub(crate) struct Stacks {
    random: Random,
    tick: u64,
    /// Stacks that begin at every tick, and how many there are in the end.
    pub(crate) new: usize,
    pub(crate) most: usize,
    pub(crate) depth: usize,
    /// How many move at a tick, and by how many bytes at the most.
    pub(crate) moving: usize,
    pub(crate) step: u64,
    pub(crate) all: Vec<(CallStack, StackCounters)>,
    sum: StackCounters,
}

impl Stacks {
    pub(crate) fn new(most: usize, new: usize, moving: usize, step: u64) -> Self {
        Self {
            random: Random(11),
            tick: 0,
            new,
            most,
            depth: 40,
            moving,
            step,
            all: Vec::new(),
            sum: StackCounters::default(),
        }
    }

    /// As an earlier stack, but for its innermost one to four frames.
    fn stack(&mut self) -> CallStack {
        let count = self.all.len() as u64;
        let mut frames = match count {
            0 => Vec::new(),
            _ => self.all[self.random.below(count) as usize].0.frames.clone(),
        };
        frames.reverse();
        frames.truncate(self.depth - 1 - self.random.below(4) as usize);
        while frames.len() < self.depth {
            let address = 0x1000 + self.random.below(4_000) * 9;
            let module = self.random.below(5) as u32;
            frames.push(place(module, address));
        }
        frames.reverse();
        stack(frames)
    }

    pub(crate) fn next(&mut self) -> StacksTick {
        let mut seen = StacksTick::default();
        if self.tick == 0 {
            seen.new_modules = ["shop", "libc.so.6", "libm.so.6", "libz.so.1", "libshop.so"]
                .map(module)
                .to_vec();
        }
        for _ in 0..self.new.min(self.most - self.all.len()) {
            let stack = self.stack();
            seen.new_stacks.push(stack.clone());
            self.all.push((stack, StackCounters::default()));
        }
        let count = self.all.len() as u64;
        let first = self.random.below(count);
        for offset in 0..count.min(self.moving as u64) {
            let number = (first + offset) % count;
            let bytes = 1 + self.random.below(self.step);
            let freed = self.random.below(bytes);
            let counters = &mut self.all[number as usize].1;
            for counters in [&mut *counters, &mut self.sum] {
                counters.allocs += 2;
                counters.bytes += bytes;
                counters.frees += 1;
                counters.freed += freed;
            }
            counters.peak_bytes = counters.live_bytes();
            seen.changed.push((StackId(number as u32), *counters));
        }
        seen.totals = self.totals();
        seen.lost = Lost {
            ruleless: self.tick / 100,
            ..Lost::default()
        };
        self.tick += 1;
        seen
    }

    /// The sums over all stacks, a third of a millisecond after the tick of that second.
    fn totals(&self) -> StackTotals {
        StackTotals {
            at: BOOT + Nanos::from_secs(self.tick) + Nanos(333_333),
            live_bytes: Bytes(self.sum.live_bytes()),
            live_blocks: self.sum.live_blocks(),
            mapping_bytes: Bytes(0),
            peak_bytes: Bytes(self.sum.live_bytes()),
            allocs: self.sum.allocs,
            allocated_bytes: Bytes(self.sum.bytes),
        }
    }
}
