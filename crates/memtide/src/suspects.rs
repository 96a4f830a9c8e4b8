//! The suspects of `memtide demo`: this program, started again, misbehaving in one known way.
//!
//! Each works in small steps with an uneven pace, as a service does, and ends by itself after ten
//! minutes or when its parent is gone, so that a demo never leaves anything behind.

use crate::exit::Code;
use clap::ValueEnum;
use std::hint::black_box;
use std::time::{Duration, Instant};

const LIFETIME: Duration = Duration::from_mins(10);
const STEP: Duration = Duration::from_millis(100);

/// What a suspect does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// Forgets small blocks: about 1 MiB every second
    Leak,
    /// Shrinks buffers in place: the heap fills with holes while little is live
    Fragmentation,
    /// Starts threads that never end
    Threads,
    /// Fills a cache to its bound
    Cache,
}

impl Kind {
    /// As it is written on the command line.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Leak => "leak",
            Self::Fragmentation => "fragmentation",
            Self::Threads => "threads",
            Self::Cache => "cache",
        }
    }
}

/// Misbehaves until the time is up or the parent is gone.
#[expect(clippy::unnecessary_wraps, reason = "every command returns an outcome")]
pub(crate) fn run(kind: Kind) -> anyhow::Result<Code> {
    let life = Life::new();
    match kind {
        Kind::Leak => leak(&life),
        Kind::Fragmentation => fragmentation(&life),
        Kind::Threads => threads(&life),
        Kind::Cache => cache(&life),
    }
    Ok(Code::Done)
}

struct Life {
    parent: Option<rustix::process::Pid>,
    started: Instant,
}

impl Life {
    fn new() -> Self {
        Self {
            parent: rustix::process::getppid(),
            started: Instant::now(),
        }
    }

    /// Waits for one step; false when it is time to go.
    fn step(&self) -> bool {
        std::thread::sleep(STEP);
        self.started.elapsed() < LIFETIME && rustix::process::getppid() == self.parent
    }

    fn seconds(&self) -> f64 {
        self.started.elapsed().as_secs_f64()
    }
}

/// A few numbers that look random; the same in every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: usize) -> usize {
        // xorshift64 (Marsaglia 2003).
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap_or(0) % below.max(1)
    }
}

fn block(size: usize) -> Vec<u8> {
    // Written, so that its pages are there; and hidden from the optimiser, so that it is kept.
    black_box(vec![0x5a_u8; size])
}

fn leak(life: &Life) {
    let mut dice = Dice(42);
    let mut forgotten = 0.0;
    while life.step() {
        while forgotten < life.seconds() * 1_048_576.0 {
            let lost = block(100 + dice.roll(800));
            forgotten += lost.len() as f64;
            std::mem::forget(lost);
        }
    }
}

/// Works in batches: each buffer is shrunk in place to a tiny result that is kept, and the next batch
/// needs buffers a little larger than any hole that is left. Live bytes hardly grow, the heap does.
fn fragmentation(life: &Life) {
    const BATCH: usize = 40;
    let mut results = Vec::new();
    let mut size = 4_200;
    while life.step() {
        // All in flight at once: so no hole lies beside another.
        let buffers: Vec<Vec<u8>> = (0..BATCH).map(|_| block(size)).collect();
        for mut buffer in buffers {
            buffer.truncate(24);
            buffer.shrink_to_fit();
            results.push(buffer);
        }
        size += 16;
    }
}

fn threads(life: &Life) {
    let mut count = 0_u64;
    while life.step() {
        if life.seconds() * 2.0 >= count as f64 {
            let started = std::thread::Builder::new()
                .name(format!("worker-{count}"))
                .spawn(|| {
                    // Uses some stack, as a worker that has handled a request would have.
                    black_box([1_u8; 16 << 10]);
                    loop {
                        std::thread::park();
                    }
                });
            count += u64::from(started.is_ok());
        }
    }
}

fn cache(life: &Life) {
    const BOUND: f64 = 24_000.0;
    let mut entries: Vec<Vec<u8>> = Vec::new();
    let mut dice = Dice(3);
    while life.step() {
        // Misses become rarer as it fills: an exponential approach with a time constant of 4 s.
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "in range"
        )]
        let wanted = (BOUND * (1.0 - (-life.seconds() / 4.0).exp())) as usize;
        while entries.len() < wanted {
            entries.push(block(1_024));
        }
        for _ in 0..50 {
            if let Some(entry) = entries.get_mut(dice.roll(wanted)) {
                *entry = block(1_024);
            }
        }
    }
}
