//! `status`: a line per field, sizes in kB (proc(5), `/proc/pid/status`).
//!
//! Which lines there are depends on the kernel (`RssAnon` came with 4.5, `HugetlbPages` with 4.4,
//! `NSpid` with 4.1, `Seccomp` with 3.8, `VmPMD` came with 4.0 and went with 4.15) and on the
//! process: a zombie or kernel thread has no memory lines at all.

use super::scan;
use crate::error::Error;
use memtide_model::{Bytes, Memory, Pid};

/// What memtide reads of `status`; `None`: the kernel does not print it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Status<'a> {
    /// `Name`; the kernel prints a newline in it as `\n` and a backslash as `\\`.
    pub name: &'a [u8],
    /// The letter of `State`: R, S, D, T, t, Z, X, I.
    pub state: Option<u8>,
    /// `Tgid`: the process that a thread belongs to.
    pub tgid: Option<Pid>,
    /// `PPid`; 0 where the parent is in another namespace or there is none.
    pub ppid: Option<Pid>,
    /// `TracerPid`: who traces it; `None` when nobody does.
    pub tracer: Option<Pid>,
    /// The real user of `Uid`.
    pub uid: Option<u32>,
    /// The last number of `NSpid`: its pid as it sees itself.
    pub innermost_pid: Option<Pid>,
    /// `Threads`.
    pub threads: Option<u64>,
    /// `Seccomp`: 0 off, 1 strict, 2 filter.
    pub seccomp: Option<u8>,
    /// `voluntary_ctxt_switches` of this thread.
    pub voluntary_switches: Option<u64>,
    /// `nonvoluntary_ctxt_switches` of this thread.
    pub involuntary_switches: Option<u64>,
    /// `VmPeak`: largest address space so far.
    pub vm_peak: Option<Bytes>,
    /// `VmSize`: address space.
    pub vm_size: Option<Bytes>,
    /// `VmLck`: locked.
    pub vm_lck: Option<Bytes>,
    /// `VmPin`: pinned.
    pub vm_pin: Option<Bytes>,
    /// `VmHWM`: highest RSS so far.
    pub vm_hwm: Option<Bytes>,
    /// `VmRSS`: resident.
    pub vm_rss: Option<Bytes>,
    /// `RssAnon`.
    pub rss_anon: Option<Bytes>,
    /// `RssFile`.
    pub rss_file: Option<Bytes>,
    /// `RssShmem`.
    pub rss_shmem: Option<Bytes>,
    /// `VmData`.
    pub vm_data: Option<Bytes>,
    /// `VmStk`: the main thread's stack.
    pub vm_stk: Option<Bytes>,
    /// `VmExe`: text.
    pub vm_exe: Option<Bytes>,
    /// `VmLib`: libraries' text.
    pub vm_lib: Option<Bytes>,
    /// `VmPTE`: page tables; since Linux 4.15 of all levels.
    pub vm_pte: Option<Bytes>,
    /// `VmPMD`: second-level page tables, Linux 4.0 to 4.14.
    pub vm_pmd: Option<Bytes>,
    /// `VmSwap`: swapped out.
    pub vm_swap: Option<Bytes>,
    /// `HugetlbPages`: not part of RSS.
    pub hugetlb_pages: Option<Bytes>,
}

const FILE: &str = "status";

/// Parses `status`.
///
/// # Errors
/// A known field whose value is not what its format says; a file that is empty or cut off.
pub fn parse(bytes: &[u8]) -> Result<Status<'_>, Error> {
    let mut status = Status::default();
    for (line_number, line) in scan::some_lines(FILE, bytes)? {
        let Some((key, value)) = scan::key_value(line) else {
            continue;
        };
        let read = if value.ends_with(b" kB") {
            status.set_size(key, value)
        } else {
            status.set_other(key, value)
        };
        read.ok_or(Error::malformed(
            FILE,
            line_number,
            "value is not what its key promises",
        ))?;
    }
    Ok(status)
}

impl<'a> Status<'a> {
    /// The memory lines as one value; `None` of a zombie or kernel thread, which have none.
    pub fn memory(&self) -> Option<Memory> {
        Some(Memory {
            rss: self.vm_rss?,
            size: self.vm_size?,
            peak_size: self.vm_peak,
            peak_rss: self.vm_hwm,
            rss_anon: self.rss_anon,
            rss_file: self.rss_file,
            rss_shmem: self.rss_shmem,
            data: self.vm_data,
            stack: self.vm_stk,
            text: self.vm_exe,
            libraries: self.vm_lib,
            // Until 4.15 the levels stood in two lines, and only their sum compares across kernels.
            page_tables: match (self.vm_pte, self.vm_pmd) {
                (Some(pte), Some(pmd)) => Some(pte + pmd),
                (pte, _) => pte,
            },
            swap: self.vm_swap,
            locked: self.vm_lck,
            pinned: self.vm_pin,
            hugetlb: self.hugetlb_pages,
        })
    }

    /// Takes a line of a size; `None` where the value is no size. Unknown keys are passed over.
    fn set_size(&mut self, key: &[u8], value: &'a [u8]) -> Option<()> {
        let field = match key {
            b"VmPeak" => &mut self.vm_peak,
            b"VmSize" => &mut self.vm_size,
            b"VmLck" => &mut self.vm_lck,
            b"VmPin" => &mut self.vm_pin,
            b"VmHWM" => &mut self.vm_hwm,
            b"VmRSS" => &mut self.vm_rss,
            b"RssAnon" => &mut self.rss_anon,
            b"RssFile" => &mut self.rss_file,
            b"RssShmem" => &mut self.rss_shmem,
            b"VmData" => &mut self.vm_data,
            b"VmStk" => &mut self.vm_stk,
            b"VmExe" => &mut self.vm_exe,
            b"VmLib" => &mut self.vm_lib,
            b"VmPTE" => &mut self.vm_pte,
            b"VmPMD" => &mut self.vm_pmd,
            b"VmSwap" => &mut self.vm_swap,
            b"HugetlbPages" => &mut self.hugetlb_pages,
            // A thread may be called "x kB".
            _ => return self.set_other(key, value),
        };
        *field = Some(scan::kibibytes(value)?);
        Some(())
    }

    /// Takes any other line.
    fn set_other(&mut self, key: &[u8], value: &'a [u8]) -> Option<()> {
        match key {
            b"Name" => self.name = value.strip_prefix(b"\t").unwrap_or(value),
            b"State" => self.state = Some(*scan::skip_blanks(value).first()?),
            b"Tgid" => self.tgid = Some(Pid(scan::number_u32(value)?)),
            b"PPid" => self.ppid = Some(Pid(scan::number_u32(value)?)),
            b"TracerPid" => {
                let tracer = scan::number_u32(value)?;
                self.tracer = (tracer != 0).then_some(Pid(tracer));
            }
            b"Uid" => self.uid = Some(scan::number_u32(scan::words(value).next()?)?),
            b"NSpid" => {
                self.innermost_pid = Some(Pid(scan::number_u32(scan::words(value).last()?)?));
            }
            b"Threads" => self.threads = Some(scan::number(value)?),
            b"Seccomp" => self.seccomp = Some(u8::try_from(scan::number(value)?).ok()?),
            b"voluntary_ctxt_switches" => self.voluntary_switches = Some(scan::number(value)?),
            b"nonvoluntary_ctxt_switches" => self.involuntary_switches = Some(scan::number(value)?),
            // A size without its unit was no size.
            _ if key.starts_with(b"Vm") || key.starts_with(b"Rss") || key == b"HugetlbPages" => {
                return value.ends_with(b" kB").then_some(());
            }
            _ => {}
        }
        Some(())
    }
}
