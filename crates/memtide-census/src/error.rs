//! What can go wrong as a whole; what concerns one process or one table is absent or counted instead.

/// A failure of a census. The message is one lowercase fragment.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// /proc itself cannot be read.
    #[error(transparent)]
    Proc(#[from] memtide_proc::Error),
    /// A port that is none.
    #[error(
        "\"{text}\" is no port of {protocol}: {protocol}: and a number from 1 to 65535 is one, as in {protocol}:8080"
    )]
    Port {
        /// The protocol that it begins with.
        protocol: String,
        /// What was given.
        text: String,
    },
    /// A file that is not there.
    #[error(
        "\"{text}\" is no file or directory that can be seen: give a path, or tcp:PORT or udp:PORT"
    )]
    NoSuchFile {
        /// What was given.
        text: String,
        /// Why it cannot be seen.
        #[source]
        source: std::io::Error,
    },
}
