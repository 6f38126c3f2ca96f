//! MIGRATE: its arguments.

use super::{Call, Handler};
use crate::base::num::parse_i64;
use crate::command::CommandError;
use crate::server::dispatch::Next;
use crate::server::migration::{Credentials, Migration, Order};
use crate::server::replication::acks;
use std::time::Duration;

/// How long the target may be silent, if the command gives no time.
const PATIENCE_MS: u64 = 1_000;

pub(super) fn handler(name: &str, _sub: &str) -> Option<Handler> {
    (name == "migrate").then_some(migrate)
}

fn migrate(call: &mut Call<'_, '_>) -> Next {
    let (order, keys) = match parse(call.args) {
        Ok(parsed) => parsed,
        Err(error) => return call.error(error.reply()),
    };
    if call.held.is_some() {
        // The locks of a transaction cannot be kept until another server has answered.
        return call.error("ERR MIGRATE is not allowed in transactions");
    }
    match Migration::begin(call.node, call.session, order, keys) {
        Some(migration) => {
            acks::hold_later(call.node, call.session, call.command, call.args);
            Next::Migrate(Box::new(migration))
        }
        None => {
            call.reply().simple("NOKEY");
            Next::Continue
        }
    }
}

fn parse<'a>(args: &'a [&'a [u8]]) -> Result<(Order, &'a [&'a [u8]]), CommandError> {
    let mut order = Order {
        host: String::from_utf8_lossy(args[1]).into_owned(),
        port: port(args[2]),
        db: 0,
        patience: Duration::from_millis(PATIENCE_MS),
        copy: false,
        replace: false,
        credentials: None,
    };
    let mut keys = &args[3..4];
    let mut rest = &args[6..];
    while let [word, others @ ..] = rest {
        let is = |name: &str| word.eq_ignore_ascii_case(name.as_bytes());
        rest = match others {
            others if is("copy") => {
                order.copy = true;
                others
            }
            others if is("replace") => {
                order.replace = true;
                others
            }
            [password, others @ ..] if is("auth") => {
                order.credentials = Some(Credentials { user: None, password: password.to_vec() });
                others
            }
            [user, password, others @ ..] if is("auth2") => {
                let user = Some(user.to_vec());
                order.credentials = Some(Credentials { user, password: password.to_vec() });
                others
            }
            others if is("keys") => {
                if !args[3].is_empty() {
                    return Err(CommandError::text(
                        "ERR When using MIGRATE KEYS option, the key argument must be set to the empty string",
                    ));
                }
                keys = others;
                &[]
            }
            _ => return Err(CommandError::Syntax),
        };
    }
    let timeout = parse_i64(args[5]).ok_or(CommandError::NotInteger)?;
    order.db = parse_i64(args[4]).ok_or(CommandError::NotInteger)?;
    if let Some(ms) = u64::try_from(timeout).ok().filter(|ms| *ms > 0) {
        order.patience = Duration::from_millis(ms);
    }
    Ok((order, keys))
}

/// A port as C's `atoi` reads it; what is none cannot be connected to.
fn port(text: &[u8]) -> u16 {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    parse_i64(&text[..digits]).and_then(|port| u16::try_from(port).ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<(Order, Vec<String>), String> {
        let args: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        match parse(&args) {
            Ok((order, keys)) => {
                Ok((order, keys.iter().map(|key| String::from_utf8_lossy(key).into_owned()).collect()))
            }
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn arguments() {
        let (order, keys) = parsed("MIGRATE h 7000 k 3 50 COPY REPLACE AUTH2 u p").expect("valid");
        assert_eq!((order.host.as_str(), order.port, order.db), ("h", 7000, 3));
        assert_eq!((order.copy, order.replace, order.patience.as_millis()), (true, true, 50));
        let credentials = order.credentials.expect("given");
        assert_eq!((credentials.user.as_deref(), &credentials.password[..]), (Some(&b"u"[..]), &b"p"[..]));
        assert_eq!(keys, ["k"]);
        let (order, keys) = parsed("MIGRATE h x  0 -1 AUTH keys KEYS a copy b").expect("valid");
        assert_eq!((order.port, order.copy, order.patience.as_millis()), (0, false, 1_000));
        assert_eq!(keys, ["a", "copy", "b"]);
    }

    #[test]
    fn refusals() {
        let refusal = |line: &str| parsed(line).err().unwrap_or_default();
        let not_integer = "ERR value is not an integer or out of range";
        assert_eq!(refusal("MIGRATE h 1 k x 1"), not_integer);
        assert_eq!(refusal("MIGRATE h 1 k 0 x"), not_integer);
        for words in ["NOSUCH", "AUTH", "AUTH2 u"] {
            assert_eq!(refusal(&format!("MIGRATE h 1 k 0 1 {words}")), "ERR syntax error");
        }
        assert!(refusal("MIGRATE h 1 k 0 1 KEYS a").starts_with("ERR When using MIGRATE KEYS option"));
    }
}
