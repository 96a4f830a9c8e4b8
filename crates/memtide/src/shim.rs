//! The preload shim that memtide carries, and whether it can be used here.

use crate::cli::options::Run;
use memtide_launch::{Locate, Program, SelfTest, Shim, self_test};
use std::time::Duration;

/// Put in by the build script; empty in a build without the shim.
static EMBEDDED: &[u8] = include_bytes!(env!("MEMTIDE_SHIM_FILE"));
/// Of the sources that the shim was built from; the shim carries the same number.
const BUILD_HASH: u64 = match u64::from_str_radix(env!("MEMTIDE_BUILD_HASH"), 10) {
    Ok(hash) => hash,
    Err(_) => panic!("the build script gives a number"),
};
/// The test takes some ten milliseconds; a machine under load takes its time.
const TEST_LIMIT: Duration = Duration::from_secs(10);

/// The shim for a program, or the reason why it is started without.
pub(crate) type Found = Result<Shim, String>;

/// Finds the shim and tries it.
///
/// A shim that was named by the user and cannot be used is an error; everything else is a reason to go
/// on without.
pub(crate) fn find(options: &Run, program: &Program) -> anyhow::Result<Found> {
    if let Some(refusal) = &program.refusal {
        return Ok(Err(format!("{}: {refusal}", program.runs.display())));
    }
    let from = Locate::from_environment(options.shim.clone(), EMBEDDED);
    let was_named = from.flag.is_some() || from.variable.is_some();
    let tried = Shim::locate(&from).and_then(|shim| try_out(&shim).map(|()| shim));
    match tried {
        Ok(shim) => Ok(Ok(shim)),
        Err(error) if was_named => Err(error.into()),
        Err(error) => Ok(Err(format!("{:#}", anyhow::Error::new(error)))),
    }
}

fn try_out(shim: &Shim) -> Result<(), memtide_launch::Error> {
    let own = std::env::current_exe().unwrap_or_else(|_| "/proc/self/exe".into());
    let test = SelfTest {
        program: own.into_os_string(),
        arguments: vec!["hello".into()],
        build_hash: BUILD_HASH,
        limit: TEST_LIMIT,
    };
    self_test(shim, &test)
}
