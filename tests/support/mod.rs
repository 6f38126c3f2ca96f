//! What the integration tests share: servers to talk to, a client, peers, seeds.

pub mod client;
pub mod nodes;
pub mod peer;
pub mod rng;
mod scale;
pub mod server;
pub mod slow_disk;
pub mod tap;
pub mod traffic;

pub use client::Client;
pub use scale::{scale, scaled};
pub use server::{Server, free_port};

use outrigger::resp::RespValue;
use std::time::{Duration, Instant};

/// Asks `condition` every few milliseconds until it holds; panics with `what` after `limit`.
pub fn wait_for(what: &str, limit: Duration, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < limit, "waited {limit:?} in vain for: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A file's or reply's bytes for a person: printable ASCII as it is, long ones cut.
pub fn show(bytes: &[u8]) -> String {
    const SHOWN_BYTES: usize = 120;
    let mut text =
        bytes.iter().take(SHOWN_BYTES).flat_map(|b| b.escape_ascii()).map(char::from).collect::<String>();
    if bytes.len() > SHOWN_BYTES {
        text.push_str(&format!("…({} bytes)", bytes.len()));
    }
    text
}

/// A reply without the pairs of these names, in flat arrays and in maps.
pub fn without_pairs(reply: &RespValue, names: &[&str]) -> RespValue {
    let is_named = |name: &RespValue| {
        name.as_bytes().is_some_and(|name| names.iter().any(|other| other.as_bytes() == name))
    };
    match reply {
        RespValue::Array(items) => {
            let mut kept = Vec::new();
            let mut items = items.iter();
            while let Some(item) = items.next() {
                match is_named(item) {
                    true => drop(items.next()),
                    false => kept.push(without_pairs(item, names)),
                }
            }
            RespValue::Array(kept)
        }
        RespValue::Map(pairs) => {
            let kept = pairs.iter().filter(|(name, _)| !is_named(name));
            RespValue::Map(kept.map(|(name, value)| (name.clone(), without_pairs(value, names))).collect())
        }
        other => other.clone(),
    }
}
