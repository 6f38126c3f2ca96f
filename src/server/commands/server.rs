//! TIME, SLOWLOG, LOLWUT, MODULE; and where INFO and DEBUG are found.

use super::{Call, Handler, debug, info};
use crate::base::num::parse_i64;
use crate::base::time::Clock;
use crate::command::CommandError;
use crate::server::REDIS_VERSION;
use crate::server::dispatch::Next;

/// Entries that SLOWLOG GET shows, unless the caller says otherwise.
const SLOWLOG_SHOWN: usize = 10;

pub(super) fn handler(name: &str, sub: &str) -> Option<Handler> {
    Some(match (name, sub) {
        ("info", "") => info::info,
        ("debug", "") => debug::debug,
        ("time", "") => time,
        ("lolwut", "") => lolwut,
        ("module", "list") => list_modules,
        ("slowlog", "get") => slowlog_get,
        ("slowlog", "len") => slowlog_len,
        ("slowlog", "reset") => slowlog_reset,
        _ => return None,
    })
}

fn time(call: &mut Call<'_, '_>) -> Next {
    let now_us = call.node.clock().unix_us();
    let mut reply = call.reply();
    reply.array(2);
    reply.bulk_int((now_us / 1_000_000) as i64);
    reply.bulk_int((now_us % 1_000_000) as i64);
    Next::Continue
}

fn lolwut(call: &mut Call<'_, '_>) -> Next {
    const BOAT: &str = "
                 |\\
                 | \\
                 |  \\
         \\_______|___\\______/
          \\________________/
        ~~~~~\\~~~~~~~~\\~~~~~~~~
     ========== \\======== \\=======>
";
    // There is one picture for every version, but what is asked for must be a number.
    if let [_, word, version, ..] = call.args
        && word.eq_ignore_ascii_case(b"version")
        && parse_i64(version).is_none()
    {
        return call.error(CommandError::NotInteger.to_string());
    }
    call.text(format!(
        "{BOAT}\nTwo hulls keep dry what one would spill. Redis ver. {REDIS_VERSION}, Outrigger {}\n",
        env!("CARGO_PKG_VERSION")
    ))
}

fn list_modules(call: &mut Call<'_, '_>) -> Next {
    call.reply().array(0);
    Next::Continue
}

fn slowlog_get(call: &mut Call<'_, '_>) -> Next {
    let count = match call.args {
        [_, _] => SLOWLOG_SHOWN,
        [_, _, count] => match parse_i64(count) {
            Some(-1) => usize::MAX,
            Some(count) if count >= 0 => count as usize,
            _ => return call.error("ERR count should be greater than or equal to -1"),
        },
        _ => return call.wrong_arguments(),
    };
    let entries = call.node.slowlog.newest(count);
    let mut reply = call.reply();
    reply.array(entries.len());
    for entry in entries {
        reply.array(6);
        reply.int(entry.id as i64);
        reply.int(entry.at_s);
        reply.int(entry.us as i64);
        reply.array(entry.args.len());
        entry.args.iter().for_each(|arg| reply.bulk(arg));
        reply.bulk(entry.addr);
        reply.bulk(entry.client_name);
    }
    Next::Continue
}

fn slowlog_len(call: &mut Call<'_, '_>) -> Next {
    let len = call.node.slowlog.len();
    call.reply().int(len as i64);
    Next::Continue
}

fn slowlog_reset(call: &mut Call<'_, '_>) -> Next {
    call.node.slowlog.clear();
    call.ok()
}
