//! What a program used, as the kernel counted it until its end.

use std::time::Duration;

/// CPU time and page faults of a program and of the children that it waited for, from its start to its end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// User and system time, to the microsecond.
    pub cpu: Duration,
    /// Faults that needed no input or output.
    pub minor_faults: u64,
    /// Faults that did.
    pub major_faults: u64,
}
