//! One JSON object a line for each key.
//!
//! `{"db":0,"key":…,"type":"hash","expire_at_ms":…,"value":…}`; `expire_at_ms` only where there is a time. A text that is UTF-8 is
//! a JSON string; other bytes are `{"base64":"…"}`. Values: a string's text; an array of texts for lists and sets; arrays of
//! `[field, value]` or `[field, value, expire_at_ms]` for hashes and of `[member, score]` for sorted sets, with the scores
//! `"inf"` and `"-inf"` as strings; for streams an object of entries, figures and groups.

use super::Exported;
use crate::base::num::format_score;
use crate::value::stream::{Group, StreamId};
use crate::value::{Element, Hash, Stream, Value, ZSet};

/// Appends a key's line.
pub fn key(out: &mut Vec<u8>, exported: &Exported<'_>) {
    out.extend_from_slice(b"{\"db\":");
    number(out, exported.db);
    out.extend_from_slice(b",\"key\":");
    text(out, exported.key);
    out.extend_from_slice(b",\"type\":\"");
    out.extend_from_slice(exported.value.type_name().as_bytes());
    out.push(b'"');
    if let Some(at_ms) = exported.expire_at_ms {
        out.extend_from_slice(b",\"expire_at_ms\":");
        number(out, at_ms);
    }
    out.extend_from_slice(b",\"value\":");
    match exported.value {
        Value::Str(string) => element(out, string.element()),
        Value::List(list) => array(out, list.iter(), element),
        Value::Set(set) => array(out, set.iter(), element),
        Value::Hash(hash) => self::hash(out, hash),
        Value::ZSet(zset) => self::zset(out, zset),
        Value::Stream(stream) => self::stream(out, stream),
    }
    out.extend_from_slice(b"}\n");
}

fn number(out: &mut Vec<u8>, number: impl itoa::Integer) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

fn element(out: &mut Vec<u8>, element: Element<'_>) {
    text(out, element.as_bytes(&mut itoa::Buffer::new()));
}

/// A string, or an object where the bytes are none.
fn text(out: &mut Vec<u8>, bytes: &[u8]) {
    match std::str::from_utf8(bytes) {
        Ok(text) => string(out, text),
        Err(_) => {
            out.extend_from_slice(b"{\"base64\":\"");
            base64(out, bytes);
            out.extend_from_slice(b"\"}");
        }
    }
}

fn string(out: &mut Vec<u8>, text: &str) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    out.push(b'"');
    for byte in text.bytes() {
        match byte {
            b'"' | b'\\' => out.extend([b'\\', byte]),
            b'\n' => out.extend(b"\\n"),
            b'\r' => out.extend(b"\\r"),
            b'\t' => out.extend(b"\\t"),
            0..0x20 | 0x7f => {
                out.extend(b"\\u00");
                out.extend([HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
            }
            _ => out.push(byte),
        }
    }
    out.push(b'"');
}

/// RFC 4648, with padding.
fn base64(out: &mut Vec<u8>, bytes: &[u8]) {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for three in bytes.chunks(3) {
        let at = |index: usize| u32::from(three.get(index).copied().unwrap_or(0));
        let bits = at(0) << 16 | at(1) << 8 | at(2);
        for place in 0..4 {
            match place <= three.len() {
                true => out.push(DIGITS[(bits >> (18 - 6 * place) & 63) as usize]),
                false => out.push(b'='),
            }
        }
    }
}

fn array<T>(out: &mut Vec<u8>, items: impl Iterator<Item = T>, mut put: impl FnMut(&mut Vec<u8>, T)) {
    out.push(b'[');
    for (index, item) in items.enumerate() {
        if index > 0 {
            out.push(b',');
        }
        put(out, item);
    }
    out.push(b']');
}

fn hash(out: &mut Vec<u8>, hash: &Hash) {
    array(out, hash.iter_timed(), |out, (field, value, time)| {
        out.push(b'[');
        element(out, field);
        out.push(b',');
        element(out, value);
        if let Some(at_ms) = time {
            out.push(b',');
            number(out, at_ms);
        }
        out.push(b']');
    });
}

fn zset(out: &mut Vec<u8>, zset: &ZSet) {
    array(out, zset.iter(), |out, (member, score)| {
        out.push(b'[');
        element(out, member);
        out.push(b',');
        let quote = if score.is_finite() { &b""[..] } else { b"\"" };
        out.extend_from_slice(quote);
        format_score(out, score);
        out.extend_from_slice(quote);
        out.push(b']');
    });
}

fn id(out: &mut Vec<u8>, id: StreamId) {
    out.push(b'"');
    out.extend_from_slice(id.text().as_ref());
    out.push(b'"');
}

fn stream(out: &mut Vec<u8>, stream: &Stream) {
    let entries = stream.entries();
    out.extend_from_slice(b"{\"entries\":");
    array(out, entries.range(StreamId::MIN, StreamId::MAX), |out, entry| {
        out.push(b'[');
        id(out, entry.id);
        out.push(b',');
        array(out, entry.fields().flat_map(|(name, value)| [name, value]), element);
        out.push(b']');
    });
    for (name, value) in [
        ("last_id", entries.last_id),
        ("first_id", entries.first_id),
        ("max_deleted_id", entries.max_deleted_id),
    ] {
        out.extend_from_slice(format!(",\"{name}\":").as_bytes());
        id(out, value);
    }
    out.extend_from_slice(b",\"entries_added\":");
    number(out, entries.added);
    out.extend_from_slice(b",\"groups\":");
    array(out, stream.groups(), |out, (name, group)| self::group(out, name, group));
    out.push(b'}');
}

fn group(out: &mut Vec<u8>, name: &[u8], group: &Group) {
    out.extend_from_slice(b"{\"name\":");
    text(out, name);
    out.extend_from_slice(b",\"last_id\":");
    id(out, group.last_id);
    if let Some(read) = group.entries_read {
        out.extend_from_slice(b",\"entries_read\":");
        number(out, read);
    }
    out.extend_from_slice(b",\"consumers\":");
    array(out, group.consumers(), |out, consumer| text(out, consumer.name()));
    // Of each: id, consumer, time of delivery, deliveries.
    out.extend_from_slice(b",\"pending\":");
    array(out, group.pending().iter(), |out, (pending_id, pending)| {
        out.push(b'[');
        id(out, *pending_id);
        out.push(b',');
        text(out, group.consumer(pending.consumer).name());
        out.push(b',');
        number(out, pending.delivered_ms);
        out.push(b',');
        number(out, pending.deliveries);
        out.push(b']');
    });
    out.push(b'}');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_strings_or_base64() {
        let shown = |bytes: &[u8]| {
            let mut out = Vec::new();
            text(&mut out, bytes);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(shown("a \"b\" \\ é\n\x01\x7f".as_bytes()), "\"a \\\"b\\\" \\\\ é\\n\\u0001\\u007f\"");
        assert_eq!(shown(b"\xff"), "{\"base64\":\"/w==\"}");
        assert_eq!(shown(b"\xff\xfe"), "{\"base64\":\"//4=\"}");
        assert_eq!(shown(b"\xff\xfe\xfd\xfc"), "{\"base64\":\"//79/A==\"}");
    }
}
