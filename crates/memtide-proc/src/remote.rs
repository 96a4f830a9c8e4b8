//! Another process's memory, copied by `process_vm_readv(2)` (since Linux 3.2).
//!
//! The idea: the memory is addressed by pid, with no descriptor; so whoever reads checks by the start
//! time, before and after, that it was the same process all the time. What this refuses to do: write.
//! A page that is not there is brought in by the read, so callers ask [`crate::Pagemap`] first.

use crate::error::{Error, Subject};
use memtide_model::Pid;
use nix::errno::Errno;
use nix::sys::uio::{RemoteIoVec, process_vm_readv};
use std::io::IoSliceMut;

/// Reads the memory of one process; needs ptrace access to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RemoteMemory {
    pid: Pid,
}

const FILE: &str = "memory";

/// Ranges that the kernel takes in one call (`UIO_MAXIOV`).
const RANGES: usize = 1024;

impl RemoteMemory {
    /// Of the process `pid`; nothing is checked before the first read.
    pub const fn new(pid: Pid) -> Self {
        Self { pid }
    }

    /// Copies what is at `address`. Returns how many bytes: fewer than asked for where a page cannot
    /// be read, 0 where the first one cannot.
    ///
    /// # Errors
    /// [`Gone`](crate::ErrorKind::Gone) where the process has ended,
    /// [`Denied`](crate::ErrorKind::Denied) without ptrace access.
    pub fn read(self, address: u64, into: &mut [u8]) -> Result<usize, Error> {
        let mut done = 0;
        while let Some(rest) = into.get_mut(done..).filter(|rest| !rest.is_empty()) {
            let Some(base) = address.checked_add(done as u64).and_then(as_usize) else {
                break;
            };
            let len = rest.len();
            match self.call(rest, &[RemoteIoVec { base, len }])? {
                0 => break,
                count => done += count,
            }
        }
        Ok(done)
    }

    /// Copies `each` bytes from every one of `addresses`, one after the other, with one call per
    /// 1,024 of them. What cannot be read is zeros. `into` is made as long as that takes.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn gather(self, addresses: &[u64], each: usize, into: &mut Vec<u8>) -> Result<(), Error> {
        into.clear();
        into.resize(addresses.len().saturating_mul(each), 0);
        if each == 0 {
            return Ok(());
        }
        let mut ranges = Vec::with_capacity(addresses.len().min(RANGES));
        let mut done = 0;
        while let Some(left) = addresses.get(done..).filter(|left| !left.is_empty()) {
            ranges.clear();
            ranges.extend(left.iter().take(RANGES).map(|&address| RemoteIoVec {
                // An address that does not exist is an unreadable one.
                base: as_usize(address).unwrap_or(usize::MAX),
                len: each,
            }));
            let from = done * each;
            let room = into.get_mut(from..from + ranges.len() * each);
            let whole = self.call(room.unwrap_or_default(), &ranges)? / each;
            done += whole;
            if whole < ranges.len() {
                // The next range cannot be read, or not all of it: zeros, and on behind it.
                let failed = done * each;
                if let Some(failed) = into.get_mut(failed..failed + each) {
                    failed.fill(0);
                }
                done += 1;
            }
        }
        Ok(())
    }

    fn call(self, into: &mut [u8], ranges: &[RemoteIoVec]) -> Result<usize, Error> {
        let raw = i32::try_from(self.pid.0).unwrap_or(i32::MAX);
        let pid = nix::unistd::Pid::from_raw(raw);
        loop {
            match process_vm_readv(pid, &mut [IoSliceMut::new(into)], ranges) {
                Ok(count) => return Ok(count),
                Err(Errno::EINTR) => {}
                // Not mapped, not readable, or a huge page that the pool has run out of.
                Err(Errno::EFAULT | Errno::EIO | Errno::EINVAL) => return Ok(0),
                Err(errno) => return Err(self.failed(errno)),
            }
        }
    }

    fn failed(self, errno: Errno) -> Error {
        let errno = rustix::io::Errno::from_raw_os_error(errno as i32);
        Error::system(FILE, Subject::Process(self.pid), errno)
    }
}

fn as_usize(address: u64) -> Option<usize> {
    usize::try_from(address).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;

    fn own() -> RemoteMemory {
        RemoteMemory::new(Pid(std::process::id()))
    }

    #[test]
    fn what_was_written_is_read() {
        let written: Vec<u8> = (0..100_000_u32).map(|i| (i * 7 % 251) as u8).collect();
        let mut read = vec![0; written.len()];
        let count = own().read(written.as_ptr() as u64, &mut read).unwrap();
        assert_eq!((count, &read), (written.len(), &written));
    }

    #[test]
    fn what_is_not_mapped_is_a_short_read_and_zeros_among_many() {
        let mut read = [7; 64];
        assert_eq!(own().read(16, &mut read), Ok(0));
        assert_eq!(own().read(u64::MAX - 8, &mut read), Ok(0));
        let words: Vec<u64> = (0..3000).map(|i| i * 0x0101_0101).collect();
        let mut addresses: Vec<u64> = words.iter().map(|word| &raw const *word as u64).collect();
        for hole in [0, 1, 1500, 2999] {
            addresses[hole] = 4096;
        }
        let mut bytes = vec![9; 5];
        own().gather(&addresses, 8, &mut bytes).unwrap();
        let read: Vec<u64> = bytes
            .chunks_exact(8)
            .map(|word| u64::from_le_bytes(word.try_into().unwrap()))
            .collect();
        for (index, (&read, &written)) in read.iter().zip(&words).enumerate() {
            let expected = if [0, 1, 1500, 2999].contains(&index) {
                0
            } else {
                written
            };
            assert_eq!(read, expected, "word {index}");
        }
    }

    #[test]
    fn a_process_that_is_not_there_is_gone() {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let pid = Pid(child.id());
        child.wait().unwrap();
        let error = RemoteMemory::new(pid).read(4096, &mut [0; 8]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Gone);
        assert!(error.to_string().contains(&pid.to_string()), "{error}");
    }
}
