//! Who may serve the history: promotions, and what nodes tell each other of them ([`crate::replication::epoch`]).

use super::follow::words_of;
use super::role::{Claim, LinkPhase};
use crate::base::random::Rng;
use crate::keyspace::Locked;
use crate::replication::epoch::{are_related, is_superseded};
use crate::replication::guard::Taken;
use crate::replication::handshake::{history_told, info_fields};
use crate::replication::log::History;
use crate::replication::{Epoch, Lineage};
use crate::server::Node;
use crate::server::clients::ClientKind;
use std::sync::atomic::Ordering;

/// How much longer than a ping's period a primary must have been silent to be taken for lost, ms.
const LOST_AFTER_PING_MS: i64 = 5_000;

/// The history of a node that has one.
pub fn own_history(node: &Node) -> Option<History> {
    node.role.has_history().then(|| node.log.history())
}

/// Why a replica must not become the primary; `None` if it may.
pub fn hindrance(node: &Node) -> Option<String> {
    let how = "; OUTRIGGER PROMOTE FORCE makes it the primary all the same";
    match () {
        () if !node.is_replica() => None,
        () if !node.role.has_history() => {
            Some(format!("UNSYNCED this replica has never finished a sync and has nothing to serve{how}"))
        }
        () if node.role.is_sync_unfinished() => Some(format!(
            "UNSYNCED this replica began a full sync that is not finished, so what it has is older than what its primary \
             had{how}"
        )),
        () => None,
    }
}

/// Takes the history over: a higher epoch, and a lineage that names the old one as its past. All shards are locked, and the
/// node is a replica still.
pub fn promote(node: &Node) {
    begin_epoch(node, 0);
    let Some(target) = node.role.target() else { return };
    if primary_is_lost(node) {
        node.role.set_claim(Some(Claim { address: target.address, epoch: node.role.held_epoch() }));
    }
}

/// A primary that had no history takes one over, which its log holds by now: an epoch above all that were told begins. Unless its
/// lineage is to be kept, what the node writes from now on goes by another name: somebody may hold more of this lineage, or
/// go on with it.
pub fn take_recovered(node: &Node, taken: &Taken) {
    let name = (!taken.keep_lineage).then(|| Lineage::random(&mut Rng::from_os()));
    node.log.begin_epoch(taken.epoch + 1, name);
    node.role.set_held_epoch(node.log.history().epoch.number);
    node.log.forget_db();
}

/// Begins an epoch above this one and above all that this node has heard of. All shards are locked.
fn begin_epoch(node: &Node, above: u64) {
    let heard = node.gate.fences().superseded.map_or(0, |superseded| superseded.epoch);
    let lineage = Lineage::random(&mut Rng::from_os());
    node.log.begin_epoch(above.max(heard) + 1, Some(lineage));
    let Epoch { number, since } = node.log.history().epoch;
    node.role.set_held_epoch(number);
    tracing::info!(epoch = number, offset = since, %lineage, "this node takes the history over");
}

/// A promotion while the primary is there is an operator's doing, who may want to have both: a copy, say. One that was lost may
/// come back and not know that it is no longer the primary.
fn primary_is_lost(node: &Node) -> bool {
    let silent_ms = node.now_ms() - node.role.last_io_ms.load(Ordering::Relaxed);
    let period_ms = i64::from(node.config().repl_ping_replica_period_seconds) * 1000;
    node.role.phase() != LinkPhase::Connected || silent_ms > period_ms + LOST_AFTER_PING_MS
}

/// Another node tells of the history it holds. A primary whose epoch has ended fences itself. `all` holds all shards.
pub fn hear(node: &Node, _all: &Locked<'_>, told: &History, claim: bool, by: Option<(String, u16)>) {
    let Some(own) = own_history(node).filter(|_| !node.is_replica()) else { return };
    if !is_superseded(&own, told, claim) {
        return;
    }
    let epoch = told.epoch.number;
    let was_serving = node.gate.fences().superseded.is_none();
    if !node.gate.change_fences(|fences| fences.supersede(epoch, by)) {
        return;
    }
    tracing::error!(epoch, own = own.epoch.number, "fenced: {}", node.gate.fences().refusal());
    if was_serving {
        // What is not durable by now may be lost, and nobody must be told otherwise.
        node.acks.begin_term(node.log.end(), false, None);
        node.role.set_claim(None);
        node.unblock_all();
        for client in node.clients.list() {
            if client.kind() == ClientKind::Replica {
                node.clients.kill(&client);
            }
        }
    }
}

/// A node that held a higher epoch follows this one by an operator's order: this one takes over from it. `all` holds all shards.
///
/// # Errors
/// The text of the reply, when this cannot be.
pub fn take_yielded(node: &Node, _all: &Locked<'_>, told: &History) -> Result<(), &'static str> {
    let Some(own) = own_history(node).filter(|_| !node.is_replica()) else {
        return Err("ERR this node is not a primary, so no epoch can be given up to it");
    };
    if !are_related(&own, told) {
        return Err("ERR this node holds another history, so no epoch can be given up to it");
    }
    if told.epoch.number > own.epoch.number {
        begin_epoch(node, told.epoch.number);
    }
    node.gate.change_fences(|fences| {
        if fences.superseded.as_ref().is_some_and(|known| known.epoch <= told.epoch.number) {
            fences.superseded = None;
        }
    });
    Ok(())
}

/// An operator has a superseded primary serve again: it takes the history over. `all` holds all shards.
pub fn serve_again(node: &Node, _all: &Locked<'_>) {
    begin_epoch(node, 0);
    node.gate.change_fences(|fences| fences.superseded = None);
}

/// What a promoted node makes of the INFO of the one that it claims the history from.
pub enum Claimed {
    /// There is nothing to tell: a stock node would not understand, and another history is none of its business.
    Heard,
    /// It has no history yet, and may come to have this one.
    Later(&'static str),
    /// It is to be told.
    Tell,
}

/// Judges that INFO. If that node is right and this one is not, this one fences itself.
pub fn judge_rival(node: &Node, info: &str) -> Claimed {
    let Some(theirs) = history_told(info) else { return Claimed::Heard };
    if !theirs.epoch.is_known() {
        return Claimed::Later("it has no history yet");
    }
    let is_primary = info_fields(info).get("role") == Some(&"master");
    hear(node, &node.keyspace.lock_all(), &theirs, is_primary, None);
    match own_history(node) {
        Some(own) if is_primary && are_related(&own, &theirs) => Claimed::Tell,
        _ => Claimed::Heard,
    }
}

/// A claim as arguments of REPLCONF.
pub fn claim_words(node: &Node) -> Vec<String> {
    let mut words = words_of(&node.log.history());
    words.extend(["outrigger-claim", "yes"].map(String::from));
    words
}
