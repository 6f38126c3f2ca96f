//! CLIENT TRACKING, CACHING, TRACKINGINFO and GETREDIR.

use super::client::on_off;
use super::{Call, Handler};
use crate::command::CommandError;
use crate::server::dispatch::Next;
use crate::server::tracking::Options;
use std::sync::atomic::Ordering;

pub(super) fn handler(sub: &str) -> Option<Handler> {
    Some(match sub {
        "tracking" => tracking,
        "caching" => caching,
        "trackinginfo" => tracking_info,
        "getredir" => get_redirection,
        _ => return None,
    })
}

fn tracking(call: &mut Call<'_, '_>) -> Next {
    let options = match Options::parse(&call.args[3..], &call.node.clients) {
        Ok(options) => options,
        Err(text) => return call.error(text),
    };
    match on_off(call.args[2]) {
        Some(true) => {}
        Some(false) => {
            untrack(call);
            return call.ok();
        }
        None => return call.error(CommandError::Syntax.to_string()),
    }
    let before = call.session.tracking.as_ref().map(|tracking| tracking.options.clone());
    if let Err(text) = options.check(before.as_ref()) {
        return call.error(text);
    }
    let options = options.after(before.as_ref());
    let node = call.node;
    match &mut call.held {
        Some(all) => call.session.track(node, all, options),
        None => call.session.track(node, &mut node.keyspace.lock_all(), options),
    }
    call.ok()
}

/// Ends this connection's tracking, if it does track.
pub(super) fn untrack(call: &mut Call<'_, '_>) {
    if call.session.tracking.is_none() {
        return;
    }
    let node = call.node;
    match &mut call.held {
        Some(all) => call.session.untrack(node, all),
        None => call.session.untrack(node, &mut node.keyspace.lock_all()),
    }
}

fn caching(call: &mut Call<'_, '_>) -> Next {
    let Some(tracking) = &mut call.session.tracking else {
        return call.error(
            "ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT mode enabled",
        );
    };
    let (word, options) = (call.args[2], &tracking.options);
    let (fits, text) = if word.eq_ignore_ascii_case(b"yes") {
        (options.optin, "ERR CLIENT CACHING YES is only valid when tracking is enabled in OPTIN mode.")
    } else if word.eq_ignore_ascii_case(b"no") {
        (options.optout, "ERR CLIENT CACHING NO is only valid when tracking is enabled in OPTOUT mode.")
    } else {
        return call.error(CommandError::Syntax.to_string());
    };
    if !fits {
        return call.error(text);
    }
    tracking.caching = true;
    call.ok()
}

fn get_redirection(call: &mut Call<'_, '_>) -> Next {
    let redirect = call.session.tracking.as_ref().map_or(-1, |tracking| tracking.options.redirect as i64);
    call.reply().int(redirect);
    Next::Continue
}

fn tracking_info(call: &mut Call<'_, '_>) -> Next {
    let broken = call.session.info.redirect_broken.load(Ordering::Relaxed);
    let (mut flags, mut redirect, mut prefixes) = (vec!["off"], -1, Vec::new());
    if let Some(tracking) = &call.session.tracking {
        let options = &tracking.options;
        let said = tracking.caching;
        let states = [
            (true, "on"),
            (options.bcast, "bcast"),
            (options.optin, "optin"),
            (options.optin && said, "caching-yes"),
            (options.optout, "optout"),
            (options.optout && said, "caching-no"),
            (options.noloop, "noloop"),
            (broken, "broken_redirect"),
        ];
        flags = states.iter().filter(|(is, _)| *is).map(|(_, word)| *word).collect();
        redirect = options.redirect as i64;
        prefixes.clone_from(&options.prefixes);
    }
    let mut reply = call.reply();
    reply.map(3);
    reply.bulk("flags");
    reply.set(flags.len());
    flags.iter().for_each(|flag| reply.bulk(flag));
    reply.bulk("redirect");
    reply.int(redirect);
    reply.bulk("prefixes");
    reply.array(prefixes.len());
    prefixes.iter().for_each(|prefix| reply.bulk(prefix));
    Next::Continue
}
