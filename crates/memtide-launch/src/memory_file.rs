//! Bytes as an anonymous file that a started program can open by its descriptor's number.

use crate::error::Error;
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
use rustix::io::{FdFlags, fcntl_dupfd_cloexec, fcntl_setfd};
use std::fs::File;
use std::io::Write as _;
use std::os::fd::OwnedFd;

/// What /proc calls it: `/memfd:memtide-shim (deleted)`.
const NAME: &str = "memtide-shim";
/// Numbers to begin at; the usual limit is 1,024.
const HIGH: [i32; 3] = [900, 200, 64];

/// A memory file with this content, sealed, and *kept open* in programs that are started, which is the
/// purpose: `/proc/self/fd/N` names it in every one of them.
pub(crate) fn create(content: &[u8]) -> Result<OwnedFd, Error> {
    let failed = |error: std::io::Error| Error::system("copying the shim into memory", error);
    // Mapping it as code needs no execute permission; saying so keeps it allowed where
    // `vm.memfd_noexec` is 2. Linux before 6.3 does not know the flag.
    let flags = MemfdFlags::ALLOW_SEALING | MemfdFlags::CLOEXEC;
    let descriptor = memfd_create(NAME, flags | MemfdFlags::NOEXEC_SEAL)
        .or_else(|_| memfd_create(NAME, flags))
        .map_err(|error| failed(error.into()))?;
    let mut file = File::from(descriptor);
    file.write_all(content).map_err(failed)?;
    let seals = SealFlags::GROW | SealFlags::SHRINK | SealFlags::WRITE | SealFlags::SEAL;
    fcntl_add_seals(&file, seals).map_err(|error| failed(error.into()))?;
    let kept = high(&file);
    let kept = kept.unwrap_or_else(|| file.into());
    fcntl_setfd(&kept, FdFlags::empty()).map_err(|error| failed(error.into()))?;
    Ok(kept)
}

/// The same file under a number that programs do not use: shells have 3 to 9 for scripts, and many
/// programs close what they find below 256. `None` where the limit on descriptors leaves no such.
fn high(file: &File) -> Option<OwnedFd> {
    HIGH.into_iter()
        .find_map(|number| fcntl_dupfd_cloexec(file, number).ok())
}
