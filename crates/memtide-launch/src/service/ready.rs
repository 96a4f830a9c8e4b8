//! When a service can take its load.

use super::http::{Url, connect};
use crate::error::{Error, ErrorKind};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

/// A look takes at most so long.
const LOOK: Duration = Duration::from_millis(200);
const FORMS: &str = "write it as tcp:PORT, http://HOST:PORT/PATH, file:PATH, or seconds as 5s";

/// What tells that a service can take its load.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ready {
    /// `tcp:PORT`: something listens on this port of this machine, on 127.0.0.1 or `::1`.
    Tcp(u16),
    /// `http:URL` or `http://…`: a GET is answered with a status from 200 to 399.
    Http(String),
    /// `file:PATH`: there is such a file, socket or folder.
    File(PathBuf),
    /// `5s` or `5`: so long after the start.
    After(Duration),
}

impl Ready {
    /// Reads what `--ready` says.
    ///
    /// # Errors
    /// [`ErrorKind::Service`], with the forms that there are.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let refuse = |why: String| Error::new(ErrorKind::Service, format!("{why}; {FORMS}"));
        let (form, rest) = text.split_once(':').unwrap_or(("", text));
        match form {
            "tcp" => match rest.parse() {
                Ok(port) if port > 0 => Ok(Self::Tcp(port)),
                _ => Err(refuse(format!("{rest:?} is no port of 1 to 65535"))),
            },
            "http" => {
                let url = if rest.starts_with("//") { text } else { rest };
                let checked = Url::parse(url).map(|_| Self::Http(url.to_owned()));
                checked.map_err(refuse)
            }
            "https" => Err(refuse(format!("{text:?}: TLS is not spoken here"))),
            "file" if !rest.is_empty() => Ok(Self::File(rest.into())),
            "" => seconds(rest)
                .map(Self::After)
                .ok_or_else(|| refuse(format!("{text:?} says not when a service is ready"))),
            _ => Err(refuse(format!("{text:?} says not when a service is ready"))),
        }
    }

    /// One look, of 200 ms at most (and as long as a name takes to be resolved, where a URL has one).
    pub fn is_ready(&self, since_start: Duration) -> bool {
        match self {
            Self::Tcp(port) => {
                let port = *port;
                let local = [
                    SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
                    SocketAddr::from((Ipv6Addr::LOCALHOST, port)),
                ];
                connect(local, LOOK).is_some()
            }
            Self::Http(url) => {
                let status = Url::parse(url).ok().and_then(|url| url.status(LOOK));
                status.is_some_and(|status| (200..400).contains(&status))
            }
            // A link that leads nowhere is not yet a file.
            Self::File(path) => path.exists(),
            Self::After(span) => since_start >= *span,
        }
    }

    /// Why a look would be answered by somebody else, asked before the start; `None` where nobody answers.
    pub fn taken_before(&self) -> Option<String> {
        if matches!(self, Self::After(_)) || !self.is_ready(Duration::ZERO) {
            return None;
        }
        Some(match self {
            Self::Tcp(port) => format!(
                "port {port} is taken before the program is started; end what listens there (`ss -ltnp \
                 'sport = :{port}'` says who), or take another port"
            ),
            Self::Http(url) => format!(
                "{url} answers before the program is started; end what answers there (`ss -ltnp` says \
                 who listens), or take another port"
            ),
            Self::File(path) => format!(
                "{} is there before the program is started; remove it, or name a file that the program \
                 makes when it is ready",
                path.display()
            ),
            Self::After(_) => return None,
        })
    }
}

/// `5`, `2.5` or what humantime reads.
fn seconds(text: &str) -> Option<Duration> {
    let plain = text.parse().ok().map(Duration::try_from_secs_f64);
    plain.map_or_else(|| humantime::parse_duration(text).ok(), Result::ok)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;
    use std::thread;
    use std::time::Instant;

    fn parsed(text: &str) -> Ready {
        Ready::parse(text).unwrap()
    }

    #[test]
    fn every_form_is_read() {
        assert_eq!(parsed("tcp:6379"), Ready::Tcp(6379));
        let http = Ready::Http("http://localhost:8000/up".into());
        assert_eq!(parsed("http://localhost:8000/up"), http);
        assert_eq!(parsed("http:http://localhost:8000/up"), http);
        assert_eq!(parsed("file:/run/x:y"), Ready::File("/run/x:y".into()));
        assert_eq!(parsed("5"), Ready::After(Duration::from_secs(5)));
        assert_eq!(parsed("2.5"), Ready::After(Duration::from_millis(2500)));
        assert_eq!(parsed("1m 30s"), Ready::After(Duration::from_secs(90)));
    }

    #[test]
    fn what_is_not_understood_is_refused_with_the_forms() {
        let wrong = [
            "",
            "tcp",
            "tcp:",
            "tcp:0",
            "tcp:65536",
            "udp:53",
            "file:",
            "-1",
            "inf",
            "nan",
            "5 bananas",
            "https://a/",
            "http:",
            "http:a",
        ];
        for text in wrong {
            let error = Ready::parse(text).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Service, "{text}");
            assert!(error.to_string().ends_with(FORMS), "{text}: {error}");
        }
    }

    #[test]
    fn a_port_is_ready_when_somebody_listens_and_taken_before() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let Ok(listener) = TcpListener::bind(address) else {
                eprintln!("{address} cannot be had here");
                continue;
            };
            let port = listener.local_addr().unwrap().port();
            let ready = Ready::Tcp(port);
            assert!(ready.is_ready(Duration::ZERO), "{address}");
            let taken = ready.taken_before().unwrap();
            assert!(taken.contains(&port.to_string()), "{taken}");
            drop(listener);
            assert!(!ready.is_ready(Duration::from_secs(9)), "{address}");
            assert_eq!(ready.taken_before(), None);
        }
    }

    /// Answers one request with these bytes.
    fn answering(answer: &'static [u8]) -> Ready {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let _ = stream.read(&mut [0; 512]);
            stream.write_all(answer).unwrap();
            // An answer that does not come: the connection stays open.
            let _ = stream.read(&mut [0; 1]);
        });
        Ready::Http(format!("http://127.0.0.1:{port}/health"))
    }

    #[test]
    fn a_status_below_400_is_ready() {
        for (answer, is_ready) in [
            (&b"HTTP/1.1 200 OK\r\n\r\n"[..], true),
            (b"HTTP/1.0 204 No Content\r\n\r\n", true),
            (b"HTTP/1.1 302 Found\r\n\r\n", true),
            (b"HTTP/1.1 404 Not Found\r\n\r\n", false),
            (b"HTTP/1.1 503 x\r\n\r\n", false),
            (b"SSH-2.0-OpenSSH_9.2\r\n", false),
            (b"HTTP/1.1 abc\r\n", false),
        ] {
            let text = String::from_utf8_lossy(answer);
            assert_eq!(
                answering(answer).is_ready(Duration::ZERO),
                is_ready,
                "{text}"
            );
        }
    }

    #[test]
    fn a_look_at_one_who_says_nothing_is_short() {
        let ready = answering(b"HTTP");
        let started = Instant::now();
        assert!(!ready.is_ready(Duration::ZERO));
        let took = started.elapsed();
        assert!(
            (Duration::from_millis(150)..Duration::from_secs(2)).contains(&took),
            "{took:?}"
        );
    }

    #[test]
    fn files_and_seconds() {
        let dir = tempfile::tempdir().unwrap();
        let ready = Ready::File(dir.path().join("up"));
        assert!(!ready.is_ready(Duration::from_secs(99)));
        assert_eq!(ready.taken_before(), None);
        std::fs::write(dir.path().join("up"), "").unwrap();
        assert!(ready.is_ready(Duration::ZERO));
        assert!(ready.taken_before().unwrap().contains("remove it"));
        let after = Ready::After(Duration::from_secs(2));
        assert!(!after.is_ready(Duration::from_millis(1999)));
        assert!(after.is_ready(Duration::from_secs(2)));
        assert_eq!(Ready::After(Duration::ZERO).taken_before(), None);
    }
}
