//! What an open dump has told so far.

use crate::kill::{Constraint, GroupUsage, Kill, Request, Task};
use crate::parse::Line;
use crate::parse::kill::{Chosen, Counter, Usage};
use crate::parse::memory::MemInfo;
use crate::parse::table::{Columns, Row};
use crate::record::Record;
use memtide_model::{Bytes, Nanos};

/// Rows of a list that are kept: as many as there can be pids by default, and then some.
const MOST_ROWS: usize = 65_536;
/// A dump is printed in one go; a kill so long after it belongs to another one.
const LASTS: Nanos = Nanos::from_secs(60);

#[derive(Debug, Default)]
pub(super) struct Dump {
    pub(super) caller: Option<String>,
    /// Its kill has come. More follow only where a group goes as a whole, which is said after the first.
    pub(super) spent: bool,
    stamp: Option<Nanos>,
    wall_ns: Option<i64>,
    request: Option<Request>,
    /// Of kernels before 5.0: the group and the limit's.
    groups: Option<(String, String)>,
    usage: Option<GroupUsage>,
    columns: Option<Columns>,
    rows: Vec<Row>,
    chosen: Option<Chosen>,
    score: Option<(u32, u64)>,
    is_memcg: bool,
    whole_group: bool,
    memory: MemInfo,
}

impl Dump {
    pub(super) fn new(record: &Record, request: Option<Request>) -> Self {
        Self {
            caller: record.caller.clone(),
            stamp: record.stamp,
            wall_ns: record.wall_ns,
            request,
            ..Self::default()
        }
    }

    /// Whether a message of `caller` may be part of it.
    pub(super) fn is_of(&self, caller: Option<&String>) -> bool {
        caller.is_none() || self.caller.is_none() || caller == self.caller.as_ref()
    }

    /// Whether the kill that `record` tells of is its.
    pub(super) fn names(&self, pid: u32, record: &Record) -> bool {
        let late = match (self.stamp, record.stamp) {
            (Some(began), Some(now)) => now - began > LASTS,
            _ => match (self.wall_ns, record.wall_ns) {
                (Some(began), Some(now)) => {
                    now.saturating_sub(began) > i64::try_from(LASTS.0).unwrap_or(i64::MAX)
                }
                _ => false,
            },
        };
        let chosen = self.chosen.as_ref().map(|chosen| chosen.pid);
        let chosen = chosen.or(self.score.map(|(pid, _)| pid));
        let is_listed = self.rows.iter().any(|row| row.pid == pid);
        // Where neither is told (vm.oom_dump_tasks = 0), the kill that follows is its.
        let nobody = chosen.is_none() && self.rows.is_empty();
        let is_open = !self.spent || self.whole_group;
        is_open && !late && (chosen == Some(pid) || is_listed || nobody)
    }

    pub(super) fn add(&mut self, line: Line, text: &[u8]) {
        match line {
            Line::TaskIn { task_group, group } => {
                self.is_memcg = true;
                self.groups = Some((task_group, group));
            }
            Line::Usage(usage) => self.add_usage(usage),
            Line::Columns(columns) => self.columns = Some(columns),
            Line::Row => {
                let row = self.columns.as_ref().and_then(|columns| columns.row(text));
                if self.rows.len() < MOST_ROWS {
                    self.rows.extend(row);
                }
            }
            Line::Chosen(chosen) => self.chosen = Some(chosen),
            Line::Score { pid, score, memcg } => {
                self.is_memcg |= memcg;
                self.score = Some((pid, score));
            }
            Line::WholeGroup => self.whole_group = true,
            Line::Memory => self.memory.add(text),
            Line::Invoked(_) | Line::Killed(_) | Line::Unfinished => {}
        }
    }

    fn add_usage(&mut self, line: Usage) {
        let usage = self.usage.get_or_insert_default();
        match line.counter {
            Counter::Memory => {
                usage.memory = line.used;
                usage.memory_limit = line.limit;
            }
            Counter::MemoryAndSwap | Counter::Swap => {
                usage.swap = Some(line.used);
                usage.swap_limit = line.limit;
                usage.swap_holds_memory = line.counter == Counter::MemoryAndSwap;
            }
            Counter::Kernel => usage.kernel = Some(line.used),
        }
    }

    /// Adds to a kill what the dump knows.
    pub(super) fn fill(&self, kill: &mut Kill) {
        kill.request.clone_from(&self.request);
        kill.whole_group = self.whole_group;
        self.fill_groups(kill);
        let page = self.page(kill);
        let mut tasks: Vec<Task> = (self.rows.iter())
            .map(|row| row.clone().into_task(page))
            .collect();
        kill.tasks_in_all = tasks.len() as u64;
        kill.tasks_rss = tasks.iter().map(|task| task.rss).sum();
        if let Some(own) = tasks.iter().find(|task| task.pid == kill.pid) {
            kill.swap = Some(own.swap);
            kill.uid = kill.uid.or(Some(own.uid));
            kill.oom_score_adj = kill.oom_score_adj.or(Some(own.oom_score_adj));
        }
        tasks.sort_by_key(|task| (std::cmp::Reverse(task.rss), task.pid));
        tasks.truncate(Kill::MOST_TASKS);
        kill.tasks = tasks;
        kill.host = self.memory.clone().finish(Some(page));
        let own_score = self.score.filter(|(pid, _)| *pid == kill.pid);
        kill.score = own_score.map(|(_, score)| score);
    }

    fn fill_groups(&self, kill: &mut Kill) {
        if let Some(chosen) = &self.chosen {
            kill.constraint = chosen.constraint;
            kill.group.clone_from(&chosen.group);
            kill.task_group.clone_from(&chosen.task_group);
            if chosen.pid == kill.pid {
                kill.uid = kill.uid.or(Some(chosen.uid));
            }
        } else if let Some((task_group, group)) = &self.groups {
            kill.group = Some(group.clone());
            kill.task_group = Some(task_group.clone());
        }
        if self.is_memcg {
            kill.constraint = Constraint::Memcg;
        }
        if kill.constraint == Constraint::Memcg {
            kill.usage = self.usage;
        }
    }

    /// Bytes of a page: by the list of free blocks, or by what the kernel printed in both units.
    fn page(&self, kill: &Kill) -> Bytes {
        let own = self.rows.iter().find(|row| row.pid == kill.pid);
        let both = own.zip(kill.total_vm).and_then(|(row, total)| {
            let page = total.0.checked_div(row.total_vm)?;
            // The size may have moved between the two lines: pages are powers of two.
            page.is_power_of_two().then_some(Bytes(page))
        });
        (self.memory.page())
            .or(both)
            .unwrap_or_else(memtide_proc::clock::page_size)
    }
}
