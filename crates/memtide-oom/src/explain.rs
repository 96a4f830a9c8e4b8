//! A kill in sentences: who, by which limit, what it held, who else was large, and one line of advice.
//!
//! Only what the log held is told. Shares are of the limit that was reached: the group's, or the machine's
//! memory; a process that held half of it is the one to look at, and where all processes together held less
//! than half, memory that no process maps filled the rest.

use crate::kill::{Constraint, HostMemory, Kill, Task};
use memtide_model::Bytes;
use memtide_model::text::{bytes, plural};

/// From this share of a limit on, one process is what filled it.
const MOST_OF_IT: f64 = 0.5;
/// Others that are named.
const OTHERS: usize = 4;
/// A process with less than this share of the victim's memory is not worth a name.
const SMALL: f64 = 0.02;

/// Who was killed, and by which limit.
pub fn headline(kill: &Kill) -> String {
    let uid = kill.uid.map_or(String::new(), |uid| format!(", uid {uid}"));
    let who = format!("{} (pid {}{uid})", kill.name, kill.pid);
    let whole = if kill.whole_group {
        ", with its whole group (memory.oom.group)"
    } else {
        ""
    };
    format!("{who} was killed{whole}: {}", what_ran_out(kill))
}

/// The limit that was reached.
pub fn what_ran_out(kill: &Kill) -> String {
    match kill.constraint {
        Constraint::Memcg => {
            let group = (kill.group.as_deref()).map_or("its control group".to_owned(), |group| {
                format!("control group {group}")
            });
            let limit = kill.usage.and_then(|usage| usage.limit());
            let limit = limit.map_or(String::new(), |limit| format!(" of {}", size(limit)));
            let inside = kill
                .task_group
                .as_ref()
                .filter(|task| Some(*task) != kill.group.as_ref())
                .map_or(String::new(), |task| {
                    format!(" (it ran in {task}, below it)")
                });
            format!("the limit{limit} of {group} was reached{inside}")
        }
        Constraint::Cpuset => "the memory nodes of its cpuset were full".to_owned(),
        Constraint::Mempolicy => "the memory nodes of its memory policy were full".to_owned(),
        Constraint::None if by_keyboard(kill) => "somebody asked for it (SysRq f)".to_owned(),
        Constraint::None => match fragmented(kill) {
            Some(_) => "the machine had no block of memory that was large enough".to_owned(),
            None => "the machine was out of memory".to_owned(),
        },
    }
}

fn by_keyboard(kill: &Kill) -> bool {
    kill.request.as_ref().and_then(|request| request.order) == Some(-1)
}

/// The facts, a sentence each.
pub fn facts(kill: &Kill) -> Vec<String> {
    let facts = [
        held(kill),
        kill.usage.map(|_| used(kill)),
        asked(kill),
        fragmented(kill),
        kill.host.as_ref().and_then(machine),
        others(kill),
        preferred(kill),
    ];
    facts.into_iter().flatten().collect()
}

/// All of it in one line, for the event of a recording.
pub fn sentence(kill: &Kill) -> String {
    let mut text = format!("the kernel's record: {}", headline(kill));
    for fact in facts(kill) {
        text.push_str("; ");
        text.push_str(&fact);
    }
    text
}

fn held(kill: &Kill) -> Option<String> {
    let parts = [
        ("anonymous", kill.anon_rss),
        ("of files", kill.file_rss),
        ("shared", kill.shmem_rss),
    ];
    let parts: Vec<String> = (parts.iter())
        .filter_map(|(what, value)| Some(format!("{} {what}", size((*value)?))))
        .collect();
    let rss = kill.rss()?;
    let beside = [
        ("page tables", kill.page_tables),
        ("swapped out", kill.swap),
    ];
    let mut text = format!("it held {} in memory ({})", size(rss), parts.join(", "));
    for (what, value) in beside {
        if let Some(value) = value.filter(|value| value.0 > 0) {
            text += &[", beside it ", &size(value), " ", what].concat();
        }
    }
    Some(text)
}

fn used(kill: &Kill) -> String {
    let usage = kill.usage.unwrap_or_default();
    let swap = usage
        .swap
        .filter(|swap| swap.0 > 0 && !usage.swap_holds_memory)
        .map_or(String::new(), |swap| format!(" and {} of swap", size(swap)));
    let rest = usage.memory.saturating_sub(kill.tasks_rss);
    let rest = if kill.tasks_in_all > 0 && share(rest, usage.memory) >= MOST_OF_IT {
        let held = size(kill.tasks_rss);
        format!(
            ", of which its processes held only {held}: the rest is tmpfs, page cache or the kernel's"
        )
    } else {
        String::new()
    };
    format!("the group used {}{swap}{rest}", size(usage.memory))
}

fn asked(kill: &Kill) -> Option<String> {
    let request = kill.request.as_ref().filter(|_| !by_keyboard(kill))?;
    let own = if request.by == kill.name {
        " itself"
    } else {
        ""
    };
    let pages = match request.order {
        Some(order @ 1..=30) => {
            let page = kill.host.as_ref().and_then(|host| host.page);
            let size = page.map_or(String::new(), |page| {
                format!(", {}", size(Bytes(page.0 << order)))
            });
            format!(" (order {order}{size} in one piece)")
        }
        _ => String::new(),
    };
    Some(format!("{}{own} asked for memory{pages}", request.by))
}

/// That there was memory, but not in one piece: free blocks of the order, by the kernel's own list.
pub fn fragmented(kill: &Kill) -> Option<String> {
    let order = usize::try_from(kill.request.as_ref()?.order?).ok()?;
    let host = kill.host.as_ref().filter(|_| order > 0)?;
    let free = host
        .free
        .filter(|free| *free > host.reserve.unwrap_or_default())?;
    let blocks = host.free_blocks.get(order..)?;
    let large: u64 = blocks
        .iter()
        .fold(0, |sum, &count| sum.saturating_add(count));
    // A few may be the kernel's reserve; more than that would have met the request.
    (!host.free_blocks.is_empty() && large <= 8).then(|| {
        let page = host.page.unwrap_or(Bytes(4096));
        let piece = Bytes(page.0.checked_shl(u32::try_from(order).unwrap_or(0)).unwrap_or(0));
        format!(
            "killed with {} free because order {order} was asked for ({} in one piece), of which the \
             machine had {}: its free memory is fragmented",
            size(free),
            size(piece),
            match large {
                0 => "none".to_owned(),
                few => plural(few, "block"),
            }
        )
    })
}

fn machine(host: &HostMemory) -> Option<String> {
    let ram = host.ram?;
    let mut parts = Vec::new();
    for (what, value) in [
        ("free", host.free),
        ("anonymous", host.anon),
        ("shared and tmpfs", host.shmem),
        ("kernel objects", host.slab_unreclaimable),
        ("page tables", host.page_tables),
    ] {
        parts.extend(value.map(|value| format!("{} {what}", size(value))));
    }
    parts.extend(match (host.swap_total, host.swap_free) {
        (Some(Bytes(0)), _) => Some("no swap".to_owned()),
        (Some(total), Some(free)) => Some(format!("{} of {} swap left", size(free), size(total))),
        _ => None,
    });
    Some(format!("of {} RAM: {}", size(ram), parts.join(", ")))
}

fn others(kill: &Kill) -> Option<String> {
    let rss = kill.rss().unwrap_or_default();
    let other = |task: &&Task| {
        task.pid != kill.pid && task.rss.as_f64() > SMALL * rss.as_f64() && task.rss.0 > 0
    };
    let named: Vec<String> = (kill.tasks.iter())
        .filter(other)
        .take(OTHERS)
        .map(|task| format!("{} (pid {}) {}", task.name, task.pid, size(task.rss)))
        .collect();
    (!named.is_empty()).then(|| {
        format!(
            "of the {} processes there, the largest others: {}",
            kill.tasks_in_all,
            named.join(", ")
        )
    })
}

fn preferred(kill: &Kill) -> Option<String> {
    let adj = kill.oom_score_adj.filter(|adj| *adj != 0)?;
    let how = if adj > 0 { "sooner" } else { "later" };
    Some(format!(
        "its oom_score_adj of {adj} has it killed {how} than its size says"
    ))
}

/// What to do about it: one line.
pub fn advice(kill: &Kill) -> String {
    if by_keyboard(kill) {
        return "nothing ran out: somebody pressed SysRq f".to_owned();
    }
    if fragmented(kill).is_some() {
        return "raise vm.min_free_kbytes, or find who asks for such large pieces (a driver, a jumbo frame): \
                `cat /proc/buddyinfo` shows what is left"
            .to_owned();
    }
    let name = &kill.name;
    let whole = limit(kill);
    let rss = kill.rss().unwrap_or_default();
    let largest = kill
        .tasks
        .first()
        .filter(|task| task.pid != kill.pid && task.rss > rss);
    let limit_file = "raise the group's limit";
    match (kill.constraint, whole) {
        (Constraint::Memcg, Some(whole)) if share(rss, whole) >= MOST_OF_IT => format!(
            "{name} held {:.0} % of the limit: see what in it grows with `memtide run --heap sampled -- {name}` \
             or `memtide attach`; where it needs so much, {limit_file}",
            100.0 * share(rss, whole)
        ),
        (_, Some(whole)) if kill.tasks_in_all > 0 && share(kill.tasks_rss, whole) < MOST_OF_IT => {
            "processes held less than half of it: look for files in tmpfs and for the kernel's own memory \
             (`df -t tmpfs`, `slabtop`, `memtide ps`)"
                .to_owned()
        }
        _ if largest.is_some() => {
            let other = largest.map_or("", |task| task.name.as_str());
            format!("{other} held more than {name} and was spared: look at {other} first (`memtide attach --name`)")
        }
        (Constraint::Memcg, _) => format!(
            "many share the limit: {limit_file}, or see which of them grows with `memtide attach --name {name}`"
        ),
        (Constraint::Cpuset | Constraint::Mempolicy, _) => {
            "other nodes may have had memory: widen cpuset.mems or the memory policy".to_owned()
        }
        (Constraint::None, _) => format!(
            "watch {name} with `memtide attach --name {name}` and give it a limit of its own, so that it \
             cannot take the machine's last memory"
        ),
    }
}

/// What had run out, in bytes.
fn limit(kill: &Kill) -> Option<Bytes> {
    match kill.constraint {
        Constraint::Memcg => {
            let usage = kill.usage?;
            usage.limit().or(Some(usage.memory))
        }
        _ => kill.host.as_ref()?.ram,
    }
}

fn share(part: Bytes, whole: Bytes) -> f64 {
    if whole.0 == 0 {
        0.0
    } else {
        part.as_f64() / whole.as_f64()
    }
}

fn size(value: Bytes) -> String {
    bytes(value.as_f64())
}
