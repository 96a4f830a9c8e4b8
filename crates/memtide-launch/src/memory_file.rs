//! Bytes as an anonymous file that a started program can open by its descriptor's number.

use crate::error::Error;
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
use std::fs::File;
use std::io::Write as _;
use std::os::fd::OwnedFd;

/// A memory file with this content, sealed, and *kept open* in programs that are started, which is the
/// purpose: `/proc/self/fd/N` names it in every one of them.
pub(crate) fn create(content: &[u8]) -> Result<OwnedFd, Error> {
    let failed = |error: std::io::Error| Error::system("copying the shim into memory", error);
    // Mapping it as code needs no execute permission; saying so keeps it allowed where
    // `vm.memfd_noexec` is 2. Linux before 6.3 does not know the flag.
    let flags = MemfdFlags::ALLOW_SEALING;
    let descriptor = memfd_create("memtide-shim", flags | MemfdFlags::NOEXEC_SEAL)
        .or_else(|_| memfd_create("memtide-shim", flags))
        .map_err(|error| failed(error.into()))?;
    let mut file = File::from(descriptor);
    file.write_all(content).map_err(failed)?;
    let seals = SealFlags::GROW | SealFlags::SHRINK | SealFlags::WRITE | SealFlags::SEAL;
    fcntl_add_seals(&file, seals).map_err(|error| failed(error.into()))?;
    Ok(file.into())
}
