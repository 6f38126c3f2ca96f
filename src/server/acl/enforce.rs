//! What a user is refused, and what is told and noted of it.

use super::SessionUser;
use crate::acl::Denied;
use crate::acl::log::{Place, Reason, Refused};
use crate::command::families::sort::lookup_option;
use crate::command::registry;
use crate::command::table::Command;
use crate::server::clients::ClientInfo;
use crate::server::commands::client;
use crate::server::gate::bits;
use crate::server::node::Node;
use crate::server::session::Session;
use crate::server::stats::add;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// The error for a command that its user may not run; `None` lets it pass. To be asked of restricted users only.
#[cold]
pub fn refusal(node: &Node, session: &Session, command: &Command, args: &[&[u8]]) -> Option<Vec<u8>> {
    if !session.authenticated && node.gate.has(bits::PASSWORD) {
        // Asks for the password first.
        return None;
    }
    let place = if session.transaction.is_some() { Place::Multi } else { Place::TopLevel };
    let denied = check(node, &session.user, &session.info, command, args, place)?;
    Some(text(denied, command).into_bytes())
}

/// The error for a command that was queued, when its turn comes.
#[cold]
pub fn queued_refusal(node: &Node, session: &Session, command: &Command, args: &[&[u8]]) -> Option<String> {
    let why = match check(node, &session.user, &session.info, command, args, Place::Multi)? {
        Denied::Command => "no permission to execute the command or subcommand",
        Denied::Key(_) => "no permission to touch the specified keys",
        Denied::Channel(_) => "no permission to access one of the channels used as arguments to the command",
    };
    Some(format!(
        "NOPERM ACLs rules changed between the moment the transaction was accumulated and the EXEC call. This command is \
         no longer allowed for the following reason: {why}"
    ))
}

/// The error for a command that has waited and is to be run now, for a user who may have lost permissions meanwhile.
pub fn again_refused(
    node: &Node,
    user: &mut SessionUser,
    info: &Arc<ClientInfo>,
    command: &Command,
    args: &[&[u8]],
) -> Option<String> {
    node.acl.refresh(user);
    if !user.restricted {
        return None;
    }
    check(node, user, info, command, args, Place::TopLevel).map(|denied| text(denied, command))
}

/// The error for a SORT whose BY or GET could read keys that its user may not.
#[cold]
pub fn sort_refusal(session: &Session, command: &Command, args: &[&[u8]]) -> Option<String> {
    let option = lookup_option(command, args)?;
    let user = session.user.user()?;
    let may = user.may_read_all_keys(command, args);
    (!may).then(|| format!("ERR {option} option of SORT denied due to insufficient ACL permissions."))
}

/// Notes that somebody tried to log in and was not let in.
pub fn note_wrong_password(
    node: &Node,
    session: &Session,
    user: &[u8],
    command: &[u8],
    in_transaction: bool,
) {
    let place = if in_transaction { Place::Multi } else { Place::TopLevel };
    note(node, &session.info, Reason::Auth, place, command.to_vec(), user.into());
}

fn check(
    node: &Node,
    session_user: &SessionUser,
    info: &Arc<ClientInfo>,
    command: &Command,
    args: &[&[u8]],
    place: Place,
) -> Option<Denied> {
    let user = session_user.user()?;
    let denied = match session_user.gone {
        true => Denied::Command,
        false => user.check(command, args)?,
    };
    let named = || args.get(denied.at()).copied().unwrap_or_default().to_vec();
    let (reason, object) = match denied {
        Denied::Command => (Reason::Command, registry::full_name(command).into()),
        Denied::Key(_) => (Reason::Key, named()),
        Denied::Channel(_) => (Reason::Channel, named()),
    };
    if let Some(index) = registry::index(command) {
        info.last_command.store(index, Ordering::Relaxed);
    }
    note(node, info, reason, place, object, user.name.clone());
    Some(denied)
}

fn note(node: &Node, info: &Arc<ClientInfo>, reason: Reason, place: Place, object: Vec<u8>, user: Arc<[u8]>) {
    let counter = match reason {
        Reason::Auth => &node.stats.acl_denied_auth,
        Reason::Command => &node.stats.acl_denied_command,
        Reason::Key => &node.stats.acl_denied_key,
        Reason::Channel => &node.stats.acl_denied_channel,
    };
    add(counter, 1);
    let now_ms = node.now_ms();
    let refused = Refused { reason, place, object, user, client: client::describe(info, now_ms) };
    node.acl.log.lock().add(refused, now_ms, node.config().acllog_max_len);
}

fn text(denied: Denied, command: &Command) -> String {
    match denied {
        Denied::Command => {
            let name = registry::full_name(command);
            format!("NOPERM this user has no permissions to run the '{name}' command")
        }
        Denied::Key(_) => {
            "NOPERM this user has no permissions to access one of the keys used as arguments".into()
        }
        Denied::Channel(_) => {
            "NOPERM this user has no permissions to access one of the channels used as arguments".into()
        }
    }
}
