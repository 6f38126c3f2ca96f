//! MONITOR: who is told of every command that runs.
//!
//! Commands are told of under the locks of their keys, so the stream's order is one in which they could have run one by
//! one. While nobody monitors this costs a look at one bit of the gate.

use super::Node;
use super::clients::ClientInfo;
use super::endpoint::Endpoint;
use super::gate::bits;
use super::mailbox::Pusher;
use super::session::Session;
use super::slowlog::redacted;
use crate::base::time::Clock;
use crate::command::table::{Command, flags};
use bytes::Bytes;
use parking_lot::Mutex;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// The clients that monitor.
#[derive(Default)]
pub struct Monitors(Mutex<Vec<Arc<ClientInfo>>>);

impl Monitors {
    /// Lets a client monitor from now on.
    pub fn add(&self, node: &Node, session: &mut Session) {
        let mut all = self.0.lock();
        if !session.info.monitors.swap(true, Ordering::Relaxed) {
            all.push(session.info.clone());
            node.gate.set(bits::MONITORED, true);
        }
        drop(all);
        session.update_bits();
    }

    /// Ends that, if it does.
    pub fn remove(&self, node: &Node, session: &mut Session) {
        if !session.info.monitors.load(Ordering::Relaxed) {
            return;
        }
        let mut all = self.0.lock();
        session.info.monitors.store(false, Ordering::Relaxed);
        all.retain(|client| client.id != session.info.id);
        node.gate.set(bits::MONITORED, !all.is_empty());
        drop(all);
        session.update_bits();
    }
}

/// Tells those who monitor of a command that has run, or begun to wait.
#[inline]
pub fn tell(node: &Node, session: &Session, command: &Command, args: &[&[u8]]) {
    if node.gate.has(bits::MONITORED) {
        tell_all(node, session, command, args);
    }
}

#[cold]
fn tell_all(node: &Node, session: &Session, command: &Command, args: &[&[u8]]) {
    // What administrators do may hold secrets.
    if command.flags & (flags::ADMIN | flags::SKIP_MONITOR) != 0 {
        return;
    }
    let all = node.monitors.0.lock();
    let line =
        Bytes::from(line(node.clock().unix_us(), session.db, &session.info.addr, &redacted(command, args)));
    let pusher = Pusher::new(node);
    all.iter().for_each(|client| pusher.push(client, |_| line.clone()));
}

/// A command as those who monitor are told of it.
fn line(now_us: u64, db: u32, addr: &Endpoint, args: &[&[u8]]) -> Vec<u8> {
    let mut out = Vec::with_capacity(64 + args.iter().map(|arg| arg.len() + 3).sum::<usize>());
    let (seconds, micros) = (now_us / 1_000_000, now_us % 1_000_000);
    // Writing to a Vec cannot fail.
    let _ = match addr {
        Endpoint::Tcp(addr) => write!(out, "+{seconds}.{micros:06} [{db} {addr}]"),
        Endpoint::Unix(path) => write!(out, "+{seconds}.{micros:06} [{db} unix:{path}]"),
    };
    for arg in args {
        out.push(b' ');
        quote(&mut out, arg);
    }
    out.extend_from_slice(b"\r\n");
    out
}

/// Writes a text in quotes, with everything escaped that does not print.
fn quote(out: &mut Vec<u8>, text: &[u8]) {
    out.push(b'"');
    for byte in text {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', *byte]),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            7 => out.extend_from_slice(b"\\a"),
            8 => out.extend_from_slice(b"\\b"),
            b' '..=b'~' => out.push(*byte),
            _ => {
                // Writing to a Vec cannot fail.
                let _ = write!(out, "\\x{byte:02x}");
            }
        }
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_quote_their_arguments() {
        let shown = |addr: &Endpoint, args: &[&[u8]]| {
            String::from_utf8(line(1_700_000_000_000_042, 3, addr, args)).unwrap()
        };
        let tcp = Endpoint::Tcp("127.0.0.1:4000".parse().unwrap());
        assert_eq!(
            shown(&tcp, &[b"SET", b"a b", b"\"\\\n\r\t\x07\x08\x00\x1b\xff~"]),
            "+1700000000.000042 [3 127.0.0.1:4000] \"SET\" \"a b\" \"\\\"\\\\\\n\\r\\t\\a\\b\\x00\\x1b\\xff~\"\r\n"
        );
        let unix = Endpoint::Unix("/run/s".into());
        assert_eq!(shown(&unix, &[b""]), "+1700000000.000042 [3 unix:/run/s] \"\"\r\n");
    }
}
