//! DEBUG PROTOCOL: a value of each type of the protocol, for authors of clients.

use crate::resp::reply::Reply;
use crate::server::commands::Call;
use crate::server::dispatch::Next;

const TYPES: &str = "string|integer|double|bignum|null|array|set|map|attrib|push|verbatim|true|false";

/// Values that clients' tests know by heart; they are those of Redis.
mod samples {
    pub const TEXT: &str = "Hello World";
    pub const INTEGER: i64 = 12345;
    #[allow(clippy::approx_constant, reason = "it is not meant to be pi")]
    pub const DOUBLE: f64 = 3.141;
    pub const BIG_NUMBER: &str = "1234567999999999999999999999999999999";
    pub const VERBATIM: &str = "This is a verbatim\nstring";
    pub const BEHIND_ATTRIBUTE: &str = "Some real reply following the attribute";
    pub const BEHIND_PUSH: &str = "Some real reply following the push reply";
}

pub(super) fn example(call: &mut Call<'_, '_>) -> Next {
    let word = call.args[2].to_ascii_lowercase();
    let resp3 = call.session.resp3;
    let mut reply = call.reply();
    match word.as_slice() {
        b"string" => reply.bulk(samples::TEXT),
        b"integer" => reply.int(samples::INTEGER),
        b"double" => reply.double(samples::DOUBLE),
        b"bignum" => reply.big_number(samples::BIG_NUMBER),
        b"null" => reply.null(),
        b"array" => {
            reply.array(3);
            (0..3).for_each(|n| reply.int(n));
        }
        b"set" => {
            reply.set(3);
            (0..3).for_each(|n| reply.int(n));
        }
        b"map" => {
            reply.map(3);
            (0..3).for_each(|n| {
                reply.int(n);
                reply.bool(n == 1);
            });
        }
        b"attrib" => attribute(&mut reply),
        b"push" if !resp3 => reply.error("ERR RESP2 is not supported by this command"),
        b"push" => {
            reply.push(2);
            reply.bulk("server-cpu-usage");
            reply.int(42);
            reply.bulk(samples::BEHIND_PUSH);
        }
        b"verbatim" => reply.verbatim(b"txt", samples::VERBATIM),
        b"true" => reply.bool(true),
        b"false" => reply.bool(false),
        _ => reply.error(format!("ERR Wrong protocol type name. Please use one of the following: {TYPES}")),
    }
    Next::Continue
}

/// An attribute and the reply that it belongs to; RESP2 knows no attributes.
fn attribute(reply: &mut Reply<'_>) {
    if reply.is_resp3() {
        reply.attribute(1);
        reply.bulk("key-popularity");
        reply.array(2);
        reply.bulk("key:123");
        reply.int(90);
    }
    reply.bulk(samples::BEHIND_ATTRIBUTE);
}
