//! A process that is easy to predict, for the tests and benches of the recording.
#![allow(dead_code, reason = "each test uses its own part")]
#![allow(clippy::pedantic, clippy::indexing_slicing, reason = "a tool of tests")]

pub(crate) mod heap;
pub(crate) mod place;
pub(crate) mod stacks;

use memtide_model::{
    Activity, Bytes, Cgroup, Children, ClassTotals, Counts, Descriptors, Host, Limits, Mapping,
    MappingClass, MappingState, Maps, Memory, Merged, Nanos, Pid, Pressure, ProcessId, Sample,
    StartTime, Target, ThreadId, ThreadState, Tick, Tid,
};
use memtide_record::{Clock, Start};
use std::sync::Arc;

/// Where the simulated boot clock stands when the recording starts: nine days after boot.
pub(crate) const BOOT: Nanos = Nanos::from_secs(9 * 86_400);

pub(crate) fn process() -> ProcessId {
    ProcessId {
        pid: Pid(4_182),
        start: StartTime(77_001),
    }
}

pub(crate) fn target() -> Target {
    Target {
        id: process(),
        parent: Some(Pid(1)),
        name: "shop".into(),
        exe: "/usr/bin/shop".into(),
        cmdline: vec!["shop".into(), "--password=secret".into()],
        uid: 1_000,
        age: Nanos::from_secs(60),
        allocator: "glibc 2.36".into(),
        runtime: "none".into(),
        limits: Limits {
            cgroup: Some(Bytes(1 << 30)),
            ..Limits::default()
        },
        cgroup: Some("/system.slice/shop.service".into()),
        unseen: Vec::new(),
    }
}

pub(crate) fn start(interval: Nanos) -> Start {
    Start {
        clock: Clock {
            boottime: BOOT,
            monotonic: BOOT,
            wall: 1_790_000_000_000_000_000,
        },
        interval,
        page_size: Bytes(4_096),
        ticks_per_second: 100,
        lenses: vec!["sampler".into()],
        version: "0.1.0".into(),
    }
}

/// A small generator of numbers (splitmix64): the same on every machine.
#[derive(Clone)]
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    pub(crate) fn one_of<T: Copy>(&mut self, values: &[T]) -> T {
        values[self.below(values.len() as u64) as usize]
    }
}

/// A leaking server: the heap grows at every tick, a few mappings and threads move with it.
pub(crate) struct Simulation {
    pub(crate) tick: u64,
    pub(crate) interval: Nanos,
    random: Random,
    mappings: Vec<(Arc<Mapping>, u64, u64)>,
    threads: Vec<ThreadState>,
    moving_mappings: usize,
    moving_threads: usize,
    activity: Activity,
}

impl Simulation {
    pub(crate) fn new(
        interval: Nanos,
        (mappings, moving_mappings): (usize, usize),
        (threads, moving_threads): (usize, usize),
    ) -> Self {
        let classes = [MappingClass::Heap, MappingClass::Anon, MappingClass::File];
        let mappings = (0..mappings).map(|n| {
            let class = if n == 0 {
                classes[0]
            } else {
                classes[1 + usize::from(n > 2 && n % 2 == 0)]
            };
            let name = match class {
                MappingClass::Heap => "[heap]".to_owned(),
                MappingClass::File => format!("/usr/lib/x86_64-linux-gnu/libshop-{}.so.1.2", n / 5),
                _ => String::new(),
            };
            let mapping = Mapping {
                address: 0x7f00_0000_0000 + n as u64 * 0x10_0000,
                class,
                protection: *b"rw-p",
                name: name.into(),
            };
            (Arc::new(mapping), 8 << 20, (n as u64 % 64) * 65_536)
        });
        let threads = (0..threads).map(|n| ThreadState {
            id: ThreadId {
                tid: Tid(4_182 + n as u32),
                start: StartTime(77_001 + n as u64),
            },
            name: format!("worker-{n}").into(),
            state: b'S',
            min_flt: 1_000,
            maj_flt: 3,
            cpu_ticks: 50,
            wchan: Some("futex_wait_queue".into()),
        });
        Self {
            tick: 0,
            interval,
            random: Random(7),
            mappings: mappings.collect(),
            threads: threads.collect(),
            moving_mappings,
            moving_threads,
            activity: Activity {
                min_flt: 20_000,
                maj_flt: 30,
                utime: 500,
                stime: 90,
                voluntary_switches: Some(10_000),
                involuntary_switches: Some(200),
            },
        }
    }

    /// 50 mappings and 10 threads at 1 Hz: the heap, two anonymous mappings and all threads touch
    /// new pages each second.
    pub(crate) fn ordinary() -> Self {
        Self::new(Nanos::SECOND, (50, 3), (10, 10))
    }

    /// Everything there is, in motion.
    pub(crate) fn monster() -> Self {
        Self::new(Nanos::SECOND, (10_000, 10_000), (1_000, 1_000))
    }

    pub(crate) fn at(&self) -> Nanos {
        BOOT + Nanos(self.interval.0 * self.tick + self.random.0 % 1_000_000)
    }

    pub(crate) fn next(&mut self) -> Tick {
        self.tick += 1;
        for (_, size, rss) in self.mappings.iter_mut().take(self.moving_mappings) {
            *rss += 4_096 * (1 + self.random.below(20));
            *size = (*size).max(rss.next_multiple_of(1 << 17));
        }
        for thread in self.threads.iter_mut().take(self.moving_threads) {
            thread.min_flt += 1 + self.random.below(20);
            thread.cpu_ticks += self.random.below(30);
        }
        self.activity.min_flt += 1 + self.random.below(200);
        self.activity.utime += self.random.below(60);
        self.activity.stime += self.random.below(20);
        self.activity.voluntary_switches = self.activity.voluntary_switches.map(|n| n + 100);
        let maps = self.maps();
        let rss: u64 = maps.classes.iter().map(|(_, class)| class.rss.0).sum();
        let size: u64 = maps.classes.iter().map(|(_, class)| class.size.0).sum();
        Tick {
            sample: self.sample(Bytes(rss), Bytes(size), maps),
            mappings: Some(self.mapping_states()),
            threads: Some(self.threads.clone()),
            held: None,
            events: Vec::new(),
        }
    }

    fn mapping_states(&self) -> Vec<MappingState> {
        let states = self
            .mappings
            .iter()
            .map(|(mapping, size, rss)| MappingState {
                mapping: Arc::clone(mapping),
                size: Bytes(*size),
                rss: Bytes(*rss),
            });
        states.collect()
    }

    fn maps(&self) -> Maps {
        let mut maps = Maps::default();
        for (mapping, size, rss) in &self.mappings {
            let class: &mut ClassTotals = maps.classes.get_mut(mapping.class);
            class.count += 1;
            class.size += Bytes(*size);
            class.rss += Bytes(*rss);
            if mapping.class != MappingClass::File {
                class.anonymous += Bytes(*rss);
            }
            class.largest = class.largest.max(Bytes(*rss));
            class.max_growth = class.max_growth.max(Bytes(*rss / 2));
            class.grown = class.count / 3;
            maps.pss += Bytes(*rss);
            maps.private_dirty += Bytes(*rss * 3 / 4);
        }
        maps
    }

    fn sample(&mut self, rss: Bytes, size: Bytes, maps: Maps) -> Sample {
        let file = maps.rss(MappingClass::File);
        Sample {
            at: self.at(),
            process: process(),
            memory: Memory {
                rss,
                size,
                peak_size: Some(size),
                peak_rss: Some(rss),
                rss_anon: Some(rss.saturating_sub(file)),
                rss_file: Some(file),
                rss_shmem: Some(Bytes(0)),
                data: Some(Bytes(size.0 / 2)),
                stack: Some(Bytes(135_168)),
                text: Some(Bytes(1_200_128)),
                libraries: Some(Bytes(3_145_728)),
                page_tables: Some(Bytes((rss.0 / 512).next_multiple_of(4_096))),
                swap: Some(Bytes(0)),
                locked: Some(Bytes(0)),
                pinned: Some(Bytes(0)),
                hugetlb: Some(Bytes(0)),
            },
            activity: self.activity,
            maps: Some(maps),
            counts: Counts {
                threads: self.threads.len() as u64,
                mappings: Some(self.mappings.len() as u64),
                descriptors: Some(Descriptors {
                    total: 20,
                    file: 8,
                    socket: 10,
                    pipe: 2,
                    ..Descriptors::default()
                }),
                children: Some(Children {
                    total: 1,
                    rss: Bytes(1 << 20),
                    ..Children::default()
                }),
                oom_score: Some(667),
                queues: None,
            },
            cgroup: Some(Cgroup {
                current: Bytes(rss.0 + (40 << 20) + self.random.below(1 << 18)),
                limit: Some(Bytes(1 << 34)),
                anon: Some(rss),
                file: Some(Bytes(30 << 20)),
                shmem: Some(Bytes(0)),
                kernel: Some(Bytes((4 << 20) + self.random.below(65_536))),
                oom_kills: Some(0),
                limit_hits: Some(0),
                high: None,
                swap: Some(Bytes(0)),
                swap_limit: None,
            }),
            host: Some(Host {
                available: Some(Bytes((6 << 30) + self.random.below(1 << 24))),
                committed: Some(Bytes((5 << 30) + self.random.below(1 << 22))),
                shmem: Some(Bytes(70 << 20)),
                slab_unreclaimable: Some(Bytes((100 << 20) + self.random.below(1 << 18))),
                swap_free: Some(Bytes(0)),
                slab_reclaimable: Some(Bytes(200 << 20)),
                commit_limit: Some(Bytes(4 << 30)),
                page_cache: Some(Bytes(1 << 30)),
                anon: Some(rss),
                kernel: Some(Bytes(9 << 20)),
                pressure: Some(Pressure {
                    some_us: self.tick * 100,
                    full_us: self.tick * 30,
                }),
            }),
            merged: Merged::single(rss),
        }
    }
}

/// A tick with nothing but an RSS; smaps read or not.
pub(crate) fn plain_tick(at: Nanos, rss: u64, maps: bool) -> Tick {
    let mut totals = Maps {
        pss: Bytes(rss),
        ..Maps::default()
    };
    *totals.classes.get_mut(MappingClass::Heap) = ClassTotals {
        count: 1,
        rss: Bytes(rss),
        ..ClassTotals::default()
    };
    Tick {
        sample: Sample {
            at,
            process: process(),
            memory: Memory {
                rss: Bytes(rss),
                size: Bytes(2 * rss),
                ..Memory::default()
            },
            activity: Activity::default(),
            maps: maps.then_some(totals),
            counts: Counts {
                threads: 1,
                ..Counts::default()
            },
            cgroup: None,
            host: None,
            merged: Merged::single(Bytes(rss)),
        },
        mappings: None,
        threads: None,
        held: None,
        events: Vec::new(),
    }
}
