//! Sockets of a network namespace: `net/tcp`, `net/tcp6`, `net/udp`, `net/udp6`, `net/raw`, `net/raw6`
//! and `net/unix` (proc(5), `proc_pid_net(5)`); the inodes of `net/netlink` and `net/packet`.
//!
//! An address is printed as the words of its network-order bytes, each as a number of this machine's
//! byte order; the port as a plain number. `socket:[INODE]` of a descriptor is the inode in a line.

use super::scan;
use crate::error::Error;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// A socket of the Internet families.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InternetSocket {
    /// Its own end.
    pub local: SocketAddr,
    /// The other end; all zeros where there is none.
    pub remote: SocketAddr,
    /// Its state. Of UDP and raw sockets 1 means connected, 7 not.
    pub state: TcpState,
    /// Who made it.
    pub uid: u32,
    /// What links of descriptors name; 0 of one that no descriptor holds any more.
    pub inode: u64,
}

impl InternetSocket {
    /// The other end, where there is one.
    pub fn peer(&self) -> Option<SocketAddr> {
        let none = self.remote.port() == 0 && self.remote.ip().is_unspecified();
        (!none).then_some(self.remote)
    }
}

/// A state of TCP by the kernel's number (`include/net/tcp_states.h`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TcpState(pub u8);

impl TcpState {
    /// It waits for connections.
    pub const LISTEN: Self = Self(10);

    /// Its name as ss(8) and netstat(8) know it; "UNKNOWN" of a number without a name.
    pub const fn name(self) -> &'static str {
        match self.0 {
            1 => "ESTABLISHED",
            2 => "SYN_SENT",
            3 => "SYN_RECV",
            4 => "FIN_WAIT1",
            5 => "FIN_WAIT2",
            6 => "TIME_WAIT",
            7 => "CLOSE",
            8 => "CLOSE_WAIT",
            9 => "LAST_ACK",
            10 => "LISTEN",
            11 => "CLOSING",
            12 => "NEW_SYN_RECV",
            13 => "BOUND_INACTIVE",
            _ => "UNKNOWN",
        }
    }
}

/// A socket of the Unix family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnixSocket<'a> {
    /// What links of descriptors name.
    pub inode: u64,
    /// `SOCK_STREAM` is 1, `SOCK_DGRAM` 2, `SOCK_SEQPACKET` 5.
    pub kind: u16,
    /// True of one that listens (`__SO_ACCEPTCON`).
    pub listens: bool,
    /// Path, any bytes; `@` and the name of an abstract one; empty of an unnamed one. A newline in it
    /// breaks the line, and what follows it is lost.
    pub path: &'a [u8],
}

/// `__SO_ACCEPTCON` (`include/linux/net.h`).
const ACCEPTS: u64 = 1 << 16;

/// Calls `each` with every socket of `net/tcp` and its like; `file` names it in errors.
///
/// # Errors
/// A line that is no socket, or is not ended; those before it were handed out already.
pub fn parse_internet(
    file: &'static str,
    bytes: &[u8],
    mut each: impl FnMut(InternetSocket),
) -> Result<(), Error> {
    for (number, line) in scan::some_lines(file, bytes)?.skip(1) {
        let socket = internet(line).ok_or(Error::malformed(file, number, "no socket"))?;
        each(socket);
    }
    Ok(())
}

/// `sl local rem st tx:rx tr:when retrnsmt uid timeout inode …`
fn internet(line: &[u8]) -> Option<InternetSocket> {
    let mut words = scan::words(line).skip(1);
    let local = address(words.next()?)?;
    let remote = address(words.next()?)?;
    let (state, _) = scan::hexadecimal(words.next()?)?;
    let mut words = words.skip(3);
    let uid = scan::number_u32(words.next()?)?;
    let inode = scan::number(words.nth(1)?)?;
    Some(InternetSocket {
        local,
        remote,
        state: TcpState(u8::try_from(state).ok()?),
        uid,
        inode,
    })
}

/// `0100007F:1F90`: 8 or 32 digits, a colon, the port.
fn address(text: &[u8]) -> Option<SocketAddr> {
    let (digits, port) = scan::key_value(text)?;
    let (port, rest) = scan::hexadecimal(port)?;
    let port = u16::try_from(port).ok().filter(|_| rest.is_empty())?;
    let word = |at: usize| -> Option<[u8; 4]> {
        let (value, rest) = scan::hexadecimal(digits.get(at..at + 8)?)?;
        let value = u32::try_from(value).ok().filter(|_| rest.is_empty())?;
        Some(value.to_ne_bytes())
    };
    let address = match digits.len() {
        8 => IpAddr::V4(Ipv4Addr::from(word(0)?)),
        32 => {
            let mut octets = [0; 16];
            for (octets, at) in octets.chunks_exact_mut(4).zip([0, 8, 16, 24]) {
                octets.copy_from_slice(&word(at)?);
            }
            IpAddr::V6(Ipv6Addr::from(octets))
        }
        _ => return None,
    };
    Some(SocketAddr::new(address, port))
}

/// Calls `each` with every socket of `net/unix`. What is no socket is passed over: a path may hold a
/// newline, and the rest of it looks like a line of its own.
///
/// # Errors
/// A file that is empty.
pub fn parse_unix<'a>(bytes: &'a [u8], mut each: impl FnMut(UnixSocket<'a>)) -> Result<(), Error> {
    for (_, line) in scan::some_lines("net/unix", bytes)?.skip(1) {
        if let Some(socket) = unix(line) {
            each(socket);
        }
    }
    Ok(())
}

/// `Num RefCount Protocol Flags Type St Inode Path`: the path follows one blank, blanks are part of it.
fn unix(line: &[u8]) -> Option<UnixSocket<'_>> {
    let mut words = scan::words(line);
    let number = words.next()?.strip_suffix(b":")?;
    scan::hexadecimal(number).filter(|(_, rest)| rest.is_empty())?;
    let (flags, _) = scan::hexadecimal(words.nth(2)?)?;
    let (kind, _) = scan::hexadecimal(words.next()?)?;
    let inode = words.nth(1)?;
    // Where the word lies in the line, its path begins behind it.
    let after = inode.as_ptr() as usize - line.as_ptr() as usize + inode.len();
    Some(UnixSocket {
        inode: scan::number(inode)?,
        kind: u16::try_from(kind).ok()?,
        listens: flags & ACCEPTS != 0,
        path: line.get(after + 1..).unwrap_or_default(),
    })
}

/// Calls `each` with the column `Inode` of `net/netlink` or `net/packet`; `file` names it in errors.
///
/// # Errors
/// No such column, a row without a number in it, a file that is empty or cut off.
pub fn parse_inodes(
    file: &'static str,
    bytes: &[u8],
    mut each: impl FnMut(u64),
) -> Result<(), Error> {
    let mut lines = scan::some_lines(file, bytes)?;
    let column = lines
        .next()
        .and_then(|(_, line)| scan::words(line).position(|word| word == b"Inode"))
        .ok_or(Error::malformed(file, 1, "no column of inodes"))?;
    for (number, line) in lines {
        let inode = scan::words(line).nth(column).and_then(scan::number);
        each(inode.ok_or(Error::malformed(file, number, "no inode"))?);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TCP: &[u8] = b"  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
        \x20  0: 0100007F:1F90 0500000A:1538 08 00000000:00000000 00:00000000 00000000  1000        0 1081 1 00000000b89c85a1 20 4 30 10 -1\n";

    #[cfg(target_endian = "little")]
    #[test]
    fn a_socket_has_two_ends_a_state_and_an_inode() {
        let mut found = Vec::new();
        parse_internet("net/tcp", TCP, |socket| found.push(socket)).unwrap();
        let [socket] = found[..] else {
            panic!("one socket: {found:?}")
        };
        assert_eq!(socket.local.to_string(), "127.0.0.1:8080");
        assert_eq!(socket.remote.to_string(), "10.0.0.5:5432");
        assert_eq!(socket.state.name(), "CLOSE_WAIT");
        assert_eq!((socket.uid, socket.inode), (1000, 1081));
    }

    #[cfg(target_endian = "little")]
    #[test]
    fn addresses_of_version_6_are_four_words() {
        let loopback = address(b"00000000000000000000000001000000:0016").unwrap();
        assert_eq!(loopback.to_string(), "[::1]:22");
        let mapped = address(b"0000000000000000FFFF00000100007F:0016").unwrap();
        assert_eq!(mapped.to_string(), "[::ffff:127.0.0.1]:22");
        for wrong in [
            &b"0100007F"[..],
            b"0100007F:",
            b"0100007:16",
            b"0100007F:10000",
        ] {
            assert_eq!(address(wrong), None, "{}", wrong.escape_ascii());
        }
    }

    #[test]
    fn paths_of_unix_sockets_are_any_bytes() {
        let text = b"Num       RefCount Protocol Flags    Type St Inode Path\n\
            0000000008183eb3: 00000002 00000000 00010000 0001 01 77 /run/a b\n\
            0000000008183eb4: 00000003 00000000 00000000 0002 03 78\n\
            0000000008183eb5: 00000002 00000000 00010000 0005 01 79 @x\nrest of it\n";
        let mut found = Vec::new();
        parse_unix(text, |socket| found.push(socket)).unwrap();
        let paths: Vec<_> = found.iter().map(|s| (s.inode, s.listens, s.path)).collect();
        assert_eq!(
            paths,
            [
                (77, true, &b"/run/a b"[..]),
                (78, false, b""),
                (79, true, b"@x")
            ]
        );
        assert_eq!(found[2].kind, 5);
    }

    #[test]
    fn what_is_cut_off_or_no_socket_is_refused() {
        let mut cut = TCP.to_vec();
        cut.pop();
        assert!(parse_internet("net/tcp", &cut, |_| ()).is_err());
        assert!(parse_internet("net/tcp", b"", |_| ()).is_err());
        assert!(parse_internet("net/tcp", b"sl\n0: zz\n", |_| ()).is_err());
        assert!(parse_internet("net/tcp", b"sl\n", |_| ()).is_ok());
    }

    #[test]
    fn inodes_stand_where_the_header_says() {
        let text = b"sk               Eth Pid        Groups   Rmem     Wmem     Dump  Locks    Drops    Inode\n\
            0000000092ec4f90 0   0          00000000 0        0        0     2        0        1234\n";
        let mut inodes = Vec::new();
        parse_inodes("net/netlink", text, |inode| inodes.push(inode)).unwrap();
        assert_eq!(inodes, [1234]);
        for broken in [
            &b"a b\n"[..],
            b"a Inode\n1\n",
            b"Inode\nx\n",
            b"Inode\n1",
            b"",
        ] {
            assert!(parse_inodes("net/netlink", broken, |_| ()).is_err());
        }
    }
}
