//! One end of a connection.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

/// One end of a connection, as clients are shown and told apart by it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoint {
    /// An address and port.
    Tcp(SocketAddr),
    /// The Unix socket at this path; both ends are the same.
    Unix(Arc<str>),
}

impl Endpoint {
    /// Is it on this machine for certain?
    pub fn is_local(&self) -> bool {
        match self {
            Endpoint::Tcp(addr) => addr.ip().to_canonical().is_loopback(),
            Endpoint::Unix(_) => true,
        }
    }

    /// The address without the port.
    pub fn host(&self) -> String {
        match self {
            Endpoint::Tcp(addr) => addr.ip().to_string(),
            Endpoint::Unix(path) => path.to_string(),
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Endpoint::Tcp(addr) => addr.fmt(f),
            // Where TCP has a port.
            Endpoint::Unix(path) => write!(f, "{path}:0"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_local() {
        let tcp = |text: &str| Endpoint::Tcp(text.parse().unwrap());
        for local in [tcp("127.0.0.1:7"), tcp("127.3.2.1:7"), tcp("[::1]:7"), tcp("[::ffff:127.0.0.1]:7")] {
            assert!(local.is_local(), "{local}");
        }
        for remote in [tcp("10.0.0.1:7"), tcp("[::ffff:10.0.0.1]:7"), tcp("[fe80::1]:7"), tcp("0.0.0.0:7")] {
            assert!(!remote.is_local(), "{remote}");
        }
        let unix = Endpoint::Unix("/run/o.sock".into());
        assert!(unix.is_local());
        assert_eq!((unix.to_string(), unix.host()), ("/run/o.sock:0".into(), "/run/o.sock".into()));
    }
}
