//! ACL: users, their rules and their files, and what was refused.

use super::{Call, Handler};
use crate::acl::log::Entry;
use crate::acl::{DEFAULT_USER, Denied, Selector, User, is_name};
use crate::base::num::parse_i64;
use crate::command::error::quoting;
use crate::command::{CommandError, registry};
use crate::resp::reply::Reply;
use crate::server::acl;
use crate::server::dispatch::Next;

/// Entries that ACL LOG tells unless it is asked for another number.
const LOG_SHOWN: i64 = 10;

pub(super) fn handler(sub: &str) -> Option<Handler> {
    Some(match sub {
        "whoami" => who_am_i,
        "users" => names,
        "list" => list,
        "getuser" => get_user,
        "setuser" => set_user,
        "deluser" => delete_users,
        "dryrun" => dry_run,
        "log" => log,
        "save" => save,
        "load" => load,
        _ => return None,
    })
}

fn who_am_i(call: &mut Call<'_, '_>) -> Next {
    let name = call.session.user.name().to_vec();
    call.reply().bulk(name);
    Next::Continue
}

fn names(call: &mut Call<'_, '_>) -> Next {
    let users = call.node.acl.list();
    let mut reply = call.reply();
    reply.array(users.len());
    users.iter().for_each(|user| reply.bulk(&user.name));
    Next::Continue
}

fn list(call: &mut Call<'_, '_>) -> Next {
    let users = call.node.acl.list();
    let mut reply = call.reply();
    reply.array(users.len());
    users.iter().for_each(|user| reply.bulk(crate::acl::file::line(user)));
    Next::Continue
}

fn get_user(call: &mut Call<'_, '_>) -> Next {
    let user = call.node.acl.get(call.args[2]);
    let mut reply = call.reply();
    match user {
        Some(user) => describe(&mut reply, &user),
        None => reply.null(),
    }
    Next::Continue
}

fn describe(reply: &mut Reply<'_>, user: &User) {
    reply.map(6);
    reply.bulk("flags");
    let flags = user.flags();
    reply.set(flags.len());
    flags.iter().for_each(|flag| reply.bulk(flag));
    reply.bulk("passwords");
    reply.array(user.passwords().len());
    user.passwords().for_each(|hash| reply.bulk(hash));
    let mut selectors = user.selectors();
    if let Some(own) = selectors.next() {
        describe_selector(reply, own);
    }
    let others: Vec<&Selector> = selectors.collect();
    reply.bulk("selectors");
    reply.array(others.len());
    for selector in others {
        reply.map(3);
        describe_selector(reply, selector);
    }
}

fn describe_selector(reply: &mut Reply<'_>, selector: &Selector) {
    let texts = [
        ("commands", selector.describe_commands()),
        ("keys", selector.describe_keys()),
        ("channels", selector.describe_channels()),
    ];
    for (name, text) in texts {
        reply.bulk(name);
        reply.bulk(text);
    }
}

fn set_user(call: &mut Call<'_, '_>) -> Next {
    let (name, rules) = (call.args[2], &call.args[3..]);
    if name.is_empty() {
        return call.error("ERR Usernames can't be empty");
    }
    if !is_name(name) {
        return call.error("ERR Usernames can't contain spaces or null characters");
    }
    match acl::set_user(call.node, name, rules) {
        Ok(()) => {
            call.ok();
            let ends_this = acl::end_subscribers(call.node, &call.session.info);
            after_change(call, ends_this)
        }
        Err(error) => call.error(error.to_reply()),
    }
}

fn delete_users(call: &mut Call<'_, '_>) -> Next {
    let names = &call.args[2..];
    if names.contains(&DEFAULT_USER) {
        return call.error("ERR The 'default' user cannot be removed");
    }
    let (count, ends_this) = acl::delete_users(call.node, &call.session.info, names);
    call.reply().int(count as i64);
    after_change(call, ends_this)
}

/// Goes on with the rules as they are now, or ends with its user.
fn after_change(call: &mut Call<'_, '_>, ends_this: bool) -> Next {
    call.node.acl.refresh(&mut call.session.user);
    if ends_this { Next::Close } else { Next::Continue }
}

fn dry_run(call: &mut Call<'_, '_>) -> Next {
    let (name, args) = (call.args[2], &call.args[3..]);
    let Some(user) = call.node.acl.get(name) else {
        return call.error(quoting("ERR User '", name, "' not found"));
    };
    let command = match registry::resolve(args) {
        Some((_, Some(sub))) => sub,
        Some((command, None)) if command.sub.is_empty() || args.len() == 1 => command,
        _ => return call.error(quoting("ERR Command '", args[0], "' not found")),
    };
    if !command.arity_fits(args.len()) {
        return call.error(CommandError::Arity(registry::full_name(command).into()).to_string());
    }
    let named = |denied: Denied| args.get(denied.at()).copied().unwrap_or_default();
    let text = match user.check(command, args) {
        None => return call.ok(),
        Some(Denied::Command) => {
            let name = registry::full_name(command);
            format!("This user has no permissions to run the '{name}' command").into_bytes()
        }
        Some(denied @ Denied::Key(_)) => {
            quoting("This user has no permissions to access the '", named(denied), "' key")
        }
        Some(denied @ Denied::Channel(_)) => {
            quoting("This user has no permissions to access the '", named(denied), "' channel")
        }
    };
    call.reply().bulk(text);
    Next::Continue
}

fn log(call: &mut Call<'_, '_>) -> Next {
    let count = match call.args {
        [_, _] => LOG_SHOWN,
        [_, _, word] if word.eq_ignore_ascii_case(b"reset") => {
            call.node.acl.log.lock().clear();
            return call.ok();
        }
        [_, _, count] => match parse_i64(count) {
            Some(count) => count,
            None => return call.error(CommandError::NotInteger.to_string()),
        },
        _ => return call.wrong_arguments(),
    };
    let entries = call.node.acl.log.lock().newest(usize::try_from(count).unwrap_or(0));
    let now_ms = call.node.now_ms();
    let mut reply = call.reply();
    reply.array(entries.len());
    entries.iter().for_each(|entry| describe_entry(&mut reply, entry, now_ms));
    Next::Continue
}

fn describe_entry(reply: &mut Reply<'_>, entry: &Entry, now_ms: i64) {
    let refused = &entry.refused;
    reply.map(10);
    reply.bulk("count");
    reply.int(entry.count as i64);
    let texts: [(&str, &[u8]); 4] = [
        ("reason", refused.reason.word().as_bytes()),
        ("context", refused.place.word().as_bytes()),
        ("object", &refused.object),
        ("username", &refused.user),
    ];
    for (name, text) in texts {
        reply.bulk(name);
        reply.bulk(text);
    }
    reply.bulk("age-seconds");
    reply.double((now_ms - entry.last_ms) as f64 / 1000.0);
    reply.bulk("client-info");
    reply.bulk(&refused.client);
    let numbers = [
        ("entry-id", entry.id as i64),
        ("timestamp-created", entry.first_ms),
        ("timestamp-last-updated", entry.last_ms),
    ];
    for (name, number) in numbers {
        reply.bulk(name);
        reply.int(number);
    }
}

fn save(call: &mut Call<'_, '_>) -> Next {
    match acl::save(call.node) {
        Ok(()) => call.ok(),
        Err(error) => {
            let why = std::error::Error::source(&error).map(ToString::to_string);
            tracing::warn!(why, "the users were not saved");
            call.error(format!("ERR {error}"))
        }
    }
}

fn load(call: &mut Call<'_, '_>) -> Next {
    match acl::load(call.node, &call.session.info) {
        Ok(is_gone) => {
            call.ok();
            let ends_this = acl::end_subscribers(call.node, &call.session.info) || is_gone;
            after_change(call, ends_this)
        }
        Err(error) => call.error(format!("ERR {error}")),
    }
}
