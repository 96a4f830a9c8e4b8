//! This process's own limit of descriptors.

use crate::error::{Error, Subject};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the soft limit of open descriptors to the hard one, so that a descriptor per thread of the
/// target can be kept; returns the limit that holds now (`None`: no limit). Children inherit it:
/// raise it only in a process that starts none, or after they are started.
///
/// # Errors
/// Where the system refuses; the old limit then holds.
pub fn raise_descriptor_limit() -> Result<Option<u64>, Error> {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    setrlimit(Resource::Nofile, raised)
        .map_err(|errno| Error::system("the limit of descriptors", Subject::Machine, errno))?;
    Ok(raised.current)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_soft_limit_becomes_the_hard_one() {
        let raised = raise_descriptor_limit().unwrap();
        let text = std::fs::read("/proc/self/limits").unwrap();
        let limits = crate::parse::limits::parse(&text).unwrap();
        let open_files = limits.open_files.unwrap();
        assert_eq!(open_files.soft, open_files.hard);
        assert_eq!(open_files.soft.value(), raised);
    }
}
