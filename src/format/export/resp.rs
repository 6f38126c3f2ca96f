//! Commands that rebuild a key, as clients send them: what `redis-cli --pipe` takes.
//!
//! Times are absolute. What no command can set is lost: how long a key had not been used, when a consumer was last seen, and entries
//! that are pending but deleted.

use super::Exported;
use crate::base::num::format_score;
use crate::resp::write_command;
use crate::value::stream::{Group, StreamId};
use crate::value::{Element, Hash, Stream, Value};

/// Elements of a command.
const MOST_ELEMENTS: usize = 256;
/// A command with so many bytes of elements takes no more of them.
const ENOUGH_BYTES: usize = 64 << 10;

/// Appends SELECT.
pub fn select(out: &mut Vec<u8>, db: u32) {
    write_command(out, &["SELECT", &db.to_string()]);
}

/// Appends the commands that rebuild a key in the database that is selected.
pub fn key(out: &mut Vec<u8>, exported: &Exported<'_>) {
    let Exported { key, value, expire_at_ms, .. } = *exported;
    match value {
        Value::Str(string) => {
            let text = string.element().to_vec();
            write_command(out, &[&b"SET"[..], key, &text]);
        }
        Value::List(list) => grouped(out, b"RPUSH", key, list.iter().map(|element| element.to_vec()), 1),
        Value::Set(set) => grouped(out, b"SADD", key, set.iter().map(|member| member.to_vec()), 1),
        Value::Hash(hash) => self::hash(out, key, hash),
        Value::ZSet(zset) => {
            let pairs = zset.iter().flat_map(|(member, score)| [score_text(score), member.to_vec()]);
            grouped(out, b"ZADD", key, pairs, 2);
        }
        Value::Stream(stream) => self::stream(out, key, stream),
    }
    if let Some(at_ms) = expire_at_ms {
        write_command(out, &[&b"PEXPIREAT"[..], key, number(at_ms).as_bytes()]);
    }
}

fn number(number: impl itoa::Integer) -> String {
    itoa::Buffer::new().format(number).to_owned()
}

fn score_text(score: f64) -> Vec<u8> {
    let mut text = Vec::new();
    format_score(&mut text, score);
    text
}

/// Commands of `name`, the key, and elements of which `together` must not be parted.
fn grouped(
    out: &mut Vec<u8>,
    name: &[u8],
    key: &[u8],
    elements: impl Iterator<Item = Vec<u8>>,
    together: usize,
) {
    let (mut words, mut bytes) = (vec![name.to_vec(), key.to_vec()], 0);
    for element in elements {
        let count = words.len() - 2;
        if count.is_multiple_of(together) && (count >= MOST_ELEMENTS || bytes >= ENOUGH_BYTES) {
            write_command(out, &words);
            words.truncate(2);
            bytes = 0;
        }
        bytes += element.len();
        words.push(element);
    }
    if words.len() > 2 {
        write_command(out, &words);
    }
}

fn hash(out: &mut Vec<u8>, key: &[u8], hash: &Hash) {
    let pairs = hash.iter().flat_map(|(field, value)| [field.to_vec(), value.to_vec()]);
    grouped(out, b"HSET", key, pairs, 2);
    for (field, _, time) in hash.iter_timed() {
        if let Some(at_ms) = time {
            let field = field.to_vec();
            write_command(out, &[&b"HPEXPIREAT"[..], key, number(at_ms).as_bytes(), b"FIELDS", b"1", &field]);
        }
    }
}

/// A name for a group that is there for a moment only; no group can be called so if it is not the stream's own.
const MOMENTARY: &[u8] = b"outrigger-export";

fn stream(out: &mut Vec<u8>, key: &[u8], stream: &Stream) {
    let entries = stream.entries();
    if entries.is_empty() {
        write_command(out, &[&b"XGROUP"[..], b"CREATE", key, MOMENTARY, b"0", b"MKSTREAM"]);
        write_command(out, &[&b"XGROUP"[..], b"DESTROY", key, MOMENTARY]);
    }
    for entry in entries.range(StreamId::MIN, StreamId::MAX) {
        let mut words = vec![b"XADD".to_vec(), key.to_vec(), entry.id.text().as_ref().to_vec()];
        let text = |element: Element<'_>| element.to_vec();
        entry.fields().for_each(|(name, value)| words.extend([text(name), text(value)]));
        write_command(out, &words);
    }
    write_command(
        out,
        &[
            &b"XSETID"[..],
            key,
            entries.last_id.text().as_ref(),
            b"ENTRIESADDED",
            number(entries.added).as_bytes(),
            b"MAXDELETEDID",
            entries.max_deleted_id.text().as_ref(),
        ],
    );
    stream.groups().for_each(|(name, group)| self::group(out, key, name, group));
}

fn group(out: &mut Vec<u8>, key: &[u8], name: &[u8], group: &Group) {
    let last_id = group.last_id.text();
    let read = group.entries_read.map(number);
    let mut words: Vec<&[u8]> = vec![b"XGROUP", b"CREATE", key, name, last_id.as_ref()];
    if let Some(read) = &read {
        words.extend([&b"ENTRIESREAD"[..], read.as_bytes()]);
    }
    write_command(out, &words);
    for consumer in group.consumers() {
        write_command(out, &[&b"XGROUP"[..], b"CREATECONSUMER", key, name, consumer.name()]);
    }
    for (id, pending) in group.pending() {
        write_command(
            out,
            &[
                &b"XCLAIM"[..],
                key,
                name,
                group.consumer(pending.consumer).name(),
                b"0",
                id.text().as_ref(),
                b"TIME",
                number(pending.delivered_ms).as_bytes(),
                b"RETRYCOUNT",
                number(pending.deliveries).as_bytes(),
                b"FORCE",
                b"JUSTID",
            ],
        );
    }
}
