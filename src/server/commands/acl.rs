//! ACL: categories and random passwords; users are in [`super::acl_users`].

use super::{Call, Handler, acl_users};
use crate::base::num::parse_i64;
use crate::command::error::quoting;
use crate::command::table::acl;
use crate::command::{CommandError, registry};
use crate::server::dispatch::Next;
use crate::sys::process::random_bytes;

/// Bits of a password, unless the caller says otherwise.
const DEFAULT_BITS: i64 = 256;
/// Most bits of a password.
const BITS_MAX: i64 = 4096;

pub(super) fn handler(name: &str, sub: &str) -> Option<Handler> {
    if name != "acl" {
        return None;
    }
    Some(match sub {
        "cat" => categories,
        "genpass" => generate_password,
        _ => return acl_users::handler(sub),
    })
}

fn categories(call: &mut Call<'_, '_>) -> Next {
    match call.args {
        [_, _] => {
            let mut reply = call.reply();
            reply.array(acl::NAMES.len());
            acl::NAMES.iter().for_each(|(_, name)| reply.bulk(name));
        }
        [_, _, wanted] => {
            let found = acl::NAMES.iter().find(|(_, name)| wanted.eq_ignore_ascii_case(name.as_bytes()));
            let Some((category, _)) = found else {
                return call.error(quoting("ERR Unknown category '", wanted, "'"));
            };
            let all = registry::all().flat_map(|command| std::iter::once(command).chain(command.sub));
            let names: Vec<&str> =
                all.filter(|command| command.acl_all() & category != 0).map(registry::full_name).collect();
            let mut reply = call.reply();
            reply.array(names.len());
            names.iter().for_each(|name| reply.bulk(name));
        }
        _ => return call.wrong_arguments(),
    }
    Next::Continue
}

fn generate_password(call: &mut Call<'_, '_>) -> Next {
    let bits = match call.args {
        [_, _] => Some(DEFAULT_BITS),
        [_, _, bits] => parse_i64(bits),
        _ => return call.wrong_arguments(),
    };
    let Some(bits) = bits else { return call.error(CommandError::NotInteger.to_string()) };
    if !(1..=BITS_MAX).contains(&bits) {
        return call.error(
            "ERR ACL GENPASS argument must be the number of bits for the output password, a positive number up to \
             4096",
        );
    }
    let digits = (bits as usize).div_ceil(4);
    let mut secret = vec![0; digits.div_ceil(2)];
    if let Err(error) = random_bytes(&mut secret) {
        return call.error(format!("ERR no randomness: {error}"));
    }
    let mut text: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
    text.truncate(digits);
    call.reply().bulk(text);
    Next::Continue
}
