//! Connections that MIGRATE has used, kept for the next one to the same target. Each I/O thread keeps its own; all of them
//! together keep a limited number.

use super::peer::Peer;
use crate::server::Node;
use crate::server::config::Address;
use crate::server::migration::Credentials;
use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// How long a connection that nobody uses is kept.
const IDLE_MAX: Duration = Duration::from_secs(10);
/// How many are kept.
const SOCKETS_MAX: usize = 64;

/// To whom a connection is, and as whom: what one password has opened is not for those who did not give it.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Target {
    /// The other server.
    pub(super) address: Address,
    /// What was authenticated with.
    pub(super) credentials: Option<Credentials>,
}

struct Kept {
    target: Target,
    peer: Peer,
    serial: u64,
}

#[derive(Default)]
struct Sockets {
    kept: Vec<Kept>,
    next_serial: u64,
}

thread_local! {
    static SOCKETS: RefCell<Sockets> = RefCell::default();
}

/// Takes a connection to this target that was kept, if there is one. It may have been closed by the other side.
pub(super) fn take(node: &Node, target: &Target) -> Option<Peer> {
    let taken = SOCKETS.with_borrow_mut(|sockets| {
        let at = sockets.kept.iter().position(|kept| kept.target == *target)?;
        Some(sockets.kept.swap_remove(at).peer)
    });
    taken.inspect(|_| {
        node.migrate_sockets.fetch_sub(1, Ordering::Relaxed);
    })
}

/// Keeps a connection on which nothing is awaited any more. Closes it if enough are kept.
pub(super) fn keep(node: &Arc<Node>, target: Target, peer: Peer) {
    let more = |count: usize| (count < SOCKETS_MAX).then_some(count + 1);
    if node.migrate_sockets.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_err() {
        return;
    }
    let serial = SOCKETS.with_borrow_mut(|sockets| {
        let serial = sockets.next_serial;
        sockets.next_serial += 1;
        sockets.kept.push(Kept { target, peer, serial });
        serial
    });
    let node = node.clone();
    tokio::task::spawn_local(async move {
        tokio::time::sleep(IDLE_MAX).await;
        SOCKETS.with_borrow_mut(|sockets| {
            if let Some(at) = sockets.kept.iter().position(|kept| kept.serial == serial) {
                sockets.kept.swap_remove(at);
                node.migrate_sockets.fetch_sub(1, Ordering::Relaxed);
            }
        });
    });
}
