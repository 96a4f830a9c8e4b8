//! The least of HTTP that tells whether a service answers: one GET of RFC 9112, and the number in the first
//! line of the answer. No TLS, no redirections, no proxies.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs as _};
use std::time::{Duration, Instant};

/// `HTTP/1.1 200`: more of the answer is not read.
const STATUS_LINE: usize = 12;

/// Where to ask, and for what.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Url<'a> {
    /// Host and port as they stand in the URL, for the header.
    authority: &'a str,
    host: &'a str,
    port: u16,
    path: &'a str,
}

impl<'a> Url<'a> {
    /// `http://HOST[:PORT][/PATH]`; the error says what is wrong with it.
    pub(super) fn parse(text: &'a str) -> Result<Self, String> {
        let Some(rest) = text.strip_prefix("http://") else {
            return Err(format!("{text:?} does not begin with http://"));
        };
        let rest = rest.split('#').next().unwrap_or_default();
        let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        if text.contains(|c: char| c.is_ascii_control() || c == ' ') || authority.contains('@') {
            return Err(format!("{text:?} is no URL that can be asked"));
        }
        // A colon within the brackets of an IPv6 address begins no port.
        let colon = authority
            .rfind(':')
            .filter(|&at| !authority[at..].contains(']'));
        let (host, port) = authority.split_at(colon.unwrap_or(authority.len()));
        let port = match port.strip_prefix(':') {
            None => Ok(80),
            Some(port) => port
                .parse()
                .map_err(|_| format!("{port:?} in {text:?} is no port")),
        }?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        if host.is_empty() {
            return Err(format!("{text:?} names no host"));
        }
        Ok(Self {
            authority,
            host,
            port,
            path,
        })
    }

    /// The status of the answer to one GET, if it comes in this time.
    pub(super) fn status(&self, limit: Duration) -> Option<u16> {
        let started = Instant::now();
        let addresses = (self.host, self.port).to_socket_addrs().ok()?;
        let mut stream = connect(addresses, limit)?;
        let slash = if self.path.starts_with('/') { "" } else { "/" };
        let request = format!(
            "GET {slash}{} HTTP/1.1\r\nHost: {}\r\nUser-Agent: memtide\r\nConnection: close\r\n\r\n",
            self.path, self.authority
        );
        let mut line = Vec::new();
        stream.set_write_timeout(left(started, limit)).ok()?;
        stream.write_all(request.as_bytes()).ok()?;
        while line.len() < STATUS_LINE {
            let mut part = [0; STATUS_LINE];
            stream.set_read_timeout(Some(left(started, limit)?)).ok()?;
            match stream.read(&mut part).ok()? {
                0 => return None,
                count => line.extend(part.iter().take(count)),
            }
        }
        let line = line.strip_prefix(b"HTTP/1.")?;
        std::str::from_utf8(line.get(2..5)?).ok()?.parse().ok()
    }
}

/// What is left of the time; `None` once it is over.
fn left(started: Instant, limit: Duration) -> Option<Duration> {
    let left = limit.saturating_sub(started.elapsed());
    (!left.is_zero()).then_some(left)
}

/// A connection to the first of these that takes one, all within this time.
pub(super) fn connect(
    addresses: impl IntoIterator<Item = SocketAddr>,
    limit: Duration,
) -> Option<TcpStream> {
    let started = Instant::now();
    addresses
        .into_iter()
        .find_map(|address| TcpStream::connect_timeout(&address, left(started, limit)?).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_taken_apart() {
        let of = |text| {
            let url = Url::parse(text).unwrap();
            (url.host.to_owned(), url.port, url.path.to_owned())
        };
        let expect = |host: &str, port, path: &str| (host.to_owned(), port, path.to_owned());
        assert_eq!(of("http://localhost"), expect("localhost", 80, ""));
        assert_eq!(
            of("http://127.0.0.1:8080/up?a=1#x"),
            expect("127.0.0.1", 8080, "/up?a=1")
        );
        assert_eq!(of("http://[::1]:99?q"), expect("::1", 99, "?q"));
        assert_eq!(of("http://[::1]/"), expect("::1", 80, "/"));
    }

    #[test]
    fn what_cannot_be_asked_is_said() {
        for text in [
            "https://a/",
            "http://",
            "http://:80/",
            "http://a:x/",
            "http://a:70000/",
        ] {
            assert!(Url::parse(text).unwrap_err().contains(':'), "{text}");
        }
        assert!(Url::parse("http://a/\r\nX: y").is_err());
        assert!(Url::parse("http://me@a/").is_err());
    }
}
