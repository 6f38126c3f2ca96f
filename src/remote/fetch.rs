//! Keys read from a running server: values by DUMP, many in one go, decoded by the decoder that loads files.

use super::client::Connection;
use super::error::RemoteError;
use super::state::{KeyState, as_ref, key_text};
use crate::base::time::{Clock, SystemClock};
use crate::format::rdb::ReadOptions;
use crate::format::rdb::dump::decode;
use crate::resp::RespValue;
use crate::value::Value;

/// Keys asked for before replies are read. Requests must fit into the sockets' buffers: the server may wait for its
/// replies to be read before it reads on.
pub const FETCHED_AT_ONCE: usize = 256;
/// Bytes of keys asked for before replies are read, for the same reason.
const FETCHED_BYTES: usize = 32 << 10;
/// Keys that SCAN is asked for at once.
const SCANNED_AT_ONCE: &str = "512";

/// A key's value and time.
pub struct Fetched {
    /// The value.
    pub value: Value,
    /// When it expires, in ms of Unix time.
    pub expire_at_ms: Option<i64>,
}

impl Fetched {
    /// What it is at this time.
    pub fn state(&self, now_ms: i64) -> Option<KeyState> {
        KeyState::of(as_ref(&self.value), self.expire_at_ms, now_ms)
    }
}

/// The time as a server sees it.
#[derive(Debug, Clone, Copy)]
pub struct ServerClock {
    clock: SystemClock,
    ahead_ms: i64,
}

impl ServerClock {
    /// Asks a server for the time.
    pub fn of(connection: &mut Connection) -> Result<ServerClock, RemoteError> {
        let clock = SystemClock::new();
        let reply = connection.call(&["TIME"])?;
        let number = |part: &RespValue| std::str::from_utf8(part.as_bytes()?).ok()?.parse::<i64>().ok();
        let parts: Vec<i64> = reply.as_slice().unwrap_or_default().iter().filter_map(number).collect();
        let [seconds, micros] = parts.as_slice() else { return Err(connection.unexpected("TIME", &reply)) };
        let theirs = seconds.saturating_mul(1000).saturating_add(micros / 1000);
        Ok(ServerClock { clock, ahead_ms: theirs.saturating_sub(own_ms(&clock)) })
    }

    /// This machine's own time.
    pub fn own() -> ServerClock {
        ServerClock { clock: SystemClock::new(), ahead_ms: 0 }
    }

    /// Now, in ms of Unix time.
    pub fn now_ms(&self) -> i64 {
        own_ms(&self.clock).saturating_add(self.ahead_ms)
    }
}

fn own_ms(clock: &SystemClock) -> i64 {
    i64::try_from(clock.unix_ms()).unwrap_or(i64::MAX)
}

/// Reads keys of the selected database. `take` gets each with its index; `None` if it is not there.
pub fn fetch<K: AsRef<[u8]>>(
    connection: &mut Connection,
    db: u32,
    keys: &[K],
    take: &mut dyn FnMut(usize, Option<Fetched>),
) -> Result<(), RemoteError> {
    let mut next = 0;
    while next < keys.len() {
        let first = next;
        let mut bytes = 0;
        while let Some(key) = keys.get(next).map(AsRef::as_ref) {
            if next > first && (next - first == FETCHED_AT_ONCE || bytes + key.len() > FETCHED_BYTES) {
                break;
            }
            connection.push(&[b"DUMP".as_slice(), key]);
            connection.push(&[b"PEXPIRETIME".as_slice(), key]);
            bytes += 2 * key.len();
            next += 1;
        }
        connection.flush()?;
        for (index, key) in keys.iter().enumerate().take(next).skip(first) {
            let fetched = read_one(connection, db, key.as_ref())?;
            take(index, fetched);
        }
    }
    Ok(())
}

fn read_one(connection: &mut Connection, db: u32, key: &[u8]) -> Result<Option<Fetched>, RemoteError> {
    let payload = connection.read()?;
    let payload = connection.accepted("DUMP", payload)?;
    let time = connection.read()?;
    let time = connection.accepted("PEXPIRETIME", time)?;
    let payload = match &payload {
        RespValue::Bulk(bytes) => bytes,
        RespValue::Null => return Ok(None),
        other => return Err(connection.unexpected("DUMP", other)),
    };
    let expire_at_ms = match time.as_int() {
        // Gone between the two commands.
        Some(-2) => return Ok(None),
        Some(-1) => None,
        Some(at) => Some(at),
        None => return Err(connection.unexpected("PEXPIRETIME", &time)),
    };
    let value = decode(payload, &ReadOptions::default()).map_err(|error| RemoteError::Value {
        server: connection.server().to_owned(),
        db,
        key: key_text(key),
        reason: format!("{error} (a module's value, or a newer release's)"),
    })?;
    Ok(Some(Fetched { value, expire_at_ms }))
}

/// Is shown a batch of keys, and may use the connection.
pub type OnKeys<'t> = &'t mut dyn FnMut(&mut Connection, Vec<Vec<u8>>) -> Result<(), RemoteError>;

/// The keys of the selected database, a batch at a time. A key may come more than once, and one that comes or goes meanwhile may
/// be missing.
pub fn scan(connection: &mut Connection, take: OnKeys<'_>) -> Result<(), RemoteError> {
    let mut cursor = b"0".to_vec();
    loop {
        let count: [&[u8]; 4] = [b"SCAN", &cursor, b"COUNT", SCANNED_AT_ONCE.as_bytes()];
        let reply = connection.call(&count)?;
        let RespValue::Array(parts) = reply else { return Err(connection.unexpected("SCAN", &reply)) };
        let mut parts = parts.into_iter();
        let (Some(RespValue::Bulk(next)), Some(RespValue::Array(keys))) = (parts.next(), parts.next()) else {
            return Err(connection.unexpected("SCAN", &RespValue::Null));
        };
        let bulk = |key| if let RespValue::Bulk(key) = key { Some(key) } else { None };
        take(connection, keys.into_iter().filter_map(bulk).collect())?;
        if next == b"0" {
            return Ok(());
        }
        cursor = next;
    }
}
