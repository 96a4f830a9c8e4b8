//! `Mem-Info`: the machine's memory in a dump (`mm/show_mem.c`), gathered line by line.
//!
//! ```text
//! active_anon:28143 inactive_anon:… shmem:…           pages, of the whole machine
//! Node 0 Normal free:50116kB … min:50284kB low:…      a zone
//! Node 0 Normal: 1234*4kB (UME) 567*8kB … = 45678kB   its free blocks by size
//! Free swap  = 0kB
//! 1048446 pages RAM
//! ```

use super::bytes::{after_key, decimal, find, strip, words};
use crate::kill::HostMemory;
use memtide_model::Bytes;

/// What has been read of one `Mem-Info`, pages not yet turned into bytes.
#[derive(Clone, Debug, Default)]
pub(crate) struct MemInfo {
    ram: Option<u64>,
    anon: Option<u64>,
    shmem: Option<u64>,
    slab_unreclaimable: Option<u64>,
    page_tables: Option<u64>,
    free: Option<Bytes>,
    reserve: Option<Bytes>,
    swap_total: Option<Bytes>,
    swap_free: Option<Bytes>,
    blocks: Vec<u64>,
    page: Option<Bytes>,
    seen: bool,
}

/// Whether a line may belong to it.
pub(crate) fn is_about(text: &[u8]) -> bool {
    let text = text.trim_ascii_start();
    text.starts_with(b"active_anon:")
        || text.starts_with(b"slab_reclaimable:")
        || text.starts_with(b"mapped:")
        || text.starts_with(b"Free swap ")
        || text.starts_with(b"Total swap ")
        || text.ends_with(b" pages RAM")
        || find(text, b" free:").is_some_and(|(_, rest)| find(rest, b"kB").is_some())
        || is_blocks(text)
}

fn is_blocks(text: &[u8]) -> bool {
    find(text, b"kB = ").is_some()
        || find(text, b") = ").is_some_and(|_| find(text, b"*").is_some())
}

impl MemInfo {
    /// Adds what a line holds.
    pub(crate) fn add(&mut self, text: &[u8]) {
        let text = text.trim_ascii_start();
        self.seen = true;
        let kib = |digits: &[u8]| decimal(digits).map(|(kib, _)| Bytes::from_kib(kib));
        if let Some((_, size)) = strip(text, b"Free swap").and_then(|rest| find(rest, b"= ")) {
            self.swap_free = kib(size);
        } else if let Some((_, size)) =
            strip(text, b"Total swap").and_then(|rest| find(rest, b"= "))
        {
            self.swap_total = kib(size);
        } else if text.ends_with(b" pages RAM") {
            self.ram = decimal(text).map(|(pages, _)| pages);
        } else if is_blocks(text) {
            self.add_blocks(text);
        } else if find(text, b" free:")
            .is_some_and(|(_, rest)| decimal(rest).is_some_and(|(_, unit)| unit.starts_with(b"kB")))
        {
            let size = |key: &[u8]| after_key(text, key).map(Bytes::from_kib);
            add(&mut self.free, size(b" free:"));
            add(&mut self.reserve, size(b" min:"));
        } else {
            self.add_pages(text);
        }
    }

    /// The counters of the whole machine. Those of a node carry a unit and are left out.
    fn add_pages(&mut self, text: &[u8]) {
        let counters: [(&[u8], &mut Option<u64>); 4] = [
            (b"shmem:", &mut self.shmem),
            (b"slab_unreclaimable:", &mut self.slab_unreclaimable),
            (b"pagetables:", &mut self.page_tables),
            (b"active_anon:", &mut self.anon),
        ];
        for (key, counter) in counters {
            let value = page_counter(text, key);
            if counter.is_none() {
                *counter = value;
                if key == b"active_anon:" {
                    let more = page_counter(text, b"inactive_anon:").unwrap_or(0);
                    *counter = value.map(|active| active.saturating_add(more));
                }
            }
        }
    }

    fn add_blocks(&mut self, text: &[u8]) {
        let blocks = words(text).filter_map(|word| {
            let (count, rest) = decimal(word)?;
            let (kib, unit) = decimal(strip(rest, b"*")?)?;
            (unit == b"kB" && kib > 0).then_some((count, kib))
        });
        for (order, (count, kib)) in blocks.take(32).enumerate() {
            if order == 0 {
                self.page = Some(Bytes::from_kib(kib));
            }
            match self.blocks.get_mut(order) {
                Some(block) => *block = block.saturating_add(count),
                None => self.blocks.push(count),
            }
        }
    }

    /// What was found, if anything was.
    pub(crate) fn finish(self, page: Option<Bytes>) -> Option<HostMemory> {
        if !self.seen {
            return None;
        }
        let page = self.page.or(page);
        let bytes = |pages: Option<u64>| Some(Bytes(pages?.saturating_mul(page?.0)));
        Some(HostMemory {
            ram: bytes(self.ram),
            free: self.free,
            reserve: self.reserve,
            anon: bytes(self.anon),
            shmem: bytes(self.shmem),
            slab_unreclaimable: bytes(self.slab_unreclaimable),
            page_tables: bytes(self.page_tables),
            swap_total: self.swap_total,
            swap_free: self.swap_free,
            free_blocks: self.blocks,
            page,
        })
    }

    /// Bytes of a page, where the list of blocks has told.
    pub(crate) fn page(&self) -> Option<Bytes> {
        self.page
    }
}

/// The number of a word `KEY123` that ends with its digits.
fn page_counter(text: &[u8], key: &[u8]) -> Option<u64> {
    // rsyslog writes a line's end within a message as #012.
    let ended = |rest: &[u8]| rest.is_empty() || rest == b"#012" || rest.starts_with(b"#012");
    words(text).find_map(|word| {
        let word = word.strip_prefix(b"#012").unwrap_or(word);
        let (value, rest) = decimal(strip(word, key)?)?;
        ended(rest).then_some(value)
    })
}

fn add(sum: &mut Option<Bytes>, more: Option<Bytes>) {
    if let Some(more) = more {
        *sum = Some(sum.unwrap_or_default() + more);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zones_are_added_up_and_nodes_left_out() {
        assert!(!is_about(
            b"Node 0 active_anon:400kB inactive_anon:80kB shmem:20kB"
        ));
        let mut info = MemInfo::default();
        for line in [
            &b"active_anon:100 inactive_anon:20 isolated_anon:0\n active_file:1 unevictable:0\n slab_reclaimable:3 slab_unreclaimable:7\n mapped:1 shmem:5 pagetables:9"[..],
            b"Node 0 DMA free:15kB boost:0kB min:5kB low:6kB",
            b"Node 0 Normal free:1000kB min:95kB low:110kB",
            b"Node 0 DMA: 1*4kB (U) 2*8kB (UM) 0*16kB = 20kB",
            b"Node 0 Normal: 200*4kB (UME) 25*8kB (UE) 0*16kB = 1000kB",
            b"Free swap  = 12kB",
            b"Total swap = 100kB",
            b"1000 pages RAM",
        ] {
            assert!(is_about(line), "{}", String::from_utf8_lossy(line));
            info.add(line);
        }
        let host = info.finish(None).unwrap();
        let kib = |kib| Some(Bytes::from_kib(kib));
        assert_eq!((host.free, host.reserve), (kib(1015), kib(100)));
        assert_eq!((host.anon, host.shmem), (kib(480), kib(20)));
        assert_eq!(
            (host.slab_unreclaimable, host.page_tables),
            (kib(28), kib(36))
        );
        assert_eq!(
            (host.ram, host.swap_free, host.swap_total),
            (kib(4000), kib(12), kib(100))
        );
        assert_eq!(host.free_blocks, [201, 27, 0]);
    }
}
