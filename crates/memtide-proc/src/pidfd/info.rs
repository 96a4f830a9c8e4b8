//! `ioctl(pidfd, PIDFD_GET_INFO)`: the only call of this crate that rustix has no safe wrapper for.
//!
//! The layout is `struct pidfd_info` of `linux/pidfd.h` in its first published size, 64 bytes
//! (`PIDFD_INFO_SIZE_VER0`). The size is part of the request's number, and newer kernels fill in no
//! more than it says, so that this stays right when the struct grows.
#![expect(
    unsafe_code,
    reason = "an ioctl is a contract with the kernel that the compiler cannot check"
)]

use rustix::fd::BorrowedFd;
use rustix::io::Errno;
use rustix::ioctl::{Opcode, Updater, ioctl, opcode};

/// `struct pidfd_info`, first published size.
#[repr(C)]
#[derive(Default)]
struct PidfdInfo {
    /// In: what is asked for. Out: what was filled in.
    mask: u64,
    cgroupid: u64,
    pid: u32,
    tgid: u32,
    ppid: u32,
    ruid: u32,
    rgid: u32,
    euid: u32,
    egid: u32,
    suid: u32,
    sgid: u32,
    fsuid: u32,
    fsgid: u32,
    /// Spare until Linux 6.15; the wait status since, where the mask says so.
    exit_code: i32,
}

const _: () = assert!(size_of::<PidfdInfo>() == 64, "PIDFD_INFO_SIZE_VER0");

/// `PIDFD_INFO_EXIT`.
const INFO_EXIT: u64 = 1 << 3;

/// `_IOWR(PIDFS_IOCTL_MAGIC, 11, struct pidfd_info)`.
const GET_INFO: Opcode = opcode::read_write::<PidfdInfo>(0xff, 11);

/// The wait status of the process, where it was reaped and the kernel noted it.
pub(super) fn exit_status(pidfd: BorrowedFd<'_>) -> Result<Option<i32>, Errno> {
    let mut info = PidfdInfo {
        mask: INFO_EXIT,
        ..PidfdInfo::default()
    };
    // On a descriptor that is no pidfd, or a kernel without the call, it is refused (ENOTTY, EINVAL) and writes nothing.
    // SAFETY: the number holds the size of `PidfdInfo`, and the kernel writes no more; its fields are integers, for
    // which any bytes are valid.
    unsafe { ioctl(pidfd, Updater::<GET_INFO, PidfdInfo>::new(&mut info)) }?;
    Ok((info.mask & INFO_EXIT != 0).then_some(info.exit_code))
}
