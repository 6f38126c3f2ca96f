//! CLIENT KILL, by address or by filters.

use super::Call;
use crate::base::num::parse_i64;
use crate::command::CommandError;
use crate::command::error::quoting;
use crate::server::Node;
use crate::server::clients::{ClientInfo, ClientKind};
use crate::server::dispatch::Next;
use std::sync::atomic::Ordering;

/// What a TYPE asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Type {
    Of(ClientKind),
    Subscriber,
}

impl Type {
    pub(super) fn fits(self, client: &ClientInfo) -> bool {
        let kind = client.kind();
        self == if kind == ClientKind::Normal && client.is_subscriber() {
            Type::Subscriber
        } else {
            Type::Of(kind)
        }
    }
}

/// The type of this name.
pub(super) fn type_named(name: &[u8]) -> Result<Type, Vec<u8>> {
    match name.to_ascii_lowercase().as_slice() {
        b"normal" => Ok(Type::Of(ClientKind::Normal)),
        b"slave" | b"replica" => Ok(Type::Of(ClientKind::Replica)),
        b"master" => Ok(Type::Of(ClientKind::Primary)),
        b"pubsub" => Ok(Type::Subscriber),
        _ => Err(quoting("ERR Unknown client type '", name, "'")),
    }
}

/// Which clients to end: those that fit everything given.
struct Filter {
    id: Option<u64>,
    addr: Option<String>,
    local_addr: Option<String>,
    kind: Option<Type>,
    user_id: Option<u64>,
    max_age_s: Option<i64>,
    skip_me: bool,
}

impl Filter {
    fn parse(node: &Node, words: &[&[u8]]) -> Result<Filter, Vec<u8>> {
        let mut filter = Filter {
            id: None,
            addr: None,
            local_addr: None,
            kind: None,
            user_id: None,
            max_age_s: None,
            skip_me: true,
        };
        let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
        for pair in words.chunks(2) {
            let [word, value] = pair else { return Err(CommandError::Syntax.to_string().into_bytes()) };
            match word.to_ascii_lowercase().as_slice() {
                b"id" => match parse_i64(value).and_then(|id| u64::try_from(id).ok()) {
                    Some(id) if id > 0 => filter.id = Some(id),
                    _ => return Err("ERR client-id should be greater than 0".into()),
                },
                b"addr" => filter.addr = Some(text(value)),
                b"laddr" => filter.local_addr = Some(text(value)),
                b"type" => filter.kind = Some(type_named(value)?),
                b"user" => match node.acl.get(value) {
                    Some(user) => filter.user_id = Some(user.id),
                    None => return Err(quoting("ERR No such user '", value, "'")),
                },
                b"maxage" => match parse_i64(value) {
                    Some(age) if age > 0 => filter.max_age_s = Some(age),
                    Some(_) => return Err("ERR maxage should be greater than 0".into()),
                    None => return Err(CommandError::NotInteger.to_string().into_bytes()),
                },
                b"skipme" if value.eq_ignore_ascii_case(b"yes") => filter.skip_me = true,
                b"skipme" if value.eq_ignore_ascii_case(b"no") => filter.skip_me = false,
                _ => return Err(CommandError::Syntax.to_string().into_bytes()),
            }
        }
        Ok(filter)
    }

    fn fits(&self, client: &ClientInfo, now_ms: i64) -> bool {
        let age_s = (now_ms - client.connected_at_ms) / 1000;
        self.id.is_none_or(|id| client.id == id)
            && self.addr.as_ref().is_none_or(|addr| *addr == client.addr.to_string())
            && self.local_addr.as_ref().is_none_or(|addr| *addr == client.local_addr.to_string())
            && self.kind.is_none_or(|kind| kind.fits(client))
            && self.user_id.is_none_or(|id| client.user.lock().as_ref().is_some_and(|user| user.id == id))
            && self.max_age_s.is_none_or(|age| age_s >= age)
    }
}

/// CLIENT KILL.
pub(super) fn kill(call: &mut Call<'_, '_>) -> Next {
    match call.args {
        [_, _, addr] => kill_address(call, addr),
        [_, _, words @ ..] => match Filter::parse(call.node, words) {
            Ok(filter) => kill_filtered(call, &filter),
            Err(text) => call.error(text),
        },
        _ => call.error(CommandError::Syntax.to_string().into_bytes()),
    }
}

fn kill_address(call: &mut Call<'_, '_>, addr: &[u8]) -> Next {
    let found = call.node.clients.list().into_iter().find(|it| it.addr.to_string().as_bytes() == addr);
    let Some(client) = found else { return call.error("ERR No such client") };
    call.ok();
    end(call, &client)
}

fn kill_filtered(call: &mut Call<'_, '_>, filter: &Filter) -> Next {
    let (own_id, now_ms) = (call.session.info.id, call.session.now_ms);
    let mut found = call.node.clients.list();
    found.retain(|client| filter.fits(client, now_ms) && !(filter.skip_me && client.id == own_id));
    call.reply().int(found.len() as i64);
    let ends = found.iter().map(|client| end(call, client));
    if ends.fold(false, |close, next| close | matches!(next, Next::Close)) {
        Next::Close
    } else {
        Next::Continue
    }
}

/// Ends a client; this very one gets its reply first.
fn end(call: &Call<'_, '_>, client: &ClientInfo) -> Next {
    client.closing.store(true, Ordering::Relaxed);
    if client.id == call.session.info.id {
        return Next::Close;
    }
    call.node.clients.kill(client);
    Next::Continue
}
