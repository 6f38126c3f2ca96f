//! Who may do what.

use super::*;
use crate::acl::{NewChannels, User, is_name};
use crate::server::config::settings::AclPubsubDefault;

pub(super) static DIRECTIVES: &[Directive] = &[
    Directive::new(
        "user",
        Kind::Special { form: "NAME RULE …", list: true, get: |_, _| Vec::new(), set: add, lines: |c| c.users.clone() },
        "A user and its rules, as ACL SETUSER takes them. Not beside `aclfile`.",
    )
    .only_in_files(),
    text!("aclfile", aclfile, "File of users, which ACL LOAD reads and ACL SAVE writes; relative to `dir`. Then `requirepass` is without effect.")
        .immutable(),
    word!("acl-pubsub-default", acl_pubsub_default: AclPubsubDefault, "Which channels a new user may use: all or none."),
    integer!("acllog-max-len", acllog_max_len: usize, 0, i64::MAX, "Entries that ACL LOG keeps."),
];

/// Takes the line of one user.
fn add(config: &mut Config, args: &[Vec<u8>], origin: Origin) -> Result<(), Refusal> {
    let [name, rules @ ..] = args else { return Err("wrong number of arguments".into()) };
    if origin == Origin::Runtime {
        return Err("users are changed by ACL SETUSER".into());
    }
    if !is_name(name) {
        return Err("Spaces not allowed in ACL usernames".into());
    }
    let wrong =
        |why: &str| Refusal::from(format!("Error in user declaration '{}': {why}", name.escape_ascii()));
    if config.users.iter().any(|user| user.first() == Some(name)) {
        return Err(wrong("Duplicate user found. A user can only be defined once in config files"));
    }
    User::new(name, 0, NewChannels::None).apply(rules).map_err(|error| wrong(&error.why()))?;
    config.users.push(args.to_vec());
    Ok(())
}
