//! Where a server is and who asks: `redis://` URLs and paths of sockets.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use thiserror::Error;

/// The port when none is named.
const DEFAULT_PORT: u16 = 6379;

/// What is wrong with the text of a URL. Passwords are not repeated.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum UrlError {
    /// Another scheme.
    #[error(
        "`{0}` is not a server's URL; write redis://[[USER]:PASSWORD@]HOST[:PORT][/DB] or unix:/PATH[?db=DB]"
    )]
    Scheme(String),
    /// Encrypted connections.
    #[error("encrypted connections (rediss://) are not supported; go through a tunnel, or a Unix socket")]
    Encrypted,
    /// No host.
    #[error("the URL names no host")]
    NoHost,
    /// No path.
    #[error("the URL names no socket; write unix:/PATH")]
    NoPath,
    /// Not a port.
    #[error("`{0}` is not a port (1 to 65535)")]
    Port(String),
    /// Not a database.
    #[error("`{0}` is not the number of a database")]
    Database(String),
    /// A word behind the question mark that means nothing here.
    #[error("`{0}` is not known in a URL; only `db=N` may follow the question mark")]
    Query(String),
    /// Wrong percent signs.
    #[error(
        "a percent sign in the URL is not followed by two hexadecimal digits (write %25 for the sign itself)"
    )]
    Percent,
}

/// How to get at a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A host and a port.
    Tcp {
        /// Name or address.
        host: String,
        /// Port.
        port: u16,
    },
    /// A socket in the file system.
    Unix(PathBuf),
}

/// A server, as a URL names it. `Display` leaves user and password out.
#[derive(Clone, PartialEq, Eq)]
pub struct Target {
    /// Where it is.
    pub place: Place,
    /// Who asks; the default user if there is none.
    pub user: Option<String>,
    /// The password.
    pub password: Option<String>,
    /// The database, if the URL names one.
    pub db: Option<u32>,
}

/// Without the password.
impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Target({self})")
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::Tcp { host, port } if host.contains(':') => write!(f, "redis://[{host}]:{port}")?,
            Place::Tcp { host, port } => write!(f, "redis://{host}:{port}")?,
            Place::Unix(path) => {
                write!(f, "unix:{}", path.display())?;
                return self.db.map_or(Ok(()), |db| write!(f, "?db={db}"));
            }
        }
        self.db.map_or(Ok(()), |db| write!(f, "/{db}"))
    }
}

/// True if the text is meant as a server's URL rather than as a path.
pub fn is_url(text: &str) -> bool {
    text.contains("://") || text.starts_with("unix:") || text.starts_with("redis:")
}

impl FromStr for Target {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Target, UrlError> {
        let (scheme, rest) = text.split_once(':').ok_or_else(|| UrlError::Scheme(without_secret(text)))?;
        match scheme.to_ascii_lowercase().as_str() {
            "redis" | "valkey" => {
                tcp(rest.strip_prefix("//").ok_or_else(|| UrlError::Scheme(without_secret(text)))?)
            }
            "unix" | "redis+unix" | "valkey+unix" | "redis-socket" => unix(rest),
            "rediss" | "valkeys" => Err(UrlError::Encrypted),
            _ => Err(UrlError::Scheme(without_secret(text))),
        }
    }
}

/// What may be repeated of a URL that could not be read.
fn without_secret(text: &str) -> String {
    match text.rsplit_once('@') {
        Some((_, behind)) => format!("…@{behind}"),
        None => text.to_owned(),
    }
}

fn tcp(rest: &str) -> Result<Target, UrlError> {
    let (rest, query) = split_query(rest);
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let (who, at) = match authority.rsplit_once('@') {
        Some((who, at)) => (Some(who), at),
        None => (None, authority),
    };
    let (host, port) = match at.strip_prefix('[') {
        Some(bracketed) => {
            let (host, behind) = bracketed.split_once(']').ok_or(UrlError::NoHost)?;
            (host, behind.strip_prefix(':').unwrap_or(behind))
        }
        None => at.split_once(':').unwrap_or((at, "")),
    };
    if host.is_empty() {
        return Err(UrlError::NoHost);
    }
    let port = match port {
        "" => DEFAULT_PORT,
        port => port.parse().ok().filter(|port| *port != 0).ok_or_else(|| UrlError::Port(port.to_owned()))?,
    };
    let db = match path.trim_end_matches('/') {
        "" => query_db(query)?,
        path => Some(path.parse().map_err(|_| UrlError::Database(path.to_owned()))?),
    };
    let (user, password) = credentials(who)?;
    Ok(Target { place: Place::Tcp { host: decoded(host)?, port }, user, password, db })
}

fn unix(rest: &str) -> Result<Target, UrlError> {
    let (rest, query) = split_query(rest);
    // `unix:/path`, `unix:///path` and `redis+unix://:secret@/path`.
    let (who, path) = match rest.strip_prefix("//") {
        Some(behind) => {
            let (authority, _) = behind.split_once('/').unwrap_or((behind, ""));
            let path = behind.get(authority.len()..).unwrap_or_default();
            (authority.strip_suffix('@').filter(|who| !who.is_empty()), path)
        }
        None => (None, rest),
    };
    if path.is_empty() {
        return Err(UrlError::NoPath);
    }
    let (user, password) = credentials(who)?;
    Ok(Target { place: Place::Unix(decoded(path)?.into()), user, password, db: query_db(query)? })
}

fn split_query(text: &str) -> (&str, &str) {
    text.split_once('?').unwrap_or((text, ""))
}

fn query_db(query: &str) -> Result<Option<u32>, UrlError> {
    let mut db = None;
    for word in query.split('&').filter(|word| !word.is_empty()) {
        let number = word.strip_prefix("db=").ok_or_else(|| UrlError::Query(word.to_owned()))?;
        db = Some(number.parse().map_err(|_| UrlError::Database(number.to_owned()))?);
    }
    Ok(db)
}

type Credentials = (Option<String>, Option<String>);

fn credentials(who: Option<&str>) -> Result<Credentials, UrlError> {
    let Some(who) = who else { return Ok((None, None)) };
    let (user, password) = match who.split_once(':') {
        Some((user, password)) => (user, Some(password)),
        None => (who, None),
    };
    let user = Some(decoded(user)?).filter(|user| !user.is_empty());
    Ok((user, password.map(decoded).transpose()?.filter(|password| !password.is_empty())))
}

/// Takes percent signs for what they stand for.
fn decoded(text: &str) -> Result<String, UrlError> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || rest.next().and_then(|digit| char::from(digit).to_digit(16));
        let (Some(high), Some(low)) = (digit(), digit()) else { return Err(UrlError::Percent) };
        bytes.push((high * 16 + low) as u8);
    }
    String::from_utf8(bytes).map_err(|_| UrlError::Percent)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Target {
        text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn hosts_ports_users_and_databases() {
        let plain = parsed("redis://localhost");
        let place = Place::Tcp { host: "localhost".into(), port: 6379 };
        assert_eq!(plain, Target { place, user: None, password: None, db: None });
        let full = parsed("redis://me:p%40ss:w%2Frd@10.0.0.1:7000/3");
        assert_eq!(full.place, Place::Tcp { host: "10.0.0.1".into(), port: 7000 });
        assert_eq!((full.user.as_deref(), full.password.as_deref()), (Some("me"), Some("p@ss:w/rd")));
        assert_eq!((full.db, full.to_string().as_str()), (Some(3), "redis://10.0.0.1:7000/3"));
        assert_eq!(format!("{full:?}"), "Target(redis://10.0.0.1:7000/3)", "no password in messages");
        let anonymous = parsed("redis://:secret@host:1/");
        assert_eq!((anonymous.user, anonymous.password.as_deref()), (None, Some("secret")));
        assert_eq!(parsed("valkey://h?db=4").db, Some(4));
        let six = parsed("redis://[::1]:7001/2");
        assert_eq!(six.place, Place::Tcp { host: "::1".into(), port: 7001 });
        assert_eq!(six.to_string(), "redis://[::1]:7001/2");
    }

    #[test]
    fn sockets() {
        for text in ["unix:/run/o.sock?db=2", "redis+unix:///run/o.sock?db=2", "unix:///run/o.sock?db=2"] {
            let target = parsed(text);
            assert_eq!((&target.place, target.db), (&Place::Unix("/run/o.sock".into()), Some(2)), "{text}");
            assert_eq!(target.to_string(), "unix:/run/o.sock?db=2");
        }
        let known = parsed("redis+unix://:pw@/run/o.sock");
        assert_eq!((known.password.as_deref(), known.db), (Some("pw"), None));
        assert_eq!(parsed("unix:relative.sock").place, Place::Unix("relative.sock".into()));
    }

    #[test]
    fn what_is_wrong_is_told_without_the_password() {
        for (text, told) in [
            ("http://host", "not a server's URL"),
            ("redis:host", "not a server's URL"),
            ("rediss://host", "rediss://"),
            ("redis://", "names no host"),
            ("redis://host:port", "`port` is not a port"),
            ("redis://host:0", "`0` is not a port"),
            ("redis://host/db", "`db` is not the number of a database"),
            ("redis://host?x=1", "`x=1` is not known"),
            ("redis://a%4:b@host", "percent sign"),
            ("unix:", "names no socket"),
            ("ftp://me:hunter2@host", "…@host"),
        ] {
            let error = text.parse::<Target>().expect_err(text).to_string();
            assert!(error.contains(told) && !error.contains("hunter2"), "{text}: {error}");
        }
        assert!(is_url("redis://x") && is_url("unix:/x") && is_url("http://x"));
        assert!(!is_url("/data/folder") && !is_url("dump.rdb") && !is_url("C:data"));
    }
}
