//! Whatever bytes a log holds, reading them ends and never panics; what is cut or mixed adds nothing false.

use memtide_oom::{Assembler, Kill, Reader, Record, Zone};
use proptest::prelude::*;

fn zone() -> Zone {
    Zone {
        zone: jiff::tz::TimeZone::UTC,
        written_ns: 1_795_276_800_000_000_000,
    }
}

fn kills(text: &[u8]) -> Vec<Kill> {
    Assembler::all(Reader::new(text, zone(), u64::MAX))
}

const LOGS: [&[u8]; 5] = [
    include_bytes!("logs/6.18-v1-odd-name-this-machine.kmsg"),
    include_bytes!("logs/3.10-el7-memcg.syslog"),
    include_bytes!("logs/4.9-host.dmesg"),
    include_bytes!("logs/5.10-order3.syslog"),
    include_bytes!("logs/5.15-v2-group.kmsg"),
];

#[test]
fn a_log_that_is_cut_anywhere_gives_no_other_process() {
    for log in LOGS {
        let whole: Vec<u32> = kills(log).iter().map(|kill| kill.pid).collect();
        // Every seventh byte: lines are longer than that, so each is cut at many places.
        for end in (0..log.len()).step_by(7) {
            for kill in kills(&log[..end]) {
                assert!(whole.contains(&kill.pid), "cut at {end}: pid {}", kill.pid);
                let _ = memtide_oom::explain::sentence(&kill);
            }
        }
    }
}

fn killed(pid: u32, name: &[u8], total: u32) -> Record {
    let mut text = format!("Memory cgroup out of memory: Killed process {pid} (").into_bytes();
    text.extend_from_slice(name);
    text.extend_from_slice(format!(") total-vm:{total}kB, anon-rss:{total}kB, file-rss:0kB, shmem-rss:0kB, UID:0 pgtables:8kB oom_score_adj:0").as_bytes());
    Record {
        text,
        ..Record::default()
    }
}

proptest! {
    #[test]
    fn any_bytes_are_read(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
        let _ = kills(&bytes);
    }

    #[test]
    fn any_words_of_dumps_are_read(parts in proptest::collection::vec(prop::sample::select(vec![
        "oom-kill:constraint=", "CONSTRAINT_MEMCG", ",task=", ",pid=", ",uid=", "9", "-", "18446744073709551615",
        "Killed process ", "Out of memory: ", " (", ") total-vm:", "kB", "\n", "[ pid ]", " uid", " rss", " name",
        "[ 1]", " ", "x invoked oom-killer: ", "order=", "4,1,2,-;", "[1.000001] ", "Nov 21 15:48:47 h kernel: ",
        " free:", "*4kB = ", " pages RAM", "memory: usage ", "kB, limit ", "Kill process ", ") score ",
        "active_anon:", "Free swap  = ", "\\x0a", "#012", "\u{fc}",
    ]), 0..60)) {
        for kill in kills(parts.concat().as_bytes()) {
            let _ = (memtide_oom::explain::sentence(&kill), memtide_oom::explain::advice(&kill));
        }
    }

    #[test]
    fn names_of_any_bytes_come_back(
        pid in 1_u32..4_194_304,
        name in proptest::collection::vec(any::<u8>(), 0..16),
        total in 1_u32..u32::MAX,
    ) {
        let [kill] = Assembler::all([killed(pid, &name, total)]).try_into().unwrap();
        prop_assert_eq!(kill.pid, pid);
        prop_assert_eq!(kill.name, memtide_model::text::printable(&name));
        prop_assert_eq!(kill.total_vm, Some(memtide_model::Bytes::from_kib(u64::from(total))));
    }

    /// Dumps of several callers, mixed in any order that keeps each one's own: every kill has its own dump.
    #[test]
    fn mixed_dumps_come_apart(order in proptest::collection::vec(0_usize..4, 0..40)) {
        let dump = |who: usize| -> Vec<Record> {
            let (pid, limit) = (100 + who, 1000 * (who + 1));
            let lines = [
                format!("p{who} invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=0"),
                format!("memory: usage {limit}kB, limit {limit}kB, failcnt 0"),
                "[ pid ]   uid  tgid total_vm      rss nr_ptes swapents oom_score_adj name".to_owned(),
                format!("[ {pid}] 0 {pid} 10 5 1 0 0 p{who}"),
                format!("oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=/,mems_allowed=0,oom_memcg=/g{who},task_memcg=/g{who},task=p{who},pid={pid},uid=0"),
                format!("Memory cgroup out of memory: Killed process {pid} (p{who}) total-vm:40kB, anon-rss:20kB, file-rss:0kB, shmem-rss:0kB"),
            ];
            lines.into_iter().rev().map(|text| Record {
                caller: Some(format!("T{who}")),
                text: text.into_bytes(),
                ..Record::default()
            }).collect()
        };
        let mut dumps: Vec<Vec<Record>> = (0..4).map(dump).collect();
        let mut mixed: Vec<Record> = order.iter().filter_map(|&who| dumps[who].pop()).collect();
        while let Some(left) = dumps.iter_mut().find(|dump| !dump.is_empty()) {
            mixed.extend(left.pop());
        }
        let kills = Assembler::all(mixed);
        prop_assert_eq!(kills.len(), 4);
        for kill in kills {
            let who = u64::from(kill.pid - 100);
            prop_assert_eq!(kill.group, Some(format!("/g{who}")));
            let limit = kill.usage.and_then(|usage| usage.limit());
            prop_assert_eq!(limit, Some(memtide_model::Bytes::from_kib(1000 * (who + 1))));
            prop_assert_eq!(kill.tasks_in_all, 1);
        }
    }
}
