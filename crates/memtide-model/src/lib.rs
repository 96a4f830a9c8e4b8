//! The words of the house: every type that crosses a border between two rooms of memtide.
//!
//! A lens fills [`Tick`]s, the recording stores them and gives [`Observations`] back, the analyzer
//! turns those into [`Findings`], and the reporter prints them. Each of these is plain data that can
//! be built by hand in a test.
//!
//! This crate refuses to do anything: no files, no clocks, no statistics, no printing beyond the one
//! formatter of sizes, rates and durations in [`text`].
#![forbid(unsafe_code)]

pub mod account;
pub mod alike;
pub mod census;
pub mod comparison;
pub mod event;
pub mod heap;
pub mod held;
pub mod ids;
pub mod mapping;
pub mod observations;
pub mod processes;
pub mod reasoning;
pub mod redact;
pub mod report;
pub mod sample;
pub mod stacks;
pub mod target;
pub mod text;
pub mod thread;
pub mod timeline;
pub mod tree;
pub mod trend;
pub mod units;
pub mod verdict;

pub use account::Account;
pub use census::{
    Census, FileId, HeldTarget, Holding, KernelObject, Machine, ObjectKind, ProcessState,
    ThreadAtRest,
};
pub use event::{Event, EventKind};
pub use heap::{
    ArenaTotals, EndedThreads, HeapClass, HeapObservations, HeapQuality, HeapSnapshot, HeapTotals,
    SizeClass,
};
pub use held::{GroupTarget, HeldGroup, HeldHistory, HeldKind, HeldPoint};
pub use ids::{Pid, ProcessId, StartTime, ThreadId, Tid};
pub use mapping::{Mapping, MappingClass, MappingState, PerClass};
pub use observations::{
    IMPORTED, MappingHistory, MappingPoint, Observations, ReadCost, ReadKind, Recording,
    ThreadHistory, ThreadPoint,
};
pub use processes::{
    Difference, Finding, FindingKind, Followed, HolderRow, ProcessRow, ProcessesReport, Relative,
    Remedy, Role, Snapshot, Weight,
};
pub use reasoning::{Number, Outcome, Reasoning, Side, Stage, Step, Threshold, Unit};
pub use redact::{Redactor, SecretKind};
pub use report::Report;
pub use sample::{
    Activity, Cgroup, Children, ClassTotals, Counts, Descriptors, Host, Maps, Memory, Merged,
    Pressure, Queues, Sample, Tick,
};
pub use stacks::{
    CallStack, CodeModule, CodeModuleId, CodePlace, HeapMode, Lost, StackCounters, StackEnd,
    StackHistory, StackId, StackKind, StackObservations, StackOwner, StackPoint, StackTotals,
    StacksTick, Symbol,
};
pub use target::{Limits, Target, Visibility};
pub use thread::ThreadState;
pub use timeline::{Band, Findings, Timeline, TimelinePoint};
pub use tree::{
    MemberHistory, MemberPoint, NameHistory, TreeEnd, TreeMember, TreeObservations, TreeTick,
    TreeTotals,
};
pub use trend::{Shape, Slope};
pub use units::{Bytes, Nanos};
pub use verdict::VerdictKind;
