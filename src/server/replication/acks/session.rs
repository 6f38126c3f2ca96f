//! What one connection wants of durability, and what the reply at hand depends on.

use super::DurableAcks;
use crate::command::apply::OwnedCommand;
use crate::command::locking::{FirstHash, NO_HASH, hashes_of};
use crate::command::table::{Command, Run, flags};
use crate::replication::acks::{Need, OnLoss, Verdict};
use crate::server::gate::bits;
use crate::server::stats::add;
use crate::server::{Node, Session};
use crate::value::hash_bytes;
use smallvec::SmallVec;
use std::borrow::Cow;
use std::sync::Arc;

/// What the connection wants, and the reply at hand.
#[derive(Default)]
pub struct SessionAcks {
    /// On how many replicas its replies wait; 0: they do not.
    pub wanted: u8,
    /// What it chose by CLIENT DURABILITY.
    own: Option<u8>,
    /// Keeps positions being noted for it.
    in_use: Option<InUse>,
    /// What the reply that was just written depends on; `None`: on nothing that is not durable.
    pub need: Option<Need>,
    later: Option<Later>,
}

impl SessionAcks {
    /// Takes the setting that is in force where the connection has chosen none.
    pub fn set_default(&mut self, by_default: u8) {
        self.wanted = self.own.unwrap_or(by_default);
    }
}

/// A connection that asks for durable acks; it stops when this goes.
struct InUse(Arc<Node>);

impl Drop for InUse {
    fn drop(&mut self) {
        self.0.acks.end_use(&self.0);
    }
}

/// What a reply depends on that comes later: keys (`None`: all) and, on a primary, the term in which it began to wait.
struct Later {
    hashes: Option<SmallVec<[u64; 4]>>,
    term: Option<u32>,
}

/// Chooses for a connection on how many replicas its replies wait (0: none); `None`: as configured. `with_all_shards`
/// must run what it is given with all shards locked.
pub fn choose(
    node: &Arc<Node>,
    session: &mut Session,
    own: Option<u8>,
    with_all_shards: impl FnOnce(&mut dyn FnMut()),
) {
    let acks = &mut session.acks;
    let asks = own.is_some_and(|own| own > 0);
    if asks && acks.in_use.is_none() {
        if !node.acks.use_again() {
            with_all_shards(&mut || node.acks.begin_use(node));
        }
        acks.in_use = Some(InUse(node.clone()));
    } else if !asks {
        acks.in_use = None;
    }
    acks.own = own;
    acks.need = None;
    acks.set_default(node.acks.by_default());
}

/// The error for a command that may not run: the gate's, or that a write could not become durable and is not to wait.
#[inline]
pub fn refuse(node: &Node, session: &Session, command: &Command) -> Option<Cow<'static, str>> {
    let refused = node.gate.refuse(session, command);
    match session.acks.wanted {
        0 => refused,
        wanted => refused.or_else(|| too_few(node, wanted, command)),
    }
}

fn too_few(node: &Node, wanted: u8, command: &Command) -> Option<Cow<'static, str>> {
    let attached = node.acks.attached();
    let enough = attached >= usize::from(wanted) || node.acks.on_loss() != OnLoss::Error;
    if enough || node.is_replica() || !command.has(flags::WRITE) {
        return None;
    }
    add(&node.stats.durable_acks_refused, 1);
    let text = format!(
        "NOTDURABLE too few replicas that fsync are attached ({attached} of {wanted}); nothing was written"
    );
    Some(text.into())
}

/// Notes what a command has written (if it `wrote`), and what its reply depends on. The caller holds the shards that the
/// command locked.
pub fn note(
    node: &Node,
    session: &mut Session,
    command: &Command,
    args: &[&[u8]],
    first: FirstHash,
    wrote: bool,
) {
    note_hashes(node, session, hashes_of(command, args, first).as_deref(), wrote);
}

/// As [`note`], for a whole transaction.
pub fn note_transaction(node: &Node, session: &mut Session, queue: &[OwnedCommand], wrote: bool) {
    let mut all = Some(SmallVec::<[u64; 16]>::new());
    for (command, args) in queue {
        // What the server itself runs tells of no key.
        if !matches!(command.run, Run::Keyspace(_)) {
            continue;
        }
        let args: SmallVec<[&[u8]; 8]> = args.iter().map(|arg| &arg[..]).collect();
        let hashes = hashes_of(command, &args, NO_HASH);
        all = all.zip(hashes).map(|(mut all, hashes)| {
            all.extend(hashes);
            all
        });
    }
    note_hashes(node, session, all.as_deref(), wrote);
}

fn note_hashes(node: &Node, session: &mut Session, hashes: Option<&[u64]>, wrote: bool) {
    if wrote {
        node.acks.mark(hashes, session.last_write);
    }
    if session.acks.wanted > 0 {
        let position = position_of(node, hashes);
        let need = Need { position, wanted: session.acks.wanted, term: node.acks.term() };
        session.acks.need = (!node.is_replica()).then(|| unless_durable(&node.acks, need)).flatten();
    }
}

fn position_of(node: &Node, hashes: Option<&[u64]>) -> u64 {
    hashes.map_or_else(|| node.log.end(), |hashes| node.acks.position_of(hashes))
}

fn unless_durable(acks: &DurableAcks, need: Need) -> Option<Need> {
    (acks.judge(&need) != Verdict::Durable).then_some(need)
}

/// Notes what a command has written that ran for somebody else than the connection at hand. The caller holds its shards.
pub fn note_written(node: &Node, command: &Command, args: &[&[u8]], position: u64) {
    node.acks.mark(hashes_of(command, args, NO_HASH).as_deref(), position);
}

/// Notes that what was removed of these keys, or in them, stands in the log up to `position`. The caller holds their shard.
pub fn note_removed<'a>(node: &Node, keys: impl Iterator<Item = &'a [u8]>, position: u64) {
    if node.gate.has(bits::TRACKED) {
        keys.for_each(|key| node.acks.mark(Some(&[hash_bytes(key)]), position));
    }
}

/// Remembers what a reply that comes later will depend on: that of a command that waits, or walks. The caller still
/// holds what the command locked.
pub fn hold_later(node: &Node, session: &mut Session, command: &Command, args: &[&[u8]]) {
    session.acks.need = None;
    if session.acks.wanted == 0 {
        return;
    }
    let term = (!node.is_replica()).then(|| node.acks.term());
    session.acks.later = Some(Later { hashes: hashes_of(command, args, NO_HASH), term });
}

/// What the reply depends on that has come now. A node that was a primary when the command began to wait and is none any
/// more has a need that fails: the reply may tell of a write that nobody has.
pub fn later_need(node: &Node, session: &mut Session) -> Option<Need> {
    let later = session.acks.later.take()?;
    if session.acks.wanted == 0 || (node.is_replica() && later.term.is_none()) {
        return None;
    }
    let term = later.term.unwrap_or_else(|| node.acks.term());
    let position = position_of(node, later.hashes.as_deref());
    unless_durable(&node.acks, Need { position, wanted: session.acks.wanted, term })
}
