//! The commands that make a key on a server as it is here.
//!
//! Strings go by SET, which costs a server less than RESTORE; all else by RESTORE, as DUMP's payload. A collection so large
//! that one command would hold the server up goes in pieces to a key beside it, which is then renamed: so nobody ever sees a
//! part of it, and what an interruption leaves is removed when the unit is sent again.

use super::client::Connection;
use super::error::RemoteError;
use super::state::{key_hash, key_text};
use crate::base::num::format_score;
use crate::format::rdb::dump::Encoder;
use crate::keyspace::{Entry, ValueRef, capture};
use crate::value::{Element, Value};

/// What is done about a key that is there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Existing {
    /// The load is refused, unless the key is the same.
    Refuse,
    /// It stays as it is.
    Skip,
    /// It is overwritten.
    Replace,
}

/// The longest value sent as one command, in bytes, about.
const WHOLE_MAX_BYTES: usize = 4 << 20;
/// The longest payload that servers take (`proto-max-bulk-len`), in bytes.
const PAYLOAD_MAX_BYTES: usize = 512 << 20;
/// Elements and bytes in a piece.
const PIECE_ELEMENTS: usize = 512;
const PIECE_BYTES: usize = 512 << 10;

/// How a command is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// With anything but an error.
    Accepted,
    /// It makes the key: OK or 1, or what says that the key is there already.
    Made,
}

/// Is told of each command that was added, and may send what has been gathered.
type OnSent<'s> = &'s mut dyn FnMut(&mut Connection, Answer) -> Result<(), RemoteError>;

/// Adds the commands that make a key.
pub fn make(
    connection: &mut Connection,
    encoder: &mut Encoder,
    entry: &Entry,
    existing: Existing,
    sent: OnSent<'_>,
) -> Result<(), RemoteError> {
    let mut digits = (itoa::Buffer::new(), itoa::Buffer::new());
    let at = entry.expire_at_ms();
    match entry.value() {
        ValueRef::Int(int) => {
            set(connection, entry.key(), digits.1.format(int).as_bytes(), at, existing);
            sent(connection, Answer::Made)?;
        }
        ValueRef::Bytes(bytes) => {
            set(connection, entry.key(), bytes, at, existing);
            sent(connection, Answer::Made)?;
        }
        ValueRef::Object(value) if is_huge(entry) => pieces(connection, entry, value, existing, sent)?,
        ValueRef::Object(value) => {
            let payload = encoder.encode(value);
            if payload.len() > PAYLOAD_MAX_BYTES {
                return Err(connection.unfit(format!(
                    "the {} \"{}\" is a payload of {} bytes, more than servers take at once (512 MiB)",
                    payload_kind(entry),
                    key_text(entry.key()),
                    payload.len()
                )));
            }
            let time = digits.0.format(at.unwrap_or(0)).as_bytes();
            let args: [&[u8]; 6] = [b"RESTORE", entry.key(), time, payload, b"ABSTTL", b"REPLACE"];
            connection.push(if existing == Existing::Replace { &args } else { &args[..5] });
            sent(connection, Answer::Made)?;
        }
    }
    Ok(())
}

/// Adds the command that makes a string.
pub fn set(connection: &mut Connection, key: &[u8], value: &[u8], at: Option<i64>, existing: Existing) {
    let mut digits = itoa::Buffer::new();
    let new = existing != Existing::Replace;
    match (at.map(|at| digits.format(at).as_bytes()), new) {
        (None, true) => connection.push(&[b"SET", key, value, b"NX"]),
        (None, false) => connection.push(&[b"SET", key, value]),
        (Some(at), true) => connection.push(&[b"SET", key, value, b"PXAT", at, b"NX"]),
        (Some(at), false) => connection.push(&[b"SET", key, value, b"PXAT", at]),
    }
}

fn payload_kind(entry: &Entry) -> &'static str {
    match entry.value() {
        ValueRef::Object(value) => value.type_name(),
        _ => "string",
    }
}

/// Whether a value goes in pieces.
pub fn is_huge(entry: &Entry) -> bool {
    const SAMPLES: usize = 64;
    let ValueRef::Object(value) = entry.value() else { return false };
    let in_pieces = matches!(value, Value::List(_) | Value::Set(_) | Value::ZSet(_) | Value::Hash(_));
    in_pieces && capture::is_heavy(entry) && value.memory_bytes(SAMPLES) > WHOLE_MAX_BYTES
}

/// The key beside a key, for its pieces.
pub fn beside(key: &[u8]) -> Vec<u8> {
    format!("outrigger-restoring:{:016x}:{}", key_hash(key), key.len()).into_bytes()
}

fn pieces(
    connection: &mut Connection,
    entry: &Entry,
    value: &Value,
    existing: Existing,
    sent: OnSent<'_>,
) -> Result<(), RemoteError> {
    let key = beside(entry.key());
    connection.push(&[b"DEL", key.as_slice()]);
    sent(connection, Answer::Accepted)?;
    let mut digits = itoa::Buffer::new();
    let mut own = |element: Element<'_>| element.as_bytes(&mut digits).to_vec();
    let name: &[u8] = match value {
        Value::List(_) => b"RPUSH",
        Value::Set(_) => b"SADD",
        Value::ZSet(_) => b"ZADD",
        _ => b"HSET",
    };
    let mut piece = Piece { name, key: &key, args: Vec::new(), elements: 0, bytes: 0 };
    match value {
        Value::List(list) => {
            list.iter().try_for_each(|element| piece.add(connection, [own(element)], sent))?;
        }
        Value::Set(set) => {
            set.iter().try_for_each(|member| piece.add(connection, [own(member)], sent))?;
        }
        Value::ZSet(zset) => zset.iter().try_for_each(|(member, score)| {
            let mut text = Vec::new();
            format_score(&mut text, score);
            piece.add(connection, [text, own(member)], sent)
        })?,
        Value::Hash(hash) => {
            for (field, value, _) in hash.iter_timed() {
                piece.add(connection, [own(field), own(value)], sent)?;
            }
            piece.send(connection, sent)?;
            for (field, at) in hash.iter_timed().filter_map(|(field, _, time)| Some((field, time?))) {
                let (field, at) = (own(field), at.to_string());
                connection.push(&[b"HPEXPIREAT", key.as_slice(), at.as_bytes(), b"FIELDS", b"1", &field]);
                sent(connection, Answer::Accepted)?;
            }
        }
        Value::Str(_) | Value::Stream(_) => {}
    }
    piece.send(connection, sent)?;
    if let Some(at) = entry.expire_at_ms() {
        connection.push(&[b"PEXPIREAT", key.as_slice(), at.to_string().as_bytes()]);
        sent(connection, Answer::Accepted)?;
    }
    let rename: &[u8] = if existing == Existing::Replace { b"RENAME" } else { b"RENAMENX" };
    connection.push(&[rename, &key, entry.key()]);
    sent(connection, Answer::Made)
}

/// A command that is being filled.
struct Piece<'k> {
    name: &'static [u8],
    key: &'k [u8],
    args: Vec<Vec<u8>>,
    elements: usize,
    bytes: usize,
}

impl Piece<'_> {
    fn add<const N: usize>(
        &mut self,
        connection: &mut Connection,
        args: [Vec<u8>; N],
        sent: OnSent<'_>,
    ) -> Result<(), RemoteError> {
        self.elements += 1;
        self.bytes += args.iter().map(Vec::len).sum::<usize>();
        self.args.extend(args);
        if self.elements >= PIECE_ELEMENTS || self.bytes >= PIECE_BYTES {
            return self.send(connection, sent);
        }
        Ok(())
    }

    fn send(&mut self, connection: &mut Connection, sent: OnSent<'_>) -> Result<(), RemoteError> {
        if self.args.is_empty() {
            return Ok(());
        }
        let args: Vec<&[u8]> =
            [self.name, self.key].into_iter().chain(self.args.iter().map(Vec::as_slice)).collect();
        connection.push(&args);
        self.args.clear();
        (self.elements, self.bytes) = (0, 0);
        sent(connection, Answer::Accepted)
    }
}
