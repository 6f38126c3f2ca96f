//! HELLO: the protocol, and with it perhaps a password and a name.

use super::Call;
use super::client::checked_name;
use super::connection::{WRONG_PASSWORD, authenticate, set_resp3};
use crate::base::num::parse_i64;
use crate::command::error::quoting;
use crate::server::REDIS_VERSION;
use crate::server::dispatch::Next;
use crate::server::gate::bits;

/// What the words after the version ask for.
#[derive(Default)]
struct Options<'a> {
    auth: Option<(&'a [u8], &'a [u8])>,
    name: Option<&'a [u8]>,
}

fn options<'a>(words: &[&'a [u8]]) -> Result<Options<'a>, Vec<u8>> {
    let mut options = Options::default();
    let mut rest = words;
    while let Some((word, after)) = rest.split_first() {
        if word.eq_ignore_ascii_case(b"auth")
            && let [user, password, after @ ..] = after
        {
            options.auth = Some((user, password));
            rest = after;
        } else if word.eq_ignore_ascii_case(b"setname")
            && let [name, after @ ..] = after
        {
            options.name = Some(name);
            rest = after;
        } else {
            return Err(quoting("ERR Syntax error in HELLO option '", word, "'"));
        }
    }
    Ok(options)
}

/// HELLO [protover [AUTH user password] [SETNAME name]].
pub(super) fn hello(call: &mut Call<'_, '_>) -> Next {
    let (version, words) = match call.args {
        [_, version, words @ ..] => match parse_i64(version) {
            None => return call.error("ERR Protocol version is not an integer or out of range"),
            Some(2) => (Some(false), words),
            Some(3) => (Some(true), words),
            Some(_) => return call.error("NOPROTO unsupported protocol version"),
        },
        _ => (None, &[][..]),
    };
    let options = match options(words) {
        Ok(options) => options,
        Err(text) => return call.error(text),
    };
    let name = match options.name.map(checked_name).transpose() {
        Ok(name) => name,
        Err(text) => return call.error(text),
    };
    if let Some((user, password)) = options.auth
        && !authenticate(call, user, password)
    {
        return call.error(WRONG_PASSWORD);
    }
    if !call.session.authenticated && call.node.gate.has(bits::PASSWORD) {
        return call.error(
            "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH \
             <user> <pass> option can be used to authenticate the client and select the RESP protocol version at \
             the same time",
        );
    }
    if let Some(name) = name {
        call.session.info.labels.lock().name = name;
    }
    if let Some(resp3) = version {
        set_resp3(call, resp3);
    }
    greet(call)
}

fn greet(call: &mut Call<'_, '_>) -> Next {
    let (id, resp3) = (call.session.info.id, call.session.resp3);
    let role = if call.node.is_replica() { "replica" } else { "master" };
    let mut reply = call.reply();
    reply.map(7);
    for (key, value) in [("server", "redis"), ("version", REDIS_VERSION)] {
        reply.bulk(key);
        reply.bulk(value);
    }
    for (key, value) in [("proto", if resp3 { 3 } else { 2 }), ("id", id as i64)] {
        reply.bulk(key);
        reply.int(value);
    }
    for (key, value) in [("mode", "standalone"), ("role", role)] {
        reply.bulk(key);
        reply.bulk(value);
    }
    reply.bulk("modules");
    reply.array(0);
    Next::Continue
}
