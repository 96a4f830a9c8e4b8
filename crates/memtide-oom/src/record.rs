//! One message of the kernel, wherever it was read.

use memtide_model::Nanos;

/// A message with what its source tells about it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// Number in the kernel's ring, where the source has it: a gap is a lost message.
    pub sequence: Option<u64>,
    /// The kernel's own stamp: time since boot, suspended time left out.
    pub stamp: Option<Nanos>,
    /// Nanoseconds since 1970, where the source has them.
    pub wall_ns: Option<i64>,
    /// Who printed it (`CONFIG_PRINTK_CALLER`): keeps messages of several processors apart.
    pub caller: Option<String>,
    /// The words, as bytes: names of processes are any bytes.
    pub text: Vec<u8>,
}
