//! The proc connector: a netlink multicast of every fork, exec, name and exit of the machine.
//!
//! It needs the first pid namespace and, on older kernels, `CAP_NET_ADMIN` (6.18 answers any user): from inside another namespace the kernel neither answers
//! nor translates numbers, so that is refused before anything is sent. Losses are gaps in the numbers of
//! messages, which each processor counts; so is `ENOBUFS`, which is not counted twice.
//!
//! Times are of `CLOCK_MONOTONIC` and are moved to `CLOCK_BOOTTIME` by what lies between the two when they are read.
//! Of an exec the message has no name: it is read from /proc while the process lives.

mod message;

use crate::error::Error;
use crate::event::{Change, Comm};
use crate::order::Record;
use memtide_model::{Nanos, Pid};
use memtide_proc::clock;
use memtide_proc::parse::stat;
use memtide_proc::{Buffer, ProcRoot};
use message::{Message, Place};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::io::Errno;
use rustix::net::netlink::{CONNECTOR, SocketAddrNetlink};
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, bind, recv, send, socket_with,
    sockopt,
};
use std::collections::HashMap;

/// The multicast group of the proc connector (`CN_IDX_PROC`).
const GROUP: u32 = 1;
/// Room for messages in bytes; one takes about 800 with the kernel's own part.
const ROOM: usize = 64 << 20;
/// How long the kernel may take to answer the request; it answers within the call.
const ANSWER_WITHIN: Timespec = Timespec {
    tv_sec: 1,
    tv_nsec: 0,
};
/// Inode of the first pid namespace, a constant of the kernel (`PROC_PID_INIT_INO`).
const FIRST_NAMESPACE: &str = "pid:[4026531836]";

/// An open connector.
#[derive(Debug)]
pub(crate) struct Connector {
    socket: OwnedFd,
    buffer: Vec<u8>,
    /// The last number of each processor.
    sequences: HashMap<u32, u32>,
    lost: u64,
    proc: ProcRoot,
    page: Buffer,
}

/// Why the connector cannot be had from here, if that can be told without trying.
pub(crate) fn outside_of_first_namespace() -> Option<String> {
    let here = std::fs::read_link("/proc/self/ns/pid").ok()?;
    let here = here.to_string_lossy();
    (here != FIRST_NAMESPACE).then(|| {
        "the proc connector speaks of the host's pids and answers nobody in another pid namespace: run \
         memtide on the host, or in the container with --pid=host"
            .to_owned()
    })
}

impl Connector {
    /// Listens. The kernel has confirmed it when this returns.
    pub(crate) fn open() -> Result<Self, Error> {
        if let Some(reason) = outside_of_first_namespace() {
            return Err(Error::refused(reason));
        }
        let socket = socket_with(
            AddressFamily::NETLINK,
            SocketType::DGRAM,
            SocketFlags::CLOEXEC | SocketFlags::NONBLOCK,
            Some(CONNECTOR),
        )
        .map_err(|errno| Error::system("a socket of the proc connector", errno))?;
        bind(&socket, &SocketAddrNetlink::new(0, GROUP)).map_err(refused)?;
        // Without CAP_NET_ADMIN the second is cut to net.core.rmem_max.
        if sockopt::set_socket_recv_buffer_size_force(&socket, ROOM).is_err() {
            let _ = sockopt::set_socket_recv_buffer_size(&socket, ROOM);
        }
        send(&socket, &message::listen(), SendFlags::empty()).map_err(refused)?;
        let mut connector = Self {
            socket,
            buffer: vec![0; 64 << 10],
            sequences: HashMap::new(),
            lost: 0,
            proc: ProcRoot::system().map_err(|error| Error::system("/proc", error))?,
            page: Buffer::new(),
        };
        connector.confirm()?;
        Ok(connector)
    }

    /// Waits for the kernel's answer. What comes before it is of no use: nobody has asked yet.
    fn confirm(&mut self) -> Result<(), Error> {
        loop {
            let mut ready = [PollFd::new(&self.socket, PollFlags::IN)];
            let count = poll(&mut ready, Some(&ANSWER_WITHIN));
            if !matches!(count, Ok(1..)) {
                return Err(Error::refused(
                    "the kernel does not answer on the proc connector: it was built without \
                     CONFIG_PROC_EVENTS, or this is a namespace of its own"
                        .to_owned(),
                ));
            }
            if let Some(Message::Answer { errno, .. }) = self.next()? {
                let errno = i32::try_from(errno).unwrap_or(0);
                return match errno {
                    0 => Ok(()),
                    _ => Err(refused(Errno::from_raw_os_error(errno))),
                };
            }
        }
    }

    /// The next message; `None` when there is none at the moment, or it is none of ours.
    fn next(&mut self) -> Result<Option<Message>, Error> {
        match recv(&self.socket, &mut self.buffer[..], RecvFlags::empty()) {
            Ok((count, _)) => Ok(message::parse(self.buffer.get(..count).unwrap_or_default())),
            Err(errno) => Err(Error::system("reading the proc connector", errno)),
        }
    }

    /// Hands over all that has come.
    pub(crate) fn read(&mut self, mut each: impl FnMut(Record)) {
        let ahead = boottime_ahead();
        loop {
            match recv(&self.socket, &mut self.buffer[..], RecvFlags::empty()) {
                Ok((count, _)) => {
                    let message = message::parse(self.buffer.get(..count).unwrap_or_default());
                    if let Some(record) = self.take(message, ahead) {
                        each(record);
                    }
                }
                // Some found no room: the numbers will say how many.
                Err(Errno::NOBUFS | Errno::INTR) => {}
                Err(_) => return,
            }
        }
    }

    fn take(&mut self, message: Option<Message>, ahead: Nanos) -> Option<Record> {
        let (place, record) = match message? {
            Message::Answer { place, .. } => (place, None),
            Message::Event { place, record } => (Some(place), record),
        };
        if let Some(Place {
            processor,
            sequence,
        }) = place
            && let Some(last) = self.sequences.insert(processor, sequence)
        {
            self.lost += u64::from(sequence.wrapping_sub(last).wrapping_sub(1));
        }
        let mut record = record?;
        record.event.at += ahead;
        if let Change::Exec { comm } = &mut record.event.change {
            *comm = self.name_of(record.event.pid, record.event.at);
        }
        Some(record)
    }

    /// The name of the process now, if it is the one that ran at `at`.
    fn name_of(&mut self, pid: Pid, at: Nanos) -> Option<Comm> {
        let process = self.proc.process(pid).ok()?;
        let stat = stat::parse(process.read("stat", &mut self.page).ok()?).ok()?;
        let started = crate::snapshot::moment(stat.starttime);
        (started <= at).then(|| Comm::new(stat.comm))
    }

    /// Messages that found no room.
    pub(crate) const fn lost(&self) -> u64 {
        self.lost
    }

    /// Readable when there is a message.
    pub(crate) fn ready(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// By how much `CLOCK_BOOTTIME` is ahead of `CLOCK_MONOTONIC`: the time that was spent suspended. We may be put aside
/// between two readings, so the tightest of a few counts.
fn boottime_ahead() -> Nanos {
    const TRIES: usize = 5;
    let once = |_| {
        let before = clock::monotonic();
        let ahead = clock::boottime() - before;
        (clock::monotonic() - before, ahead)
    };
    let tightest = (0..TRIES).map(once).min();
    tightest.map_or(Nanos(0), |(_, ahead)| ahead)
}

fn refused(errno: Errno) -> Error {
    match errno {
        Errno::PERM | Errno::ACCESS => Error::refused(
            "the proc connector needs CAP_NET_ADMIN: run memtide as root, or \
             `sudo setcap cap_net_admin+ep $(command -v memtide)`"
                .to_owned(),
        ),
        _ => Error::refused(format!("the kernel refuses the proc connector: {errno}")),
    }
}
