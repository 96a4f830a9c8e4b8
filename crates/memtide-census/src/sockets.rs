//! Sockets by their inodes: the tables of one network namespace, read through a process that is in it.
//!
//! The tables are long on servers, and most sockets are of two kinds: they are read one after the
//! other, and only until all inodes that are looked for were found.

use memtide_model::{HeldTarget, text};
use memtide_proc::parse::net::{self, InternetSocket};
use memtide_proc::{Buffer, Error, ProcessDir};
use std::collections::{HashMap, HashSet};

/// A table of a kind: its file, and what its sockets are called.
enum Table {
    Unix,
    Internet(&'static str, &'static str),
    InodeOnly(&'static str, &'static str),
}

/// All tables, those first that hold most sockets.
const TABLES: [Table; 11] = [
    Table::Unix,
    Table::Internet("net/tcp", "tcp"),
    Table::Internet("net/tcp6", "tcp6"),
    Table::Internet("net/udp", "udp"),
    Table::Internet("net/udp6", "udp6"),
    Table::InodeOnly("net/netlink", "netlink"),
    Table::InodeOnly("net/packet", "packet"),
    Table::Internet("net/raw", "raw"),
    Table::Internet("net/raw6", "raw6"),
    Table::Internet("net/icmp", "icmp"),
    Table::Internet("net/icmp6", "icmp6"),
];

/// What the sockets with the inodes in `wanted` are, as far as the tables of the namespace of `process` tell.
///
/// # Errors
/// Where the process has ended; tables that this kernel does not have are passed over.
pub(crate) fn look_up(
    process: &ProcessDir,
    wanted: &HashSet<u64>,
    buffer: &mut Buffer,
) -> Result<HashMap<u64, HeldTarget>, Error> {
    let mut found = HashMap::new();
    for table in &TABLES {
        if found.len() == wanted.len() {
            break;
        }
        match read(table, process, wanted, buffer, &mut found) {
            Err(error) if error.is_gone() => return Err(error),
            // What the rows before a broken one told is told already.
            Ok(()) | Err(_) => {}
        }
    }
    Ok(found)
}

fn read(
    table: &Table,
    process: &ProcessDir,
    wanted: &HashSet<u64>,
    buffer: &mut Buffer,
    found: &mut HashMap<u64, HeldTarget>,
) -> Result<(), Error> {
    match *table {
        Table::Unix => net::parse_unix(process.read("net/unix", buffer)?, |socket| {
            if wanted.contains(&socket.inode) {
                let path = (!socket.path.is_empty()).then(|| text::printable(socket.path));
                // A path with a newline may forge a row for another's inode; the true row is its own.
                found
                    .entry(socket.inode)
                    .or_insert(HeldTarget::Unix { path });
            }
        }),
        Table::Internet(file, protocol) => {
            net::parse_internet(file, process.read(file, buffer)?, |socket| {
                if wanted.contains(&socket.inode) {
                    found.insert(socket.inode, internet(protocol, &socket));
                }
            })
        }
        Table::InodeOnly(file, protocol) => {
            net::parse_inodes(file, process.read(file, buffer)?, |inode| {
                if wanted.contains(&inode) {
                    found.insert(inode, unconnected(protocol));
                }
            })
        }
    }
}

fn internet(protocol: &str, socket: &InternetSocket) -> HeldTarget {
    HeldTarget::Socket {
        protocol: protocol.to_owned(),
        local: socket.local.to_string(),
        remote: socket.peer().map(|peer| peer.to_string()),
        state: if protocol.starts_with("tcp") {
            socket.state.name().to_owned()
        } else {
            String::new()
        },
    }
}

/// A socket that has no address, or none that the tables tell.
fn unconnected(protocol: &str) -> HeldTarget {
    let state = if protocol.starts_with("tcp") {
        "CLOSE"
    } else {
        ""
    };
    HeldTarget::Socket {
        protocol: protocol.to_owned(),
        local: String::new(),
        remote: None,
        state: state.to_owned(),
    }
}

/// What is known of a socket that is in no table, by the kernel's name of its protocol. A TCP socket that was
/// neither bound nor connected is in none.
pub(crate) fn by_protocol(name: &[u8]) -> HeldTarget {
    let name = text::printable(name).to_ascii_lowercase();
    match name.as_str() {
        "unix" | "unix-stream" | "unix-dgram" => HeldTarget::Unix { path: None },
        "tcpv6" => unconnected("tcp6"),
        "udpv6" => unconnected("udp6"),
        "rawv6" => unconnected("raw6"),
        other => unconnected(other),
    }
}
