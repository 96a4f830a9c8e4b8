//! What sockets lead to, by `/proc/PID/net`: the process's own network namespace.
//!
//! A connection that was made from here is known by its other end, one that was accepted by the port
//! that it came to: clients choose their ports at random, and a hundred of them are one group. Accepted
//! is what has a local port on which somebody in this namespace listens, or one below the ports that the
//! kernel hands out while the other end's is among these.
//!
//! The tables of a namespace hold everybody's sockets, so they are read only when the process's own have
//! changed, and every ten seconds because states change by themselves.

use super::Thing;
use memtide_model::text::printable;
use memtide_model::{HeldKind, Nanos};
use memtide_proc::parse::net::{self, InternetSocket, TcpState};
use memtide_proc::{Buffer, ProcessDir};
use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;

/// States are looked up again after this time.
const AGAIN: Nanos = Nanos::from_secs(10);
/// First port that the kernel hands out to clients (`net.ipv4.ip_local_port_range`, its default).
const FIRST_HANDED_OUT: u16 = 32_768;

/// The tables of Internet sockets and what they hold.
const TABLES: [(&str, HeldKind); 4] = [
    ("net/tcp", HeldKind::Tcp),
    ("net/tcp6", HeldKind::Tcp),
    ("net/udp", HeldKind::Udp),
    ("net/udp6", HeldKind::Udp),
];

/// The process's sockets by their inodes, as of the last look.
#[derive(Debug, Default)]
pub(super) struct Sockets {
    known: HashMap<u64, Thing>,
    asked: HashSet<u64>,
    looked: Option<Nanos>,
}

impl Sockets {
    /// Brings what is known up to date with the sockets that the process has now. A namespace that
    /// cannot be read leaves them without a name.
    pub(super) fn update(
        &mut self,
        inodes: &[u64],
        now: Nanos,
        process: &ProcessDir,
        buffer: &mut Buffer,
    ) {
        let is_fresh = self.looked.is_some_and(|looked| now - looked < AGAIN);
        let is_same = inodes.len() == self.asked.len()
            && inodes.iter().all(|inode| self.asked.contains(inode));
        if inodes.is_empty() || is_fresh && is_same {
            return;
        }
        self.asked = inodes.iter().copied().collect();
        self.looked = Some(now);
        self.known.clear();
        let mut internet = Vec::new();
        let mut listening = HashSet::new();
        for (file, kind) in TABLES {
            // A kernel without version 6 has no table of it.
            let Ok(bytes) = process.read(file, buffer) else {
                continue;
            };
            let _ = net::parse_internet(file, bytes, |socket| {
                if kind == HeldKind::Tcp && socket.state == TcpState::LISTEN {
                    listening.insert(socket.local.port());
                }
                if self.asked.contains(&socket.inode) {
                    internet.push((kind, socket));
                }
            });
        }
        for (kind, socket) in internet {
            self.known
                .insert(socket.inode, of_internet(kind, &socket, &listening));
        }
        self.add_unix(process, buffer);
    }

    fn add_unix(&mut self, process: &ProcessDir, buffer: &mut Buffer) {
        let Ok(bytes) = process.read("net/unix", buffer) else {
            return;
        };
        let Self { known, asked, .. } = self;
        let _ = net::parse_unix(bytes, |socket| {
            if asked.contains(&socket.inode) {
                let thing = Thing::named(HeldKind::Unix, printable(socket.path));
                known.insert(socket.inode, thing);
            }
        });
    }

    /// What a socket leads to.
    pub(super) fn thing(&self, inode: u64) -> Thing {
        let other = || Thing::named(HeldKind::Socket, "");
        self.known.get(&inode).cloned().unwrap_or_else(other)
    }
}

/// An address as it is read: one of version 4 stays one on a socket of version 6.
fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

fn of_internet(kind: HeldKind, socket: &InternetSocket, listening: &HashSet<u16>) -> Thing {
    let (local, remote) = (canonical(socket.local), canonical(socket.remote));
    let is_handed_out = |port| port >= FIRST_HANDED_OUT;
    let accepted = kind == HeldKind::Tcp
        && (listening.contains(&local.port())
            || !is_handed_out(local.port()) && is_handed_out(remote.port()));
    let name = if socket.state == TcpState::LISTEN || remote.port() == 0 {
        local.to_string()
    } else if accepted {
        format!("accepted on port {}", local.port())
    } else {
        remote.to_string()
    };
    let state = if kind == HeldKind::Tcp {
        socket.state.name()
    } else {
        ""
    };
    Thing {
        state,
        ..Thing::named(kind, name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_is_known_by_the_end_that_means_something() {
        use HeldKind::{Tcp, Udp};
        let name = |kind, local: &str, remote: &str, state| {
            let socket = InternetSocket {
                local: local.parse().unwrap(),
                remote: remote.parse().unwrap(),
                state: TcpState(state),
                uid: 0,
                inode: 1,
            };
            let thing = of_internet(kind, &socket, &HashSet::from([40_000]));
            format!("{} {}", thing.name, thing.state)
        };
        for (kind, local, remote, state, said) in [
            (
                Tcp,
                "10.0.0.1:51000",
                "10.0.0.5:5432",
                8,
                "10.0.0.5:5432 CLOSE_WAIT",
            ),
            (
                Tcp,
                "10.0.0.1:8080",
                "10.0.0.9:51000",
                1,
                "accepted on port 8080 ESTABLISHED",
            ),
            (
                Tcp,
                "[::ffff:10.0.0.1]:40000",
                "[::ffff:10.0.0.9]:51000",
                1,
                "accepted on port 40000 ESTABLISHED",
            ),
            (
                Tcp,
                "[::ffff:10.0.0.1]:51000",
                "[::ffff:10.0.0.9]:40001",
                1,
                "10.0.0.9:40001 ESTABLISHED",
            ),
            (Tcp, "0.0.0.0:80", "0.0.0.0:0", 10, "0.0.0.0:80 LISTEN"),
            (Udp, "0.0.0.0:53", "0.0.0.0:0", 7, "0.0.0.0:53 "),
            (
                Udp,
                "10.0.0.1:51000",
                "[2001:db8::1]:53",
                1,
                "[2001:db8::1]:53 ",
            ),
        ] {
            assert_eq!(name(kind, local, remote, state), said);
        }
    }
}
