//! What a tick costs on processes that run: `cargo run --release -p memtide-collect --example ticks --
//! DIR PID` while a program runs with `LD_PRELOAD=libmemtide_shim.so MEMTIDE_DIR=DIR`.

use memtide_collect::Collector;
use memtide_model::{Nanos, text};
use std::path::PathBuf;
use std::time::{Duration, Instant};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args_os().skip(1);
    let directory = PathBuf::from(arguments.next().ok_or("which folder?")?);
    let pid = arguments.next().ok_or("which pid?")?;
    let pid: u32 = pid.to_str().ok_or("the pid is no number")?.parse()?;
    let mut collector = Collector::open(&directory)?;
    loop {
        let started = Instant::now();
        let tick = collector.tick(Nanos(0), Some(pid))?;
        let took = started.elapsed();
        println!(
            "{took:?}: {} new stacks, {} changed; {} live in {} blocks, {} at the peak; {:?}",
            tick.new_stacks.len(),
            tick.changed.len(),
            text::bytes(tick.totals.live_bytes.as_f64()),
            tick.totals.live_blocks,
            text::bytes(tick.totals.peak_bytes.as_f64()),
            tick.lost
        );
        if tick.ended {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(250));
    }
}
